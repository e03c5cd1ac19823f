"""JSON from strangers: bounded, without anything that two readers could read differently."""

from __future__ import annotations

import json
import math
import re
import types
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from mlbench.common.errors import DataError, Fault
from mlbench.leaderboard.entries.entry import RUN_LEFT_OUT, SCHEMAS, Document, table_of, to_json
from mlbench.leaderboard.entries.names import shown, text_fault, visible
from mlbench.measures.significance import Score
from mlbench.reports.report import RunInfo

if TYPE_CHECKING:
    from cattrs import Converter

MAX_JSON = 256 * 2**10
MAX_DEPTH = 32
MAX_TEXT = 20_000
MAX_INTEGER = 2**53
OLD_SCHEMA = "mlbench/entry/1"
AGAIN = (
    "an entry of an earlier form: write it again from its report with `mlbench submit`, figures "
    "from a publication with `mlbench leaderboard report`"
)
MULTILINE = re.compile(r"model\.(prompts|first_input)\..*|(declared\.source\.)?citation")
"""The fields whose text may have several lines."""

AnyDocument = TypeVar("AnyDocument", bound=Document)


def read_document(path: Path, kind: type[AnyDocument], where: str = "") -> AnyDocument:
    """Read a file of the leaderboard. Raises DataError with every fault of it (20 at most)."""
    where = where or str(path)
    return parse_document(read_bounded(path, MAX_JSON, where), kind, where)


def readable_json(document: Document, what: str) -> bytes:
    """Return the file of a document. Raises DataError where it could not be read again."""
    raw = to_json(document)
    if len(raw) > MAX_JSON:
        raise DataError(Fault(what, f"{len(raw):,} bytes", f"at most {MAX_JSON:,}"))
    parse_document(raw, type(document), what)
    return raw


def read_bounded(path: Path, limit: int, where: str) -> bytes:
    """Read a regular file of at most ``limit`` bytes. Raises DataError."""
    try:
        if path.is_symlink() or not path.is_file():
            found = "no such file" if not path.exists() else "not a regular file"
            raise DataError(Fault(where, found, "a regular file"))
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise DataError(Fault(where, f"not readable: {error.strerror}")) from None
    if len(raw) > limit:
        raise DataError(Fault(where, f"more than {limit:,} bytes", f"at most {limit:,} bytes"))
    return raw


def parse_document(raw: bytes, kind: type[AnyDocument], where: str) -> AnyDocument:
    """Read a document of the leaderboard from its bytes. Raises DataError with every fault."""
    import cattrs

    table = parse_json(raw, where)
    schema = SCHEMAS[kind]
    if not isinstance(table, dict) or table.get("schema") != schema:
        found = table.get("schema") if isinstance(table, dict) else type(table).__name__
        mend = AGAIN if found == OLD_SCHEMA else ""
        raise DataError(Fault(f"{where}, schema", shown(found), schema, mend))
    faults = [Fault(f"{where}, {key}", found) for key, found in _text_faults(table, "")]
    del table["schema"]
    try:
        document: AnyDocument = _converter().structure(table, kind)
    except cattrs.BaseValidationError as error:
        faults += [Fault(f"{where}, {key}", found) for key, found in _structure_faults(error)]
        raise DataError(*faults[:20]) from None
    missing = _missing(table, table_of(document), "")
    faults += [Fault(f"{where}, {key}", "missing") for key in missing]
    if faults:
        raise DataError(*faults[:20])
    return document


def parse_json(raw: bytes, where: str) -> Any:
    """Parse strict JSON in UTF-8. Raises DataError.

    Refused beside what JSON refuses: more than 32 levels, a key given twice, NaN and infinities,
    integers beyond 2^53, numbers too large for float64.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(Fault(f"{where}, byte {error.start}", "not UTF-8", "UTF-8")) from None
    depth = _depth(text)
    if depth > MAX_DEPTH:
        raise DataError(Fault(where, f"{depth:,} levels deep", f"at most {MAX_DEPTH} levels"))
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except ValueError as error:
        raise DataError(
            Fault(where, f"broken JSON: {visible(str(error))}", "strict JSON")
        ) from None


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.S):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {twice!r} given twice")
    return table


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError(f"integer of {len(digits)} digits beyond 2^53")
    return int(digits)


def _float(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"number {digits[:40]} is too large")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _text_faults(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield key and fault of every text, keys included, that is too long or hides something."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            yield key, f"{len(value):,} characters: at most {MAX_TEXT:,}"
        elif found := text_fault(value, keep="\n\t" if MULTILINE.fullmatch(key) else ""):
            yield key, found
    elif isinstance(value, dict):
        for name, below in value.items():
            if found := text_fault(name):
                yield f"{key}.{visible(name)}".lstrip("."), f"its key {found}"
            yield from _text_faults(below, f"{key}.{visible(name)}".lstrip("."))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _text_faults(below, f"{key}[{number}]")


def _missing(given: Any, full: Any, key: str) -> Iterator[str]:
    """Yield the keys that a document was given a default for."""
    if isinstance(given, dict) and isinstance(full, dict):
        for name, below in full.items():
            path = f"{key}.{name}".lstrip(".")
            if name in given:
                yield from _missing(given[name], below, path)
            else:
                yield path
    elif isinstance(given, list) and isinstance(full, list):
        for number, (one, other) in enumerate(zip(given, full, strict=True)):
            yield from _missing(one, other, f"{key}[{number}]")


@cache
def _converter() -> Converter:
    """Return a converter that takes every type as it is: no "5" for 5, no text for a list.

    Of a score null is taken too, for all but its value.
    """
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(kind: type, *json_types: type) -> None:
        def structure(value: Any, wanted: type) -> Any:  # ``kind``, or an enumeration of it
            if type(value) not in json_types:
                raise TypeError(f"not of type {kind.__name__}")
            return wanted(value)

        converter.register_structure_hook(kind, structure)

    exactly(str, str)
    exactly(int, int)
    exactly(float, int, float)

    def is_tuple(kind: Any) -> bool:
        return get_origin(kind) is tuple

    @converter.register_structure_hook_factory(is_tuple)
    def of_tuple(kind: Any, converter: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
        as_list: Any = types.GenericAlias(list, get_args(kind)[:1])

        def structure(value: Any, _: Any) -> tuple[Any, ...]:
            if type(value) is not list:
                raise TypeError("not a list")
            return tuple(converter.structure(value, as_list))

        return structure

    number = converter.get_structure_hook(float)

    def or_unknown(value: Any, kind: type) -> float:
        return math.nan if value is None else number(value, kind)

    left_out, unknown = override(omit=True), override(struct_hook=or_unknown)
    fields_of: dict[type, dict[str, Any]] = {
        RunInfo: dict.fromkeys(RUN_LEFT_OUT, left_out),
        Score: dict.fromkeys(("low", "high", "optimistic"), unknown),
    }
    for kind, of_fields in fields_of.items():
        hook: Any = make_dict_structure_fn(kind, converter, **of_fields)
        converter.register_structure_hook(kind, hook)
    return converter


def _structure_faults(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield key and fault of all that does not fit a document's schema."""
    import cattrs

    def told(fault: BaseException, kind: type | None) -> str:
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return f"none of {', '.join(kind)}"
        return cattrs.v.format_exception(fault, kind)

    for text in cattrs.transform_error(error, format_exception=told):
        found, _, path = text.rpartition(" @ $")
        key = re.sub(r"\['([^']*)'\]", r".\1", path).lstrip(".")
        yield visible(key) or "top level", visible(found)[:200]
