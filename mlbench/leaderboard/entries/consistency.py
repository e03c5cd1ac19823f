"""Whether a table of ranks can have come from scores at all.

Any scores give a table with these properties, and a table with them comes from some scores of
each query, language by language:

- places are those of a competition: 1, and after n passages n + 1, or the same as the one before;
- passages in equal places have equal scores, so equal counts in every language;
- all that scores at least as r1 scores more than an r2 below it, so ``above + tied`` of r1 is at
  most ``above`` of r2, in every language;
- no more non-relevant passages outrank than the language has.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mlbench.leaderboard.entries.names import visible
from mlbench.ranking.ranks import Ranks

Bools = npt.NDArray[np.bool_]
MOST_SHOWN = 3


def table_faults(ranks: Ranks) -> Iterator[tuple[str, str, str]]:
    """Yield where, found and expected of what contradicts itself; some rows of each kind."""
    above, tied = ranks.above.astype(np.int64), ranks.tied.astype(np.int64)
    query = ranks.query
    at_hand = ranks.pool_sizes - _relevant(ranks)
    same_query = np.append(False, query[1:] == query[:-1])
    before = np.arange(len(query)) - 1
    same_place = same_query & (ranks.place == ranks.place[before])
    index = np.arange(len(query)) - ranks.starts[query]
    lower = (same_query & ~same_place)[:, None]
    for name, wrong, expected in (
        ("above", above < 0, "counts from 0"),
        ("tied", tied < 0, "counts from 0"),
        ("above + tied", above + tied > at_hand[query], "at most the non-relevant passages"),
        ("above", same_place[:, None] & (above != above[before]), "those of its equal in place"),
        ("tied", same_place[:, None] & (tied != tied[before]), "those of its equal in place"),
        (
            "above",
            lower & (above[before] + tied[before] > above),
            "at least above + tied of the passage before it",
        ),
    ):
        for row, column in np.argwhere(wrong)[:MOST_SHOWN]:
            found = f"above {above[row, column]}, tied {tied[row, column]}"
            yield f"{_row(ranks, row)}, {name}, {ranks.languages[column]}", found, expected
    for row in np.flatnonzero(~same_place & (ranks.place != index + 1))[:MOST_SHOWN]:
        yield f"{_row(ranks, row)}, place", f"{ranks.place[row]}", f"{index[row] + 1}"
    for row in _out_of_order(ranks, same_place)[:MOST_SHOWN]:
        yield _row(ranks, row), "out of order", "equal places by relevance, language, passage id"


def _relevant(ranks: Ranks) -> npt.NDArray[np.int64]:
    """Return the number of relevant passages of each query in each language."""
    size = len(ranks.languages)
    cells = ranks.query * size + ranks.passage_language
    return np.bincount(cells, minlength=len(ranks.query_ids) * size).reshape(-1, size)


def _out_of_order(ranks: Ranks, same_place: Bools) -> list[int]:
    """Return rows that stand after one of equal place that they should stand before."""

    def key(row: int) -> tuple[int, int, str]:
        language = int(ranks.passage_language[row])
        return int(ranks.relevance[row]), language, ranks.passage_ids[row]

    return [row for row in np.flatnonzero(same_place).tolist() if key(row) <= key(row - 1)]


def _row(ranks: Ranks, row: int) -> str:
    query = ranks.query[row]
    language = ranks.languages[ranks.query_language[query]]
    return visible(f"row {row} (query {language} {ranks.query_ids[query]})")
