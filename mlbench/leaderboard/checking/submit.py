"""What is submitted to a leaderboard: a report as an entry, figures of a publication, and tasks."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.common.errors import (
    DataError,
    EnvironmentFault,
    Fault,
    UsageError,
    did_you_mean,
    nearest,
)
from mlbench.common.files import sha256_of, slug, write_atomically
from mlbench.common.names import both_shortened
from mlbench.data.overlap_record import read_overlaps, training_record
from mlbench.leaderboard.checking.copies import names_alike, other_owner
from mlbench.leaderboard.entries.board import Board, Place, read_board, run_folder
from mlbench.leaderboard.entries.entry import (
    ENTRY_FILE,
    RANKS_FILE,
    RECORDS,
    TASK_FILE,
    BiasSummary,
    Declared,
    Entry,
    EntryKind,
    Found,
    InTraining,
    LeaderboardTask,
    faults_at,
    parse_document,
    read_document,
    readable_json,
    to_json,
)
from mlbench.leaderboard.entries.fields import entry_faults
from mlbench.leaderboard.entries.strict import MAX_JSON, shown, visible
from mlbench.leaderboard.entries.tables import (
    MAX_TABLE,
    bias_summary,
    described,
    refuse_made_vectors,
    refuse_part_of_a_task,
    task_key,
)
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import ranks_to_bytes
from mlbench.reports.provenance import ModelInfo, RunInfo
from mlbench.reports.report import REPORT_FILE, Report, read_report, rescored
from mlbench.training.record import RECORD_FILE

QUOTED = 2000
"""Characters that are kept of a quoted text."""


@dataclass(frozen=True)
class Submitted:
    """An entry that was written: its folder, its place, its size in bytes."""

    folder: Path
    place: Place
    entry: Entry
    size: int


def submit(folder: Path, root: Path, declared: Declared, overlaps: Path | None = None) -> Submitted:
    """Write the report in ``folder`` as an entry of the leaderboard in ``root``.

    ``overlaps`` is a file that says how much of the task stands in the training text (what
    ``mlbench overlap --json`` prints, or a training.json); without it, the training.json in the
    folder of the report's model, if there is one.

    Raises IntegrityError where the report is damaged or its scores do not follow from its table,
    UsageError where it is of part of a task, of a task or version that the leaderboard does not
    have, or of a model that is another's.
    """
    report = read_report(folder)
    ranks = report.table
    refuse_part_of_a_task(report)
    refuse_made_vectors(report)
    board = read_board(root)
    task = _known_task(board, report.task.name)
    _refuse_other_task(task, described(report, ranks))
    report = rescored(report, ranks, folder)
    table = ranks_to_bytes(ranks, report.task.key)
    declared = replace(
        declared,
        report_sha256=sha256_of(folder / REPORT_FILE),
        in_training=tuple(_in_training(report, overlaps)),
    )
    entry = entry_of(report, hashlib.sha256(table).hexdigest(), declared)
    return _write(board, entry, table)


def _in_training(report: Report, overlaps: Path | None) -> Iterator[InTraining]:
    """Yield what was counted of the training text of a report's model.

    Raises UsageError where a file was named that says nothing of the report's data.
    """
    spec = report.model.spec
    if overlaps is None and not (spec and training_record(spec)):
        return
    path = overlaps or Path(spec, RECORD_FILE)
    found = read_overlaps(path)
    own = [each for each in found if each.digest == report.task.digest]
    if overlaps and not own:
        said = ", ".join(f"{each.task} (digest {each.digest[:12]})" for each in found) or "nothing"
        expected = f"{report.task.name} (digest {report.task.digest[:12]})"
        mend = f"run `mlbench overlap --data TRAINING-SET --task {report.task.name} --json`"
        raise UsageError(Fault(str(overlaps), f"tells of {said}", expected, mend))
    for each in own:
        total = each.total()
        training, digest = visible(each.training), each.training_digest
        counted = total.texts, total.exact, total.near
        yield InTraining(training, digest, *counted, each.threshold)


def reported(
    root: Path,
    task: str,
    model: ModelInfo,
    figures: dict[str, dict[str, Score]],
    rank_distance: Score | None,
    declared: Declared,
) -> Submitted:
    """Write an entry with figures from a publication.

    ``figures`` maps a kind of setting, or a direction of the task such as "text-to-image", to
    measure -> score. Raises UsageError where they will not do.
    """
    board = read_board(root)
    known = _known_task(board, task)
    _refuse_unknown(figures, known)
    entry = Entry(
        ranks_sha256=None,
        task=task_key(known, ""),
        model=model,
        measures=tuple(dict.fromkeys(name for of in figures.values() for name in of)),
        macro={over: of for over, of in figures.items() if over not in known.directions},
        directions={over: of for over, of in figures.items() if over in known.directions},
        bias=BiasSummary(rank_distance),
        run=None,
        truncated=None,
        declared=replace(declared, kind=EntryKind.REPORTED),
    )
    return _write(board, entry, None)


def _refuse_unknown(figures: Iterable[str], task: LeaderboardTask) -> None:
    """Raise UsageError where figures are of a kind of setting or a direction that a task lacks."""
    known = [*map(str, task.roles.kinds(task.kinds)), *task.directions]
    found = f"task {task.name!r} has no such kind of setting or direction"
    if faults := [
        Fault(f"published figure of {shown(over)}", found, ", ".join(known), nearest(over, known))
        for over in figures
        if over not in known
    ]:
        raise UsageError(*faults)


def entry_of(report: Report, ranks_sha256: str, declared: Declared) -> Entry:
    """Return the entry of a report; texts in it that hide something are made visible."""
    model, run = report.model, report.run
    return Entry(
        ranks_sha256=ranks_sha256,
        task=report.task.key,
        model=replace(
            model,
            spec=visible(model.spec),
            adapter=visible(model.adapter),
            prompts=_quoted(model.prompts),
            first_input=_quoted(model.first_input),
            notes=tuple(map(visible, model.notes)),
        ),
        measures=report.measures,
        macro=report.scores.macro,
        directions=report.scores.directions,
        bias=bias_summary(report.scores.bias),
        run=replace(
            run,
            command=visible(run.command),
            versions={visible(name): visible(version) for name, version in run.versions.items()},
            platform=visible(run.platform),
            processor=visible(run.processor),
            gpus=tuple(map(visible, run.gpus)),
        ),
        truncated=_truncated(run),
        declared=declared,
    )


def _quoted(texts: dict[str, str]) -> dict[str, str]:
    """Return texts that a model was given, line breaks kept; long ones are cut."""
    quoted = {visible(role): visible(text, keep="\n\t") for role, text in texts.items()}
    return {
        role: text if len(text) <= QUOTED else text[:QUOTED] + "..."
        for role, text in quoted.items()
    }


def _truncated(run: RunInfo) -> dict[str, float] | None:
    """Return the share of each role's distinct texts that were cut."""
    if run.truncated is None:
        return None
    return {
        role: min(1.0, sum(cut.texts for cut in by_language.values()) / run.encoded[role].distinct)
        for role, by_language in run.truncated.items()
        if role in run.encoded and run.encoded[role].distinct
    }


def _known_task(board: Board, name: str) -> LeaderboardTask:
    if not board.tasks:
        mend = "add a task with `mlbench leaderboard add-task REPORT --to FOLDER`"
        expected = f"a leaderboard's folder, with a {TASK_FILE} for each task"
        raise UsageError(Fault(str(board.folder), "no task in it", expected, mend))
    if name not in board.tasks:
        found = "not a task of this leaderboard"
        hint = did_you_mean(name, board.tasks)
        raise UsageError(Fault(f"task {name!r}", found, f"one with a {TASK_FILE}", hint))
    return board.tasks[name].task


def _refuse_other_task(known: LeaderboardTask, found: LeaderboardTask) -> None:
    """Raise DataError where a report's task has changed since the leaderboard took it."""
    mend = "run the task of this version again, with its own data and settings"
    faults = [
        Fault(f"report on {known.name}, {key}", one, f"{other}, as the leaderboard has it", mend)
        for key, one, other in _differing(found, known)
    ]
    if not faults and found.digests[0] not in known.digests:
        expected = " or ".join(known.digests)
        faults = [Fault(f"report on {known.name}, task.digest", found.digests[0], expected)]
    if faults:
        raise DataError(*faults)


def _differing(found: LeaderboardTask, expected: LeaderboardTask) -> Iterator[Found]:
    """Yield in what two descriptions of a task differ that must not change."""
    for name in ("version", "languages", "kinds", "queries", "passages", "pairs", "rows_sha256"):
        one, other = getattr(found, name), getattr(expected, name)
        if one != other:
            yield name, *both_shortened(visible(repr(one)), visible(repr(other)), 200)


def _write(board: Board, entry: Entry, table: bytes | None) -> Submitted:
    """Check an entry as ``validate`` will, and put it into its folder in one step."""
    _refuse_wrong(board, entry)
    raw = to_json(entry)
    for what, size, most in (
        (ENTRY_FILE, len(raw), MAX_JSON),
        (RANKS_FILE, len(table or b""), MAX_TABLE),
    ):
        if size > most:
            raise UsageError(Fault(what, f"{plural(size, 'byte')}", f"at most {most:,}"))
    parse_document(raw, Entry, "entry")
    place = _place(board, entry, hashlib.sha256(raw).hexdigest())
    folder = board.folder / place.folder
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        if table is not None:
            write_atomically(temporary / RANKS_FILE, table)
        write_atomically(temporary / ENTRY_FILE, raw)
        temporary.rename(folder)
    except OSError as error:
        found = f"cannot be written: {error.strerror}"
        raise EnvironmentFault(Fault(str(folder), found, "a new folder")) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Submitted(folder, place, entry, len(raw) + len(table or b""))


def _refuse_wrong(board: Board, entry: Entry) -> None:
    """Raise UsageError with all that is wrong with an entry by itself."""
    task, today = board.tasks[entry.task.name].task, date.fromisoformat(entry.declared.date)
    place = Place(task.name, slug(entry.model.name))
    if wrong := faults_at("entry", entry_faults(entry, place, task, today)):
        raise UsageError(*wrong)


def _place(board: Board, entry: Entry, sha256: str) -> Place:
    """Return where an entry goes. Raises UsageError where its model or table is there already."""
    name = entry.model.name
    place = Place(entry.task.name, slug(name))
    entries = board.tasks[place.task].entries
    of_model = [each for each in entries if each.slug == place.slug]
    if owner := other_owner(entry, of_model):
        found = f"the leaderboard has a model of this name, submitted by {owner!r}"
        mend = "give your model another name: `name` in its code, or `mlbench run --name`"
        raise UsageError(Fault(f"model {name!r}", found, "one of your own models", mend))
    for each in of_model:
        said = each.entry.ranks_sha256, each.entry.declared.report_sha256
        if entry.ranks_sha256 and said == (entry.ranks_sha256, entry.declared.report_sha256):
            found = f"is already there: {each.place}"
            raise UsageError(Fault("this report", found, "a new run"))
    names = {each.slug: each.entry.model.name for each in board.entries()}
    for one, other in names_alike(names | {place.slug: name}):
        if one == place.slug:
            found = f"looks like {names[other]!r} of {other}"
            raise UsageError(
                Fault(f"model {name!r}", found, "a name that cannot be mistaken for another")
            )
    if of_model:
        return Place(place.task, place.slug, run_folder(entry.declared.date, sha256))
    return place


def add_task(report: Report, ranks: Ranks, root: Path) -> Path:
    """Write the task.json of a report's task; a known one only gains the collection's digest.

    Raises UsageError for a report on part of a task, or a name that will not do for a folder;
    DataError where the folder holds another task of that name.
    """
    refuse_part_of_a_task(report)
    task = described(report, ranks)
    if slug(task.name) != task.name or task.name == RECORDS:
        raise UsageError(Fault(f"task {task.name!r}", "cannot be the name of a folder"))
    path = root / task.name / TASK_FILE
    if path.exists():
        old = read_document(path, LeaderboardTask)
        task = replace(task, digests=tuple(dict.fromkeys((*old.digests, *task.digests))))
        if different := faults_at(str(path), _differing(old, task)):
            raise DataError(*different)
    write_atomically(path, readable_json(task, str(path)))
    return path
