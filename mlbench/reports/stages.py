"""Both stages of a reranked report side by side, in words and as a table."""

from __future__ import annotations

from typing import Any

from mlbench.common.counts import plural
from mlbench.reports.report import Report
from mlbench.reports.reranking import Reranking
from mlbench.reports.table import Table
from mlbench.reports.words import headline, mean_name, number

FIRST, SECOND = "first stage", "reranked"


def reranking_table(report: Report) -> Table:
    """Return the headline measure of each kind of setting, and rank distance, by stage.

    A report that was cut to some languages has none of the first stage.
    """
    made = _of(report)
    measures = dict.fromkeys((headline(report), *_others(report)))
    columns = [
        (kind, measure)
        for measure in measures
        for kind in report.scores.macro
        if measure in report.scores.macro[kind]
    ]
    headers = [f"{mean_name(measure)}\n{kind.removesuffix('lingual')}" for kind, measure in columns]
    stages = (
        (FIRST, made.macro, made.rank_distance),
        (SECOND, report.scores.macro, report.scores.bias.rank_distance),
    )
    rows = [
        [name, *(number(_value(macro.get(kind, {}).get(m))) for kind, m in columns)]
        for name, macro, _ in stages
    ]
    if report.scores.bias.rank_distance is not None:
        headers.append("rank\ndistance")
        for row, (_, _, distance) in zip(rows, stages, strict=True):
            row.append(number(_value(distance), 1))
    return Table(("stage", *headers), tuple(map(tuple, rows)))


def reranking_lines(report: Report) -> list[str]:
    """Say what was reranked, to which depth, and what it took."""
    if report.reranking is None:
        return []
    made = report.reranking
    rate = made.per_second
    took = f" {rate:,.0f} pairs a second were scored." if rate else ""
    from_cache = f", {made.cached:,} of them from the embedding cache" if made.cached else ""
    return [
        f"{made.name} put the first {plural(made.depth, 'passage')} of each query in each "
        "language in "
        f"another order: {plural(made.pairs, 'pair')} of texts{from_cache}.{took}",
        f"In every pool, ranks 1 to {made.depth:,} are the reranker's, so measures that look no "
        f"deeper, such as RR@{made.depth}, are wholly its own. Below the reranked passages the "
        f"order is that of {made.first}.",
    ]


def _of(report: Report) -> Reranking:
    if report.reranking is None:
        raise ValueError("a report without a reranker")
    return report.reranking


def _others(report: Report) -> list[str]:
    """Return another measure beside the headline, where there is room for one."""
    kinds = len(report.scores.macro)
    return [name for name in report.measures if name == "R@1"][: 1 if kinds <= 3 else 0]


def _value(score: Any) -> float | None:
    return None if score is None else float(score.value)
