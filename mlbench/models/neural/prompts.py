"""The prompt of each role: as asked for, else as this version of the library chooses it.

Where a model has prompts and the library gives a role none of them, because it looks for other
names, the report says so: what the model was trained with may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from mlbench.common.errors import Fault, UsageError, did_you_mean
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.files import read_json
from mlbench.models.neural.folder import MODEL_FILE
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.routes import PLURALS

ROLES = {"query": "encode_query", "passage": "encode_document"}
_LIKE = {
    "query": re.compile("quer|question", re.IGNORECASE),
    "passage": re.compile("passage|doc|corpus", re.IGNORECASE),
}
"""What the names of prompts for a role look like."""
_OTHER = {"query": "passage", "passage": "query"}
_FILLED_IN = 5
"""From this version on the library writes an empty prompt for each role into every model."""
_MOST_NAMED = 5


class _Recorder:
    """Stands in for a model whose ``encode_query`` or ``encode_document`` is called: keeps what
    that asks of ``encode``, so that prompts are chosen as this version of the library does."""

    def __init__(self, prompts: dict[str, str]) -> None:
        self.prompts = prompts
        self.asked: dict[str, Any] = {}

    def encode(self, **asked: Any) -> None:
        self.asked = asked


def what_is_asked(model: Any, role: str) -> dict[str, Any]:
    """Return what the library asks of ``encode`` for the texts of a role."""
    recorder = _Recorder(model.prompts)
    getattr(type(model), ROLES[role])(recorder, [])
    return recorder.asked


def choose_prompts(model: Any, options: NeuralOptions) -> dict[str, str]:
    """Return the prompt of each role.

    Raises UsageError for the name of a prompt that the model does not have.
    """
    return {role: _prompt(model, role, options) for role in ROLES}


def _prompt(model: Any, role: str, options: NeuralOptions) -> str:
    given: str | None = getattr(options, f"{role}_prompt")
    if given is not None:
        return given
    name = getattr(options, f"{role}_prompt_name")
    if name is not None and name not in model.prompts:
        where = f"option --{role}-prompt-name {name}"
        found = "the model has no prompt of that name"
        raise UsageError(Fault(where, found, mend=did_you_mean(name, model.prompts)))
    name = name or _chosen(model, role)
    prompt: str = (model.prompts.get(name) or "") if name else ""
    return prompt


def _chosen(model: Any, role: str) -> str | None:
    """Return the name of the prompt that the library takes for a role."""
    name: str | None = what_is_asked(model, role).get("prompt_name") or model.default_prompt_name
    return name


def prompt_notes(
    model: Any, checkpoint: Checkpoint, options: NeuralOptions, prompts: Mapping[str, str]
) -> list[str]:
    """Say which roles get no prompt though the model has some that may be meant for them."""
    notes = []
    for role in ROLES:
        asked_for = (f"{role}_prompt", f"{role}_prompt_name")
        if prompts[role] or any(getattr(options, each) is not None for each in asked_for):
            continue
        names = _unused(model, role, checkpoint.settings, prompts)
        if names:
            notes.append(_note(role, names, model.default_prompt_name))
        notes += _elsewhere(role, checkpoint)
    return notes


def _unused(
    model: Any, role: str, settings: Mapping[str, Any], prompts: Mapping[str, str]
) -> list[str]:
    """Return the names of prompts that may be meant for a role that gets none, likely ones first.

    None where the model itself says that the role's prompt is empty.
    """
    default, other = model.default_prompt_name, _OTHER[role]
    if not model.prompts.get(default) and _says_empty(_chosen(model, role), settings):
        return []
    used = prompts[other]
    names = [
        name
        for name, prompt in model.prompts.items()
        if prompt and prompt != used and not _LIKE[other].search(name)
    ]
    if role == "passage" and used:
        names = [name for name in names if _LIKE[role].search(name)]
    return sorted(names, key=lambda name: (name != default, not _LIKE[role].search(name)))


def _says_empty(name: str | None, settings: Mapping[str, Any]) -> bool:
    """Say whether the model's file gives an empty prompt of this name, which no library wrote."""
    own, versions = settings.get("prompts"), settings.get("__version__")
    version = versions.get("sentence_transformers") if isinstance(versions, dict) else None
    number = re.match(r"\d+", str(version))
    if number and int(number[0]) >= _FILLED_IN:
        return False
    return isinstance(own, dict) and own.get(name) == ""


def _note(role: str, names: Sequence[str], default: str | None) -> str:
    shown = ", ".join(map(repr, names[:_MOST_NAMED])) + (
        f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
    has = f"a prompt named {shown}" if len(names) == 1 else f"prompts named {shown}"
    takes = "it" if len(names) == 1 else "the first"
    takes += ", its default prompt" if names[0] == default else ""
    return (
        f"sentence-transformers gives {PLURALS[role]} no prompt, though the model has {has}: "
        f"--{role}-prompt-name {names[0]} would use {takes}"
    )


def _elsewhere(role: str, checkpoint: Checkpoint) -> list[str]:
    """Say which modules have settings with prompts of their own, which the library does not read:
    encoders that were put together into one model."""
    notes = []
    for file in checkpoint.files:
        path = PurePosixPath(file)
        if path.name != MODEL_FILE or file == MODEL_FILE or not _LIKE[role].search(str(path)):
            continue
        said = read_json(checkpoint.path(file))[0]
        own = said.get("prompts") if isinstance(said, dict) else None
        texts = {n: t for n, t in own.items() if t} if isinstance(own, dict) else {}
        if texts:
            notes.append(
                f"sentence-transformers does not read the prompts of {file} "
                f"({', '.join(map(repr, texts))}): --{role}-prompt TEXT would give "
                f"{PLURALS[role]} one of them"
            )
    return notes
