"""Checkpoints whose weights are not those of the model made of them: refused, or a note."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import EnvironmentFault, ModelError
from mlbench.models.cache import EmbeddingCache
from mlbench.models.neural import weights as module
from mlbench.models.registry import load_adapter
from tests.models.neural.conftest import Copy, edit
from tests.support.versions import installed

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safe = pytest.importorskip("safetensors.torch")
library = pytest.importorskip("sentence_transformers")

UNREAD = "its weights hold tensors that no vector depends on: "
Change = Callable[[dict[str, Any]], dict[str, Any]]


def change(folder: Path, how: Change) -> Path:
    """Change the tensors of a folder's weights."""
    file = folder / "model.safetensors"
    safe.save_file(how(safe.load_file(file)), file, {"format": "pt"})
    return folder


def plus(*names: str) -> Change:
    """Add tensors of these names."""
    return lambda tensors: tensors | {name: torch.ones(2, 32) for name in names}


def renamed(old: str, new: str) -> Change:
    """Change a part of the tensors' names."""
    return lambda tensors: {name.replace(old, new): value for name, value in tensors.items()}


def with_head(folder: Path, bare: Path, kind: str, **options: Any) -> Path:
    """Save a model of another class of transformers, with the tokenizer of ``bare``."""
    config = transformers.AutoConfig.from_pretrained(bare, **options)
    getattr(transformers, kind)(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((bare / name).read_bytes())
    return folder


def notes(folder: Path, **options: Any) -> str:
    return " ".join(load_adapter(str(folder), options).adapter.describe()["notes"])


def refused(folder: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load_adapter(str(folder), options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("BertForSequenceClassification", "cross-encoder (reranker) or a classifier"),
        ("BertForTokenClassification", "labels texts or tokens"),
        ("BertForQuestionAnswering", "finds answers"),
    ],
)
def test_other_kinds_of_models_are_refused(
    bare_folder: Path, tmp_path: Path, kind: str, words: str
) -> None:
    folder = with_head(tmp_path / "model", bare_folder, kind)
    message = refused(folder)
    assert words in message
    assert "expected: a dense encoder" in message
    edit(folder / "config.json", architectures=["BertModel"])
    assert "expected: a dense encoder" in refused(folder)


def test_shards_and_pickles_are_looked_at_too(bare_folder: Path, tmp_path: Path) -> None:
    folder = with_head(tmp_path / "model", bare_folder, "BertForSequenceClassification")
    tensors = safe.load_file(folder / "model.safetensors")
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert "cross-encoder" in refused(folder, allow_pickle=True)
    places = {}
    for number, part in enumerate((names[:9], names[9:]), 1):
        shard = f"model-0000{number}-of-00002.safetensors"
        safe.save_file({name: tensors[name] for name in part}, folder / shard, {"format": "pt"})
        places |= dict.fromkeys(part, shard)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "classifier.bias, classifier.weight" in refused(folder)


@pytest.mark.parametrize("sign", ["metadata", "tensor"])
def test_a_colbert_checkpoint_is_refused(bare_folder: Path, copy: Copy, sign: str) -> None:
    name = "linear.weight" if sign == "tensor" else "projection.weight"
    folder = change(copy(bare_folder), plus(name))
    assert name in notes(folder) if sign != "tensor" else True
    if sign == "metadata":
        (folder / "artifact.metadata").write_text("{}")
    assert "a late-interaction model (ColBERT)" in refused(folder)


@pytest.mark.parametrize(
    "how",
    [
        plus("encoder.layer.0.attention.self.query.lora_A.weight"),
        plus("base_model.model.encoder.layer.0.output.dense.lora_B.default.weight"),
        renamed("self.query.", "self.query.base_layer."),
        renamed("encoder.", "base_model.model.encoder."),
    ],
)
def test_an_adapter_that_was_not_merged(full_folder: Path, copy: Copy, how: Change) -> None:
    message = refused(change(copy(full_folder), how))
    assert "a PEFT adapter that was not merged" in message
    assert "merge_and_unload" in message


def test_layers_that_nothing_reads(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    edit(folder / "config.json", num_hidden_layers=1)
    message = refused(folder)
    assert "layers that nothing reads: encoder.layer.1.attention" in message
    assert "and 8 more" in message


@pytest.mark.parametrize(("to", "refuses"), [("bert.encoder", True), ("other.encoder", False)])
def test_layers_under_a_prefix_of_the_model_s_own(
    full_folder: Path, copy: Copy, to: str, refuses: bool
) -> None:
    def more(tensors: dict[str, Any]) -> dict[str, Any]:
        layer = {
            name.replace("encoder.layer.1", f"{to}.layer.2"): value.clone()
            for name, value in tensors.items()
            if name.startswith("encoder.layer.1.")
        }
        prefix = "bert." if refuses else ""
        return {prefix + name: value for name, value in tensors.items()} | layer

    folder = change(copy(full_folder), more)
    if refuses:
        assert "layers that nothing reads: " in refused(folder)
    else:
        assert f"{UNREAD}{to}.layer.2." in notes(folder)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (renamed("encoder.layer.1.output", "elsewhere"), "lack encoder.layer.1.output.LayerNorm"),
        (renamed("e", "e"), ""),
    ],
)
def test_weights_that_are_missing(full_folder: Path, copy: Copy, how: Change, message: str) -> None:
    folder = change(copy(full_folder), how)
    if message:
        assert message in refused(folder)
    else:
        assert notes(folder) == ""


@pytest.mark.parametrize("prefix", ["0.auto_model.", "model.", "module."])
def test_names_under_a_prefix(full_folder: Path, copy: Copy, prefix: str) -> None:
    def prefixed(tensors: dict[str, Any]) -> dict[str, Any]:
        return {prefix + name: value for name, value in tensors.items()}

    assert f"take {prefix!r} off the names" in refused(change(copy(full_folder), prefixed))


def test_a_prefix_that_the_library_knows(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    change(folder, lambda tensors: {"bert." + name: value for name, value in tensors.items()})
    assert notes(folder) == ""


def test_weights_of_another_shape(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    edit(folder / "config.json", intermediate_size=48)
    message = refused(folder)
    assert "another shape: encoder.layer.{0, 1}.intermediate.dense.bias" in message
    assert "the model's code" not in message


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining"])
def test_a_head_that_no_vector_reads_is_a_note(
    bare_folder: Path, tmp_path: Path, kind: str
) -> None:
    folder = with_head(tmp_path / "model", bare_folder, kind)
    assert f"{UNREAD}cls.predictions.bias, " in notes(folder)


def test_a_decoder_that_is_left_out_is_a_note(bare_folder: Path, tmp_path: Path) -> None:
    config = transformers.T5Config(
        vocab_size=200, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((bare_folder / name).read_bytes())
    assert f"{UNREAD}decoder.*" in notes(tmp_path)


def test_where_modules_say_that_it_is_an_encoder_a_head_is_a_note(
    full_folder: Path, copy: Copy
) -> None:
    folder = change(copy(full_folder), plus("classifier.weight", "temperature"))
    edit(folder / "config.json", architectures=["BertForSequenceClassification"])
    assert notes(folder) == f"{UNREAD}classifier.weight, temperature"


def test_a_note_is_told_with_a_warm_cache_too(
    full_folder: Path, copy: Copy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = change(copy(full_folder), plus("temperature"))
    cache = EmbeddingCache(tmp_path / "embeddings", warn=pytest.fail)
    for _ in range(2):
        model = load_adapter(str(folder), {}, cache)
        assert model.adapter.describe()["notes"] == [f"{UNREAD}temperature"]
        model.adapter.encode_queries(["a"], "")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_buffers_and_an_unused_pooler_are_no_faults(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)

    def old(tensors: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in tensors.items() if "pooler" not in name}
        return kept | {"embeddings.position_ids": torch.arange(64)[None]}

    assert notes(change(folder, old)) == ""
    config = {
        "modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}},
        "module_output_name": "sentence_embedding",
    }
    edit(folder / "sentence_bert_config.json", **config)
    (folder / "modules.json").write_text(
        json.dumps(json.loads((folder / "modules.json").read_text())[:1])
    )
    assert "its weights lack pooler.dense.bias, pooler.dense.weight" in refused(folder)


@pytest.fixture
def dense(full_folder: Path, tmp_path: Path) -> Path:
    """A folder whose last module, 2_Dense, has weights of its own."""
    modules = pytest.importorskip("sentence_transformers.models")
    parts = [modules.Transformer(str(full_folder)), modules.Pooling(32), modules.Dense(32, 8)]
    model = library.SentenceTransformer(modules=parts, device="cpu")
    model.save(str(tmp_path / "dense"), create_model_card=False)
    return tmp_path / "dense"


@pytest.mark.parametrize(
    ("how", "found"),
    [
        (plus("extra"), 'Unexpected key(s) in state_dict: "extra"'),
        (renamed("bias", "offset"), 'Missing key(s) in state_dict: "linear.bias"'),
        (None, "size mismatch for linear.weight"),
    ],
)
def test_weights_of_a_module(dense: Path, how: Change | None, found: str) -> None:
    if how:
        change(dense / "2_Dense", how)
    else:
        edit(dense / "2_Dense" / "config.json", out_features=4)
    message = refused(dense)
    assert "the weights of its module Dense do not fit" in message
    assert found in message
    assert "the model's code" not in message


def test_modules_that_do_not_fit_together(dense: Path, copy: Copy) -> None:
    folder = copy(dense)
    edit(folder / "2_Dense" / "config.json", in_features=16)
    change(folder / "2_Dense", lambda tensors: tensors | {"linear.weight": torch.ones(8, 16)})
    message = refused(folder)
    assert f"model {folder}: the library cannot encode a text with it: RuntimeError: " in message
    modules = json.loads((dense / "modules.json").read_text())
    (dense / "modules.json").write_text(json.dumps([modules[0], modules[2], modules[1]]))
    message += refused(dense)
    assert message.count("the library cannot encode a text with it") == 2
    assert "the model's code" not in message


def test_a_model_that_the_library_gives_no_texts_to(bare_folder: Path, tmp_path: Path) -> None:
    said = transformers.AutoConfig.from_pretrained(bare_folder).to_dict()
    config = transformers.DPRConfig.from_dict(said | {"model_type": "dpr"})
    folder = tmp_path / "dpr"
    transformers.DPRContextEncoder(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((bare_folder / name).read_bytes())
    message = refused(folder)
    assert "a model of type 'dpr', which sentence-transformers gives no texts to" in message
    assert "lack" not in message


@pytest.fixture
def static(bare_folder: Path, tmp_path: Path) -> Path:
    """A folder of one StaticEmbedding."""
    tokenizers = pytest.importorskip("tokenizers")
    modules = pytest.importorskip("sentence_transformers.models")
    tokenizer = tokenizers.Tokenizer.from_file(str(bare_folder / "tokenizer.json"))
    table = modules.StaticEmbedding(tokenizer, embedding_dim=8)
    model = library.SentenceTransformer(modules=[table], device="cpu")
    model.save(str(tmp_path / "static"), create_model_card=False)
    return next((tmp_path / "static").rglob("model.safetensors")).parent


def test_tables_of_static_embeddings(static: Path, tmp_path: Path) -> None:
    folder = tmp_path / "static"
    assert notes(folder) == ""
    change(static, plus("extra"))
    assert notes(folder) == f"{UNREAD}extra"
    change(static, lambda tensors: {"embeddings": tensors["embedding.weight"]})
    assert notes(folder) == ""
    change(static, lambda tensors: {"embeddings": tensors["embeddings"][:40].clone()})
    assert "that its 40 embeddings do not have" in refused(folder)
    change(static, renamed("embeddings", "vectors"))
    assert "no table of embeddings" in refused(folder)


@pytest.mark.parametrize(
    ("kind", "found"),
    [("frobnicate", "a model of type 'frobnicate', which transformers "), (None, "no model_type")],
)
def test_a_kind_that_the_library_does_not_know(
    bare_folder: Path, copy: Copy, kind: str | None, found: str
) -> None:
    folder = copy(bare_folder)
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config | ({"model_type": kind} if kind else {})))
    message = refused(folder)
    assert found in message
    assert "pip install --upgrade" not in message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("spiece.model", "T5Tokenizer"),
        ("spm.model", "DebertaV2Tokenizer"),
        ("sentencepiece.bpe.model", "XLMRobertaTokenizer"),
        ("tokenizer.model", "LlamaTokenizer"),
    ],
)
def test_a_library_that_reads_the_tokenizer_is_missing(
    bare_folder: Path, copy: Copy, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy(bare_folder)
    for each in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / each).unlink(missing_ok=True)
    (folder / name).write_bytes(b"\x0a\x0e")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    find = module.importlib.util.find_spec
    monkeypatch.setattr(
        module.importlib.util,
        "find_spec",
        lambda asked, *rest: None if asked == "sentencepiece" else find(asked, *rest),
    )
    with pytest.raises(EnvironmentFault, match="pip install sentencepiece") as caught:
        load_adapter(str(folder))
    assert f"reads {name}, is not installed" in str(caught.value)


def test_what_else_the_library_cannot_load(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    edit(folder / "1_Pooling" / "config.json", pooling_mode="no such mode")
    message = refused(folder)
    assert f"model {folder}: the library cannot load it: " in message
    assert "correct the model's code" not in message


def test_other_warnings_of_the_library_are_told_as_our_own(
    full_folder: Path, copy: Copy, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = copy(full_folder)
    versions = {"sentence_transformers": "99.0", "transformers": "99.0", "pytorch": "9"}
    edit(folder / "config_sentence_transformers.json", __version__=versions)
    load_adapter(str(folder))
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"mlbench: warning: model {folder}, said by its library: ")
    assert "99.0" in line


def test_half_precision_on_a_cpu_is_told_with_our_own_option(
    full_folder: Path, copy: Copy, capfd: pytest.CaptureFixture[str]
) -> None:
    if not installed("sentence-transformers", "6.2"):
        pytest.skip("sentence-transformers says it from 6.2 on")
    folder = copy(full_folder)
    change(folder, lambda tensors: {name: each.half() for name, each in tensors.items()})
    edit(folder / "config.json", dtype="float16")
    load_adapter(str(folder), {"device": "cpu"})
    _, err = capfd.readouterr()
    assert "its weights are float16" in err
    assert "--dtype float32" in err
    assert "model_kwargs" not in err
    load_adapter(str(folder), {"device": "cpu", "dtype": "float32"})
    assert capfd.readouterr().err == ""


def test_a_library_that_a_model_needs_is_named(tmp_path: Path) -> None:
    said = "Qwen2VLVideoProcessor requires the Torchvision library but it was not found in your"
    expected = pytest.raises(EnvironmentFault, match="needs the library Torchvision")
    with expected as caught, module.watched(tmp_path, tmp_path, trusted=False):
        raise ImportError(said)
    assert "pip install torchvision" in str(caught.value)
