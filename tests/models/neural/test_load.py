"""A model that the cache knows: the same as the loaded one, and loaded only to read or encode."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import IntegrityError
from mlbench.models.cache import EmbeddingCache
from mlbench.models.neural import adapter as module
from mlbench.models.neural import load as facts_module
from mlbench.models.neural.folder import inspect_folder
from mlbench.models.neural.load import Facts, facts_digest
from mlbench.models.neural.options import OPTIONS, NeuralOptions
from mlbench.models.registry import LoadedModel, load_adapter
from tests.models.neural.conftest import Copy, edit

pytest.importorskip("sentence_transformers")

FACTS = Facts(
    prompts={"query": "q: ", "passage": ""},
    pooling="mean (assumed)",
    lengths={"query": 12, "passage": None},
    truncate_dim=None,
    dtype="float32",
    parameters=1234,
    device="cpu",
    notes=("one", "two"),
)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "embeddings", warn=pytest.fail)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were loaded."""
    seen: list[str] = []
    load = module.load_model

    def watched(checkpoint: Any, *rest: Any) -> Any:
        seen.append(checkpoint.folder.name)
        return load(checkpoint, *rest)

    monkeypatch.setattr(module, "load_model", watched)
    return seen


def test_facts_are_read_as_they_were_written() -> None:
    assert Facts.from_bytes(FACTS.to_bytes()) == FACTS
    assert FACTS.chosen("dot", "onnx")["pooling"] == "mean"


def test_facts_that_differ_are_named_but_for_the_device() -> None:
    assert FACTS.differing(replace(FACTS, device="cuda:0")) == []
    other = replace(FACTS, dtype="float16", notes=(), device="mps")
    assert FACTS.differing(other) == ["dtype", "notes"]


def said(model: LoadedModel) -> dict[str, Any]:
    adapter = model.adapter
    return {
        "model": (model.name, model.kind, model.similarity, model.identity),
        "prompts": adapter.prompts,
        "options": adapter.options,
        "facts": adapter.describe(),
    }


@pytest.mark.parametrize("kind", ["bare_folder", "full_folder"])
@pytest.mark.parametrize(
    "options",
    [{}, {"query_prompt": "Q: ", "max_length": 20}, {"dtype": "bfloat16", "truncate_dim": 8}],
)
def test_a_known_model_says_what_the_loaded_one_says(
    kind: str,
    options: dict[str, Any],
    request: pytest.FixtureRequest,
    cache: EmbeddingCache,
    loads: list[str],
) -> None:
    folder = str(request.getfixturevalue(kind))
    plain = load_adapter(folder, options)
    first = load_adapter(folder, options, cache)
    assert len(loads) == 2
    known = load_adapter(folder, options, cache)
    assert said(plain) == said(first) == said(known)
    assert len(loads) == 2
    texts = ["one text", "another", "x" * 99]
    assert known.adapter.canonical("query", texts) == plain.adapter.canonical("query", texts)
    assert len(loads) == 3
    vectors = known.adapter.encode_passages(texts, "")
    assert np.array_equal(vectors, plain.adapter.encode_passages(texts, ""))
    expected = plain.adapter.truncation("passage", texts)
    assert load_adapter(folder, options, cache).adapter.truncation("passage", texts) == expected
    assert said(known) == said(plain)


def test_a_model_file_and_a_kind_are_known_too(
    full_folder: Path, tmp_path: Path, cache: EmbeddingCache, loads: list[str]
) -> None:
    file = tmp_path / "model.toml"
    file.write_text(f"path = {str(full_folder)!r}\nmax_length = 20\n")
    for spec in (str(file), f"sentence-transformers:{full_folder}"):
        models = [load_adapter(spec, {}, cache) for _ in range(2)]
        assert said(models[0]) == said(models[1])
    assert len(loads) == 2  # the two differ in their maximum length


def test_without_a_cache_and_with_foreign_code_a_model_is_loaded_each_time(
    full_folder: Path, cache: EmbeddingCache, loads: list[str]
) -> None:
    for _ in range(2):
        load_adapter(str(full_folder))
        load_adapter(str(full_folder), {"trust_remote_code": True}, cache)
    assert len(loads) == 4
    assert not [*cache.entries()]


def test_a_changed_file_is_another_model(
    full_folder: Path, copy: Copy, cache: EmbeddingCache, loads: list[str]
) -> None:
    folder = copy(full_folder)
    before = load_adapter(str(folder), {}, cache)
    edit(folder / "sentence_bert_config.json", max_seq_length=16)
    edit(folder / "config_sentence_transformers.json", prompts={"query": "Q! ", "document": ""})
    after = load_adapter(str(folder), {}, cache)
    assert len(loads) == 2
    assert after.adapter.prompts["query"] == "Q! "
    assert before.identity != after.identity


def test_every_option_but_those_of_the_run_is_part_of_the_subject(full_folder: Path) -> None:
    values: dict[str, Any] = {
        "device": ("cpu",), "offline": True, "trust_remote_code": True, "allow_pickle": True,
    }  # fmt: skip
    checkpoint = inspect_folder(full_folder, NeuralOptions())
    own = facts_digest(checkpoint, NeuralOptions())
    changed = {
        option.name: facts_digest(
            checkpoint, replace(NeuralOptions(), **{option.name: values.get(option.name, "other")})
        )
        for option in OPTIONS
    }
    assert changed.keys() == asdict(NeuralOptions()).keys()
    same = {name for name, subject in changed.items() if subject == own}
    assert same == {"name", "revision", "base_model", "offline", "batch_tokens"}
    assert len({own, *changed.values()}) == 1 + len(changed) - len(same)


@pytest.mark.parametrize("name", ["__version__", "versions"])
def test_other_versions_are_asked_anew(
    full_folder: Path, cache: EmbeddingCache, loads: list[str], monkeypatch: Any, name: str
) -> None:
    load_adapter(str(full_folder), {}, cache)
    value: Any = (lambda: {"torch": "0"}) if name == "versions" else "0"
    monkeypatch.setattr(facts_module, name, value)
    load_adapter(str(full_folder), {}, cache)
    assert len(loads) == 2


def test_a_damaged_note_is_said_and_the_model_is_loaded(
    full_folder: Path, tmp_path: Path, loads: list[str]
) -> None:
    warned: list[str] = []
    cache = EmbeddingCache(tmp_path / "embeddings", warn=warned.append)
    expected = said(load_adapter(str(full_folder), {}, cache))
    (entry,) = cache.entries()
    entry.path.write_bytes(entry.path.read_bytes()[:-1])
    assert said(
        load_adapter(str(full_folder), {}, EmbeddingCache(cache.folder, warn=warned.append))
    )
    assert len(loads) == 2
    assert "damaged" in warned[0]
    assert said(load_adapter(str(full_folder), {}, cache)) == expected


def test_facts_that_the_loaded_model_denies_are_an_integrity_error(
    full_folder: Path, cache: EmbeddingCache
) -> None:
    checkpoint = inspect_folder(full_folder, NeuralOptions())
    about = facts_digest(checkpoint, NeuralOptions())
    true = load_adapter(str(full_folder)).adapter._loaded.facts
    cache.remember(about, replace(true, pooling="cls", device="cuda:7").to_bytes())
    model = load_adapter(str(full_folder), {}, cache)
    assert model.adapter.describe()["device"] == "cuda:7"
    with pytest.raises(IntegrityError, match="has another pooling than the embedding cache"):
        model.adapter.canonical("query", ["text"])


def test_the_device_is_the_one_that_encodes(full_folder: Path, tmp_path: Path) -> None:
    checkpoint = inspect_folder(full_folder, NeuralOptions())
    about = facts_digest(checkpoint, NeuralOptions())
    own = load_adapter(str(full_folder)).adapter
    true = own._loaded.facts
    cache = EmbeddingCache(tmp_path / "embeddings")
    cache.remember(about, replace(true, device="cuda:7").to_bytes())
    adapter = load_adapter(str(full_folder), {}, cache).adapter
    adapter.encode_queries(["text"], "")
    assert adapter.describe() == own.describe()
