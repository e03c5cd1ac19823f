"""Who outranks: by every score of the model, and the same from run files."""

from __future__ import annotations

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import UsageError
from mlbench.evaluation.rivals import find_rivals, refuse_other_model
from mlbench.models.objects import load_model
from mlbench.reports.explain import explain_query
from mlbench.runs.rivals import rivals_in_runs, run_files
from tests.oracles.scores import exact_score

MOST = 4
POOLS = (None, "el")


class Rounded:
    """Counts bytes by eight classes, so that scores tie."""

    similarity = "dot"

    def encode_queries(self, texts, language):
        counts = [np.bincount(np.frombuffer(t.encode(), np.uint8) % 8, minlength=8) for t in texts]
        return np.array(counts, np.float32) // 16

    encode_passages = encode_queries


@pytest.fixture(scope="module")
def task():
    return mlbench.load_task("sample")


@pytest.fixture(scope="module")
def data():
    return mlbench.load_collection("sample")


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rivals")
    return mlbench.Options(progress=False, cache=None, folder=folder, save_run=1000)


@pytest.fixture(
    scope="module",
    params=[Rounded(), "bm25", "char-ngram"],
    ids=["rounded", "bm25", "char-ngram"],
)
def evaluated(request, options, tmp_path_factory):
    """A model that is loaded, its report, and the folder of its run files."""
    from dataclasses import replace

    model = load_model(request.param, {}, None)
    folder = tmp_path_factory.mktemp("model")
    return model, mlbench.evaluate(model, "sample", replace(options, folder=folder)), folder


def slow_scores(data, vectors, each):
    """The exact score of every passage for a query, and which passages are relevant to it."""
    queries, passages = vectors
    query = data.queries.index[data.languages.index(each.language), each.query_id]
    relevant = [
        data.passages.index[data.languages.index(p.language), p.passage_id] for p in each.passages
    ]
    return [exact_score(queries[query], passage) for passage in passages], relevant


def slow(data, scores, relevant, language):
    """The rivals of a query in a language by every score: id -> above, tied."""
    part = data.passages.slice(data.languages.index(language))
    found = {}
    for at in range(part.start, part.stop):
        above = sum(scores[at] > scores[r] for r in relevant)
        tied = sum(scores[at] == scores[r] for r in relevant)
        if at not in relevant and (above or tied):
            found[data.passages.ids[at]] = above, tied
    return found


@pytest.mark.parametrize("pool", POOLS)
def test_rivals_are_the_first_by_every_score(task, data, options, evaluated, pool):
    from mlbench.evaluation.evaluate import encode_held

    model, report, _ = evaluated
    embedded, _ = encode_held(task, data, model, options)
    if not isinstance(embedded.queries, np.ndarray):
        vectors = embedded.queries.toarray(), embedded.passages.toarray()
    else:
        vectors = embedded.queries, embedded.passages
    explained = explain_query(report.table, "q-bees-2", passage_language=pool)
    rivals, differing = find_rivals(task, data, model, explained, MOST, options)
    assert differing == 0
    for each, found in zip(explained[:2], rivals, strict=False):
        assert list(found.of) == ([pool] if pool else list(data.languages))
        slowly = slow_scores(data, vectors, each)
        for language, of in found.of.items():
            expected = slow(data, *slowly, language)
            assert len(of) == min(MOST, len(expected))
            assert {r.passage_id: (r.above, r.tied) for r in of}.items() <= expected.items()
            kept = [r.score for r in of]
            assert kept == sorted(kept, reverse=True)
            left = [expected[id_] for id_ in expected.keys() - {r.passage_id for r in of}]
            assert all(pair <= (of[-1].above, of[-1].above + of[-1].tied) for pair in left)


@pytest.mark.parametrize("pool", POOLS)
def test_run_files_name_the_same(task, data, options, evaluated, pool):
    model, report, folder = evaluated
    explained = explain_query(report.table, "q-bees-2", passage_language=pool)
    by_model = find_rivals(task, data, model, explained, 1000, options).rivals
    by_files = rivals_in_runs(folder, explained, 1000)
    for ours, theirs in zip(by_model, by_files, strict=True):
        assert theirs.short == ()
        for language in ours.of:
            pairs = [
                {rival.passage_id: (rival.above, rival.tied) for rival in found.of[language]}
                for found in (ours, theirs)
            ]
            assert pairs[0] == pairs[1]


def test_run_files_that_end_early_say_so(evaluated):
    _, report, folder = evaluated
    explained = explain_query(report.table, "q-bees-2", "ar")
    together = run_files(folder, "ar", report.task.languages)
    assert set(together) == set(report.task.languages)
    (found,) = rivals_in_runs(folder, explained, 10**4)
    most = {
        code: max(p.above[code] + p.tied[code] for p in explained[0].passages)
        for code in report.task.languages
    }
    assert {code: len(of) for code, of in found.of.items()} == most


def test_a_run_of_the_multilingual_pool_alone_serves_too(evaluated, tmp_path):
    _, report, folder = evaluated
    (tmp_path / "runs").mkdir()
    name = "runs/ar-multilingual.trec.gz"
    (tmp_path / name).write_bytes((folder / name).read_bytes())
    explained = explain_query(report.table, "q-bees-2", "ar")
    assert run_files(tmp_path, "ar", report.task.languages) == {"": tmp_path / name}
    (ours,), (theirs,) = (rivals_in_runs(of, explained, 1000) for of in (tmp_path, folder))
    for code in report.task.languages:
        assert {r.passage_id for r in ours.of[code]} == {r.passage_id for r in theirs.of[code]}
    assert run_files(tmp_path, "de", report.task.languages) == {}


def test_another_model_is_refused(evaluated):
    _, report, _ = evaluated
    with pytest.raises(UsageError, match="is not the model of the report"):
        refuse_other_model(load_model("random:3", {}, None), report.model)
