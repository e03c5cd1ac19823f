from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError, MlbenchError, ModelError
from mlbench.models.cache import EmbeddingCache
from mlbench.models.endpoint import server
from mlbench.models.reranking import endpoint
from mlbench.models.reranking.registry import load_reranker
from tests.models.endpoint.conftest import KEY
from tests.support.embedding_server import Asked, RerankSite, as_json, embedding, refusal

QUERIES = ["red", "red", "green", "red"]
PASSAGES = ["a sky", "a fish", "a sky", "a stone"]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[RerankSite]:
    monkeypatch.setattr(server, "BROKEN_WAITS", (0.01, 0.01))
    monkeypatch.setattr(server, "FIRST_WAIT", 0.01)
    with embedding(RerankSite()) as site:
        monkeypatch.setenv("OPENAI_BASE_URL", site.address)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield site


def test_scores_stand_in_the_order_of_the_pairs(site: RerankSite) -> None:
    found = load_reranker("rerank:small")
    site.asked.clear()
    scores = found.adapter.score_pairs(QUERIES, PASSAGES)
    expected = [site.score(q, p, "small") for q, p in zip(QUERIES, PASSAGES, strict=True)]
    assert scores.tolist() == expected
    assert sorted(len(asked.body["documents"]) for asked in site.asked) == [1, 1, 2]
    assert all(asked.headers["Authorization"] == f"Bearer {KEY}" for asked in site.asked)
    assert {asked.body["top_n"] for asked in site.asked} == {1, 2}


def test_the_identity_is_that_of_its_scores(site: RerankSite, tmp_path: Path) -> None:
    def identity(model: str) -> str:
        return load_reranker(f"rerank:{model}", cache=EmbeddingCache(tmp_path)).identity

    before = identity("small")
    assert identity("small") == before
    assert identity("large") != before
    site.weights = "2"
    assert identity("small") != before


def test_a_model_that_changes_within_a_run_is_told(site: RerankSite) -> None:
    found = load_reranker("rerank:small")
    found.adapter.confirm()
    site.weights = "2"
    with pytest.raises(IntegrityError, match="has changed since the run began"):
        found.adapter.confirm()


def test_a_server_that_takes_few_documents_is_given_fewer(site: RerankSite) -> None:
    found = load_reranker("rerank:small")
    site.replies = lambda asked: refusal(413, "too many") if len(documents(asked)) > 1 else None
    scores = found.adapter.score_pairs(["red"] * 5, [f"stone {i}" for i in range(5)])
    assert scores.tolist() == [site.score("red", f"stone {i}", "small") for i in range(5)]


def documents(asked: Asked) -> list[str]:
    return list(asked.body["documents"])


def test_long_lists_are_cut(site: RerankSite, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load_reranker("rerank:small")
    monkeypatch.setattr(endpoint, "MOST_DOCUMENTS", 2)
    site.asked.clear()
    found.adapter.score_pairs(["red"] * 5, [f"stone {i}" for i in range(5)])
    assert sorted(len(documents(asked)) for asked in site.asked) == [1, 2, 2]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"data": []}, 'no list of objects under "results"'),
        ({"results": [{"index": 0, "relevance_score": 1.0}]}, "1 results, of index"),
        ({"results": [{"index": 0, "relevance_score": 1.0}] * 2}, "of index [0, 0]"),
        ({"results": [{"index": 0, "relevance_score": "high"}, {"index": 1}]}, "'high'"),
    ],
)
def test_odd_answers_are_refused(site: RerankSite, answer: Any, said: str) -> None:
    found = load_reranker("rerank:small")
    site.replies = lambda asked: as_json(answer)
    with pytest.raises(ModelError) as caught:
        found.adapter.score_pairs(["red"] * 2, ["a", "b"])
    assert said in str(caught.value)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_server_that_refuses_is_told_without_the_key(site: RerankSite, status: int) -> None:
    site.replies = lambda asked: refusal(status, f"wrong key {KEY}")
    with pytest.raises(MlbenchError) as caught:
        load_reranker("rerank:small")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in shown
    assert str(status) in shown


def test_no_server_is_asked_offline(site: RerankSite) -> None:
    with pytest.raises(EnvironmentFault, match="leave --offline out"):
        load_reranker("rerank:small", offline=True)
    assert not site.asked
