"""The tables of a comparison, each with what its marks mean.

Two models are compared on every measure. Of more, a table says how each one scores, one how every
pair differs in the main measure, and one what the other measures say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlbench.common.counts import plural
from mlbench.common.names import shortened_apart
from mlbench.common.terminal import printable
from mlbench.comparing.cost_table import cost_block
from mlbench.comparing.differences import (
    NOT_SHOWN,
    Difference,
    Value,
    measure_title,
    shown,
    shown_p,
)
from mlbench.comparing.quantities import Quantity
from mlbench.data.task import FROM_IMAGE, INTO_IMAGE, Kind, Setting
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.pairs import pair_name, row_name
from mlbench.reports.table import Block, Table, narrow
from mlbench.reports.words import KIND_NAMES, MISSING, kind_name, mean

if TYPE_CHECKING:
    from mlbench.comparing.comparison import Comparison

SHORT = {"monolingual": "mono", "crosslingual": "cross", "multilingual": "multi"}
SHOWN_MARK, TIES_MARK = "*", "~"
ALL_PAIRS = 5
"""Up to so many models every pair is shown."""
IN_A_ROW = 5
"""Models that stand side by side in a table."""
LETTERS = "Models with a common letter in a column cannot be told apart."
LONGEST_NAME, LONGEST_MODEL = 9, 28
MOST_TIED = 5
"""Scores that a note on ties names."""


def blocks_of(comparison: Comparison, whole: bool) -> list[Block]:
    """Return the tables of a comparison in their order; ``whole`` ones are not for a terminal."""
    if len(comparison.models) == 2:
        tables = [*_kind_blocks(comparison, whole), _fine_block(comparison, "B")]
    elif whole:
        tables = [
            *_standings_blocks(comparison),
            *_pair_blocks(comparison),
            *_measure_blocks(comparison),
            *(_fine_block(comparison, model.label) for model in comparison.models[1:]),
        ]
    else:
        tables = [
            _scores_block(comparison),
            _pairs_block(comparison),
            *_measure_blocks(comparison),
        ]
    return [block for block in (*tables, cost_block(comparison)) if block.table.rows]


def main_quantities(comparison: Comparison) -> list[Quantity]:
    """Return the macro means that a comparison is read by: the main measure's, rank distance."""
    wanted = [Quantity(kind, comparison.headline) for kind in kinds_of(comparison)]
    wanted.append(Quantity("multilingual", RANK_DISTANCE))
    there = {value.quantity for value in comparison.scores}
    return [quantity for quantity in dict.fromkeys(wanted) if quantity in there]


def kinds_of(comparison: Comparison) -> tuple[str, ...]:
    """Return the kinds of setting, and of pairs the directions; of images and texts the directions
    in place of the mean over both."""
    roles = comparison.task.roles
    found = (roles.direction(setting) for setting in roles.settings(Kind))
    kinds = [
        kind
        for kind in KIND_NAMES
        if kind != Kind.CROSSLINGUAL.value or not roles.between_modalities
    ]
    return (*kinds, *sorted({direction for direction in found if direction}))


def _short(kind: str) -> str:
    if kind in (INTO_IMAGE, FROM_IMAGE):
        return kind_name(kind).replace(" ", "\n", 1)
    return SHORT.get(kind, kind_name(kind))


def _column(quantity: Quantity) -> str:
    if quantity.measure == RANK_DISTANCE:
        return "rank\ndistance"
    return f"{_short(quantity.kind)}\n{narrow(measure_title(quantity.measure), LONGEST_NAME)}"


def in_words(quantity: Quantity) -> str:
    """Return a macro mean in words: cross-lingual mAP, rank distance."""
    title = measure_title(quantity.measure)
    return title if quantity.measure == RANK_DISTANCE else f"{kind_name(quantity.kind)} {title}"


def _values(comparison: Comparison) -> dict[tuple[str, Quantity], Value]:
    return {(v.model, v.quantity): v for v in comparison.scores if not v.quantity.level}


def repeated(comparison: Comparison) -> set[Quantity]:
    """Return the macro means that are those of another measure, for every query."""
    return {Quantity(each.kind, each.measure) for each in comparison.repeated}


def _kind_blocks(comparison: Comparison, whole: bool) -> Iterator[Block]:
    """Yield each kind's macro differences of two models."""
    for kind in kinds_of(comparison):
        rows = [
            d
            for d in comparison.differences
            if d.quantity.kind == kind
            and not d.quantity.level
            and d.quantity not in repeated(comparison)
        ]
        if rows:
            title = f"{rows[0].model} against {rows[0].against}, {kind_name(kind)}"
            notes = (*_repeated_notes(comparison, [kind]), *_ties_notes(comparison, rows))
            yield Block(title, kind_table(comparison, rows, whole), notes)


def kind_table(comparison: Comparison, difference_of: Sequence[Difference], whole: bool) -> Table:
    """Return macro differences of one pair and one kind, a row a measure.

    ``whole`` writes the verdict in full; a terminal has room for less.
    """
    values = _values(comparison)
    first = difference_of[0]
    rows = []
    for d in difference_of:
        measure, both = d.quantity.measure, [values[m, d.quantity] for m in (d.against, d.model)]
        size = max(abs(value.value) for value in both)
        title = measure_title(measure)
        verdict = d.verdict if whole or d.verdict != NOT_SHOWN else "not shown"
        rows.append(
            (
                title if whole else narrow(title, LONGEST_NAME).replace(" ", "\n"),
                *(shown(v.value, measure, size=size) + _ties_mark(v.ties_matter) for v in both),
                shown(d.difference, measure, sign=True, size=size),
                _interval(d, size),
                shown_p(d.p),
                shown(d.least, measure, size=size),
                verdict + _ties_mark(d.ties_decide),
            )
        )
    headers = (
        kind_name(first.quantity.kind) if whole else _short(first.quantity.kind),
        first.against,
        first.model,
        f"{first.model} - {first.against}",
        *("95% interval", "p", "least"),
        f"{first.model} is",
    )
    return Table(headers, tuple(rows))


def _interval(d: Difference, size: float) -> str:
    ends = (shown(end, d.quantity.measure, sign=True, size=size) for end in (d.low, d.high))
    return " ".join(ends)


def _ties_mark(marked: bool) -> str:
    return TIES_MARK if marked else ""


def _ties_notes(
    comparison: Comparison, differences: Sequence[Difference], *, verdicts: bool = True
) -> tuple[str, ...]:
    """Return what ties do to the scores that macro differences are made of; none where nothing.

    ``verdicts`` says whether the table shows them.
    """
    values = _values(comparison)
    scores = [values[name, d.quantity] for d in differences for name in (d.against, d.model)]
    moved = [score for score in dict.fromkeys(scores) if score.ties_matter]
    main = main_quantities(comparison)
    moved.sort(key=lambda score: score.quantity not in main)
    if not moved:
        return ()
    said = []
    for v in moved[:MOST_TIED]:
        measure, size = v.quantity.measure, max(v.value, v.optimistic)
        ends = (shown(end, measure, size=size) for end in (v.value, v.optimistic))
        said.append(f"{v.model} {in_words(v.quantity)} {' to '.join(ends)}")
    if len(moved) > MOST_TIED:
        said.append(f"and {len(moved) - MOST_TIED} more, which --format json has")
    turns = any(d.ties_decide for d in differences) if verdicts else False
    return (
        f"{TIES_MARK} Ties move this score, from all counted against the model to all for it: "
        f"{', '.join(said)}.{' A verdict that is marked can turn round.' if turns else ''}",
    )


def _repeated_notes(comparison: Comparison, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return which measures of some kinds are not repeated, by what they are equal to."""
    of: dict[tuple[str, ...], list[str]] = {}
    for kind in kinds:
        same = tuple(
            f"{measure_title(each.measure)} is {measure_title(each.same_as)}"
            for each in comparison.repeated
            if each.kind == kind
        )
        if same:
            of.setdefault(same, []).append(kind_name(kind))
    return tuple(
        f"Not repeated, because they are equal for every query here: {', '.join(same)}"
        + (f" ({' and '.join(named)})." if len(list(kinds)) > 1 else ".")
        for same, named in of.items()
    )


def _fine_block(comparison: Comparison, model: str) -> Block:
    """Return the differences of a model to the first by query language, or of pairs by pair."""
    of_pairs = comparison.task.roles.two_ways
    return (_pair_block if of_pairs else _language_block)(comparison, model)


def pair_differences(
    comparison: Comparison, model: str
) -> tuple[list[Quantity], dict[str, dict[str, Difference]]]:
    """Return the directions of a comparison on pairs, and row -> direction -> the difference of a
    model to the first in that setting, the row with the lowest mean first."""
    roles, first = comparison.task.roles, comparison.models[0].label
    rows: dict[str, dict[str, Difference]] = {}
    for d in comparison.differences:
        query, passage = d.quantity.query_language, d.quantity.passage_language
        if (d.model, d.against) == (model, first) and query and passage:
            setting = Setting(Kind.CROSSLINGUAL, query, (passage,))
            direction = roles.direction(setting) or setting.kind.value
            rows.setdefault(row_name(roles, query, passage), {})[direction] = d
    order = sorted(rows, key=lambda row: mean(d.difference for d in rows[row].values()) or 0.0)
    kinds = sorted({direction for of in rows.values() for direction in of})
    columns = [Quantity(kind, comparison.headline) for kind in kinds]
    return columns, {row: rows[row] for row in order}


def _pair_block(comparison: Comparison, model: str) -> Block:
    """Return the differences of a model to the first by pair, that with the most lost first."""
    first = comparison.models[0].label
    columns, of = pair_differences(comparison, model)
    rows = [(row, [each.get(quantity.kind) for quantity in columns]) for row, each in of.items()]
    roles = comparison.task.roles
    with_pivot = "texts in" if roles.between_modalities else f"{roles.pivot} with"
    corner = f"{model} - {first}\n{with_pivot if roles.pivot else 'pair'}"
    table, notes = _differences_table(corner, columns, rows)
    return Block(f"{model} against {first}, by {pair_name(roles)}", table, notes)


def _language_block(comparison: Comparison, model: str) -> Block:
    """Return the differences of a model to the first by query language."""
    first = comparison.models[0].label
    pair = [
        d
        for d in comparison.differences
        if (d.model, d.against, d.quantity.level) == (model, first, 1)
    ]
    columns = main_quantities(comparison)
    of = {d.quantity: d for d in pair}
    rows = [
        (code, [of.get(replace(quantity, query_language=code)) for quantity in columns])
        for code in comparison.task.roles.queries
    ]
    title = f"{model} against {first}, by query language"
    table, notes = _differences_table(f"{model} - {first}\nqueries in", columns, rows)
    return Block(title, table if len(rows) > 1 else Table(("query",), ()), notes)


def _differences_table(
    corner: str, columns: Sequence[Quantity], rows: Sequence[tuple[str, list[Difference | None]]]
) -> tuple[Table, tuple[str, ...]]:
    """Return differences with their corrected p, and what the marks among them mean."""
    headers = [corner, *(part for q in columns for part in (_column(q), "p"))]
    cells = []
    for name, differences in rows:
        row = [name]
        for quantity, d in zip(columns, differences, strict=True):
            if d is None:
                row += [MISSING + "  ", MISSING]
                continue
            mark = SHOWN_MARK if d.verdict != NOT_SHOWN else " "
            mark += TIES_MARK if d.ties_decide else " "
            row += [shown(d.difference, quantity.measure, sign=True) + mark, shown_p(d.corrected)]
        cells.append(row)
    there = [d for _, differences in rows for d in differences if d is not None]
    notes = []
    if any(d.verdict != NOT_SHOWN for d in there):
        notes.append(
            f"{SHOWN_MARK} A difference is shown: p is at most .05 and the interval excludes 0."
        )
    if any(d.ties_decide for d in there):
        notes.append(f"{TIES_MARK} The order of tied passages decides which model is better.")
    marked = {mark for row in cells for cell in row[1::2] for mark in cell[-2:] if mark in "*~"}
    if TIES_MARK not in marked:
        cells = [[cell.removesuffix(" ") if i % 2 else cell for i, cell in enumerate(row)]
                 for row in cells]  # fmt: skip
    return Table(tuple(headers), tuple(map(tuple, cells))), tuple(notes)


def _scores_block(comparison: Comparison) -> Block:
    """Return every model's macro means of the main measure and rank distance, best first."""
    columns = main_quantities(comparison)
    values, letters = _values(comparison), _letters(comparison)
    short = shortened_apart((printable(m.name) for m in comparison.models), LONGEST_MODEL)
    names = {m.label: short[printable(m.name)] for m in comparison.models}
    order = [s.model for s in comparison.standings if s.quantity == columns[0]]
    rows = tuple(
        (f"{label} {names[label]}", *(_lettered(values[label, q], letters) for q in columns))
        for label in order
    )
    table = Table(("model", *map(_column, columns)), rows)
    return Block(
        "Scores",
        table,
        (LETTERS, *_scores_notes(comparison, columns)),
    )


def _scores_notes(comparison: Comparison, columns: Sequence[Quantity]) -> tuple[str, ...]:
    there = [d for d in comparison.differences if d.quantity in columns]
    return _ties_notes(comparison, there, verdicts=False)


def _letters(comparison: Comparison) -> dict[tuple[str, Quantity], str]:
    return {(s.model, s.quantity): s.groups for s in comparison.standings}


def _lettered(value: Value, letters: dict[tuple[str, Quantity], str]) -> str:
    mark, groups = _ties_mark(value.ties_matter), letters[value.model, value.quantity]
    return f"{shown(value.value, value.quantity.measure)}{mark} {groups}"


def pairs_that_matter(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the pairs (model, against) that are shown: all of few models; of many, each model
    with the first one given and with the next best in the main measure."""
    labels = [model.label for model in comparison.models]
    pairs = [(b, a) for a, b in itertools.combinations(labels, 2)]
    if len(labels) <= ALL_PAIRS:
        return pairs
    first = main_quantities(comparison)[0]
    order = [s.model for s in comparison.standings if s.quantity == first]
    near = {frozenset(pair) for pair in itertools.pairwise(order)}
    return [(b, a) for b, a in pairs if a == labels[0] or {a, b} in near]


def _left_out(comparison: Comparison) -> tuple[str, ...]:
    count = len(comparison.models)
    rest = count * (count - 1) // 2 - len(pairs_that_matter(comparison))
    if not rest:
        return ()
    return (
        f"These are the pairs with {comparison.models[0].label} and with the next best model; "
        f"{plural(rest, 'other pair')} are in comparison.csv (or --format csv).",
    )


def _pairs_block(comparison: Comparison) -> Block:
    """Return the differences of every pair that matters, a row a pair."""
    columns = main_quantities(comparison)
    of = {(d.model, d.against, d.quantity): d for d in comparison.differences}
    rows = [
        (f"{b} - {a}", [of.get((b, a, quantity)) for quantity in columns])
        for b, a in pairs_that_matter(comparison)
    ]
    table, notes = _differences_table("pair", columns, rows)
    return Block("Differences", table, (*notes, *_left_out(comparison)))


def _pair_blocks(comparison: Comparison) -> Iterator[Block]:
    """Yield for each macro mean the pairs that matter with their intervals, a row a pair."""
    of = {(d.model, d.against, d.quantity): d for d in comparison.differences}
    for quantity in main_quantities(comparison):
        differences = [of[(*pair, quantity)] for pair in pairs_that_matter(comparison)]
        rows = tuple(
            (
                f"{d.model} - {d.against}",
                shown(d.difference, quantity.measure, sign=True),
                _interval(d, abs(d.difference)),
                shown_p(d.corrected),
                shown(d.least, quantity.measure),
                (d.better or NOT_SHOWN) + _ties_mark(d.ties_decide),
            )
            for d in differences
        )
        headers = ("pair", "difference", "95% interval", "p", "least", "better")
        notes = (*_ties_notes(comparison, differences), *_left_out(comparison))
        yield Block(f"Differences, {in_words(quantity)}", Table(headers, rows), notes)


def _standings_blocks(comparison: Comparison) -> Iterator[Block]:
    """Yield for each macro mean the models, best first, with intervals, places and groups."""
    values, names = _values(comparison), {m.label: m.name for m in comparison.models}
    for quantity in main_quantities(comparison):
        rows = []
        for s in comparison.standings:
            if s.quantity == quantity:
                value = values[s.model, quantity]
                ends = (shown(end, quantity.measure) for end in (value.low, value.high))
                mark = _ties_mark(value.ties_matter)
                place = str(s.best) if s.best == s.worst else f"{s.best} to {s.worst}"
                score = shown(s.value, quantity.measure) + mark
                name = f"{s.model} {names[s.model]}"
                rows.append((name, score, " ".join(ends), place, s.groups))
        title = in_words(quantity)
        notes = (
            LETTERS,
            *_scores_notes(comparison, [quantity]),
        )
        table = Table(("model", title, "95% interval", "place", "group"), tuple(rows))
        yield Block(title[0].upper() + title[1:], table, notes)


def _measure_blocks(comparison: Comparison) -> Iterator[Block]:
    """Yield every model's macro means of the other measures, some models side by side."""
    values, letters = _values(comparison), _letters(comparison)
    there = dict.fromkeys(v.quantity for v in comparison.scores if not v.quantity.level)
    left_out = {*repeated(comparison), *main_quantities(comparison)}
    kinds = kinds_of(comparison)
    wanted = [q for kind in kinds for q in there if q.kind == kind and q not in left_out]
    labels = [model.label for model in comparison.models]
    notes = (
        "Models with a common letter in a row cannot be told apart.",
        *_scores_notes(comparison, wanted),
        *_repeated_notes(comparison, kinds),
    )
    for start in range(0, len(labels), IN_A_ROW):
        some = labels[start : start + IN_A_ROW]
        rows = tuple(
            (
                f"{_short(q.kind)} {measure_title(q.measure)}",
                *(_lettered(values[label, q], letters) for label in some),
            )
            for q in wanted
        )
        last = start + IN_A_ROW >= len(labels)
        yield Block("Other measures", Table(("", *some), rows), notes if last else ())
