from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import ModelError
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.folder import inspect_folder
from mlbench.models.neural.options import NeuralOptions
from tests.models.neural.conftest import Copy, edit
from tests.models.neural.exported import onnx_bytes

ST = "sentence_transformers.models."
WEIGHTS = (2).to_bytes(8, "little") + b"{}"
HEADER = b'{"embeddings":{"dtype":"F32","shape":[0,1],"data_offsets":[0,0]}}'
TABLE = len(HEADER).to_bytes(8, "little") + HEADER
"""The weights of a StaticEmbedding, without a row."""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90868376\n"


def put(folder: Path, files: dict[str, Any]) -> Path:
    """Write files: bytes, text, or what goes into JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A transformers checkpoint as far as its files go."""
    files = {
        "config.json": {"model_type": "bert"},
        "tokenizer.json": {},
        "model.safetensors": WEIGHTS,
    }
    return put(tmp_path / "bare", files)


@pytest.fixture
def full(bare: Path) -> Path:
    """A sentence-transformers folder as far as its files go."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": ST + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": ST + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": ST + "Dense"},
        {"idx": 3, "name": "3", "path": "3_Normalize", "type": ST + "Normalize"},
    ]
    return put(
        bare,
        {
            "modules.json": modules,
            "config_sentence_transformers.json": {"similarity_fn_name": "dot"},
            "sentence_bert_config.json": {"max_seq_length": 128},
            "1_Pooling/config.json": {"word_embedding_dimension": 8},
            "2_Dense/config.json": {"activation_function": "torch.nn.modules.activation.Tanh"},
            "2_Dense/model.safetensors": WEIGHTS,
        },
    )


def look(folder: Path, **options: Any) -> Checkpoint:
    return inspect_folder(folder, NeuralOptions(**options))


def refused(folder: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        look(folder, **options)
    return str(caught.value)


def test_what_a_library_may_see(full: Path) -> None:
    others = {
        "README.md": "a model card",
        "optimizer.pt": b"\x80\x04N.",
        "training_args.bin": b"PK\x03\x04",
        "pytorch_model.bin": b"\x80\x04N.",
        "2_Dense/pytorch_model.bin": b"\x80\x04N.",
        "modeling.py": "raise SystemExit",
        "trainer_state.json": {},
        "eval/results.json": {},
        "model.fp16.safetensors": "not looked at",
        "onnx/model.onnx": b"",
    }
    checkpoint = look(put(full, others))
    assert checkpoint.layout == "sentence-transformers"
    assert checkpoint.settings == {"similarity_fn_name": "dot"}
    assert checkpoint.files == (
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
    )
    with checkpoint.view() as view:
        seen = {str(path.relative_to(view)) for path in view.rglob("*") if not path.is_dir()}
        assert seen == set(checkpoint.files)
        assert (view / "config.json").read_text() == (full / "config.json").read_text()
    assert not view.exists()


def test_a_bare_checkpoint(bare: Path) -> None:
    checkpoint = look(bare)
    assert checkpoint.layout == "transformers"
    assert checkpoint.files == ("config.json", "model.safetensors", "tokenizer.json")


def test_the_digest_is_of_names_and_contents(bare: Path, copy: Copy) -> None:
    first = look(bare).sha256
    other = copy(bare, "elsewhere")
    assert look(other).sha256 == first
    (other / "README.md").write_text("x")
    assert look(other).sha256 == first
    (other / "vocab.txt").write_text("a\n")
    assert look(other).sha256 != first
    (bare / "vocab.txt").write_text("b\n")
    assert len({first, look(other).sha256, look(bare).sha256}) == 3
    (bare / "vocab.txt").rename(bare / "merges.txt")
    assert look(bare).sha256 not in (first, look(other).sha256)


def test_shards_are_those_of_the_index(bare: Path) -> None:
    (bare / "model.safetensors").unlink()
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": {"a": names[0], "b": names[1], "c": names[0]}}
    put(bare, {"model.safetensors.index.json": index, names[0]: WEIGHTS, names[1]: WEIGHTS})
    assert set(look(bare).files) >= {*names, "model.safetensors.index.json"}
    for shard in ("../other.safetensors", "/etc/passwd", "model-3.safetensors", "x.bin"):
        put(bare, {"x.bin": b"", "model.safetensors.index.json": {"weight_map": {"a": shard}}})
        assert f"names the shard '{shard}'" in refused(bare)


def test_pickled_weights(full: Path) -> None:
    (full / "model.safetensors").rename(full / "pytorch_model.bin")
    message = refused(full)
    assert "pytorch_model.bin: pickled weights, which can run code" in message
    assert "--allow-pickle" in message
    assert "pytorch_model.bin" in look(full, allow_pickle=True).files
    (full / "pytorch_model.bin").rename(full / "weights.pt")
    assert "weights.pt: pickled weights" in refused(full)
    assert "no weights in it" in refused(full, allow_pickle=True)
    for name in ("colbert_linear.pt", "pytorch_model.bin"):
        put(full, {name: b""})
    assert "pytorch_model.bin: pickled weights" in refused(full)


@pytest.mark.parametrize("allow_pickle", [False, True])
@pytest.mark.parametrize("content", [b"\x80\x04N.", b"PK\x03\x04" + bytes(50), b"junk", b""])
def test_what_is_called_safetensors_must_be(full: Path, content: bytes, allow_pickle: bool) -> None:
    for name in ("model.safetensors", "2_Dense/model.safetensors"):
        sound = (full / name).read_bytes()
        (full / name).write_bytes(content)
        assert f"{full / name}: " in refused(full, allow_pickle=allow_pickle)
        (full / name).write_bytes(sound)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_lfs_pointers_are_named(full: Path, name: str) -> None:
    (full / name).write_text(POINTER)
    message = refused(full)
    assert f"{name}: a Git LFS pointer: it was not downloaded" in message
    assert "git lfs pull" in message
    assert "JSON" not in message


@pytest.mark.parametrize(
    "kind",
    [
        "evil.Evil",
        "modeling.Transformer",
        "sentence_transformers.evil.Evil",
        "sentence_transformers_evil.models.Transformer",
        "sentence_transformers.models.Transformer.evil",
        "sentence_transformers.models.CLIPModel.evil",
        "os.system",
        "",
        None,
        ["sentence_transformers.models.Transformer"],
    ],
)
def test_foreign_classes(full: Path, kind: Any) -> None:
    modules = json.loads((full / "modules.json").read_text())
    modules[1]["type"] = kind
    put(full, {"modules.json": modules})
    assert f"names the class {kind!r}" in refused(full)
    look(full, trust_remote_code=True)


@pytest.mark.parametrize(
    "path", ["..", "../x", "/etc", "a/../../b", "C:\\x", "\\\\host\\x", 3, None]
)
def test_module_paths_that_lead_out(full: Path, path: Any) -> None:
    modules = json.loads((full / "modules.json").read_text())
    modules[1]["path"] = path
    put(full, {"modules.json": modules})
    assert f"the path {path!r}" in refused(full)
    assert f"the path {path!r}" in refused(full, trust_remote_code=True)


def test_a_router_is_looked_into(full: Path) -> None:
    modules = [{"idx": 0, "name": "0", "path": "", "type": ST + "Router"}]
    routes = {"types": {"query_0_StaticEmbedding": ST + "StaticEmbedding"}, "structure": {}}
    tower = {"tokenizer.json": {}, "model.safetensors": TABLE}
    put(full, {"modules.json": modules, "router_config.json": routes})
    put(full / "query_0_StaticEmbedding", tower)
    assert "query_0_StaticEmbedding/model.safetensors" in look(full).files
    put(full, {"router_config.json": {"types": {"query_0_StaticEmbedding": "evil.Evil"}}})
    assert "names the class 'evil.Evil'" in refused(full)
    put(full, {"router_config.json": {"types": {"../x": ST + "Pooling"}}})
    assert "the path '../x'" in refused(full)


@pytest.mark.parametrize(
    ("name", "changes", "key"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil.Evil"}}, "auto_map"),
        ("config.json", {"text_config": {"auto_map": {"AutoConfig": "a/b--c.D"}}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}}, "auto_map"),
        ("tokenizer_config.json", {"trust_remote_code": True}, "trust_remote_code"),
        ("preprocessor_config.json", {"auto_map": {"AutoProcessor": "e.E"}}, "auto_map"),
        ("config.json", {"attn_implementation": "evil/kernel"}, "attn_implementation"),
        ("config.json", {"_attn_implementation": {"a": "evil/k"}}, "_attn_implementation"),
        ("config.json", {"_attn_implementation_autoset": "evil/k"}, "_attn_implementation"),
        ("config.json", {"_attn_implementation": "flash_attention_2"}, "_attn_implementation"),
        ("config.json", {"a": [{"experts_implementation": "e/k"}]}, "experts_implementation"),
        ("config.json", {"quantization_config": {"quant_method": "x"}}, "quantization_config"),
        ("config.json", {"kernel_config": {"a": "b"}}, "kernel_config"),
        ("sentence_bert_config.json", {"model_args": {"weights_only": False}}, "weights_only"),
        ("sentence_bert_config.json", {"model_kwargs": {"state_dict": {}}}, "state_dict"),
        ("sentence_bert_config.json", {"tokenizer_name_or_path": "x/y"}, "tokenizer_name"),
        ("2_Dense/config.json", {"activation_function": "evil.Evil"}, "activation_function"),
        ("2_Dense/config.json", {"activation_function": "torch.hub.load"}, "activation"),
    ],
)
def test_configurations_that_run_code(
    full: Path, name: str, changes: dict[str, Any], key: str
) -> None:
    edit(full / name, **changes)
    message = refused(full)
    assert key in message
    assert "--trust-remote-code" in message
    look(full, trust_remote_code=True)


BOOKKEEPING = {
    "_attn_implementation_autoset": True,
    "_attn_implementation_internal": None,
    "_commit_hash": None,
    "_experts_implementation": "grouped_mm",
    "_flash_attn_2_enabled": False,
    "_name_or_path": "org/base",
    "attn_implementation": {"": "eager", "text_config": "flex_attention"},
    "text_config": {"_attn_implementation_autoset": False},
    "torch_dtype": "float16",
    "transformers_version": "4.46.3",
    "use_flash_attention_2": True,
}
"""What versions of transformers leave in a configuration, and what names no code."""


def test_harmless_values_of_the_same_keys(full: Path) -> None:
    edit(full / "config.json", **BOOKKEEPING)
    assert "config.json" in look(full).files
    edit(full / "config.json", auto_map={}, attn_implementation="sdpa", trust_remote_code=False)
    edit(full / "sentence_bert_config.json", model_args={"torch_dtype": "float16"})
    assert "config.json" in look(full).files


def test_python_files_are_seen_only_if_trusted(full: Path) -> None:
    put(full, {"modeling.py": "x = 1"})
    assert "modeling.py" not in look(full).files
    assert "modeling.py" in look(full, trust_remote_code=True).files


@pytest.mark.parametrize("name", ["vocab.txt", "extra", "2_Dense/model.safetensors", "1_Pooling"])
@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "nowhere/../../outside"])
def test_links_that_lead_out(full: Path, name: str, target: str) -> None:
    put(full.parent, {"outside/config.json": {}})
    link = full / name
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../{target}" if "/" in name and target[0] != "/" else target)
    for options in ({}, {"trust_remote_code": True, "allow_pickle": True}):
        assert f"{link}: a link that points outside the folder" in refused(full, **options)


def test_links_within_the_folder_are_files(full: Path) -> None:
    (full / "model.safetensors").rename(full / "1_Pooling" / "weights")
    (full / "model.safetensors").symlink_to("1_Pooling/weights")
    checkpoint = look(full)
    with checkpoint.view() as view:
        assert (view / "model.safetensors").read_bytes() == WEIGHTS


def test_a_link_to_itself(full: Path) -> None:
    (full / "vocab.txt").symlink_to("vocab.txt")
    assert "vocab.txt: a link" in refused(full)


def test_a_folder_given_by_a_link(full: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(full)
    assert look(tmp_path / "latest").sha256 == look(full).sha256


def test_the_hubs_cache_links_to_its_blobs(full: Path, tmp_path: Path) -> None:
    model = tmp_path / "models--org--name"
    (model / "blobs").mkdir(parents=True)
    snapshot = model / "snapshots" / ("0" * 40)
    shutil.copytree(full, snapshot)
    (snapshot / "model.safetensors").rename(model / "blobs" / "aa")
    (snapshot / "model.safetensors").symlink_to("../../blobs/aa")
    assert look(snapshot).sha256 == look(full).sha256
    (snapshot / "vocab.txt").symlink_to("../../../elsewhere")
    assert "vocab.txt: a link" in refused(snapshot)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        (b"\xff\xff\x00", "not valid JSON"),
        ("[" * 200_000, "not valid JSON"),
        (" " * (16 * 2**20 + 1), "bytes of JSON; at most"),
    ],
)
def test_broken_configurations(full: Path, content: Any, message: str) -> None:
    put(full, {"config.json": content})
    assert message in refused(full)


@pytest.mark.parametrize("modules", [[], {}, None, 3, '"x"'])
def test_broken_modules(full: Path, modules: Any) -> None:
    put(full, {"modules.json": modules})
    assert "no list of modules" in refused(full)


def test_modules_that_cannot_be_read_are_one_fault(full: Path) -> None:
    put(full, {"modules.json": "x"})
    assert "not valid JSON" in refused(full)
    assert "no list of modules" not in refused(full)


def test_missing_parts_are_named_together(full: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        (full / name).unlink()
    shutil.rmtree(full / "1_Pooling")
    message = refused(full)
    for part in ("no weights", "no tokenizer", "config.json: no such file", "'1_Pooling'"):
        assert part in message


@pytest.mark.parametrize(
    "name",
    [
        *("tokenizer.json", "tekken.json", "vocab.txt", "vocab.json", "vocab-src.json"),
        *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "source.spm"),
        *("bpe.codes", "qwen.tiktoken", "prophetnet.tokenizer", "byte_maps.json"),
    ],
)
def test_the_files_of_a_tokenizer(bare: Path, name: str) -> None:
    (bare / "tokenizer.json").unlink()
    assert "no tokenizer in it" in refused(bare)
    put(bare, {name: {}})
    assert name in look(bare).files


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "ByT5Tokenizer"}),
        ("tokenizer_config.json", {"tokenizer_class": "CanineTokenizer"}),
        ("tokenizer_config.json", {"tokenizer_class": "PerceiverTokenizer"}),
        ("config.json", {"model_type": "t5", "tokenizer_class": "ByT5Tokenizer"}),
        ("config.json", {"model_type": "canine"}),
    ],
)
def test_a_tokenizer_of_bytes_has_no_file(bare: Path, name: str, says: dict[str, str]) -> None:
    (bare / "tokenizer.json").unlink()
    put(bare, {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}})
    assert "no tokenizer in it" in refused(bare)
    put(bare, {name: says})
    look(bare)


def test_large_vocabularies_are_not_read(bare: Path) -> None:
    put(bare, {"entity_vocab.json": " " * (16 * 2**20 + 1)})
    assert "entity_vocab.json" in look(bare).files


def test_other_kinds_of_models(full: Path) -> None:
    edit(full / "config_sentence_transformers.json", model_type="CrossEncoder")
    assert "a model of type 'CrossEncoder'" in refused(full)
    edit(full / "config_sentence_transformers.json", model_type="SentenceTransformer")
    put(full, {"adapter_config.json": {"base_model_name_or_path": "org/base"}})
    assert "a PEFT adapter without its weights" in refused(full, trust_remote_code=True)


def test_a_bare_folder_that_a_cross_encoder_was_saved_to(bare: Path) -> None:
    edit(bare / "config.json", sentence_transformers={"version": "5.1.0"})
    look(bare)
    own = {"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"}}
    before = {"sbert_ce_default_activation_function": "torch.nn.Identity"}
    for said in (own, before):
        put(bare, {"config.json": said | {"architectures": ["LlamaForCausalLM"]}})
        assert "a cross-encoder (reranker)" in refused(bare)
        put(bare, {"config.json": said | {"architectures": ["LlamaModel"]}})
        look(bare)


def test_another_kind_is_one_fault(full: Path) -> None:
    kinds = {"CrossEncoder": "a cross-encoder (reranker)", "X": "'X'"}
    for kind, words in kinds.items():
        edit(full / "config_sentence_transformers.json", model_type=kind)
        put(full, {"modules.json": [{"type": "pylate.models.Dense.Dense"}]})
        message = refused(full)
        assert words in message
        assert "modules.json" not in message


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("name", ["models.WordEmbeddings", "sparse_encoder.models.SpladePooling"])
def test_modules_of_the_library_are_not_foreign_code(full: Path, name: str, trust: bool) -> None:
    modules = json.loads((full / "modules.json").read_text())
    modules[0]["type"] = f"sentence_transformers.{name}"
    put(full, {"modules.json": modules})
    message = refused(full, trust_remote_code=trust)
    assert name in message
    assert "trust-remote-code" not in message
    assert "not one of sentence-transformers' modules" not in message


def test_an_adapter_alone(tmp_path: Path) -> None:
    files = {
        "adapter_config.json": {"base_model_name_or_path": "org/base", "peft_type": "LORA"},
        "adapter_model.safetensors": WEIGHTS,
        "tokenizer.json": {},
    }
    found = look(put(tmp_path / "adapter", files))
    assert found.adapter is not None
    assert found.adapter.files == ("adapter_config.json", "adapter_model.safetensors")
    assert {*found.adapter.files} < {*found.files}
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    message = refused(tmp_path / "adapter")
    assert "a PEFT adapter without its weights" in message
    assert "config.json: no such file" not in message


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model.gguf", "only GGUF weights (model.gguf)"),
        ("onnx/model.onnx", "only ONNX weights (onnx/model.onnx)"),
        ("model.onnx", "only ONNX weights (model.onnx)"),
        ("openvino/openvino_model.xml", "only OpenVINO weights"),
        ("tf_model.h5", "only TensorFlow weights (tf_model.h5)"),
        ("consolidated.safetensors", "only weights of another name"),
        ("adapter_model.safetensors", "only the weights of a PEFT adapter"),
    ],
)
def test_weights_that_are_not_safetensors(
    bare: Path, tmp_path: Path, name: str, found: str
) -> None:
    (bare / "model.safetensors").unlink()
    assert "no weights in it" in refused(bare)
    assert found in refused(put(bare, {name: WEIGHTS}))
    alone = refused(put(tmp_path / "alone", {name: WEIGHTS}))
    assert found in alone
    assert "no tokenizer" not in alone


def test_a_folder_of_model2vec(bare: Path) -> None:
    put(bare, {"config.json": {"model_type": "model2vec", "normalize": True}})
    assert "no table of embeddings" in refused(bare)
    put(bare, {"model.safetensors": TABLE})
    found = look(bare)
    assert found.layout == "sentence-transformers"
    assert found.modules == (("StaticEmbedding", ""), ("Normalize", "1_Normalize"))
    with found.view() as view:
        assert len(json.loads((view / "modules.json").read_text())) == 2
    assert not (bare / "modules.json").exists()
    header = HEADER.replace(b'"F32"', b'"I8" ')
    put(bare, {"model.safetensors": len(header).to_bytes(8, "little") + header})
    assert "embeddings in whole numbers (I8)" in refused(bare)


def test_modules_without_pooling(full: Path) -> None:
    modules = json.loads((full / "modules.json").read_text())
    put(full, {"modules.json": [modules[0], modules[3]]})
    assert "no pooling: nothing makes one vector" in refused(full)
    edit(full / "sentence_bert_config.json", module_output_name="sentence_embedding")
    look(full)
    (full / "sentence_bert_config.json").unlink()
    modules[3] |= {"name": "4", "path": "", "type": "own.Pool"}
    put(full, {"modules.json": [modules[0], modules[3]]})
    look(full, trust_remote_code=True)


def test_modules_in_another_order(full: Path) -> None:
    modules = json.loads((full / "modules.json").read_text())
    put(full, {"modules.json": [*reversed(modules)]})
    name = modules[-1]["type"].rpartition(".")[2]
    assert f"its first module is {name}, which reads no texts" in refused(full)


def test_modules_need_names_of_their_own(full: Path) -> None:
    modules = json.loads((full / "modules.json").read_text())
    modules[1]["name"] = "0"
    del modules[2]["name"]
    message = refused(put(full, {"modules.json": modules}))
    assert "a module of the name '0', twice" in message
    assert "a module of the name None" in message


def test_a_module_s_configuration_is_missing(full: Path) -> None:
    (full / "1_Pooling" / "config.json").unlink()
    assert "1_Pooling/config.json: no such file" in refused(full)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": None}, "prompts = null"),
        ({"prompts": ["q: "]}, 'prompts = ["q: "]'),
        ({"prompts": {"a": "A: ", "query": 3}}, "prompt 'query' = 3"),
        ({"similarity_fn_name": ["cosine"]}, 'similarity_fn_name = ["cosine"]'),
        ({"truncate_dim": "64"}, 'truncate_dim = "64"'),
        ({"default_prompt_name": {}}, "default_prompt_name = {}"),
        ({"prompts": {"a": "A: "}, "default_prompt_name": "b"}, "none of the prompts"),
    ],
)
def test_settings_of_another_type(full: Path, changes: dict[str, Any], message: str) -> None:
    edit(full / "config_sentence_transformers.json", **changes)
    assert message in refused(full)


def test_settings_that_the_library_takes(full: Path) -> None:
    edit(
        full / "config_sentence_transformers.json",
        prompts={"query": None, "a": "A: "}, default_prompt_name="query",
        similarity_fn_name=None, truncate_dim=None,
    )  # fmt: skip
    assert look(full).settings["prompts"] == {"query": None, "a": "A: "}


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
@pytest.mark.parametrize("name", ["modules.json", "config.json", "tokenizer.json"])
def test_byte_order_marks_are_named(full: Path, name: str, mark: bytes) -> None:
    (full / name).write_bytes(mark + (full / name).read_bytes())
    assert f"{name}: begins with a byte order mark (BOM)" in refused(full)


def test_exported_models(full: Path) -> None:
    put(full, {"onnx/model.onnx": onnx_bytes(), "openvino/openvino_model.bin": b"y"})
    put(full, {"openvino/openvino_model.xml": "<net/>"})
    onnx = look(full, backend="onnx")
    assert onnx.graph == "onnx/model.onnx"
    assert "model.safetensors" not in onnx.files
    (full / "model.safetensors").unlink()
    assert look(full, backend="onnx") == onnx
    files = look(full, backend="openvino").files
    assert {"openvino/openvino_model.bin", "openvino/openvino_model.xml"} <= set(files)
    assert "ONNX weights (onnx/model.onnx) and OpenVINO weights" in refused(full)


def test_onnx_files_and_their_weights(full: Path, tmp_path: Path) -> None:
    def named(name: str) -> None:
        put(full, {"onnx/model.onnx": onnx_bytes(data=name)})

    named("weights")
    put(full, {"onnx/weights": b"w"})
    assert "onnx/weights" in look(full, backend="onnx").files
    for name in ("../model.safetensors", "/etc/passwd", "..\\x"):
        named(name)
        assert "expected: a file in this folder" in refused(full, backend="onnx")
    (tmp_path / "outside").write_bytes(b"w")
    (full / "onnx" / "link").symlink_to(tmp_path / "outside")
    named("link")
    assert "a link that points outside the folder" in refused(full, backend="onnx")
    (full / "onnx" / "link").unlink()
    named("none")
    assert "'none', which is not there" in refused(full, backend="onnx")
    put(full, {"onnx/model.onnx": onnx_bytes("BertTokenizer", "ai.onnx.contrib")})
    assert "operators of foreign libraries" in refused(full, backend="onnx")
    put(full, {"onnx/model.onnx": POINTER})
    assert "a Git LFS pointer" in refused(full, backend="onnx")
    put(full, {"onnx/model.onnx": b"<html>"})
    assert "no ONNX model" in refused(full, backend="onnx")


def test_onnx_needs_a_tokenizer_of_the_tokenizers_library(full: Path) -> None:
    put(full, {"onnx/model.onnx": onnx_bytes(), "vocab.txt": "a"})
    (full / "tokenizer.json").unlink()
    assert "no tokenizer in it" in refused(full, backend="onnx")
    assert look(full).graph == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_pipes_are_left_alone(full: Path) -> None:
    os.mkfifo(full / "vocab.txt")
    assert "vocab.txt" not in look(full).files
