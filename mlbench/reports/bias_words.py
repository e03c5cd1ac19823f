"""What a report says of language bias, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from mlbench.common.counts import named, plural
from mlbench.data.task import Kind
from mlbench.reports.report import Report
from mlbench.reports.words import KIND_NAMES, headline, kind_name, mean_name

READ_RECALL = "R@100"
"""The recall by passage language that is given in words."""


def bias_lines(report: Report) -> list[str]:
    """Return the sentences below, those that the report has."""
    lines = (target_line(report), extremes_line(report), counts_line(report))
    return [line for line in lines if line]


def target_line(report: Report) -> str:
    """Return what is lost without the own and another language's target; "" without any."""
    removed = report.scores.bias.target_removed
    if removed.own is None or removed.other is None:
        return ""
    return (
        "Without the relevant passages in its own language, a query's multilingual AP changes by "
        f"{removed.own.value:+.4f} on average; without those in another language, by "
        f"{removed.other.value:+.4f}. For an unbiased model the two are equal."
    )


def extremes_line(report: Report) -> str:
    """Return the worst and the best language of the hardest kind of setting, all that share the
    score, and, of the mixed pool, the recall gap; "" for one language."""
    bias, main = report.scores.bias, headline(report)
    kinds = [kind for kind in KIND_NAMES if main in bias.by_query_language.get(kind, {})]
    kind = kinds[-1] if kinds else Kind.MULTILINGUAL.value
    found = bias.by_query_language.get(kind, {}).get(main)
    parts = []
    if found is not None and found.gap:
        of = report.scores.per_language[kind][main]
        scores = {code: score.value for code, score in of.items()}
        parts.append(
            f"queries in {_languages(scores, found.worst)} score worst ({mean_name(main)} "
            f"{found.worst:.4f}) and queries in {_languages(scores, found.best)} best "
            f"({found.best:.4f})"
        )
    recall = bias.recall.get(READ_RECALL)
    if recall is not None:
        e, of_passages = recall.extremes, recall.by_language
        said = f"{100 * e.best:.0f}% of the relevant passages in "
        said += f"{_languages(of_passages, e.best)} are in the top 100"
        if e.gap:
            worst = _languages(of_passages, e.worst)
            said += f", and {100 * e.worst:.0f}% of those in {worst}"
        parts.append(said)
    where = "pool" if kind == Kind.MULTILINGUAL.value else "settings"
    return f"In the {kind_name(kind)} {where}, {'; '.join(parts)}." if parts else ""


def _languages(values: Mapping[str, float | None], value: float) -> str:
    """Return the languages that have a value, as a sentence lists them."""
    return named([code for code, own in values.items() if own == value], "language")


def counts_line(report: Report) -> str:
    """Return how mAP changes from one language over two to all; "" for fewer than three."""
    found = [c for c in report.scores.bias.language_counts if c.average_precision]
    if len(found) < 3:
        return ""
    one, two, every = (
        (plural(count.languages, "language"), f"{spread.value:.4f}")
        for count in (found[0], found[1], found[-1])
        if (spread := count.average_precision)
    )
    return (
        f"With {one[0]} mAP is {one[1]}, with {two[0]} it is {two[1]} (the mean over "
        f"{plural(found[1].subsets, 'pair')}), and with {every[0]} it is {every[1]}."
    )
