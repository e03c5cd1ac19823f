"""Tables and vectors of a parallel task, and a sample of them, for tests of verification."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from mlbench.data.collection import Collection
from mlbench.leaderboard.verifying.agreement import Agreement, Tolerance, compare
from mlbench.leaderboard.verifying.samples import draw, part_of
from mlbench.models.encoding import Embedded
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranks
from tests.support.reports import collection_of, languages, vectors

FLOAT32 = Tolerance(1e-5)


@cache
def problem(seed: int = 0, noise: float = 4.0, questions: int = 150):
    """A collection of three languages, vectors of a middling model, and its table."""
    collection = collection_of(languages(3), questions)
    sides = vectors(collection, noise=noise, seed=seed)
    return collection, sides, rank_collection(collection, *sides)[0]


def sampled(
    collection: Collection,
    sides,
    ranks: Ranks,
    seed: int = 0,
    size: tuple[int, int] = (60, 60),
    tolerance: Tolerance = FLOAT32,
    rounding: float = 1e-6,
) -> Agreement:
    """Hold a table against a sample of vectors that are rounded otherwise."""
    generator = np.random.default_rng(seed)
    part = part_of(ranks, collection, draw(ranks, collection, *size, seed))
    other = [
        (side * (1 + rounding * generator.standard_normal(side.shape))).astype(np.float32)
        for side in (sides[0][part.queries], sides[1][part.passages])
    ]
    return compare(part.claims, part.vectors(Embedded(*other, (), {})), tolerance)


def lowered(ranks: Ranks, share: float, where: object = True) -> Ranks:
    """The table with counts lower by a share, rounded to the nearest."""
    counts = np.rint(ranks.above * (1 - share)).astype(np.int32)
    return replace(ranks, above=np.where(where, counts, ranks.above))
