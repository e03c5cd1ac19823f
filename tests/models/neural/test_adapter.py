from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.models import pace
from mlbench.models.contract import check_adapter
from mlbench.models.encoding import Encoding
from mlbench.models.protocol import Canonical, Described, Truncating, Truncation
from mlbench.models.registry import LoadedModel, load_adapter
from tests.models.neural.conftest import LETTERS, MAX_LENGTH, POSITIONS, Copy, edit

torch = pytest.importorskip("torch")
library = pytest.importorskip("sentence_transformers")

GAP = 1e-6


def _texts(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    alphabet = LETTERS + "     "
    return [
        "".join(draw.choices(alphabet, k=draw.randrange(1, 60))).strip() or "a"
        for _ in range(count)
    ]


def _library(folder: Path, **arguments: Any) -> Any:
    return library.SentenceTransformer(str(folder), device="cpu", **arguments)


@pytest.mark.parametrize("kind", ["bare_folder", "full_folder"])
def test_vectors_are_the_librarys(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    ours, theirs = load_adapter(str(folder)).adapter, _library(folder)
    texts = [*_texts(300), "", " ", "a", "a"]
    queries, passages = ours.encode_queries(texts, ""), ours.encode_passages(texts, "xx")
    assert queries.dtype == passages.dtype == np.float32
    np.testing.assert_allclose(queries, theirs.encode_query(texts), atol=GAP, rtol=0)
    np.testing.assert_allclose(passages, theirs.encode_document(texts), atol=GAP, rtol=0)
    assert np.array_equal(queries[-1], queries[-2])


def test_prompts_arrive_in_the_right_role(full_folder: Path) -> None:
    ours = load_adapter(str(full_folder)).adapter
    plain = _library(full_folder)
    texts = _texts(5)
    for role, prompt in (("query", "q: "), ("passage", "passage: ")):
        encode = ours.encode_queries if role == "query" else ours.encode_passages
        expected = plain.encode([prompt + text for text in texts], prompt="")
        np.testing.assert_allclose(encode(texts, ""), expected, atol=GAP, rtol=0)
    assert ours.prompts == ours.describe()["prompts"] == {"query": "q: ", "passage": "passage: "}


def test_prompts_can_be_chosen(full_folder: Path) -> None:
    given = {"query_prompt": "Query: ", "passage_prompt_name": "other"}
    ours = load_adapter(str(full_folder), given).adapter
    assert ours.prompts == {"query": "Query: ", "passage": "other: "}
    none = load_adapter(str(full_folder), {"query_prompt": "", "passage_prompt": ""}).adapter
    assert none.prompts == {"query": "", "passage": ""}
    with pytest.raises(UsageError, match="did you mean 'other'"):
        load_adapter(str(full_folder), {"query_prompt_name": "othr"})


def test_a_prompt_that_the_library_leaves_out_is_said(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    settings = folder / "config_sentence_transformers.json"
    edit(settings, prompts={"query": "q: ", "document": "", "passage": "p: "})
    ours = load_adapter(str(folder)).adapter
    assert ours.prompts["passage"] == ""
    assert "--passage-prompt-name passage" in ours.describe()["notes"][0]
    texts = _texts(4)
    expected = _library(folder).encode_document(texts)
    np.testing.assert_allclose(ours.encode_passages(texts, ""), expected, atol=GAP, rtol=0)


@pytest.mark.parametrize("pooling", ["cls", "max", "lasttoken", "weightedmean"])
def test_pooling_can_be_chosen(bare_folder: Path, pooling: str) -> None:
    from sentence_transformers import models

    ours = load_adapter(str(bare_folder), {"pooling": pooling}).adapter
    modules = [models.Transformer(str(bare_folder)), models.Pooling(32, pooling_mode=pooling)]
    theirs = library.SentenceTransformer(modules=modules, device="cpu")
    texts = _texts(50)
    expected = theirs.encode(texts)
    np.testing.assert_allclose(ours.encode_queries(texts, ""), expected, atol=GAP, rtol=0)
    assert ours.describe()["pooling"] == pooling


def test_a_bare_checkpoint_is_pooled_by_mean_and_says_so(bare_folder: Path) -> None:
    facts = load_adapter(str(bare_folder)).adapter.describe()
    assert facts["layout"] == "transformers"
    assert facts["pooling"] == "mean (assumed)"
    assert "mean pooling is taken" in facts["notes"][0]


def test_canonical_is_what_the_model_reads(full_folder: Path) -> None:
    ours = load_adapter(str(full_folder)).adapter
    tokenizer = _library(full_folder).tokenizer
    texts = ["Wort, wort", "wort ,wort", "b", "x" * 50]
    forms = ours.canonical("query", texts)
    assert forms[0] == forms[1]
    for text, form in zip(texts, forms, strict=True):
        ids = tokenizer("q: " + text, truncation=True)["input_ids"]
        assert np.frombuffer(form, np.int32).tolist() == ids
    assert len(forms[3]) == 4 * MAX_LENGTH
    vectors = ours.encode_queries(texts, "")
    assert np.array_equal(vectors[0], vectors[1])


def test_nothing_is_tokenised_twice(full_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = load_adapter(str(full_folder)).adapter
    seen: list[str] = []
    model = ours._forward.model
    preprocess = model.preprocess

    def watched(texts: list[str], **arguments: Any) -> Any:
        seen.extend(texts)
        return preprocess(texts, **arguments)

    monkeypatch.setattr(model, "preprocess", watched)
    texts = _texts(20)
    ours.canonical("passage", texts)
    assert seen == texts
    ours.encode_passages(texts[5:15], "")
    ours.truncation("passage", [text for text in texts if len(text) < 10])
    assert len(seen) == len(texts)
    ours.encode_passages(["new"], "")
    assert seen[-1] == "new"


def test_truncation_is_counted(full_folder: Path) -> None:
    ours = load_adapter(str(full_folder)).adapter
    # [CLS] p a s s a g e : [SEP] are ten tokens of the role's own
    texts = ["b" * n for n in (1, MAX_LENGTH - 10, MAX_LENGTH - 9, MAX_LENGTH + 60)]
    expected = Truncation(texts=2, lost=1 + 70, tokens=4 * 10 + sum(map(len, texts)))
    assert ours.truncation("passage", texts) == expected
    ours.canonical("passage", texts)
    assert ours.truncation("passage", texts) == expected
    assert ours.truncation("passage", texts[:2]) == Truncation(0, 0, 20 + MAX_LENGTH - 9)
    assert ours.truncation("passage", []) == Truncation(0, 0, 0)
    after = ours.canonical("passage", ["c" * 99])[0]
    assert len(after) == 4 * MAX_LENGTH


def test_the_maximum_length_can_be_chosen(full_folder: Path) -> None:
    ours = load_adapter(str(full_folder), {"max_length": "12"}).adapter
    theirs = _library(full_folder)
    theirs.max_seq_length = 12
    texts = _texts(40)
    expected = theirs.encode_query(texts)
    np.testing.assert_allclose(ours.encode_queries(texts, ""), expected, atol=GAP, rtol=0)
    assert ours.describe()["max_length"] == 12
    with pytest.raises(UsageError, match=f"the model has {POSITIONS} positions"):
        load_adapter(str(full_folder), {"max_length": POSITIONS + 1})


def test_a_length_beyond_the_positions_is_brought_back(bare_folder: Path, copy: Copy) -> None:
    folder = copy(bare_folder)
    edit(folder / "tokenizer_config.json", model_max_length=512)
    edit(folder / "sentence_bert_config.json", max_seq_length=512)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    ]
    pooling = {
        "idx": 1,
        "name": "1",
        "path": "1_Pooling",
        "type": "sentence_transformers.models.Pooling",
    }
    (folder / "modules.json").write_text(json.dumps([*modules, pooling]))
    (folder / "1_Pooling").mkdir()
    edit(folder / "1_Pooling" / "config.json", word_embedding_dimension=32)
    ours = load_adapter(str(folder)).adapter
    assert ours.describe()["max_length"] == POSITIONS
    assert any("512 tokens" in note for note in ours.describe()["notes"])
    assert ours.encode_queries(["b" * 300], "").shape == (1, 32)


def test_dimensions_can_be_cut(full_folder: Path) -> None:
    ours = load_adapter(str(full_folder), {"truncate_dim": 8}).adapter
    texts = _texts(9)
    expected = _library(full_folder, truncate_dim=8).encode_query(texts)
    np.testing.assert_allclose(ours.encode_queries(texts, ""), expected, atol=GAP, rtol=0)
    assert ours.encode_queries([], "").shape == (0, 8)
    with pytest.raises(UsageError, match="the model has 32 dimensions"):
        load_adapter(str(full_folder), {"truncate_dim": 33})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_other_types_give_the_librarys_vectors(full_folder: Path, dtype: str) -> None:
    ours = load_adapter(str(full_folder), {"dtype": dtype}).adapter
    theirs = _library(full_folder, model_kwargs={"dtype": dtype})
    texts = _texts(6)
    vectors = ours.encode_queries(texts, "")
    expected = theirs.encode_query(texts, convert_to_tensor=True).float().numpy()
    assert vectors.dtype == np.float32
    assert ours.describe()["dtype"] == dtype
    np.testing.assert_allclose(vectors, expected, atol=2e-2, rtol=0)


def test_similarity(full_folder: Path, copy: Copy) -> None:
    assert load_adapter(str(full_folder)).similarity == "cosine"
    folder = copy(full_folder)
    for own, found in (("dot_product", "dot"), ("dot", "dot"), (None, "cosine")):
        edit(folder / "config_sentence_transformers.json", similarity_fn_name=own)
        assert load_adapter(str(folder)).similarity == found
    edit(folder / "config_sentence_transformers.json", similarity_fn_name="euclidean")
    with pytest.raises(ModelError, match="its similarity is 'euclidean'"):
        load_adapter(str(folder))
    assert load_adapter(str(folder), {"similarity": "dot"}).similarity == "dot"


def _identity(folder: Path, **options: Any) -> str:
    return load_adapter(str(folder), options).identity


def test_identity_is_of_the_bytes_not_the_path(full_folder: Path, copy: Copy) -> None:
    same = copy(full_folder, "another")
    (same / "README.md").write_text("says nothing of the vectors")
    (same / "trainer_state.json").write_text('{"global_step": 7}')
    (same / "optimizer.pt").write_bytes(b"\x80\x04.")
    first, second = load_adapter(str(full_folder)), load_adapter(str(same), {"name": "mine"})
    assert first.identity == second.identity
    assert (first.name, second.name) == ("tiny-encoder", "mine")


def test_a_change_of_any_file_is_a_new_identity(full_folder: Path, copy: Copy) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(full_folder)
    seen = {_identity(folder)}
    edit(folder / "tokenizer_config.json", do_lower_case=False)
    seen.add(_identity(folder))
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"lowercase": true', '"lowercase": false'))
    seen.add(_identity(folder))
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][9, 3] += 1e-3
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    seen.add(_identity(folder))
    edit(folder / "config.json", layer_norm_eps=1e-9)
    seen.add(_identity(folder))
    edit(folder / "1_Pooling" / "config.json", pooling_mode="cls")
    seen.add(_identity(folder))
    assert len(seen) == 6


def test_every_option_that_changes_a_vector_is_a_new_identity(full_folder: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"query_prompt": "Q: "},
        {"passage_prompt": "Q: "},
        {"pooling": "cls"},
        {"max_length": 20},
        {"truncate_dim": 16},
        {"dtype": "bfloat16"},
        {"similarity": "dot"},
    ]
    own = _identity(full_folder)
    found = [_identity(full_folder, **change) for change in changes]
    assert len({own, *found}) == 1 + len(changes)
    for same in ({"batch_tokens": 64}, {"name": "x"}, {"device": "cpu"}, {"query_prompt": "q: "}):
        assert _identity(full_folder, **same) == own


def test_the_batch_budget_changes_nothing_but_rounding(full_folder: Path) -> None:
    texts = _texts(60)
    small = load_adapter(str(full_folder), {"batch_tokens": 8}).adapter
    large = load_adapter(str(full_folder), {"batch_tokens": 100_000}).adapter
    expected = large.encode_passages(texts, "")
    np.testing.assert_allclose(small.encode_passages(texts, ""), expected, atol=GAP, rtol=0)


def test_the_pace_changes_no_bit(full_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole batches of the model's own go to it, whatever is given at once."""
    texts = sorted(set(_texts(60)))
    records = Records()
    records.passages = [TextRecord(f"p{i}", "en", text, "") for i, text in enumerate(texts)]
    records.queries = [TextRecord("q", "en", "what", "")]
    records.judgements = [Judgement("q", "en", "p0", "en", 1, "")]
    collection = build_collection(("en",), records)
    found = []
    for first in (1, 2000, 2**30):
        monkeypatch.setattr(pace, "FIRST_BYTES", first)
        model = load_adapter(str(full_folder), {"batch_tokens": 64})
        found.append(Encoding(model, collection).encode().passages.tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("quantised", [False, True])
def test_a_folder_of_model2vec(bare_folder: Path, tmp_path: Path, quantised: bool) -> None:
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bare_folder / "tokenizer.json"))
    size, draw = tokenizer.get_vocab_size(), np.random.default_rng(0)
    rows = 20 if quantised else size
    more = {
        "token_mapping": draw.integers(0, rows, size),
        "weights": draw.random(size).astype(np.float32),
    }
    table = draw.standard_normal((rows, 8)).astype(np.float32)
    config = {"model_type": "model2vec", "architectures": ["StaticModel"]}
    theirs = model2vec.StaticModel(
        table, tokenizer, config=config, normalize=True, **(more if quantised else {})
    )
    theirs.save_pretrained(tmp_path / "static")
    saved = load_adapter(str(tmp_path / "static"))
    for name in ("modules.json", "README.md"):
        (tmp_path / "static" / name).unlink()
    ours = load_adapter(str(tmp_path / "static"))
    texts = [text for text in _texts(50) if "x" in text]
    found = ours.adapter.encode_queries(texts, "")
    np.testing.assert_allclose(found, theirs.encode(texts), atol=GAP, rtol=0)
    assert np.array_equal(found, saved.adapter.encode_passages(texts, ""))
    assert all(result.passed for result in check_adapter(ours))
    facts = ours.adapter.describe()
    assert facts["parameters"] == size * 8
    assert "a model2vec folder" in facts["notes"][-1]


def test_a_static_embedding(bare_folder: Path, tmp_path: Path) -> None:
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bare_folder / "tokenizer.json"))
    model = library.SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu"
    )
    model.save(str(tmp_path / "static"), create_model_card=False)
    ours = load_adapter(str(tmp_path / "static")).adapter
    texts = _texts(200)
    expected = _library(tmp_path / "static").encode_query(texts)
    np.testing.assert_allclose(ours.encode_queries(texts, ""), expected, atol=GAP, rtol=0)
    tokens = sum(len(form) for form in ours.canonical("query", texts)) // 4
    assert ours.truncation("query", texts) == Truncation(0, 0, tokens)
    assert ours.describe()["max_length"] is None
    with pytest.raises(UsageError, match="does not cut texts"):
        load_adapter(str(tmp_path / "static"), {"max_length": 5})


def test_a_router_with_two_towers(bare_folder: Path, tmp_path: Path) -> None:
    from sentence_transformers import models

    towers = []
    for mode in ("mean", "cls"):
        transformer = models.Transformer(str(bare_folder))
        towers.append([transformer, models.Pooling(32, pooling_mode=mode)])
    router = models.Router.for_query_document(towers[0], towers[1])
    library.SentenceTransformer(modules=[router], device="cpu").save(
        str(tmp_path / "towers"), create_model_card=False
    )
    ours, theirs = load_adapter(str(tmp_path / "towers")).adapter, _library(tmp_path / "towers")
    texts = _texts(30)
    queries, passages = ours.encode_queries(texts, ""), ours.encode_passages(texts, "")
    np.testing.assert_allclose(queries, theirs.encode_query(texts), atol=GAP, rtol=0)
    np.testing.assert_allclose(passages, theirs.encode_document(texts), atol=GAP, rtol=0)
    assert np.abs(queries - passages).max() > 0.1


def test_a_dense_layer_on_top(bare_folder: Path, tmp_path: Path) -> None:
    from sentence_transformers import models

    modules = [models.Transformer(str(bare_folder)), models.Pooling(32), models.Dense(32, 8)]
    library.SentenceTransformer(modules=modules, device="cpu").save(
        str(tmp_path / "dense"), create_model_card=False
    )
    ours = load_adapter(str(tmp_path / "dense")).adapter
    expected = _library(tmp_path / "dense").encode_query(["abc", "d"])
    np.testing.assert_allclose(ours.encode_queries(["abc", "d"], ""), expected, atol=GAP, rtol=0)


def _other_bare(bare_folder: Path, folder: Path, model: Any, **tokenizer: Any) -> Path:
    """Save another network with the tokenizer of the tiny BERT."""
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bare_folder / name, folder / name)
    edit(folder / "tokenizer_config.json", **tokenizer)
    return folder


def test_positions_that_begin_after_the_padding(bare_folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.XLMRobertaConfig(
        vocab_size=300, intermediate_size=64, max_position_embeddings=34, pad_token_id=0, **size
    )
    model = transformers.XLMRobertaModel(config)
    folder = _other_bare(bare_folder, tmp_path / "roberta", model, model_max_length=512)
    ours, theirs = load_adapter(str(folder)).adapter, _library(folder)
    assert ours.describe()["max_length"] == 33
    texts = [*_texts(30), "b " * 90]
    theirs.max_seq_length = 33
    expected = theirs.encode_query(texts)
    np.testing.assert_allclose(ours.encode_queries(texts, ""), expected, atol=GAP, rtol=0)


def test_a_causal_model_is_pooled_by_its_last_token(bare_folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.Qwen2Config(
        vocab_size=300, intermediate_size=64, num_key_value_heads=2, **size
    )
    model = transformers.Qwen2ForCausalLM(config)
    folder = _other_bare(bare_folder, tmp_path / "causal", model, padding_side="left")
    ours, theirs = load_adapter(str(folder)).adapter, _library(folder)
    assert ours.describe()["pooling"] == "lasttoken (assumed)"
    texts = _texts(60)
    expected = theirs.encode_query(texts)
    np.testing.assert_allclose(ours.encode_queries(texts, ""), expected, atol=GAP, rtol=0)


def test_the_layout_of_old_folders(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    (folder / "0_Transformer").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        if path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(folder / "0_Transformer" / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    texts = _texts(10)
    expected = load_adapter(str(full_folder)).adapter.encode_queries(texts, "")
    assert np.array_equal(load_adapter(str(folder)).adapter.encode_queries(texts, ""), expected)


@pytest.mark.parametrize("kind", ["bare_folder", "full_folder"])
def test_the_contract_holds(kind: str, request: pytest.FixtureRequest) -> None:
    model = load_adapter(str(request.getfixturevalue(kind)))
    assert [result for result in check_adapter(model) if not result.passed] == []
    assert isinstance(model.adapter, Canonical)
    assert isinstance(model.adapter, Described)
    assert isinstance(model.adapter, Truncating)
    assert model.adapter.language_free


def test_kind_and_name(full_folder: Path, copy: Copy) -> None:
    def kind_and_name(model: LoadedModel) -> tuple[str, str]:
        return model.kind, model.name

    assert kind_and_name(load_adapter(f"sentence-transformers:{full_folder}")) == (
        "sentence-transformers",
        "tiny-encoder",
    )
    checkpoint = copy(full_folder, "checkpoint-12")
    name = f"{checkpoint.resolve().parent.name}-checkpoint-12"
    assert kind_and_name(load_adapter(str(checkpoint))) == ("sentence-transformers", name)


def test_a_model_file(full_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(full_folder)
    file = tmp_path / "model.toml"
    file.write_text('path = "link"\nname = "from-file"\nquery_prompt = "Q: "\nmax_length = 20\n')
    model = load_adapter(str(file))
    assert (model.name, model.kind) == ("from-file", "sentence-transformers")
    assert model.adapter.prompts == {"query": "Q: ", "passage": "passage: "}
    assert model.adapter.describe()["max_length"] == 20
    other = load_adapter(str(file), {"query_prompt_name": "other"})
    assert other.adapter.prompts["query"] == "other: "


def test_weights_that_are_missing_are_refused(bare_folder: Path, copy: Copy) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(bare_folder)
    weights = load_file(folder / "model.safetensors")
    without_pooler = {key: value for key, value in weights.items() if "pooler" not in key}
    save_file(without_pooler, folder / "model.safetensors", {"format": "pt"})
    assert load_adapter(str(folder)).name == "copy"
    lacking = {key: value for key, value in without_pooler.items() if "layer.1" not in key}
    save_file(lacking, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"weights lack .*encoder\.layer\.1"):
        load_adapter(str(folder))


def test_half_a_surrogate_pair_is_text(full_folder: Path) -> None:
    ours = load_adapter(str(full_folder)).adapter
    assert np.isfinite(ours.encode_queries(["a \ud800 b"], "")).all()
