"""Late interaction and sparse encoders of the library: what they give, and what they are asked."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import ModelError, UsageError
from mlbench.models.cache import EmbeddingCache
from mlbench.models.contract import check_adapter
from mlbench.models.neural.adapter import Neural
from mlbench.models.neural.forms import ExpandedForm, TokenForm
from mlbench.models.objects import load_model
from mlbench.models.protocol import Truncation
from mlbench.models.registry import LoadedModel, load_adapter
from mlbench.ranking.counting import scorer_of
from tests.models.neural.conftest import Copy, edit
from tests.models.neural.encoders import (
    EXPANDED,
    LENGTH,
    as_pylate,
    as_stanford,
    save_late,
    save_sparse,
)
from tests.support.versions import installed

TEXTS = [
    "a", "the lake freezes. over, in most winters!", "вот это да", "?", "x y z",
    "中文问答 a b c d e f g h i j k l m n o p q r s t u v w", "one two three four five six",
]  # fmt: skip
METHODS = {
    "query": ("encode_queries", "encode_query"),
    "passage": ("encode_passages", "encode_document"),
}
LATE = ("fixed", "attended", "min", "none", "pylate", "stanford")
SPARSE = ("splade", "inference-free", "few")


@pytest.fixture(scope="module")
def folders(bare_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind."""
    at = tmp_path_factory.mktemp("encoders")
    fixed = {"strategy": "fixed", "length": EXPANDED}
    late = save_late(bare_folder, at / "fixed", fixed)
    return {
        "fixed": late,
        "attended": save_late(bare_folder, at / "attended", fixed | {"attend": True}),
        "min": save_late(bare_folder, at / "min", fixed | {"strategy": "min"}),
        "none": save_late(bare_folder, at / "none", None),
        "pylate": as_pylate(late, at / "pylate"),
        "stanford": as_stanford(bare_folder, at / "stanford"),
        "splade": save_sparse(bare_folder, at / "splade"),
        "few": save_sparse(bare_folder, at / "few", most=9),
        "inference-free": save_sparse(bare_folder, at / "free", inference_free=True),
    }


def given(model: LoadedModel, role: str, texts: list[str]) -> Any:
    return getattr(model.adapter, METHODS[role][0])(texts, "en")


@functools.cache
def loaded(folder: Path) -> LoadedModel:
    return load_adapter(str(folder))


@functools.cache
def library(name: str, folder: Path) -> Any:
    return getattr(pytest.importorskip("sentence_transformers"), name)(str(folder), device="cpu")


@pytest.mark.parametrize("name", LATE)
def test_token_vectors_and_scores_are_the_librarys(folders: dict[str, Path], name: str) -> None:
    theirs, ours = library("MultiVectorEncoder", folders[name]), loaded(folders[name])
    sides, expected = [], []
    for role, (_, method) in METHODS.items():
        vectors = given(ours, role, TEXTS)
        found = getattr(theirs, method)(TEXTS, convert_to_numpy=True)
        assert [len(each) for each in found] == vectors.counts.tolist()
        assert np.abs(np.concatenate(found) - vectors.vectors).max() < 1e-5
        sides.append(vectors)
        expected.append(found)
    scorer = scorer_of(*sides, np.array([0, len(TEXTS)]))
    pairs = np.indices((len(TEXTS), len(TEXTS))).reshape(2, -1)
    scores = scorer.exact(*np.ascontiguousarray(pairs)).reshape(len(TEXTS), -1)
    assert np.abs(scores - theirs.similarity(*expected).numpy()).max() < 1e-4
    assert ours.similarity == "dot"


@pytest.mark.parametrize("name", SPARSE)
def test_sparse_vectors_are_the_librarys(folders: dict[str, Path], name: str) -> None:
    theirs, ours = library("SparseEncoder", folders[name]), loaded(folders[name])
    for role, (_, method) in METHODS.items():
        found = given(ours, role, TEXTS)
        expected = getattr(theirs, method)(TEXTS, convert_to_sparse_tensor=False).numpy()
        assert np.abs(found.toarray() - expected).max() < 1e-5
        assert found.nnz == np.count_nonzero(expected)
    assert ours.similarity == "dot"
    if name == "few" and installed("sentence-transformers", "6.2"):  # keeps it with the model
        assert found.nnz == 9 * len(TEXTS)


@pytest.mark.parametrize("name", ["fixed", "inference-free"])
def test_they_keep_the_contract(folders: dict[str, Path], name: str) -> None:
    results = list(check_adapter(loaded(folders[name])))
    assert [result for result in results if not result.passed] == []
    assert ("one vector a token" in results[0].detail) == (name not in SPARSE)


@pytest.mark.parametrize("name", LATE)
def test_what_is_cut_off_is_counted_without_what_queries_are_filled_up_with(
    folders: dict[str, Path], name: str
) -> None:
    ours = loaded(folders[name]).adapter
    expanded = isinstance(ours._form("query"), ExpandedForm)
    assert expanded == (name != "none")
    assert type(ours._form("passage")) is TokenForm
    limits = {"query": EXPANDED if name not in ("min", "none") else 24, "passage": LENGTH}
    for role, limit in limits.items():
        tokenizer, prompt = ours._loaded.model.tokenizer, ours.prompts[role]
        sizes = [len(tokenizer(prompt + text)["input_ids"]) for text in TEXTS]
        lost = [max(size - limit, 0) for size in sizes]
        expected = Truncation(sum(map(bool, lost)), sum(lost), sum(sizes))
        assert ours.truncation(role, TEXTS) == expected
        assert ours.truncation(role, TEXTS) == expected
    routes = ours.describe()["routes"]
    assert {role: of["max_length"] for role, of in routes.items()} == limits
    for role, (_, method) in METHODS.items():  # all is as it was
        theirs = getattr(library("MultiVectorEncoder", folders[name]), method)(TEXTS)
        found = given(loaded(folders[name]), role, TEXTS)
        assert found.counts.tolist() == [len(each) for each in theirs]


class Cramped:
    """A model in a memory of ``ROOM`` tokens."""

    ROOM = 30

    def __init__(self, model: Any) -> None:
        self.model, self.refused = model, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, features: dict[str, Any], **arguments: Any) -> Any:
        import torch

        if features["input_ids"].numel() > self.ROOM:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return self.model(features, **arguments)


@pytest.mark.parametrize("role", METHODS)
@pytest.mark.parametrize("name", ["fixed", "pylate", "splade", "few"])
def test_a_batch_that_does_not_fit_is_halved(
    folders: dict[str, Path], name: str, role: str
) -> None:
    ours = loaded(folders[name]).adapter
    rows = ours.canonical(role, TEXTS)
    cramped = Cramped(ours._forward.model)
    halved = replace(ours._forward, model=cramped)
    expected, found = ours._forward.vectors(role, rows), halved.vectors(role, rows)
    assert cramped.refused > 0
    assert halved.limit < Cramped.ROOM * 2
    assert found.shape == expected.shape
    if name in LATE:
        assert found.counts.tolist() == expected.counts.tolist()
        assert np.abs(found.vectors - expected.vectors).max() < 1e-5
    else:
        assert found.nnz == expected.nnz
        assert np.abs((found - expected).toarray()).max() < 1e-5


def evaluated(folder: Path, how: mlbench.Options) -> mlbench.Report:
    return mlbench.evaluate(str(folder), "sample", replace(how, progress=False))


@pytest.mark.parametrize("name", ["fixed", "splade", "inference-free"])
def test_a_run_one_from_the_cache_and_its_stream_give_the_same_table(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cache = EmbeddingCache(tmp_path / "cache")
    held = evaluated(folders[name], mlbench.Options(cache=cache))
    monkeypatch.setattr(Neural, "encode_queries", None)  # nothing is encoded again
    monkeypatch.setattr(Neural, "encode_passages", None)
    again = evaluated(folders[name], mlbench.Options(cache=EmbeddingCache(cache.folder)))
    monkeypatch.undo()
    how = mlbench.Options(cache=None, folder=tmp_path / "out")
    streamed = evaluated(folders[name], replace(how, streaming=replace(how.streaming, always=True)))
    for role in METHODS:
        assert held.run.encoded[role].cached == 0
        assert again.run.encoded[role].cached == again.run.encoded[role].distinct > 0
    assert held.run.recomputed == again.run.recomputed
    assert held.model == again.model
    for report in (again, streamed):
        assert report.ranks.above.tobytes() == held.ranks.above.tobytes()
        assert report.ranks.tied.tobytes() == held.ranks.tied.tobytes()


def test_a_report_says_how_many_vectors_a_text_has(folders: dict[str, Path]) -> None:
    held = evaluated(folders["fixed"], mlbench.Options())
    sizes = held.model.sizes
    assert (sizes["query"].vectors, sizes["query"].bytes) == (EXPANDED, EXPANDED * 16 * 4)
    assert 1 < sizes["passage"].vectors <= LENGTH
    assert held.model.prompts == {"query": "q: ", "passage": "d: "}
    assert held.model.dimension == 16
    assert held.run.truncated["passage"]["en"].texts > 0


@pytest.mark.parametrize("name", ["fixed", "splade"])
def test_an_object_of_the_program_is_evaluated_as_its_folder(
    folders: dict[str, Path], name: str
) -> None:
    kind = "SparseEncoder" if name == "splade" else "MultiVectorEncoder"
    ours, theirs = loaded(folders[name]), load_model(library(kind, folders[name]))
    assert theirs.similarity == ours.similarity
    found, expected = (given(model, "passage", TEXTS) for model in (theirs, ours))
    if name == "splade":
        assert np.abs((found - expected).toarray()).max() < 1e-5
    else:
        assert np.abs(np.concatenate(found) - expected.vectors).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"truncate_dim": 8}, "--truncate-dim 8"),
        ({"backend": "onnx"}, "--backend onnx"),
        ({"pooling": "mean"}, "--pooling mean"),
    ],
)
@pytest.mark.parametrize("name", ["fixed", "splade"])
def test_options_of_dense_encoders_are_refused(
    folders: dict[str, Path], name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((UsageError, ModelError), match=words):
        load_adapter(str(folders[name]), options)


def test_a_maximum_length_leaves_queries_of_fixed_length_alone(folders: dict[str, Path]) -> None:
    ours = load_adapter(str(folders["fixed"]), {"max_length": 7}).adapter
    said = ours.describe()
    assert {role: of["max_length"] for role, of in said["routes"].items()} == {
        "query": EXPANDED, "passage": 7,
    }  # fmt: skip
    assert "does not apply to queries" in " ".join(said["notes"])
    assert ours.encode_queries(["a"], "").counts.tolist() == [EXPANDED]


def test_what_a_folder_says_it_is_decides_and_its_modules_must_agree(
    folders: dict[str, Path], copy: Copy
) -> None:
    for name, words in (("fixed", "late-interaction"), ("splade", "a sparse encoder")):
        folder = copy(folders[name], f"{name}-as-dense")
        edit(folder / "config_sentence_transformers.json", model_type="SentenceTransformer")
        with pytest.raises(ModelError, match=words):
            load_adapter(str(folder))
    folder = copy(folders["splade"], "without-pooling")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    with pytest.raises(ModelError, match="nothing makes the vectors of a sparse encoder"):
        load_adapter(str(folder))
    folder = copy(folders["fixed"], "of-another")
    edit(folder / "config_sentence_transformers.json", model_type="SparseEncoder")
    with pytest.raises(ModelError, match=r"names the class .*MultiVectorMask"):
        load_adapter(str(folder))


def test_a_similarity_that_is_asked_for_is_taken(folders: dict[str, Path]) -> None:
    assert load_adapter(str(folders["fixed"]), {"similarity": "cosine"}).similarity == "cosine"
