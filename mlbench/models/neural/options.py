"""The options of a neural model: on the command line, in a model file, else the model's own.

A model file is TOML: ``path`` (a checkpoint folder, relative to the file) or ``model`` (a hub
id), and any of OPTIONS, spelt as here:

    path = "checkpoints/step-2000"
    query_prompt = "Query: "
    passage_prompt = "Passage: "
    max_length = 256
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.common.errors import Fault, UsageError, did_you_mean
from mlbench.models.protocol import SIMILARITIES

POOLINGS = ("mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens")
DTYPES = ("float32", "float16", "bfloat16")
BACKENDS = ("torch", "onnx", "openvino")
LOCATIONS = ("path", "model")
_DEVICE = re.compile(r"(cpu|mps|(cuda|xpu|npu|hpu)(:\d+)?)")


@dataclass(frozen=True)
class NeuralOptions:
    """How a checkpoint is to be used; None and () leave it to the model."""

    name: str | None = None
    revision: str | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None
    query_prompt_name: str | None = None
    passage_prompt_name: str | None = None
    pooling: str | None = None
    max_length: int | None = None
    truncate_dim: int | None = None
    similarity: str | None = None
    dtype: str | None = None
    backend: str = "torch"
    device: tuple[str, ...] = ()
    batch_tokens: int | None = None
    offline: bool = False
    trust_remote_code: bool = False
    allow_pickle: bool = False


class _Wrong(ValueError):
    """A value is not what its option takes."""


@dataclass(frozen=True)
class Option:
    """One option: its field of NeuralOptions, how a value is read, and what to tell the user.

    On the command line it is ``flag``; without ``metavar`` it takes no value there. ``read``
    takes the string of a command line or the value of a TOML file.
    """

    name: str
    read: Callable[[Any], Any]
    help: str
    metavar: str = ""

    @property
    def flag(self) -> str:
        """Return how it is written on the command line."""
        return "--" + self.name.replace("_", "-")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("a string")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Wrong("a string that is not empty")
    return value


def _count(value: Any) -> int:
    given = str(value)
    if isinstance(value, bool) or not given.isdecimal() or int(given) < 1:
        raise _Wrong("a whole number from 1")
    return int(given)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def _devices(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not given:
        raise _Wrong("a device such as cpu or cuda:0, or several")
    devices = tuple(str(device).strip() for device in given)
    if not all(map(_DEVICE.fullmatch, devices)):
        raise _Wrong("cpu, mps, cuda or cuda:N, or several of them")
    return devices


def _one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise _Wrong(f"one of {', '.join(choices)}")
        return str(value)

    return read


def _list(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


OPTIONS = (
    Option("name", _word, "name of the model in reports", "NAME"),
    Option("revision", _word, "branch, tag or commit of a model from the hub", "REV"),
    Option("query_prompt", _text, "text put before every query", "TEXT"),
    Option("passage_prompt", _text, "text put before every passage", "TEXT"),
    Option("query_prompt_name", _word, "which of the model's own prompts queries get", "NAME"),
    Option("passage_prompt_name", _word, "which of the model's own prompts passages get", "NAME"),
    Option("pooling", _one_of(*POOLINGS), f"token vectors to one: {_list(POOLINGS)}", "NAME"),
    Option("max_length", _count, "tokens after which a text is cut", "N"),
    Option("truncate_dim", _count, "keep the first N dimensions (Matryoshka)", "N"),
    Option(
        "similarity", _one_of(*SIMILARITIES), f"how vectors compare: {_list(SIMILARITIES)}", "NAME"
    ),
    Option("dtype", _one_of(*DTYPES), f"type of the weights: {_list(DTYPES)}", "NAME"),
    Option("backend", _one_of(*BACKENDS), f"what runs the model: {_list(BACKENDS)}", "NAME"),
    Option("device", _devices, "where it runs; several, as cuda:0,cuda:1, share it", "DEVICES"),
    Option("batch_tokens", _count, "tokens encoded at once", "N"),
    Option("offline", _switch, "take models of the hub from its cache only"),
    Option("trust_remote_code", _switch, "run Python code that comes with the model"),
    Option("allow_pickle", _switch, "open pickled weights, which can run code"),
)
_BY_NAME = {option.name: option for option in OPTIONS}


def parse_options(values: Mapping[str, Any], where: str = "") -> NeuralOptions:
    """Return ``values`` (field -> value) as options; None stands for "not given".

    ``where`` is the file that they come from, "" for the command line. Raises UsageError with
    every fault.
    """
    read: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in values.items():
        option = _BY_NAME.get(name)
        if option is None:
            hint = did_you_mean(name, [*_BY_NAME, *LOCATIONS] if where else _BY_NAME)
            faults.append(Fault(_place(name, where), "no such option", mend=hint))
        elif value is not None:
            try:
                read[name] = option.read(value)
            except _Wrong as wrong:
                faults.append(Fault(_place(name, where), f"{value!r}", str(wrong)))
    for role in ("query", "passage"):
        prompt, by_name = f"{role}_prompt", f"{role}_prompt_name"
        if prompt in read and by_name in read:
            both = f"{_place(prompt, where)} and {_place(by_name, where)}"
            faults.append(Fault(both, "both given", "one of them"))
    if faults:
        raise UsageError(*faults)
    return NeuralOptions(**read)


def _place(name: str, where: str) -> str:
    return f"{where}, field {name}" if where else f"option --{name.replace('_', '-')}"


@dataclass(frozen=True)
class ModelFile:
    """A model file: a checkpoint ``folder`` or else a ``hub`` id, and its options unread."""

    folder: Path | None
    hub: str
    values: dict[str, Any]


def read_model_file(path: Path) -> ModelFile:
    """Read a model file. Raises UsageError if it is unreadable, or names no one model."""
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        found = f"cannot be read: {error.strerror or error}"
        raise UsageError(Fault(str(path), found, "a model file")) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(Fault(str(path), f"broken TOML: {error}", "valid TOML in UTF-8")) from None
    given = {key: table.pop(key) for key in LOCATIONS if key in table}
    if len(given) != 1:
        found = "both path and model given" if given else "neither path nor model given"
        raise UsageError(
            Fault(str(path), found, 'path = "FOLDER", or model = "ORG/NAME" for one from the hub')
        )
    faults = [
        Fault(f"{path}, field {key}", f"{value!r}", "a string that is not empty")
        for key, value in given.items()
        if not isinstance(value, str) or not value.strip()
    ]
    if faults:
        raise UsageError(*faults)
    folder = path.parent / given["path"] if "path" in given else None
    return ModelFile(folder, given.get("model", ""), table)


def override(values: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` of a model file with those that the command line gives instead.

    A prompt replaces a prompt name of the same role, and the other way about.
    """
    given = {name: value for name, value in by.items() if value is not None}
    for role in ("query", "passage"):
        pair = (f"{role}_prompt", f"{role}_prompt_name")
        if not given.keys().isdisjoint(pair):
            values = {name: value for name, value in values.items() if name not in pair}
    return {**values, **given}
