"""Models with modules of their own for each role: nothing about a route follows from another."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.models.neural.forms import Asked, find_form
from mlbench.models.neural.routes import Route, both, find_route
from mlbench.models.objects import load_model
from mlbench.models.registry import load_adapter
from tests.models.neural import padded
from tests.models.neural.conftest import MAX_LENGTH, POSITIONS, Copy, edit

torch = pytest.importorskip("torch")
library = pytest.importorskip("sentence_transformers")
modules = pytest.importorskip("sentence_transformers.models")

TEXTS = ["a", "b c", "x" * 30, "the " * 40, "к " * 70, "b c"]


def _static(folder: Path, cut_at: int | None = None) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if cut_at:
        tokenizer.enable_truncation(cut_at)
    torch.manual_seed(3)
    return modules.StaticEmbedding(tokenizer, embedding_dim=32)


def _transformer(folder: Path, length: int) -> list[Any]:
    transformer = modules.Transformer(str(folder))
    transformer.max_seq_length = length
    return [transformer, modules.Pooling(32)]


def _save(folder: Path, router: Any, *more: Any, **arguments: Any) -> str:
    prompts = {"query": "q: ", "document": "a passage: "}
    model = library.SentenceTransformer(
        modules=[router, *more], device="cpu", prompts=prompts, **arguments
    )
    model.save(str(folder), create_model_card=False)
    return str(folder)


@pytest.fixture
def static_query(bare_folder: Path, tmp_path: Path) -> str:
    routes = {"query": [_static(bare_folder)], "document": _transformer(bare_folder, 20)}
    return _save(tmp_path / "static-query", modules.Router(routes))


@pytest.fixture
def two_lengths(bare_folder: Path, tmp_path: Path) -> str:
    routes = {"query": _transformer(bare_folder, 8), "document": _transformer(bare_folder, 20)}
    return _save(tmp_path / "two-lengths", modules.Router(routes))


def _plain(bare_folder: Path, folder: Path, length: int) -> Any:
    """Return the encoder of a route without the router."""
    model = library.SentenceTransformer(modules=_transformer(bare_folder, length), device="cpu")
    model.prompts = {"query": "q: ", "document": "a passage: "}
    model.save(str(folder), create_model_card=False)
    return load_adapter(str(folder)).adapter


def test_a_static_route_does_not_hide_what_the_other_cuts(
    static_query: str, bare_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ours = load_adapter(static_query).adapter
        alone = _plain(bare_folder, tmp_path / "alone", 20)
        assert ours.truncation("passage", TEXTS) == alone.truncation("passage", TEXTS)
        assert ours.truncation("query", TEXTS)[:2] == (0, 0)
        vectors = ours.encode_passages(TEXTS, "")
    assert not caplog.records
    np.testing.assert_array_equal(vectors, alone.encode_passages(TEXTS, ""))
    theirs = library.SentenceTransformer(static_query, device="cpu")
    np.testing.assert_allclose(vectors, theirs.encode_document(TEXTS), atol=1e-6)
    np.testing.assert_allclose(
        ours.encode_queries(TEXTS, ""), theirs.encode_query(TEXTS), atol=1e-6
    )


def test_facts_are_those_of_each_route(static_query: str) -> None:
    said = load_adapter(static_query).adapter.describe()
    model = library.SentenceTransformer(static_query, device="cpu")
    query, document = (
        sum(weight.numel() for weight in model[0].sub_modules[name].parameters())
        for name in ("query", "document")
    )
    assert said["routes"] == {
        "query": {
            "parameters": query, "max_length": None, "pooling": "none", "dtype": "float32",
        },
        "passage": {
            "parameters": document, "max_length": 20, "pooling": "mean", "dtype": "float32",
        },
    }  # fmt: skip
    assert (said["max_length"], said["parameters"]) == (20, query + document)
    assert said["pooling"] == "none (queries), mean (passages)"


def test_the_routes_of_one_way_are_not_told_apart(full_folder: Path) -> None:
    assert load_adapter(str(full_folder)).adapter.describe()["routes"] == {}


def test_each_role_is_cut_at_its_own_length(
    two_lengths: str, bare_folder: Path, tmp_path: Path
) -> None:
    ours = load_adapter(two_lengths).adapter
    for role, length in (("query", 8), ("passage", 20), ("query", 8)):
        alone = _plain(bare_folder, tmp_path / f"{role}-alone", length)
        assert ours.truncation(role, TEXTS) == alone.truncation(role, TEXTS)
        assert ours.canonical(role, TEXTS) == alone.canonical(role, TEXTS)
        assert ours.describe()["routes"][role]["max_length"] == length


def test_a_maximum_length_is_for_the_routes_that_can_take_it(
    static_query: str, two_lengths: str, bare_folder: Path, tmp_path: Path
) -> None:
    ours = load_adapter(static_query, {"max_length": 12}).adapter
    assert ours.truncation("passage", TEXTS) == _plain(
        bare_folder, tmp_path / "alone", 12
    ).truncation("passage", TEXTS)
    assert ours.truncation("query", TEXTS).texts == 0
    assert "does not apply to queries" in ours.describe()["notes"][0]
    said = load_adapter(two_lengths, {"max_length": 12}).adapter.describe()
    assert {role: of["max_length"] for role, of in said["routes"].items()} == {
        "query": 12, "passage": 12,
    }  # fmt: skip
    assert said["notes"] == []
    with pytest.raises(UsageError, match=f"the model has {POSITIONS} positions for passages"):
        load_adapter(static_query, {"max_length": POSITIONS + 1})
    identities = {load_adapter(static_query, {"max_length": n}).identity for n in (None, 9, 12, 20)}
    assert len(identities) == 3, "the model's own length is 20"


def test_a_model_that_cuts_nowhere_takes_no_maximum_length(
    bare_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "static"
    library.SentenceTransformer(modules=[_static(bare_folder)], device="cpu").save(str(folder))
    with pytest.raises(UsageError, match="does not cut texts"):
        load_adapter(str(folder), {"max_length": 9})


def test_a_static_tokenizer_that_cuts_is_believed(bare_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "static"
    library.SentenceTransformer(modules=[_static(bare_folder, 5)], device="cpu").save(str(folder))
    ours = load_adapter(str(folder)).adapter
    assert ours.describe()["max_length"] == 5
    whole = _static(bare_folder).tokenizer
    sizes = [len(whole.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    assert ours.truncation("query", TEXTS) == (
        sum(size > 5 for size in sizes), sum(max(0, size - 5) for size in sizes), sum(sizes),
    )  # fmt: skip
    assert load_adapter(str(folder), {"max_length": 3}).adapter.describe()["max_length"] == 3


def test_the_lengths_of_a_transformers_settings_are_believed(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    settings = folder / "sentence_bert_config.json"
    edit(settings, processing_kwargs={"text": {"max_length": 7}}, query_length=5)
    said = load_adapter(str(folder)).adapter
    assert [np.frombuffer(row, np.int32).size for row in said.canonical("query", TEXTS)][2] == 7
    assert said.describe()["max_length"] == 7
    assert said.truncation("passage", ["x" * 30]).lost > 0
    edit(settings, processing_kwargs={}, query_length=5)
    assert load_adapter(str(folder)).adapter.truncation("query", ["x" * 30]).lost > 30 - 5
    long = load_adapter(str(folder), {"max_length": 11}).adapter
    assert {len(long.canonical(role, ["x" * 30])[0]) for role in ("query", "passage")} == {44}


def test_pooling_goes_to_the_routes_that_pool(static_query: str) -> None:
    said = load_adapter(static_query, {"pooling": "cls"}).adapter.describe()
    assert {role: of["pooling"] for role, of in said["routes"].items()} == {
        "query": "none", "passage": "cls",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["document", "passage", "corpus"])
def test_routes_may_be_called_otherwise_and_nested(
    bare_folder: Path, tmp_path: Path, name: str
) -> None:
    inner = modules.Router({"query": _transformer(bare_folder, 8), name: [_static(bare_folder)]})
    outer = modules.Router({"query": [inner], name: _transformer(bare_folder, 20)})
    ours = load_adapter(_save(tmp_path / "nested", outer)).adapter
    assert [ours.describe()["routes"][role]["max_length"] for role in ("query", "passage")] == [
        8, 20,
    ]  # fmt: skip
    theirs = library.SentenceTransformer(str(tmp_path / "nested"), device="cpu")
    expected = theirs.encode(["a passage: x y", "a passage: z"], task=name, prompt="")
    np.testing.assert_allclose(ours.encode_passages(["x y", "z"], ""), expected, atol=1e-6)
    expected = theirs.encode_query(["x y", "z"])
    np.testing.assert_allclose(ours.encode_queries(["x y", "z"], ""), expected, atol=1e-6)


def test_routes_by_mapping_and_a_router_behind_the_encoder(
    bare_folder: Path, tmp_path: Path
) -> None:
    mapped = modules.Router(
        {"light": [_static(bare_folder)], "heavy": _transformer(bare_folder, 20)},
        route_mappings={("query", None): "light", (None, "text"): "heavy"},
    )
    said = load_adapter(_save(tmp_path / "mapped", mapped)).adapter.describe()
    assert [said["routes"][role]["max_length"] for role in ("query", "passage")] == [None, 20]
    heads = {name: [modules.Dense(32, 16)] for name in ("query", "document")}
    model = library.SentenceTransformer(
        modules=[*_transformer(bare_folder, 20), modules.Router(heads)], device="cpu"
    )
    model.save(str(tmp_path / "heads"), create_model_card=False)
    ours = load_adapter(str(tmp_path / "heads")).adapter
    assert {of["max_length"] for of in ours.describe()["routes"].values()} == {20}
    assert ours.describe()["pooling"] == "mean"
    np.testing.assert_allclose(ours.encode_queries(TEXTS, ""), model.encode_query(TEXTS), atol=1e-6)
    assert np.abs(ours.encode_queries(TEXTS, "") - ours.encode_passages(TEXTS, "")).max() > 0.01


def test_a_role_without_a_route_is_refused(bare_folder: Path, tmp_path: Path) -> None:
    router = modules.Router({"query": [_static(bare_folder)], "image": [_static(bare_folder)]})
    with pytest.raises(ModelError, match="no route for passages; it has query, image"):
        load_adapter(_save(tmp_path / "lacking", router))


def test_routes_of_other_dimensions_are_refused(bare_folder: Path, tmp_path: Path) -> None:
    wide = [*_transformer(bare_folder, 20), modules.Dense(32, 48)]
    router = modules.Router({"query": [_static(bare_folder)], "document": wide})
    folder = _save(tmp_path / "wide", router)
    with pytest.raises(ModelError, match=r"32 \(queries\), 48 \(passages\) dimensions"):
        load_adapter(folder)
    ours = load_adapter(folder, {"truncate_dim": 32}).adapter
    assert ours.encode_passages(["a"], "").shape == ours.encode_queries(["a"], "").shape == (1, 32)


def test_a_model_of_the_running_program_is_asked_for_each_route(
    static_query: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = library.SentenceTransformer(static_query, device="cpu")
    with caplog.at_level(logging.WARNING):
        said = load_model(model).adapter.describe()
    assert not caplog.records
    assert said["max_length"] == 20
    assert said["routes"] == load_adapter(static_query).adapter.describe()["routes"]


@pytest.fixture
def route(full_folder: Path) -> Route:
    model = library.SentenceTransformer(str(full_folder), device="cpu")
    return find_route(model, "query", {"task": "query"}, "")


def test_uncut_is_undone(route: Route) -> None:
    asked, long = Asked("", route.arguments), ["b " * 50]
    model = library.SentenceTransformer(modules=route.modules, device="cpu")
    form = find_form(model, asked)
    first = route.modules[0]
    first.query_length = 8
    assert route.length == form.size(form.rows(model, long)[0]) == 8
    with route.uncut():
        assert form.size(form.rows(model, long)[0]) == 52
        assert route.length is None
    assert (first.max_seq_length, first.query_length) == (MAX_LENGTH, 8)
    passages = replace(route, role="passage", arguments={"task": "document"})
    assert passages.length == MAX_LENGTH


def test_what_holds_in_both_roles_is_said_once() -> None:
    assert both({"query": 3, "passage": 3}) == "3"
    assert json.loads(both({"query": [1], "passage": [1]})) == [1]


@pytest.mark.parametrize("make", [padded.gpt2, padded.opt])
def test_positions_of_networks_that_call_them_otherwise(
    bare_folder: Path, tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    folder = make(bare_folder, tmp_path / "model")
    edit(folder / "tokenizer_config.json", model_max_length=512)
    with pytest.raises(UsageError, match=f"the model has {padded.POSITIONS} positions"):
        load_adapter(str(folder), {"max_length": padded.POSITIONS + 1})
    ours = load_adapter(str(folder), {"max_length": padded.POSITIONS}).adapter
    assert np.isfinite(ours.encode_queries(["b " * 300], "")).all()
