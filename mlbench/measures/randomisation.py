"""Paired randomisation tests over questions, corrected for several looks at once. Arrays only.

Were two models equally good, each question (with all its languages) could as well have gone to
the one as to the other: swapping a question's results turns the sign of what it adds to the
difference. The p value is the share of such swaps that give a difference at least as large
(Fisher 1935; Smucker, Allan and Carterette, CIKM 2007).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.threads import one_blas_thread
from mlbench.measures.significance import (
    ALPHA,
    CHUNK,
    DRAWS,
    MOST_FILLED,
    POWER,
    SEED,
    Groups,
    Values,
    draws_at_a_time,
)

ROUNDING = 1e-9
"""Relative difference of two sums of the same numbers that is taken for rounding."""
FEWEST = 6
"""Fewest questions that can show anything: of 2**5 sign patterns, 2 are as extreme (p = 0.06)."""


@dataclass(frozen=True)
class Randomised:
    """p values of every pair of models (row) and group (column), float64, in 0..1.

    ``pairs`` holds the indices of the two models of a row; ``difference`` is second minus first.
    ``corrected`` holds p for a whole family: all pairs of the groups that were named together.
    """

    pairs: tuple[tuple[int, int], ...]
    difference: Values
    p: Values
    corrected: Values


def contributions(groups: Groups, clusters: int) -> Values:
    """Return what each cluster adds to each group's macro mean, float64 (clusters, groups).

    The sum over the clusters is the macro mean over the settings that have a query.
    """
    shares = np.zeros((clusters, len(groups)))
    for group, samples in enumerate(groups):
        present = [sample for sample in samples if len(sample.values)]
        for sample in present:
            size = len(sample.values) * len(present)
            shares[:, group] += np.bincount(sample.cluster, sample.values, clusters) / size
    return shares


def randomisation_test(
    shares: Values,
    families: Sequence[Sequence[int]],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    holm: bool = False,
) -> Randomised:
    """Test every pair of models two-sided, all on the same sign flips of whole clusters.

    ``shares`` (models, clusters, groups) holds the ``contributions`` of each model; a family is
    the groups corrected together, over all pairs: by the largest studentised difference of each
    draw (single-step max-T, Westfall and Young 1993), or by ``holm`` (1979). With c of n draws
    at least as extreme p is (c + 1) / (n + 1), never 0 (Phipson and Smyth 2010).
    """
    pairs = tuple(itertools.combinations(range(len(shares)), 2))
    first, second = np.array(pairs, np.intp).T
    each = [shares[j] - shares[i] for i, j in pairs]
    difference = np.stack([part.sum(0) for part in each])
    scale = np.stack([np.sqrt((part**2).sum(0)) for part in each])
    observed = _studentised(difference, scale)
    reached = observed * (1 - ROUNDING)
    count, family_count = np.zeros((2, *difference.shape), np.int64)
    blocks = _blocks(shares)
    for signs in drawn_signs(shares.shape[1], draws=draws, seed=seed):
        flipped = _flipped(signs, blocks, shares.shape)
        drawn = _studentised(flipped[:, second] - flipped[:, first], scale)
        count += (drawn >= reached).sum(0)
        for family in families:
            largest = drawn[:, :, family].max((1, 2))
            family_count[:, family] += (largest[:, None, None] >= reached[:, family]).sum(0)
    p = (count + 1) / (draws + 1)
    corrected = (family_count + 1) / (draws + 1)
    if holm:
        for family in families:
            corrected[:, family] = holm_corrected(p[:, family])
    return Randomised(pairs, difference, p, corrected)


class Block(NamedTuple):
    """Rows (clusters) and columns (groups) of shares, and what stands in them: float64 (rows,
    models x columns)."""

    rows: slice
    columns: npt.NDArray[np.intp]
    shares: Values


def _blocks(shares: Values) -> list[Block]:
    """Return blocks that hold all of ``shares`` that is not 0.

    Groups of few clusters that stand together, such as the settings of a pair, are flipped with
    these alone.
    """
    clusters = shares.shape[1]
    filled = (shares != 0).any(0)
    first, last = filled.argmax(0), clusters - filled[::-1].argmax(0)
    thin = last - first <= MOST_FILLED * clusters
    found = [(slice(0, clusters), np.flatnonzero(~thin))]
    begin = end = 0
    members: list[int] = []
    for group in [i for i in np.argsort(first, kind="stable") if thin[i]]:
        if members and first[group] >= end:
            found.append((slice(begin, end), np.array(members)))
            members = []
        begin, end = (begin, max(end, last[group])) if members else (first[group], last[group])
        members.append(group)
    found.append((slice(begin, end), np.array(members, np.intp)))
    return [
        Block(rows, columns, np.concatenate(shares[:, rows][:, :, columns], axis=1))
        for rows, columns in found
        if len(columns)
    ]


def _flipped(signs: Values, blocks: Sequence[Block], shape: tuple[int, int, int]) -> Values:
    """Return each model's sum of signed shares: (draws, models, groups)."""
    models, _, groups = shape
    flipped = np.empty((len(signs), models, groups))
    with one_blas_thread():  # more wait for each other longer than they work
        for rows, columns, shares in blocks:
            sums = signs[:, rows] @ shares
            flipped[:, :, columns] = sums.reshape(len(signs), models, len(columns))
    return flipped


def drawn_signs(clusters: int, *, draws: int = DRAWS, seed: int = SEED) -> Iterator[Values]:
    """Yield 1 or -1 for each draw and cluster: float64 (draws, clusters), some draws at a time."""
    step = draws_at_a_time(clusters)
    for bits in sign_bits(clusters, draws=draws, seed=seed):
        for start in range(0, len(bits), step):
            signs = bits[start : start + step].astype(np.float64)
            signs *= 2
            signs -= 1
            yield signs


def sign_bits(
    clusters: int, *, draws: int = DRAWS, seed: int = SEED
) -> Iterator[npt.NDArray[np.int8]]:
    """Yield 1 for a sign that stays and 0 for one that turns: int8 (draws, clusters), ``CHUNK``
    draws at a time, on which the random numbers depend."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, CHUNK):
        yield generator.integers(0, 2, (min(CHUNK, draws - start), clusters), np.int8)


def _studentised(difference: Values, scale: Values) -> Values:
    """Return |difference| over its spread under sign flips, which they leave as it is; 0 for 0/0.

    A difference without spread can only be one of rounding.
    """
    result: Values = np.divide(
        np.abs(difference), scale, out=np.zeros_like(difference), where=scale > 0
    )
    return result


def holm_corrected(p: npt.ArrayLike) -> Values:
    """Return p values corrected for their number by Holm's step-down method, in their shape."""
    values = np.asarray(p, np.float64)
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    stepped = np.maximum.accumulate(flat[order] * np.arange(len(flat), 0, -1))
    result = np.empty_like(flat)
    result[order] = np.minimum(stepped, 1)
    return result.reshape(values.shape)


def smallest_shown(error: Values) -> Values:
    """Return the smallest true difference that data with this standard error would show.

    Detected at the 5% level, two-sided, in 80 of 100 such collections: (1.96 + 0.84) times the
    standard error (Sakai, Information Retrieval Journal 19, 2016).
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)) * error
