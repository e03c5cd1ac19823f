"""`leaderboard build` as a process: the same bytes everywhere, and its faults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from benchmarks.leaderboard import main as benchmark
from mlbench.commands.cli import main
from mlbench.common.files import shipped_folder
from mlbench.leaderboard.entries.entry import ENTRY_FILE, RANKS_FILE
from tests.leaderboard.boards import TASK, edit


def build(
    entries: Path | str, output: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlbench", "leaderboard", "build", str(entries),
         "--output", str(output)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def faulty(entries: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Build in this process; return the exit code and what is said."""
    code = main(["leaderboard", "build", str(entries), "--output", str(output)])
    return code, capsys.readouterr().err


@pytest.fixture(scope="module")
def site(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a leaderboard that is in order, built in a process of its own."""
    folder = tmp_path_factory.mktemp("site")
    done = build(honest, folder, PYTHONHASHSEED="1", LC_ALL="C", TZ="UTC")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    assert "3 entries" in done.stdout
    return folder


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def copied_backwards(board: Path, target: Path) -> Path:
    """The same files, made in the opposite order."""
    for path in sorted(board.rglob("*"), reverse=True):
        if path.is_file():
            to = target / path.relative_to(board)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    return target


def test_the_same_bytes_whatever_the_machine(honest: Path, site: Path, tmp_path: Path) -> None:
    other = copied_backwards(honest, tmp_path / "copy")
    second = build(
        other, tmp_path / "b", PYTHONHASHSEED="2", LC_ALL="C.UTF-8", TZ="Pacific/Apia",
        OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OPENBLAS_CORETYPE="Prescott",
    )  # fmt: skip
    assert second.returncode == 0
    assert files(site) == files(tmp_path / "b")
    assert {name for name in files(site) if "/" not in name} == {
        "index.html", "leaderboard.csv", "leaderboard.json", "leaderboard.md", "feed.xml",
    }  # fmt: skip


def test_what_it_says_of_the_entries(honest: Path, site: Path) -> None:
    (standings,) = json.loads((site / "leaderboard.json").read_bytes())["standings"]
    rows = {row["model"]: row for row in standings["rows"]}
    assert set(rows) == {"alpha", "Beta/large", "Published (2020)"}
    assert rows["alpha"]["date"] == "2025-06-10"
    assert rows["Published (2020)"]["unranked"] == "reported, not recomputed"
    assert rows["Published (2020)"]["scores"]["mono"]["value"] is None
    entry = json.loads((honest / TASK / rows["Beta/large"]["slug"] / ENTRY_FILE).read_bytes())
    said = entry["macro"]["multilingual"]["AP"]
    found = rows["Beta/large"]["scores"]["multi"]
    assert [found[key] for key in ("value", "low", "high")] == pytest.approx(
        [said[key] for key in ("value", "low", "high")], abs=1e-6
    )


def test_the_overall_board_is_over_the_suite_that_is_named(
    honest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = (shipped_folder("tasks") / "sample.toml").read_text(encoding="utf-8")
    (tmp_path / f"{TASK}.toml").write_text(sample.replace('"sample"', f'"{TASK}"', 1))
    suite = tmp_path / "ours.toml"
    suite.write_text(
        f'name = "ours"\ntitle = "Ours"\nmean = true\n[tasks."{TASK}.toml"]\n'
        'headline = "multilingual:AP"\n[tasks.sample]\nheadline = "multilingual:AP"\n'
    )
    options = ["--suite", str(suite), "--output", str(tmp_path / "site"), "--quiet"]
    assert main(["leaderboard", "build", str(honest), *options]) == 0
    assert "overall by the suite ours" in capsys.readouterr().out
    found = json.loads((tmp_path / "site" / "leaderboard.json").read_bytes())["standings"]
    assert [(each["name"], each["suite"]) for each in found] == [("Overall", "ours"), (TASK, None)]
    assert found[0]["tasks"] == [TASK, "sample"]
    assert found[0]["headlines"] == {TASK: "multi"}
    reasons = {row["unranked"] for row in found[0]["rows"]}
    assert reasons == {"incomplete, no entry for sample"}


def test_without_the_tasks_of_its_default_suite_there_is_no_overall_board(
    honest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "site")
    assert main(["leaderboard", "build", str(honest), "--output", output, "--quiet"]) == 0
    assert "no overall board (see --suite)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "said"),
    [("paper", "headlines have no mean"), ("papr", "did you mean 'paper'")],
)
def test_a_suite_that_cannot_rank(
    honest: Path, tmp_path: Path, named: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--suite", named, "--output", str(tmp_path / "site"), "--quiet"]
    assert main(["leaderboard", "build", str(honest), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_a_folder_without_a_task(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = faulty(tmp_path / folder, tmp_path / "site", capsys)
    assert code == 3
    assert "no task in it" in said
    assert not (tmp_path / "site").exists()


def test_a_score_that_is_not_the_tables(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ("macro", "monolingual", "AP", "value")
    (path,) = (board / TASK).glob("beta-large-*/" + ENTRY_FILE)
    edit(path, key, 0.999)
    code, said = faulty(board, tmp_path / "site", capsys)
    assert code == 6
    assert f"{path}, monolingual AP: 0.999" in said
    assert not (tmp_path / "site").exists()


def test_a_table_that_is_another(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (board / TASK).glob("beta-large-*/" + RANKS_FILE)
    shutil.copy(board / TASK / "alpha" / RANKS_FILE, path)
    code, said = faulty(board, tmp_path / "site", capsys)
    assert code == 6
    assert str(path) in said
    assert "SHA-256" in said


def test_the_benchmark_runs_at_a_tiny_size(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["--entries", "6", "--languages", "3", "--questions", "20", "--turns", "1"]
    monkeypatch.setattr(sys, "argv", ["benchmarks.leaderboard", *small])
    benchmark()
    said = capsys.readouterr().out
    for expected in ("ranking", "index.html", "browser"):
        assert expected in said


def test_the_address_of_the_page_names_its_feed(
    honest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["leaderboard", "build", str(honest), "--output", str(tmp_path), "--quiet"]
    assert main([*command, "--address", "http://example.org/board"]) == 2
    assert "an address such as https://example.org/board" in capsys.readouterr().err
    assert main([*command, "--address", "https://example.org/board/"]) == 0
    own = uuid.uuid5(uuid.NAMESPACE_URL, "https://example.org/board/feed.xml").urn
    assert f"<id>{own}</id>" in (tmp_path / "feed.xml").read_text("utf-8")
