"""How the scores that a report shows are defined, in short, each with its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlbench.common.counts import plural
from mlbench.data.task import Kind
from mlbench.measures.language_counts import MOST_SUBSETS
from mlbench.measures.rank_measures import MEASURES
from mlbench.measures.significance import TIE_TOLERANCE
from mlbench.reports.report import Report
from mlbench.reports.words import kind_name, mean_name, settings_of

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
            f"{_settings_words(report)} The searched passages are called the pool. A query without "
            "a relevant passage in the pool is excluded, and the report says how many are.",
            LAREQA,
        ),
        *measures,
        Definition("Macro", "The unweighted mean over the settings of a kind that have a query."),
        Definition(
            "Interval",
            f"Intervals cover {100 * statistics.level:.0f}% ({statistics.method}): "
            f"{plural(statistics.clusters, 'question is', 'questions are')} drawn with replacement "
            f"{statistics.draws:,} times, each question with all its languages, with seed "
            f"{statistics.seed}.",
        ),
        *(RUN_FILES if report.retrieved else [TIES]),
        *(MIXED_POOL if report.scores.bias.by_language and not report.retrieved else ()),
        *_bias_definitions(report),
    ]


SEARCHED = {
    Kind.MONOLINGUAL.value: "the passages in the query's own language",
    Kind.CROSSLINGUAL.value: "the passages in one other language",
    Kind.MULTILINGUAL.value: "the passages in all languages together",
}


def _settings_words(report: Report) -> str:
    """Return what is searched in the kinds of setting that a report has."""
    if report.task.pairs:
        return (
            "Each pair of languages has queries and passages of its own. A query in one language "
            "of a pair is searched for among the pair's passages in the other."
        )
    if report.task.roles.between_modalities:
        return (
            "Texts search images, and images search texts; nothing searches its own kind. Text to "
            "image, the texts of a language search all images. Image to text, the images search "
            "the texts of one language, and in the multilingual setting those of all languages "
            "together."
        )
    kinds = [kind for kind in SEARCHED if settings_of(report, kind)]
    parts = [f"in a {kind_name(kind)} setting {SEARCHED[kind]}" for kind in kinds]
    if not parts:
        return "A setting is a query language and the passages that are searched."
    said = f"{parts[0]} are searched"
    if len(parts) > 1:
        said += ", " + ", and ".join(parts[1:])
    return said[0].upper() + said[1:] + "."


TIES = Definition(
    "Ties",
    "A relevant passage ranks below all non-relevant ones with exactly the same score. If "
    f"ranking it above them would change a macro score by more than {TIE_TOLERANCE}, both "
    "scores are shown.",
)
MIXED_POOL = (
    Definition(
        "Rank distance",
        "The highest minus the lowest rank of a query's relevant passages in the multilingual "
        "pool, averaged over a language's queries and then over languages. If k of N passages "
        "are relevant, it is at least k - 1, and (N + 1)(k - 1) / (k + 1) in a random order. "
        "Weak models scatter relevant passages too, so read it beside the score.",
        HYBRID,
    ),
    Definition(
        "Outranking",
        "Of the non-relevant passages that rank above a relevant one, the share that is in a "
        "language, divided by that language's share of the pool's non-relevant passages.",
    ),
)
RUN_FILES = (
    Definition(
        "Ranks",
        "As in trec_eval, a query's passages are sorted by their score in the run, read in single "
        "precision, then by passage id, both descending. Passages that are not in the run count "
        "as not found, and a query that is not in the run scores 0.",
        TREC_EVAL,
    ),
)
"""What takes the place of ``TIES`` in a report on run files."""


def _bias_definitions(report: Report) -> list[Definition]:
    """Return the definitions of those figures of language bias that the report has."""
    bias = report.scores.bias
    names = list(bias.measures)
    complete = ", ".join(name for name in names if name.startswith("Complete@"))
    possible = [
        Definition(
            "Max@R",
            "100 (log2 N - log2 rank) / (log2 N - log2 k) for the rank of the lowest-ranked of a "
            "query's k relevant passages (at least 2) in the multilingual pool of N. It is 100 if "
            "they are the first k passages, and 0 if one of them is the last.",
            MAX_RANK,
        ),
        Definition(
            complete,
            "The share of the queries with at least two relevant passages that have all of them "
            "within the first k of the multilingual pool.",
        ),
        Definition(
            "PEER",
            "The p value of the Kruskal-Wallis statistic over the ranks of a query's relevant "
            "passages by language, separately for each grade. A query with one passage in each "
            "language does not count, because p is then a constant.",
            PEER,
        ),
    ]
    found = [each for each in possible if each.term in {*names, complete} - {""}]
    if bias.target_removed.own is not None:
        found.append(
            Definition(
                "Target removed",
                "The change in a query's AP in the multilingual pool when its relevant passages "
                "in one language are removed from the pool and the judgements. All other "
                "passages stay.",
                LAREQA,
            )
        )
    if bias.language_counts:
        found.append(
            Definition(
                "Number of languages",
                "Multilingual mAP and rank distance when both queries and pool are cut to k "
                f"languages: the mean over all choices of k languages or, if there are more than "
                f"{MOST_SUBSETS:,}, over {MOST_SUBSETS:,} of them drawn with seed "
                f"{report.scores.statistics.seed}.",
            )
        )
    return found


def _first_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").partition("\n")[0]
