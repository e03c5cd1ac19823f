"""Load a checked checkpoint with the sentence-transformers library, and ask it what it is."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from mlbench import __version__
from mlbench.common.errors import EnvironmentFault, Fault, ModelError, UsageError, did_you_mean
from mlbench.models.cache import packed, question_digest
from mlbench.models.neural.folder import Checkpoint
from mlbench.models.neural.forms import UNCUT, Asked
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.protocol import SIMILARITY_NAMES

ROLES = {"query": "encode_query", "passage": "encode_document"}
EXTRA = "pip install 'mlbench[sentence-transformers]'"
_UNUSED = re.compile(r"\bpooler\b")
"""Weights of the transformers library's own pooler, which no pooling of ours reads."""
_FOREIGN = (
    "--trust-remote-code was given: code that the model takes from elsewhere than its folder is no "
    "part of its identity"
)
_MISSING = re.compile(r"^(\S.*?)\s*\|\s*MIS(?:SING|MATCH)", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Facts:
    """What is known of a loaded model; ``notes`` are for the report.

    By role are ``prompts`` and ``lengths``, the tokens after which texts are cut (None: never).
    """

    prompts: dict[str, str]
    pooling: str
    lengths: dict[str, int | None]
    truncate_dim: int | None
    dtype: str
    parameters: int
    device: str
    notes: tuple[str, ...]

    def chosen(self, similarity: str, backend: str) -> dict[str, Any]:
        """Return all that a vector depends on beside the files and prompts."""
        return {
            "similarity": similarity,
            "pooling": self.pooling.removesuffix(" (assumed)"),
            "max_length": self.lengths,
            "truncate_dim": self.truncate_dim,
            "dtype": self.dtype,
            "backend": backend,
        }

    def to_bytes(self) -> bytes:
        """Return them as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Facts:
        """Read what ``to_bytes`` wrote."""
        table: dict[str, Any] = json.loads(raw)
        return cls(**table | {"notes": tuple(table["notes"])})

    def differing(self, other: Facts) -> list[str]:
        """Return the names of the fields that differ; the device may."""
        names = [field.name for field in fields(self) if field.name != "device"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True)
class Loaded:
    """A model of the library, what it is ``asked`` to do with the texts of each role, its facts."""

    model: Any
    asked: dict[str, Asked]
    facts: Facts


def similarity_of(checkpoint: Checkpoint, options: NeuralOptions) -> str:
    """Return "cosine" or "dot", as asked for, else as the model says, else cosine.

    Raises ModelError for one that mlbench cannot rank by.
    """
    if options.similarity:
        return options.similarity
    own = checkpoint.settings.get("similarity_fn_name")
    if own is None:
        return "cosine"
    if own not in SIMILARITY_NAMES:
        raise ModelError(
            Fault(
                f"model {checkpoint.folder}",
                f"its similarity is {own!r}",
                "cosine or dot",
                "choose one of these with --similarity",
            )
        )
    return SIMILARITY_NAMES[own]


def check_installed(backend: str) -> None:
    """Raise EnvironmentFault where a library that is needed is not installed."""
    needed = {"sentence_transformers": EXTRA, "torch": EXTRA}
    if backend == "onnx":
        needed["onnxruntime"] = "pip install 'sentence-transformers[onnx]'"
    if backend == "openvino":
        needed["openvino"] = "pip install 'sentence-transformers[openvino]'"
    faults = [
        Fault("neural models", f"the library {name} is not installed", mend=mend)
        for name, mend in needed.items()
        if importlib.util.find_spec(name) is None
    ]
    if faults:
        raise EnvironmentFault(*faults)


def check_devices(devices: tuple[str, ...]) -> None:
    """Raise EnvironmentFault for a device that this machine does not have."""
    import torch

    present = {
        "cuda": torch.cuda.device_count,
        "mps": lambda: int(torch.backends.mps.is_available()),
    }
    for device in devices:
        kind, _, number = device.partition(":")
        if kind in present and int(number or 0) >= present[kind]():
            found = f"{present[kind]()} such devices on this machine"
            raise EnvironmentFault(
                Fault(f"option --device {device}", found, "a device of this machine")
            )


def load_model(checkpoint: Checkpoint, options: NeuralOptions, similarity: str) -> Loaded:
    """Load the model onto the first device.

    Raises UsageError for an option that does not suit the model, ModelError for a checkpoint
    that lacks weights.
    """
    from sentence_transformers import SentenceTransformer

    check_devices(options.device)
    arguments: dict[str, Any] = {"dtype": options.dtype} if options.dtype else {}
    if not options.allow_pickle and options.backend == "torch":
        arguments["use_safetensors"] = True
    with checkpoint.view() as view, _complete(checkpoint.folder):
        model = SentenceTransformer(
            str(view),
            device=options.device[0] if options.device else None,
            trust_remote_code=options.trust_remote_code,
            local_files_only=options.offline or not options.trust_remote_code,
            model_kwargs=arguments,
            backend=options.backend,
            similarity_fn_name=similarity,
        )
    model.eval()
    truncate_dim = _truncate(model, options.truncate_dim)
    notes = [_FOREIGN] if options.trust_remote_code else []
    pooling = _pool(model, checkpoint.layout, options.pooling, notes)
    _cut(model, options.max_length, notes)
    asked = {role: _ask(model, role, options, notes) for role in ROLES}
    weights = list(model.parameters())
    facts = Facts(
        prompts={role: asked[role].prompt for role in ROLES},
        pooling=pooling,
        lengths={role: _length(model, role) for role in ROLES},
        truncate_dim=truncate_dim,
        dtype=str(weights[0].dtype).removeprefix("torch.") if weights else "float32",
        parameters=sum(weight.numel() for weight in weights),
        device=str(model.device),
        notes=tuple(notes),
    )
    return Loaded(model, asked, facts)


@contextlib.contextmanager
def _complete(folder: Path) -> Iterator[None]:
    """Refuse a checkpoint that lacks weights, which transformers would make up at random.

    It only logs them, one a line: ``name | MISSING |``. Progress bars are turned off meanwhile.
    """
    from transformers.utils import logging as library

    missing: list[str] = []

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = _COLOUR.sub("", record.getMessage())
            missing.extend(name for name in _MISSING.findall(text) if not _UNUSED.search(name))

    watch, logger = Watch(), logging.getLogger("transformers")
    level, bars = logger.level, library.is_progress_bar_enabled()
    logger.addHandler(watch)
    logger.setLevel(min(logging.WARNING, level or logging.WARNING))
    library.disable_progress_bar()
    try:
        yield
    finally:
        logger.removeHandler(watch)
        logger.setLevel(level)
        if bars:
            library.enable_progress_bar()
    if missing:
        names = ", ".join(sorted(set(missing))[:10])
        raise ModelError(
            Fault(
                f"model {folder}",
                f"its weights lack {len(set(missing))} tensors: {names}",
                "all that its config.json describes",
                "save the checkpoint again, or correct its config.json",
            )
        )


def _truncate(model: Any, wanted: int | None) -> int | None:
    """Return how many dimensions to keep; None for all."""
    own, model.truncate_dim = model.truncate_dim, None
    full = model.get_embedding_dimension()
    if wanted and full and wanted > full:
        raise UsageError(
            Fault(f"option --truncate-dim {wanted}", f"the model has {full} dimensions")
        )
    kept: int | None = wanted or own
    return kept


def _pool(model: Any, layout: str, wanted: str | None, notes: list[str]) -> str:
    """Set the pooling if one is wanted; return what it is."""
    modules = [module for module in model if type(module).__name__ == "Pooling"]
    if wanted:
        if len(modules) != 1:
            raise UsageError(
                Fault(f"option --pooling {wanted}", f"the model has {len(modules)} pooling modules")
            )
        modules[0].pooling_mode = wanted
        modules[0].pooling_output_dimension = modules[0].embedding_dimension
        return wanted
    names = "+".join(
        mode if isinstance(mode, str) else "+".join(mode)
        for mode in (module.pooling_mode for module in modules)
    )
    if layout == "transformers" and names:
        notes.append(
            f"a transformers checkpoint does not say how token vectors become one: {names} "
            "pooling is taken; --pooling chooses another"
        )
        return f"{names} (assumed)"
    return names or "none"


def _cut(model: Any, wanted: int | None, notes: list[str]) -> None:
    """Set the maximum length, and keep it within what the model has positions for."""
    positions = _positions(model)
    if not isinstance(model.max_seq_length, int):
        if wanted:
            raise UsageError(
                Fault(f"option --max-length {wanted}", "this model does not cut texts")
            )
        return
    if wanted:
        if positions and wanted > positions:
            found = f"the model has {positions} positions"
            raise UsageError(Fault(f"option --max-length {wanted}", found, f"at most {positions}"))
        model.max_seq_length = wanted
    elif positions and model.max_seq_length > positions:
        notes.append(
            f"its tokenizer allows {model.max_seq_length:,} tokens, the model has {positions} "
            "positions: texts are cut there"
        )
        model.max_seq_length = positions


def _positions(model: Any) -> int | None:
    """Return for how many tokens the model learned positions; None if it does not count them."""
    import torch

    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding):
            offset = 0 if table.padding_idx is None else table.padding_idx + 1
            return int(table.num_embeddings) - offset
    return None


class _Recorder:
    """Stands in for a model whose ``encode_query`` or ``encode_document`` is called: keeps what
    that asks of ``encode``, so that prompts are chosen as this version of the library does."""

    def __init__(self, prompts: dict[str, str]) -> None:
        self.prompts = prompts
        self.asked: dict[str, Any] = {}

    def encode(self, **asked: Any) -> None:
        self.asked = asked


def _ask(model: Any, role: str, options: NeuralOptions, notes: list[str]) -> Asked:
    """Return the prompt of a role, and what else the library gives its modules for that role."""
    recorder = _Recorder(model.prompts)
    getattr(type(model), ROLES[role])(recorder, [])
    task = recorder.asked.get("task")
    arguments = {"task": task} if task else {}
    given = getattr(options, f"{role}_prompt")
    if given is not None:
        return Asked(given, arguments)
    name = getattr(options, f"{role}_prompt_name")
    if name is not None and name not in model.prompts:
        where = f"option --{role}-prompt-name {name}"
        found = "the model has no prompt of that name"
        raise UsageError(Fault(where, found, mend=did_you_mean(name, model.prompts)))
    name = name or recorder.asked.get("prompt_name") or model.default_prompt_name
    prompt = model.prompts.get(name) or "" if name else ""
    other = next((n for n in ("passage", "corpus") if model.prompts.get(n)), None)
    if role == "passage" and not prompt and other:
        notes.append(
            f"sentence-transformers gives passages no prompt, though the model has one named "
            f"{other!r}: --passage-prompt-name {other} would use it"
        )
    return Asked(prompt, arguments)


def _length(model: Any, role: str) -> int | None:
    """Return the tokens after which a text of that role is cut."""
    own = getattr(model[0], "query_length" if role == "query" else "document_length", None)
    length = own or model.max_seq_length
    return int(length) if length and length < UNCUT else None


LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers")
_OF_THE_RUN = ("name", "revision", "offline", "batch_tokens")
"""Options that change nothing of a loaded model."""


def versions() -> dict[str, str]:
    """Return the versions of the libraries that run a model."""
    return {name: metadata.version(name) for name in LIBRARIES}


def digest(checkpoint: Checkpoint, prompts: dict[str, str], chosen: dict[str, Any]) -> str:
    """SHA-256 (hex) over files, prompts and what was chosen; not over path, name or device."""
    said = (checkpoint.layout, checkpoint.sha256, json.dumps([prompts, chosen], sort_keys=True))
    raw = packed(field.encode("utf-8", "surrogatepass") for field in said)
    return hashlib.sha256(raw).hexdigest()


def facts_digest(checkpoint: Checkpoint, options: NeuralOptions) -> str:
    """Return the digest of the question for a model's facts."""
    given = {name: value for name, value in asdict(options).items() if name not in _OF_THE_RUN}
    said = json.dumps([__version__, versions(), given], sort_keys=True)
    return question_digest("facts", [checkpoint.layout, checkpoint.sha256, said])
