"""Scores and tables the slow way: every score of every pair, one loop a definition."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from mlbench.data.collection import Collection
from mlbench.ranking.counting import relevant_pairs

Vectors = npt.NDArray[np.float32] | Sequence[npt.NDArray[np.float32]]


def exact_score(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """The definition: 32 lanes of float64 sums of exact products, folded in halves."""
    lanes = [0.0] * 32
    for i, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        lanes[i % 32] += x * y
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [low + high for low, high in zip(lanes[:half], lanes[half:], strict=True)]
    return lanes[0]


def true_score(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> Fraction:
    """The dot product as a rational number, without any rounding."""
    return sum(
        (Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)),
        Fraction(0),
    )


def maxsim(query: npt.NDArray[np.float32], passage: npt.NDArray[np.float32]) -> float:
    """The definition: the exact score of each query token with its best passage token, added in
    the order of the query's tokens."""
    total = 0.0
    for token in query:
        total += max(exact_score(token, other) for other in passage)
    return total


def all_scores(queries: Vectors, passages: Vectors) -> list[list[float]]:
    """Every score: of rows, or of texts of several vectors each."""
    score = exact_score if isinstance(queries, np.ndarray) else maxsim
    return [[score(q, p) for p in passages] for q in queries]


def table(
    collection: Collection, queries: Vectors, passages: Vectors
) -> tuple[list[int], list[list[int]], list[list[int]]]:
    """Place, above and tied of every relevant pair, in the order of ``relevant_pairs``."""
    pairs, _ = relevant_pairs(collection)
    scores = all_scores(queries, passages)
    relevant: dict[int, set[int]] = {}
    for q, p in zip(pairs.query.tolist(), pairs.passage.tolist(), strict=True):
        relevant.setdefault(q, set()).add(p)
    place, above, tied = [], [], []
    for q, p in zip(pairs.query.tolist(), pairs.passage.tolist(), strict=True):
        up, level = [0] * len(collection.languages), [0] * len(collection.languages)
        for other in range(len(passages)):
            if other not in relevant[q]:
                language = int(collection.passages.language[other])
                up[language] += scores[q][other] > scores[q][p]
                level[language] += scores[q][other] == scores[q][p]
        place.append(1 + sum(scores[q][other] > scores[q][p] for other in relevant[q]))
        above.append(up)
        tied.append(level)
    return place, above, tied


def pessimistic_order(
    scores: npt.NDArray[np.float64], grades: npt.NDArray[np.int64], *, optimistic: bool = False
) -> npt.NDArray[np.int64]:
    """Indices from the highest score down; among equals, lower (or higher) grades first."""
    grade = -grades if optimistic else grades
    return np.lexsort((grade, -scores))
