"""How the scores that a report shows are defined, in short, each with its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlbench.measures import MEASURES
from mlbench.reading import mean_name, plural
from mlbench.report import Report
from mlbench.scores import TIE_TOLERANCE

LAREQA = "https://arxiv.org/abs/2004.05484"
HYBRID = "https://arxiv.org/abs/2408.10536"


@dataclass(frozen=True)
class Definition:
    """How something is defined; ``source`` is an address or a reference."""

    term: str
    text: str
    source: str = ""


def definitions(report: Report) -> list[Definition]:
    """Return how what a report shows is defined: settings, its measures, intervals, bias."""
    statistics = report.scores.statistics
    names: dict[str, list[str]] = {}
    for measure in report.measures:
        names.setdefault(re.split(r"[@(]", measure)[0], []).append(mean_name(measure))
    measures = [
        Definition(", ".join(named), _first_line(MEASURES[base].function), MEASURES[base].citation)
        for base, named in names.items()
        if base in MEASURES
    ]
    return [
        Definition(
            "Settings",
            "Monolingual: the query's own language is searched; cross-lingual: one other; "
            "multilingual: all together, the mixed pool. A query counts where the pool holds a "
            "passage relevant to it; the others are excluded and counted.",
            LAREQA,
        ),
        *measures,
        Definition("Macro", "The unweighted mean over the settings of a kind that have a query."),
        Definition(
            "Interval",
            f"{100 * statistics.level:.0f}%, {statistics.method}: "
            f"{plural(statistics.clusters, 'question')} drawn {statistics.draws:,} times with "
            f"replacement, each with all its languages; seed {statistics.seed}.",
        ),
        Definition(
            "Ties",
            "A passage ranks below all non-relevant ones that score exactly as it does. Where "
            f"ranking it above them would move a macro score by more than {TIE_TOLERANCE}, both "
            "are shown.",
        ),
        Definition(
            "Rank distance",
            "The highest minus the lowest rank of a query's relevant passages in the mixed pool, "
            "over all ranks; the mean over a language's queries, then over languages. With k "
            "relevant of N passages it is at least k - 1, and (N + 1)(k - 1) / (k + 1) in a "
            "random order. It mixes bias with weakness, so it is read beside the score.",
            HYBRID,
        ),
        Definition(
            "Outranking",
            "Of the non-relevant passages that rank above a relevant one, the share in a "
            "language, divided by that language's share of the pool's non-relevant passages.",
        ),
    ]


def _first_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").partition("\n")[0]
