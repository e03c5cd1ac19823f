"""ONNX files for tests: a protocol buffer written by hand, and exports of small models."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def varint(number: int) -> bytes:
    """Write a whole number as protocol buffers do."""
    parts = []
    while True:
        number, rest = number >> 7, number & 0x7F
        parts.append(rest | 0x80 if number else rest)
        if not number:
            return bytes(parts)


def part(number: int, content: bytes | str | int) -> bytes:
    """Write a field: a whole number, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def onnx_bytes(operator: str = "Identity", domain: str = "", data: str = "") -> bytes:
    """Return an ONNX model of one node, with weights of shape (2, 3), in the file ``data``."""
    node = part(4, operator) + (part(7, domain) if domain else b"")
    tensor = part(1, varint(2) + varint(3)) + part(2, 1) + part(8, "weight")
    if data:
        tensor += part(13, part(1, "location") + part(2, data)) + part(14, 1)
    else:
        tensor += part(9, b"\0" * 24)
    graph = part(1, node) + part(2, "main") + part(5, tensor)
    return part(1, 8) + part(7, graph) + part(8, part(2, 17))


def export(folder: Path, target: Path, name: str = "onnx/model.onnx") -> Path:
    """Copy a checkpoint whose weights are in its root, exported by torch in place of them."""
    import torch
    from transformers import AutoModel

    network = AutoModel.from_pretrained(folder).eval()

    class Export(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *given: Any) -> Any:
            return self.network(**dict(zip(INPUTS, given, strict=True))).last_hidden_state

    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("model.safetensors"))
    for module in ("2_Dense", "3_LayerNorm"):
        if (folder / module).is_dir():
            shutil.copytree(folder / module, target / module, dirs_exist_ok=True)
    (target / name).parent.mkdir(exist_ok=True)
    ids = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]])
    axes = {each: {0: "texts", 1: "tokens"} for each in (*INPUTS, "last_hidden_state")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Export(),
            (ids, (ids > 0).long(), ids * 0),
            str(target / name),
            input_names=[*INPUTS],
            output_names=["last_hidden_state"],
            dynamic_axes=axes,
            opset_version=18,
            dynamo=False,
        )
    return target
