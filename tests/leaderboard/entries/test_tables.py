"""What a table must keep to, held against every table that scores can give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.leaderboard.entries.tables import table_faults
from mlbench.ranking.ranks import Ranks
from tests.support.reports import collection_of, languages, report_of, vectors

POOL = (2, 2)
"""Passages of each of two languages; the first of each is relevant to the one query."""

Row = tuple[int, int, int, int, int, int]
"""Passage language, place, above in both languages, tied in both languages."""


def table(rows: tuple[Row, ...]) -> Ranks:
    """One query with two relevant passages, p0 in either language."""
    values = np.array(rows)
    return Ranks(
        languages=("aa", "bb"),
        pool_sizes=np.array(POOL),
        judged=np.array([1, 0]),
        query_ids=("q",),
        query_groups=("",),
        query_language=np.zeros(1, np.int16),
        starts=np.array([0, len(rows)]),
        passage_ids=("p0",) * len(rows),
        passage_language=values[:, 0].astype(np.int16),
        relevance=np.ones(len(rows), np.int32),
        place=values[:, 1].astype(np.int32),
        above=values[:, 2:4].astype(np.int32),
        tied=values[:, 4:6].astype(np.int32),
    )


def tables_of_scores() -> set[tuple[Row, ...]]:
    """Every table that some scores of the four passages give, by counting."""
    found = set()
    for scores in itertools.product(range(4), repeat=4):
        relevant = {0: scores[0], 1: scores[1]}
        others = ((scores[2],), (scores[3],))
        rows = []
        for language, score in relevant.items():
            place = 1 + sum(other > score for other in relevant.values())
            above = [sum(x > score for x in of) for of in others]
            tied = [sum(x == score for x in of) for of in others]
            rows.append((language, place, *above, *tied))
        found.add(tuple(sorted(rows, key=lambda row: (row[1], row[0]))))
    return found


def test_a_table_passes_if_and_only_if_some_scores_give_it() -> None:
    possible = tables_of_scores()
    counts = list(itertools.product(range(-1, 3), range(2), range(2), range(2)))
    for order in ((0, 1), (1, 0)):
        for places in ((1, 1), (1, 2), (2, 1), (2, 2), (1, 3)):
            for first, second in itertools.product(counts, repeat=2):
                rows = ((order[0], places[0], *first), (order[1], places[1], *second))
                consistent = not any(table_faults(table(rows)))
                assert consistent == (rows in possible), rows


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans(), st.sampled_from([0.0, 1.0, 5.0]))
def test_what_a_model_gives_is_consistent(seed: int, count: int, apart: bool, noise: float) -> None:
    collection = collection_of(languages(count), 6, apart and count > 1)
    encoded = vectors(collection, noise, seed=seed)
    rounded = tuple(np.round(side * 2) / 2 for side in encoded)  # many ties
    for side in (encoded, rounded):
        _, ranks = report_of(collection, side, measures=("AP",))  # type: ignore[arg-type]
        assert list(table_faults(ranks)) == []


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.data())
def test_a_count_that_falls_along_a_query_is_found(seed: int, data: st.DataObject) -> None:
    collection = collection_of(languages(3), 6)
    _, ranks = report_of(collection, vectors(collection, 3.0, seed=seed), measures=("AP",))
    row = data.draw(st.sampled_from([r for r in range(1, 54) if ranks.place[r] > 1]))
    column = data.draw(st.integers(0, 2))
    if ranks.above[row - 1, column] + ranks.tied[row - 1, column] == 0:
        return
    ranks.above[row, column] = ranks.above[row - 1, column] + ranks.tied[row - 1, column] - 1
    assert any(key.startswith(f"row {row} ") for key, *_ in table_faults(ranks))


def test_a_fault_names_row_query_column_and_language() -> None:
    (fault,) = table_faults(table(((0, 1, 0, 0, 0, 0), (1, 2, 0, 2, 0, 0))))
    assert fault == (
        "row 1 (query aa q), above + tied, bb",
        "above 2, tied 0",
        "at most the non-relevant passages",
    )


def test_counts_near_the_end_of_int32_do_not_wrap_round() -> None:
    most = 2**31 - 1
    found = list(table_faults(table(((0, 1, most, 0, most, 0), (1, 2, most, 0, most, 0)))))
    assert ("row 0 (query aa q), above + tied, aa") in [key for key, *_ in found]


@pytest.mark.parametrize("relevance", [(2, 1), (1, 1)])
def test_equal_places_out_of_order_are_found(relevance: tuple[int, int]) -> None:
    ranks = table(((1, 1, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0)))
    ranks.relevance[:] = relevance
    assert [key for key, *_ in table_faults(ranks)] == ["row 1 (query aa q)"]
