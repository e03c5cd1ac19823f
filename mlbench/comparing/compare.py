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
from typing import TypeVar

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, IntegrityError, UsageError
from mlbench.comparing.baseline import Result, Saved, refuse_other_task, saved_result
from mlbench.comparing.comparison import Comparison, headline
from mlbench.comparing.differences import (
    BETTER,
    HIGHER,
    LOWER,
    NOT_SHOWN,
    WORSE,
    Difference,
    Entrant,
    Method,
    Repeated,
    Standing,
    Value,
)
from mlbench.comparing.in_common import Common
from mlbench.comparing.places import group_letters, label, place_intervals
from mlbench.comparing.quantities import (
    Quantity,
    SettingTable,
    Tables,
    ValueTable,
    chosen_names,
)
from mlbench.data.task import Kind
from mlbench.measures.clip_score import CLIP_SCORES
from mlbench.measures.randomisation import (
    FEWEST,
    ROUNDING,
    Randomised,
    contributions,
    randomisation_test,
    smallest_shown,
)
from mlbench.measures.rank_measures import RANK_DISTANCE
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
    percentiles,
)
from mlbench.reports.report import Report

MAX_T, HOLM = "max-t", "holm"


@dataclass(frozen=True)
class _Look:
    """How closely to look: clusters, correction, draws; macro means, and unless ``macro_only``
    means by query language, and single settings of the measure ``finely``."""

    clusters: Clusters
    correction: str
    draws: int
    finely: str
    macro_only: bool

    def sees(self, quantity: Quantity) -> bool:
        """Whether a quantity is looked at."""
        return quantity.level <= (0 if self.macro_only else 1 + (quantity.measure == self.finely))


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
            if not all(quantity in of_model for of_model in of_models):
                continue
            samples = [sample.values for of_model in of_models for sample in of_model[quantity]]
            digest = hashlib.sha256(np.concatenate(samples).tobytes()).digest()
            earlier = self.digests.setdefault((quantity.kind, digest), quantity.measure)
            if earlier != quantity.measure:
                self.repeated.append(Repeated(quantity.kind, quantity.measure, earlier))


def default_measures(saved: Sequence[Saved]) -> tuple[str, ...]:
    """Return the measures that all reports have, in the first one's order, and where all have them
    rank distance (on a multilingual pool, not from run files) and CLIPScore (of images)."""
    shared = [m for m in saved[0].measures if all(m in other.measures for other in saved[1:])]
    task = saved[0].task
    mixed = task.roles.mixed and Kind.MULTILINGUAL.value in task.kinds
    spread = mixed and all(each.ranks is not None for each in saved)
    clip = CLIP_SCORES if all(each.clip is not None for each in saved) else ()
    return (*shared, *([RANK_DISTANCE] if spread else []), *clip)


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

    ``reports`` are Reports, folders of reports or of entries of the leaderboard, or baseline files;
    the first is what the others are held against. ``measures`` are names such as nDCG@10, or
    rank-distance (default: all that the reports share). ``xs`` are places of the reports on the
    ``axis``. Reports on run files are compared on the settings and measures that they have.

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
    common = Common.of(saved)
    units = common.units()
    found, coarse = _Found(), _Found()
    for unit, into in zip(units, (found, coarse), strict=False):
        look = _Look(unit, correction, draws, headline(measures), into is coarse)
        _add(common.tables(unit), measures, look, into)
    if not found.differences:
        where = ", ".join(measures) or "no measure"
        raise UsageError(Fault("measures", where, "one that this task has a value for"))
    return Comparison(
        task=next((each.task for each in saved if each.task.title), saved[0].task),
        models=tuple(
            Entrant(name, each.model.name, each.model.identity, each.where, x, each.cost)
            for name, each, x in zip(labels, saved, xs or (None,) * len(saved), strict=True)
        ),
        measures=tuple(measures),
        scores=by_measure(found.scores, measures),
        differences=by_measure(found.differences, measures),
        standings=tuple(standings(found.scores, found.differences)),
        sensitivity=by_measure(coarse.differences, measures),
        method=Method(
            draws, SEED, LEVEL, POWER, correction,
            units[0].count, units[1].count if len(units) > 1 else None,
        ),
        axis=axis,
        repeated=tuple(found.repeated),
        remarks=common.remarks(labels, measures),
    )  # fmt: skip


Row = TypeVar("Row", Value, Difference)


def by_measure(rows: Iterable[Row], measures: Sequence[str]) -> tuple[Row, ...]:
    """Return rows in the order of the measures, else as they are."""
    return tuple(sorted(rows, key=lambda row: measures.index(row.quantity.measure)))


def _refuse_wrong(
    reports: Sequence[Result], xs: Sequence[float | None] | None, correction: str, draws: int
) -> None:
    """Raise UsageError with every choice that cannot be made."""
    count = len(reports)
    faults = []
    if count < 2:
        faults.append(Fault("REPORT", f"{count} given", "two or more reports, or baseline files"))
    if xs is not None and len(xs) != count:
        faults.append(Fault("xs", f"{len(xs)} given for {plural(count, 'report')}", "one for each"))
    if correction not in (MAX_T, HOLM):
        faults.append(Fault("correction", repr(correction), f"{MAX_T!r} or {HOLM!r}"))
    if draws < 1:
        faults.append(Fault("draws", repr(draws), "a whole number from 1"))
    if faults:
        raise UsageError(*faults)


def _add(tables: Tables, measures: Sequence[str], look: _Look, found: _Found) -> None:
    """Score all models and compare all pairs of them on the quantities of all measures, each draw
    taken once."""
    of_model = [_quantities(table, measures) for table in tables]
    names = [name for name in of_model[0] if look.sees(name)]
    names = [name for name in names if all(name in quantities for quantities in of_model)]
    if not names:
        return
    if any(isinstance(table, ValueTable) for table in tables):
        _refuse_other_queries(of_model)
    found.note(of_model)
    groups = [[quantities[name] for name in names] for quantities in of_model]
    drawn = macro_draws(groups, look.clusters.count, draws=look.draws)
    shares = np.stack([contributions(each, look.clusters.count) for each in groups])
    families: dict[tuple[str, str, int], list[int]] = {}
    for i, name in enumerate(names):
        families.setdefault((name.measure, name.kind, name.level), []).append(i)
    test = randomisation_test(
        shares, list(families.values()), draws=look.draws, holm=look.correction == HOLM
    )
    values = shares.sum(1)
    optimistic = np.array([
        _optimistic(table, measures, names) if table.ambiguous else own
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


def _quantities(
    table: SettingTable | ValueTable, measures: Sequence[str], *, optimistic: bool = False
) -> dict[Quantity, list[Sample]]:
    found: dict[Quantity, list[Sample]] = {}
    for measure in measures:
        found |= table.quantities(measure, optimistic=optimistic)
    return found


def _refuse_other_queries(of_models: Sequence[Mapping[Quantity, Sequence[Sample]]]) -> None:
    """Raise IntegrityError where a setting's queries are not the same in all results."""
    for quantity in (q for q in of_models[0] if not q.level):
        for number, of_model in enumerate(of_models):
            pairs = zip(of_models[0][quantity], of_model.get(quantity, ()), strict=True)
            for one, other in pairs if quantity in of_model else ():
                if not np.array_equal(np.sort(one.cluster), np.sort(other.cluster)):
                    found = f"its {quantity.kind} queries are not those of {label(0)}"
                    expected = "the same queries, because both name the same digest of the task"
                    raise IntegrityError(Fault(label(number), found, expected))


def _optimistic(
    table: SettingTable | ValueTable, measures: Sequence[str], names: Sequence[Quantity]
) -> Values:
    """Return the quantities of the measures with ties counted for the model."""
    found = _quantities(table, measures, optimistic=True)
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
    the interval; the direction is the measure's. CLIPScore is higher or lower, as it is of each
    model's own vectors."""
    if p > ALPHA or low <= 0 <= high or math.isnan(low):
        return NOT_SHOWN
    if quantity.measure in CLIP_SCORES:
        return HIGHER if low > 0 else LOWER
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
                first = shown in (BETTER, HIGHER)
                winner, loser = (model, against) if first else (against, model)
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
