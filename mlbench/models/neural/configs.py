"""What a checkpoint's configuration files may say: nothing that runs code but the libraries' own.

Each rule is a row: a key, wherever it stands in a file, and which values of it are harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST = 16 * 2**20
"""Bytes of a configuration file; vocabularies, which are not read here, may be larger."""
CODE_MEND = "read the code that it names, then give --trust-remote-code if you trust it to run here"
MODULES = {
    "Transformer": True,
    "StaticEmbedding": True,
    "Pooling": False,
    "Normalize": False,
    "Dense": True,
    "LayerNorm": True,
    "Dropout": False,
    "WeightedLayerPooling": True,
    "CNN": True,
    "LSTM": True,
    "Router": False,
    "Asym": False,
}
"""The modules of sentence-transformers that a dense text encoder is made of, and whether each has
weights of its own."""
_CLASS = re.compile(rf"sentence_transformers\.([a-z_0-9]+\.)+({'|'.join(MODULES)})")
_ACTIVATION = re.compile(r"torch\.nn\.(modules\.(activation|linear)\.)?[A-Z]\w*")
_TRANSFORMER = re.compile(r"sentence_\w[\w-]*_config\.json")
_OWN_ATTENTION = ("", "eager", "sdpa")
_MODEL_ARGUMENTS = {
    "add_pooling_layer", "attn_implementation", "dtype", "low_cpu_mem_usage", "torch_dtype",
    "trust_remote_code", "use_safetensors", "weights_only",
}  # fmt: skip


def module_name(kind: Any) -> str | None:
    """Return the name in MODULES of a class of modules.json; None for any other class."""
    match = _CLASS.fullmatch(kind) if isinstance(kind, str) else None
    return match[2] if match else None


def is_vocabulary(name: str) -> bool:
    """Say whether a JSON file holds tokens or places of tensors, which no rule is about."""
    known = ("tokenizer.json", "vocab.json", "added_tokens.json", "tekken.json")
    return name in known or name.endswith(".index.json")


def read_json(path: Path) -> tuple[Any, str]:
    """Return what a JSON file says, or None and what is wrong with it."""
    size = path.stat().st_size
    if size > LARGEST:
        return None, f"{size:,} bytes of JSON; at most {LARGEST:,} are read"
    try:
        return json.loads(path.read_bytes()), ""
    except (ValueError, RecursionError) as error:
        return None, f"not valid JSON ({error})"


@dataclass(frozen=True)
class _Rule:
    """A key that is harmless with some values only."""

    key: re.Pattern[str]
    harmless: Callable[[Any], bool]
    what: str


def _empty(value: Any) -> bool:
    return not value


def _own_attention(value: Any) -> bool:
    given = value.values() if isinstance(value, dict) else [value]
    return all(one is None or one in _OWN_ATTENTION for one in given)


_RULES = (
    _Rule(re.compile("auto_map"), _empty, "takes classes from code that comes with the model"),
    _Rule(re.compile("custom_pipelines|custom_generate"), _empty, "runs code of the model"),
    _Rule(re.compile("trust_remote_code"), _empty, "asks to run code of the model"),
    _Rule(re.compile("code_revision"), _empty, "takes code from the hub"),
    _Rule(
        re.compile(r"\w*(attn|experts)_implementation\w*"),
        _own_attention,
        "can take a kernel from the hub",
    ),
    _Rule(re.compile("use_kernels|kernel_config"), _empty, "takes kernels from the hub"),
    _Rule(re.compile("quantization_config"), _empty, "can take kernels from the hub"),
    _Rule(re.compile("weights_only|use_safetensors"), lambda v: v is not False, "opens pickles"),
    _Rule(re.compile("gguf_file|tokenizer_name_or_path"), _empty, "loads another file or model"),
)


def config_faults(config: Any, name: str, trusted: bool) -> Iterator[str]:
    """Yield what a configuration file of this name says that could run foreign code.

    Nothing is wrong with any of it where the user trusts the model's code.
    """
    if trusted:
        return
    for key, value in _entries(config):
        for rule in _RULES:
            if rule.key.fullmatch(key) and not rule.harmless(value):
                yield f"{key} = {json.dumps(value)[:200]}, which {rule.what}"
    if not isinstance(config, dict):
        return
    activation = config.get("activation_function")
    if isinstance(activation, str) and "." in activation and not _ACTIVATION.fullmatch(activation):
        yield f"activation_function = {activation!r}, which is no class of torch.nn"
    if _TRANSFORMER.fullmatch(name):
        for key in ("model_args", "model_kwargs"):
            given = config.get(key) or {}
            unknown = sorted(set(given) - _MODEL_ARGUMENTS) if isinstance(given, dict) else [key]
            if unknown:
                yield f"{key} gives {', '.join(unknown)} to the library that loads the weights"


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and its value, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
