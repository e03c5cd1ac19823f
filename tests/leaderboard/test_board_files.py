"""Files that must not be there, copies of others' work, and changes that go too far."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlbench.common.errors import DataError
from mlbench.common.files import slug
from mlbench.leaderboard.checking import changes
from mlbench.leaderboard.checking import validate as validating
from mlbench.leaderboard.checking.recording import withdraw, write_record
from mlbench.leaderboard.checking.submit import add_task, submit
from mlbench.leaderboard.checking.validate import Options, validate
from mlbench.leaderboard.entries.board import leaderboards_folder, read_board, run_folder
from mlbench.leaderboard.entries.entry import Declared, Entry, Level, read_document, to_json
from mlbench.ranking.ranks_file import ranks_to_bytes, read_ranks
from mlbench.reports.report import write_report
from tests.leaderboard.boards import (
    DAY,
    TASK,
    TODAY,
    check,
    edit,
    exit_code,
    publish,
    put_table,
    run_of,
    submitted,
    verified,
)
from tests.support.reports import collection_of, languages, report_of, vectors

ALPHA, BETA = f"{TASK}/alpha", f"{TASK}/{slug('Beta/large')}"


def test_the_entries_that_the_project_ships_can_be_read() -> None:
    entries = [*read_board(leaderboards_folder()).entries()]
    assert len(entries) >= 28
    for entry in entries:
        assert to_json(entry.entry) == (entry.path / "entry.json").read_bytes()


def later_run(board: Path) -> Path:
    """The folder of alpha's second run."""
    (folder,) = [path for path in (board / ALPHA).iterdir() if path.is_dir()]
    return folder


def as_executable(board: Path) -> None:
    (board / ALPHA / "entry.json").chmod(0o755)


def linked_file(board: Path) -> None:
    table = board / ALPHA / "ranks.parquet"
    table.rename(board.parent / "elsewhere")
    table.symlink_to(board.parent / "elsewhere")


def linked_folder(board: Path) -> None:
    (board / TASK / "gamma").symlink_to(board / ALPHA)


def pipe(board: Path) -> None:
    os.mkfifo(board / ALPHA / "withdrawn-2025-06-01.json")


def put(path: str, content: bytes = b"{}") -> Callable[[Path], None]:
    """Write a file."""

    def change(board: Path) -> None:
        (board / path).parent.mkdir(parents=True, exist_ok=True)
        (board / path).write_bytes(content)

    return change


def gone(path: str) -> Callable[[Path], None]:
    """Take a file away."""
    return lambda board: (board / path).unlink()


def moved(source: str, target: str) -> Callable[[Path], None]:
    """Move a folder."""

    def change(board: Path) -> None:
        (board / target).parent.mkdir(parents=True, exist_ok=True)
        (board / source).rename(board / target)

    return change


CHANGES: list[tuple[Callable[[Path], None], int, str]] = [
    # what is done to the folder; the exit code; what the message names
    (as_executable, 3, f"{ALPHA}/entry.json: an executable file"),
    (linked_file, 3, f"{ALPHA}/ranks.parquet: a symbolic link"),
    (linked_folder, 3, f"{TASK}/gamma: a symbolic link"),
    (lambda board: (board / TASK / "gamma").mkdir(), 3, f"{TASK}/gamma: an empty folder"),
    (pipe, 3, f"{ALPHA}/withdrawn-2025-06-01.json: not a regular file"),
    (put(".gitattributes"), 3, ".gitattributes: a hidden file"),
    (put(f"{ALPHA}/.env"), 3, ".env: a hidden file"),
    (put(f"{ALPHA}/run.sh"), 3, "run.sh: not a file of a leaderboard"),
    (put("setup.py"), 3, "setup.py: not a file of a leaderboard"),
    (put(f"{ALPHA}/ENTRY.JSON"), 3, "ENTRY.JSON: not a file of a leaderboard"),
    (put(f"{TASK}/ALPHA/entry.json"), 3, "ALPHA/entry.json: not a file of a leaderboard"),
    (put(f"{TASK}/con /entry.json"), 3, "con /entry.json: not a file of a leaderboard"),
    (put(f"{ALPHA}/a/b/entry.json"), 3, "a/b/entry.json: not a file of a leaderboard"),
    (put(f"{ALPHA}/x\x1b[31m\n::error::y"), 3, "x\\u001b[31m\\u000a::error::y"),
    (put(f"{ALPHA}/a\u202egnp.json"), 3, "a\\u202egnp.json"),
    (put("other-task/model/entry.json"), 3, "other-task/model/entry.json"),
    (put(f"{TASK}/gamma/ranks.parquet"), 3, f"{TASK}/gamma/entry.json: no such file"),
    (put(f"{TASK}/gamma/withdrawn-2025-06-01.json"), 3, f"{TASK}/gamma/entry.json: no such file"),
    (gone(f"{ALPHA}/ranks.parquet"), 3, f"{ALPHA}/ranks.parquet: no such file"),
    (gone(f"{ALPHA}/entry.json"), 3, f"{ALPHA}/entry.json: no such file"),
    (gone(f"{TASK}/task.json"), 3, "its task is not in the leaderboard"),
    (put(f"{TASK}/{slug('Published (2020)')}/ranks.parquet"), 6,
     "kind: reported, but there is a table"),
    (put(f"{ALPHA}/ranks.parquet", b""), 6, f"{ALPHA}/ranks.parquet: SHA-256"),
    (put(f"{ALPHA}/ranks.parquet", b"x" * 9 * 2**20), 3, "more than 8,388,608 bytes"),
    (put(f"{ALPHA}/entry.json", b" " * 300_000), 3, "more than 262,144 bytes"),
    (put(f"{ALPHA}/entry.json", b""), 3, f"{ALPHA}/entry.json: broken JSON"),
    (put(f"{ALPHA}/entry.json", b"[]"), 3, f"{ALPHA}/entry.json, schema: 'list'"),
    (put(f"{ALPHA}/entry.json", b"\xff\xfe{}"), 3, "byte 0: not UTF-8"),
    (put(f"{ALPHA}/entry.json", b'{"a": 1, "a": 2}'), 3, "key 'a' given twice"),
    (put(f"{ALPHA}/entry.json", b'{"a": NaN}'), 3, "NaN is not a number"),
    (put(f"{ALPHA}/entry.json", b'{"a": -Infinity}'), 3, "-Infinity is not a number"),
    (put(f"{ALPHA}/entry.json", b'{"a": 1e999}'), 3, "number 1e999 is too large"),
    (put(f"{ALPHA}/entry.json", b'{"a": ' + b"9" * 5000 + b"}"), 3, "integer of 5,000 digits"),
    (put(f"{ALPHA}/entry.json", b"[" * 100_000), 3, "100,000 levels deep"),
    (put(f"{ALPHA}/entry.json", b'{"a":' * 40_000), 3, "40,000 levels deep"),
    (put(f"{ALPHA}/entry.json", b'{"a": "\\ud800"}'), 3, "schema"),
    (moved(ALPHA, f"{TASK}/gamma"), 3, "model.name: 'alpha' in the folder gamma"),
    (moved(BETA, f"{ALPHA}/2025-06-01-01234567"), 3, "expected: beta-large"),
]  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes of POSIX")
@pytest.mark.parametrize(("change", "code", "named"), CHANGES, ids=[n[:50] for _, _, n in CHANGES])
def test_what_must_not_be_there_is_found(
    board: Path, change: Callable[[Path], None], code: int, named: str
) -> None:
    change(board)
    error = check(board).error()
    assert error is not None
    assert named in str(error)
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)
    fault = next(fault for fault in error.faults if named in str(fault))
    assert str(board) in fault.where
    contradictory = {fault.where for fault in check(board).contradictory}
    assert code == (6 if fault.where in contradictory else 3)


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_for_a_leaderboard_is_refused(board: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(board)
    assert "a symbolic link" in str(check(link).error())
    assert "a symbolic link" in str(check(link, base=board).error())


def test_a_table_under_another_name_is_found(board: Path, tmp_path: Path) -> None:
    submitted(board, tmp_path, "gamma", 2, by="Eve")
    findings = check(board, f"{TASK}/gamma")
    assert exit_code(findings) == 6
    assert f"ranks_sha256: the table of {BETA}" in str(findings.error())
    assert any("model.identity" in flag.where for flag in findings.flags)


def test_a_table_written_anew_is_found(board: Path, tmp_path: Path) -> None:
    """The same counts in other bytes, with another digest."""
    submitted(board, tmp_path, "gamma", 2, by="Eve")
    raw = io.BytesIO()
    pq.write_table(
        pq.read_table(board / BETA / "ranks.parquet"), raw, compression="zstd", compression_level=1
    )
    put_table(board / TASK / "gamma", raw.getvalue())
    error = check(board, f"{TASK}/gamma").error()
    assert f"ranks_sha256: the table of {BETA}" in str(error)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_a_table_that_is_nearly_a_copy_is_flagged(
    board: Path, tmp_path: Path, share: float
) -> None:
    """However many rows are moved a little, the rest or the shape of all gives it away."""
    submitted(board, tmp_path, "gamma", 4, by="Eve")
    ranks, key = read_ranks(board / BETA / "ranks.parquet")
    above = ranks.above.astype(np.int64)
    most = ranks.pool_sizes - ranks.tied - 1
    generator = np.random.default_rng(0)
    for query in generator.permutation(len(ranks.query_ids))[: int(share * len(ranks.query_ids))]:
        rows = slice(ranks.starts[query], ranks.starts[query + 1])
        above[rows] = np.minimum(above[rows] + 1, most[rows])
    altered = replace(ranks, above=above.astype(np.int32))
    put_table(board / TASK / "gamma", ranks_to_bytes(altered, key))
    flags = [str(flag) for flag in check(board, f"{TASK}/gamma").flags]
    where = f"{board / TASK / 'gamma' / 'entry.json'}, ranks_sha256: shares"
    assert any(flag.startswith(where) and BETA in flag for flag in flags)


def test_equal_counts_in_every_row_correlate_with_nothing(
    board: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    submitted(board, tmp_path, "gamma", 4, by="Eve")
    ranks, key = read_ranks(board / TASK / "gamma" / "ranks.parquet")
    most = replace(ranks, above=np.full_like(ranks.above, 2**31 - 1))
    put_table(board / TASK / "gamma", ranks_to_bytes(most, key))
    assert "at most the non-relevant passages" in str(check(board, f"{TASK}/gamma").error())
    assert not recwarn.list


def test_two_models_may_both_be_perfect(board: Path, tmp_path: Path) -> None:
    collection = collection_of(languages(3), 24)
    report, ranks = report_of(collection, vectors(collection, noise=0, pull=0))
    for name in ("gamma", "delta"):
        of_model = replace(report.model, name=name, identity=name)
        write_report(tmp_path / name, replace(report, model=of_model), ranks, {})
        submit(tmp_path / name, board, Declared("Eve", DAY.isoformat()))
    findings = check(board, f"{TASK}/gamma", f"{TASK}/delta")
    assert findings.error() is None
    assert any("macro.multilingual.AP: 1.0000" in str(flag) for flag in findings.flags)


def test_different_models_are_not_flagged(board: Path, tmp_path: Path) -> None:
    submitted(board, tmp_path, "gamma", 4, by="Eve")
    findings = check(board, f"{TASK}/gamma")
    assert (findings.error(), findings.flags) == (None, [])


@pytest.mark.parametrize("name", ["Alpha", "alph\u0430", "al pha", "alpha.", "ａlpha", "a1pha"])
def test_a_name_that_looks_like_anothers_is_found(board: Path, tmp_path: Path, name: str) -> None:
    """Written by hand, as `submit` refuses such names: capitals, Cyrillic, space, a full stop,
    full width, the digit 1."""
    submitted(board, tmp_path, "gamma", 4, by="Eve")
    folder = (board / TASK / "gamma").rename(board / TASK / slug(name))
    edit(folder / "entry.json", ("model", "name"), name)
    error = check(board).error()
    assert error is not None
    assert error.exit_code == 6
    assert "looks like 'alpha' of alpha" in str(error)
    assert str(folder / "entry.json") in str(error)


def test_a_run_of_anothers_model_is_found(board: Path) -> None:
    folder = later_run(board)
    entry = of_eve(folder / "entry.json")
    raw = to_json(entry)
    (folder / "entry.json").write_bytes(raw)
    error = check(board).error()
    assert error is not None
    assert f"{folder / 'entry.json'}, declared.submitter: 'Eve'" in str(error)
    assert f"{folder / 'entry.json'}, declared.date: in the folder {folder.name}" in str(error)
    assert error.exit_code == 6


def test_a_new_run_of_ones_own_model_is_in_order_and_is_the_current_one(
    board: Path, tmp_path: Path
) -> None:
    day = DAY + datetime.timedelta(days=20)
    new = submitted(board, tmp_path, "alpha", 5, day=day)
    raw = (new.folder / "entry.json").read_bytes()
    assert new.folder.name == run_folder("2025-06-21", hashlib.sha256(raw).hexdigest())
    assert exit_code(check(board)) == 0
    task = read_board(board).tasks[TASK]
    current = {entry.slug: entry for entry in task.current()}["alpha"]
    assert current.place == new.place
    previous = task.previous(current)
    assert previous is not None
    assert previous.path == later_run_before(board, new.folder)


def of_eve(path: Path) -> Entry:
    """An entry as if Eve had submitted it."""
    entry = read_document(path, Entry)
    return replace(entry, declared=replace(entry.declared, submitter="Eve"))


def test_nothing_is_written_that_could_not_be_read_again(board: Path, tmp_path: Path) -> None:
    """One file that is malformed would keep everybody from reading the board."""
    evidence = verified(board / ALPHA, tmp_path, Level.REPRODUCED)
    for command in ("one\ntwo", "\x1b[31m"):
        edit(evidence, ("command",), command)
        with pytest.raises(DataError, match=r"evidence\.command: holds U\+00"):
            write_record(board / ALPHA, Level.REPRODUCED, "Maintainer", evidence, "", TODAY)
    evidence.write_text(json.dumps(json.loads(evidence.read_text()) | {"command": [1] * 80_000}))
    with pytest.raises(DataError, match="bytes"):
        write_record(board / ALPHA, Level.REPRODUCED, "Maintainer", evidence, "", TODAY)
    with pytest.raises(DataError, match=r"reason: holds U\+000A"):
        withdraw(board / ALPHA, "Ada", "one\ntwo", TODAY)
    report, ranks = run_of(1)
    strange = replace(report, task=replace(report.task, name="strange", title="a\nb"))
    with pytest.raises(DataError, match=r"title: holds U\+000A"):
        add_task(strange, ranks, board)
    assert check(board).error() is None


def test_figures_from_a_publication_do_not_take_the_place_of_evidence(
    board: Path, tmp_path: Path
) -> None:
    """Ada entered a model's figures, Bob its table, and Ada enters figures again."""
    bobs = submitted(board, tmp_path, "Published (2020)", 5, "Bob", DAY + datetime.timedelta(1))
    adas = publish(board, "Ada", DAY + datetime.timedelta(days=2), 0.01)
    assert check(board).error() is None
    current = {entry.slug: entry for entry in read_board(board).tasks[TASK].current()}
    assert current[adas.place.slug].place == bobs.place
    withdraw(bobs.folder, "Bob", "a wrong prompt", TODAY)
    current = {entry.slug: entry for entry in read_board(board).tasks[TASK].current()}
    assert current[adas.place.slug].place == adas.place


def later_run_before(board: Path, newest: Path) -> Path:
    """The folder of the run before the newest."""
    folders = [path for path in (board / ALPHA).iterdir() if path.is_dir() and path != newest]
    return folders[0]


class TestChanges:
    """A change is held against the folder before it."""

    def test_what_is_done_in_anothers_name_is_for_a_person_to_see(
        self, honest: Path, board: Path, tmp_path: Path
    ) -> None:
        """The validator does not know who opened the pull request."""
        day = DAY + datetime.timedelta(days=20)
        new = submitted(board, tmp_path, "alpha", 5, day=day).folder / "entry.json"
        old = withdraw(board / BETA, "Bob", "I said so", TODAY)
        findings = check(board, base=honest)
        assert findings.error() is None
        assert [(flag.where, flag.found) for flag in findings.flags] == [
            (str(new), "a new run of a model"),
            (str(old), "an entry is withdrawn"),
        ]

    def test_anothers_entry_cannot_be_withdrawn(self, honest: Path, board: Path) -> None:
        path = withdraw(board / BETA, "Eve", "I do not like it", TODAY)
        error = check(board, base=honest).error()
        assert error is not None
        assert f"{path}, by: by 'Eve', not by its submitter" in str(error)
        assert check(board, base=honest, maintainer=True).error() is None

    def test_a_withdrawal_that_stands_is_not_for_review_again(
        self, honest: Path, board: Path, tmp_path: Path
    ) -> None:
        withdraw(board / BETA, "Mallory", "no good", TODAY)
        before = Path(shutil.copytree(board, tmp_path / "before"))
        assert "by 'Mallory'" in str(check(board).flags[0])
        assert "by 'Mallory'" in str(check(board, base=honest).error())
        submitted(board, tmp_path, "gamma", 4, by="Eve")
        findings = check(board, base=before)
        assert (findings.error(), findings.flags) == (None, [])

    def test_an_earlier_date_does_not_make_a_model_ones_own(
        self, board: Path, tmp_path: Path
    ) -> None:
        """Where a model's first entry is from a publication, its owner's is a dated one."""
        day = DAY + datetime.timedelta(days=9)
        submitted(board, tmp_path, "Published (2020)", 5, "Bob", day)
        base = Path(shutil.copytree(board, tmp_path / "base"))
        eves = submitted(board, tmp_path, "Published (2020)", 4, "Bob", DAY).folder
        entry = of_eve(eves / "entry.json")
        raw = to_json(entry)
        (eves / "entry.json").write_bytes(raw)
        eves.rename(
            eves.with_name(run_folder(entry.declared.date, hashlib.sha256(raw).hexdigest()))
        )
        error = check(board, base=base).error()
        assert "declared.submitter: 'Eve'\n  expected: 'Bob', whose model this is" in str(error)

    def test_a_model_that_somebody_else_has_in_another_task_is_flagged(
        self, board: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(board / TASK, board / "other")
        edit(board / "other" / "task.json", ("name",), "other")
        path = board / "other" / "alpha" / "entry.json"
        edit(path, ("declared", "submitter"), "Eve")
        flags = [str(flag) for flag in check(board, "other/alpha").flags]
        assert f"{path}, declared.submitter: of a model that 'Ada' submitted" in flags[0]

    def test_a_new_entry_is_in_order(self, honest: Path, board: Path, tmp_path: Path) -> None:
        submitted(board, tmp_path, "gamma", 4, by="Eve")
        findings = check(board, base=honest)
        assert (findings.error(), findings.flags) == (None, [])

    def test_only_what_is_new_is_checked_again(
        self, honest: Path, board: Path, tmp_path: Path
    ) -> None:
        submitted(board, tmp_path, "gamma", 4, by="Eve")
        findings = validate(board, Options(TODAY, base=honest))
        assert [str(place) for place in findings.checked] == [f"{TASK}/gamma"]

    def test_a_copy_of_what_stands_is_found(
        self, honest: Path, board: Path, tmp_path: Path
    ) -> None:
        submitted(board, tmp_path, "gamma", 2, by="Eve")
        assert f"the table of {BETA}" in str(check(board, base=honest).error())

    @pytest.mark.parametrize("path", [f"{ALPHA}/entry.json", f"{ALPHA}/ranks.parquet"])
    def test_what_stands_may_not_be_changed(self, honest: Path, board: Path, path: str) -> None:
        with (board / path).open("ab") as file:
            file.write(b"\n")
        for maintainer in (False, True):
            error = check(board, base=honest, maintainer=maintainer).error()
            assert error is not None
            assert f"{board / path}: changed" in str(error)
            assert error.exit_code == 6

    def test_what_stands_may_not_be_taken_away(self, honest: Path, board: Path) -> None:
        shutil.rmtree(board / BETA)
        error = check(board, base=honest).error()
        assert error is not None
        assert f"{board / BETA / 'entry.json'}: removed" in str(error)
        assert error.exit_code == 6

    def test_a_faulty_entry_that_stands_does_not_fail_others(
        self, board: Path, tmp_path: Path
    ) -> None:
        edit(board / BETA / "entry.json", ("declared", "note"), "n" * 3000)
        head = Path(shutil.copytree(board, tmp_path / "head"))
        submitted(head, tmp_path, "gamma", 4, by="Eve")
        assert exit_code(check(head)) == 3
        assert exit_code(check(head, base=board)) == 0

    def test_tasks_and_records_are_the_maintainers(
        self, honest: Path, board: Path, tmp_path: Path
    ) -> None:
        """Nobody gives himself a level, nor a task that his table would fit."""
        base = Path(shutil.copytree(honest, tmp_path / "base"))
        shutil.rmtree(base / "records")
        (record,) = (board / "records").rglob("*.json")
        error = check(board, base=base).error()
        assert error is not None
        assert f"{record}: added" in str(error)
        assert error.exit_code == 6
        assert exit_code(check(board, base=base, maintainer=True)) == 0
        edit(board / TASK / "task.json", ("rows",), 10)
        error = check(board, base=honest).error()
        assert error is not None
        assert f"{board / TASK / 'task.json'}: changed" in str(error)

    def test_no_table_is_read_by_a_task_that_the_change_brings(
        self, honest: Path, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its number of rows bounds the work, so it must be a maintainer's."""
        submitted(board, tmp_path, "gamma", 4, by="Eve")
        edit(board / TASK / "task.json", ("rows",), 2**22)
        monkeypatch.setattr(validating, "entry_table", lambda *_: pytest.fail("a table was read"))
        assert exit_code(check(board, base=honest)) == 6

    def test_only_some_entries_at_a_time(
        self, honest: Path, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "MOST_ENTRIES", 1)
        submitted(board, tmp_path, "gamma", 4, by="Eve")
        assert exit_code(check(board, base=honest)) == 0
        submitted(board, tmp_path, "delta", 5, by="Eve")
        assert "2 new entries" in str(check(board, base=honest).error())

    def test_of_too_many_entries_none_is_read(
        self, honest: Path, board: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "MOST_ENTRIES", 1)
        for number in range(2):
            put(f"{TASK}/gamma-{number}/entry.json", b"[" * 100)(board)
        error = check(board, base=honest).error()
        assert "2 new entries" in str(error)
        assert "gamma-0" not in str(error)
        assert "gamma-0" in str(check(board, base=honest, maintainer=True).error())

    def test_only_so_many_bytes_at_a_time(
        self, honest: Path, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "MOST_BYTES", 1000)
        submitted(board, tmp_path, "gamma", 4, by="Eve")
        assert "MiB of new files" in str(check(board, base=honest).error())


def test_the_board_does_not_depend_on_the_order_of_files(
    honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = os.walk

    def backwards(top: Path):  # type: ignore[no-untyped-def]
        for folder, folders, files in walk(top):
            yield folder, folders, files[::-1]
            folders.reverse()

    first = read_board(honest)
    monkeypatch.setattr(os, "walk", backwards)
    assert read_board(honest) == first
    assert [str(entry.place) for entry in first.entries()] == sorted(
        str(entry.place) for entry in first.entries()
    )


def test_levels_are_read_from_records_alone(honest: Path) -> None:
    levels = {str(entry.place): entry.level.value for entry in read_board(honest).entries()}
    run = later_run(honest).name
    assert levels == {
        ALPHA: "sampled",
        f"{ALPHA}/{run}": "recomputed",
        BETA: "recomputed",
        f"{TASK}/{slug('Published (2020)')}": "reported",
    }


def test_a_record_must_fit_its_entry(board: Path) -> None:
    (record,) = (board / "records").rglob("*.json")
    raw = json.loads(record.read_text())
    for change, code, named in (
        ({"evidence": raw["evidence"] | {"level": None}}, 6, "evidence.level: None"),
        ({"evidence": {"level": "sampled"}}, 6, "evidence.schema: None"),
        ({"evidence": raw["evidence"] | {"entry": "this"}}, 6, "evidence.entry.sha256: 'this'"),
        ({"entry_sha256": "0" * 64}, 6, "entry_sha256"),
        ({"slug": "beta"}, 6, "entry_sha256: "),
        ({"level": "reproduced"}, 6, "its name does not match"),
        ({"level": "recomputed"}, 6, "level: recomputed"),
        ({"level": "golden"}, 3, "level"),
        ({"evidence": {}}, 3, "evidence: none"),
        ({"by": "<b>"}, 3, "by: "),
        ({"date": "2031-01-01"}, 6, "is in the future"),
    ):
        record.write_text(json.dumps(raw | change))
        error = check(board).error()
        assert error is not None
        assert error.exit_code == code
        assert named in str(error)
        assert str(record) in str(error)
