"""The drill-down: where the passages relevant to a query rank, and which languages outrank them.

As values, and as tables: biased queries, a question in its languages, one query's passages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlbench.common.errors import Fault, UsageError, did_you_mean, nearest
from mlbench.data.task import language_among
from mlbench.measures.bias import MixedPool, distances
from mlbench.measures.rank_measures import average_precision
from mlbench.ranking.ranks import Ints, Ranks
from mlbench.reports.table import Table
from mlbench.reports.words import MISSING, number


@dataclass(frozen=True)
class RankedPassage:
    """A passage relevant to a query: its rank in the pool, and who outranks it.

    Ties count against the model in ``rank`` and for it in ``optimistic``; ``above`` maps a language
    to the non-relevant passages in it that score strictly higher, ``tied`` to those that score
    exactly the same.
    """

    passage_id: str
    language: str
    relevance: int
    rank: int
    optimistic: int
    above: dict[str, int]
    tied: dict[str, int]


@dataclass(frozen=True)
class Explanation:
    """One query of one language in a pool, that of all languages or a part; ``passages`` best
    first, at least one."""

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
        """AP in the pool."""
        hits = enumerate(self.passages, 1)
        return sum(found / passage.rank for found, passage in hits) / len(self.passages)

    @cached_property
    def outranked(self) -> dict[str, int]:
        """Language -> passages in it that rank above a relevant one or tie with it, summed; most
        first."""
        sums: dict[str, int] = {}
        for passage in self.passages:
            for language, count in passage.above.items():
                sums[language] = sums.get(language, 0) + count + passage.tied[language]
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def explain_query(
    ranks: Ranks, query_id: str, language: str | None = None, passage_language: str | None = None
) -> list[Explanation]:
    """Return the query of that id in each language that asks it, or in ``language`` alone; in the
    multilingual pool, or that of ``passage_language``, and of pairs in that of its own.

    Raises UsageError, with near names, where no query of that id and language has a relevant
    passage in the pool.
    """
    language, passage_language = chosen_languages(ranks, language, passage_language)
    pool = None if passage_language is None else (passage_language,)
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
    explained = [each for i in chosen if (each := explain_row(ranks, i, pool)).passages]
    if not explained:
        found = f"no relevant passage in {passage_language}"
        raise UsageError(Fault(f"--query {query_id!r}", found, "another --passage-language"))
    return explained


def chosen_languages(
    ranks: Ranks, language: str | None, passage_language: str | None
) -> tuple[str | None, str | None]:
    """Return a query language and a passage language as the report writes them.

    Raises UsageError, with near names, for a language of which the report has no such texts.
    """
    found, faults = [], []
    for role, code, known in (
        ("query", language, ranks.roles.queries),
        ("passage", passage_language, ranks.roles.passages),
    ):
        found.append(code and language_among(code, known))
        if found[-1] is not None and found[-1] not in known:
            what = f"the report has no {role} in {found[-1]!r}"
            hint = did_you_mean(found[-1], known)
            faults.append(Fault(f"--{role}-language", what, ", ".join(known), hint))
    if faults:
        raise UsageError(*faults)
    return found[0], found[1]


def _near(query_id: str, ranks: Ranks) -> str:
    return (
        nearest(query_id, dict.fromkeys(ranks.query_ids)) or "`mlbench explain FOLDER` lists some"
    )


def explain_row(ranks: Ranks, query: int, pool: Sequence[str] | None = None) -> Explanation:
    """Return the explanation of the query at index ``query`` of the table, in the pool of some
    languages or of all, or of its pair; without passages where none in the pool is relevant."""
    rows = np.arange(ranks.starts[query], ranks.starts[query + 1])
    asked = ranks.languages[ranks.query_language[query]]
    languages = ranks.roles.pool_of(asked) if pool is None else tuple(pool)
    if pool is None and ranks.pairs:
        languages = tuple({ranks.languages[i]: None for i in ranks.passage_language[rows].tolist()})
    columns = ranks.columns(languages)
    rows = rows[np.isin(ranks.passage_language[rows], columns)]
    for_the_model = np.lexsort((-ranks.relevance[rows], ranks.place[rows]))
    above = ranks.above[rows][:, columns].astype(np.int64)
    tied = ranks.tied[rows][:, columns].astype(np.int64)
    rank = above.sum(1) + tied.sum(1) + np.arange(1, len(rows) + 1)
    optimistic = np.empty(len(rows), np.int64)
    optimistic[for_the_model] = above.sum(1)[for_the_model] + np.arange(1, len(rows) + 1)
    return Explanation(
        query_id=ranks.query_ids[query],
        language=asked,
        passages=tuple(
            RankedPassage(
                passage_id=ranks.passage_ids[row],
                language=ranks.languages[ranks.passage_language[row]],
                relevance=int(ranks.relevance[row]),
                rank=int(rank[i]),
                optimistic=int(optimistic[i]),
                above=dict(zip(languages, above[i].tolist(), strict=True)),
                tied=dict(zip(languages, tied[i].tolist(), strict=True)),
            )
            for i, row in enumerate(rows)
        ),
        pool_size=ranks.pool_size(asked, languages),
    )


def most_biased(ranks: Ranks, count: int, language: str | None = None) -> list[Explanation]:
    """Return the queries of the highest rank distance, of one language or of all, highest first.

    Among equals, languages and questions take turns. Queries with one relevant passage have none.
    A weak model scatters them all: read the list beside mAP.
    """
    mixing = ranks.roles.mixing
    asked = mixing if language is None else tuple(code for code in mixing if code == language)
    if not asked:
        return []
    found = [distances(MixedPool.of(ranks, code)) for code in asked]
    query = np.concatenate([each.query for each in found])
    spread = np.concatenate([each.distance for each in found])
    return [explain_row(ranks, index) for index in _in_turns(ranks, query, -spread, count)]


def worst(ranks: Ranks, language: str, pool: Sequence[str], count: int) -> list[Explanation]:
    """Return the queries of a language that have the lowest AP in a pool, lowest first; of equal
    ones those whose best passage ranks lowest, then by id."""
    ranking = ranks.ranking(language, pool)
    if not len(ranking.query):
        return []
    precision = average_precision(ranking, None)
    order = np.lexsort((-ranking.rank[ranking.starts[:-1]], precision))[:count]
    return [explain_row(ranks, int(index), pool) for index in ranking.query[order]]


def _in_turns(ranks: Ranks, query: Ints, key: Ints, count: int) -> list[int]:
    """Return the ``count`` queries of the lowest key; of equal ones, next is always one whose
    language, then whose question, was taken least often, then the first of the table."""

    def spoken(index: int) -> str:
        return str(ranks.languages[ranks.query_language[index]])

    taken: list[int] = []
    languages: Counter[str] = Counter()
    questions: Counter[str] = Counter()
    for value in np.unique(key).tolist():
        equal = sorted(query[key == value].tolist())
        while equal and len(taken) < count:
            chosen = min(
                equal, key=lambda i: (languages[spoken(i)], questions[ranks.query_ids[i]], i)
            )
            equal.remove(chosen)
            taken.append(chosen)
            languages[spoken(chosen)] += 1
            questions[ranks.query_ids[chosen]] += 1
        if len(taken) == count:
            break
    return taken


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
    roles = ranks.roles
    mixing = [code for code in roles.mixing if code in matrix]
    passages = tuple(p for p in roles.passages if any(p in roles.pool_of(q) for q in mixing))
    rows_of = np.isin(ranks.query_language[ranks.query], ranks.columns(mixing))
    sums = ranks.above.sum(0, dtype=np.int64, where=rows_of[:, np.newaxis]) + ranks.tied.sum(
        0, dtype=np.int64, where=rows_of[:, np.newaxis]
    )
    counts = sums[ranks.columns(passages)].tolist()
    total = sum(counts) or 1
    found = []
    for language, count in zip(passages, counts, strict=True):
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


MOST_BIASED = 10
"""Queries that a page shows in full."""
MOST_COLUMNS = 11
"""Languages that have a column of their own; of more, those that outrank most."""
NAMED = 3
"""Languages that are named as outranking most."""
OTHERS = "others"


def biased_line(each: Explanation) -> str:
    """Return a query, its rank distance, and who outranks its passages most, in words."""
    highest, lowest, distance, most = _spread(each)
    by = f"; most outranked by {most}" if most else ""
    ends = f"from {highest} to {lowest}"
    return f"{each.query_id} in {each.language}: rank distance {distance}, {ends}{by}"


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
    total = sum(each.outranked.values())
    return ", ".join(
        f"{language} {100 * count / total:.0f}%"
        for language, count in list(each.outranked.items())[:NAMED]
        if count
    )


def passages_table(each: Explanation) -> Table:
    """Return a row a relevant passage: its rank, how many of each language rank above it, and how
    many of all languages tie with it, if any does."""
    columns = list(each.passages[0].above)
    if len(columns) > MOST_COLUMNS:
        most = list(each.outranked)[: MOST_COLUMNS - 1]
        columns = [language for language in columns if language in most] + [OTHERS]
    ties = any(any(passage.tied.values()) for passage in each.passages)
    rows = []
    for passage in each.passages:
        other = sum(n for language, n in passage.above.items() if language not in columns)
        above = passage.above | {OTHERS: other}
        tied = [str(sum(passage.tied.values()))] if ties else []
        counts = [str(above[name]) for name in columns]
        rows.append((passage.language, str(passage.rank), *counts, *tied))
    return Table(("in", "rank", *columns, *(["tied"] if ties else [])), tuple(rows))


def languages_table(languages: Sequence[Outranking]) -> Table:
    """Return who outranks relevant passages, the language that does so most often first.

    For queries in the same language only where some passages have such queries.
    """
    columns: dict[str, list[str]] = {
        "passages in": [each.language for each in languages],
        "share of all\noutranking": [
            f"{100 * each.share:.1f}%" if each.passages else MISSING for each in languages
        ],
        "for queries in\nthe language": [number(each.own, 2) for each in languages],
        "for queries in\nothers": [number(each.others, 2) for each in languages],
    }
    if all(each.own is None for each in languages):
        del columns["for queries in\nthe language"]
    return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)))
