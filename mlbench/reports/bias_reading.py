"""What a report says of language bias beside rank distance and outranking, in sentences."""

from __future__ import annotations

from mlbench.data.task import Kind
from mlbench.reports.reading import headline, mean_name
from mlbench.reports.report import Report

READ_RECALL = "R@100"
"""The recall by passage language that is told in words."""


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
        "Targets: without the one in its own language a query's mAP changes by "
        f"{removed.own.value:+.4f} on average, without another language's by "
        f"{removed.other.value:+.4f}; alike is unbiased."
    )


def extremes_line(report: Report) -> str:
    """Return the worst language of the mixed pool and the recall gap; "" for one language."""
    bias, main = report.scores.bias, headline(report)
    found = bias.by_query_language.get(Kind.MULTILINGUAL.value, {}).get(main)
    parts = []
    if found is not None:
        parts.append(
            f"queries in {found.worst_language} fare worst ({mean_name(main)} {found.worst:.4f}), "
            f"in {found.best_language} best ({found.best:.4f})"
        )
    recall = bias.recall.get(READ_RECALL)
    if recall is not None:
        e = recall.extremes
        parts.append(
            f"of the relevant passages in {e.best_language} {100 * e.best:.0f}% are in the top "
            f"100, of those in {e.worst_language} {100 * e.worst:.0f}%"
        )
    return f"In the mixed pool {'; '.join(parts)}." if parts else ""


def counts_line(report: Report) -> str:
    """Return how mAP changes from one language over two to all; "" for fewer than three."""
    found = [c for c in report.scores.bias.language_counts if c.average_precision]
    if len(found) < 3:
        return ""
    values = [
        f"{spread.value:.4f} with {count.languages}"
        for count in (found[0], found[1], found[-1])
        if (spread := count.average_precision)
    ]
    return (
        f"Languages added: mAP {values[0]} language, {values[1]} on average over "
        f"{found[1].subsets:,} pairs, {values[2]}."
    )
