"""PEFT adapters (LoRA and its kin): their base is found, and they are merged into it in memory.

What a checkpoint is made of then lies in two folders. A sentence-transformers folder whose
Transformer is an adapter says itself how the model is to be used; for a folder that holds nothing
but an adapter, its base model says so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from mlbench.common.counts import plural
from mlbench.common.errors import (
    EnvironmentFault,
    Fault,
    MlbenchError,
    ModelError,
    UsageError,
    install_extra,
)
from mlbench.models.neural.checkpoint import Adapter, Checkpoint
from mlbench.models.neural.files import TOKENIZERS
from mlbench.models.neural.folder import CONFIG_FILE, inspect_folder
from mlbench.models.neural.hub import fetch
from mlbench.models.neural.options import NeuralOptions

_DECLARED = "base_model_name_or_path"
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_WEIGHTS = re.compile(r".*\.(safetensors|bin)(\.index\.json)?")
_OF_TOKENIZER = re.compile(r"(special_tokens_map|added_tokens|tokenizer_config)\.json|.*\.jinja")
_LONGEST = 500
_GIVE = "give --base-model FOLDER, or ORG/NAME of the hub"


def with_base(checkpoint: Checkpoint, options: NeuralOptions) -> Checkpoint:
    """Return the checkpoint of an adapter and its base model together; any other as it is.

    Raises ModelError for a base that is not there or is no whole model, UsageError for one that is
    given and other than declared, EnvironmentFault where peft is not installed.
    """
    adapter = checkpoint.adapter
    if adapter is None:
        if options.base_model:
            found = "given for a model that is no adapter"
            raise UsageError(Fault(f"option --base-model {options.base_model}", found))
        return checkpoint
    where = f"adapter {adapter.folder}"
    if importlib.util.find_spec("peft") is None:
        found = "the library peft is not installed"
        raise EnvironmentFault(Fault(where, found, mend=install_extra("peft")))
    with _named(where):
        base = inspect_folder(find_base(adapter, options), replace(options, revision=None))
    if base.adapter is not None:
        found = f"its base model {base.folder} is an adapter, too"
        raise ModelError(Fault(where, found, "a whole model", "merge that one into its base first"))
    places = [place for name, place in base.modules if name == "Transformer"]
    if len(places) != 1:
        found = f"its base model {base.folder} has {plural(len(places), 'module')} of transformers"
        raise ModelError(Fault(where, found, "one, which the adapter is for"))
    return _together(checkpoint, adapter, base, places[0])


def find_base(adapter: Adapter, options: NeuralOptions) -> Path:
    """Return the folder of an adapter's base model: as given, else as the adapter declares it, as
    a folder (from its own folder, or the current one) or a model of the hub."""
    declared, given = adapter.config.get(_DECLARED), options.base_model
    where = f"adapter {adapter.folder}"
    if not given and not (isinstance(declared, str) and declared.strip()):
        found = "does not say which model it is for"
        raise ModelError(Fault(where, found, f"{_DECLARED} in adapter_config.json", _GIVE))
    name = given or str(declared)
    ways = [Path(name)] if given else [adapter.folder / name, Path(name)]
    for folder in ways:
        if folder.is_dir():
            return folder
    if given and _HUB_NAME.fullmatch(str(declared)) and given != declared:
        found = f"the adapter is for {declared}"
        raise UsageError(Fault(f"option --base-model {given}", found, "that model, or its folder"))
    if not _HUB_NAME.fullmatch(name):
        found = f"its base model {name!r} is not on this machine"
        raise ModelError(Fault(where, found, "the folder of that model", _GIVE))
    revision = None if given else adapter.config.get("revision")
    return fetch(name, replace(options, revision=revision or None))


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Say whose base model it is that an error is about."""
    try:
        yield
    except (ModelError, EnvironmentFault) as error:
        faults = [
            each if each.where == where else replace(each, where=f"{where}, base {each.where}")
            for each in error.faults
        ]
        raise type(error)(*faults) from error


def _together(own: Checkpoint, adapter: Adapter, base: Checkpoint, place: str) -> Checkpoint:
    """Return one checkpoint of the files of both, in the layout of that which has modules.json."""
    tokenizer = [name for name in own.files if _is_tokenizer(name, adapter.place)]
    alone = own.layout == "transformers"
    leading, target = (base, place) if alone else (own, adapter.place)
    origins: dict[str, Path] = {}
    if alone:
        origins = {name: base.folder / name for name in base.files}
        if tokenizer:
            origins = {n: path for n, path in origins.items() if not _is_tokenizer(n, place)}
            origins |= {_moved(name, target): own.folder / name for name in tokenizer}
    else:
        kept = {*own.files} - {_join(adapter.place, name) for name in adapter.files}
        origins = {name: own.folder / name for name in kept}
        for name in base.files:
            network = PurePosixPath(name) == PurePosixPath(place, CONFIG_FILE)
            network = network or _WEIGHTS.fullmatch(name) is not None
            inside = PurePosixPath(name).parent == PurePosixPath(place)
            if inside and (network or (not tokenizer and _is_tokenizer(name, place))):
                origins[_moved(name, target)] = base.folder / name
    both = hashlib.sha256(f"{own.sha256} into {base.sha256}".encode()).hexdigest()
    return replace(
        leading, folder=own.folder, files=tuple(sorted(origins)), sha256=both, adapter=adapter,
        origins=origins,
    )  # fmt: skip


def _join(place: str, name: str) -> str:
    return str(PurePosixPath(place, name))


def _moved(name: str, place: str) -> str:
    return _join(place, PurePosixPath(name).name)


def _is_tokenizer(name: str, place: str) -> bool:
    path = PurePosixPath(name)
    named = TOKENIZERS.fullmatch(path.name) or _OF_TOKENIZER.fullmatch(path.name)
    return path.parent == PurePosixPath(place) and bool(named)


def merge(checkpoint: Checkpoint, model: Any) -> list[str]:
    """Merge the adapter of a checkpoint into its model, if it has one; return notes.

    Raises ModelError for an adapter that does not fit the base model, or cannot be merged.
    """
    adapter = checkpoint.adapter
    if adapter is None:
        return []
    from peft import PeftConfig, PeftModel
    from peft.utils import get_peft_model_state_dict

    network = next(each.auto_model for each in model.modules() if hasattr(each, "auto_model"))
    where = f"adapter {adapter.folder}"
    with adapter.view() as view, _fitting(where, network):
        config = PeftConfig.from_pretrained(str(view))
        if config.is_prompt_learning:
            raise ModelError(
                Fault(where, f"of type {config.peft_type.value}, which adds tokens to texts",
                      "one that can be merged into its base model, such as LoRA")
            )  # fmt: skip
        adapted = PeftModel.from_pretrained(network, str(view), config=config)
        _check_names(where, network, view, get_peft_model_state_dict(adapted))
        adapted.merge_and_unload(safe_merge=True)
    model.eval()
    declared = adapter.config.get(_DECLARED)
    return [
        f"an adapter ({config.peft_type.value}) was merged into its base model {declared}; "
        "files of both are part of the identity"
    ]


def _check_names(where: str, network: Any, view: Path, known: Iterable[str]) -> None:
    """Raise ModelError for tensors of an adapter that its base model has no place for."""
    from peft.utils import load_peft_weights

    saved, there = {*load_peft_weights(str(view), device="cpu")}, {*known}
    differing = sorted(saved ^ there)
    if differing:
        found = (
            f"{plural(len(differing), 'tensor')}, such as {differing[0]}, that do not match its "
            "base model"
        )
        expected = f"an adapter for a {type(network).__name__}"
        raise ModelError(Fault(where, found, expected, f"correct {_DECLARED}, or {_GIVE}"))


@contextmanager
def _fitting(where: str, network: Any) -> Iterator[None]:
    """Say in our own words what the library raises where an adapter is for another model."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what peft calls in transformers
            yield
    except (MlbenchError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:_LONGEST]
        found = f"cannot be merged into its base model, a {type(network).__name__}: {said}"
        mend = f"correct {_DECLARED}, or {_GIVE}"
        expected = "the base model that it was trained for"
        raise ModelError(Fault(where, found, expected, mend)) from error
