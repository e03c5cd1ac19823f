"""A report as a table for data frames: a row for each measure of each setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlbench.measures.significance import Interval, Sample, macro_intervals, question_clusters
from mlbench.reports.per_query import PerQuery

if TYPE_CHECKING:
    import pyarrow as pa

    from mlbench.ranking.ranks import Ints
    from mlbench.reports.report import Report

Key = tuple[str, str, tuple[str, ...], str]
"""Kind, query language, passage languages and measure."""


def settings_table(report: Report) -> pa.Table:
    """Return a pyarrow Table with the columns ``kind``, ``query_language``, ``passage_languages``
    (with blanks between them), ``measure``, ``value``, ``low`` and ``high`` (the 95% interval over
    questions), ``optimistic`` (ties counted for the model), ``queries`` and ``excluded``.

    Intervals are null where the report has neither a table of ranks nor the values of queries.
    """
    import pyarrow as pa

    intervals = _intervals(report)
    rows = []
    for setting in report.settings:
        own = (setting.kind, setting.query_language, setting.passage_languages)
        for measure, value in setting.measures.items():
            interval = intervals.get((*own, measure))
            rows.append(
                {
                    "kind": setting.kind,
                    "query_language": setting.query_language,
                    "passage_languages": " ".join(setting.passage_languages),
                    "measure": measure,
                    "value": value,
                    "low": interval and interval.low,
                    "high": interval and interval.high,
                    "optimistic": setting.optimistic[measure],
                    "queries": setting.queries,
                    "excluded": setting.excluded,
                }
            )
    text, number, count = pa.string(), pa.float64(), pa.int64()
    names = ("kind", "query_language", "passage_languages", "measure")
    schema = [(name, text) for name in names]
    schema += [(name, number) for name in ("value", "low", "high", "optimistic")]
    schema += [(name, count) for name in ("queries", "excluded")]
    return pa.Table.from_pylist(rows, pa.schema(schema))


def _intervals(report: Report) -> dict[Key, Interval]:
    """Return the interval of each score, on the draws of questions that macro scores have."""
    if report.ranks is None and report.values is None:
        return {}
    values = report.per_query(measures=report.measures)
    of, count = _clusters(report, values)
    samples: dict[Key, Sample] = {}
    for each in values.settings:
        setting = each.setting
        language = setting.query_language
        cluster = np.array([of[language, id_] for id_ in each.query_ids], np.int64)
        for measure in values.measures:
            if each.query_ids and measure in each.values:
                key = (setting.kind.value, language, setting.passage_languages, measure)
                samples[key] = Sample(cluster, each.values[measure])
    if not samples:
        return {}
    found = macro_intervals([[sample] for sample in samples.values()], count)
    return dict(zip(samples, found, strict=True))


def _clusters(report: Report, values: PerQuery) -> tuple[dict[tuple[str, str], int], int]:
    """Return the question of each query as a number, by language and id, and how many there are."""
    if report.ranks is not None:
        ranks = report.ranks
        clusters = question_clusters(ranks)
        codes = [ranks.languages[code] for code in ranks.query_language.tolist()]
        names = zip(codes, ranks.query_ids, strict=True)
        return dict(zip(names, clusters.of.tolist(), strict=True)), clusters.count
    asked = [(each.setting.query_language, id_) for each in values.settings
             for id_ in each.query_ids]  # fmt: skip
    of: Ints
    ids, of = np.unique(np.array([id_ for _, id_ in asked], np.str_), return_inverse=True)
    return dict(zip(asked, of.tolist(), strict=True)), len(ids)
