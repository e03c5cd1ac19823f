"""Saved runs: read again they score as the model did, whatever ties; trec_eval agrees."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import pytrec_eval
from scipy import sparse

from mlbench.common.errors import DataError, ModelError
from mlbench.data.building import build_collection
from mlbench.data.collection import TextRecord
from mlbench.data.task import Kind
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.products import Limits
from mlbench.ranking.reranking import FirstStage, Rescored
from mlbench.runs.patterns import EXAMPLE
from mlbench.runs.writing import Saving, discard_runs, save_runs
from tests.runs.building import scored
from tests.support.strategies import CODES, parallel_collection, parallel_records, vectors_for

DEPTH = 7
MEASURES = ("AP@7", "RR@7", "nDCG@5", "R@1", "R@7", "P@7", "Success@2")


def graded():
    records = parallel_records(3, 8, 12)
    records.judgements = [
        j._replace(relevance=(i * 5) % 4) for i, j in enumerate(records.judgements)
    ]
    records.judgements += [
        j._replace(passage_id=f"p{int(j.passage_id[1:]) + 1}", relevance=2)
        for j in records.judgements[::3]
    ]
    return build_collection(CODES[:3], records)


def signs(collection):
    """Vectors of signs: a handful of distinct scores, so nearly everything ties."""
    return tuple(np.sign(v[:, :3]).astype(np.float32) for v in vectors_for(collection))


MODELS = {
    "dense": vectors_for,
    "ties": signs,
    "collapsed": lambda c: tuple(
        np.full((len(e), 4), 0.5, np.float32) for e in (c.queries, c.passages)
    ),
    "sparse": lambda c: tuple(
        sparse.csr_matrix(np.maximum(v - 0.1, 0)) for v in vectors_for(c)
    ),
}  # fmt: skip


def save(folder, collection, vectors, depth=DEPTH, **limits):
    settings = collection.roles.settings(list(Kind))
    saving = Saving(folder, depth, "tag")
    save_runs(saving, settings, collection, vectors, Limits(**limits))
    return settings


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("collection", [parallel_collection(3), graded()], ids=["plain", "graded"])
def test_a_run_read_again_scores_as_the_model_did(model, collection, tmp_path):
    vectors = MODELS[model](collection)
    settings = save(tmp_path, collection, vectors, threads=2)
    ranks, _ = rank_collection(collection, *vectors)
    expected = compute_scores(ranks, settings, parse_measures(MEASURES))
    found = scored(collection, [tmp_path / EXAMPLE], MEASURES).scores
    assert len(found.settings) == len(settings)
    for one, other in zip(expected.settings, found.settings, strict=True):
        assert (one.kind, one.query_language, one.passage_languages, one.queries) == (
            other.kind, other.query_language, other.passage_languages, other.queries
        )  # fmt: skip
        assert other.measures == pytest.approx(one.measures, abs=1e-9)
    for kind, of_kind in expected.macro.items():
        for name, score in of_kind.items():
            mine = found.macro[kind][name]
            assert (mine.value, mine.low, mine.high) == pytest.approx(
                (score.value, score.low, score.high), abs=1e-9
            )


@pytest.mark.parametrize("model", sorted(MODELS))
def test_trec_eval_ranks_the_files_as_mlbench_does_and_finds_the_judgements(model, tmp_path):
    collection = graded()
    vectors = MODELS[model](collection)
    save(tmp_path, collection, vectors)
    ranks, _ = rank_collection(collection, *vectors)
    for pool, languages in (("multilingual", collection.languages), ("de", ("de",))):
        with gzip.open(tmp_path / f"runs/ar-{pool}.trec.gz", "rt") as file:
            run = pytrec_eval.parse_run(file)
        with (tmp_path / f"runs/ar-{pool}.qrels").open() as file:
            qrels = pytrec_eval.parse_qrel(file)
        qrels = {q: judged for q, judged in qrels.items() if max(judged.values()) > 0}
        found = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(run)
        ranking = ranks.ranking("ar", languages)
        first = ranking.rank[ranking.starts[:-1]]
        expected = {
            ranks.query_ids[q]: 1 / r if r <= DEPTH else 0
            for q, r in zip(ranking.query, first.tolist(), strict=True)
        }
        assert {q: of["recip_rank"] for q, of in found.items()} == pytest.approx(expected)


def test_lines_are_ranked_and_their_scores_fall_strictly_in_single_precision(tmp_path):
    collection = parallel_collection(2)
    save(tmp_path, collection, signs(collection))
    rows = gzip.decompress((tmp_path / "runs/de-multilingual.trec.gz").read_bytes()).decode()
    by_query = {}
    for row in rows.splitlines():
        query, iteration, passage, rank, score, tag = row.split(" ")
        assert (iteration, tag) == ("Q0", "tag")
        assert passage.partition(":")[0] in ("ar", "de")
        by_query.setdefault(query, []).append((int(rank), np.float32(score)))
    assert len(by_query) == 8
    for ranking in by_query.values():
        assert [rank for rank, _ in ranking] == list(range(1, DEPTH + 1))
        assert (np.diff([score for _, score in ranking]) < 0).all()


def test_the_same_run_gives_the_same_bytes_whatever_threads_and_memory(tmp_path):
    collection = parallel_collection(3)
    for name, limits in (("a", {}), ("b", {"threads": 3, "memory": 2**16})):
        save(tmp_path / name, collection, vectors_for(collection), **limits)
    one, other = (
        {p.name: p.read_bytes() for p in (tmp_path / name / "runs").iterdir()} for name in "ab"
    )
    assert one == other
    assert len(one) == 2 * (9 + 3)


def test_the_order_of_the_data_says_nothing(tmp_path):
    records = parallel_records(2)
    names = []
    for name in "ab":
        collection = build_collection(CODES[:2], records)
        save(tmp_path / name, collection, signs_by_id(collection))
        path = tmp_path / name / "runs/ar-multilingual.trec.gz"
        names.append(sorted(gzip.decompress(path.read_bytes()).decode().splitlines()))
        records.passages.reverse()
        records.queries.reverse()
    assert names[0] == names[1]


def signs_by_id(collection):
    return tuple(
        np.array([[int(i[1:]) % 2, 1] for i in e.ids], np.float32)
        for e in (collection.queries, collection.passages)
    )


def test_runs_of_an_earlier_report_are_removed(tmp_path):
    (tmp_path / "runs").mkdir()
    for name in ("xx-yy.trec.gz", "xx-yy.qrels", "mine.txt"):
        (tmp_path / "runs" / name).touch()
    discard_runs(tmp_path)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine.txt"]
    discard_runs(tmp_path / "nowhere")


def test_a_pool_smaller_than_the_depth_is_written_whole(tmp_path):
    collection = parallel_collection(1, 2, 3)
    save(tmp_path, collection, vectors_for(collection), depth=100)
    rows = gzip.decompress((tmp_path / "runs/ar-ar.trec.gz").read_bytes()).splitlines()
    assert len(rows) == 6
    assert not (tmp_path / "runs/ar-multilingual.trec.gz").exists()


def test_ids_that_cannot_stand_in_a_column_are_named(tmp_path):
    records = parallel_records(1)
    records.passages.append(TextRecord("a b", "ar", "text", "here"))
    collection = build_collection(CODES[:1], records)
    with pytest.raises(DataError, match="passage 'a b'"):
        save(tmp_path, collection, vectors_for(collection))


def test_scores_that_float32_cannot_hold_are_refused(tmp_path):
    collection = parallel_collection(1)
    vectors = tuple(v * np.float32(1e25) for v in vectors_for(collection))
    with pytest.raises(ModelError, match="float32"):
        save(tmp_path, collection, vectors)


def few_second_scores(candidates):
    pairs = zip(candidates.query.tolist(), candidates.passage.tolist(), strict=True)
    return np.array([(7 * q + 3 * p) % 4 - 1.5 for q, p in pairs], np.float32)


@pytest.mark.parametrize("depth", [1, 3, 9, 50])
@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_reranked_run_read_again_scores_as_the_reranked_table(model, depth, tmp_path):
    collection = graded()
    vectors = MODELS[model](collection)
    stage = FirstStage(collection, vectors, Limits(1))
    candidates = stage.candidates(depth)
    again = few_second_scores(candidates)
    settings = collection.roles.settings(list(Kind))
    saving, rescored = Saving(tmp_path, 40, "tag"), Rescored(candidates, again, depth)
    save_runs(saving, settings, collection, vectors, Limits(1), reranked=rescored)
    measures = ("AP", "RR", "nDCG@5", "R@1", "R@7", "P@30")
    expected = compute_scores(stage.reranked(candidates, again), settings, parse_measures(measures))
    found = scored(collection, [tmp_path / EXAMPLE], measures).scores
    for one, other in zip(expected.settings, found.settings, strict=True):
        assert (one.queries, one.excluded) == (other.queries, other.excluded)
        assert other.measures == pytest.approx(one.measures, abs=1e-9)


def test_the_scores_of_a_reranked_run_are_the_rerankers_and_then_lower(tmp_path):
    collection = parallel_collection(2)
    vectors = vectors_for(collection)
    stage = FirstStage(collection, vectors, Limits(1))
    candidates = stage.candidates(3)
    again = np.arange(len(candidates), dtype=np.float32)
    saving, rescored = Saving(tmp_path, 5, "tag"), Rescored(candidates, again, 3)
    settings = collection.roles.settings(list(Kind))
    save_runs(saving, settings, collection, vectors, Limits(1), reranked=rescored)
    for path in tmp_path.glob("runs/*.trec.gz"):
        text = gzip.decompress(path.read_bytes()).decode()
        lines = [line.split() for line in text.splitlines()]
        by_query = {}
        for line in lines:
            by_query.setdefault(line[0], []).append(float(line[4]))
        for scores in by_query.values():
            assert scores == sorted(scores, reverse=True)
            own = scores[:3] if "multilingual" not in path.name else scores
            assert {*own} <= {*again.tolist()}
            assert len(scores) == 5
