"""The options of a neural model: on the command line, in a model file, else the model's own.

A model file is TOML: ``path`` (a checkpoint folder, relative to the file) or ``model`` (a hub
id), and any field of NeuralOptions:

    path = "checkpoints/step-2000"
    query_prompt = "Query: "
    passage_prompt = "Passage: "
    max_length = 256
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from mlbench.common.errors import Fault, UsageError
from mlbench.common.forms import (
    WORD,
    Takes,
    Wrong,
    fields_of,
    fill_form,
    one_of,
    read_toml,
    setting,
    settings_of,
    whole_number,
)
from mlbench.common.trust import Demand
from mlbench.models.protocol import SIMILARITIES

POOLINGS = ("mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens")
DTYPES = ("float32", "float16", "bfloat16")
BACKENDS = ("torch", "onnx", "openvino")
LOCATIONS = ("path", "model")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
_DEVICE = re.compile(r"(cpu|mps|(cuda|xpu|npu|hpu)(:\d+)?)")


def _devices(value: Any) -> list[str]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not given:
        raise Wrong(repr(value), "a device such as cpu or cuda:0, or several")
    devices = [str(device).strip() for device in given]
    if not all(map(_DEVICE.fullmatch, devices)):
        raise ValueError
    return devices


def _list(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


Word = Annotated[str, WORD]
Count = Annotated[int, Takes("a whole number from 1", whole_number)]
Pooling = Annotated[str, one_of(*POOLINGS)]
Similarity = Annotated[str, one_of(*SIMILARITIES)]
Dtype = Annotated[str, one_of(*DTYPES)]
Backend = Annotated[str, one_of(*BACKENDS)]
Devices = Annotated[
    tuple[str, ...], Takes("cpu, mps, cuda or cuda:N, or several of them", _devices)
]


@dataclass(frozen=True)
class NeuralOptions:
    """How a checkpoint is to be used; None and () leave it to the model."""

    name: Word | None = setting("the model's name in reports", "NAME")
    revision: Word | None = setting("the branch, tag or commit of a model on the hub", "REV")
    base_model: Word | None = setting(
        "the base model of an adapter, where it lies elsewhere than the adapter says", "FOLDER"
    )
    query_prompt: str | None = setting("the text put before every query", "TEXT")
    passage_prompt: str | None = setting("the text put before every passage", "TEXT")
    query_prompt_name: Word | None = setting("the model's own prompt for queries", "NAME")
    passage_prompt_name: Word | None = setting("the model's own prompt for passages", "NAME")
    pooling: Pooling | None = setting(
        f"how token vectors become one vector: {_list(POOLINGS)}", "NAME"
    )
    max_length: Count | None = setting("cut texts after N tokens", "N")
    truncate_dim: Count | None = setting("use only the first N dimensions (Matryoshka)", "N")
    similarity: Similarity | None = setting(
        f"how vectors are compared: {_list(SIMILARITIES)}", "NAME"
    )
    dtype: Dtype | None = setting(f"the number format of the weights: {_list(DTYPES)}", "NAME")
    backend: Backend = setting(
        f"the library that runs the model: {_list(BACKENDS)}", "NAME", BACKENDS[0]
    )
    onnx_file: Word | None = setting(
        "which ONNX file of the model, such as onnx/model_quantized.onnx", "NAME"
    )
    device: Devices = setting(
        "the device, or several that share the work, such as cuda:0,cuda:1", "DEVICES", default=()
    )
    batch_tokens: Count | None = setting("encode batches of N tokens", "N")
    mteb_task: Word | None = setting(
        "the task of MTEB whose prompts an mteb: model gets (default: XQuADRetrieval)", "NAME"
    )
    offline: bool = setting("take models of the hub from the hub's cache only", default=False)
    trust_remote_code: bool = setting("run Python code that comes with the model", default=False)
    allow_pickle: bool = setting("open pickled weights, which can run code", default=False)


OPTIONS = settings_of(NeuralOptions)
TRUST = {
    "trust_remote_code": ("runs Python code that comes with", (".py", ".json")),
    "allow_pickle": ("opens pickled weights, which can run code, of", PICKLED),
}
"""The options that can run code: what happens, and which files of a folder it depends on."""
PROMPTS = (("query_prompt", "query_prompt_name"), ("passage_prompt", "passage_prompt_name"))
"""Either the one or the other can be given."""


def parse_options(values: Mapping[str, Any], where: str = "") -> NeuralOptions:
    """Return ``values`` (field -> value) as options; None stands for "not given".

    ``where`` is the file that they come from, "" for the command line. Raises UsageError with
    every fault.
    """

    def place(name: str) -> str:
        return f"{where}, field {name}" if where else f"option --{name.replace('_', '-')}"

    given = {name: value for name, value in values.items() if value is not None}
    both = [
        Fault(f"{place(prompt)} and {place(name)}", "both given", "one of them")
        for prompt, name in PROMPTS
        if prompt in given and name in given
    ]
    return fill_form(NeuralOptions, given, place, UsageError, both)


@dataclass(frozen=True)
class ModelFile:
    """A model file: a checkpoint ``folder`` or else a ``hub`` id, and its options unread."""

    folder: Path | None
    hub: str
    values: dict[str, Any]


@dataclass(frozen=True)
class _Location:
    path: Word | None = None
    model: Word | None = None


def read_model_file(path: Path) -> ModelFile:
    """Read a model file. Raises UsageError if it is unreadable, or names no one model."""
    table = read_toml(path, "a model file", UsageError)
    given = {key: table.pop(key) for key in LOCATIONS if key in table}
    if len(given) != 1:
        found = "both path and model given" if given else "neither path nor model given"
        raise UsageError(
            Fault(str(path), found, 'path = "FOLDER", or model = "ORG/NAME" for one from the hub')
        )
    place = fill_form(_Location, given, fields_of(path), UsageError)
    folder = None if place.path is None else path.parent / place.path
    return ModelFile(folder, place.model or "", table)


def demands_of(path: Path, file: ModelFile) -> list[Demand]:
    """Return what a model file asks for that runs code. Raises UsageError for faulty options."""
    own = parse_options(file.values, str(path))
    source = repr(file.hub or str(file.folder))
    return [
        Demand(
            path,
            name,
            f"true, which {what} {source}",
            f"give --{name.replace('_', '-')}",
            tuple(_files(file.folder, endings)),
        )
        for name, (what, endings) in TRUST.items()
        if getattr(own, name)
    ]


def _files(folder: Path | None, endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of a folder, at any depth and behind links, with one of some endings."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True) if folder else ():
        seen.add(Path(place).resolve())
        folders[:] = [name for name in folders if (Path(place) / name).resolve() not in seen]
        paths = (Path(place) / name for name in names)
        yield from (path for path in paths if path.suffix in endings and path.is_file())


def override(values: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` of a model file with those that the command line gives instead.

    A prompt replaces a prompt name of the same role, and the other way about.
    """
    given = {name: value for name, value in by.items() if value is not None}
    for pair in PROMPTS:
        if not given.keys().isdisjoint(pair):
            values = {name: value for name, value in values.items() if name not in pair}
    return {**values, **given}
