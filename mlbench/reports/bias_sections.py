"""The sections on language bias of a page: each a table, how it is read, and what it says."""

from __future__ import annotations

from mlbench.reports.bias_tables import (
    bias_table,
    counts_table,
    distance_table,
    extremes_table,
    outranking_table,
)
from mlbench.reports.bias_words import counts_line, extremes_line, target_line
from mlbench.reports.reading import outranking_line, rank_distance_line
from mlbench.reports.report import Report
from mlbench.reports.templating import Section


def bias_sections(report: Report) -> list[Section]:
    """Return what there is of language bias; of run files, which lack most of it, nothing."""
    if report.retrieved is not None:
        return []
    sections = (
        Section(
            "Rank distance",
            distance_table(report),
            "The percentage shows where the value lies between the least possible (0%) and the "
            "mean of a random order (100%).",
            rank_distance_line(report),
        ),
        Section(
            "Outranking",
            outranking_table(report),
            "Rows are query languages, columns passage languages. 2 means that passages in a "
            "language outrank relevant ones twice as often as their share of the pool; 1 is "
            f"unbiased. {_means_of_outranking(report)}".rstrip(),
            outranking_line(report) or "No passage ranks above a relevant one.",
        ),
        Section(
            "Other measures of bias",
            bias_table(report),
            "All values are over the multilingual pool, with their 95% intervals. They are "
            "defined at the end of the report.",
            target_line(report),
        ),
        Section(
            "Best and worst language",
            extremes_table(report),
            _extremes_of(report),
            extremes_line(report),
        ),
        Section(
            "Scores by the number of languages",
            counts_table(report),
            "Both queries and pool are cut to this number of languages. Each value is the mean "
            "over the choices of languages, with the range from the lowest to the highest. With "
            "one language, mAP is monolingual; with more, it is multilingual.",
            counts_line(report),
        ),
    )
    return [section for section in sections if section.table.rows]


def _means_of_outranking(report: Report) -> str:
    """Say what the means of the outranking matrix are, "" where it has none."""
    roles = report.task.roles
    own = "the last column is the query's own language" if roles.shared else ""
    others = " over queries in other languages" if roles.shared else ""
    mean = f"the last row is the mean{others}" if len(roles.mixing) > 1 else ""
    said = ", and ".join(filter(None, (own, mean)))
    return said and f"{said[0].upper()}{said[1:]}."


def _extremes_of(report: Report) -> str:
    """Say whose means the best and worst are."""
    bias, recall = report.scores.bias, "recall in the multilingual pool, by passage language"
    if not bias.by_query_language:
        return f"The means are those of {recall}."
    return f"The means are by query language{f', or, for {recall}' if bias.recall else ''}."
