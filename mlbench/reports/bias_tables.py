"""Language bias as tables, beside those of rank distance and outranking."""

from __future__ import annotations

from collections.abc import Iterator

from mlbench.data.task import Kind
from mlbench.measures.bias_scores import Extremes
from mlbench.measures.macro import Score
from mlbench.measures.pools import LanguageCount, Spread
from mlbench.reports.reading import KIND_NAMES, headline, kind_name, mean_name, number
from mlbench.reports.report import Report
from mlbench.reports.tables import Table


def figures_table(report: Report) -> Table:
    """Return the figures of language bias with intervals, which is better, and who counts."""
    bias = report.scores.bias
    removed = bias.target_removed
    rows = [
        (name, _cell(each.score, 2 if name == "Max@R" else 4), each.better, each.queries)
        for name, each in bias.measures.items()
    ]
    for name, score in (
        ("own target\nremoved", removed.own),
        ("other target\nremoved", removed.other),
    ):
        if score is not None:
            rows.append((name, _cell(score, 4, sign=True), "alike", removed.queries))
    return Table(
        ("", "value\n95% interval", "better", "queries"),
        tuple((name, cell, better, f"{queries:,}") for name, cell, better, queries in rows),
    )


def _cell(score: Score, digits: int, *, sign: bool = False) -> str:
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{score.value:{form}} {score.low:{form}}..{score.high:{form}}"


def extremes_table(report: Report) -> Table:
    """Return best and worst language and their gap: by query language, then by passage language.

    By query language for the headline measure and every recall, by kind of setting.
    """
    rows = tuple(
        (
            name,
            pool,
            of,
            f"{number(extremes.best)} {extremes.best_language}",
            f"{number(extremes.worst)} {extremes.worst_language}",
            number(extremes.gap),
        )
        for name, pool, of, extremes in _extremes(report)
    )
    return Table(("score", "pool", "language of", "best", "worst", "gap"), rows)


def _extremes(report: Report) -> Iterator[tuple[str, str, str, Extremes]]:
    bias, main = report.scores.bias, headline(report)
    for kind in KIND_NAMES:
        for name, extremes in bias.by_query_language.get(kind, {}).items():
            if name == main or name.startswith("R@"):
                yield mean_name(name), kind_name(kind), "queries", extremes
    for name, recall in bias.recall.items():
        yield name, kind_name(Kind.MULTILINGUAL.value), "passages", recall.extremes


def counts_table(report: Report) -> Table:
    """Return the scores expected of k languages: mean over the choices of k, and their range."""
    rows = tuple(
        (
            str(count.languages),
            _subsets(count),
            _range(count.average_precision, 4),
            _range(count.rank_distance, 0),
            number(count.floor, 1),
            number(count.random, 1),
        )
        for count in report.scores.bias.language_counts
    )
    headers = ("languages", "subsets", "mAP\nrange", "rank distance\nrange", "floor", "random")
    return Table(headers, rows)


def _subsets(count: LanguageCount) -> str:
    if count.subsets == count.all_subsets:
        return f"{count.subsets:,}"
    return f"{count.subsets:,} of {count.all_subsets:,}"


def _range(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return number(None)
    value, least, most = (number(v, digits) for v in (spread.value, spread.least, spread.most))
    return f"{value} {least}..{most}"
