"""Which texts of a task are encoded again, a seeded sample or all, and the rows of the table that
they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, IntegrityError
from mlbench.data.collection import Collection, Qrels
from mlbench.data.task import PairSizes
from mlbench.leaderboard.entries.strict import visible
from mlbench.leaderboard.verifying.claims import (
    Claims,
    Ints,
    Populations,
    Vectors,
)
from mlbench.models.encoding import Embedded
from mlbench.ranking.counting import relevant_pairs
from mlbench.ranking.ranks import Ranks


@dataclass(frozen=True)
class Places:
    """Where a table's queries (queries,) and rows (rows,) stand in a collection: the index of
    each query, and of each row's passage."""

    query: Ints
    passage: Ints


def find_places(ranks: Ranks, collection: Collection) -> Places:
    """Find the queries and passages of a table in its collection.

    Raises IntegrityError unless its rows are exactly the collection's relevant pairs.
    """
    pools = collection.passages.counts
    if ranks.languages != collection.languages or not np.array_equal(ranks.pool_sizes, pools):
        found = f"languages {', '.join(ranks.languages)}, passages {ranks.pool_sizes.tolist()}"
        expected = f"{', '.join(collection.languages)}, {pools.tolist()}"
        raise IntegrityError(Fault("the table of ranks", visible(found), expected))
    if ranks.pairs != collection.sizes():
        found, expected = (_said_of(pairs) for pairs in (ranks.pairs, collection.sizes()))
        raise IntegrityError(Fault("the table of ranks", visible(found), expected))
    queries, passages = collection.queries.index, collection.passages.index
    asked = [*zip(ranks.query_language.tolist(), ranks.query_ids, strict=True)]
    named = [*zip(ranks.passage_language.tolist(), ranks.passage_ids, strict=True)]
    query = np.array([queries.get(key, -1) for key in asked], np.int64)
    passage = np.array([passages.get(key, -1) for key in named], np.int64)
    pairs, relevance = relevant_pairs(collection)
    found_rows = np.stack([query[ranks.query], passage, ranks.relevance])
    rows = np.stack([pairs.query, pairs.passage, relevance])
    if not np.array_equal(_sorted(found_rows), _sorted(rows)):
        found = f"{plural(found_rows.shape[1], 'row')}, not the relevant passages of its queries"
        expected = f"what the task judges relevant, each pair once: {plural(rows.shape[1], 'pair')}"
        raise IntegrityError(Fault("the table of ranks", found, expected))
    return Places(query, passage)


def _said_of(pairs: Sequence[PairSizes]) -> str:
    """Say in words how many queries and passages pairs have."""
    each = (
        f"{one} and {other}: {queries[0]:,} and {queries[1]:,} queries, "
        f"{passages[0]:,} and {passages[1]:,} passages"
        for (one, other), queries, passages in (
            (pair.languages, pair.queries, pair.passages) for pair in pairs
        )
    )
    return "; ".join(each) or "no pairs"


def _sorted(rows: Ints) -> Ints:
    ordered: Ints = rows[:, np.lexsort(rows[::-1])]
    return ordered


def populations_of(ranks: Ranks) -> Populations:
    """Return what the passages of a table's collection are drawn from, in the order of passages."""
    if not ranks.pairs:
        return Populations.of_languages(ranks.pool_sizes)
    number = ranks.languages.index
    sides = sorted(
        (number(pair.languages[side]), place, side)
        for place, pair in enumerate(ranks.pairs)
        for side in (0, 1)
    )
    others = [number(ranks.pairs[place].languages[1 - side]) for _, place, side in sides]
    return Populations(
        size=np.array([ranks.pairs[place].passages[side] for _, place, side in sides]),
        language=np.array([language for language, *_ in sides]),
        asked=np.array(others),
    )


def searched_of(ranks: Ranks) -> Ints | None:
    """Return the population that each query of a table of pairs is searched in: (queries,). None
    without pairs."""
    populations = populations_of(ranks)
    if populations.asked is None:
        return None
    numbers = np.full((len(ranks.languages), len(ranks.languages)), -1, np.int64)
    numbers[populations.asked, populations.language] = np.arange(len(populations))
    return np.asarray(numbers[ranks.query_language, ranks.passage_language[ranks.starts[:-1]]])


def cuts_of(collection: Collection) -> Ints:
    """Return where the passages of each population begin, and where the last ends:
    (populations + 1,)."""
    passages, count = collection.passages, len(collection.pairs)
    if passages.pair is None:
        return np.asarray(passages.starts)
    language = collection.languages.index
    ends = sorted(
        language(code) * count + number
        for number, pair in enumerate(collection.pairs)
        for code in pair
    )
    keys = passages.language.astype(np.int64) * count + passages.pair
    return np.append(np.searchsorted(keys, ends), len(keys))


@dataclass(frozen=True)
class Sample:
    """Queries, as indices into the table (n,), and drawn passages, as indices into the
    collection, in the order drawn, population after population, cut by ``edges``."""

    queries: Ints
    drawn: Ints
    edges: Ints


def draw(ranks: Ranks, collection: Collection, queries: int, passages: int, seed: int) -> Sample:
    """Draw ``queries`` of a table's queries, as evenly as they allow, and ``passages`` passages of
    each population, or all where there are fewer.

    Queries are shared out over query languages, of a task of pairs over the directions of pairs.
    Queries and passages are drawn independently, each with equal chances within its part.
    """
    generator = np.random.default_rng([seed, 0])
    part, count = parts_of(ranks)
    quota = _shares(np.bincount(part, minlength=count), queries, generator)
    chosen = [
        members[generator.choice(len(members), share, replace=False)]
        for members, share in zip(_members(part, count), quota, strict=True)
    ]
    generator = np.random.default_rng([seed, 1])
    drawn = [
        start + generator.permutation(end - start)[:passages]
        for start, end in pairwise(cuts_of(collection).tolist())
    ]
    return Sample(
        queries=np.sort(np.concatenate(chosen)),
        drawn=np.concatenate(drawn),
        edges=np.cumsum([0, *map(len, drawn)]),
    )


def parts_of(ranks: Ranks) -> tuple[Ints, int]:
    """Return the part of a table's queries that each of them is drawn from, and the number of
    parts: query languages, or populations that are searched."""
    searched = searched_of(ranks)
    if searched is None:
        return ranks.query_language.astype(np.int64), len(ranks.languages)
    return searched, 2 * len(ranks.pairs)


def _members(part: Ints, count: int) -> list[Ints]:
    """Return the members of each part, ascending."""
    order = np.argsort(part, kind="stable")
    return np.split(order, np.cumsum(np.bincount(part, minlength=count))[:-1])


CERTAINTY = 0.99


def share_seen(available: Sequence[int], drawn: Sequence[int]) -> float:
    """Return the smallest share of a table's queries of which the sample has one, wherever they
    are, with a probability of CERTAINTY at least; 1 where there is no such share.

    ``available`` and ``drawn`` count the queries by the part they are drawn from. Whoever altered
    queries before the sample was drawn did best to choose them where the fewest of those left are
    drawn.
    """
    left = np.array(available, np.int64)
    counts = np.array(drawn, np.int64)
    missed, altered = 1.0, 0
    while missed > 1 - CERTAINTY + 1e-12 and altered < sum(available):
        chance = counts / np.maximum(left, 1)
        chance[left == 0] = np.inf
        place = int(np.argmin(chance))
        missed *= 1 - min(float(chance[place]), 1.0)
        left[place] -= 1
        altered += 1
    return altered / max(sum(available), 1)


def _shares(available: Ints, count: int, generator: np.random.Generator) -> Ints:
    """Share ``count`` out as evenly as what is available allows; who gets the rest is drawn."""
    shares = np.zeros_like(available)
    left = min(count, int(available.sum()))
    while left:
        waiting = generator.permutation(np.flatnonzero(shares < available))
        each = max(left // len(waiting), 1)
        given = np.minimum(each, available - shares)[waiting[:left]]
        shares[waiting[:left]] += given
        left -= int(given.sum())
    return shares


def claims_of(ranks: Ranks, queries: Ints) -> tuple[Claims, Ints]:
    """Return what a table claims of some of its queries, and which of its rows these are."""
    counts = np.diff(ranks.starts)[queries]
    inside = np.isin(ranks.query, queries)
    rows = np.flatnonzero(inside)
    searched = searched_of(ranks)
    claims = Claims(
        starts=np.cumsum([0, *counts]),
        query_language=ranks.query_language[queries].astype(np.int64),
        passage_language=ranks.passage_language[rows].astype(np.int64),
        place=ranks.place[rows].astype(np.int64),
        above=ranks.above[rows].astype(np.int64),
        tied=ranks.tied[rows].astype(np.int64),
        populations=populations_of(ranks),
        searched=None if searched is None else searched[queries],
        spans=spans_of(ranks, queries),
    )
    return claims, rows


def spans_of(ranks: Ranks, queries: Ints) -> Ints | None:
    """Return the first language that each query is searched in and the one after the last,
    (queries, 2), where texts search images and images texts; None elsewhere. Images are the last
    language of a task, so those of texts follow one another."""
    if not ranks.roles.between_modalities:
        return None
    pools = [ranks.columns(ranks.roles.pool_of(code)) for code in ranks.languages]
    spans = np.array([(pool.min(), pool.max() + 1) for pool in pools], np.int64)
    return np.asarray(spans[ranks.query_language[queries]])


@dataclass(frozen=True)
class Part:
    """What a sample is compared on: ``rows`` of the table, what these claim, and the part of a
    collection that is encoded again, without judgements.

    ``queries`` and ``passages`` are the indices of its texts in the whole, ascending; ``asked`` (of
    the sample's queries), ``relevant`` (of rows) and ``drawn`` are indices into the part.
    """

    sample: Sample
    rows: Ints
    claims: Claims
    collection: Collection
    queries: Ints
    passages: Ints
    asked: Ints
    relevant: Ints
    drawn: Ints

    def vectors(self, embedded: Embedded) -> Vectors:
        """Return the vectors of the part, one query after the other as the table has them."""
        return Vectors(
            queries=embedded.queries[self.asked],
            passages=embedded.passages,
            starts=cuts_of(self.collection),
            relevant=self.relevant,
            drawn=self.drawn,
            edges=self.sample.edges,
        )


def part_of(ranks: Ranks, collection: Collection, sample: Sample) -> Part:
    """Return what a sample is compared on. Raises IntegrityError as ``find_places``."""
    places = find_places(ranks, collection)
    claims, rows = claims_of(ranks, sample.queries)
    asked, relevant = places.query[sample.queries], places.passage[rows]
    queries, passages = np.unique(asked), np.unique(np.append(relevant, sample.drawn))
    nothing = np.zeros(0, np.int64)
    return Part(
        sample,
        rows,
        claims,
        Collection(
            collection.languages,
            collection.queries.take(queries),
            collection.passages.take(passages),
            Qrels(nothing, nothing, nothing.astype(np.int32)),
            pairs=collection.pairs,
            images=collection.images,
        ),
        queries,
        passages,
        asked=np.searchsorted(queries, asked),
        relevant=np.searchsorted(passages, relevant),
        drawn=np.searchsorted(passages, sample.drawn),
    )
