"""The leaderboard on the command line, as processes: from a model to a pull request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlbench.commands import leaderboard, submit
from mlbench.commands.cli import main
from mlbench.common import files as artefacts
from mlbench.common.errors import DataError, EnvironmentFault
from mlbench.leaderboard.entries.board import leaderboards_folder, root_of
from mlbench.leaderboard.entries.entry import Contamination, Level
from mlbench.leaderboard.entries.fields import RECORDED
from tests.leaderboard.boards import TASK, edit, verified
from tests.support.command_line import mlbench


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report on the sample task."""
    folder = tmp_path_factory.mktemp("run")
    done = mlbench("run", "--model", "bm25", "--task", "sample", "--quiet", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_from_a_model_to_a_pull_request(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run)

    def said(*arguments: str | Path, code: int = 0) -> str:
        assert main([*map(str, arguments)]) == code
        return "".join(capsys.readouterr())

    submission = ("submit", "results/bm25/sample", "--to", "lb", "--submitter", "Ada")
    assert "lb: no task in it" in said(*submission, code=2)
    told = said("leaderboard", "add-task", "results/bm25/sample", "--to", "lb")
    assert f"written: {Path('lb', 'sample', 'task.json')}" in told
    done = mlbench(*submission, cwd=run)
    assert done.returncode == 0, done.stderr
    assert f"{Path('lb', 'sample', 'bm25')}: " in done.stdout
    assert ": mlbench run --model bm25" in done.stdout
    assert "mlbench leaderboard validate " in done.stdout
    done = mlbench("leaderboard", "validate", "lb", "--quiet", cwd=run)
    assert (done.returncode, done.stdout) == (0, "1 entry checked, no fault\n"), done.stderr
    assert "is already there: sample/bm25" in said(*submission, code=2)
    said(
        *("leaderboard", "report", "--task", "sample", "--model", "Old (2020)"),
        *("--score", "multilingual:AP=0.29", "--score", "monolingual:AP=.5"),
        *("--rank-distance", "3.5", "--citation", "Old, 2020"),
        *("--link", "https://example.org/old", "--submitter", "Ada", "--to", "lb"),
    )
    evidence = verified(run / "lb" / "sample" / "bm25", run, Level.SAMPLED)
    said(
        *("leaderboard", "record", "lb/sample/bm25", "--level", "sampled"),
        *("--by", "Grace", "--evidence", evidence),
    )
    old = next((run / "lb" / "sample").glob("old*"))
    said(
        *("leaderboard", "record", old, "--level", "disputed", "--by", "Eve", "--note", "where?"),
    )
    said("leaderboard", "lift", old, "--by", "Grace", "--reason", "in its appendix")
    said("leaderboard", "lift", old, "--by", "Grace", "--reason", "twice", code=2)
    said("leaderboard", "withdraw", old, "--by", "Ada", "--reason", "a wrong figure")
    table = json.loads(said("leaderboard", "validate", "lb", "--json"))
    assert (table["exit_code"], len(table["checked"])) == (0, 2)
    told = said("leaderboard", "validate", "lb/sample/bm25", old, "--quiet")
    assert told == "2 entries checked, no fault\n"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--score", "AP=0.5"), "--score"),
        (("--score", "multilingual:AP=2.5"), "macro.multilingual.AP: 2.5"),
        (("--score", "bilingual:AP=0.5"), "no such kind of setting or direction"),
        (("--score", "multilingual:Foo=0.5"), "measures: measure 'Foo'"),
        (("--rank-distance", "-1", "--score", "multilingual:AP=0.5"), "rank_distance: -1.0"),
        (("--rank-distance", "nan", "--score", "multilingual:AP=0.5"), "rank_distance: nan"),
        (("--rank-distance", "inf", "--score", "multilingual:AP=0.5"), "rank_distance: inf"),
        (("--score", "multilingual:AP=0.5", "--score", "multilingual:AP=0.6"), "AP given twice"),
        ((), "--score: not given"),
        (("--rank-distance", "5"), "--score: not given"),
    ],
)
def test_figures_that_cannot_be(
    run: Path, arguments: tuple[str, ...], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        ["leaderboard", "add-task", str(run / "results/bm25/sample"), "--to", str(run / "figures")]
    )
    code = main(
        ["leaderboard", "report", "--task", "sample", "--model", "Old", "--citation", "Old, 2020",
         "--link", "https://example.org", "--submitter", "Ada", "--to", str(run / "figures"),
         *arguments]
    )  # fmt: skip
    assert code == 2
    assert found in capsys.readouterr().err
    assert not (run / "figures" / "sample" / "old").exists()


def test_the_words_of_the_options_are_those_of_the_schema() -> None:
    assert tuple(Contamination) == submit.CONTAMINATION
    assert leaderboard.RECORDED == RECORDED


def test_a_forgery_and_what_is_for_review(board: Path) -> None:
    edit(board / TASK / "alpha" / "entry.json", ("bias", "floor"), 0.25)
    done = mlbench("leaderboard", "validate", board, "--quiet", cwd=board)
    assert done.returncode == 6
    path = board / TASK / "alpha" / "entry.json"
    assert f"mlbench: error: {board}" in done.stderr
    assert f"{path}, bias.floor: 0.25\n  expected: 2.0, from the table" in done.stderr
    done = mlbench("leaderboard", "validate", board, "--json", cwd=board)
    assert done.returncode == 6
    assert done.stderr == ""
    assert json.loads(done.stdout)["contradictory"][-1] == {
        "where": f"{path}, bias.floor",
        "found": "0.25",
        "expected": "2.0, from the table",
        "mend": "",
    }


def test_flags_are_printed_and_fail_where_asked(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = next((board / TASK).glob("published*"))
    assert main(["leaderboard", "withdraw", str(published), "--by", "Eve", "--reason", "x"]) == 0
    assert main(["leaderboard", "validate", str(board), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert f"for review: {published}" in told
    assert told.endswith("4 entries checked, no fault, 1 to review\n")
    assert main(["leaderboard", "validate", str(board), "--quiet", "--strict"]) == 6


def test_the_base_of_a_change(honest: Path, board: Path) -> None:
    arguments = ["leaderboard", "validate", str(board), "--quiet"]
    assert main([*arguments, "--base", str(honest)]) == 0
    (board / TASK / "alpha" / "entry.json").unlink()
    done = mlbench("leaderboard", "validate", board, "--base", honest, "--quiet", cwd=board)
    assert done.returncode == 6
    assert "alpha/entry.json: removed" in done.stderr
    assert main([*arguments, "--maintainer"]) == 2


def test_a_base_that_is_not_there_is_no_empty_leaderboard(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", "validate", str(board), "--base", str(tmp_path / "bsae")]) == 2
    assert "bsae: no such folder" in capsys.readouterr().err


def test_what_utf_8_cannot_hold_is_refused_by_its_field(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = next((board / TASK).glob("published*"))
    withdrawal = ["leaderboard", "withdraw", str(published), "--by", "Ada", "--reason", "\udcff"]
    assert main(withdrawal) == 3
    assert "reason: holds U+DCFF" in capsys.readouterr().err
    assert not list(published.glob("withdrawn*"))


def test_the_last_day_of_the_calendar(board: Path) -> None:
    arguments = ["leaderboard", "validate", str(board / TASK / "alpha"), "--quiet"]
    assert main([*arguments, "--today", "9999-12-31"]) == 0


def test_what_is_no_leaderboard(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, found in (
        (tmp_path / "nowhere", "no such file or folder"),
        (board / TASK / "alhpa", "no such file or folder"),
        (board.parent, "not inside a leaderboard"),
    ):
        assert main(["leaderboard", "validate", str(path)]) == 3
        assert f"{path}: {found}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["leaderboard", "validate", "--today", "soon"])
    assert "'soon' is not a day" in capsys.readouterr().err


def test_where_the_leaderboard_is(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert root_of(board) == root_of(board / TASK) == root_of(board / TASK / "alpha") == board
    assert root_of(board / "records") == board
    with pytest.raises(DataError):
        root_of(tmp_path / "leaderboards" / ".." / "nothing")
    package = tmp_path / "site" / "mlbench"
    package.mkdir(parents=True)
    monkeypatch.setattr(artefacts, "__file__", str(package / "common" / "files.py"))
    with pytest.raises(EnvironmentFault, match="missing"):
        leaderboards_folder()
    (package / "_leaderboards").mkdir()
    assert leaderboards_folder() == package / "_leaderboards"
