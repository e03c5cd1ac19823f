"""Which places models can have, and which of them cannot be told apart, from who beats whom."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def label(number: int) -> str:
    """Return A, B, ..., Z, AA, AB, ... for 0, 1, ..."""
    head, tail = divmod(number, 26)
    return (label(head - 1) if head else "") + chr(ord("A") + tail)


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
