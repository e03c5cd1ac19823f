"""The core of a streamed collection: its queries and relevant passages, all that stays in memory,
what counting a shard against them needs, and what it gives.

Rows of the table of ranks depend on nothing else: which there are, what they are called and how
they are ordered is known before the pass begins. Counts alone are missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlbench.common.sealed import raw_bytes
from mlbench.data.collection import Collection, Entries, Qrels
from mlbench.data.corpus import StreamedCollection
from mlbench.evaluation.scan import Scan
from mlbench.models.boundary import attribute
from mlbench.models.inputs import Inputs
from mlbench.models.protocol import Truncation
from mlbench.models.saved_vectors import SavedFile
from mlbench.ranking.counting import DEFAULT_LIMITS, Counter, Counts, relevant_pairs, sorted_table
from mlbench.ranking.nearest import Nearest
from mlbench.ranking.products import Counts32, Limits, Pairs
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.tiles import Ints
from mlbench.ranking.vectors import Vectors, arrays

if TYPE_CHECKING:
    from pathlib import Path

    from mlbench.models.registry import LoadedModel
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
        queries = streamed.queries.take(query_order)
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
        index = self.collection.passages.index
        names = zip(ranks.passage_language.tolist(), ranks.passage_ids, strict=True)
        rows = np.array([index[name] for name in names], np.int64)
        return ranks, Pairs(np.unique(pairs.query)[ranks.query], rows)


def _order(entries: Entries) -> Ints:
    """Return the entries sorted by language and id, by code point."""
    codes, ids = entries.language.tolist(), entries.ids
    return np.array(sorted(range(len(ids)), key=lambda i: (codes[i], ids[i])), np.int64)


def _qrels(streamed: StreamedCollection, order: Ints, names: list[tuple[int, str]]) -> Qrels:
    """Return the judgements of relevant passages; queries stand in ``order``."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    row = {name: number for number, name in enumerate(names)}
    found = streamed.relevant(row)
    query = place[found.query]
    sort = np.lexsort((found.passage, query))
    return Qrels(query[sort], found.passage[sort], found.relevance[sort])


@dataclass(frozen=True)
class ShardCounts:
    """What one shard adds to the table, and what it took.

    ``above`` and ``tied`` (rows,) are counts of the passages of the shard's language, int32.
    ``encoded`` is the number of texts that the model was given, ``distinct`` that of the different
    texts in each block, ``cut`` what the maximum length cost these (None where unknown).
    ``nearest`` are the first passages of each query, if they are wanted.
    """

    name: str
    language: str
    above: Counts32
    tied: Counts32
    passages: int
    content: str
    encoded: int
    distinct: int
    recomputed: int
    seconds: float
    cut: Truncation | None = None
    saved: SavedFile | None = None
    nearest: Nearest | None = None


class CoreVectors(NamedTuple):
    """The vectors of the core's queries and relevant passages, a row an entry."""

    queries: Vectors
    relevant: Vectors

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over both."""
        total = hashlib.sha256()
        for array in (*arrays(self.queries), *arrays(self.relevant)):
            total.update(f"{array.dtype} {array.shape}\n".encode())
            total.update(raw_bytes(array))
        return total.hexdigest()


class Expected(NamedTuple):
    """What the scan found a shard to hold: how many passages, and their digest."""

    passages: int
    content: str


@dataclass(frozen=True)
class Prepared:
    """All that a worker needs to count shards, beside the model; can be pickled.

    ``pairs`` are those of the table's rows. ``rows`` maps, for each language code, the ids of
    relevant passages to their rows of ``relevant``; ``known`` does so for what the model reads of
    them ("" stands for all languages where it is not told them). ``spec`` and ``options`` load the
    model (see ``registry.load_adapter``). ``keep`` is the folder for vectors, if they are wanted.
    ``depth`` passages of each query are found too (0: none); ``relevance`` is that of the pairs.
    """

    languages: tuple[str, ...]
    queries: Vectors
    relevant: Vectors
    pairs: Pairs
    rows: Mapping[str, Mapping[str, int]]
    known: Mapping[str, Mapping[bytes, int]]
    expected: Mapping[str, Expected]
    spec: str
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = DEFAULT_LIMITS
    keep: Path | None = None
    depth: int = 0
    relevance: Counts32 = field(default_factory=lambda: np.zeros(0, np.int32))

    @cached_property
    def asked(self) -> Ints:
        """The queries that have a relevant passage."""
        return np.unique(self.pairs.query)

    def nothing_yet(self) -> Nearest:
        """Return the lists of the first passages before any was seen."""
        return Nearest.nothing(len(self.asked), self.depth)

    def relevant_of(self, own: Ints) -> tuple[Pairs, Counts32]:
        """Return the pairs of a query, among those ``asked``, and a passage of a block that is
        relevant to it, and their relevance; for ``own`` see below."""
        rows = np.flatnonzero(own >= 0)
        query = np.searchsorted(self.asked, self.pairs.query[rows])
        return Pairs(query, own[rows]), self.relevance[rows]

    def counter(self) -> Counter:
        """Return a counter of passages against the table's rows."""
        return Counter(self.queries, self.relevant, self.pairs, self.limits)

    def own(self, ids: list[str], language: str) -> Ints:
        """Return where among ``ids`` the passage of each row stands, -1 where it does not."""
        rows = self.rows[language]
        place = np.full(self.relevant.shape[0], -1, np.int64)
        for number, id_ in enumerate(ids):
            if id_ in rows:
                place[rows[id_]] = number
        own: Ints = place[self.pairs.passage]
        return own


def prepare(
    core: Core,
    scanned: Scan,
    vectors: CoreVectors,
    model: LoadedModel,
    limits: Limits = DEFAULT_LIMITS,
    options: Mapping[str, Any] | None = None,
    depth: int = 0,
) -> tuple[Ranks, Prepared]:
    """Return the table that awaits its counts, and what is needed to count.

    Raises ModelError where the model fails to say what it reads of a text.
    """
    from mlbench.ranking.counting import relevant_pairs

    first = Counter(*vectors, relevant_pairs(core.collection)[0], limits)
    ranks, pairs = core.table(first.place)
    passages, languages = core.collection.passages, core.collection.languages
    codes = [languages[number] for number in passages.language.tolist()]
    rows: dict[str, dict[str, int]] = {language: {} for language in languages}
    for row, (code, id_) in enumerate(zip(codes, passages.ids, strict=True)):
        rows[code][id_] = row
    free = attribute(model.spec, model.adapter, "language_free", False)
    known: dict[str, dict[bytes, int]] = {"": {}} if free else {code: {} for code in languages}
    forms = Inputs(model).forms("passage", passages.texts)
    for row, (code, form) in enumerate(zip(codes, forms, strict=True)):
        known["" if free else code].setdefault(form, row)
    return ranks, Prepared(
        languages=languages,
        queries=vectors.queries,
        relevant=vectors.relevant,
        pairs=pairs,
        rows=rows,
        known=known,
        expected={s.name: Expected(s.passages, s.content) for s in scanned.shards},
        spec=model.spec,
        options=options or {},
        limits=limits,
        depth=depth,
        relevance=ranks.relevance,
    )
