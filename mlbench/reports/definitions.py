"""How the scores that a report shows are defined, in short, each with its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlbench.measures.language_counts import MOST_SUBSETS
from mlbench.measures.rank_measures import MEASURES
from mlbench.measures.significance import TIE_TOLERANCE
from mlbench.reports.report import Report
from mlbench.reports.words import mean_name, plural

LAREQA = "https://arxiv.org/abs/2004.05484"
HYBRID = "https://arxiv.org/abs/2408.10536"
MAX_RANK = "https://arxiv.org/abs/2604.05684"
PEER = "https://arxiv.org/abs/2405.00978"
TREC_EVAL = "https://github.com/usnistgov/trec_eval"


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
        *(RUN_FILES if report.retrieved else ALL_RANKS),
        *_bias_definitions(report),
    ]


ALL_RANKS = (
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
        "language, divided by that language's share of the pool's non-relevant passages. The "
        "query's own language is the diagonal.",
    ),
)
RUN_FILES = (
    Definition(
        "Ranks",
        "A query's passages are sorted by their score in the run, read in single precision, then "
        "by passage id, both descending, as trec_eval sorts them. What the run does not hold "
        "counts as not found, and a query that it does not hold as 0.",
        TREC_EVAL,
    ),
)
"""What takes the place of ``ALL_RANKS`` in a report on run files."""


def _bias_definitions(report: Report) -> list[Definition]:
    """Return the definitions of those figures of language bias that the report has."""
    bias = report.scores.bias
    names = list(bias.measures)
    complete = ", ".join(name for name in names if name.startswith("Complete@"))
    possible = [
        Definition(
            "Max@R",
            "100 (log2 N - log2 rank) / (log2 N - log2 k) for the lowest-ranked of a query's k "
            "relevant passages, k at least 2, in the mixed pool of N: 100 where they are the "
            "first k, 0 where one is last.",
            MAX_RANK,
        ),
        Definition(
            complete,
            "Share of the queries with at least two relevant passages that have all of them "
            "within the first k of the mixed pool.",
        ),
        Definition(
            "PEER",
            "p value of the Kruskal-Wallis statistic over the ranks of a query's relevant "
            "passages by language, each grade by itself; a query with one passage a language "
            "does not count, because p is constant there.",
            PEER,
        ),
    ]
    found = [each for each in possible if each.term in {*names, complete} - {""}]
    if bias.target_removed.own is not None:
        found.append(
            Definition(
                "Target removed",
                "The change in a query's AP in the mixed pool when its relevant passages in one "
                "language leave the pool and the judgements; all other passages stay.",
                LAREQA,
            )
        )
    if bias.language_counts:
        found.append(
            Definition(
                "Languages added",
                "Multilingual mAP and rank distance of the task cut to k languages, queries and "
                f"pool both: the mean over all choices of k languages, or over {MOST_SUBSETS:,} "
                f"drawn with seed {report.scores.statistics.seed} where there are more.",
            )
        )
    return found


def _first_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").partition("\n")[0]
