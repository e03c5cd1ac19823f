"""The drill-down: where the passages relevant to a query rank, and which languages outrank them.

As values, and as tables: biased queries, a question in its languages, one query's passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlbench.common.errors import Fault, UsageError, did_you_mean
from mlbench.data.task import language_among
from mlbench.measures.bias import MixedPool, distances
from mlbench.ranking.ranks import Ranks
from mlbench.reports.tables import Table
from mlbench.reports.words import MISSING, number


@dataclass(frozen=True)
class RankedPassage:
    """A passage relevant to a query: its rank in the mixed pool, and who outranks it.

    Ties count against the model in ``rank`` and ``above`` and for it in ``optimistic``; ``above``
    maps a language to the non-relevant passages in it that rank above.
    """

    passage_id: str
    language: str
    relevance: int
    rank: int
    optimistic: int
    above: dict[str, int]


@dataclass(frozen=True)
class Explanation:
    """One query of one language in the mixed pool; ``passages`` best first."""

    query_id: str
    language: str
    passages: tuple[RankedPassage, ...]
    pool_size: int

    @property
    def distance(self) -> int:
        """Rank distance: the lowest passage's rank minus the highest one's."""
        return self.passages[-1].rank - self.passages[0].rank

    @property
    def average_precision(self) -> float:
        """AP in the mixed pool."""
        hits = enumerate(self.passages, 1)
        return sum(found / passage.rank for found, passage in hits) / len(self.passages)

    @cached_property
    def above(self) -> dict[str, int]:
        """Language -> passages in it that rank above a relevant one, summed; most first."""
        sums: dict[str, int] = {}
        for passage in self.passages:
            for language, count in passage.above.items():
                sums[language] = sums.get(language, 0) + count
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def explain_query(ranks: Ranks, query_id: str, language: str | None = None) -> list[Explanation]:
    """Return the query of that id in each language that asks it, or in ``language`` alone.

    Raises UsageError, with near names, where no query of that id and language has a relevant
    passage.
    """
    language = language and language_among(language, ranks.languages)
    if language is not None and language not in ranks.languages:
        known = ", ".join(ranks.languages)
        mend = did_you_mean(language, ranks.languages)
        raise UsageError(Fault("--language", f"{language!r} is not in the report", known, mend))
    asked = [i for i, id_ in enumerate(ranks.query_ids) if id_ == query_id]
    if not asked:
        raise UsageError(
            Fault(
                f"--query {query_id!r}",
                "no such query with a relevant passage",
                f"an id such as {ranks.query_ids[0]!r}" if ranks.query_ids else "a query",
                _near(query_id, ranks),
            )
        )
    spoken = {i: ranks.languages[ranks.query_language[i]] for i in asked}
    chosen = [i for i in asked if language in (None, spoken[i])]
    if not chosen:
        found = f"not asked in {language!r}, or without a relevant passage"
        raise UsageError(Fault(f"--query {query_id!r}", found, ", ".join(spoken.values())))
    return [explain_row(ranks, query) for query in chosen]


def _near(query_id: str, ranks: Ranks) -> str:
    hint = did_you_mean(query_id, dict.fromkeys(ranks.query_ids))
    return hint if hint.startswith("did") else "`mlbench explain FOLDER` lists some"


def explain_row(ranks: Ranks, query: int) -> Explanation:
    """Return the explanation of the query at index ``query`` of the table."""
    rows = np.arange(ranks.starts[query], ranks.starts[query + 1])
    for_the_model = np.lexsort((-ranks.relevance[rows], ranks.place[rows]))
    above = ranks.above[rows].astype(np.int64)
    counts = above + ranks.tied[rows]
    rank = counts.sum(1) + np.arange(1, len(rows) + 1)
    optimistic = np.empty(len(rows), np.int64)
    optimistic[for_the_model] = above.sum(1)[for_the_model] + np.arange(1, len(rows) + 1)
    return Explanation(
        query_id=ranks.query_ids[query],
        language=ranks.languages[ranks.query_language[query]],
        passages=tuple(
            RankedPassage(
                passage_id=ranks.passage_ids[row],
                language=ranks.languages[ranks.passage_language[row]],
                relevance=int(ranks.relevance[row]),
                rank=int(rank[i]),
                optimistic=int(optimistic[i]),
                above=dict(zip(ranks.languages, counts[i].tolist(), strict=True)),
            )
            for i, row in enumerate(rows)
        ),
        pool_size=int(ranks.pool_sizes.sum()),
    )


def most_biased(ranks: Ranks, count: int) -> list[Explanation]:
    """Return the queries of the highest rank distance, highest first; of equals in table order.

    Queries with one relevant passage have none. A weak model scatters them all: read the list
    beside mAP.
    """
    if len(ranks.languages) < 2:
        return []
    found = [distances(MixedPool.of(ranks, language)) for language in ranks.languages]
    query = np.concatenate([each.query for each in found])
    spread = np.concatenate([each.distance for each in found])
    order = np.lexsort((query, -spread))[:count]
    return [explain_row(ranks, int(index)) for index in query[order]]


@dataclass(frozen=True)
class Outranking:
    """How often passages in a language outrank relevant ones, over all queries.

    ``passages`` counts them once for each relevant passage below; ``own`` and ``others`` are
    times their share of the pool, for queries in the language and in others, None where none.
    """

    language: str
    passages: int
    share: float
    own: float | None
    others: float | None


def outranking_languages(
    ranks: Ranks, matrix: dict[str, dict[str, float | None]]
) -> list[Outranking]:
    """Return who outranks, the language that does so most first; ``matrix`` is the report's."""
    counts = (ranks.above.sum(0, dtype=np.int64) + ranks.tied.sum(0, dtype=np.int64)).tolist()
    total = sum(counts) or 1
    found = []
    for language, count in zip(ranks.languages, counts, strict=True):
        rows = [(query, row.get(language)) for query, row in matrix.items() if query != language]
        others = [value for _, value in rows if value is not None]
        found.append(
            Outranking(
                language,
                count,
                count / total,
                matrix.get(language, {}).get(language),
                sum(others) / len(others) if others else None,
            )
        )
    return sorted(found, key=lambda each: -each.passages)


MOST_COLUMNS = 11
"""Languages that have a column of their own; of more, those that outrank most."""
NAMED = 3
"""Languages that are named as outranking most."""
OTHERS = "others"


def biased_queries_table(queries: Sequence[Explanation]) -> Table:
    """Return a row a query: its highest and lowest rank, and who outranks its passages most."""
    rows = tuple((each.query_id, each.language, *_spread(each)) for each in queries)
    return Table(("query", "in", *SPREAD), rows)


def versions_table(queries: Sequence[Explanation]) -> Table:
    """Return a row a language that asks the question: its ranks, AP, and who outranks most."""
    rows = tuple(
        (each.language, number(each.average_precision), *_spread(each)) for each in queries
    )
    return Table(("query in", "AP", *SPREAD), rows)


SPREAD = ("highest", "lowest", "rank\ndistance", "most outranked by")


def _spread(each: Explanation) -> tuple[str, ...]:
    """Return the cells of a query under the headers ``SPREAD``."""
    highest, lowest = (
        f"{end.rank:,} {end.language}" for end in (each.passages[0], each.passages[-1])
    )
    return highest, lowest, f"{each.distance:,}", most_outranked_by(each)


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


def languages_table(languages: Sequence[Outranking]) -> Table:
    """Return who outranks relevant passages, the language that does so most often first."""
    headers = ("passages in", "share of all\noutranking", "for queries in\nthe language",
               "for queries in\nothers")  # fmt: skip
    rows = tuple(
        (
            each.language,
            f"{100 * each.share:.1f}%" if each.passages else MISSING,
            number(each.own, 2),
            number(each.others, 2),
        )
        for each in languages
    )
    return Table(headers, rows)
