"""Comparing models on one task: paired on the same draws, from saved results alone.

Every difference comes with its 95% interval (cluster bootstrap over questions), its p value
(paired randomisation over questions), p corrected for its family, and the smallest difference
that this data would have shown.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mlbench.common.errors import Fault, UsageError
from mlbench.comparing.baseline import Result, Saved, refuse_other_task, saved_result
from mlbench.comparing.comparison import Comparison, headline
from mlbench.comparing.differences import (
    BETTER,
    NOT_SHOWN,
    WORSE,
    Difference,
    Entrant,
    Method,
    Repeated,
    Standing,
    Value,
)
from mlbench.comparing.places import group_letters, label, place_intervals
from mlbench.comparing.quantities import RANK_DISTANCE, Quantity, SettingTable, chosen_names
from mlbench.measures.randomisation import (
    FEWEST,
    ROUNDING,
    Randomised,
    contributions,
    randomisation_test,
    smallest_shown,
)
from mlbench.measures.significance import (
    ALPHA,
    DRAWS,
    LEVEL,
    POWER,
    SEED,
    Clusters,
    Sample,
    Values,
    macro_draws,
    mean,
    paragraph_clusters,
    percentiles,
    question_clusters,
)
from mlbench.reports.report import Report

MAX_T, HOLM = "max-t", "holm"


@dataclass(frozen=True)
class _Look:
    """How closely to look: clusters, correction, draws; quantities down to the level ``finest``."""

    clusters: Clusters
    correction: str
    draws: int
    finest: int


@dataclass
class _Found:
    scores: list[Value] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    digests: dict[tuple[str, bytes], str] = field(default_factory=dict)
    repeated: list[Repeated] = field(default_factory=list)

    def note(self, of_models: Sequence[Mapping[Quantity, Sequence[Sample]]]) -> None:
        """Note which macro means of a measure are those of an earlier one for every query, as
        those of RR are those of AP where each query has one relevant passage."""
        for quantity in (q for q in of_models[0] if not q.level):
            samples = [sample.values for of_model in of_models for sample in of_model[quantity]]
            digest = hashlib.sha256(np.concatenate(samples).tobytes()).digest()
            earlier = self.digests.setdefault((quantity.kind, digest), quantity.measure)
            if earlier != quantity.measure:
                self.repeated.append(Repeated(quantity.kind, quantity.measure, earlier))


def default_measures(saved: Sequence[Saved]) -> tuple[str, ...]:
    """Return the measures that all reports have, in the first one's order, and rank distance."""
    shared = [m for m in saved[0].measures if all(m in other.measures for other in saved[1:])]
    several = len(saved[0].task.languages) > 1
    return (*shared, *([RANK_DISTANCE] if several else []))


def compare(
    reports: Iterable[Result],
    measures: str | Iterable[str] = (),
    *,
    xs: Sequence[float | None] | None = None,
    axis: str | None = None,
    correction: str = MAX_T,
    draws: int = DRAWS,
) -> Comparison:
    """Compare results of the same task, all pairs of them; it prints as `mlbench compare` does.

    ``reports`` are Reports, their folders, or baseline files; the first is what the others are held
    against. ``measures`` are names such as nDCG@10, or rank-distance
    (default: all that the reports share). ``xs`` are places of the reports on the ``axis``.

    Raises UsageError where there are fewer than two, for an unknown measure or correction, and
    where no measure has a value; DataError where one is missing or of another task; IntegrityError
    where one is damaged.
    """
    given = [reports] if isinstance(reports, Saved | Report | Path | str) else list(reports)
    _refuse_wrong(given, xs, correction, draws)
    measures = chosen_names(measures)
    saved = [saved_result(each) for each in given]
    refuse_other_task(saved)
    measures = measures or default_measures(saved)
    labels = [label(number) for number in range(len(saved))]
    clusters = question_clusters(saved[0].ranks)
    paragraphs = paragraph_clusters(saved[0].ranks)
    if paragraphs is not None and paragraphs.count == clusters.count:
        paragraphs = None
    finely = headline(measures)
    found, coarse = _Found(), _Found()
    for unit, into in ((clusters, found), (paragraphs, coarse)):
        if unit is not None:
            tables = [SettingTable(each.ranks, each.task.kinds, unit) for each in saved]
            for measure in measures:
                finest = 0 if unit is paragraphs else 1 + (measure == finely)
                _add(tables, measure, _Look(unit, correction, draws, finest), into)
    if not found.differences:
        where = ", ".join(measures) or "no measure"
        raise UsageError(Fault("measures", where, "one that this task has a value for"))
    return Comparison(
        task=saved[0].task,
        models=tuple(
            Entrant(name, each.model.name, each.model.identity, each.where, x)
            for name, each, x in zip(labels, saved, xs or (None,) * len(saved), strict=True)
        ),
        measures=tuple(measures),
        scores=tuple(found.scores),
        differences=tuple(found.differences),
        standings=tuple(standings(found.scores, found.differences)),
        sensitivity=tuple(coarse.differences),
        method=Method(
            draws, SEED, LEVEL, POWER, correction,
            clusters.count, paragraphs.count if paragraphs else None,
        ),
        axis=axis,
        repeated=tuple(found.repeated),
    )  # fmt: skip


def _refuse_wrong(
    reports: Sequence[Result], xs: Sequence[float | None] | None, correction: str, draws: int
) -> None:
    """Raise UsageError with every choice that cannot be made."""
    count = len(reports)
    faults = []
    if count < 2:
        faults.append(Fault("REPORT", f"{count} given", "two or more reports, or baseline files"))
    if xs is not None and len(xs) != count:
        faults.append(Fault("xs", f"{len(xs)} given for {count} reports", "one for each"))
    if correction not in (MAX_T, HOLM):
        faults.append(Fault("correction", repr(correction), f"{MAX_T!r} or {HOLM!r}"))
    if draws < 1:
        faults.append(Fault("draws", repr(draws), "a whole number from 1"))
    if faults:
        raise UsageError(*faults)


def _add(tables: Sequence[SettingTable], measure: str, look: _Look, found: _Found) -> None:
    """Score all models and compare all pairs of them on the quantities of one measure."""
    of_model = [table.quantities(measure) for table in tables]
    names = [name for name in of_model[0] if name.level <= look.finest]
    if not names:
        return
    found.note(of_model)
    groups = [[quantities[name] for name in names] for quantities in of_model]
    drawn = macro_draws(groups, look.clusters.count, draws=look.draws)
    shares = np.stack([contributions(each, look.clusters.count) for each in groups])
    families: dict[tuple[str, int], list[int]] = {}
    for i, name in enumerate(names):
        families.setdefault((name.kind, name.level), []).append(i)
    test = randomisation_test(
        shares, list(families.values()), draws=look.draws, holm=look.correction == HOLM
    )
    values = shares.sum(1)
    optimistic = np.array([
        _optimistic(table, measure, names) if table.ranks.ambiguous else own
        for table, own in zip(tables, values, strict=True)
    ])  # fmt: skip
    for model, draw in enumerate(drawn):
        low, high = percentiles(draw)
        found.scores += [
            Value(label(model), name, *(float(each[i]) for each in (value, low, high, best)))
            for value, best in [(values[model], optimistic[model])]
            for i, name in enumerate(names)
        ]
    for row, (first, second) in enumerate(test.pairs):
        ties = (values[second] - optimistic[first], optimistic[second] - values[first])
        found.differences += _differences(
            (label(second), label(first)),
            names, test, row, drawn[second] - drawn[first], np.sort(ties, axis=0), look,
        )  # fmt: skip


def _optimistic(table: SettingTable, measure: str, names: Sequence[Quantity]) -> Values:
    """Return the quantities of a measure with ties counted for the model."""
    found = table.quantities(measure, optimistic=True)
    return np.array([mean([mean(sample.values) for sample in found[name]]) for name in names])


def _differences(
    models: tuple[str, str],
    names: Sequence[Quantity],
    test: Randomised,
    row: int,
    drawn: Values,
    ties: Values,
    look: _Look,
) -> list[Difference]:
    """Return a pair's differences; ``drawn`` (draws, quantities) are those of the bootstrap,
    ``ties`` (2, quantities) the least and the greatest that ties leave open."""
    low, high = (np.where(np.abs(end) < ROUNDING, 0, end) for end in percentiles(drawn))
    least = smallest_shown(np.nanstd(drawn, axis=0))
    enough = look.clusters.count >= FEWEST
    return [
        Difference(
            *models,
            name,
            difference=float(test.difference[row, i]),
            low=float(low[i]),
            high=float(high[i]),
            p=float(test.p[row, i]),
            corrected=(corrected := float(test.corrected[row, i])),
            least=float(least[i]) if enough else math.nan,
            verdict=verdict(name, low[i], high[i], corrected) if enough else NOT_SHOWN,
            ties_low=float(ties[0, i]),
            ties_high=float(ties[1, i]),
        )
        for i, name in enumerate(names)
    ]


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
