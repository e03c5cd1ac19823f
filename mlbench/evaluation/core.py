"""The core of a streamed collection: its queries and relevant passages, all that stays in memory.

Rows of the table of ranks depend on nothing else: which there are, what they are called and how
they are ordered is known before the pass begins. Counts alone are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlbench.data.collection import Collection, Entries, Qrels
from mlbench.data.corpus import StreamedCollection
from mlbench.evaluation.scan import Scan
from mlbench.ranking.counting import Counts, relevant_pairs, sorted_table
from mlbench.ranking.products import Counts32, Ints, Pairs
from mlbench.ranking.ranks import Ranks


@dataclass(frozen=True)
class Core:
    """Queries, relevant passages and the judgements that relate them; each side sorted by id.

    ``pool_sizes`` and ``judged`` (languages,) are those of the whole collection.
    """

    collection: Collection
    pool_sizes: Ints
    judged: Ints

    @classmethod
    def of(cls, streamed: StreamedCollection, scanned: Scan) -> Core:
        """Put a core together from what a scan found."""
        languages = streamed.languages
        query_order = _order(streamed.queries)
        queries = _reordered(streamed.queries, query_order)
        texts: dict[tuple[int, str], str] = {}
        for shard in scanned.shards:
            number = languages.index(shard.language)
            texts |= {(number, id_): text for id_, text in shard.texts.items()}
        names = sorted(texts)
        starts = np.searchsorted([number for number, _ in names], np.arange(len(languages) + 1))
        passages = Entries(
            ids=tuple(id_ for _, id_ in names),
            texts=tuple(texts[name] for name in names),
            groups=("",) * len(names),
            starts=starts.astype(np.int64),
        )
        collection = Collection(languages, queries, passages, _qrels(streamed, query_order, names))
        judged = streamed.queries.language[streamed.judged]
        per_language = np.bincount(judged, minlength=len(languages))
        return cls(collection, scanned.passages, per_language)

    def table(self, place: Counts32) -> tuple[Ranks, Pairs]:
        """Return the table without counts, and the pair that each of its rows stands for.

        ``place`` has one element a pair of ``relevant_pairs(self.collection)``, as ``Counter``
        gives it.
        """
        pairs, relevance = relevant_pairs(self.collection)
        nothing = np.zeros((len(place), len(self.collection.languages)), np.int32)
        counts = Counts(place, nothing, nothing, 0)
        ranks = sorted_table(self.collection, pairs, relevance, counts)
        ranks = replace(ranks, pool_sizes=self.pool_sizes, judged=self.judged)
        passages = self.collection.passages
        index = {
            name: row
            for row, name in enumerate(zip(passages.language.tolist(), passages.ids, strict=True))
        }
        names = zip(ranks.passage_language.tolist(), ranks.passage_ids, strict=True)
        rows = np.array([index[name] for name in names], np.int64)
        return ranks, Pairs(np.unique(pairs.query)[ranks.query], rows)


def _order(entries: Entries) -> Ints:
    """Return the entries sorted by language and id, by code point."""
    codes, ids = entries.language.tolist(), entries.ids
    return np.array(sorted(range(len(ids)), key=lambda i: (codes[i], ids[i])), np.int64)


def _reordered(entries: Entries, order: Ints) -> Entries:
    return Entries(
        ids=tuple(entries.ids[i] for i in order),
        texts=tuple(entries.texts[i] for i in order),
        groups=tuple(entries.groups[i] for i in order),
        starts=entries.starts,
    )


def _qrels(streamed: StreamedCollection, order: Ints, names: list[tuple[int, str]]) -> Qrels:
    """Return the judgements of relevant passages; queries stand in ``order``."""
    judged = streamed.judgements
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    row = {name: number for number, name in enumerate(names)}
    relevant = np.flatnonzero(judged.relevance > 0)
    query = place[judged.query[relevant]]
    languages = judged.passage_language[relevant].tolist()
    ids = [judged.passage_ids[i] for i in relevant]
    passage = np.array([row[name] for name in zip(languages, ids, strict=True)], np.int64)
    sort = np.lexsort((passage, query))
    return Qrels(query[sort], passage[sort], judged.relevance[relevant][sort])
