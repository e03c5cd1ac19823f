"""What opens below a row: an entry's scores, heat map, provenance, and what changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlbench.common.counts import plural
from mlbench.common.sizes import three_digits
from mlbench.data.task import Kind, Roles
from mlbench.leaderboard.entries.board import BoardEntry
from mlbench.leaderboard.entries.entry import Entry, EntryKind
from mlbench.leaderboard.entries.strict import link_fault
from mlbench.leaderboard.page.plots import heat_map
from mlbench.leaderboard.page.wording import (
    CONTAMINATIONS,
    LEVELS,
    Fact,
    column_head,
    column_title,
    difference_text,
    interval_text,
    rank_text,
    score_text,
)
from mlbench.leaderboard.ranking.columns import MEAN, Column, language_means, stated
from mlbench.leaderboard.ranking.rows import Row, Standings
from mlbench.measures.significance import Score, Values
from mlbench.reports.cost import hardware_of, speed_of
from mlbench.reports.pairs import row_name
from mlbench.reports.provenance import ModelInfo, RouteInfo
from mlbench.reports.table import Table
from mlbench.reports.words import MISSING, between, kind_name, number

LONGEST_TEXT = 400
MODEL = ("identity", "adapter", "spec", "parameters", "dimension", "dtype", "similarity",
         "pooling", "max_length")  # fmt: skip
COMPARED = ("identity", "adapter", "similarity", "dimension", "dtype", "parameters", "max_length",
            "pooling")  # fmt: skip
"""What is compared of a model's two entries; how it was named may differ."""
ROUTE = ("parameters", "max_length", "pooling", "dtype")


@dataclass(frozen=True)
class Drawer:
    """An entry in full. ``heat`` is SVG, "" where there is none; ``languages`` its numbers."""

    scores: Table
    heat: str = ""
    languages: Table | None = None
    groups: tuple[tuple[str, tuple[Fact, ...]], ...] = ()
    command: str = ""
    previous: str = ""
    changed: Table | None = None


def task_drawer(row: Row, standings: Standings, *, by_language: bool) -> Drawer:
    """Return the drawer of a model on a task; figures by language only if there is room."""
    entry = row.entries[standings.name]
    drawn, of_pairs = by_language and bool(row.figures), standings.roles.two_ways
    several = len(standings.roles.queries) > 1
    pairs, mixed = matrix(row.figures, standings.roles)
    groups = (
        ("Entry", tuple(_entry_facts(entry))),
        ("Model", tuple(_model_facts(entry.entry))),
        ("Run", tuple(_run_facts(entry.entry))),
        ("Language bias", tuple(_bias_facts(entry.entry))),
    )
    before = row.previous
    changed = differing_facts(before.entry.entry, entry.entry) if before else ()
    return Drawer(
        scores=_scores(row, standings),
        heat=""
        if not drawn or of_pairs or pairs is None
        else heat_map(standings.roles, pairs, mixed),
        languages=_by_language(row, standings) if drawn and several else None,
        groups=tuple(group for group in groups if group[1]),
        command=entry.entry.run.command if entry.entry.run else "",
        previous=f"{before.entry.entry.declared.date}, {before.entry.place}" if before else "",
        changed=Table(("", "before", "now"), changed) if changed else None,
    )


def overall_drawer(row: Row, standings: Standings) -> Drawer:
    """Return the drawer of a model over a suite: its headline on each task, and their mean."""
    rows = []
    for column in (*standings.columns[1:], MEAN):
        cell = row.cells[column.key]
        score, interval = score_text(cell.value, column), interval_text(cell, column) or MISSING
        rows.append((column_title(column), score, interval, rank_text(cell)))
    return Drawer(Table(("headline", "score", "95% interval", "rank"), tuple(rows)))


def matrix(figures: Mapping[str, Values], roles: Roles) -> tuple[Values | None, Values | None]:
    """Return scores by query and passage language, monolingual where both are one, and mixed.

    None where the task has no such settings.
    """
    mono, cross, mixed = (figures.get(key) for key in ("mono", "cross", "multi"))
    if cross is None:
        return None, mixed
    pairs = cross.copy()
    if mono is not None:
        rows = [roles.queries.index(code) for code in roles.shared]
        pairs[rows, [roles.passages.index(code) for code in roles.shared]] = mono[rows]
    return pairs, mixed


def _scores(row: Row, standings: Standings) -> Table:
    ties = _with_ties_for_it(row, standings)
    rows = []
    for column in standings.columns:
        cell = row.cells[column.key]
        line = [
            column_title(column),
            score_text(cell.value, column),
            interval_text(cell, column) or MISSING,
            rank_text(cell),
        ]
        if ties:
            line.append(ties[column.key])
        if row.previous:
            change = row.previous.scores[column.key]
            low, high = (difference_text(end, column) for end in (change.low, change.high))
            line += [
                score_text(change.before, column),
                difference_text(change.difference, column),
                MISSING if change.low is None else between(low, high),
            ]
        rows.append(tuple(line))
    rows += [(*line, *[MISSING] * (len(rows[0]) - len(line))) for line in _others(row, standings)]
    headers = ["", "score", "95% interval", f"rank of {standings.ranked:,}"]
    if ties:
        headers.append("ties counted for it")
    if row.previous:
        headers += ["entry before", "change", "95% interval"]
    return Table(tuple(headers), tuple(rows))


def _others(row: Row, standings: Standings) -> Iterator[tuple[str, str]]:
    """Yield what a publication states beside the board's columns, as title and score."""
    entry = row.entries[standings.name].entry
    shown = {(column.kind, column.measure) for column in standings.columns}
    for over, of in entry.figures.items() if entry.kind is EntryKind.REPORTED else ():
        for measure, score in of.items():
            if (over, measure) not in shown:
                column = Column("", over, measure)
                yield column_title(column), score_text(score.value, column)


def _with_ties_for_it(row: Row, standings: Standings) -> dict[str, str]:
    """Return column -> score with ties counted for the model; empty if they move none."""
    stands = {c: stated(row.entries[standings.name].entry, c) for c in standings.columns}
    if not any(found and found.ties_matter for found in stands.values()):
        return {}
    return {
        c.key: score_text(found.optimistic if found else None, c) for c, found in stands.items()
    }


def _by_language(row: Row, standings: Standings) -> Table:
    """Return each column by query language; cross-lingual is the mean over passage languages. Of
    pairs, return the main score of each pair, of images and texts that of each language."""
    if standings.roles.two_ways:
        return _by_pair(row, standings)
    columns = [
        [score_text(value, column) for value in language_means(row.figures[column.key])]
        for column in standings.columns
    ]
    rows = zip(standings.roles.queries, *columns, strict=True)
    headers = tuple(column_head(column) for column in standings.columns)
    return Table(("query", *headers), tuple(rows))


def _by_pair(row: Row, standings: Standings) -> Table:
    """Return the main score of each pair, or language of texts, in both directions, the weakest
    first."""
    roles = standings.roles
    main = next((c for c in standings.columns if c.key == "cross"), standings.main)
    of_kind = {c.kind: c for c in reversed(standings.columns)}
    found: dict[str, dict[str, float]] = {}
    for setting in roles.settings([Kind.CROSSLINGUAL]):
        (searched,) = setting.passage_languages
        asked = setting.query_language
        place = roles.queries.index(asked), roles.passages.index(searched)
        direction = roles.direction(setting) or main.kind
        figures = row.figures[of_kind.get(direction, main).key]
        found.setdefault(row_name(roles, asked, searched), {})[direction] = float(figures[place])
    columns = sorted({direction for of in found.values() for direction in of})
    rows = [
        (name, *(score_text(of.get(column), main) for column in columns))
        for name, of in sorted(found.items(), key=lambda item: math.fsum(item[1].values()))
    ]
    title = column_head(main).partition("\n")[0]
    corner = "texts in" if roles.between_modalities else "pair"
    return Table((corner, *(f"{title}\n{kind_name(c)}" for c in columns)), tuple(rows))


def _entry_facts(each: BoardEntry) -> Iterator[Fact]:
    entry, declared = each.entry, each.entry.declared
    yield Fact("evidence", f"{each.level}. {LEVELS[each.level]}")
    for record in each.records:
        note = f": {record.note}" if record.note else ""
        yield Fact("record", f"{record.level} by {record.by} on {record.date}{note}")
    for lifting in each.liftings:
        days = ", ".join(lifting.disputes)
        told = f"dispute of {days} lifted by {lifting.by} on {lifting.date}: {lifting.reason}"
        yield Fact("record", told)
    if declared.source:
        yield _linked("source", declared.source.citation, declared.source.link)
    yield Fact(
        "contamination", f"{declared.contamination}. {CONTAMINATIONS[declared.contamination]}"
    )
    for measured in declared.in_training:
        yield Fact("counted overlap", str(measured))
    yield Fact("submitted", f"{declared.date} by {declared.submitter}")
    yield from _known("note", declared.note)
    yield from _known("licence", declared.licence)
    if declared.link:
        yield _linked("link", declared.link, declared.link)
    yield from _known("training data", ", ".join(declared.training_data))
    yield from _known("training languages", ", ".join(declared.training_languages))
    digest = f", digest {entry.task.digest}" if entry.task.digest else ""
    yield Fact("task", f"{entry.task.name}, version {entry.task.version}{digest}")
    yield Fact("file", f"{each.place}/entry.json, SHA-256 {each.sha256}")
    if entry.ranks_sha256:
        yield Fact("table of ranks", f"SHA-256 {entry.ranks_sha256}")


def _linked(label: str, text: str, link: str) -> Fact:
    return Fact(label, text, "" if link_fault(link) else link)


def _known(label: str, text: str | None) -> Iterator[Fact]:
    if text:
        yield Fact(label, text)


def _of_model(model: ModelInfo | RouteInfo, names: Sequence[str]) -> Iterator[Fact]:
    for name in names:
        value = getattr(model, name)
        if value not in (None, ""):
            text = f"{value:,}" if isinstance(value, int) else str(value)
            yield Fact(name.replace("_", " "), text)


def _of_routes(model: ModelInfo) -> Iterator[Fact]:
    """Yield what holds for one role alone, where each has modules of its own."""
    for role, route in sorted(model.routes.items()):
        for fact in _of_model(route, ROUTE):
            yield Fact(f"{fact.label} ({role})", fact.text)


def _model_facts(entry: Entry) -> Iterator[Fact]:
    model = entry.model
    yield from _of_model(model, MODEL)
    yield from _of_routes(model)
    for role, prompt in sorted(model.prompts.items()):
        yield Fact(f"{role} prompt", _quoted(prompt) if prompt else "none")
    for role, first in sorted(model.first_input.items()):
        yield Fact(f"first {role} text", _quoted(first))
    if entry.truncated is not None:
        shares = ", ".join(f"{role} {share:.1%}" for role, share in sorted(entry.truncated.items()))
        yield Fact("texts cut", shares or "none")
    yield from _known("notes", "; ".join(model.notes))


def _quoted(text: str) -> str:
    return f"“{text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + '…'}”"


def _run_facts(entry: Entry) -> Iterator[Fact]:
    run = entry.run
    if run is None:
        return
    yield Fact("date", run.date)
    yield Fact("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items()))
    hardware = [
        entry.model.device or "",
        hardware_of(run),
        run.platform,
        f"{plural(run.threads, 'thread')}",
    ]
    yield Fact("hardware", ", ".join(filter(None, hardware)))
    yield Fact("seconds", ", ".join(f"{step} {time:,.1f}" for step, time in run.seconds.items()))
    if run.peak_memory is not None:
        yield Fact("peak memory", f"{run.peak_memory / 2**30:.2f} GiB")
    if run.peak_gpu_memory is not None:
        yield Fact("peak GPU memory", f"{run.peak_gpu_memory / 2**30:.2f} GiB")
    for role, of in run.encoded.items():
        if (speed := speed_of(of)) is not None:
            what = "images" if role == "image" else f"{role} texts"
            yield Fact(f"{what} a second", three_digits(speed))
    counts = (
        f"{role} {of.distinct:,} ({of.cached:,} from the cache)" for role, of in run.encoded.items()
    )
    yield from _known("distinct texts", ", ".join(counts))


def _bias_facts(entry: Entry) -> Iterator[Fact]:
    bias = entry.bias
    if bias.rank_distance is not None:
        bounds = [
            f"{name} {number(value, 1, commas=True)}"
            for name, value in (("least possible", bias.floor), ("random order", bias.random))
            if value is not None
        ]
        value = number(bias.rank_distance.value, 1, commas=True)
        yield Fact("rank distance", f"{value} ({', '.join(bounds)})" if bounds else value)
    if bias.same_language is not None:
        text = f"{bias.same_language:.2f} times as often as its share of the pool (1 is unbiased)"
        yield Fact("own language outranks", text)
    for name, score in bias.measures.items():
        yield Fact(name, _with_interval(score))


def _with_interval(score: Score) -> str:
    if math.isnan(score.low) or math.isnan(score.high):
        return number(score.value)
    return f"{number(score.value)} ({between(number(score.low), number(score.high))})"


def differing_facts(before: Entry, now: Entry) -> tuple[tuple[str, str, str], ...]:
    """Return (what, before, now) of each fact of model, task and run that is not the same."""
    old, new = dict(_compared(before)), dict(_compared(now))
    return tuple(
        (name, old.get(name, MISSING), new.get(name, MISSING))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def _compared(entry: Entry) -> Iterator[tuple[str, str]]:
    model, run = entry.model, entry.run
    for fact in (*_of_model(model, COMPARED), *_of_routes(model)):
        yield fact.label, fact.text
    for role, prompt in sorted(model.prompts.items()):
        yield f"{role} prompt", repr(prompt)
    yield "task version", entry.task.version
    yield "kind of entry", str(entry.kind)
    yield "contamination", str(entry.declared.contamination)
    if entry.declared.licence is not None:
        yield "licence", entry.declared.licence
    if run is not None:
        yield from sorted(run.versions.items())
        yield "hardware", model.device or run.processor
