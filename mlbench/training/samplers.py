"""Hybrid batches for people's own training scripts with sentence-transformers: one line each.

For one data set, whose rows have a question and a passage in some languages:

    args = SentenceTransformerTrainingArguments(..., batch_sampler=partial(
        HybridBatchSampler, query_languages=[...], passage_languages=[...],
        proportions=Proportions.hybrid(0.5)))

For a data set a pair of languages, of which every batch is drawn from one:

    args = SentenceTransformerTrainingArguments(..., multi_dataset_batch_sampler=partial(
        HybridMultiDatasetBatchSampler, pairs=[("de", "de"), ("de", "en"), ...],
        proportions=Proportions(mono=0.5, pair=0.5)))

Under several processes, accelerate gives them the batches in turn. So the batches of one step are
drawn together: they are of one kind and, where that has one pair of languages a batch, of one pair.
From one data set, no question or passage comes twice in them. Passes over the data are counted
here, because not every version of the libraries tells a batch sampler of an epoch when there are
several processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler, MultiDatasetDefaultBatchSampler

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.training.batches import HybridBatches, IntArray, Kind, LanguageDraw, Proportions

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPECTED = "one for each row of the data set"
_PASSES, _SETS = 2**16, 2**16
"""More passes over a data set in a pass over all, and more data sets, than there will be."""


class _Passes:
    """Counts passes, whether it is told of epochs or not.

    The libraries look for ``set_epoch`` on the batch sampler and, where accelerate has wrapped it,
    on its ``sampler``, so it is given as that, too.
    """

    def __init__(self) -> None:
        self.number = 0

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch that comes next."""
        self.number = epoch

    def next(self) -> int:
        """Return the number of the pass that begins now."""
        self.number += 1
        return self.number - 1


def process_count() -> int:
    """Return how many processes train together."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return int(torch.distributed.get_world_size())
    return int(os.environ.get("WORLD_SIZE", "1"))


class HybridBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Draws batches that mix languages from one data set.

    ``query_languages`` and ``passage_languages`` say of each row which language its first and its
    second column are in; the data set has no column with them, since sentence-transformers would
    take that for text. ``proportions``, ``weights`` and the seed are those of ``HybridBatches``.
    Questions are the same where their ``query_ids`` are, and passages where their ``passage_ids``
    are, which translations should share; without ids, where their texts are. ``processes`` is how
    many train together (default: as many as there are).

    Raises UsageError for languages or ids that are not one a row, and as ``HybridBatches``.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool = True,
        valid_label_columns: list[str] | None = None,
        generator: Any = None,
        seed: int = 0,
        *,
        query_languages: Sequence[str],
        passage_languages: Sequence[str],
        proportions: Proportions,
        query_ids: Sequence[Any] | None = None,
        passage_ids: Sequence[Any] | None = None,
        weights: Mapping[str, float] | None = None,
        processes: int | None = None,
    ) -> None:
        super().__init__(dataset, batch_size, True, valid_label_columns, generator, seed)
        self.sampler = self.passes = _Passes()
        self._processes = processes or process_count()
        texts = [dataset[name] for name in dataset.column_names[:2]]
        ids = [texts[0] if query_ids is None else query_ids]
        ids.append(texts[1] if passage_ids is None else passage_ids)
        given = {"query_languages": query_languages, "passage_languages": passage_languages}
        given |= {"query_ids": ids[0], "passage_ids": ids[1]}
        found = f"for a data set of {plural(len(dataset), 'row')}"
        wrong = {name: len(of_row) for name, of_row in given.items() if len(of_row) != len(dataset)}
        if wrong:
            raise UsageError(*(Fault(n, f"{s:,} {found}", _EXPECTED) for n, s in wrong.items()))
        languages = sorted({*query_languages, *passage_languages})
        self._count = len(dataset)
        self._of_pair = _by_pair(query_languages, passage_languages)
        query, passage = map(_numbered, ids)
        nothing = np.zeros(0, np.int64)

        def rows(query_language: str, passage_language: str) -> _Rows:
            own = self._of_pair.get((query_language, passage_language), nothing)
            return _Rows(query[own], passage[own])

        size = batch_size * self._processes
        self.plan = HybridBatches(rows, languages, size, proportions, seed, weights)

    def __len__(self) -> int:
        steps = self._count // int(self.batch_size * self._processes)
        return steps * self._processes

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch that comes next."""
        self.passes.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        steps = len(self) // self._processes
        begin = self.passes.next() * steps
        for number in range(begin, begin + steps):
            batch = self.plan[number]
            rows = np.empty(len(batch), np.int64)
            for query, passage, places, chosen in batch.by_pair():
                rows[places] = self._of_pair[query, passage][chosen]
            for part in np.split(rows, self._processes):
                yield part.tolist()


class _Rows:
    """The judged pairs of two languages."""

    def __init__(self, query: IntArray, passage: IntArray) -> None:
        self.query, self.passage = query, passage


def _by_pair(
    query_languages: Sequence[str], passage_languages: Sequence[str]
) -> dict[tuple[str, str], IntArray]:
    found: dict[tuple[str, str], list[int]] = {}
    for row, pair in enumerate(zip(query_languages, passage_languages, strict=True)):
        found.setdefault(pair, []).append(row)
    return {pair: np.array(rows, np.int64) for pair, rows in found.items()}


def _numbered(texts: Sequence[Any]) -> IntArray:
    known: dict[Any, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in texts], np.int64)


class HybridMultiDatasetBatchSampler(MultiDatasetDefaultBatchSampler):  # type: ignore[misc]
    """Draws batches from a data set a pair of languages, each batch from one.

    ``pairs`` are the question language and the passage language of every data set, in their order.
    The kinds are *mono* and *pair*, since sentence-transformers mixes no data sets in a batch.
    Batches of a data set come from its own batch sampler, which should be one without duplicates,
    and which begins anew when it is exhausted. ``processes`` is how many train together (default:
    as many as there are).

    Raises UsageError for pairs that are not one a data set or other kinds, and as
    ``LanguageDraw``.
    """

    def __init__(
        self,
        dataset: Any,
        batch_samplers: list[Any],
        generator: Any = None,
        seed: int = 0,
        *,
        pairs: Sequence[tuple[str, str]],
        proportions: Proportions,
        weights: Mapping[str, float] | None = None,
        processes: int | None = None,
    ) -> None:
        super().__init__(dataset, batch_samplers=batch_samplers, generator=generator, seed=seed)
        self.sampler = self.passes = _Passes()
        self._processes = processes or process_count()
        if len(pairs) != len(batch_samplers):
            found = f"{plural(len(pairs), 'pair')} for {plural(len(batch_samplers), 'data set')}"
            raise UsageError(Fault("pairs", found, "a pair of languages for each data set"))
        for kind in (Kind.MIXED, Kind.MULTI):
            if proportions.of(kind):
                found = f"{kind} batches, and a batch is drawn from one data set"
                mend = "put all rows into one data set and use HybridBatchSampler"
                raise UsageError(Fault("proportions", found, "mono and pair batches", mend))
        languages = sorted({language for pair in pairs for language in pair})
        number = {language: place for place, language in enumerate(languages)}
        self._number = {
            (number[query], number[passage]): place for place, (query, passage) in enumerate(pairs)
        }
        self._draw = LanguageDraw([*self._number], languages, proportions, weights)

    def __len__(self) -> int:
        return sum(map(len, self.batch_samplers)) // self._processes * self._processes

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch that comes next."""
        self.passes.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        own = self.passes.next()
        chance = np.random.default_rng((self.seed, own))
        starts = np.cumsum([0, *map(len, self.dataset.datasets)])
        streams = [
            _endless(each, (own * _SETS + place) * _PASSES)
            for place, each in enumerate(self.batch_samplers)
        ]
        for _ in range(len(self) // self._processes):
            kind = self._draw.kind(chance)
            query, passage = self._draw.draw(kind, 1, chance)[0].tolist()
            place = self._number[query, passage]
            for _ in range(self._processes):
                yield [int(starts[place]) + row for row in next(streams[place])]


def _endless(sampler: Any, first: int) -> Iterator[list[int]]:
    """Yield the batches of a sampler, from the beginning again and again, each pass another."""
    number = first
    while True:
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(number)
        yield from sampler
        number += 1
