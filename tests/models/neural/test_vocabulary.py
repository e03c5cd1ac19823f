"""Tokenizers that do not belong to their model's embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlbench.common.errors import ModelError
from mlbench.models.registry import load_adapter
from tests.models.neural.conftest import Copy, edit
from tests.models.neural.test_weights import change, notes, refused

transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")

TABLE = "embeddings.word_embeddings.weight"


def cut(folder: Path, rows: int) -> Path:
    """Keep the embeddings of the first tokens."""
    edit(folder / "config.json", vocab_size=rows)
    return change(folder, lambda tensors: tensors | {TABLE: tensors[TABLE][:rows].clone()})


def test_a_token_without_an_embedding_is_a_note_until_a_text_has_it(
    full_folder: Path, copy: Copy
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(full_folder)
    last, text = "##จ", "กจ"
    assert last in tokenizer.tokenize(text)
    place = tokenizer.get_vocab()[last]
    folder = cut(copy(full_folder), place)
    assert f"such as {last!r} ({place}): a text with one of them cannot" in notes(folder)
    adapter = load_adapter(str(folder)).adapter
    assert adapter.encode_queries(["abc"], "").shape == (1, 32)
    for encode in (adapter.encode_queries, adapter.encode_passages):
        with pytest.raises(ModelError, match=f"has token {place}") as caught:
            encode(["abc", text], "")
        assert f"text {text!r}" in str(caught.value)


def test_a_vocabulary_smaller_than_the_tokenizer_s(full_folder: Path, copy: Copy) -> None:
    assert "tokens that its 60 embeddings do not have" in refused(cut(copy(full_folder), 60))


def test_added_tokens_without_an_embedding_that_no_text_uses(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<unused>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    assert notes(folder) == ""
    tokenizer.pad_token = "<unused>"
    tokenizer.save_pretrained(folder)
    assert "such as '<unused>'" in refused(folder)


def test_a_tokenizer_that_cannot_pad(bare_folder: Path, copy: Copy) -> None:
    folder = copy(bare_folder)
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words), unk_token="<unk>", model_max_length=24
    ).save_pretrained(folder)
    message = refused(folder)
    assert "its tokenizer has no padding token" in message
    assert "tokenizer.pad_token = tokenizer.eos_token" in message


@pytest.mark.parametrize(
    ("name", "kind"), [("vocab.json", "BertTokenizer"), ("spiece.model", "XLMRobertaTokenizer")]
)
def test_a_vocabulary_that_the_tokenizer_does_not_look_for(
    bare_folder: Path, copy: Copy, name: str, kind: str
) -> None:
    folder = copy(bare_folder)
    for each in ("tokenizer.json", "vocab.txt"):
        (folder / each).unlink(missing_ok=True)
    (folder / name).write_bytes(b"{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    message = refused(folder)
    assert "found no vocabulary in it" in message
    assert kind in message


@pytest.mark.parametrize("kind", ["CanineTokenizer", "ByT5Tokenizer"])
def test_tokenizers_of_bytes_need_no_vocabulary(tmp_path: Path, kind: str) -> None:
    """CANINE takes no text of fewer than four characters alone: that is no reason to refuse it."""
    getattr(transformers, kind)().save_pretrained(tmp_path)
    if kind == "CanineTokenizer":
        config = transformers.CanineConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            num_hash_functions=4, num_hash_buckets=256,
        )  # fmt: skip
        transformers.CanineModel(config).save_pretrained(tmp_path)
    else:
        config = transformers.T5Config(
            vocab_size=384, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
        )
        transformers.T5EncoderModel(config).save_pretrained(tmp_path)
    adapter = load_adapter(str(tmp_path)).adapter
    assert adapter.encode_queries(["a text", "другой текст"], "").shape == (2, 16)
