from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models import mteb as module
from mlbench.models.contract import check_adapter
from mlbench.models.registry import load_adapter
from tests.models.neural.conftest import bare_folder, full_folder  # noqa: F401
from tests.support.image_models import images, make_clip

mteb = pytest.importorskip("mteb")
torch = pytest.importorskip("torch")

NAME = "intfloat/multilingual-e5-small"
TEXTS = ["ein text", "a text", "x" * 60]
Known = Callable[..., None]


@pytest.fixture
def known(full_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Known:  # noqa: F811
    """Let MTEB know a small model under the name of another: known(loader keywords, fields)."""
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.models.model_implementations import MODEL_REGISTRY

    def register(keywords: dict[str, Any] | None = None, **fields: Any) -> None:
        def load(name: str, revision: str, **given: Any) -> Any:
            return SentenceTransformerEncoderWrapper(str(full_folder), **given)

        meta = MODEL_REGISTRY[NAME]
        given = meta.loader_kwargs if keywords is None else keywords
        fields = {"loader": load, "loader_kwargs": {**given, "device": "cpu"}, **fields}
        monkeypatch.setitem(MODEL_REGISTRY, NAME, meta.model_copy(update=fields))

    return register


def _loaded(**options: Any) -> Any:
    return load_adapter(f"mteb:{NAME}", options)


def test_vectors_and_prompts_are_those_of_mteb(known: Known, full_folder: Path) -> None:  # noqa: F811
    known()
    ours = _loaded()
    assert ours.adapter.prompts == {"query": "query: ", "passage": "passage: "}
    given = {"query_prompt": "query: ", "passage_prompt": "passage: "}
    other = load_adapter(str(full_folder), given).adapter
    for name in ("encode_queries", "encode_passages"):
        found, expected = (getattr(each, name)(TEXTS, "") for each in (ours.adapter, other))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    for role in ("query", "passage"):
        assert ours.adapter.truncation(role, TEXTS) == other.truncation(role, TEXTS)
    facts, theirs = ours.adapter.describe(), other.describe()
    for name in ("parameters", "dtype", "prompts", "max_length", "device"):
        assert facts[name] == theirs[name]
    assert facts["versions"]["mteb"] == mteb.__version__
    assert "prompts that MTEB gives for XQuADRetrieval (Retrieval)" in facts["notes"][0]
    assert ours.kind == "mteb"
    assert all(result.passed for result in check_adapter(ours))


def test_prompts_follow_the_task(known: Known) -> None:
    known({"model_prompts": {"Retrieval-query": "any: ", "MIRACLRetrieval-query": "miracl: "}})
    first, second = _loaded(), _loaded(mteb_task="MIRACLRetrieval")
    assert first.adapter.prompts == {"query": "any: ", "passage": ""}
    assert second.adapter.prompts == {"query": "miracl: ", "passage": ""}
    assert first.identity != second.identity
    with pytest.raises(UsageError, match=r"--mteb-task MIRACLE: MTEB \S+ knows no such task"):
        _loaded(mteb_task="MIRACLE")


def test_the_prompts_of_the_model_itself(known: Known) -> None:
    known({})
    assert _loaded().adapter.prompts == {"query": "q: ", "passage": "passage: "}


def test_instructions_are_recorded(known: Known, full_folder: Path) -> None:  # noqa: F811
    from mteb.models.instruct_wrapper import InstructSentenceTransformerModel

    def load(name: str, revision: str, **given: Any) -> Any:
        return InstructSentenceTransformerModel(
            str(full_folder),
            revision,
            instruction_template="Instruct: {instruction}\nQuery: ",
            apply_instruction_to_passages=False,
            device="cpu",
        )

    known(loader=load, loader_kwargs={})
    ours = _loaded().adapter
    task = mteb.get_task("XQuADRetrieval")
    assert ours.prompts["query"].startswith("Instruct: ")
    assert ours.prompts["query"].endswith("\nQuery: ")
    assert task.abstask_prompt in ours.prompts["query"]
    expected = load_adapter(str(full_folder), {"query_prompt": ours.prompts["query"]}).adapter
    found = ours.encode_queries(TEXTS, "")
    np.testing.assert_allclose(found, expected.encode_queries(TEXTS, ""), atol=1e-6)


def test_a_model_that_shows_no_prompts() -> None:
    ours = load_adapter("mteb:mteb/baseline-random-encoder")
    assert ours.adapter.prompts == {}
    notes = ours.adapter.describe()["notes"]
    assert any("prompts are not recorded" in note for note in notes)
    assert any("is no commit" in note for note in notes)
    assert ours.adapter.cacheable is False
    assert ours.adapter.truncation("query", TEXTS) is None
    assert ours.adapter.encode_queries(TEXTS, "").shape == (3, 32)


def test_code_of_a_model_runs_only_if_it_may(known: Known) -> None:
    known({"trust_remote_code": True})
    with pytest.raises(ModelError, match=r"trust_remote_code(.|\n)*--trust-remote-code"):
        _loaded()
    assert _loaded(trust_remote_code=True).adapter.prompts["query"] == "q: "


class Trusting:
    def __init__(self, name: str, revision: str, **given: Any) -> None:
        self.loaded = {"trust_remote_code": True}
        print(dict(trust_remote_code=True))  # noqa: C408


class Inheriting(Trusting):
    def encode(self, inputs: Any, **given: Any) -> Any:
        return np.ones((len(inputs.dataset), 2), np.int8)


def test_code_that_a_loader_itself_asks_for(known: Known) -> None:
    known({}, loader=Inheriting)
    with pytest.raises(ModelError, match="Python code of the model would be run"):
        _loaded()
    found = _loaded(trust_remote_code=True).adapter.encode_queries(TEXTS, "")
    assert found.dtype == np.float32


def test_what_is_lacking_is_said(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, revision: str, **given: Any) -> Any:
        raise ImportError("needs the package nonesuch\nmore")

    monkeypatch.delenv("MTEB_AUTO_INSTALL_EXTRAS", raising=False)
    known(extra_requirements_groups=["bm25s"])
    if not module._installed("Stemmer"):
        with pytest.raises(EnvironmentFault, match=r"PyStemmer(.|\n)*pip install 'mteb\[bm25s\]'"):
            _loaded()
    known(loader=load, extra_requirements_groups=None)
    with pytest.raises(EnvironmentFault, match="needs the package nonesuch\n"):
        _loaded()
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"mteb is not installed(.|\n)*\[mteb\]"):
        _loaded()


def test_a_model_that_cannot_be_had(known: Known) -> None:
    seen = []

    def load(name: str, revision: str, **given: Any) -> Any:
        from huggingface_hub import constants

        seen.append((constants.HF_HUB_OFFLINE, os.environ["HF_HUB_OFFLINE"]))
        raise OSError("We could not connect")

    known(loader=load)
    with pytest.raises(EnvironmentFault, match="We could not connect"):
        _loaded(offline=True)
    assert seen == [(True, "1")]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("intfloat/multilingual-e5-smal", UsageError, "did you mean 'intfloat/multilingual-e5-s"),
        ("org/unknown-model-xyz", UsageError, "hub:org/unknown-model-xyz"),
        (f"{NAME}@v9", UsageError, r"knows it at revision \w{40}, not v9"),
        ("mteb/baseline-random-cross-encoder", ModelError, "a reranker"),
        ("mteb/baseline-random-colbert", ModelError, "gives no vectors"),
        ("facebook/dinov2-small", ModelError, "a model of image"),
    ],
)
def test_models_that_are_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_adapter(f"mteb:{name}")


def test_options_that_mean_nothing_to_mteb(full_folder: Path) -> None:  # noqa: F811
    with pytest.raises(UsageError, match=r"takes no --pooling\n.*--mteb-task"):
        _loaded(pooling="cls")
    with pytest.raises(UsageError, match="one, for a model of MTEB"):
        _loaded(device="cpu,cpu")
    with pytest.raises(UsageError, match=r"--mteb-task X: given for a model that MTEB does not"):
        load_adapter(str(full_folder), {"mteb_task": "X"})


def test_addresses_are_not_given_to_a_model_that_opens_images(known: Known) -> None:
    known(modalities=["text", "image"], extra_requirements_groups=None)
    if not module._installed("torchvision"):
        with pytest.raises(EnvironmentFault, match="torchvision"):
            _loaded()
    model = object.__new__(module.MtebModel)
    model._meta, model._where = mteb.get_model_meta(NAME), "model"
    model._refuse_media(["a cat", "see https://example.org/cat.png for it"])
    for text in ("https://example.org/x", "data:image/png;base64,AA", "/home/me/cat.PNG"):
        with pytest.raises(ModelError, match="looks like the address of a file"):
            model._refuse_media(["a cat", text])


def test_what_models_give_becomes_arrays() -> None:
    half = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)
    assert module._as_vectors(half).dtype == np.float32
    sparse = module._as_vectors(torch.tensor([[0.0, 3.0], [0.0, 0.0]]).to_sparse())
    assert sparse.toarray().tolist() == [[0, 3], [0, 0]]
    assert sparse.dtype == np.float32
    tokens = module._as_vectors([half, half.repeat(2, 1)])
    assert [each.shape for each in tokens] == [(1, 2), (2, 2)]


def test_a_model_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MTEB's own class for CLIP, with a small one in place of the large one."""
    from mteb.models.model_implementations import MODEL_REGISTRY
    from mteb.models.model_implementations.clip_models import CLIPModel

    name, folder = "openai/clip-vit-large-patch14", make_clip(tmp_path / "clip")

    def load(name: str, revision: str, **given: Any) -> Any:
        return CLIPModel(str(folder), "main", device="cpu")

    meta = MODEL_REGISTRY[name].model_copy(update={"loader": load})
    # torchvision is asked for, which the class itself does not need
    monkeypatch.setattr(type(meta), "_check_requirements", lambda self: None)
    monkeypatch.setitem(MODEL_REGISTRY, name, meta)
    model = load_adapter(f"mteb:{name}")
    ours = load_adapter(str(folder)).adapter
    assert model.adapter.takes_images
    found = model.adapter.encode_images(images())
    np.testing.assert_allclose(found, ours.encode_images(images()), atol=1e-6)
    texts = model.adapter.encode_queries(TEXTS, "")
    np.testing.assert_allclose(texts, ours.encode_queries(TEXTS, ""), atol=2e-6)
    assert all(result.passed for result in check_adapter(model))
    with pytest.raises(ModelError, match="looks like the address of a file"):
        model.adapter.encode_queries([str(tmp_path / "a.png")], "")
