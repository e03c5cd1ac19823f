"""What a comparison found, as checks that name queries and passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.data.collection import Collection
from mlbench.data.task import Setting
from mlbench.leaderboard.verifying.agreement import Agreement, Worst, compare
from mlbench.leaderboard.verifying.betting import Ints
from mlbench.leaderboard.verifying.reencoded import Claims, Tolerance, Vectors
from mlbench.leaderboard.verifying.samples import Places, claims_of, find_places
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
        return "" if family == "whole" else f"{family} {self.ranks.languages[number]}"


def certain_checks(found: Agreement, claims: Claims, names: Names) -> tuple[Check, Check]:
    """Return the checks that allow no chance: order and bounds."""
    rows = np.flatnonzero(found.disorder)
    order = Check(
        name="order",
        agrees=not len(rows),
        compared=len(found.disorder),
        differing=len(rows),
        example=f"{names.row(rows[0])} is not in place {claims.place[rows[0]]}"
        if len(rows)
        else "",
    )
    cells = np.argwhere(found.exceeded)
    bounds = Check(
        name="bounds",
        agrees=not len(cells),
        compared=found.exceeded.size,
        differing=len(cells),
        example=_excess(found, claims, names, *cells[0]) if len(cells) else "",
    )
    return order, bounds


def _excess(found: Agreement, claims: Claims, names: Names, row: int, language: int) -> str:
    above, tied = claims.above[row, language], claims.tied[row, language]
    below = claims.others()[row, language] - above - tied
    seen = found.seen
    return (
        f"{names.row(row)}: of {seen.encoded[row, language]} passages in "
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
            example="" if worst.agrees else _test(worst, names.group(family, worst.group)),
        )
        for family, worst in found.families.items()
    )


def _test(worst: Worst, group: str) -> str:
    cells = "" if worst.cells == "all" else f", {worst.cells} counts"
    weight = ", good ranks weighted" if worst.weight == "top" else ""
    said = f"more passages {worst.side} than the table counts{cells}{weight}"
    return f"{group}: {said}" if group else said


def table_checks(
    theirs: Ranks, ours: Ranks, collection: Collection, embedded: Embedded, tolerance: Tolerance
) -> tuple[tuple[Check, ...], float]:
    """Compare the tables of two runs on all texts; also return the share of comparisons that are
    too close to call, of queries that differ.

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
        starts=collection.passages.starts,
        relevant=places.passage[rows],
        drawn=np.zeros(0, np.int64),
        edges=np.zeros(len(collection.languages) + 1, np.int64),
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
    return (rows_check, order, bounds), found.undecided


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
    """Return the largest difference of a macro score between two tables of one collection."""
    parsed = parse_measures(measures)
    one, other = (compute_scores(ranks, settings, parsed).macro for ranks in (theirs, ours))
    return max(
        abs(score.value - other[kind][name].value)
        for kind, of_kind in one.items()
        for name, score in of_kind.items()
    )
