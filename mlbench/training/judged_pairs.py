"""What a retriever is trained on: judged pairs of texts, by the languages of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, UsageError, did_you_mean
from mlbench.data.collection import Collection, Entries
from mlbench.data.task import IMAGE

IntArray = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """Judged pairs, as arrays of one length: the number of the question and of the passage.

    Texts of one role that are equal, in whatever language, share a number, and so do those with the
    same id, as translations have it.
    """

    query: IntArray
    passage: IntArray


class _Pairs(NamedTuple):
    """Judged pairs of two languages: their numbers, and the places of their texts among those of
    the language, int64 (n,)."""

    rows: Rows
    query: IntArray
    passage: IntArray


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a retriever is trained on. ``digest`` is that of the data, a SHA-256 in hex.

    >>> from mlbench.training.training_set import training_set
    >>> data = training_set("sample", languages=("de", "en"), progress=False)
    >>> len(data.rows("de", "en").query)
    32
    """

    name: str
    languages: tuple[str, ...]
    digest: str
    collection: Collection = field(repr=False)
    _known: dict[tuple[str, str], _Pairs] = field(default_factory=dict, init=False, repr=False)
    _arrays: dict[bytes, IntArray] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, name: str, collection: Collection) -> TrainingSet:
        """Return the training set that a task's data makes."""
        return cls(name, collection.languages, collection.digest, collection)

    def rows(self, query_language: str, passage_language: str) -> Rows:
        """Return the judged pairs (relevance above 0) of a question in one language and a passage
        in the other, ordered by their numbers; empty arrays where there are none.

        Pairs of languages that are equal share their arrays. Raises UsageError for a language that
        is not the set's.
        """
        return self._pairs(query_language, passage_language).rows

    def counts(self, languages: Sequence[str]) -> dict[str, int]:
        """Return how many judged pairs the rows of a training are drawn from, by languages
        ("de-en"). Images are no questions, and beside them only pairs that there are count."""
        counted = {
            f"{query}-{passage}": len(self.rows(query, passage).query)
            for query in languages
            for passage in languages
            if query != IMAGE
        }
        if IMAGE not in languages:
            return counted
        return {name: count for name, count in counted.items() if count}

    def texts(
        self, query_language: str, passage_language: str, rows: IntArray
    ) -> tuple[list[str], list[str]]:
        """Return the questions and the passages of some of these ``rows``, given by their places.

        Raises as ``rows`` does.
        """
        pairs, data = self._pairs(query_language, passage_language), self.collection
        asked = pairs.query[rows] + self._start(data.queries, query_language)
        found = pairs.passage[rows] + self._start(data.passages, passage_language)
        return (
            [data.queries.texts[i] for i in asked.tolist()],
            [data.passages.texts[i] for i in found.tolist()],
        )

    def negatives(
        self, query_language: str, passage_language: str, rows: IntArray
    ) -> list[list[str]] | None:
        """Return, for each of some rows, the passages of that language that are judged not
        relevant to its question; None where no question of the language has one.

        Raises as ``rows`` does.
        """
        asked = self._pairs(query_language, passage_language).query[rows]
        asked = asked + self._start(self.collection.queries, query_language)
        refused = self._refused_of(query_language, passage_language)
        texts = self.collection.passages.texts
        if refused is None:
            return None
        return [[texts[i] for i in refused.get(query, ())] for query in asked.tolist()]

    def every_text(self) -> Iterator[tuple[str, str, str]]:
        """Yield the role, the language and the text of all that a training can show a model."""
        data = self.collection
        for role, entries, judged in (
            ("query", data.queries, data.qrels.query),
            ("passage", data.passages, data.qrels.passage),
        ):
            for entry in np.unique(judged).tolist():
                yield role, self.languages[entries.language[entry]], entries.texts[entry]

    def _start(self, entries: Entries, language: str) -> int:
        return int(entries.starts[self.languages.index(language)])

    @cached_property
    def _numbers(self) -> tuple[IntArray, IntArray]:
        """The number of each query and of each passage."""
        return _numbered(self.collection.queries), _numbered(self.collection.passages)

    @cached_property
    def _sorted(self) -> tuple[IntArray, IntArray]:
        """The relevant judgements, by query language, passage language and numbers; and where each
        pair of languages begins among them."""
        data, (query, passage) = self.collection, self._numbers
        qrels, count = data.qrels, len(self.languages)
        relevant = np.flatnonzero(qrels.relevance > 0)
        asked, found = qrels.query[relevant], qrels.passage[relevant]
        pair = data.queries.language[asked].astype(np.int64) * count
        pair += data.passages.language[found]
        order = np.lexsort((found, asked, passage[found], query[asked], pair))
        return relevant[order], np.searchsorted(pair[order], np.arange(count * count + 1))

    def _judgements(self, query_language: int, passage_language: int) -> tuple[IntArray, IntArray]:
        """Return the query and the passage of each relevant judgement of two languages, given by
        their places, ordered by the numbers of both."""
        judgements, starts = self._sorted
        place = query_language * len(self.languages) + passage_language
        own = judgements[starts[place] : starts[place + 1]]
        return self.collection.qrels.query[own], self.collection.qrels.passage[own]

    def _refused_of(
        self, query_language: str, passage_language: str
    ) -> Mapping[int, Sequence[int]] | None:
        """Return query -> passages of the other language that are judged not relevant, or None."""
        return self._refused.get((query_language, passage_language))

    @cached_property
    def _refused(self) -> dict[tuple[str, str], dict[int, list[int]]]:
        """The languages of query and passage -> query -> passages that are judged not relevant."""
        refused: dict[tuple[str, str], dict[int, list[int]]] = {}
        data, codes = self.collection, self.languages
        rows = np.flatnonzero(data.qrels.relevance <= 0)
        asked, found = data.qrels.query[rows].tolist(), data.qrels.passage[rows].tolist()
        for query, passage in zip(asked, found, strict=True):
            name = codes[data.queries.language[query]], codes[data.passages.language[passage]]
            refused.setdefault(name, {}).setdefault(query, []).append(passage)
        return refused

    def _pairs(self, query_language: str, passage_language: str) -> _Pairs:
        name = (query_language, passage_language)
        if name not in self._known:
            for code in name:
                if code not in self.languages:
                    found = f"{code!r} is no language of {self.name}"
                    hint = did_you_mean(code, self.languages)
                    raise UsageError(Fault("language", found, ", ".join(self.languages), hint))
            self._known[name] = self._select(*name)
        return self._known[name]

    def _select(self, query_language: str, passage_language: str) -> _Pairs:
        data, (query, passage) = self.collection, self._numbers
        asked, found = self._judgements(
            self.languages.index(query_language), self.languages.index(passage_language)
        )
        return _Pairs(
            Rows(self._held(query[asked]), self._held(passage[found])),
            self._held(asked - self._start(data.queries, query_language)),
            self._held(found - self._start(data.passages, passage_language)),
        )

    def _held(self, array: IntArray) -> IntArray:
        """Return the array, or an equal one that another pair of languages has."""
        return self._arrays.setdefault(hashlib.blake2b(array.tobytes()).digest(), array)


def _numbered(entries: Entries) -> IntArray:
    """Return a number for each entry, from 0 in the order of first appearance: the same for two
    that are linked by equal ids or equal texts."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ids = {id_: i for i, id_ in enumerate(dict.fromkeys(entries.ids))}
    texts = {text: i for i, text in enumerate(dict.fromkeys(entries.texts), len(ids))}
    of_id = np.array([ids[id_] for id_ in entries.ids], np.int64)
    of_text = np.array([texts[text] for text in entries.texts], np.int64)
    size = len(ids) + len(texts)
    links = coo_array((np.ones(len(entries), bool), (of_id, of_text)), (size, size))
    component = connected_components(links, directed=False)[1][of_id]
    _, first, group = np.unique(component, return_index=True, return_inverse=True)
    order: IntArray = np.argsort(np.argsort(first))
    return order[group]
