"""What a study finds: the figures of its arms, their differences, what becomes of its claims."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mlbench.common.errors import Fault, IntegrityError
from mlbench.measures.randomisation import holm_corrected
from mlbench.measures.seeds import SeedDraws, draw_seeds
from mlbench.measures.significance import ALPHA, DRAWS, SEED, question_clusters
from mlbench.reports.provenance import TaskInfo
from mlbench.reports.report import Report
from mlbench.reports.words import number
from mlbench.training.studies.entrants import BASELINE, ELSEWHERE, TRAINED, Entrant
from mlbench.training.studies.figures import Figure, Reader, read_figure
from mlbench.training.studies.form import EVERY, Claim, Relation

HOLDS, FAILS, NOT_SHOWN = "holds", "does not hold", "not shown"
ONE_SEED = "an arm has one seed, so it is not known how much training varies"


@dataclass(frozen=True)
class ArmValue:
    """A figure of an arm: the mean over its seeds, its 95% interval over seeds and questions, the
    standard deviation from seed to seed (None of one seed), and the value of each seed."""

    arm: str
    figure: Figure
    value: float
    low: float
    high: float
    over_seeds: float | None
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Pair:
    """``arm`` minus ``against`` on one figure: the interval is of this difference alone,
    ``corrected`` is p by Holm's method over all pairs compared by the figure, and ``least`` the
    smallest difference that the study could have shown among so many."""

    arm: str
    against: str
    figure: Figure
    difference: float
    low: float
    high: float
    p: float
    corrected: float
    least: float
    shown: bool

    def turned(self) -> Pair:
        """Return the same with the arms exchanged."""
        return replace(
            self,
            arm=self.against,
            against=self.arm,
            difference=-self.difference,
            low=-self.high,
            high=-self.low,
        )


@dataclass(frozen=True)
class ClaimResult:
    """What became of a claim on a task. ``pairs`` are its arm against each other one; ``ours`` the
    figures, its arm's first; ``why`` says more of the verdict. ``paper`` is by place: the figures
    published there, and whether these alone agree with the claim."""

    name: str
    claim: Claim
    task: str
    verdict: str
    why: str
    ours: dict[str, float]
    pairs: tuple[Pair, ...]
    paper: dict[str, tuple[tuple[float, ...], bool]]

    @property
    def least(self) -> float:
        """The smallest difference that could have been shown against each of the other arms."""
        return max((pair.least for pair in self.pairs), default=math.nan)


@dataclass(frozen=True)
class TaskFindings:
    """What is found on one task. ``pairs`` are of macro figures."""

    task: TaskInfo
    entrants: tuple[Entrant, ...]
    figures: tuple[Figure, ...]
    values: tuple[ArmValue, ...]
    pairs: tuple[Pair, ...]
    claims: tuple[ClaimResult, ...]
    questions: int
    draws: int
    seed: int = SEED

    @cached_property
    def _by_arm(self) -> dict[tuple[str, Figure], ArmValue]:
        return {(v.arm, v.figure): v for v in self.values}

    def value(self, arm: str, figure: Figure) -> ArmValue | None:
        """Return a figure of an arm, None where it has none."""
        return self._by_arm.get((arm, figure))


def task_findings(
    entrants: Sequence[Entrant],
    claims: Mapping[str, Claim],
    measure: str,
    *,
    draws: int = DRAWS,
) -> TaskFindings:
    """Compare all entrants on one task, on the same draws of questions and of seeds.

    Raises IntegrityError where two of them were not evaluated on the same data.
    """
    first = entrants[0].read(entrants[0].seeds[0])
    clusters = question_clusters(first.table)
    reader = Reader.of(first.table, first.task.kinds, measure, clusters, first.clip_values)
    arms = []
    for entrant in entrants:
        tables, clips = [], []
        for seed in entrant.seeds:
            report = entrant.read(seed)
            _refuse_other_data(first, report, f"{entrant.label}, seed {seed}")
            tables.append(report.table)
            clips.append(report.clip_values)
        arms.append(reader.arm(entrant.seeds, tables, entrant.languages, clips))
    drawn = draw_seeds(arms, clusters.count, draws=draws)
    values = tuple(_values(entrants, reader.figures, drawn))
    pairs = tuple(_pairs(entrants, reader.figures, drawn, claims.values()))
    found = TaskFindings(
        first.task,
        tuple(entrants),
        tuple(dict.fromkeys(v.figure for v in values)),
        values,
        pairs,
        (),
        clusters.count,
        draws,
    )
    return replace(found, claims=tuple(_claims(found, claims)))


COMPARED = ("name", "digest", "kinds", "languages", "sampled")


def _refuse_other_data(first: Report, other: Report, where: str) -> None:
    faults = [
        Fault(f"{where}, {what}", f"{two!r}", f"{one!r}, as the other reports of the study have")
        for what in COMPARED
        if (one := getattr(first.task, what)) != (two := getattr(other.task, what))
    ]
    if faults:
        raise IntegrityError(*faults)


def _values(
    entrants: Sequence[Entrant], figures: Sequence[Figure], drawn: SeedDraws
) -> Iterator[ArmValue]:
    for place, entrant in enumerate(entrants):
        spread = drawn.spread(place)
        for i, figure in enumerate(figures):
            value, low, high, over = (
                float(of[i]) for of in (spread.value, spread.low, spread.high, spread.over_seeds)
            )
            if math.isfinite(value):
                known = over if math.isfinite(over) else None
                each = tuple(drawn.observed[place][:, i].tolist())
                yield ArmValue(entrant.label, figure, value, low, high, known, each)


def _compared(entrants: Sequence[Entrant], claims: Iterable[Claim]) -> list[tuple[int, int]]:
    """Return which entrants are compared, by number: arms that differ in one axis, arms that were
    trained elsewhere, and what claims name."""
    named = {frozenset((claim.arm, other)) for claim in claims for other in claim.than}

    def wanted(one: Entrant, other: Entrant) -> bool:
        if frozenset((one.label, other.label)) in named:
            return True
        if BASELINE in (one.role, other.role):
            return False
        near = one.series == other.series or (one.x is not None and one.x == other.x)
        return near or ELSEWHERE in (one.role, other.role)

    every = itertools.combinations(range(len(entrants)), 2)
    return [(i, j) for i, j in every if wanted(entrants[i], entrants[j])]


def _pairs(
    entrants: Sequence[Entrant],
    figures: Sequence[Figure],
    drawn: SeedDraws,
    claims: Iterable[Claim],
) -> Iterator[Pair]:
    """Yield the differences of all pairs that are compared, on each macro figure."""
    compared = _compared(entrants, claims)
    macro = [(i, figure) for i, figure in enumerate(figures) if not figure.over]
    spreads = [drawn.difference(later, earlier) for earlier, later in compared]
    for i, figure in macro:
        p = np.array([spread.p[i] for spread in spreads])
        present = np.isfinite(p)
        corrected = np.full(len(p), np.nan)
        corrected[present] = holm_corrected(p[present])
        for (earlier, later), spread, each, fixed in zip(
            compared, spreads, p, corrected, strict=True
        ):
            if math.isfinite(each):
                known = not (entrants[earlier].varies or entrants[later].varies)
                yield Pair(
                    entrants[later].label,
                    entrants[earlier].label,
                    figure,
                    float(spread.value[i]),
                    float(spread.low[i]),
                    float(spread.high[i]),
                    float(each),
                    float(fixed),
                    float(spread.least(int(present.sum()))[i]),
                    known and bool(fixed <= ALPHA),
                )


def _claims(found: TaskFindings, claims: Mapping[str, Claim]) -> Iterator[ClaimResult]:
    """Yield what becomes of each claim whose figure this task has."""
    varies = {entrant.label for entrant in found.entrants if entrant.varies}
    for name, claim in claims.items():
        figure = read_figure(claim.figure)
        pairs = tuple(_pairs_of(claim, figure, found.pairs))
        if not pairs:
            continue
        labels = [claim.arm, *(pair.against for pair in pairs)]
        verdict, why = (NOT_SHOWN, ONE_SEED) if varies & {*labels} else claim_verdict(claim, pairs)
        ours = {label: v.value for label in labels if (v := found.value(label, figure))}
        paper = {place: (values, agrees(claim, values)) for place, values in claim.paper.items()}
        yield ClaimResult(name, claim, found.task.name, verdict, why, ours, pairs, paper)


def _pairs_of(claim: Claim, figure: Figure, pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yield the pairs that a claim is about, its arm first."""
    for pair in pairs:
        if pair.figure == figure and claim.arm in (pair.arm, pair.against):
            turned = pair if pair.arm == claim.arm else pair.turned()
            if EVERY in claim.than or turned.against in claim.than:
                yield turned


def claim_verdict(claim: Claim, pairs: Sequence[Pair]) -> tuple[str, str]:
    """Return whether a claim holds, does not hold, or is not shown, and of which arms that is.

    That an arm is higher holds where each difference is shown, and does not hold where a single
    one is shown to be the other way round. That it is the same holds where all intervals lie
    ``within`` the margin, and does not hold where one lies beyond it.
    """
    if claim.relation is Relation.SAME:
        margin = claim.within or 0.0
        against = [p.against for p in pairs if p.low > margin or p.high < -margin]
        unsure = [p.against for p in pairs if p.low < -margin or p.high > margin]
    else:
        sign = 1 if claim.relation is Relation.HIGHER else -1
        against = [p.against for p in pairs if p.shown and sign * p.difference < 0]
        unsure = [p.against for p in pairs if not (p.shown and sign * p.difference > 0)]
    if against:
        return FAILS, f"the contrary is shown against {', '.join(against)}"
    if unsure:
        return NOT_SHOWN, f"not shown against {', '.join(unsure)}"
    return HOLDS, ""


def agrees(claim: Claim, values: Sequence[float]) -> bool:
    """Say whether published figures, the arm's first, are as the claim says, by numbers alone."""
    first, *others = values
    if claim.relation is Relation.SAME:
        return all(abs(first - other) <= (claim.within or 0.0) for other in others)
    sign = 1 if claim.relation is Relation.HIGHER else -1
    return all(sign * (first - other) > 0 for other in others)


def best_of(
    task: TaskFindings, trained: Sequence[str] = (TRAINED,)
) -> dict[Figure, list[ArmValue]]:
    """Return for each macro figure the arm with the best value among those of some roles, or those
    that share it as it is shown."""
    labels = {each.label for each in task.entrants if each.role in trained}
    found: dict[Figure, list[ArmValue]] = {}
    for value in task.values:
        if not value.figure.over and value.arm in labels:
            found.setdefault(value.figure, []).append(value)
    return {figure: _best(figure, of) for figure, of in found.items()}


def _best(figure: Figure, of: Sequence[ArmValue]) -> list[ArmValue]:
    top = (min if figure.lower_is_better else max)(each.value for each in of)
    score = number(top, figure.digits)
    return [each for each in of if number(each.value, figure.digits) == score]
