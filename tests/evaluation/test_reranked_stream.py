"""Reranking a collection that is streamed gives, to the byte, what reranking it at once gives."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import IntegrityError, UsageError
from mlbench.data.corpus import Passage
from mlbench.evaluation import pipeline
from mlbench.evaluation.driver import counted, local_engine
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.partial import PartOfShards, read_partial
from mlbench.evaluation.planning import planned_pairs
from mlbench.evaluation.reranked_stream import rerank_streamed
from mlbench.evaluation.rerankers import with_reranker
from mlbench.evaluation.results import finish
from mlbench.reports.report import read_report
from tests.evaluation.building import QUIET, ListShard, at_once, pass_in, records, streamed, task_of
from tests.evaluation.models import Folding, Forms, Plain, Sparse, Tokens, loaded
from tests.evaluation.test_driver import Stop, stopping, table_bytes
from tests.evaluation.test_reranked import Shared


class Few(Shared):
    """Few scores, so that ties abound."""

    def score_pairs(self, queries, passages):
        return np.round(super().score_pairs(queries, passages) * 3)


def options_of(depth):
    return with_reranker(replace(QUIET, rerank=Few(), depth=depth))


def held(found, model, depth):
    return evaluate_held(task_of(), at_once(found), model, options_of(depth))


def in_shards(folder, found, model, depth, **given):
    options, collection = options_of(depth), streamed(found)
    ready = counted(task_of(), collection, model, options, pass_in(folder, **given))
    return rerank_streamed(finish(ready.partial, quiet=True), ready, collection, options)


def same(one, other):
    assert table_bytes(one, one.ranks) == table_bytes(other, other.ranks)
    assert one.scores == other.scores
    assert replace(one.reranking, seconds=0.0) == replace(other.reranking, seconds=0.0)
    assert (one.model.name, one.model.identity) == (other.model.name, other.model.identity)


@pytest.mark.parametrize("kind", [Plain, Folding, Forms, Sparse, Tokens])
@pytest.mark.parametrize(("depth", "block"), [(1, 8192), (3, 7), (100, 16)])
def test_for_every_kind_of_model(tmp_path, monkeypatch, kind, depth, block):
    monkeypatch.setattr(pipeline, "BLOCK", block)
    monkeypatch.setattr(pipeline, "TOKEN_BLOCK", block)
    found = records(7)
    report = in_shards(tmp_path, found, loaded(kind(), "dot"), depth)
    same(report, held(found, loaded(kind(), "dot"), depth))
    assert report.ranks.above.any()
    assert report.reranking.pairs > 100


def test_in_whatever_order_shards_are_counted(tmp_path):
    found, model = records(3, queries=6), loaded(Plain())

    def shuffled(prepared, shards, progress):
        mixed = list(local_engine(model)(prepared, shards, progress))
        random.Random(1).shuffle(mixed)
        yield from mixed

    report = in_shards(tmp_path, found, model, 4, engine=shuffled)
    same(report, held(found, model, 4))


@pytest.mark.parametrize("after", [1, 8])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(tmp_path, after):
    found, model = records(5), loaded(Plain())
    with pytest.raises(Stop):
        in_shards(tmp_path, found, model, 3, engine=stopping(model, after))
    kept = read_partial(tmp_path / "work" / "1-of-1.partial")
    assert len(kept.done) == after
    assert {*kept.nearest} == {row.language for row in kept.shards if row.name in kept.done}
    same(in_shards(tmp_path, found, model, 3), held(found, model, 3))


def test_what_was_counted_for_another_depth_is_refused_by_name(tmp_path):
    found, model = records(5), loaded(Plain())
    in_shards(tmp_path, found, model, 3)
    with pytest.raises(UsageError, match="another depth of reranking: '3'"):
        in_shards(tmp_path, found, model, 4)


def test_a_shard_that_changes_before_its_texts_are_read_is_told(tmp_path):
    found, model = records(5), loaded(Plain())
    options, collection = options_of(3), streamed(found)
    ready = counted(task_of(), collection, model, options, pass_in(tmp_path))
    report = finish(ready.partial, quiet=True)
    changed = [
        ListShard(s.language, s.name, None, (*s.held[:-1], Passage(s.held[-1].id, "other")))
        for s in found.shards
    ]
    collection = replace(collection, shards=tuple(changed))
    with pytest.raises(IntegrityError, match="has changed since it was counted"):
        rerank_streamed(report, ready, collection, options)


@pytest.mark.usefixtures("no_plots")
def test_by_the_one_way_in_and_as_a_saved_report(tmp_path):
    given = {"rerank": Shared(), "depth": 5, "progress": False, "cache": None}
    always = mlbench.Streaming(always=True)
    one = mlbench.evaluate("char-ngram", "sample", streaming=always, **given)
    other = mlbench.evaluate("char-ngram", "sample", **given)
    same(one, other)
    one.save(tmp_path)
    assert read_report(tmp_path).reranking == one.reranking
    asked = mlbench.Options(streaming=always, **given)
    assert planned_pairs(mlbench.load_task("sample"), asked) == 352 * 11 * 5


def test_parts_of_the_shards_are_refused():
    part = mlbench.Streaming(always=True, part=PartOfShards(1, 2))
    options = mlbench.Options(rerank=Shared(), streaming=part, cache=None, progress=False)
    with pytest.raises(UsageError, match="parts are added up without a reranker"):
        planned_pairs(mlbench.load_task("sample"), options)
