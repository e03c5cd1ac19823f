"""An ONNX file ready to run: batches of token ids in, what it makes of them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlbench.common.errors import EnvironmentFault, Fault, ModelError
from mlbench.common.threads import usable_processors
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.numeric import MASK, Features
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.tokenizing import Tokens

TOKEN_OUTPUTS = ("last_hidden_state", "token_embeddings")
VECTOR_OUTPUTS = ("sentence_embedding", "sentence_embeddings", "embeddings")
_GIVEN = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_PAST = "past_key_values"
_TYPES = {
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
}
_WARNINGS = 3
"""The severity from which onnxruntime prints: errors."""


class Session:
    """A session of onnxruntime on one device ("cpu", "cuda" or "cuda:N").

    ``tokens`` is the name of the output that holds token vectors, ``vectors`` of the one that
    holds a vector a text; "" where there is none.
    """

    def __init__(self, checkpoint: Checkpoint, tokens: Tokens, device: str) -> None:
        self._where = f"model {checkpoint.folder / checkpoint.graph}"
        self._pad = tokens.pad
        self._session = _started(str(checkpoint.folder / checkpoint.graph), device, self._where)
        self._inputs = {each.name: each for each in self._session.get_inputs()}
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._past = self._checked(tokens)
        found = self.run(tokens.rows(["a"]))
        self.tokens = _first(TOKEN_OUTPUTS, found, 3)
        self.vectors = _first(VECTOR_OUTPUTS, found, 2)
        if not self.tokens and not self.vectors:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in found.items())
            expected = f"{TOKEN_OUTPUTS[0]} (texts, tokens, d) or {VECTOR_OUTPUTS[0]} (texts, d)"
            raise ModelError(Fault(self._where, f"gives {shapes}", expected))

    def _checked(self, tokens: Tokens) -> Mapping[str, Sequence[int | None]]:
        """Check what the model must be given; return the shapes of its memory of earlier tokens,
        which is empty (None stands for the number of texts)."""
        past = {name: each.shape for name, each in self._inputs.items() if name.startswith(_PAST)}
        unknown = sorted(self._inputs.keys() - past.keys() - {*_GIVEN})
        strange = [each.name for each in self._inputs.values() if each.type not in _TYPES]
        if unknown or strange or "input_ids" not in self._inputs:
            found = f"must be given {', '.join(unknown or strange or self._inputs)}"
            expected = f"an encoder of texts, which is given {', '.join(_GIVEN)}"
            raise ModelError(Fault(self._where, found, expected))
        if "token_type_ids" in self._inputs and tokens.types() - {0}:
            found = f"its tokenizer gives tokens the types {sorted(tokens.types())}"
            raise ModelError(Fault(self._where, found, "0 for all", "run it with --backend torch"))
        return {
            name: [
                size if isinstance(size, int) else (0 if place else None)
                for place, size in enumerate(shape)
            ]
            for name, shape in past.items()
        }

    def run(self, rows: Sequence[bytes]) -> Features:
        """Return the outputs of a batch by name, in float32, and its mask.

        Raises MemoryError where the device's memory does not suffice, ModelError for whatever
        else onnxruntime raises.
        """
        sizes = [len(row) // 4 for row in rows]
        width = max(1, *sizes)
        ids = np.full((len(rows), width), self._pad, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for place, (row, size) in enumerate(zip(rows, sizes, strict=True)):
            ids[place, :size] = np.frombuffer(row, np.int32)
            mask[place, :size] = 1
        positions = np.broadcast_to(np.arange(width), ids.shape)
        given: Features = dict(zip(_GIVEN, (ids, mask, np.zeros_like(ids), positions), strict=True))
        for name, shape in self._past.items():
            given[name] = np.zeros([len(rows) if size is None else size for size in shape])
        feed = {n: given[n].astype(_TYPES[each.type]) for n, each in self._inputs.items()}
        try:
            found = self._session.run(None, feed)
        except Exception as error:  # each kind of fault has a class of its own
            said = str(error)
            if "allocate" in said or "bad_alloc" in said:
                raise MemoryError(said) from error
            fault = Fault(self._where, f"onnxruntime cannot run it: {said[:500]}")
            raise ModelError(fault) from error
        named = zip(self._outputs, found, strict=True)
        floats = {name: each.astype(np.float32) for name, each in named if each.dtype.kind == "f"}
        return floats | {MASK: mask}


def choose_device(options: NeuralOptions) -> str:
    """Return the device asked for, else a GPU if onnxruntime can use one, else the CPU."""
    import onnxruntime

    if options.device:
        return options.device[0]
    there = onnxruntime.get_available_providers()
    return "cuda" if "CUDAExecutionProvider" in there else "cpu"


def _started(path: str, device: str, where: str) -> Any:
    """Return a session. No library of operators is ever registered with it."""
    import onnxruntime

    kind, _, number = device.partition(":")
    providers: list[Any] = ["CPUExecutionProvider"]
    if kind == "cuda":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            found = "this onnxruntime has no support for CUDA"
            mend = "pip install onnxruntime-gpu in place of onnxruntime"
            raise EnvironmentFault(Fault(f"option --device {device}", found, mend=mend))
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(number or 0)}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_processors()
    options.log_severity_level = _WARNINGS
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # each kind of fault has a class of its own
        found = f"onnxruntime {onnxruntime.__version__} cannot load it: {str(error)[:500]}"
        mend = "export the model again, or use a newer onnxruntime"
        raise ModelError(Fault(where, found, mend=mend)) from error
    if kind == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        found = "onnxruntime could not start it, and would run on the CPU"
        raise EnvironmentFault(Fault(f"option --device {device}", found, "a device that works"))
    return session


def _first(names: Sequence[str], found: Features, dimensions: int) -> str:
    """Return the first of some outputs that has so many dimensions, else the only one that has."""
    fitting = [
        n for n, a in found.items() if a.ndim == dimensions and n not in (MASK, "pooler_output")
    ]
    named = [name for name in names if name in fitting]
    only = fitting if len(fitting) == 1 and dimensions > 2 else []
    return next(iter([*named, *only]), "")
