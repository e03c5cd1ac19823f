"""Working behind the caller, and counting shard after shard."""

from __future__ import annotations

import pickle
import threading
import time

import numpy as np
import pytest

from mlbench.common.errors import DataError, ModelError
from mlbench.evaluation import pipeline
from mlbench.evaluation.core import Core, CoreVectors, prepare
from mlbench.evaluation.pipeline import behind, count_shard, count_shards
from mlbench.evaluation.scan import scan
from mlbench.models.encoding import Encoding
from tests.evaluation.building import at_once, records, streamed
from tests.evaluation.models import Plain, loaded


def made_ready(folder, found, model):
    collection = streamed(found)
    scanned = scan(collection, folder)
    core = Core.of(collection, scanned)
    embedded = Encoding(model, core.collection).encode()
    return prepare(core, scanned, CoreVectors(embedded.queries, embedded.passages), model)


def test_results_come_in_order_and_are_worked_out_in_one_other_thread():
    threads = set()

    def double(number):
        threads.add(threading.get_ident())
        return 2 * number

    assert list(behind(double, range(10))) == [2 * n for n in range(10)]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_the_next_item_is_made_while_the_last_is_worked_on():
    made = [threading.Event() for _ in range(8)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    def work(number):
        return number, made[min(number + 1, 7)].wait(60)

    assert list(behind(work, items())) == [(number, True) for number in range(8)]


def test_few_items_wait():
    """One is worked on, one waits, and one is being made."""
    made: list[int] = []
    seen: list[int] = []
    gate = threading.Event()

    def items():
        for number in range(6):
            made.append(number)
            if number == 2:
                assert seen == []
                threading.Timer(0.2, gate.set).start()
            if number == 3:
                assert seen
            yield number

    def work(number):
        gate.wait(60)
        seen.append(number)
        return number

    assert list(behind(work, items())) == list(range(6))
    assert made == seen


def test_after_an_item_that_drains_nothing_waits():
    worked = []

    def items():
        for number in range(6):
            if number in (3, 5):
                assert worked == list(range(number))
            yield number

    def work(number):
        time.sleep(0.02)
        worked.append(number)
        return number

    assert list(behind(work, items(), drain=lambda n: n in (2, 4))) == list(range(6))


def test_what_was_made_before_a_fault_is_still_worked_out():
    def items():
        yield from (1, 2, 3)
        raise DataError

    results: list[int] = []
    with pytest.raises(DataError):
        results.extend(behind(lambda n: 10 * n, items()))
    assert results == [10, 20, 30]


def test_nothing_is_given_after_a_fault_of_the_work_itself():
    def work(number):
        time.sleep(0.05)
        if number == 2:
            raise ModelError
        return number

    def items():
        yield from (1, 2, 3)
        raise DataError

    results: list[int] = []
    with pytest.raises(ModelError):
        results.extend(behind(work, items()))
    assert results == [1]


def test_counts_of_shards_add_up_and_are_the_same_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "BLOCK", 10)
    found = records(2)
    model = loaded(Plain())
    ranks, prepared = made_ready(tmp_path, found, model)
    told: list[int] = []
    together = list(count_shards(prepared, model, found.shards, told.append))
    assert sum(told) == 180
    assert [counts.name for counts in together] == [shard.name for shard in found.shards]
    copied = pickle.loads(pickle.dumps(prepared))
    for shard, counts in zip(found.shards, together, strict=True):
        alone = pickle.loads(pickle.dumps(count_shard(copied, model, shard)))
        np.testing.assert_array_equal(alone.above, counts.above)
        np.testing.assert_array_equal(alone.tied, counts.tied)
        assert (alone.passages, alone.content) == (len(shard.held), counts.content)
        assert (alone.encoded, alone.distinct) == (counts.encoded, counts.distinct)
        assert counts.above.dtype == np.int32
        assert counts.above.shape == (len(ranks.passage_ids),)


def test_counts_are_those_of_a_slow_obvious_loop(tmp_path):
    found = records(8, queries=5, passages=30)
    model = loaded(Plain(), "dot")
    ranks, prepared = made_ready(tmp_path, found, model)
    whole = at_once(found)
    encode = Plain().encode

    def by_name(entries):
        names = zip(entries.language.tolist(), entries.ids, strict=True)
        return dict(zip(names, encode(entries.texts), strict=True))

    vectors, asked = by_name(whole.passages), by_name(whole.queries)
    relevant: dict[tuple[int, str], set[tuple[int, str]]] = {}
    for j in found.judgements:
        if j.relevance > 0:
            query = (whole.languages.index(j.query_language), j.query_id)
            relevant.setdefault(query, set()).add(
                (whole.languages.index(j.passage_language), j.passage_id)
            )
    shape = ranks.above.shape
    above, tied = np.zeros(shape, int), np.zeros(shape, int)
    for row, place in enumerate(ranks.query.tolist()):
        query = (int(ranks.query_language[place]), ranks.query_ids[place])
        passage = (int(ranks.passage_language[row]), ranks.passage_ids[row])
        threshold = float(asked[query] @ vectors[passage])
        for other, vector in vectors.items():
            if other not in relevant[query]:
                score = float(asked[query] @ vector)
                above[row, other[0]] += score > threshold
                tied[row, other[0]] += score == threshold
    total = np.zeros((2, *shape), int)
    for counts in count_shards(prepared, model, found.shards):
        column = whole.languages.index(counts.language)
        total[0, :, column] += counts.above
        total[1, :, column] += counts.tied
    np.testing.assert_array_equal(total, [above, tied])


def test_an_empty_shard_counts_nothing(tmp_path):
    from tests.evaluation.building import ListShard

    found = records(2)
    found.shards.append(ListShard("en", "en/empty", None, ()))
    model = loaded(Plain())
    _, prepared = made_ready(tmp_path, found, model)
    counts = count_shard(prepared, model, found.shards[-1])
    assert counts.passages == counts.encoded == counts.above.sum() == counts.tied.sum() == 0


def test_leaving_a_pass_ends_its_threads(tmp_path):
    found = records(2)
    model = loaded(Plain())
    _, prepared = made_ready(tmp_path, found, model)
    before = threading.active_count()
    counted = count_shards(prepared, model, found.shards)
    next(counted)
    assert threading.active_count() > before
    counted.close()
    assert threading.active_count() == before
