"""Measures over one query's grades in ranked order, each as its definition reads."""

from __future__ import annotations

import math
from collections.abc import Sequence


def average_precision(grades: Sequence[int], k: int | None = None, rel: int = 1) -> float:
    relevant = sum(g >= rel for g in grades)
    found, total = 0, 0.0
    for rank, grade in enumerate(grades[:k], 1):
        if grade >= rel:
            found += 1
            total += found / rank
    return total / relevant if relevant else 0.0


def reciprocal_rank(grades: Sequence[int], k: int | None = None, rel: int = 1) -> float:
    for rank, grade in enumerate(grades[:k], 1):
        if grade >= rel:
            return 1 / rank
    return 0.0


def recall(grades: Sequence[int], k: int) -> float:
    return sum(g > 0 for g in grades[:k]) / sum(g > 0 for g in grades)


def precision(grades: Sequence[int], k: int) -> float:
    return sum(g > 0 for g in grades[:k]) / k


def success(grades: Sequence[int], k: int) -> float:
    return float(any(g > 0 for g in grades[:k]))


def r_precision(grades: Sequence[int]) -> float:
    relevant = sum(g > 0 for g in grades)
    return sum(g > 0 for g in grades[:relevant]) / relevant


def ndcg(grades: Sequence[int], k: int | None = None) -> float:
    def gain(ordered: Sequence[int]) -> float:
        return sum(max(g, 0) / math.log2(i + 1) for i, g in enumerate(ordered[:k], 1))

    return gain(grades) / gain(sorted(grades, reverse=True))


BY_NAME = {
    "AP": average_precision,
    "AP@5": lambda g: average_precision(g, 5),
    "AP(rel=2)": lambda g: average_precision(g, rel=2),
    "RR": reciprocal_rank,
    "RR@3": lambda g: reciprocal_rank(g, 3),
    "nDCG": ndcg,
    "nDCG@10": lambda g: ndcg(g, 10),
    "R@1": lambda g: recall(g, 1),
    "R@10": lambda g: recall(g, 10),
    "P@5": lambda g: precision(g, 5),
    "Success@1": lambda g: success(g, 1),
    "Success@5": lambda g: success(g, 5),
    "Rprec": r_precision,
}
