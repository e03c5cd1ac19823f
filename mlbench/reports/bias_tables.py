"""The tables of language bias in a report."""

from __future__ import annotations

from collections.abc import Iterator

from mlbench.data.task import Kind
from mlbench.measures.bias_scores import Extremes
from mlbench.measures.language_counts import LanguageCount, Spread
from mlbench.reports.reading import outranking_by_others, own_language_preference, toward_random
from mlbench.reports.report import Report
from mlbench.reports.table import Table
from mlbench.reports.tables import ranged
from mlbench.reports.words import KIND_NAMES, MISSING, headline, kind_name, mean_name, number


def distance_table(report: Report) -> Table:
    """Return rank distance by query language with its floor, a random order's, and exclusions."""
    bias = report.scores.bias
    rows = tuple(
        (
            language,
            number(entry.value, 1),
            number(entry.floor, 1),
            number(entry.random, 1),
            _percent(toward_random(entry.value, entry.floor, entry.random)),
            str(entry.queries),
            str(entry.excluded),
        )
        for language, entry in bias.by_language.items()
    )
    macro = bias.rank_distance.value if bias.rank_distance else None
    entries = bias.by_language.values()
    footer = (
        "macro",
        number(macro, 1),
        number(bias.floor, 1),
        number(bias.random, 1),
        _percent(toward_random(macro, bias.floor, bias.random)),
        str(sum(entry.queries for entry in entries)),
        str(sum(entry.excluded for entry in entries)),
    )
    headers = (
        "query",
        "rank\ndistance",
        "least\npossible",
        "random\norder",
        "from least\nto random",
    )
    return Table((*headers, "queries", "excluded"), rows, footer)


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.0f}%"


def outranking_table(report: Report) -> Table:
    """Return who outranks, query language by passage language; 1 is unbiased.

    The last column is the query's own language, if the passages have any query's; the footer, if
    there are several query languages, the mean over the queries in other languages, and in the last
    column that of the own.
    """
    matrix, others = report.scores.bias.outranking, outranking_by_others(report)
    languages = report.task.roles.mixed_pool
    rows = [[query, *(number(row.get(p), 2) for p in languages)] for query, row in matrix.items()]
    headers = ["query", *languages]
    footer = ["mean", *(number(others.get(language), 2) for language in languages)]
    if report.task.roles.shared:
        headers.append("own")
        for row in rows:
            row.append(number(matrix[row[0]].get(row[0]), 2))
        footer.append(number(own_language_preference(report), 2))
    means = tuple(footer) if len(rows) > 1 else ()
    return Table(tuple(headers), tuple(map(tuple, rows)), means)


def bias_table(report: Report) -> Table:
    """Return the measures of language bias with intervals, which is better, and who counts."""
    bias = report.scores.bias
    removed = bias.target_removed
    rows = []
    for name, each in bias.measures.items():
        score, digits = each.score, 2 if name == "Max@R" else 4
        cell = ranged(score.value, score.low, score.high, digits)
        rows.append((name, cell, each.better, f"{each.queries:,}"))
    for name, change in (
        ("own target\nremoved", removed.own),
        ("other target\nremoved", removed.other),
    ):
        if change is not None:
            cell = ranged(change.value, change.low, change.high, sign="+")
            rows.append((name, cell, "equal", f"{removed.queries:,}"))
    return Table(("", "value\n95% interval", "better", "queries"), tuple(rows))


def extremes_table(report: Report) -> Table:
    """Return best and worst language and their gap: by query language, then by passage language.

    By query language for the headline measure and every recall, by kind of setting.
    """
    rows = tuple(
        (
            name,
            pool,
            of,
            f"{number(extremes.best)} {extremes.best_language if extremes.gap else 'all'}",
            f"{number(extremes.worst)} {extremes.worst_language if extremes.gap else 'all'}",
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
    headers = (
        *("languages", "choices", "mAP\nrange", "rank distance\nrange"),
        *("least\npossible", "random\norder"),
    )
    return Table(headers, rows)


def _subsets(count: LanguageCount) -> str:
    if count.subsets == count.all_subsets:
        return f"{count.subsets:,}"
    return f"{count.subsets:,} of {count.all_subsets:,}"


def _range(spread: Spread | None, digits: int) -> str:
    return ranged(spread.value, spread.least, spread.most, digits) if spread else MISSING
