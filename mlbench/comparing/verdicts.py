"""What differences show: better, worse or nothing; places among several models, and groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.comparing.quantities import Quantity
from mlbench.measures.significance import ALPHA

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"


@dataclass(frozen=True)
class Value:
    """One model's score on one quantity, with its 95% interval."""

    model: str
    quantity: Quantity
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """``model`` minus ``against`` on one quantity.

    ``least`` is the smallest difference that the data would have shown (80% power, 5% level);
    ``corrected`` is p corrected over the family: all pairs of models and, for means by query
    language or single settings, all of those of the kind. The verdict is about ``model``.
    """

    model: str
    against: str
    quantity: Quantity
    difference: float
    low: float
    high: float
    p: float
    corrected: float
    least: float
    verdict: str


@dataclass(frozen=True)
class Standing:
    """A model's place among all on one quantity: from ``best`` to ``worst``, 1 is first.

    Models that share a letter in ``groups`` cannot be told apart.
    """

    model: str
    quantity: Quantity
    value: float
    best: int
    worst: int
    groups: str


def label(number: int) -> str:
    """Return A, B, ..., Z, AA, AB, ... for 0, 1, ..."""
    head, tail = divmod(number, 26)
    return (label(head - 1) if head else "") + chr(ord("A") + tail)


def verdict(quantity: Quantity, low: float, high: float, p: float) -> str:
    """Return what a difference shows: better or worse where p is at most 0.05 and 0 lies outside
    the interval; the direction is the measure's."""
    if p > ALPHA or low <= 0 <= high or math.isnan(low):
        return NOT_SHOWN
    return BETTER if (low > 0) != quantity.lower_is_better else WORSE


def standings(scores: Sequence[Value], differences: Sequence[Difference]) -> list[Standing]:
    """Return each model's rank interval on each macro mean, best first; none for two models."""
    labels = list(dict.fromkeys(score.model for score in scores))
    macro = dict.fromkeys(v.quantity for v in scores if v.quantity.query_language is None)
    placed: list[Standing] = []
    for quantity in macro if len(labels) > 2 else ():
        verdicts = {(d.model, d.against): d.verdict for d in differences if d.quantity == quantity}
        better = np.zeros((len(labels), len(labels)), bool)
        for (model, against), shown in verdicts.items():
            if shown != NOT_SHOWN:
                winner, loser = (model, against) if shown == BETTER else (against, model)
                better[labels.index(winner), labels.index(loser)] = True
        best, worst = (
            dict(zip(labels, at.tolist(), strict=True)) for at in place_intervals(better)
        )
        values = {v.model: v.value for v in scores if v.quantity == quantity}
        ranked = sorted(labels, key=values.__getitem__, reverse=not quantity.lower_is_better)
        letters = group_letters(
            ranked, {pair for pair, shown in verdicts.items() if shown == NOT_SHOWN}
        )
        placed += [
            Standing(name, quantity, values[name], best[name], worst[name], letters[name])
            for name in ranked
        ]
    return placed


def place_intervals(better: Bools) -> tuple[Ints, Ints]:
    """Return the best and the worst place of n models, from ``better`` (n, n): a beats b.

    At its best a model is behind those shown to be better only, at its worst before those shown
    to be worse only (Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91, 2024).
    """
    return 1 + better.sum(0), len(better) - better.sum(1)


def group_letters(ranked: Sequence[str], alike: set[tuple[str, str]]) -> dict[str, str]:
    """Return letters such that two models share one exactly where they cannot be told apart.

    A letter is a largest set of models of which no two can be told apart (a compact letter
    display; Piepho, Journal of Computational and Graphical Statistics 13, 2004). ``ranked`` is
    best first, which the letters follow.
    """
    near = {
        name: {other for other in ranked if (name, other) in alike or (other, name) in alike}
        for name in ranked
    }
    groups = sorted(
        _cliques([], list(ranked), [], near), key=lambda g: sorted(map(ranked.index, g))
    )
    return {
        name: "".join(label(i).lower() for i, group in enumerate(groups) if name in group)
        for name in ranked
    }


def _cliques(
    chosen: list[str], candidates: list[str], done: list[str], near: dict[str, set[str]]
) -> list[list[str]]:
    """Return all maximal cliques (Bron and Kerbosch 1973)."""
    if not candidates and not done:
        return [chosen]
    found = []
    for i, name in enumerate(candidates):
        found += _cliques(
            [*chosen, name],
            [other for other in candidates[i + 1 :] if other in near[name]],
            [other for other in itertools.chain(done, candidates[:i]) if other in near[name]],
            near,
        )
    return found
