"""Fusion by ranks: what a place in a ranking is worth, and the methods that add that up.

The methods are those of ranx, which gives passages of equal score the places in which it happens to
find them. Here passages that a run ties share what their places are worth: each gets the mean, as
passages that a run does not have do in Borda's count. So names and the order of lines say nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mlbench.runs.reading import Floats, Ints

Ranking = tuple[Ints, Floats]
"""Numbers of passages and their scores, of one length."""
Worth = Callable[[Floats, int, Mapping[str, float]], Floats]
"""What places from 1 are worth, given the number of places and the parameters of the method."""
Factor = Callable[[Floats, Mapping[str, float]], Floats]
"""By what a sum is multiplied, given the number of runs that have a passage, and parameters."""


def _square(place: Floats, places: int, given: Mapping[str, float]) -> Floats:
    return 1 / place**2


def _points(place: Floats, places: int, given: Mapping[str, float]) -> Floats:
    return places - place + 1


METHODS: Mapping[str, tuple[Worth, Factor | None]] = {
    "rrf": (lambda place, places, given: 1 / (given["k"] + place), None),
    "isr": (_square, lambda runs, given: runs),
    "log_isr": (_square, lambda runs, given: np.log(runs)),
    "logn_isr": (_square, lambda runs, given: np.log(runs + given["sigma"])),
    "rbc": (lambda place, places, given: (1 - given["phi"]) * given["phi"] ** (place - 1), None),
    "bordafuse": (_points, None),
    "w_bordafuse": (_points, None),
}
"""Method -> what a place is worth, and by what the sum over runs is multiplied."""
BY_VOTE = ("condorcet", "w_condorcet")
TO_ALL = ("bordafuse", "w_bordafuse", "borda")
"""In these a run gives something to every passage: those that it lacks share the last places."""
NORMS = ("rank", "borda")
"""Normalisations of ranx that take ranks."""


def fuse_ranks(
    rankings: Sequence[Ranking],
    method: str,
    parameters: Mapping[str, float],
    weights: Sequence[float] | None,
) -> dict[int, float]:
    """Return the fused score of every passage of a query, ranked by each of some runs."""
    every = np.unique(np.concatenate([passage for passage, _ in rankings]))
    shares = [1.0] * len(rankings) if weights is None else weights
    if method in BY_VOTE:
        return _by_majority(rankings, every, shares)
    worth, factor = METHODS[method]
    total, runs = np.zeros(len(every)), np.zeros(len(every))
    for ranking, share in zip(rankings, shares, strict=True):
        passage, score = completed(ranking, every) if method in TO_ALL else ranking
        places = np.arange(1.0, len(passage) + 1)
        at = np.searchsorted(every, passage)
        total[at] += share * shared(worth(places, len(passage), parameters), score)
        runs[at] += 1
    fused = total if factor is None else total * factor(runs, parameters)
    return dict(zip(every.tolist(), fused.tolist(), strict=True))


def normalised(rankings: Sequence[Ranking], norm: str) -> list[Ranking]:
    """Return a query's rankings with scores from 1 down by rank, by one of ``NORMS``."""
    every = np.unique(np.concatenate([passage for passage, _ in rankings]))
    found = []
    for ranking in rankings:
        passage, score = completed(ranking, every) if norm in TO_ALL else ranking
        found.append((passage, shared(1 - np.arange(len(passage)) / len(passage), score)))
    return found


def shared(worth: Floats, score: Floats) -> Floats:
    """Return what passages get of ``worth`` (n,), by place, for their scores (n,): the mean over
    the places that those of one score take together."""
    _, tie, count = np.unique(-score, return_inverse=True, return_counts=True)
    means: Floats = np.add.reduceat(worth, np.cumsum(count) - count) / count
    return means[tie]


def completed(ranking: Ranking, every: Ints) -> Ranking:
    """Return a ranking of ``every`` passage, sorted, those that it lacks tied at its end."""
    passage, score = ranking
    scores = np.full(len(every), -np.inf)
    scores[np.searchsorted(every, passage)] = score
    return every, scores


def _by_majority(
    rankings: Sequence[Ranking], every: Ints, weights: Sequence[float]
) -> dict[int, float]:
    """Sort passages by which of two more runs score higher; at equal votes by number, descending.

    A run that ties two, or lacks both, has no vote. A majority can go round in a circle; then the
    order is what sorting makes of it.
    """
    scores = [completed(ranking, every)[1].tolist() for ranking in rankings]
    voters = list(zip(weights, scores, strict=True))

    def compare(x: int, y: int) -> int:
        votes: float = sum(weight * ((of[y] > of[x]) - (of[x] > of[y])) for weight, of in voters)
        return int(votes > 0) - int(votes < 0)

    order = sorted(range(len(every) - 1, -1, -1), key=functools.cmp_to_key(compare))
    return {int(every[i]): float(len(every) - place) for place, i in enumerate(order)}
