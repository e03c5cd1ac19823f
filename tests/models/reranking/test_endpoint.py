from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import (
    EnvironmentFault,
    IntegrityError,
    MlbenchError,
    ModelError,
    UsageError,
)
from mlbench.models.cache import EmbeddingCache
from mlbench.models.endpoint import server
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


@pytest.fixture
def tei(site: RerankSite, monkeypatch: pytest.MonkeyPatch) -> RerankSite:
    monkeypatch.setattr(site, "path", "/rerank")
    monkeypatch.setattr(site, "tei", True)
    return site


def model_file(folder: Path, site: RerankSite, **fields: Any) -> Path:
    path = folder / "model.toml"
    given = {"model": "rerank:small", "base_url": site.address, **fields}
    lines = [f"{name} = {value if name == 'body' else json.dumps(value)}\n"
             for name, value in given.items()]  # fmt: skip
    path.write_text("".join(lines))
    return path


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


def test_long_lists_are_cut(site: RerankSite, tmp_path: Path) -> None:
    found = load_reranker(model_file(tmp_path, site, batch_size=2))
    site.asked.clear()
    found.adapter.score_pairs(["red"] * 5, [f"stone {i}" for i in range(5)])
    assert sorted(len(documents(asked)) for asked in site.asked) == [1, 2, 2]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"data": []}, 'no list of objects under "results"'),
        ({"results": [{"index": 0, "relevance_score": 1.0}]}, "1 result, of index"),
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


def test_text_embeddings_inference_is_asked_in_its_own_format(
    tei: RerankSite, tmp_path: Path
) -> None:
    found = load_reranker(model_file(tmp_path, tei, format="tei", body="{ truncate = true }"))
    tei.asked.clear()
    scores = found.adapter.score_pairs(QUERIES, PASSAGES)
    expected = [tei.score(q, p, "one") for q, p in zip(QUERIES, PASSAGES, strict=True)]
    assert scores.tolist() == expected
    bodies = sorted((asked.body for asked in tei.asked), key=lambda body: len(body["texts"]))
    assert bodies[-1]["texts"] == ["a sky", "a fish"]
    fields = {"query", "texts", "raw_scores", "truncate"}
    assert all(body.keys() == fields for body in bodies)
    assert (bodies[-1]["raw_scores"], bodies[-1]["truncate"]) == (True, True)
    assert "which was sent" in found.adapter.describe()["notes"][0]


def test_its_own_limit_of_texts_is_kept_to_once_it_is_known(
    tei: RerankSite, tmp_path: Path
) -> None:
    found = load_reranker(model_file(tmp_path, tei, format="tei", batch_size=12))
    tei.replies = lambda asked: refusal(413, "too many") if len(asked.body["texts"]) > 3 else None
    texts = [f"stone {i}" for i in range(12)]
    expected = [tei.score("red", text, "one") for text in texts]
    assert found.adapter.score_pairs(["red"] * 12, texts).tolist() == expected
    tei.asked.clear()
    assert found.adapter.score_pairs(["red"] * 12, texts).tolist() == expected
    assert {len(asked.body["texts"]) for asked in tei.asked} == {3}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"results": []}, "an object and not a list"),
        ([1, 2], "no list of objects"),
        ([{"index": 0, "score": 1.0}], "1 result, of index"),
        ([{"index": 0, "score": None}, {"index": 1, "score": 1.0}], "'None'"),
    ],
)
def test_odd_lists_are_refused(tei: RerankSite, tmp_path: Path, answer: Any, said: str) -> None:
    found = load_reranker(model_file(tmp_path, tei, format="tei"))
    tei.replies = lambda asked: as_json(answer)
    with pytest.raises(ModelError) as caught:
        found.adapter.score_pairs(["red"] * 2, ["a", "b"])
    assert said in str(caught.value)


def test_a_pair_that_is_too_long_is_named_with_what_helps(tei: RerankSite, tmp_path: Path) -> None:
    found = load_reranker(model_file(tmp_path, tei, format="tei"))
    tei.replies = lambda asked: as_json({"error": "must have less than 512 tokens"}, 413)
    with pytest.raises(ModelError, match=r"body = \{ truncate = true \}") as caught:
        found.adapter.score_pairs(["red"], ["a sky"])
    assert "for the passage 'a sky'" in str(caught.value)


def test_what_a_file_says_is_part_of_the_identity(site: RerankSite, tmp_path: Path) -> None:
    def identity(**fields: Any) -> str:
        return load_reranker(model_file(tmp_path, site, **fields)).identity

    assert identity() == identity(name="another name", concurrency=1)
    assert identity() != identity(body="{ truncate_prompt_tokens = 100 }")


def test_the_environments_key_stays_with_its_own_server(
    site: RerankSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    load_reranker(model_file(tmp_path, site))
    load_reranker(model_file(tmp_path, site, api_key="of-the-file"))
    keys = [asked.headers.get("Authorization") for asked in site.asked]
    assert {*keys} == {None, "Bearer of-the-file"}


def test_a_key_of_another_variable_is_sent_at_the_users_word(
    site: RerankSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", KEY)
    path = model_file(tmp_path, site, api_key_variable="MINE")
    with pytest.raises(UsageError, match="field api_key_variable") as caught:
        load_reranker(path)
    assert KEY not in str(caught.value)
    assert not site.asked
    monkeypatch.setenv("MLBENCH_TRUST", str(path))
    load_reranker(path)
    assert site.asked[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "openai:small"}, '"rerank:" and the name'),
        ({"format": "jina"}, "field format"),
        ({"batch_sise": 3}, "batch_size"),
        ({"body": "{ texts = [] }"}, "a table with 'texts'"),
        ({"api_key": "abc", "api_key_variable": "MINE"}, "both given"),
    ],
)
def test_faulty_files_are_refused(
    site: RerankSite, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load_reranker(model_file(tmp_path, site, **fields))
    assert said in str(caught.value)
    assert not site.asked
