from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlbench.models.neural.graphs import Graph, Unreadable, choose_file, read_graph, weight_files
from tests.models.neural.exported import onnx_bytes, part


def _written(folder: Path, raw: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(raw)
    return path


def test_what_a_file_holds(tmp_path: Path) -> None:
    found = read_graph(_written(tmp_path, onnx_bytes("MatMul", data="model.onnx_data")))
    expected = Graph(frozenset({("", "MatMul")}), frozenset({"model.onnx_data"}), 6, "float32")
    assert found == expected
    assert not found.dynamic
    assert read_graph(_written(tmp_path, onnx_bytes("DynamicQuantizeLinear"))).dynamic
    packed = read_graph(_written(tmp_path, onnx_bytes("MatMulNBits", "com.microsoft")))
    assert packed.parameters is None
    assert packed.dtype == "packed integers"


@pytest.mark.parametrize(
    ("operator", "domain"),
    [("BertTokenizer", "ai.onnx.contrib"), ("X", "my.ops"), ("EPContext", "com.microsoft")],
)
def test_operators_of_others_are_refused(tmp_path: Path, operator: str, domain: str) -> None:
    path = _written(tmp_path, onnx_bytes(operator, domain))
    with pytest.raises(Unreadable, match=f"{domain}.{operator}"):
        weight_files(path)


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_operators_of_onnxruntime_are_not(tmp_path: Path, domain: str) -> None:
    assert weight_files(_written(tmp_path, onnx_bytes("Gelu", domain))) == frozenset()


def test_functions_of_the_model_itself_are_no_foreign_operators(tmp_path: Path) -> None:
    function = part(25, part(1, "f") + part(10, "my.ops") + part(7, part(4, "Relu")))
    path = _written(tmp_path, onnx_bytes("f", "my.ops") + function)
    assert weight_files(path) == frozenset()
    inside = part(25, part(10, "my.ops") + part(7, part(4, "g") + part(7, "other.ops")))
    with pytest.raises(Unreadable, match=r"other\.ops\.g"):
        weight_files(_written(tmp_path, onnx_bytes("f", "my.ops") + inside))


@pytest.mark.parametrize("raw", [b"", b"<html>", b"\x08", b"\x3a\xff\xff\x03ab", part(7, 3)])
def test_what_is_no_onnx_file(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_graph(_written(tmp_path, raw))


@given(st.binary(max_size=200))
@example(onnx_bytes()[:-9])
def test_any_bytes_are_a_graph_or_unreadable(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    with contextlib.suppress(Unreadable):
        assert read_graph(_written(folder, raw)).operators


def test_the_onnx_package_finds_the_same(exported_folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = exported_folder / "onnx" / "model.onnx"
    model = onnx.load(path)
    found = read_graph(path)
    assert found.operators == {(node.domain, node.op_type) for node in model.graph.node}
    floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    sizes = [onnx.numpy_helper.to_array(tensor).size for tensor in floats]
    constants = [
        onnx.numpy_helper.to_array(attribute.t).size
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.t.data_type == onnx.TensorProto.FLOAT
    ]
    assert found.parameters == sum(size for size in (*sizes, *constants) if size > 1)
    assert found.dtype == "float32"


def test_which_file_is_run() -> None:
    one, two = "onnx/model.onnx", "onnx/model_quantized.onnx"
    assert choose_file([two, one, "model.onnx"], None) == one
    assert choose_file(["model_optimized.onnx", "config.json"], None) == "model_optimized.onnx"
    assert choose_file([two, "onnx/model_fp16.onnx"], None) is None
    for wanted in (two, "model_quantized.onnx", "model_quantized"):
        assert choose_file([one, two], wanted) == two
    assert choose_file([one, two], "model_q4") is None
