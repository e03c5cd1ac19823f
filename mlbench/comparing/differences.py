"""The rows of a comparison: scores, differences and places, and how their numbers are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlbench.comparing.quantities import Quantity
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.measures.significance import TIE_TOLERANCE
from mlbench.reports.cost import Cost
from mlbench.reports.words import MISSING, mean_name, number

BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"
HIGHER, LOWER = "higher", "lower"
"""Of a figure that is neither better nor worse."""
RANKS = 1000
"""Rank distances from here on are shown without decimals."""


@dataclass(frozen=True)
class Value:
    """One model's score on one quantity, with its 95% interval.

    Ties count against the model; ``optimistic`` has them counted for it.
    """

    model: str
    quantity: Quantity
    value: float
    low: float
    high: float
    optimistic: float = math.nan

    @property
    def ties_matter(self) -> bool:
        """Whether ties move the score by more than 0.0005 of its size (1 at the least)."""
        return abs(self.optimistic - self.value) > TIE_TOLERANCE * max(1.0, abs(self.value))


@dataclass(frozen=True)
class Difference:
    """``model`` minus ``against`` on one quantity.

    ``least`` is the smallest difference that the data would have shown (80% power, 5% level);
    ``corrected`` is p corrected over the family: all pairs of models and, for means by query
    language or single settings, all of those of the kind. The verdict is about ``model``.
    ``ties_low`` and ``ties_high`` are the least and the greatest difference that there can be,
    with the ties of one model counted against it and those of the other for it.
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
    ties_low: float = math.nan
    ties_high: float = math.nan

    @property
    def ties_decide(self) -> bool:
        """Whether the difference changes its sign with the order that tied passages are given."""
        return self.ties_low < 0 < self.ties_high and (
            self.ties_high - self.ties_low > TIE_TOLERANCE
        )

    @property
    def better(self) -> str:
        """The label of the model that is shown to be better, "" for neither."""
        return {BETTER: self.model, WORSE: self.against}.get(self.verdict, "")


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


@dataclass(frozen=True)
class Entrant:
    """A compared model. ``label`` stands for it in tables; ``x`` is its place on the axis, ``cost``
    is None where nothing is known of it."""

    label: str
    name: str
    identity: str
    where: str
    x: float | None = None
    cost: Cost | None = None


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
class Repeated:
    """A measure that is ``same_as`` another for every query of a kind of setting, in all models."""

    kind: str
    measure: str
    same_as: str


def measure_title(measure: str) -> str:
    """Return how a measure's mean is written: mAP, nDCG@10, rank distance."""
    return "rank distance" if measure == RANK_DISTANCE else mean_name(measure)


def shown(value: float, measure: str, *, sign: bool = False, size: float | None = None) -> str:
    """Return a value of a measure: four decimals, or for ranks one, or none where ``size`` is
    large."""
    large = abs(value if size is None else size) >= RANKS
    digits = 4 if measure != RANK_DISTANCE else 0 if large else 1
    text = number(value, digits)
    if text != MISSING and not text.strip("-0."):  # no minus before a zero
        text = text.removeprefix("-")
    return f"+{text}" if sign and not text.startswith("-") else text


def shown_p(p: float) -> str:
    """Return a p value with four decimals and no leading zero: .0312; 1 is "1"."""
    return "1" if p >= 0.99995 else f"{p:.4f}".removeprefix("0")
