from __future__ import annotations

import base64
import json
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlbench
from mlbench.commands.cli import main
from mlbench.common.errors import (
    EnvironmentFault,
    IntegrityError,
    MlbenchError,
    ModelError,
    UsageError,
)
from mlbench.models.cache import EmbeddingCache
from mlbench.models.contract import check_adapter
from mlbench.models.endpoint.adapter import REQUEST_BYTES, Endpoint, estimate_tokens
from mlbench.models.endpoint.options import EndpointOptions
from mlbench.models.endpoint.probes import PROBES
from mlbench.models.registry import load_adapter, open_adapter
from tests.models.endpoint.conftest import KEY
from tests.support.embedding_server import (
    Asked,
    EmbeddingSite,
    Reply,
    as_json,
    refusal,
)

TEXTS = [f"text {number}" for number in range(10)]


def endpoint(site: EmbeddingSite, **options: Any) -> Endpoint:
    return Endpoint("m", EndpointOptions(base_url=site.address, **options))


def model_file(folder: Path, site: EmbeddingSite, more: str = "") -> Path:
    path = folder / "model.toml"
    path.write_text(f'model = "openai:m"\nbase_url = "{site.address}"\n{more}', encoding="utf-8")
    return path


def test_vectors_are_those_of_the_server(site: EmbeddingSite) -> None:
    model = endpoint(site, batch_size=3, concurrency=2)
    found = model.encode_queries(TEXTS, "en")
    expected = [site.vector(text, {"model": "m"}) for text in TEXTS]
    assert np.array_equal(found, np.array(expected))
    assert sorted(len(asked.texts) for asked in site.asked) == [1, 3, 3, 3]
    assert all(asked.body["encoding_format"] == "float" for asked in site.asked)


def test_requests_are_made_at_once_but_not_too_many(site: EmbeddingSite) -> None:
    site.replies = lambda asked: as_json({"data": site.items(asked)}, after=0.05)
    endpoint(site, batch_size=1, concurrency=3).encode_passages(TEXTS, "")
    assert site.most_at_once == 3


def test_a_request_holds_no_more_bytes_than_servers_take(site: EmbeddingSite) -> None:
    long = ["ยาว" * (REQUEST_BYTES // 12)] * 4  # each of three quarters of a request
    long.append("x" * (3 * REQUEST_BYTES))
    endpoint(site).encode_passages([*long, "short", "short too"], "")
    assert sorted(len(asked.texts) for asked in site.asked) == [1, 1, 1, 1, 1, 2]


def test_answers_are_put_into_the_order_of_the_texts(site: EmbeddingSite) -> None:
    expected = endpoint(site).encode_queries(TEXTS, "")
    site.replies = lambda asked: as_json({"data": site.items(asked)[::-1]})
    assert np.array_equal(endpoint(site).encode_queries(TEXTS, ""), expected)


@pytest.mark.parametrize("limit", [1, 3, 4])
def test_a_server_that_takes_less_at_once_is_given_less(site: EmbeddingSite, limit: int) -> None:
    expected = endpoint(site).encode_queries(TEXTS, "")
    site.replies = lambda asked: (
        refusal(422, f"batch size > {limit}") if len(asked.texts) > limit else None
    )
    model = endpoint(site, concurrency=1)
    assert np.array_equal(model.encode_queries(TEXTS, ""), expected)
    site.asked.clear()
    assert np.array_equal(model.encode_queries(TEXTS, ""), expected)
    assert max(len(asked.texts) for asked in site.asked) <= limit, "it has learned the limit"


def test_a_text_that_the_server_does_not_take_is_named(site: EmbeddingSite) -> None:
    site.replies = lambda asked: (
        refusal(400, "8,193 tokens > 8,192") if "text 7" in asked.texts else None
    )
    with pytest.raises(ModelError, match=r"400: 8,193 tokens > 8,192\n  for the query 'text 7'"):
        endpoint(site).encode_queries(TEXTS, "")


def without_last(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return items[:-1]


def changed(**fields: Any) -> Any:
    return lambda items: [items[0] | fields, *items[1:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_last, "9 vectors, of index"),
        (lambda items: [*items, items[0]], "11 vectors, of index"),
        (changed(index=1), "10 vectors, of index"),
        (changed(index=None), "each with the index of its text"),
        (changed(index="0"), "each with the index of its text"),
        (changed(index=10), "each with the index of its text"),
        (changed(embedding=[0.5] * 7), "a vector of 7 dimensions\n.*8 of them"),
        (changed(embedding=[]), "a vector of 0 dimensions"),
        (changed(embedding="AAAAPw=="), "a vector of 1 dimension"),
        (changed(embedding="AAAAP"), "a vector that is 'AAAAP'"),
        (changed(embedding="AAAA"), "a vector that is 'AAAA'"),
        (changed(embedding={"0": 0.5}), "a vector that is a dict"),
        (changed(embedding=0.5), "a vector that is a float"),
        (changed(embedding=[[0.5], [0.5, 1.0]]), r"a list with '\[0.5\]'"),
        (changed(embedding=[10**30] * 8), "a vector that is a list with"),
        (changed(embedding=None), "a NoneType"),
        (changed(embedding=[None] * 8), "a list with 'None'"),
        (changed(embedding=["0.5"] * 8), "a list with '0.5'"),
        (changed(embedding=[[0.5]] * 8), r"a list with '\[0.5\]'"),
        (lambda items: {"0": items[0]}, 'no list of objects under "data"'),
        (lambda items: ["x"], 'no list of objects under "data"'),
        (lambda items: None, 'no list of objects under "data"'),
    ],
)
def test_an_answer_that_is_wrong_is_refused(site: EmbeddingSite, change: Any, message: str) -> None:
    model = endpoint(site)
    assert model.identity
    site.replies = lambda asked: as_json({"data": change(site.items(asked))})
    with pytest.raises(ModelError, match=message) as caught:
        model.encode_queries(TEXTS, "")
    assert f"model openai:m at {site.address}" in str(caught.value)


def test_vectors_in_base64_are_the_same(site: EmbeddingSite) -> None:
    expected = endpoint(site).encode_queries(TEXTS, "")

    def replies(asked: Asked) -> Reply:
        items = site.items(asked)
        for item in items:
            raw = np.array(item["embedding"], "<f4").tobytes()
            item["embedding"] = base64.b64encode(raw).decode()
        return as_json({"data": items})

    site.replies = replies
    for name in ("base64", "none"):
        found = endpoint(site, encoding_format=name).encode_queries(TEXTS, "")
        assert np.array_equal(found, expected)
    assert [asked.body.get("encoding_format") for asked in site.asked] == ["float", "base64", None]


def test_dimensions_are_asked_for_and_checked(site: EmbeddingSite) -> None:
    assert endpoint(site, dimensions=4).encode_queries(TEXTS, "").shape == (10, 4)
    assert site.asked[0].body["dimensions"] == 4
    site.replies = lambda asked: as_json({"data": [{"index": 0, "embedding": [0.5] * 8}]})
    with pytest.raises(ModelError, match=r"8 dimensions\n.*4 of them, as dimensions asks"):
        endpoint(site, dimensions=4).encode_queries(["a"], "")


def test_roles_by_prompt_by_model_and_by_field(site: EmbeddingSite) -> None:
    by_prompt = endpoint(site, query_prompt="query: ", passage_prompt="passage: ")
    assert by_prompt.prompts == {"query": "query: ", "passage": "passage: "}
    by_prompt.encode_queries(["a"], "")
    by_prompt.encode_passages(["a"], "")
    by_model = endpoint(site, query_model="m-q")
    by_model.encode_queries(["a"], "")
    by_model.encode_passages(["a"], "")
    by_field = endpoint(site, query_body={"input_type": "query"}, passage_body={"input_type": "p"})
    by_field.encode_queries(["a"], "")
    by_field.encode_passages(["a"], "")
    seen = [(a.texts[0], a.body["model"], a.body.get("input_type")) for a in site.asked]
    assert seen == [
        ("query: a", "m", None),
        ("passage: a", "m", None),
        ("a", "m-q", None),
        ("a", "m", None),
        ("a", "m", "query"),
        ("a", "m", "p"),
    ]


def test_the_identity_tells_whatever_changes_a_vector(site: EmbeddingSite) -> None:
    same = [{}, {"name": "n"}, {"batch_size": 2}, {"timeout": 3.0}, {"api_key": KEY}]
    other: list[Mapping[str, Any]] = [
        {"query_prompt": "q: "},
        {"passage_model": "p"},
        {"body": {"x": 1}},
        {"dimensions": 4},
    ]
    first = endpoint(site).identity
    assert {endpoint(site, **each).identity for each in same} == {first}
    found = {endpoint(site, **each).identity for each in other}
    site.weights = "2"
    found.add(endpoint(site).identity)
    assert len(found | {first}) == 6
    assert {len(asked.texts) for asked in site.asked} == {len(PROBES)}


def test_nothing_is_sent_before_it_must_be(site: EmbeddingSite) -> None:
    model = endpoint(site, query_prompt="query: ")
    assert model.name == "m"
    assert model.tokens("query", TEXTS) == estimate_tokens([f"query: {text}" for text in TEXTS])
    assert open_adapter("openai:m").adapter.similarity == "cosine"
    assert site.asked == []


def test_it_keeps_the_contract(site: EmbeddingSite, tmp_path: Path) -> None:
    model = load_adapter(str(model_file(tmp_path, site)))
    assert (model.kind, model.name) == ("openai", "m")
    assert [result for result in check_adapter(model) if not result.passed] == []


def test_long_texts_are_cut_where_that_is_asked_for(site: EmbeddingSite) -> None:
    site.replies = lambda asked: (
        refusal(400, "too long") if any(len(text) > 60 for text in asked.texts) else None
    )
    with pytest.raises(ModelError, match=r"400: too long(.|\n)*max_characters = N"):
        endpoint(site).encode_queries(["short", "long " * 20], "")
    model = endpoint(site, query_prompt="q: ", max_characters=60)
    model.encode_queries(["short", "long " * 20], "")
    assert site.texts[-2:] == ["q: short", ("q: " + "long " * 20)[:60]]
    assert model.truncation("query", ["short", "long " * 20]) == (1, 10, 27)
    assert endpoint(site).truncation("query", ["short"]) is None
    site.replies = lambda asked: None
    assert model.identity != endpoint(site, query_prompt="q: ").identity


def test_nan_is_told_with_the_text(site: EmbeddingSite) -> None:
    def replies(asked: Asked) -> Reply | None:
        items = site.items(asked)
        for item, text in zip(items, asked.texts, strict=True):
            if "queen bee" in text.lower() or len(asked.texts) == 1:
                item["embedding"][3] = float("nan")
        return as_json({"data": items})

    site.replies = replies
    with pytest.raises(ModelError, match=r"NaN or infinity for (query|passage) '"):
        run(endpoint(site))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e60])
def test_a_server_whose_first_answers_are_no_numbers(site: EmbeddingSite, bad: float) -> None:
    def replies(asked: Asked) -> Reply:
        items = site.items(asked)
        items[2]["embedding"][3] = bad
        return as_json({"data": items})

    site.replies = replies
    with pytest.raises(ModelError, match="NaN, infinity or a value too large"):
        assert endpoint(site).identity


def run(model: object, **options: Any) -> mlbench.Report:
    options = {"cache": None, "languages": "de,en", **options}
    return mlbench.evaluate(model, "sample", progress=False, **options)


def same(one: mlbench.Report, other: mlbench.Report) -> bool:
    return np.array_equal(one.table.above, other.table.above) and np.array_equal(
        one.table.tied, other.table.tied
    )


def test_a_run_is_that_of_the_same_vectors_in_python(site: EmbeddingSite, tmp_path: Path) -> None:
    """The table is the one of a model that has these vectors at hand."""

    class Direct:
        language_free = True

        def encode_queries(self, texts: list[str], language: str) -> Any:
            return np.array([site.vector(t, {"model": "m", "input_type": "q"}) for t in texts])

        def encode_passages(self, texts: list[str], language: str) -> Any:
            return np.array([site.vector(t, {"model": "m", "input_type": "p"}) for t in texts])

    more = 'query_body = {input_type = "q"}\npassage_body = {input_type = "p"}\nbatch_size = 7\n'
    report = run(str(model_file(tmp_path, site, more)))
    direct = run(Direct())
    assert same(report, direct)
    assert report.model.adapter == "openai"
    assert report.model.dimension == 8
    (note,) = report.model.notes
    assert site.address in note
    assert '"input_type": "p"' in note
    assert report.model.dtype == "not known"


def test_a_run_goes_on_from_the_cache(site: EmbeddingSite, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "cache")
    path = model_file(tmp_path, site, "batch_size = 8\nconcurrency = 1\n")
    site.replies = lambda asked: refusal(404, "gone") if asked.number > 20 else None
    with pytest.raises(EnvironmentFault, match="404: gone") as caught:
        run(str(path), cache=cache)
    note = "".join(caught.value.__notes__)
    said = re.search(r"([\d,]+) of ([\d,]+) texts are in the embedding cache", note)
    assert said
    kept, total = (int(each.replace(",", "")) for each in said.groups())
    site.replies = lambda asked: None
    site.asked.clear()
    whole = run(str(path), cache=EmbeddingCache(tmp_path / "cache"))
    again = [text for text in site.texts if text not in PROBES]
    assert 0 < kept < total
    tried_again = 2 * 3 * 2  # some texts of each role, alone and together
    assert total - kept <= len(again) <= total - kept + tried_again
    site.asked.clear()
    second = run(str(path), cache=EmbeddingCache(tmp_path / "cache"))
    assert set(site.texts) == set(PROBES)
    assert second.model.identity == whole.model.identity
    assert same(second, whole)


def test_a_model_that_changes_within_a_run_ends_it(site: EmbeddingSite, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "cache")

    def replies(asked: Asked) -> None:
        site.weights = "2" if asked.number > 15 else site.weights

    site.replies = replies
    path = str(model_file(tmp_path, site))
    with pytest.raises(IntegrityError, match="has changed since the run began"):
        run(path, cache=cache)
    assert run(path, cache=cache).model.identity.startswith("declared: openai/1, sha256 ")


@pytest.mark.parametrize("at", [0, 8])
def test_no_key_is_anywhere(
    site: EmbeddingSite, tmp_path: Path, capfd: pytest.CaptureFixture[str], at: int
) -> None:
    """Neither in what is printed nor in any file, whether the run succeeds or fails."""
    site.replies = lambda asked: (
        refusal(401, f"Incorrect API key provided: {KEY}")
        if at and (asked.number > at or asked.headers["Authorization"] != f"Bearer {KEY}")
        else None
    )
    cache, own = tmp_path / "cache", tmp_path / "own"
    own.mkdir()
    path = model_file(own, site, f'api_key = "{KEY}"\nbatch_size = 4\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBENCH_CACHE", str(cache))
        output = str(tmp_path / "results")
        some = ["--languages", "de,en", "--output", output]
        code = main(["run", "--model", str(path), "--task", "sample", *some])
    assert code == (5 if at else 0)
    if at:
        with pytest.raises(EnvironmentFault) as caught:
            load_adapter(str(path)).adapter.encode_queries(["a"], "")
        print("".join(traceback.format_exception(caught.value)))
    printed = "".join(capfd.readouterr())
    files = [f for f in tmp_path.rglob("*") if f.is_file() and f != path]
    assert files
    for content in (printed.encode(), *(file.read_bytes() for file in files)):
        assert KEY[:12].encode() not in content


def test_a_server_that_is_not_there_fails_before_anything_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    code = main(["run", "--model", "openai:m", "--task", "sample", "--output", str(tmp_path / "r")])
    assert code == 5
    assert "no server answers: Connection refused" in capfd.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_dry_run_asks_nobody(
    site: EmbeddingSite, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = model_file(tmp_path, site, 'query_prompt = "query: "\n')
    assert main(["run", "--model", str(path), "--task", "sample", "--dry-run"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    found = re.search(r"would be sent ([\d,]+) to ([\d,]+) tokens. This is an estimate", text)
    assert found
    least, most = (int(each.replace(",", "")) for each in found.groups())
    assert 10_000 < least < most < 100_000
    assert main(["run", "--model", str(path), "--task", "sample", "--dry-run", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["encode"]
    assert sum(row["least_tokens"] for row in rows) == least
    assert sum(row["most_tokens"] for row in rows) == most
    assert site.asked == []
    assert main(["run", "--model", "bm25", "--task", "sample", "--dry-run"]) == 0
    assert "token" not in capfd.readouterr().out


def test_offline_asks_nobody(site: EmbeddingSite, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="network may not be used"):
        load_adapter(str(model_file(tmp_path, site)), {"offline": True})
    assert site.asked == []


def test_a_file_that_wants_a_secret_sent_needs_the_user_s_word(
    site: EmbeddingSite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLBENCH_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MY_KEY", KEY)
    path = model_file(tmp_path, site, 'api_key_variable = "MY_KEY"\n')
    with pytest.raises(UsageError, match="sends what the environment variable MY_KEY holds to"):
        load_adapter(str(path))
    assert main(["trust", str(path)]) == 0
    assert "MY_KEY" in capfd.readouterr().out
    assert load_adapter(str(path)).name == "m"
    assert site.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    path.write_text(path.read_text().replace("MY_KEY", "OTHER_KEY"))
    with pytest.raises(UsageError, match="OTHER_KEY"):
        load_adapter(str(path))


def test_the_key_of_the_environment_is_not_sent_to_the_server_of_a_file(
    site: EmbeddingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = str(model_file(tmp_path, site))
    load_adapter(path)
    assert "Authorization" not in site.asked[-1].headers
    monkeypatch.setenv("OPENAI_BASE_URL", site.address)
    load_adapter(path)
    assert site.asked[-1].headers["Authorization"] == f"Bearer {KEY}"


def test_options_of_the_call_go_before_the_file_s(site: EmbeddingSite, tmp_path: Path) -> None:
    path = str(model_file(tmp_path, site, 'query_prompt = "a: "\ndimensions = 4\n'))
    model = load_adapter(path, {"query_prompt": "b: ", "truncate_dim": 6, "name": "mine"})
    assert model.name == "mine"
    assert model.adapter.prompts["query"] == "b: "
    assert model.adapter.encode_queries(["x"], "").shape == (1, 6)
    with pytest.raises(UsageError, match="--pooling: is for models that run on this machine"):
        load_adapter(path, {"pooling": "mean"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('model = "openai:"\n', "openai:"),
        ('model = "openai:m"\nbase_url = "nowhere"\nbatch_sise = 3\n', "batch_size(.|\n)*nowhere"),
        ('model = "openai:m"\npath = "x"\n', "field path: unknown field"),
    ],
)
def test_a_faulty_model_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "model.toml"
    path.write_text(text)
    with pytest.raises(MlbenchError, match=message):
        load_adapter(str(path))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The lake freezes over in most winters, and the ferries stay in the harbour.", (19, 17)),
        ("Der Hafen ist wegen des starken Windes seit gestern Abend geschlossen.", (14, 18)),
        ("الميناء مغلق بسبب الرياح القوية منذ مساء أمس.", (14, 31)),
        ("चावल के खेत पूरी बरसात में पानी से भरे रहते हैं।", (14, 46)),
        ("火山灰让山坡上的土壤变得非常肥沃。", (12, 23)),
        ("ตลาดเปิดตอนเช้ามืดและปิดก่อนเที่ยงวัน", (10, 34)),
        ("Bến cảng đã đóng cửa từ tối hôm qua vì gió mạnh.", (14, 25)),
        ("Το λιμάνι είναι κλειστό από χθες το βράδυ λόγω ισχυρών ανέμων.", (15, 55)),
    ],
)
def test_tokens_are_near_those_of_real_vocabularies(text: str, tokens: tuple[int, int]) -> None:
    """Beside the numbers that the tokenizer of XLM-R and cl100k_base find, counted once."""
    least, most = estimate_tokens([text])
    assert least <= most
    for found, real in ((least, min(tokens)), (most, max(tokens))):
        assert abs(found - real) <= 0.4 * real
    assert estimate_tokens([text] * 100) == pytest.approx((100 * least, 100 * most), rel=0.1)
