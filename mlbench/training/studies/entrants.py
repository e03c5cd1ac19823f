"""Who is compared in a study: its arms, models that were trained elsewhere, and baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlbench.reports.report import Report

TRAINED, ELSEWHERE, BASELINE = "trained", "elsewhere", "baseline"


@dataclass(frozen=True)
class Entrant:
    """What is compared: an arm of the study, one that was trained elsewhere, or a baseline.

    ``read`` reads the report of each of ``seeds``; ``languages`` are those seen in training, empty
    where that is not known.
    """

    label: str
    role: str
    seeds: tuple[str, ...]
    read: Callable[[str], Report]
    languages: tuple[str, ...] = ()
    x: float | None = None
    series: str = ""

    @property
    def varies(self) -> bool:
        """Whether another training would score otherwise, and it is not known how much."""
        return self.role != BASELINE and len(self.seeds) == 1
