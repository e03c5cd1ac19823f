from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.models.neural.folder import inspect_folder
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.tokenizing import Settings, Tokens
from tests.models.neural.conftest import LETTERS, MAX_LENGTH, POSITIONS, Copy, edit

pytest.importorskip("tokenizers")
TEXTS = ["Wort, WORT", "", " ", "a", "x" * 50, "\ud83d lost", *LETTERS]


def _settings(folder: Path) -> Settings:
    return Settings.of(inspect_folder(folder, NeuralOptions()))


def _lowering(folder: Path) -> Path:
    """Take the tokenizer's own lower case away, and have the library put it back."""
    path = folder / "tokenizer.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps(table | {"normalizer": None}))
    edit(folder / "sentence_bert_config.json", do_lower_case=True)
    return folder


@pytest.mark.parametrize("lowering", [False, True])
def test_tokens_are_the_librarys(full_folder: Path, copy: Copy, lowering: bool) -> None:
    pytest.importorskip("sentence_transformers")
    from mlbench.models.registry import load_adapter

    folder = _lowering(copy(full_folder)) if lowering else full_folder
    theirs = load_adapter(str(folder)).adapter
    settings = _settings(folder)
    notes: list[str] = []
    tokens = Tokens(settings, settings.length(None, notes))
    if not lowering:  # transformers makes the normaliser of a BERT anew
        assert tokens.rows([f"q: {text}" for text in TEXTS]) == theirs.canonical("query", TEXTS)
    first = theirs._loaded.model[0]
    for prompt in ("", "q: ", "passage: "):
        length = first._get_prompt_length(prompt) if prompt else 0
        assert tokens.prompt_length(prompt) == length
    assert tokens.pad == first.tokenizer.pad_token_id
    assert tokens.length == MAX_LENGTH
    assert tokens.types() == {0}
    assert len(tokens.rows(["x" * 50], whole=True)[0]) > 4 * MAX_LENGTH
    assert not notes


def test_lower_case_is_put_before_what_else_normalises(full_folder: Path, copy: Copy) -> None:
    folder = _lowering(copy(full_folder))
    tokens = Tokens(_settings(folder), None)
    upper, lower = tokens.rows(["WORT", "wort"])
    assert upper == lower
    edit(folder / "sentence_bert_config.json", do_lower_case=False)
    upper, lower = Tokens(_settings(folder), None).rows(["WORT", "wort"])
    assert upper != lower


@pytest.mark.parametrize(
    ("own", "said", "config", "expected"),
    [
        ({}, {"model_max_length": 24}, {}, 24),
        ({"max_seq_length": 12}, {"model_max_length": 24}, {}, 12),
        ({"processing_kwargs": {"text": {"max_length": 9}}}, {"model_max_length": 24}, {}, 9),
        ({}, {"model_max_length": 10**30}, {}, POSITIONS),
        ({}, {"model_max_length": 10**30}, {"max_position_embeddings": None}, None),
        ({}, {}, {"model_type": "xlm-roberta", "pad_token_id": 1}, POSITIONS - 2),
    ],
)
def test_where_texts_are_cut(
    full_folder: Path, own: dict, said: dict, config: dict, expected: int | None
) -> None:
    settings = _settings(full_folder)
    config = settings.config | config
    settings = Settings(settings.folder, own, said, config)
    assert settings.length(None, []) == expected
    assert settings.length(5, []) == 5


def test_no_text_is_longer_than_there_are_positions(full_folder: Path) -> None:
    settings = _settings(full_folder)
    settings.own["max_seq_length"] = 1000
    notes: list[str] = []
    assert settings.length(None, notes) == POSITIONS
    assert f"allows 1,000 tokens, the model has {POSITIONS} positions" in notes[0]
    with pytest.raises(UsageError, match=f"the model has {POSITIONS} positions"):
        settings.length(POSITIONS + 1, [])


def test_the_token_to_pad_with(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    edit(folder / "tokenizer_config.json", pad_token={"content": "[MASK]"})
    mask = np.frombuffer(Tokens(_settings(folder), None).rows(["[MASK]"])[0], np.int32)[1]
    assert Tokens(_settings(folder), None).pad == mask
    edit(folder / "tokenizer_config.json", pad_token=None)
    table = json.loads((folder / "tokenizer.json").read_text())
    padding = {"strategy": {"Fixed": 128}, "direction": "Left", "pad_to_multiple_of": None,
               "pad_id": 3, "pad_type_id": 0, "pad_token": "[SEP]"}  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(table | {"padding": padding}))
    tokens = Tokens(_settings(folder), None)
    assert tokens.pad == 3
    assert len(tokens.rows(["a"])[0]) == 4 * 3


def test_chat_templates_are_refused(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    edit(folder / "sentence_bert_config.json", modality_config={"message": {}})
    with pytest.raises(ModelError, match=r"a chat template(.|\n)*--backend torch"):
        _settings(folder)
    ways = {"modality_config": {"text": {}}, "processing_kwargs": {"text": {"strange": 1}}}
    edit(folder / "sentence_bert_config.json", **ways)
    with pytest.raises(ModelError, match="texts go through strange"):
        _settings(folder)


def test_a_tokenizer_that_is_none(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    settings = _settings(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        Tokens(settings, None).rows(["a"])
