"""The drill-down as tables: biased queries, a question in its languages, one query's passages."""

from __future__ import annotations

from collections.abc import Sequence

from mlbench.reports.explain import Explanation, Outranking
from mlbench.reports.reading import MISSING, number
from mlbench.reports.tables import Table

MOST_COLUMNS = 11
"""Languages that have a column of their own; of more, those that outrank most."""
NAMED = 3
"""Languages that are named as outranking most."""
OTHERS = "others"


def biased_queries_table(found: Sequence[Explanation]) -> Table:
    """Return a row a query: its highest and lowest rank, and who outranks its passages most."""
    headers = ("query", "in", "highest", "lowest", "rank\ndistance", "most outranked by")
    rows = tuple(
        (
            each.query_id,
            each.language,
            _rank(each, 0),
            _rank(each, -1),
            f"{each.distance:,}",
            most_outranked_by(each),
        )
        for each in found
    )
    return Table(headers, rows)


def versions_table(found: Sequence[Explanation]) -> Table:
    """Return a row a language that asks the question: its ranks, AP, and who outranks most."""
    headers = ("query in", "AP", "highest", "lowest", "rank\ndistance", "most outranked by")
    rows = tuple(
        (
            each.language,
            number(each.average_precision),
            _rank(each, 0),
            _rank(each, -1),
            f"{each.distance:,}",
            most_outranked_by(each),
        )
        for each in found
    )
    return Table(headers, rows)


def _rank(each: Explanation, which: int) -> str:
    passage = each.passages[which]
    return f"{passage.rank:,} {passage.language}"


def most_outranked_by(each: Explanation) -> str:
    """Return the languages whose passages outrank most, with their share of all that do."""
    total = sum(each.above.values())
    return ", ".join(
        f"{language} {100 * count / total:.0f}%"
        for language, count in list(each.above.items())[:NAMED]
        if count
    )


def passages_table(each: Explanation) -> Table:
    """Return a row a relevant passage: its rank, and how many of each language outrank it."""
    columns = list(each.passages[0].above)
    if len(columns) > MOST_COLUMNS:
        most = list(each.above)[: MOST_COLUMNS - 1]
        columns = [language for language in columns if language in most] + [OTHERS]
    rows = []
    for passage in each.passages:
        other = sum(n for language, n in passage.above.items() if language not in columns)
        above = passage.above | {OTHERS: other}
        rows.append((passage.language, str(passage.rank), *(str(above[name]) for name in columns)))
    return Table(("in", "rank", *columns), tuple(rows))


def languages_table(found: Sequence[Outranking]) -> Table:
    """Return who outranks relevant passages, the language that does so most often first."""
    headers = ("passages in", "share of all\noutranking", "times its share,\nown queries",
               "times its share,\nother queries")  # fmt: skip
    rows = tuple(
        (
            each.language,
            f"{100 * each.share:.1f}%" if each.passages else MISSING,
            number(each.own, 2),
            number(each.others, 2),
        )
        for each in found
    )
    return Table(headers, rows)
