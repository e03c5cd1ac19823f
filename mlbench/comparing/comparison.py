"""Comparing models on one task: paired on the same draws, from saved results alone.

Every difference comes with its 95% interval (cluster bootstrap over questions), its p value
(paired randomisation over questions), p corrected for its family, and the smallest difference
that this data would have shown. ``docs/compare.md`` explains every key of ``comparison.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from mlbench.common.errors import Fault, UsageError
from mlbench.comparing.baseline import Saved
from mlbench.comparing.quantities import RANK_DISTANCE, Quantity, SettingTable
from mlbench.comparing.verdicts import (
    NOT_SHOWN,
    Difference,
    Standing,
    Value,
    label,
    standings,
    verdict,
)
from mlbench.measures.randomisation import (
    FEWEST,
    ROUNDING,
    Randomised,
    contributions,
    randomisation_test,
    smallest_shown,
)
from mlbench.measures.significance import (
    DRAWS,
    LEVEL,
    POWER,
    SEED,
    Clusters,
    Values,
    macro_draws,
    paragraph_clusters,
    percentiles,
    question_clusters,
)
from mlbench.reports.report import TaskInfo

SCHEMA = "mlbench/comparison/1"
MAX_T, HOLM = "max-t", "holm"


@dataclass(frozen=True)
class Entrant:
    """A compared model. ``label`` stands for it in tables; ``x`` is its place on the axis."""

    label: str
    name: str
    identity: str
    where: str
    x: float | None = None


@dataclass(frozen=True)
class Method:
    """How the numbers were made."""

    draws: int
    seed: int
    level: float
    power: float
    correction: str
    questions: int
    paragraphs: int | None


@dataclass(frozen=True)
class Comparison:
    """Two or more models on one task. ``sensitivity`` repeats the macro differences with whole
    paragraphs as clusters, empty where the paragraphs are unknown or hold one question each."""

    task: TaskInfo
    models: tuple[Entrant, ...]
    measures: tuple[str, ...]
    scores: tuple[Value, ...]
    differences: tuple[Difference, ...]
    standings: tuple[Standing, ...]
    sensitivity: tuple[Difference, ...]
    method: Method
    axis: str | None = None

    @property
    def headline(self) -> str:
        """The measure it is read by: AP where it was compared, else the first."""
        return _headline(self.measures)


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


def default_measures(saved: Sequence[Saved]) -> tuple[str, ...]:
    """Return the measures that all reports have, in the first one's order, and rank distance."""
    shared = [m for m in saved[0].measures if all(m in other.measures for other in saved[1:])]
    several = len(saved[0].task.languages) > 1
    return (*shared, *([RANK_DISTANCE] if several else []))


def compare(
    saved: Sequence[Saved],
    measures: Sequence[str],
    *,
    xs: Sequence[float | None] | None = None,
    axis: str | None = None,
    correction: str = MAX_T,
    draws: int = DRAWS,
) -> Comparison:
    """Compare results of the same task (see ``refuse_other_task``), all pairs of them.

    Raises UsageError where there are fewer than two, or where no measure has a value.
    """
    if len(saved) < 2:
        raise UsageError(Fault("compare", f"{len(saved)} report", "two or more"))
    labels = [label(number) for number in range(len(saved))]
    clusters = question_clusters(saved[0].ranks)
    paragraphs = paragraph_clusters(saved[0].ranks)
    if paragraphs is not None and paragraphs.count == clusters.count:
        paragraphs = None
    headline = _headline(measures)
    found, coarse = _Found(), _Found()
    for unit, into in ((clusters, found), (paragraphs, coarse)):
        if unit is not None:
            tables = [SettingTable(each.ranks, each.task.kinds, unit) for each in saved]
            for measure in measures:
                finest = 0 if unit is paragraphs else 1 + (measure == headline)
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
    )  # fmt: skip


def _headline(measures: Sequence[str]) -> str:
    return "AP" if "AP" in measures else next(iter(measures), "")


def _add(tables: Sequence[SettingTable], measure: str, look: _Look, found: _Found) -> None:
    """Score all models and compare all pairs of them on the quantities of one measure."""
    of_model = [table.quantities(measure) for table in tables]
    names = [name for name in of_model[0] if name.level <= look.finest]
    if not names:
        return
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
    for model, draw in enumerate(drawn):
        low, high = percentiles(draw)
        found.scores += [
            Value(label(model), name, float(values[model, i]), float(low[i]), float(high[i]))
            for i, name in enumerate(names)
        ]
    for row, (first, second) in enumerate(test.pairs):
        found.differences += _differences(
            (label(second), label(first)), names, test, row, drawn[second] - drawn[first], look
        )


def _differences(
    models: tuple[str, str],
    names: Sequence[Quantity],
    test: Randomised,
    row: int,
    drawn: Values,
    look: _Look,
) -> list[Difference]:
    """Return a pair's differences; ``drawn`` (draws, quantities) are those of the bootstrap."""
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
        )
        for i, name in enumerate(names)
    ]


def comparison_json(comparison: Comparison) -> str:
    """Return ``comparison.json``: strict JSON, each row with its quantity's fields in it."""
    table = {"schema": SCHEMA} | asdict(comparison)
    for name in ("scores", "differences", "standings", "sensitivity"):
        table[name] = [flat_row(row) for row in table[name]]
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def flat_row(row: dict[str, object]) -> dict[str, object]:
    """Return a row for JSON: its quantity's fields first, None where a number is not finite."""
    quantity = row.pop("quantity")
    flat = {**quantity, **row} if isinstance(quantity, dict) else row
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in flat.items()
    }
