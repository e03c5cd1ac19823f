"""What a weights file truly is, by its first bytes and, for safetensors, its header.

The format: 8 bytes little-endian length of the header, the header in JSON (tensor name ->
dtype, shape, data_offsets; ``__metadata__`` -> strings), then the tensors' bytes without gaps
(https://huggingface.co/docs/safetensors). The library that reads it allows headers of 100 MB.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

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
            return f"{size} bytes, too short for safetensors"
        length = int.from_bytes(start, "little")
        if not _plausible(start, size):
            return f"not safetensors, or damaged: a header of {length:,} bytes in {size:,}"
        if length > LONGEST_HEADER:
            return f"a header of {length:,} bytes; at most {LONGEST_HEADER:,} are read"
        raw = file.read(length)
    try:
        _check_header(raw, size - 8 - length)
    except _Malformed as error:
        return f"not sound safetensors: {error}"
    return ""


def _plausible(start: bytes, size: int) -> bool:
    return len(start) == 8 and 2 <= int.from_bytes(start, "little") <= size - 8


def _check_header(raw: bytes, available: int) -> None:
    """Check that the tensors fill the ``available`` bytes exactly, and overlap nowhere."""
    try:
        header = json.loads(raw, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"the header is not valid JSON ({error})") from None
    if not isinstance(header, dict):
        raise _Malformed("the header is no JSON object")
    header.pop("__metadata__", None)
    spans = sorted(_span(name, entry) for name, entry in header.items())
    end = 0
    for begin, stop in spans:
        if begin != end:
            raise _Malformed(f"tensors overlap or leave a gap at byte {min(begin, end):,}")
        end = stop
    if end != available:
        raise _Malformed(f"tensors take {end:,} bytes, the file has {available:,}: is it whole?")


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
