"""Where models stand in each single setting: scores with intervals, places, and what ties decide.

It is decided as on the board, for each setting by itself: on the same draws and signs of questions,
corrected for all pairs of models in the setting, not for how many settings there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mlbench.comparing.places import Bools, Ints
from mlbench.comparing.rank_intervals import drawn_groups, flipped_sums, rank_intervals
from mlbench.leaderboard.ranking.columns import Measured
from mlbench.leaderboard.ranking.rows import Cell
from mlbench.measures.randomisation import contributions
from mlbench.measures.significance import DRAWS, MacroMeans, Sample, Values, mean, percentiles
from mlbench.reports.reading import HEAVY_TIES

MOST_DRAWN = 10**7
"""Means that are held at a time: 80 MB, and as much of sums of turned signs."""


def setting_cells(of: Sequence[Measured], ranked: Bools) -> list[tuple[Cell, ...]]:
    """Return what each of n models scores in each setting that was measured; those ``ranked`` (n,)
    have places."""
    if not of:
        return []
    count, questions = len(of[0].settings), len(of[0].questions)
    cells = [[Cell()] * count for _ in of]
    present = [i for i, sample in enumerate(of[0].settings) if sample is not None]
    step = max(1, MOST_DRAWN // (DRAWS * len(of)))
    for begin in range(0, len(present), step):
        chosen = present[begin : begin + step]
        groups = [[_one(each.settings[i]) for i in chosen] for each in of]
        means = MacroMeans.beside([MacroMeans.of(group, questions) for group in groups])
        asked = [np.unique(sample.cluster) for (sample,) in groups[0]]
        shares = [
            _shares([group[at] for group in groups], few, questions) for at, few in enumerate(asked)
        ]
        drawn = drawn_groups(means, questions)
        flipped = _flipped([each[ranked] for each in shares], asked, questions)
        for at, setting in enumerate(chosen):
            values = [mean(group[at][0].values) for group in groups]
            whole = np.zeros((len(of), questions))
            whole[:, asked[at]] = shares[at]
            found = placed(values, whole, drawn[:, :, at], ranked, flipped=flipped[:, at])
            for model, cell in enumerate(found):
                cells[model][setting] = cell
    return [tuple(each) for each in cells]


def _shares(of: Sequence[Sequence[Sample]], few: Ints, questions: int) -> Values:
    """Return what the questions that a setting asks, ``few`` (q,), add to its mean: (n, q)."""
    return np.stack([contributions([samples], questions)[few, 0] for samples in of])


def _flipped(shares: Sequence[Values], asked: Sequence[Ints], questions: int) -> Values:
    """Return the ``flipped_sums`` of the ``shares`` (n, q) of each setting on the questions that it
    asks, ``asked`` (q,): (n, settings, draws).

    Those of settings that ask the same of the questions are summed at once."""
    size = len(shares[0])
    alike: dict[bytes, list[int]] = {}
    for at, few in enumerate(asked):
        alike.setdefault(few.tobytes(), []).append(at)
    found = np.empty((size, len(shares), DRAWS))
    for same in alike.values():
        few = asked[same[0]]
        flat = np.stack([shares[at] for at in same], axis=1).reshape(-1, len(few))
        sums = flipped_sums(flat, asked=few, questions=questions)
        found[:, same] = sums.reshape(size, len(same), DRAWS)
    return found


def _one(sample: Sample | None) -> list[Sample]:
    return [] if sample is None else [sample]


def placed(
    values: Sequence[float | None],
    shares: Values,
    drawn: Values,
    ranked: Bools,
    *,
    lower_is_better: bool = False,
    flipped: Values | None = None,
) -> list[Cell]:
    """Return the cells of n models with the intervals of their scores, those ``ranked`` (n,) with
    their places among them: ``shares`` (n, questions), ``drawn`` (draws, n), ``flipped`` as in
    ``rank_intervals``."""
    low, high = percentiles(drawn)
    cells = [
        Cell(value, *ends) for value, *ends in zip(values, low.tolist(), high.tolist(), strict=True)
    ]
    places = rank_intervals(
        shares[ranked], drawn[:, ranked], lower_is_better=lower_is_better, flipped=flipped
    )
    for i, best, worst, near in zip(
        np.flatnonzero(ranked), places.best.tolist(), places.worst.tolist(),
        places.near_first.tolist(), strict=True,
    ):  # fmt: skip
        cells[i] = replace(cells[i], best=best, worst=worst, near_first=near)
    return cells


def heavy_ties(measured: Measured) -> Mapping[int, float]:
    """Return the settings whose score ties decide, by number: what it is with ties counted for the
    model, where that is ``HEAVY_TIES`` or more above it."""
    found = {}
    for i, best in enumerate(measured.optimistic or ()):
        sample = measured.settings[i]
        if sample is not None and best is not None and best - mean(sample.values) >= HEAVY_TIES:
            found[i] = best
    return found
