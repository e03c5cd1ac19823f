"""From a report to an entry."""

from __future__ import annotations

import datetime
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlbench.commands.cli import main
from mlbench.common.errors import DataError, EnvironmentFault, IntegrityError, UsageError
from mlbench.common.files import slug
from mlbench.data.overlap_record import Count, Overlap
from mlbench.leaderboard.checking import submit as submitting
from mlbench.leaderboard.checking.recording import lift, withdraw, write_record
from mlbench.leaderboard.checking.submit import add_task, submit
from mlbench.leaderboard.entries.board import find_entry, read_board
from mlbench.leaderboard.entries.entry import (
    Contamination,
    Declared,
    Entry,
    InTraining,
    LeaderboardTask,
    Level,
    parse_document,
    read_document,
    to_json,
)
from mlbench.leaderboard.entries.tables import rows_digest
from mlbench.ranking.ranks_file import read_ranks
from mlbench.reports.provenance import Encoded, Truncated
from mlbench.reports.report import write_report
from tests.leaderboard.boards import (
    DAY,
    TASK,
    TODAY,
    check,
    exit_code,
    report_called,
    run_of,
    submitted,
    verified,
)

ADA = Declared("Ada", DAY.isoformat())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A leaderboard with a task and no entry."""
    add_task(*run_of(1), tmp_path / "leaderboards")
    return tmp_path / "leaderboards"


def test_an_entry_holds_what_the_report_says(root: Path, tmp_path: Path) -> None:
    report, ranks = report_called("Some Model", 1)
    truncated = {
        "query": {"ar": Truncated(4, 0.05, 0.01), "de": Truncated(0, 0.0, 0.0)},
        "passage": {"ar": Truncated(13, 0.3, 0.2)},
    }
    report = replace(report, run=replace(report.run, truncated=truncated))
    write_report(tmp_path / "r", report, ranks, {})
    done = submit(tmp_path / "r", root, ADA)
    assert done.folder == root / TASK / slug("Some Model")
    entry = read_document(done.folder / "entry.json", Entry)
    assert entry.model == report.model
    assert entry.run == replace(report.run, recomputed=None, truncated=None)
    assert entry.truncated == {"query": 4 / 80, "passage": 13 / 130}
    assert entry.declared.contamination is Contamination.UNKNOWN
    assert (entry.declared.submitter, entry.declared.date) == ("Ada", "2025-06-01")
    for kind, of_kind in report.scores.macro.items():
        for name, score in of_kind.items():
            found = entry.macro[kind][name]
            assert (found.value, found.low, found.high) == (score.value, score.low, score.high)
    table, _ = read_ranks(done.folder / "ranks.parquet")
    assert np.array_equal(table.above, ranks.above)
    assert done.size == sum(path.stat().st_size for path in done.folder.iterdir())
    assert sorted(path.name for path in done.folder.iterdir()) == ["entry.json", "ranks.parquet"]
    assert sorted(path.name for path in done.folder.parent.iterdir()) == [
        slug("Some Model"),
        "task.json",
    ]
    assert exit_code(check(root)) == 0


def test_the_same_report_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    first = submitted(root, tmp_path, "alpha", 1)
    add_task(*run_of(1), tmp_path / "other")
    second = submitted(tmp_path / "other", tmp_path, "alpha", 1)
    for name in ("entry.json", "ranks.parquet"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_what_hides_in_a_report_is_made_visible(root: Path, tmp_path: Path) -> None:
    report, ranks = report_called("alpha", 1)
    model = replace(
        report.model,
        prompts={"query": "Instruct: find\nQuery: "},
        first_input={"passage": "right\u200fto left " + "x" * 5000},
        notes=("a\x1b[31mnote",),
    )
    run = replace(report.run, command="mlbench run --model 'a\nb'")
    write_report(tmp_path / "r", replace(report, model=model, run=run), ranks, {})
    entry = submit(tmp_path / "r", root, ADA).entry
    assert entry.model.prompts == {"query": "Instruct: find\nQuery: "}
    assert entry.model.first_input["passage"].startswith("right\\u200fto left xxx")
    assert len(entry.model.first_input["passage"]) < 2100
    assert entry.model.notes == ("a\\u001b[31mnote",)
    assert entry.run is not None
    assert entry.run.command == "mlbench run --model 'a\\u000ab'"
    assert exit_code(check(root)) == 0


def counted(digest: str) -> Overlap:
    """What was counted of a training set and data of that digest."""
    counts = Count("query", "ar", 60, 2, 3), Count("passage", "ar", 40, 0, 1)
    return Overlap("books", "b" * 64, 9, TASK, "1", digest, 0.8, counts)


@pytest.mark.parametrize("named", [True, False])
def test_what_was_counted_of_the_training_text_is_in_the_entry(
    root: Path, tmp_path: Path, named: bool
) -> None:
    """A file that is named, or the training.json in the folder of the model."""
    report, ranks = report_called("alpha", 1)
    report = replace(report, model=replace(report.model, spec=str(tmp_path / "model")))
    write_report(tmp_path / "r", report, ranks, {})
    both = [counted("0" * 64).values(), counted(report.task.digest).values()]
    path = tmp_path / ("overlap.json" if named else "model/training.json")
    path.parent.mkdir(exist_ok=True)
    record = {"schema": "mlbench/training/1", "overlap": both}
    path.write_text(json.dumps(both if named else record), encoding="utf-8")
    done = submit(tmp_path / "r", root, ADA, path if named else None)
    found = read_document(done.folder / "entry.json", Entry).declared.in_training
    assert found == (InTraining("books", "b" * 64, 100, 2, 4, 0.8),)
    assert exit_code(check(root)) == 0
    assert str(found[0]).startswith("2 of the 100 questions and passages stand in books, and 4 ")


def test_the_training_file_of_another_program_is_left_alone(root: Path, tmp_path: Path) -> None:
    report, ranks = report_called("alpha", 1)
    report = replace(report, model=replace(report.model, spec=str(tmp_path)))
    write_report(tmp_path / "r", report, ranks, {})
    (tmp_path / "training.json").write_text('{"epochs": 3}')
    assert submit(tmp_path / "r", root, ADA).entry.declared.in_training == ()


def test_counts_of_other_data_are_refused_where_they_are_named(root: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "r", *report_called("alpha", 1), {})
    path = tmp_path / "overlap.json"
    path.write_text(json.dumps([counted("0" * 64).values()]), encoding="utf-8")
    with pytest.raises(UsageError, match=f"tells of {TASK} .digest 000000000000."):
        submit(tmp_path / "r", root, ADA, path)
    assert (
        "in_training" not in (submit(tmp_path / "r", root, ADA).folder / "entry.json").read_text()
    )


def test_submit_says_where_counts_contradict_the_declaration(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, ranks = report_called("alpha", 1)
    write_report(tmp_path / "r", report, ranks, {})
    path = tmp_path / "overlap.json"
    path.write_text(json.dumps([counted(report.task.digest).values()]), encoding="utf-8")
    command = ["submit", str(tmp_path / "r"), "--to", str(root), "--submitter", "Ada"]
    command += ["--licence", "MIT", "--contamination", "clean", "--training-overlap", str(path)]
    assert main(command) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "counted: 2 of the 100 questions and passages stand in books" in said
    assert "This contradicts the declaration that the model is clean" in said


def refused(root: Path, folder: Path, by: Declared = ADA) -> str:
    """Submit, and return what is said against it; nothing must be left behind."""
    before = sorted(root.rglob("*"))
    with pytest.raises((UsageError, DataError, IntegrityError)) as caught:
        submit(folder, root, by)
    assert sorted(root.rglob("*")) == before
    return str(caught.value)


def test_a_sample_or_part_of_a_task_is_refused(root: Path, tmp_path: Path) -> None:
    report, ranks = report_called("alpha", 1)
    for change, found in (({"sample": 5}, "a sample"), ({"subset_of": "0" * 64}, "some of its")):
        write_report(
            tmp_path / found[:6], replace(report, task=replace(report.task, **change)), ranks, {}
        )
        assert found in refused(root, tmp_path / found[:6])


def test_vectors_that_were_made_smaller_are_refused(root: Path, tmp_path: Path) -> None:
    report, ranks = report_called("alpha", 1)
    smaller = replace(report, model=replace(report.model, variant="int8-256"))
    write_report(tmp_path / "smaller", smaller, ranks, {})
    assert "of int8-256 vectors" in refused(root, tmp_path / "smaller")


def test_other_data_another_version_or_task_is_refused(root: Path, tmp_path: Path) -> None:
    report, ranks = report_called("alpha", 1)
    for number, (change, found) in enumerate(
        (
            ({"version": "2"}, "report on parallel, version"),
            ({"digest": "0" * 64}, "report on parallel, task.digest"),
            ({"name": "paralel"}, "did you mean 'parallel'?"),
        )
    ):
        altered = replace(report, task=replace(report.task, **change))
        write_report(tmp_path / str(number), altered, ranks, {})
        assert found in refused(root, tmp_path / str(number))
    write_report(tmp_path / "fewer", *run_of(1, 20), {})
    assert "report on parallel, rows_sha256" in refused(root, tmp_path / "fewer")


def test_a_report_without_the_headline_measures_is_refused(root: Path, tmp_path: Path) -> None:
    from tests.support.reports import collection_of, languages, report_of, vectors

    collection = collection_of(languages(3), 24)
    write_report(tmp_path / "r", *report_of(collection, vectors(collection), measures=("AP",)), {})
    assert "measures: without R@10" in refused(root, tmp_path / "r")


def test_an_edited_report_is_refused(root: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "r", *report_called("alpha", 1), {})
    path = tmp_path / "r" / "report.json"
    table = json.loads(path.read_text())
    table["macro"]["monolingual"]["AP"]["value"] = 0.99
    path.write_text(json.dumps(table))
    assert "macro.monolingual.AP.value: 0.99" in refused(root, tmp_path / "r")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("<b>", "'<'"),
        ("=1", "formula"),
        ("a\u202eb", "U+202E"),
        ("al\u202epha", "U+202E"),
        ("x" * 300, "300 characters"),
    ],
)
def test_names_that_will_not_do_are_refused(
    root: Path, tmp_path: Path, name: str, found: str
) -> None:
    submitted(root, tmp_path, "alpha", 2)
    write_report(tmp_path / "r", *report_called(name, 1), {})
    assert found in refused(root, tmp_path / "r")


def test_a_submitter_that_utf_8_cannot_hold_is_refused(root: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "r", *report_called("alpha", 1), {})
    assert "declared.submitter: 'A\\udcff' holds" in refused(
        root, tmp_path / "r", Declared("A\udcff", DAY.isoformat())
    )


@pytest.mark.parametrize("name", ["task.json", "entry.json", "ranks.parquet"])
def test_a_model_called_as_a_file_of_the_leaderboard(root: Path, tmp_path: Path, name: str) -> None:
    submitted(root, tmp_path, name, 1)
    assert exit_code(check(root)) == 0


def test_a_future_day_is_no_matter_to_its_submitter_but_to_the_validator(
    root: Path, tmp_path: Path
) -> None:
    submitted(root, tmp_path, "alpha", 1, day=TODAY + datetime.timedelta(days=2))
    assert "is in the future" in str(check(root).error())


def test_anothers_name_the_same_report_and_look_alikes_are_refused(
    root: Path, tmp_path: Path
) -> None:
    submitted(root, tmp_path, "alpha", 1)
    write_report(tmp_path / "again", *report_called("alpha", 1), {})
    assert "submitted by 'Ada'" in refused(root, tmp_path / "again", replace(ADA, submitter="Eve"))
    write_report(tmp_path / "alike", *report_called("Alpha", 2), {})
    assert "looks like 'alpha' of alpha" in refused(root, tmp_path / "alike")
    folder = next(path for path in tmp_path.iterdir() if path.name.startswith("616c706861"))
    assert "is already there" in refused(root, folder)


def test_a_disk_that_cannot_be_written_leaves_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path / "r", *report_called("alpha", 1), {})
    before = sorted(root.rglob("*"))

    def full(path: Path, content: bytes) -> None:
        if path.name == "entry.json":
            raise OSError(28, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr(submitting, "write_atomically", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        submit(tmp_path / "r", root, ADA)
    assert sorted(root.rglob("*")) == before


def test_entries_are_read_as_they_were_written(honest: Path) -> None:
    for path in honest.rglob("entry.json"):
        raw = path.read_bytes()
        assert to_json(parse_document(raw, Entry, "x")) == raw
    task = read_document(honest / TASK / "task.json", LeaderboardTask)
    assert to_json(task) == (honest / TASK / "task.json").read_bytes()


def test_the_digest_of_rows_does_not_depend_on_the_model(honest: Path) -> None:
    tables = [read_ranks(path)[0] for path in honest.rglob("ranks.parquet")]
    assert len({ranks.above.tobytes() for ranks in tables}) == len(tables) == 3
    assert len({rows_digest(ranks) for ranks in tables}) == 1
    fewer, _ = run_of(1, 20), None
    assert rows_digest(fewer[1]) != rows_digest(tables[0])


def test_a_task_gains_digests_and_is_never_replaced_by_another(root: Path) -> None:
    report, ranks = run_of(1)
    newer = replace(report, task=replace(report.task, digest="1" * 64))
    path = add_task(newer, ranks, root)
    assert read_document(path, LeaderboardTask).digests == (report.task.digest, "1" * 64)
    with pytest.raises(DataError, match="rows_sha256"):
        add_task(*run_of(1, 20), root)
    records = replace(report, task=replace(report.task, name="records"))
    with pytest.raises(UsageError, match="cannot be the name"):
        add_task(records, ranks, root)


def test_withdrawing(board: Path) -> None:
    folder = board / TASK / "alpha"
    path = withdraw(folder, "Ada", "a wrong prompt", TODAY)
    assert path == folder / "withdrawn-2025-07-01.json"
    assert exit_code(check(board)) == 0
    entry = find_entry(folder)
    assert entry.withdrawn is not None
    assert entry.withdrawn.reason == "a wrong prompt"
    task = read_board(board).tasks[TASK]
    assert [e.place.run for e in task.current() if e.slug == "alpha"] != [""]
    with pytest.raises(UsageError, match="withdrawn on 2025-07-01"):
        withdraw(folder, "Ada", "again", TODAY)
    (later,) = [path for path in folder.iterdir() if path.is_dir()]
    withdraw(later, "Eve", "I do not like it", TODAY)
    assert "alpha" not in {e.slug for e in read_board(board).tasks[TASK].current()}
    (flag,) = check(board).flags
    assert "by 'Eve', not by its submitter" in str(flag)


def test_a_withdrawal_names_the_entry_beside_it(board: Path) -> None:
    path = withdraw(board / TASK / "alpha", "Ada", "why", TODAY)
    table = json.loads(path.read_text())
    path.write_text(json.dumps(table | {"entry_sha256": "0" * 64}))
    assert f"{path}, entry_sha256" in str(check(board).error())
    path.write_text(json.dumps(table | {"date": "2025-06-30"}))
    assert f"{path}, date" in str(check(board).error())
    path.write_text(json.dumps(table | {"reason": " "}))
    assert f"{path}, reason" in str(check(board).error())


def test_levels_that_cannot_be_recorded(board: Path, tmp_path: Path) -> None:
    published = next(path.parent for path in (board / TASK).glob("published*/entry.json"))
    alpha = board / TASK / "alpha"
    later = next(path.name for path in alpha.iterdir() if path.is_dir())
    evidence = verified(alpha, tmp_path, Level.SAMPLED)
    old = tmp_path / "old.json"
    old.write_text('{"agrees": true}')
    for folder, level, file, found in (
        (alpha, Level.SAMPLED, old, "record, evidence.schema: None"),
        (alpha, Level.REPRODUCED, evidence, "record, evidence.level: 'sampled'"),
        (alpha / later, Level.SAMPLED, evidence, "record, evidence.entry.sha256"),
        (alpha, Level.RECOMPUTED, evidence, "record, level"),
        (alpha, Level.REPRODUCED, None, "record, evidence"),
        (published, Level.SAMPLED, evidence, "a reported entry"),
    ):
        with pytest.raises(UsageError, match=found):
            write_record(folder, level, "Maintainer", file, "", TODAY)
    write_record(published, Level.DISPUTED, "Maintainer", None, "not in the paper", TODAY)
    assert exit_code(check(board)) == 0
    assert find_entry(published).level is Level.DISPUTED
    with pytest.raises(DataError, match="no entry"):
        write_record(board / TASK, Level.SAMPLED, "Maintainer", evidence, "", TODAY)


def test_disputed_stands_above_what_was_verified(board: Path) -> None:
    write_record(board / TASK / "alpha", Level.DISPUTED, "Maintainer", None, "why", TODAY)
    entry = find_entry(board / TASK / "alpha")
    assert (len(entry.records), entry.level) == (2, Level.DISPUTED)


NEXT = TODAY + datetime.timedelta(days=1)


def test_a_dispute_is_lifted_by_a_file_that_says_who_when_and_why(
    board: Path, tmp_path: Path
) -> None:
    folder = board / TASK / "alpha"
    with pytest.raises(UsageError, match="disputed"):
        lift(folder, "Grace", "settled", TODAY)
    write_record(folder, Level.DISPUTED, "Eve", None, "the scores look odd", TODAY)
    before = tmp_path / "before"
    shutil.copytree(board, before)
    with pytest.raises(UsageError, match="reason"):
        lift(folder, "Grace", " ", NEXT)
    path = lift(folder, "Grace", "the run was repeated", NEXT)
    assert path.parent == next(board.glob(f"records/{TASK}/alpha/*-disputed-*")).parent
    lifting = json.loads(path.read_text())
    told = (lifting["by"], lifting["date"], lifting["reason"], lifting["disputes"])
    assert told == ("Grace", NEXT.isoformat(), "the run was repeated", [TODAY.isoformat()])
    entry = find_entry(folder)
    assert (entry.level, entry.disputes) == (Level.SAMPLED, ())
    assert {record.level for record in entry.records} == {Level.SAMPLED, Level.DISPUTED}
    assert exit_code(check(board, today=NEXT)) == 0
    assert exit_code(check(board, today=NEXT, base=before, maintainer=True)) == 0
    assert exit_code(check(board, today=NEXT, base=before)) == 6
    with pytest.raises(UsageError, match="disputed"):
        lift(folder, "Grace", "again", NEXT)


def test_a_dispute_after_a_lifting_stands_and_several_are_lifted_together(board: Path) -> None:
    folder = board / TASK / "alpha"
    write_record(folder, Level.DISPUTED, "Eve", None, "", TODAY)
    lift(folder, "Grace", "settled", TODAY)
    write_record(folder, Level.DISPUTED, "Eve", None, "again", NEXT)
    third = NEXT + datetime.timedelta(days=1)
    write_record(folder, Level.DISPUTED, "Bob", None, "me too", third)
    entry = find_entry(folder)
    assert entry.disputes == (NEXT.isoformat(), third.isoformat())
    assert entry.level is Level.DISPUTED
    lift(folder, "Grace", "both settled", third)
    entry = find_entry(folder)
    assert (entry.level, len(entry.liftings)) == (Level.SAMPLED, 2)
    assert exit_code(check(board, today=third)) == 0


def test_figures_from_a_publication_can_be_disputed_and_settled(board: Path) -> None:
    published = next(path.parent for path in (board / TASK).glob("published*/entry.json"))
    write_record(published, Level.DISPUTED, "Maintainer", None, "not in the paper", TODAY)
    lift(published, "Grace", "it is in its appendix", TODAY)
    assert find_entry(published).level is Level.REPORTED
    assert exit_code(check(board)) == 0


@pytest.mark.parametrize(
    ("change", "place", "code"),
    [
        ({"disputes": []}, "disputes", 3),
        ({"disputes": ["2025-06-30"]}, "disputes[0]", 6),
        ({"disputes": ["soon"]}, "disputes[0]", 6),
        ({"disputes": ["2025-07-01", "2025-07-01"]}, "disputes[1]", 3),
        ({"date": "2025-06-30"}, "disputes[0]", 6),
        ({"date": "2125-07-01"}, "date", 6),
        ({"reason": ""}, "reason", 3),
        ({"reason": "x" * 2001}, "reason", 3),
        ({"by": "<b>"}, "by", 3),
        ({"entry_sha256": "0" * 64}, "entry_sha256", 6),
        ({"slug": "beta"}, "name does not match", 6),
        ({"task": "other"}, "name does not match", 6),
        ({"level": "disputed"}, "level", 3),
        ({"schema": "mlbench/record/1"}, "schema", 3),
    ],
)
def test_what_a_lifting_must_be(board: Path, change: dict, place: str, code: int) -> None:
    write_record(board / TASK / "alpha", Level.DISPUTED, "Eve", None, "why", TODAY)
    path = lift(board / TASK / "alpha", "Grace", "settled", TODAY)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    error = check(board).error()
    assert place in str(error)
    assert error.exit_code == code


def test_a_submitter_who_lifts_a_dispute_of_their_own_entry_is_flagged(board: Path) -> None:
    write_record(board / TASK / "alpha", Level.DISPUTED, "Eve", None, "why", TODAY)
    lift(board / TASK / "alpha", "Ada", "I am sure", TODAY)
    assert "by 'Ada', who submitted the entry" in " ".join(map(str, check(board).flags))


def test_cached_texts_are_told(root: Path, tmp_path: Path) -> None:
    report, ranks = report_called("alpha", 1)
    encoded = {"query": Encoded(72, 72, 72), "passage": Encoded(84, 84, 84)}
    write_report(
        tmp_path / "r", replace(report, run=replace(report.run, encoded=encoded)), ranks, {}
    )
    entry = submit(tmp_path / "r", root, ADA).entry
    assert entry.run is not None
    assert entry.run.encoded["query"].cached == 72
