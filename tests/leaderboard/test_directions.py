"""Scores by direction in entries: text to image and back, and from and into the language that all
pairs have; of tables, and published ones."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from mlbench import evaluate
from mlbench.commands.cli import main
from mlbench.data.building import build_collection
from mlbench.leaderboard.checking.submit import add_task, submit
from mlbench.leaderboard.entries.board import find_entry
from mlbench.leaderboard.entries.entry import Declared, Entry, parse_document, to_json
from mlbench.leaderboard.page.badge import badge_title
from mlbench.reports.report import write_report
from tests.leaderboard.boards import DAY, TASK, check, edit, exit_code
from tests.support.image_collections import image_records
from tests.support.reports import report_of, vectors
from tests.support.shared_pairs import write_shared_pairs

CODES = ("de", "en", "zxx")
PUBLISHED = ("text-to-image:Success@1=0.58", "image-to-text:Success@1=.61", "text-to-image:R@5=0.8")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard of images and captions with one entry; not to be changed."""
    folder = tmp_path_factory.mktemp("images")
    captions = {"de": [*range(9), 1, 1], "en": [*range(2, 9)]}
    collection = build_collection(CODES, image_records(captions, 9))
    made = vectors(collection, noise=2.0)
    report, ranks = report_of(collection, made, measures=("Success@1", "AP", "R@10"))
    write_report(folder / "report", report, ranks, {})
    add_task(report, ranks, folder / "lb")
    declared = Declared("Ada", DAY.isoformat(), link="https://example.org/model")
    submit(folder / "report", folder / "lb", declared)
    return folder / "lb"


@pytest.fixture
def board(images: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(images, tmp_path / "lb"))


def publish(root: Path, *scores: str, task: str = TASK, model: str = "old") -> int:
    """Enter published figures on the command line; return the exit code."""
    options = [part for score in scores for part in ("--score", score)]
    return main(
        ["leaderboard", "report", "--task", task, "--model", model, "--citation", "Old, 2020",
         "--link", "https://example.org", "--submitter", "Ada", "--to", str(root), *options]
    )  # fmt: skip


def test_an_entry_states_its_directions_and_its_table_gives_them(board: Path) -> None:
    folder = board / TASK / "some-model"
    entry = find_entry(folder)
    assert {*entry.entry.directions} == {"text-to-image", "image-to-text"}
    assert {*entry.entry.directions["text-to-image"]} == {"Success@1", "AP", "R@10"}
    means = [of["AP"].value for of in entry.entry.directions.values()]
    across = entry.entry.macro["crosslingual"]["AP"].value
    assert math.fsum(means) / 2 == pytest.approx(across, abs=1e-12)  # as many settings each way
    assert exit_code(check(board)) == 0
    assert "image to text 0." in badge_title(entry)

    edit(folder / "entry.json", ("directions", "text-to-image", "AP", "value"), 0.9)
    found = check(board)
    assert exit_code(found) == 6
    assert "directions.text-to-image.AP.value" in found.contradictory[0].where
    edit(folder / "entry.json", ("directions", "text-to-image"), ...)
    found = check(board)
    assert exit_code(found) == 6
    assert [f.found for f in found.malformed] == ["'image-to-text'"]


def test_an_old_entry_without_directions_stays_as_it_is(board: Path) -> None:
    path = board / TASK / "some-model" / "entry.json"
    edit(path, ("directions",), ...)
    raw = path.read_bytes() + b"\n"
    assert b"directions" not in raw
    assert to_json(parse_document(raw, Entry, "entry")) == raw
    assert exit_code(check(board)) == 0


def test_published_directions_stand_on_the_board_and_the_page(board: Path) -> None:
    assert publish(board, *PUBLISHED) == 0
    entry = find_entry(board / TASK / "old").entry
    assert entry.macro == {}
    assert entry.measures == ("Success@1", "R@5")
    assert entry.directions["text-to-image"]["R@5"].value == 0.8
    assert main(["leaderboard", "validate", str(board), "--quiet"]) == 0
    site = board.parent / "site"
    assert main(["leaderboard", "build", str(board), "--output", str(site), "--quiet"]) == 0
    (standings,) = json.loads((site / "leaderboard.json").read_bytes())["standings"]
    row = next(row for row in standings["rows"] if row["slug"] == "old")
    values = {key: score["value"] for key, score in row["scores"].items()}
    assert (values["to_image"], values["to_text"], values["multi"]) == (0.58, 0.61, None)
    page = (site / "models" / "old.html").read_text("utf-8")
    said = "Image to text Success@1 is 0.6100, text to image Success@1 is 0.5800; it has no "
    assert said + "multilingual Success@1, and no rank: reported, not recomputed." in page
    assert "text to image R@5" in page
    badge = (site / "badges" / TASK / "old.svg").read_text("utf-8")
    assert "image to text 0.6100, text to image 0.5800; figures of a publication" in badge


@pytest.mark.parametrize(
    ("score", "found"),
    [
        ("text-to-imag:AP=0.5", "did you mean 'text-to-image'?"),
        ("from-en:AP=0.5", "published figure of 'from-en': task 'parallel' has no such kind of "),
        ("monolingual:AP=0.5", "expected: crosslingual, multilingual, image-to-text, text-to-ima"),
        ("text-to-image:AP=58.3", "directions.text-to-image.AP: 58.3\n  expected: 0 to 1, because "
         "58.3% is 0.583"),
        ("text-to-image:AP=-0.1", "'text-to-image:AP=-0.1'"),
        ("text-to-image=0.5", "or with a direction in place of the kind"),
    ],
)  # fmt: skip
def test_bad_figures_are_refused(
    images: Path, score: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(images, score) == 2
    assert found in capsys.readouterr().err
    assert publish(images, "image-to-text:AP=0.5", "image-to-text:AP=0.6") == 2
    assert "image-to-text:AP given twice" in capsys.readouterr().err
    assert not (images / TASK / "old").exists()


def test_edited_figures_of_a_publication_are_found(board: Path) -> None:
    assert publish(board, *PUBLISHED) == 0
    path = board / TASK / "old" / "entry.json"
    before = path.read_bytes()
    score = {"value": 0.5, "low": None, "high": None, "optimistic": None}
    for keys, value, found in (
        (("directions", "sideways"), {"R@5": score}, "directions.sideways: no such direction"),
        (("directions", "text-to-image", "R@5", "value"), 1.5, "directions.text-to-image.R@5: 1.5"),
        (("directions", "text-to-image", "R@5", "low"), 0.1, "R@5.low: 0.1"),
        (("macro", "text-to-image"), {"R@5": score}, "macro.text-to-image: no such kind"),
        (("directions", "image-to-text", "P@3"), score, "measures: ('Success@1', 'R@5')"),
    ):
        edit(path, keys, value)
        findings = check(board, f"{TASK}/old")
        assert exit_code(findings) == 3, found
        assert any(found in f"{fault.where}: {fault.found}" for fault in findings.malformed), found
        path.write_bytes(before)


def test_pairs_have_from_and_into_and_a_task_of_texts_has_none(
    honest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluate("char-ngram", write_shared_pairs(tmp_path), progress=False)
    root = tmp_path / "lb"
    add_task(report, report.table, root)
    assert publish(root, "from-en:RR=0.5", "into-en:RR=0.25", task="shared") == 0
    entry = find_entry(root / "shared" / "old").entry
    assert {key: of["RR"].value for key, of in entry.directions.items()} == {
        "from-en": 0.5,
        "into-en": 0.25,
    }
    assert main(["leaderboard", "validate", str(root), "--quiet"]) == 0
    assert publish(honest, "text-to-image:AP=0.5") == 2
    assert "expected: monolingual, crosslingual, multilingual\n" in capsys.readouterr().err
