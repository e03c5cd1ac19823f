"""The batch samplers for other people's scripts: in one process, and in two real ones."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from mlbench.common.errors import DataError, UsageError
from mlbench.training.batches import Kind, Proportions

pytest.importorskip("sentence_transformers")
datasets = pytest.importorskip("datasets")
from mlbench.training.samplers import (  # noqa: E402
    HybridBatchSampler,
    HybridMultiDatasetBatchSampler,
)

PAIRS = [(query, passage) for query in ("de", "en") for passage in ("de", "en")]
COUNT = 30


def one_data_set(proportions, processes=1, size=5):
    rows = [(query, passage, n) for query, passage in PAIRS for n in range(COUNT)]
    data = datasets.Dataset.from_dict(
        {
            "question": [f"{query} {n}" for query, _, n in rows],
            "answer": [f"{passage} {n // 2}" for _, passage, n in rows],  # two questions share one
        }
    )
    sampler = HybridBatchSampler(
        data, size, seed=3, proportions=proportions, processes=processes,
        query_languages=[row[0] for row in rows], passage_languages=[row[1] for row in rows],
    )  # fmt: skip
    return data, rows, sampler


def test_batches_of_one_data_set_are_those_planned():
    data, rows, sampler = one_data_set(Proportions(mono=0.5, mixed=0.5))
    batches = [*sampler]
    assert len(batches) == len(sampler) == len(rows) // 5
    kinds = Counter()
    for batch in batches:
        chosen = data[batch]
        assert len(set(chosen["answer"])) == 5
        alike = {rows[row][0] == rows[row][1] for row in batch}
        assert len(alike) == 1
        kinds[alike.pop()] += 1
    assert kinds[True] > 5
    assert kinds[False] > 5


def test_every_pass_is_another_whether_epochs_are_told_or_not():
    *_, counted = one_data_set(Proportions(mono=1))
    *_, told = one_data_set(Proportions(mono=1))
    passes = [[*counted] for _ in range(3)]
    assert passes[0] != passes[1] != passes[2]
    for epoch in (0, 1, 2):
        told.set_epoch(epoch)
        assert [*told] == passes[epoch]
    told.sampler.set_epoch(1)  # as accelerate reaches it under several processes
    assert [*told] == passes[1]


def test_what_several_processes_get_in_a_step_is_one_process_s_larger_batch():
    *_, shared = one_data_set(Proportions.hybrid(0.5), processes=2)
    *_, whole = one_data_set(Proportions.hybrid(0.5), size=10)
    batches = [*shared]
    joined = [one + other for one, other in zip(batches[::2], batches[1::2], strict=True)]
    assert joined == [*whole]


def test_languages_must_be_one_a_row():
    data, rows, _ = one_data_set(Proportions(mono=1))
    with pytest.raises(UsageError, match="query_languages: 1 for a data set of 120 rows"):
        HybridBatchSampler(
            data, 5, query_languages=["de"], passage_languages=[row[1] for row in rows],
            proportions=Proportions(mono=1),
        )  # fmt: skip
    with pytest.raises(DataError, match="15 rows at most"):
        one_data_set(Proportions(mono=1), size=16)


class Rows(list):
    """A batch sampler of one data set: its rows in order, another first one in every epoch."""

    batch_size, drop_last, epoch = 5, True, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        rows = np.roll(np.arange(COUNT), -(self.epoch % 7)).tolist()
        return (rows[start : start + 5] for start in range(0, COUNT, 5))

    def __len__(self):
        return COUNT // 5


def several_data_sets(proportions, processes=1, pairs=PAIRS):
    data = SimpleNamespace(datasets=[range(COUNT)] * 4)
    return HybridMultiDatasetBatchSampler(
        data, [Rows() for _ in range(4)], seed=1, pairs=pairs, proportions=proportions,
        processes=processes,
    )  # fmt: skip


def test_each_batch_is_of_one_data_set_and_kinds_come_as_planned():
    sampler = several_data_sets(Proportions(mono=0.8, pair=0.2))
    seen = Counter()
    for _ in range(30):
        for batch in sampler:
            (place,) = {row // COUNT for row in batch}
            seen[PAIRS[place][0] == PAIRS[place][1]] += 1
    assert sum(seen.values()) == 30 * len(sampler) == 30 * 24
    assert 0.75 < seen[True] / sum(seen.values()) < 0.85


def test_a_data_set_that_is_exhausted_begins_anew_and_passes_differ():
    sampler = several_data_sets(Proportions(mono=1))
    first, second = [*sampler], [*sampler]
    assert len(first) == 24  # of two data sets with 6 batches each
    assert first != second
    sampler.set_epoch(1)
    assert [*sampler] == second


def test_the_processes_of_a_step_get_batches_of_one_data_set():
    batches = [*several_data_sets(Proportions(mono=0.5, pair=0.5), processes=3)]
    assert len(batches) % 3 == 0
    for step in range(0, len(batches), 3):
        assert len({row // COUNT for batch in batches[step : step + 3] for row in batch}) == 1
        assert len({row for batch in batches[step : step + 2] for row in batch}) == 10


def test_wrong_pairs_and_kinds_are_refused():
    with pytest.raises(UsageError, match="3 pairs for 4 data sets"):
        several_data_sets(Proportions(mono=1), pairs=PAIRS[:3])
    for kind in (Kind.MIXED, Kind.MULTI):
        with pytest.raises(UsageError, match="use HybridBatchSampler"):
            several_data_sets(Proportions(mono=0.5, **{kind: 0.5}))
