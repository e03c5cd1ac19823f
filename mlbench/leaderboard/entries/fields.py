"""What the fields of the leaderboard's documents must hold, beyond their types."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from mlbench.common.counts import plural
from mlbench.common.errors import UsageError
from mlbench.common.files import slug
from mlbench.data.task import LANGUAGE, SHA256, Kind
from mlbench.leaderboard.entries.entry import (
    DATE,
    VERIFICATION_SCHEMA,
    BiasSummary,
    Declared,
    Entry,
    EntryKind,
    Found,
    LeaderboardTask,
    Level,
    Lifting,
    Record,
    Withdrawal,
)
from mlbench.leaderboard.entries.strict import link_fault, name_fault, shown
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.significance import Score
from mlbench.models.protocol import SIMILARITIES
from mlbench.reports.provenance import ModelInfo, RouteInfo, RunInfo

if TYPE_CHECKING:
    from mlbench.leaderboard.entries.board import Place

MEASURE = re.compile(r"[A-Za-z]{1,10}(\(rel=[1-9]\d?\))?(@[1-9]\d{0,5})?")
MOST_MEASURES = 32
MOST_LISTED = 100
MOST_SECONDS = 1e9
ROLES = ("query", "passage")
ENCODED = (*ROLES, "image")
LONGEST = {"licence": 200, "note": 2000, "reason": 2000, "citation": 4000}
LONGEST_ITEM = 200
SHORT = ("identity", "adapter", "similarity", "dtype", "pooling", "device")
NEEDED_OF_A_MODEL = ("spec", "adapter", "identity", "similarity", "dimension", "dtype")
RECORDED = (Level.SAMPLED, Level.REPRODUCED, Level.DISPUTED)


def entry_faults(
    entry: Entry, place: Place, task: LeaderboardTask, today: datetime.date
) -> Iterator[Found]:
    """Yield what is wrong with an entry by itself; its table is for others to check."""
    yield from _task(entry, place, task)
    yield from _model(entry.model, place)
    yield from _people_and_days(entry, today)
    yield from _declared(entry.declared)
    if entry.kind is EntryKind.EVIDENCE:
        yield from _evidence(entry, task)
    else:
        yield from _reported(entry, task)
    if not entry.measures or len(entry.measures) > MOST_MEASURES:
        yield "measures", f"{plural(len(entry.measures), 'measure')}", f"1 to {MOST_MEASURES}"
    elif found := measures_fault(entry.measures):
        yield "measures", found, "measures as mlbench names them, each once"
    for role, share in (entry.truncated or {}).items():
        if role not in ROLES or not 0 <= share <= 1:
            yield f"truncated.{role}", f"{share}", "query and passage: shares of 0 to 1"


def measures_fault(names: tuple[str, ...]) -> str:
    """Say which names are not those of measures, "" if all are."""
    strange = [name for name in names if not MEASURE.fullmatch(name)]
    if strange:
        return shown(strange[0])
    try:
        parsed = tuple(measure.name for measure in parse_measures(names))
    except UsageError as error:
        return f"{error.faults[0].where}: {error.faults[0].found}"
    return "" if parsed == names else shown(names)


def _task(entry: Entry, place: Place, task: LeaderboardTask) -> Iterator[Found]:
    if entry.task.name != place.task:
        yield "task.name", shown(entry.task.name), f"{place.task!r}, as its folder says"
    if entry.task.version != task.version:
        yield "task.version", shown(entry.task.version), repr(task.version)
    digest = entry.task.digest
    if entry.kind is EntryKind.EVIDENCE and digest not in task.digests:
        yield "task.digest", shown(digest), " or ".join(task.digests)
    if entry.kind is EntryKind.REPORTED and digest:
        yield "task.digest", shown(digest), "'': a publication names none"
    if entry.task.kinds != task.kinds:
        yield "task.kinds", shown(entry.task.kinds), ", ".join(task.kinds)


def _model(model: ModelInfo, place: Place) -> Iterator[Found]:
    if fault := name_fault(model.name):
        yield "model.name", fault, "a plain name"
    elif (expected := slug(model.name)) != place.slug:
        yield "model.name", f"{shown(model.name)} in the folder {place.slug}", expected
    if model.similarity not in (None, *SIMILARITIES):
        yield "model.similarity", shown(model.similarity), " or ".join(SIMILARITIES)
    yield from _sizes(model, "model", ("dimension", "parameters", "max_length"))
    for key in SHORT:
        yield from _short(model, "model", key, 0 if key in NEEDED_OF_A_MODEL else 1)
    for role, route in model.routes.items():
        where = f"model.routes.{role}"
        if role not in ROLES:
            yield where, shown(role), " or ".join(ROLES)
        yield from _sizes(route, where, ("parameters", "max_length"))
        for key in ("pooling", "dtype"):
            yield from _short(route, where, key, 1)
    for role, size in model.sizes.items():
        where = f"model.sizes.{role}"
        if role not in ROLES:
            yield where, shown(role), " or ".join(ROLES)
        for key, value in asdict(size).items():
            if not 0 <= value < 2**53:
                yield f"{where}.{key}", f"{value}", "a mean, at least 0"


def _sizes(model: ModelInfo | RouteInfo, where: str, keys: tuple[str, ...]) -> Iterator[Found]:
    for key in keys:
        value = getattr(model, key)
        if value is not None and not 0 <= value < 2**53:
            yield f"{where}.{key}", f"{value}", "a count"


def _short(model: ModelInfo | RouteInfo, where: str, key: str, least: int) -> Iterator[Found]:
    value = getattr(model, key)
    if value is not None and not least <= len(value) <= LONGEST_ITEM:
        yield f"{where}.{key}", f"{plural(len(value), 'character')}", f"{least} to {LONGEST_ITEM}"


def _people_and_days(entry: Entry, today: datetime.date) -> Iterator[Found]:
    declared = entry.declared
    if fault := name_fault(declared.submitter):
        yield "declared.submitter", fault, "a plain name"
    if fault := day_fault(declared.date, today):
        yield "declared.date", fault, "a day such as 2025-01-31, not in the future"
    elif entry.run is not None:
        try:
            made = datetime.datetime.fromisoformat(entry.run.date).date()
        except ValueError:
            yield "run.date", shown(entry.run.date), "a time such as 2025-01-31T12:00:00+00:00"
        else:
            if (made - datetime.date.fromisoformat(declared.date)).days > 1:
                yield "run.date", entry.run.date, f"no later than the submission on {declared.date}"


def day_fault(text: str, today: datetime.date) -> str:
    """Say why a text is no day up to today, "" if it is; a day ahead is elsewhere on the earth."""
    try:
        day = datetime.date.fromisoformat(text) if DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        return shown(text)
    return f"{text} is in the future" if (day - today).days > 1 else ""


def _declared(declared: Declared) -> Iterator[Found]:
    source = declared.source
    for key, link in (("link", declared.link), ("source.link", source.link if source else None)):
        if link is not None and (fault := link_fault(link)):
            yield f"declared.{key}", fault, "an https:// link"
    yield from _too_long(
        {
            "declared.licence": declared.licence,
            "declared.note": declared.note,
            "declared.source.citation": source.citation if source else None,
        }
    )
    for key, values in (
        ("training_data", declared.training_data),
        ("training_languages", declared.training_languages),
    ):
        if len(values) > MOST_LISTED or any(not 0 < len(v) <= LONGEST_ITEM for v in values):
            expected = f"at most {MOST_LISTED} of 1 to {LONGEST_ITEM} characters"
            yield f"declared.{key}", f"{plural(len(values), 'entry', 'entries')}", expected
    if len(declared.in_training) > MOST_LISTED:
        yield (
            "declared.in_training",
            f"{plural(len(declared.in_training), 'entry', 'entries')}",
            f"{MOST_LISTED}",
        )
    for number, each in enumerate(declared.in_training):
        where = f"declared.in_training[{number}]"
        if not 0 <= min(each.exact, each.near) <= each.exact + each.near <= each.texts:
            found = f"{each.exact} exact and {each.near} near of {plural(each.texts, 'text')}"
            yield where, found, "no number below 0, and no more than there are texts"
        if not SHA256.fullmatch(each.digest):
            yield f"{where}.digest", shown(each.digest), "64 hex digits"
        if not 0 < each.threshold <= 1:
            yield f"{where}.threshold", f"{each.threshold:g}", "above 0, at most 1"
        if not 0 < len(each.training) <= LONGEST_ITEM:
            found = f"{plural(len(each.training), 'character')}"
            yield f"{where}.training", found, f"1 to {LONGEST_ITEM}"
    for code in declared.training_languages:
        if not LANGUAGE.fullmatch(code):
            yield "declared.training_languages", shown(code), "language codes such as ar"


def _too_long(texts: Mapping[str, str | None]) -> Iterator[Found]:
    for key, text in texts.items():
        most = LONGEST[key.rpartition(".")[2]]
        if text is not None and len(text) > most:
            yield key, f"{plural(len(text), 'character')}", f"at most {most:,}"


def _evidence(entry: Entry, task: LeaderboardTask) -> Iterator[Found]:
    for key in ("ranks_sha256", "run"):
        if getattr(entry, key) is None:
            yield key, "null", "a value, as every entry with evidence has"
    if entry.declared.source is not None:
        yield "declared.source", "given", "null, because it is only for reported entries"
    for key in NEEDED_OF_A_MODEL:
        if getattr(entry.model, key) in (None, ""):
            yield f"model.{key}", shown(getattr(entry.model, key)), "what the report says"
    if missing := set(task.headline) - set(entry.measures):
        yield "measures", f"without {', '.join(sorted(missing))}", "the headline measures"
    kinds = task.roles.kinds(task.kinds)
    if set(entry.macro) != set(kinds):
        yield "macro", shown(", ".join(entry.macro) or "none"), ", ".join(kinds)
    if entry.directions and set(entry.directions) != set(task.directions):
        yield "directions", shown(", ".join(entry.directions)), _listed(task.directions)
    if not SHA256.fullmatch(entry.declared.report_sha256 or ""):
        yield "declared.report_sha256", shown(entry.declared.report_sha256), "64 hex digits"
    if entry.run is not None:
        yield from _run(entry.run)


def _run(run: RunInfo) -> Iterator[Found]:
    counts: list[float] = [
        run.threads,
        run.peak_memory or 0,
        run.cores or 0,
        run.peak_gpu_memory or 0,
    ]
    counts += [*run.seconds.values(), *(of.seconds or 0 for of in run.encoded.values())]
    if min(counts) < 0:
        yield "run", f"{min(counts)}", "no number below 0"
    for step, seconds in run.seconds.items():
        if seconds > MOST_SECONDS:
            yield f"run.seconds.{step}", f"{seconds:g}", f"at most {MOST_SECONDS:g}"
    for role, of in run.encoded.items():
        if role not in ENCODED or not 0 <= of.cached <= of.distinct <= of.texts:
            found = f"{of.cached} of {of.distinct} distinct of {plural(of.texts, 'text')}"
            expected = (
                "query, passage and image: at most as many cached as distinct, distinct as texts"
            )
            yield f"run.encoded.{role}", found, expected


def _reported(entry: Entry, task: LeaderboardTask) -> Iterator[Found]:
    for key in ("ranks_sha256", "run", "truncated"):
        if getattr(entry, key) is not None:
            yield key, "given", "null, because figures from a publication have no evidence"
    if entry.declared.report_sha256 is not None:
        yield (
            "declared.report_sha256",
            "given",
            "null, because figures from a publication have no report",
        )
    if entry.declared.source is None:
        yield "declared.source", "null", "the publication of the figures"
    names = {name for of in entry.figures.values() for name in of}
    if names != set(entry.measures):
        yield "measures", shown(entry.measures), ", ".join(sorted(names))
    kinds = task.roles.kinds(task.kinds)
    for key, what, figures, known in (
        ("macro", "kind", entry.macro, kinds),
        ("directions", "direction", entry.directions, task.directions),
    ):
        for name, of in figures.items():
            if name not in known:
                yield f"{key}.{name}", f"no such {what} in the task", _listed(known)
            for measure, score in of.items():
                yield from _reported_score(f"{key}.{name}.{measure}", score, 1)
    distance = entry.bias.rank_distance
    if distance is not None:
        most = sum(task.passages.values())
        yield from _reported_score("bias.rank_distance", distance, most)
    if entry.bias != BiasSummary(distance):
        yield "bias", "more than a rank distance", "what the publication says"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none: the task has none"


def _reported_score(key: str, score: Score, most: float) -> Iterator[Found]:
    if not 0 <= score.value <= most:
        percent = f", because {score.value:g}% is {score.value / 100:g}" if most == 1 else ""
        yield key, f"{score.value}", f"0 to {most:g}{percent if 1 < score.value <= 100 else ''}"
    for field in fields(score)[1:]:
        if not math.isnan(getattr(score, field.name)):
            yield f"{key}.{field.name}", f"{getattr(score, field.name)}", "null in a reported entry"


def record_faults(record: Record, today: datetime.date) -> Iterator[Found]:
    """Yield what is wrong with a record by itself."""
    if record.level not in RECORDED:
        yield "level", record.level, ", ".join(RECORDED)
    elif record.level is not Level.DISPUTED and not record.evidence:
        yield "evidence", "none", "what `mlbench verify --json` printed"
    yield from _signed(record, today)
    yield from _too_long({"note": record.note})


def withdrawal_faults(withdrawal: Withdrawal, today: datetime.date) -> Iterator[Found]:
    """Yield what is wrong with a withdrawal by itself."""
    yield from _signed(withdrawal, today)
    if not withdrawal.reason.strip():
        yield "reason", "empty", "why it is withdrawn"
    yield from _too_long({"reason": withdrawal.reason})


def lifting_faults(lifting: Lifting, today: datetime.date) -> Iterator[Found]:
    """Yield what is wrong with the lifting of disputes by itself."""
    yield from _signed(lifting, today)
    if not lifting.reason.strip():
        yield "reason", "empty", "why the dispute is settled"
    if not lifting.disputes:
        yield "disputes", "none", "the days of the disputes that it lifts"
    for number, day in enumerate(lifting.disputes):
        if day in lifting.disputes[:number]:
            yield f"disputes[{number}]", f"{shown(day)} again", "each day once"
        if fault := day_fault(day, today):
            yield f"disputes[{number}]", fault, "the day of a dispute, such as 2025-01-31"
    yield from _too_long({"reason": lifting.reason})


def _signed(document: Record | Withdrawal | Lifting, today: datetime.date) -> Iterator[Found]:
    if fault := name_fault(document.by):
        yield "by", fault, "a plain name"
    if fault := day_fault(document.date, today):
        yield "date", fault, "a day such as 2025-01-31, not in the future"


def task_faults(task: LeaderboardTask, name: str) -> Iterator[Found]:
    """Yield key, found and expected where a task.json contradicts itself or its folder."""
    codes = set(task.languages)
    if task.name != name:
        yield "name", shown(task.name), f"{name!r}, as its folder is called"
    if not all(map(SHA256.fullmatch, (*task.digests, task.rows_sha256))) or not task.digests:
        yield "digests", shown(task.digests), "64 hex digits each"
    if not 0 < len(codes) == len(task.languages) or not all(map(LANGUAGE.fullmatch, codes)):
        yield "languages", shown(task.languages), "language codes, each once"
    if not task.kinds or not set(task.kinds) <= set(Kind):
        yield "kinds", shown(task.kinds), "of " + ", ".join(Kind)
    if found := measures_fault(task.headline):
        yield "headline", found, "measures as mlbench names them, each once"
    for key, counts in (("queries", task.queries), ("passages", task.passages)):
        if set(counts) != codes:
            yield key, shown(sorted(counts)), "the task's languages"
        elif not all(0 <= count < 2**31 for count in counts.values()):
            yield key, "a count out of range", "0 to 2^31"
    for number, pair in enumerate(task.pairs):
        if not set(pair.languages) <= codes or len(set(pair.languages)) != 2:
            yield f"pairs[{number}]", shown(pair.languages), "two of the task's languages"
    if not 0 < task.rows <= MOST_ROWS:
        yield "rows", f"{task.rows:,}", f"1 to {MOST_ROWS:,}"


MOST_ROWS = 2**22


def evidence_faults(record: Record) -> Iterator[Found]:
    """Yield where a result of verify does not show what is recorded, or is of something else."""
    if record.level is Level.DISPUTED or not record.evidence:
        return
    shows, entry = record.evidence.get("level"), record.evidence.get("entry")
    if record.evidence.get("schema") != VERIFICATION_SCHEMA:
        yield "evidence.schema", shown(record.evidence.get("schema")), VERIFICATION_SCHEMA
    elif shows not in (record.level, Level.REPRODUCED):
        yield "evidence.level", shown(shows), f"at least {record.level}, which the record states"
    elif not isinstance(entry, dict) or entry.get("sha256") != record.entry_sha256:
        found = shown(entry.get("sha256") if isinstance(entry, dict) else entry)
        yield "evidence.entry.sha256", found, f"{shown(record.entry_sha256)}, of this entry"
