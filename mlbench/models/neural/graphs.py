"""What an ONNX file says of itself: its operators, the files beside it, and its weights.

An ONNX file is a protocol buffer (https://protobuf.dev/programming-guides/encoding), a ModelProto
of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. It is walked here for what matters before
a library opens it: operators of foreign libraries are code, and weights may lie in other files.
"""

from __future__ import annotations

import math
import mmap
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

OWN_DOMAINS = re.compile(
    r"(ai\.onnx(\.(ml|training|preview|preview\.training))?"
    r"|com\.microsoft(\.(nchwc|experimental))?|com\.ms\.internal\.nhwc)?"
)
"""Sets of operators that onnxruntime brings itself; the first has no name."""
RUNS_CODE = {"EPContext", "PythonOp", "PythonOpGrad", "ATen", "Snpe"}
"""Operators of onnxruntime itself that run what was compiled, or written, elsewhere."""
PACKED = {"MatMulNBits", "MatMulBnb4", "GatherBlockQuantized"}
"""Operators whose weights are packed, several to a number of the file."""
DYNAMIC = re.compile("Dynamic(Quantize|Matmul).*", re.IGNORECASE)
"""Operators that quantise what a batch makes of a layer, all its texts by one scale."""

_CHILDREN = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "place"},
    "place": {},
}
"""The messages within each message, by the number of their field."""
_WEIGHTS = {
    1: "float32", 2: "uint8", 3: "int8", 10: "float16", 11: "float64", 16: "bfloat16",
    17: "float8", 18: "float8", 19: "float8", 20: "float8", 21: "uint4", 22: "int4", 23: "float4",
}  # fmt: skip
"""The types of elements that weights have; the numbers of shapes and indices have others."""
_SCALES = re.compile(r".*(scales?|zero_?points?|_zp)(_\d+)?")


class Unreadable(ValueError):
    """A file is no ONNX model, or is damaged."""


@dataclass(frozen=True)
class Graph:
    """What an ONNX file holds: its ``operators`` as (domain, name), the ``files`` of external data
    that it names, how many weights (None where that is not known) and their number format."""

    operators: frozenset[tuple[str, str]]
    files: frozenset[str]
    parameters: int | None
    dtype: str

    @property
    def dynamic(self) -> bool:
        """Whether the values that a batch makes are quantised by one scale for all its texts."""
        return any(DYNAMIC.fullmatch(name) for _, name in self.operators)


def read_graph(path: Path) -> Graph:
    """Read an ONNX file. Raises Unreadable for what is none."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise Unreadable("an empty file")
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        try:
            return _read(view)
        except (IndexError, UnicodeDecodeError) as error:
            raise Unreadable("no ONNX model, or a damaged one") from error


def weight_files(path: Path) -> frozenset[str]:
    """Return the files that an ONNX file keeps weights in, as it names them.

    Raises Unreadable for what is no ONNX file, or needs operators that onnxruntime does not bring
    itself, or that run code of others.
    """
    graph = read_graph(path)
    foreign = sorted(
        f"{domain}.{name}" if domain else name
        for domain, name in graph.operators
        if not OWN_DOMAINS.fullmatch(domain) or name in RUNS_CODE
    )
    if foreign:
        raise Unreadable(
            f"needs operators of foreign libraries, which are code: {', '.join(foreign)}"
        )
    return graph.files


def _read(view: memoryview) -> Graph:
    operators: set[tuple[str, str]] = set()
    functions: set[str] = set()
    files: set[str] = set()
    weights: Counter[str] = Counter()
    waiting = [("model", view)]
    graphs = 0
    while waiting:
        kind, part = waiting.pop()
        fields = [*_fields(part)]
        within = _CHILDREN[kind]
        waiting += [(within[n], _part(each)) for n, each in fields if n in within]
        graphs += kind == "graph"
        if kind == "node":
            operators.add((_text(fields, 7), _text(fields, 4)))
        elif kind == "function":
            functions.add(_text(fields, 10))
        elif kind == "place" and _text(fields, 1) == "location":
            files.add(_text(fields, 2))
        elif kind == "tensor":
            weights.update(_weights(fields))
    if not graphs or not operators:
        raise Unreadable("no ONNX model: there is no graph in it")
    packed = any(name in PACKED for _, name in operators)
    most = weights.most_common(1)[0][0] if weights else "float32"
    return Graph(
        frozenset((domain, name) for domain, name in operators if domain not in functions - {""}),
        frozenset(files),
        None if packed else sum(weights.values()),
        "packed integers" if packed else most,
    )


_Field = tuple[int, "int | memoryview"]


def _part(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise Unreadable("no ONNX model: a number stands where a part of it should")
    return value


def _weights(fields: list[_Field]) -> dict[str, int]:
    """Return how many weights a tensor has, by their type; single numbers and scales are none."""
    dtype = next((_WEIGHTS.get(n) for f, n in fields if f == 2 and isinstance(n, int)), None)
    shape = [size for f, value in fields if f == 1 for size in _numbers(value)]
    count = math.prod(shape) if shape else 1
    if dtype is None or count < 2 or _SCALES.fullmatch(_text(fields, 8)):
        return {}
    return {dtype: count}


def _numbers(value: int | memoryview) -> Iterator[int]:
    """Yield whole numbers, one or many packed together."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        yield number


def _text(fields: Iterable[_Field], number: int) -> str:
    return next((str(v, "utf-8") for n, v in fields if n == number and not isinstance(v, int)), "")


def _fields(view: memoryview) -> Iterator[_Field]:
    """Yield the number and the value of each field of a message: bytes, or a whole number."""
    at, end = 0, len(view)
    while at < end:
        key, at = _varint(view, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(view, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            size, at = _varint(view, at)
        if size is None or at + size > end or not key >> 3:
            raise Unreadable("no ONNX model, or a damaged one")
        if wire == 2:
            yield key >> 3, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = view[at]
        result |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise Unreadable("no ONNX model, or a damaged one")


def choose_file(names: Iterable[str], wanted: str | None) -> str | None:
    """Return which of some ONNX files to run: the one ``wanted``, by its path or its name, else
    ``onnx/model.onnx`` or ``model.onnx``, else the only one; None if that is not clear.

    >>> choose_file(["onnx/model.onnx", "onnx/model_fp16.onnx"], None)
    'onnx/model.onnx'
    >>> choose_file(["onnx/model.onnx", "onnx/model_fp16.onnx"], "model_fp16")
    'onnx/model_fp16.onnx'
    """
    paths = {name: PurePosixPath(name) for name in sorted(names) if name.endswith(".onnx")}
    if wanted is not None:
        ways = (str, lambda p: p.name, lambda p: p.stem)
        found = [[n for n, path in paths.items() if way(path) == wanted] for way in ways]
        return next((each[0] for each in found if each), None)
    usual = [name for name, path in paths.items() if path.name == "model.onnx"]
    return max(usual, key=lambda name: "onnx/" in name) if usual else _only(paths)


def _only(names: Iterable[str]) -> str | None:
    names = [*names]
    return names[0] if len(names) == 1 else None


def which_file(names: Iterable[str], wanted: str | None) -> tuple[str, str, str]:
    """Say why ``choose_file`` found none: what was found, what is expected, how to mend it."""
    names = sorted(name for name in names if name.endswith(".onnx"))
    if not names:
        return "no ONNX file in it", "onnx/model.onnx", "export the model, or use --backend torch"
    found = f"no ONNX file {wanted} in it" if wanted else "several ONNX files in it"
    return found, f"one of {', '.join(names)}", "give --onnx-file NAME"
