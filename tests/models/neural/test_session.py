from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.numeric import MASK
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.session import Session, choose_device
from tests.models.neural.exported import onnx_bytes

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Made = Callable[..., Session]
INT, FLOAT = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
SHAPES = {
    "input_ids": (INT, ["n", "t"]),
    "attention_mask": (INT, ["n", "t"]),
    "position_ids": (INT, ["n", "t"]),
    "token_type_ids": (INT, ["n", "t"]),
    "past_key_values.0.key": (FLOAT, ["n", 2, "p", 3]),
    "pixel_values": (FLOAT, ["n", 3]),
}


class FakeTokens:
    pad = 9

    def __init__(self, kinds: set[int]) -> None:
        self.kinds = kinds

    def rows(self, texts: list[str]) -> list[bytes]:
        return [np.array([1, 2], np.int32).tobytes() for _ in texts]

    def types(self) -> set[int]:
        return self.kinds


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make a session of a model whose outputs show what it is given."""

    def make(nodes: list[Any], outputs: dict[str, int], *inputs: str, **more: Any) -> Session:
        given = [onnx.helper.make_tensor_value_info(n, *SHAPES[n]) for n in inputs]
        shown = [
            onnx.helper.make_tensor_value_info(name, FLOAT, [None] * rank)
            for name, rank in outputs.items()
        ]
        axes = onnx.helper.make_tensor("axes", INT, [1], [2])
        graph = onnx.helper.make_graph(nodes, "g", given, shown, [axes])
        imports = [onnx.helper.make_opsetid("", 17)]
        model = onnx.helper.make_model(graph, ir_version=8, opset_imports=imports)
        onnx.save(model, tmp_path / "model.onnx")
        checkpoint = Checkpoint(tmp_path, "transformers", (), "", {}, graph="model.onnx")
        tokens: Any = FakeTokens(more.get("kinds", {0}))
        return Session(checkpoint, tokens, "cpu")

    return make


def _shown(source: str, name: str) -> list[Any]:
    """Nodes that give an input as floats of shape (n, t, 1)."""
    return [
        onnx.helper.make_node("Cast", [source], [f"{name}_2"], to=FLOAT),
        onnx.helper.make_node("Unsqueeze", [f"{name}_2", "axes"], [name]),
    ]


def test_what_the_model_is_given(made: Made) -> None:
    nodes = _shown("input_ids", "last_hidden_state") + _shown("position_ids", "places")
    outputs = {"last_hidden_state": 3, "places": 3}
    session = made(nodes, outputs, "input_ids", "position_ids")
    assert (session.tokens, session.vectors) == ("last_hidden_state", "")
    rows = [np.array(ids, np.int32).tobytes() for ids in ([5, 6, 7], [8], [])]
    found = session.run(rows)
    assert found["last_hidden_state"][..., 0].tolist() == [[5, 6, 7], [8, 9, 9], [9, 9, 9]]
    assert found["places"][..., 0].tolist() == [[0, 1, 2]] * 3
    assert found[MASK].tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_a_memory_of_earlier_tokens_is_empty(made: Made) -> None:
    past = "past_key_values.0.key"
    nodes = [onnx.helper.make_node("Identity", [past], ["present"])]
    nodes += _shown("input_ids", "token_embeddings")
    session = made(nodes, {"present": 4, "token_embeddings": 3}, "input_ids", past)
    assert session.run([b"\1\0\0\0"] * 4)["present"].shape == (4, 2, 0, 3)


@pytest.mark.parametrize("name", ["sentence_embedding", "embeddings"])
def test_vectors_of_the_file_itself(made: Made, name: str) -> None:
    nodes = [onnx.helper.make_node("Cast", ["input_ids"], [name], to=FLOAT)]
    session = made(nodes, {name: 2}, "input_ids")
    assert (session.tokens, session.vectors) == ("", name)


def test_what_is_no_encoder_is_refused(made: Made) -> None:
    cast = [onnx.helper.make_node("Cast", ["input_ids"], ["logits"], to=FLOAT)]
    with pytest.raises(ModelError, match=r"gives logits \(1, 2\)"):
        made(cast, {"logits": 2}, "input_ids")
    with pytest.raises(ModelError, match="must be given pixel_values"):
        made(cast, {"logits": 2}, "input_ids", "pixel_values")
    with pytest.raises(ModelError, match=r"types \[0, 2\]"):
        made(cast, {"logits": 2}, "input_ids", "token_type_ids", kinds={0, 2})


def test_what_onnxruntime_says_is_told(tmp_path: Path, made: Made) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_bytes("NoSuchOperator"))
    checkpoint = Checkpoint(tmp_path, "transformers", (), "", {}, graph="model.onnx")
    with pytest.raises(ModelError, match=r"onnxruntime \d\S+ cannot load it"):
        Session(checkpoint, FakeTokens({0}), "cpu")  # type: ignore[arg-type]
    table = onnx.helper.make_tensor("table", FLOAT, [4, 1], [0.0] * 4)
    constant = onnx.helper.make_node("Constant", [], ["table"], value=table)
    gather = onnx.helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    session = made([constant, gather], {"last_hidden_state": 3}, "input_ids")
    with pytest.raises(ModelError, match="onnxruntime cannot run it"):
        session.run([np.array([4], np.int32).tobytes()])


def test_devices(made: Made, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("a machine with CUDA")
    assert choose_device(NeuralOptions()) == "cpu"
    assert choose_device(NeuralOptions(device=("cuda:1",))) == "cuda:1"
    checkpoint = Checkpoint(tmp_path, "transformers", (), "", {}, graph="model.onnx")
    with pytest.raises(EnvironmentFault, match="onnxruntime-gpu"):
        Session(checkpoint, FakeTokens({0}), "cuda:1")  # type: ignore[arg-type]
