"""What a comparison of two tables, or of a table with vectors, found: checks, with examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.common.counts import plural
from mlbench.data.collection import Collection
from mlbench.data.task import Setting
from mlbench.leaderboard.verifying.agreement import Agreement, Worst, compare
from mlbench.leaderboard.verifying.claims import (
    Bools,
    Claims,
    Ints,
    Tolerance,
    Vectors,
)
from mlbench.leaderboard.verifying.samples import (
    Places,
    claims_of,
    cuts_of,
    find_places,
    populations_of,
)
from mlbench.leaderboard.verifying.verification import Check
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.models.encoding import Embedded
from mlbench.ranking.ranks import Ranks


@dataclass(frozen=True)
class Names:
    """The names of what was compared: ``queries`` and ``rows`` of the table, in the order of
    the claims'."""

    ranks: Ranks
    queries: Ints
    rows: Ints

    def query(self, number: int) -> str:
        """Return the name of a query."""
        query = self.queries[number]
        language = self.ranks.languages[self.ranks.query_language[query]]
        return f"query {self.ranks.query_ids[query]!r} ({language})"

    def row(self, number: int) -> str:
        """Return the name of a row."""
        row = self.rows[number]
        query = int(np.searchsorted(self.queries, self.ranks.query[row]))
        language = self.ranks.languages[self.ranks.passage_language[row]]
        return f"{self.query(query)}, passage {self.ranks.passage_ids[row]!r} ({language})"

    def group(self, family: str, number: int) -> str:
        """Return the name of what a family's test is about."""
        if family == "query":
            return self.query(number)
        if family in ("whole", "monolingual"):
            return "" if family == "whole" else "those within a language"
        if family == "setting":
            return f"setting {population_names(self.ranks)[number]}"
        return f"{family} {self.ranks.languages[number]}"


def population_names(ranks: Ranks) -> list[str]:
    """Return the names of a table's populations: a language, or a setting such as "de to en"."""
    populations = populations_of(ranks)
    if populations.asked is None:
        return list(ranks.languages)
    settings = zip(populations.asked.tolist(), populations.language.tolist(), strict=True)
    return [f"{ranks.languages[asked]} to {ranks.languages[other]}" for asked, other in settings]


def certain_checks(found: Agreement, claims: Claims, names: Names) -> tuple[Check, Check]:
    """Return the checks that allow no chance: order and bounds."""
    return (
        _certain("order", found.disorder, lambda row: _misplaced(claims, names, row)),
        _certain("bounds", found.exceeded, lambda *cell: _excess(found, claims, names, *cell)),
    )


def _certain(name: str, wrong: Bools, example: Callable[..., str]) -> Check:
    """Return the check that nothing is marked; ``example`` tells of the first that is."""
    marked = np.argwhere(wrong)
    return Check(
        name=name,
        agrees=not len(marked),
        compared=wrong.size,
        differing=len(marked),
        example=example(*marked[0]) if len(marked) else "",
    )


def _misplaced(claims: Claims, names: Names, row: int) -> str:
    return f"{names.row(row)} is not in place {claims.place[row]}"


def _excess(found: Agreement, claims: Claims, names: Names, row: int, language: int) -> str:
    above, tied = claims.above[row, language], claims.tied[row, language]
    below = claims.others()[row, language] - above - tied
    seen = found.seen
    return (
        f"{names.row(row)}: of {plural(seen.encoded[row, language], 'passage')} in "
        f"{names.ranks.languages[language]}, {seen.above[row, language]} above, "
        f"{seen.level[row, language]} above or level, {seen.below[row, language]} below; "
        f"of all, the table has {above}, {above + tied} and {below}"
    )


def evidence_checks(found: Agreement, names: Names) -> tuple[Check, ...]:
    """Return the checks that rest on the drawn passages."""
    return tuple(
        Check(
            name=family,
            agrees=worst.agrees,
            compared=worst.tests,
            evidence=round(worst.evidence, 2),
            threshold=round(worst.threshold, 2),
            example="" if worst.agrees else evidence_example(worst, family, names),
        )
        for family, worst in found.families.items()
    )


def evidence_example(worst: Worst, family: str, names: Names) -> str:
    """Say in words what the strongest evidence of a family of tests is."""
    group = names.group(family, worst.group)
    cells = "" if worst.cells == "all" else f", {worst.cells} counts"
    weight = ", good ranks weighted" if worst.weight == "top" else ""
    said = f"more passages {worst.side} than the table counts{cells}{weight}"
    return f"{group}: {said}" if group else said


def table_checks(
    theirs: Ranks, ours: Ranks, collection: Collection, embedded: Embedded, tolerance: Tolerance
) -> tuple[tuple[Check, ...], float]:
    """Compare the tables of two runs on all texts; also return the share of comparisons that are
    too close to call; queries that are the same count as decided.

    Rows that differ agree where rounding explains it.
    """
    places = find_places(theirs, collection)
    one, other = _counts(theirs, places), _counts(ours, find_places(ours, collection))
    differing = np.any(one != other, axis=1)
    if not differing.any():
        return (Check("rows", True, len(one), 0),), 0.0
    queries = np.unique(theirs.query[_order(theirs, places)[differing]])
    claims, rows = claims_of(theirs, queries)
    vectors = Vectors(
        queries=embedded.queries[places.query[queries]],
        passages=embedded.passages,
        starts=cuts_of(collection),
        relevant=places.passage[rows],
        drawn=np.zeros(0, np.int64),
        edges=np.zeros(len(claims.populations) + 1, np.int64),
    )
    found = compare(claims, vectors, tolerance)
    order, bounds = certain_checks(found, claims, Names(theirs, queries, rows))
    rows_check = Check(
        name="rows",
        agrees=order.agrees and bounds.agrees,
        compared=len(one),
        differing=int(differing.sum()),
        example=f"places and counts differ by {np.abs(one - other).max():,} at most",
    )
    return (rows_check, order, bounds), found.undecided * len(rows) / len(one)


def _order(ranks: Ranks, places: Places) -> Ints:
    return np.lexsort((places.passage, places.query[ranks.query]))


def _counts(ranks: Ranks, places: Places) -> Ints:
    """Return place, above and tied of each row, in the order of the collection's pairs."""
    columns = np.column_stack([ranks.place, ranks.above, ranks.tied]).astype(np.int64)
    ordered: Ints = columns[_order(ranks, places)]
    return ordered


def macro_difference(
    theirs: Ranks, ours: Ranks, settings: Sequence[Setting], measures: Sequence[str]
) -> float:
    """Return the largest difference of a macro score between two tables of one collection, and of
    rank distance as a share of that of a random order."""
    parsed = parse_measures(measures)
    one, other = (compute_scores(ranks, settings, parsed) for ranks in (theirs, ours))
    again_of = other.macro | other.directions
    differences = [
        abs(score.value - again_of[over][name].value)
        for over, of in (one.macro | one.directions).items()
        for name, score in of.items()
    ]
    distance, again = one.bias.rank_distance, other.bias.rank_distance
    if distance and again and one.bias.random:
        differences.append(abs(distance.value - again.value) / one.bias.random)
    return max(differences)
