"""What a checkpoint's files may be and say: nothing that runs code but the libraries' own.

Configuration files: each rule is a row: a key, wherever it stands in a file, and which values of
it are harmless. Weights: what a file truly is, by its first bytes and, for safetensors, its header.

The format of safetensors: 8 bytes little-endian length of the header, the header in JSON (tensor
name -> dtype, shape, data_offsets; ``__metadata__`` -> strings), then the tensors' bytes without
gaps (https://huggingface.co/docs/safetensors). The library that reads it allows headers of 100 MB.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from mlbench.common.counts import plural

LARGEST = 16 * 2**20
"""Bytes of a configuration file; vocabularies, which are not read here, may be larger."""
CODE_MEND = "read the code that it names, then give --trust-remote-code if you trust it to run here"
MODULES = {
    "Transformer": True,
    "CLIPModel": True,
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
    "MultiVectorMask": False,
    "HierarchicalTokenPooling": False,
    "MLMTransformer": True,
    "SpladePooling": False,
    "SparseAutoEncoder": True,
    "SparseStaticEmbedding": True,
}
"""The modules of sentence-transformers that an encoder is made of, dense, of late interaction or
sparse, of texts alone or of images too, and whether each has weights of its own."""
_PYLATE = {"pylate.models.Dense.Dense": "Dense"}
"""Classes of PyLate, in place of which sentence-transformers takes its own."""
_VOCABULARY = re.compile(
    r"((tokenizer|added_tokens|tekken|byte_maps|word_shape|word_pronunciation)"
    r"|(entity_)?vocab.*|.*\.index)\.json"
)
_CLASS = re.compile(rf"sentence_transformers\.([a-z_0-9]+\.)+({'|'.join(MODULES)})(\.\2)?")
"""A class by its package, or by the module of its own that older versions had for each."""
_ACTIVATION = re.compile(r"torch\.nn\.(modules\.(activation|linear)\.)?[A-Z]\w*")
TRANSFORMER = re.compile(r"sentence_\w[\w-]*_config\.json")
_OWN_ATTENTION = ("", "eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm")
"""Implementations that come with torch and transformers; flash attention may come from the hub."""
_MODEL_ARGUMENTS = {
    "add_pooling_layer", "attn_implementation", "dtype", "low_cpu_mem_usage", "torch_dtype",
    "trust_remote_code", "use_safetensors", "weights_only",
}  # fmt: skip


def module_name(kind: Any) -> str | None:
    """Return the name in MODULES of a class of modules.json; None for any other class."""
    match = _CLASS.fullmatch(kind) if isinstance(kind, str) else None
    return match[2] if match else _PYLATE.get(str(kind))


def is_vocabulary(name: str) -> bool:
    """Say whether a JSON file holds tokens or places of tensors, which no rule is about."""
    return _VOCABULARY.fullmatch(name) is not None


def read_json(path: Path) -> tuple[Any, str]:
    """Return what a JSON file says, or None and what is wrong with it."""
    size = path.stat().st_size
    if size > LARGEST:
        return None, f"{plural(size, 'byte')} of JSON; at most {LARGEST:,} are read"
    if begins_with_mark(path):
        return None, BYTE_ORDER_MARK
    try:
        return json.loads(path.read_bytes().decode()), ""
    except (ValueError, RecursionError) as error:
        return None, f"not valid JSON ({error})"


LEFT_OUT = re.compile(r"(trainer_state|training_args|.*_results|eval.*)\.json", re.IGNORECASE)
PLAIN = re.compile(
    r".*\.(json|jinja|model|spm|tiktoken|vocab|codes|tokenizer)"
    r"|(vocab|merges|dict|added_tokens).*\.txt"
)
PROCESSORS = re.compile(r"(pre)?processor_config\.json")
"""What says how images are read; a module with one may have no tokenizer."""
TOKENIZERS = re.compile(
    r"(tokenizer|tekken|byte_maps)\.json|(vocab|merges).*|.*\.(model|spm|tiktoken|codes|tokenizer)"
)
OF_BYTES = re.compile(r"(ByT5|Canine|Perceiver)Tokenizer(Fast)?")
"""Tokenizers of bytes or characters, which have no vocabulary and so no file of one."""
MODELS_OF_BYTES = ("canine", "perceiver")
"""Kinds of model (``model_type``) that no other tokenizer belongs to."""
BYTE_ORDER_MARK = "begins with a byte order mark (BOM), which the libraries do not read"


def begins_with_mark(path: Path) -> bool:
    """Say whether a text begins with a byte order mark, as some editors write."""
    with path.open("rb") as file:
        return file.read(3).startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


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
    return all(one is None or isinstance(one, bool) or one in _OWN_ATTENTION for one in given)


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
    _Rule(re.compile("megatron_config"), _empty, "imports a module that the file names"),
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
        yield f"activation_function = {activation!r}, which is not a class of torch.nn"
    if TRANSFORMER.fullmatch(name):
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


LONGEST_HEADER = 16 * 2**20
"""Bytes; a checkpoint of 100,000 tensors has about 12 MB."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_PICKLES = {b"PK\x03\x04": "a zip archive, as PyTorch writes for pickled weights"} | {
    bytes([0x80, version]): f"a pickle (protocol {version})" for version in range(1, 6)
}
_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class _Malformed(ValueError):
    """A header breaks the format."""


def is_lfs_pointer(path: Path) -> bool:
    """Say whether Git LFS left a pointer in place of the file."""
    with path.open("rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER


def safetensors_fault(path: Path) -> str:
    """Return what is wrong with a safetensors file; "" if its header is sound."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        for magic, what in _PICKLES.items():
            if start.startswith(magic) and not _plausible(start, size):
                return f"{what}, not safetensors"
        if len(start) < 8:
            return f"{plural(size, 'byte')}, too short for safetensors"
        length = int.from_bytes(start, "little")
        if not _plausible(start, size):
            return f"not safetensors, or damaged: a header of {plural(length, 'byte')} in {size:,}"
        if length > LONGEST_HEADER:
            return f"a header of {plural(length, 'byte')}; at most {LONGEST_HEADER:,} are read"
        raw = file.read(length)
    try:
        _check_header(raw, size - 8 - length)
    except _Malformed as error:
        return f"damaged safetensors: {error}"
    return ""


def tensors(path: Path) -> dict[str, str]:
    """Return the names and dtypes of the tensors in a safetensors file that was found sound."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


def _plausible(start: bytes, size: int) -> bool:
    return len(start) == 8 and 2 <= int.from_bytes(start, "little") <= size - 8


def _check_header(raw: bytes, available: int) -> None:
    """Check that the tensors fill the ``available`` bytes exactly, and overlap nowhere."""
    try:
        header = json.loads(raw, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"the header is not valid JSON ({error})") from None
    if not isinstance(header, dict):
        raise _Malformed("the header is not a JSON object")
    header.pop("__metadata__", None)
    spans = sorted(_span(name, entry) for name, entry in header.items())
    end = 0
    for begin, stop in spans:
        if begin != end:
            raise _Malformed(f"tensors overlap or leave a gap at byte {min(begin, end):,}")
        end = stop
    if end != available:
        raise _Malformed(
            f"tensors take {plural(end, 'byte')}, the file has {available:,}: is it whole?"
        )


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise _Malformed("a name stands twice in the header")
    return table


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Return where a tensor's bytes begin and end, checked against its dtype and shape."""
    try:
        bits, shape = _BITS[entry["dtype"]], entry["shape"]
        begin, end = entry["data_offsets"]
        counts = [begin, end, *shape]
        if not all(type(number) is int and 0 <= number < 2**63 for number in counts):
            raise _Malformed(f"tensor {name!r} has sizes that are no natural numbers")
        if len(shape) > 16 or 8 * (end - begin) != math.prod(shape) * bits:
            raise _Malformed(f"tensor {name!r} does not fit its shape {shape[:16]}")
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, _Malformed):
            raise
        raise _Malformed(f"tensor {name!r} is not described as the format says") from None
    return begin, end


def leads_out(path: str) -> bool:
    """Say whether a path, of either system, is absolute or goes up."""
    windows = PureWindowsPath(path)
    return bool(windows.anchor) or ".." in windows.parts or "\0" in path
