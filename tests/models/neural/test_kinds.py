from __future__ import annotations

import json
from typing import Any

import pytest

from mlbench.models.neural.kinds import (
    LATE,
    OUTDATED,
    RERANKER,
    SPARSE,
    WORDS,
    Kind,
    adapter,
    kind_of_class,
    model2vec_modules,
    other_weights,
    pickled_weights,
)

ST = "sentence_transformers."


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (ST + "sparse_encoder.models.MLMTransformer", SPARSE),
        (ST + "sparse_encoder.modules.splade_pooling.SpladePooling", SPARSE),
        (ST + "sparse_encoder.models.IDF.IDF", SPARSE),
        (ST + "cross_encoder.modules.logit_score.LogitScore", RERANKER),
        (ST + "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask", LATE),
        ("pylate.models.Dense.Dense", LATE),
        (ST + "models.WordEmbeddings", WORDS),
        (ST + "sentence_transformer.modules.bow.BoW", WORDS),
        (ST + "models.WordWeights", WORDS),
        (ST + "models.CLIPModel", None),
        (ST + "models.XLMRoBERTa", OUTDATED),
        (ST + "models.Transformer", None),
        (ST + "sentence_transformer.modules.pooling.Pooling", None),
        ("modeling.WordEmbeddings", None),
        (["x"], None),
    ],
)
def test_which_kind_a_class_belongs_to(name: Any, kind: Kind | None) -> None:
    assert kind_of_class(name) is kind


@pytest.mark.parametrize(
    ("names", "found", "mend"),
    [
        (["onnx/model.onnx", "onnx/config.json"], "ONNX weights (onnx/model.onnx)", "onnx"),
        (["model_quantized.onnx"], "ONNX weights (model_quantized.onnx)", "--backend onnx"),
        (["openvino/openvino_model.xml"], "OpenVINO weights", "--backend openvino"),
        (["bge-m3-q8_0.gguf"], "GGUF weights (bge-m3-q8_0.gguf)", "in safetensors"),
        (["tf_model.h5"], "TensorFlow weights (tf_model.h5)", "from_tf=True"),
        (["flax_model.msgpack"], "Flax weights (flax_model.msgpack)", "from_flax=True"),
        (["rust_model.ot", "tf_model.h5"], "weights (tf_model.h5) and Rust weights", "from_tf"),
        (["model-00001-of-00002.safetensors"], "without model.safetensors.index.json", "index"),
        (["consolidated.safetensors"], "another name (consolidated.safetensors)", "name it"),
    ],
)
def test_weights_in_other_forms(names: list[str], found: str, mend: str) -> None:
    told = other_weights(["README.md", *names])
    assert told is not None
    assert found in told[0]
    assert mend in told[1]


def test_no_weights_at_all() -> None:
    assert other_weights(["config.json", "README.md", "sub/x.safetensors"]) is None
    assert other_weights(["onnx/model.onnx"], backends=False) is None


def test_pickles_that_hold_no_model() -> None:
    names = ["optimizer.pt", "rng_state_0.pth", "training_args.bin", "scheduler.pt"]
    assert pickled_weights(names) == []
    assert pickled_weights(["openvino_model.bin", "openvino_model.xml"]) == []
    assert pickled_weights([*names, "pytorch_model.bin"]) == ["pytorch_model.bin"]


def test_an_adapter_names_its_base() -> None:
    assert "for org/base" in adapter({"base_model_name_or_path": "org/base"})[0]
    assert adapter({"base_model_name_or_path": None})[0].endswith("another model")
    assert "merge_and_unload" in adapter({})[1]


def test_the_modules_of_model2vec() -> None:
    plain = json.loads(model2vec_modules({"model_type": "model2vec"}) or "")
    assert [each["type"].rpartition(".")[2] for each in plain] == ["StaticEmbedding"]
    normed = json.loads(model2vec_modules({"architectures": ["StaticModel"], "normalize": True})
                        or "")  # fmt: skip
    assert [each["path"] for each in normed] == [".", "1_Normalize"]
    assert model2vec_modules({"model_type": "bert"}) is None
