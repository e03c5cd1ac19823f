"""TOML files of every kind, and JSON of the leaderboard: read into frozen dataclasses, all faults
of a file said at once.

A *form* is a frozen dataclass; the types of its fields say what a file may hold: ``str``, ``bool``,
``int``, ``float``, ``Path``, a ``StrEnum``, ``tuple[X, ...]`` for a list, ``dict[str, X]`` for a
table, another form, ``X | None``, and ``Annotated[X, Takes(...)]`` where not every X will do. A
field without a default is required; one that is NaN by default takes JSON's null, too. In the names
of a form's own fields a hyphen is an underscore.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import GenericAlias, UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from mlbench.common.errors import (
    EnvironmentFault,
    Fault,
    MlbenchError,
    UsageError,
    did_you_mean,
    nearest,
)

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


class Wrong(ValueError):
    """A value is not what its field takes: what was found, what was expected, how to mend it."""

    def __init__(self, found: str, expected: str, mend: str = "") -> None:
        super().__init__(f"{found} is not {expected}")
        self.found, self.expected, self.mend = found, expected, mend


@dataclass(frozen=True)
class Takes:
    """What a field takes: ``expected`` says it to people; ``read`` checks a value as the file has
    it, and may return it in another form. It raises ValueError, or Wrong to say more, or a group
    of them."""

    expected: str
    read: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        """Return the value. Raises Wrong."""
        try:
            return self.read(value)
        except Wrong:
            raise
        except ValueError:
            raise Wrong(repr(value), self.expected) from None


def if_only(fits: Callable[[Any], object], expected: str) -> Takes:
    """Return what takes the values that fit, as they are."""

    def read(value: Any) -> Any:
        if not fits(value):
            raise ValueError
        return value

    return Takes(expected, read)


def one_of(*names: str) -> Takes:
    """Return what takes one of some names; a near miss is told."""

    def read(value: Any) -> Any:
        if value not in names:
            hint = nearest(value, names) if isinstance(value, str) else ""
            raise Wrong(repr(value)[:MOST_SHOWN], expected, hint)
        return value

    expected = f"one of {', '.join(names)}"
    return Takes(expected, read)


def whole_number(value: Any) -> int:
    """Return a whole number from 1, also one that a command line gives as text.

    Raises ValueError.
    """
    given = str(value)
    if isinstance(value, bool) or not given.isdecimal() or int(given) < 1:
        raise ValueError(f"{value!r} is not a whole number from 1")
    return int(given)


WORD = if_only(lambda v: isinstance(v, str) and v.strip(), "a string that is not empty")

_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a string"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    Path: ((str,), "a path"),
    tuple: ((list, tuple), "a list of strings"),
    dict: ((dict,), "a table of strings"),
}
"""What a value of a kind is made of (types that only look alike do not pass), and its words."""
_FORM = ((dict,), "a table")
MOST_SHOWN = 200
"""Characters of a value that does not fit that a message shows."""


def _kind(type_: Any) -> tuple[tuple[type, ...], str]:
    if isinstance(type_, UnionType):  # X | None
        type_ = get_args(type_)[0]
    if isinstance(type_, type) and issubclass(type_, StrEnum):
        return (str,), one_of(*type_).expected
    kind = get_origin(type_) or type_
    types, words = _KINDS.get(kind, _FORM)
    item = get_args(type_)[kind is dict] if kind in (tuple, dict) else str
    if (get_args(item)[0] if get_origin(item) is Annotated else item) is not str:
        words = words.removesuffix(" of strings")
    return types, words


def read_toml(path: Path, what: str, error: type[MlbenchError]) -> dict[str, Any]:
    """Return what a TOML file holds; ``what`` says in messages what it should be.

    Raises ``error`` where there is no such file, where it is not UTF-8, or with the line where it
    is not TOML; EnvironmentFault where it cannot be read.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise error(Fault(str(path), "no such file", what)) from None
    except UnicodeDecodeError as fault:
        place = f"{path}, byte {fault.start}"
        raise error(Fault(place, "not UTF-8", "a TOML file in UTF-8")) from None
    except OSError as fault:
        found = f"cannot be read: {fault.strerror or fault}"
        raise EnvironmentFault(Fault(str(path), found, what)) from None
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise error(Fault(str(path), f"broken TOML: {fault}", "valid TOML")) from None


def form_path(name_or_path: str | Path, folder: Path, what: str) -> Path:
    """Return the file in ``folder`` of that name, or the path that is given; ``what`` it is.

    What ends in ``.toml`` or holds a separator is a path. Raises UsageError where there is none.
    """
    path, names = Path(name_or_path), sorted(each.stem for each in folder.glob("*.toml"))
    if path.suffix != ".toml" and len(path.parts) == 1:
        if path.name not in names:
            found, near = f"no built-in {what} has this name", did_you_mean(path.name, names)
            expected = f"a built-in {what}, or the path of a {what} file (ending in .toml)"
            raise UsageError(Fault(f"{what} {path.name!r}", found, expected, near))
        return folder / f"{path.name}.toml"
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.toml")))
        if path.stem in names:
            near = f"for the built-in {what} write {path.stem!r}"
        found, expected = "no such file", f"a {what} file (TOML)"
        raise UsageError(Fault(f"{what} {str(path)!r}", found, expected, near))
    return path


def fill_form(
    form: type[T],
    table: Mapping[str, Any],
    place: Callable[[str], str],
    error: type[MlbenchError],
    more: Iterable[Fault] = (),
) -> T:
    """Return ``table`` as a form.

    ``place`` says where a field, such as ``source.url``, stands. Raises ``error`` with every fault
    at once, and with those of ``more``: unknown fields (with the nearest known one), missing
    fields, then what does not fit.
    """
    import cattrs

    given = {key.replace("-", "_"): key for key in table}
    faults = [*more]
    try:
        values = {name: table[key] for name, key in given.items()}
        filled = _converter().structure(values, form)
    except cattrs.BaseValidationError as group:
        told = [*_told(group, place, given)]
        faults = [fault for _, fault in sorted(told, key=lambda pair: pair[0])] + faults
    if faults:
        raise error(*faults)
    return filled


def fields_of(path: Path) -> Callable[[str], str]:
    """Return what says where a field of a file stands."""
    return lambda name: f"{path}, field {name}"


def _told(
    error: BaseException,
    place: Callable[[str], str],
    given: Mapping[str, str],
    path: tuple[str, ...] = (),
) -> Iterator[tuple[int, Fault]]:
    """Yield the faults of a form, each with its rank: unknown 0, missing 1, unfit 2."""
    from cattrs.errors import ForbiddenExtraKeysError

    kind: Any = None
    for note in getattr(error, "__notes__", ()):
        kind = note.type
        name = note.name if hasattr(note, "name") else note.index
        if isinstance(name, str):
            path = (*path, name if path else given.get(name, name))
    where = ".".join(filter(None, path))
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _told(each, place, given, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in dataclasses.fields(error.cl)]
        for name in sorted(error.extra_fields):
            key = name if path else given[name]
            names = [n.replace("_", "-") for n in known] if "-" in key else known
            where = ".".join((*path, key))
            yield 0, Fault(place(where), "unknown field", mend=did_you_mean(key, names))
    elif isinstance(error, Wrong):
        yield 2, Fault(place(where), error.found, error.expected, error.mend)
    else:
        takes = get_args(kind)[1].expected if get_origin(kind) is Annotated else _kind(kind)[1]
        yield 1, Fault(place(where), "missing", takes)


def _generic(of: Any) -> Callable[[Any], bool]:
    return lambda type_: get_origin(type_) is of


@cache
def _converter() -> Converter:
    """Return a converter that takes every type as it is: no "5" for 5, no text for a list."""
    import cattrs
    from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn, override

    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(type_: Any, below: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        types, words = _kind(type_)

        def structure(value: Any, _: Any) -> Any:
            if type(value) not in types:
                raise Wrong(repr(value)[:MOST_SHOWN], words)
            return below(value, type_)

        return structure

    for plain in (str, bool, int, float, Path):
        converter.register_structure_hook(plain, exactly(plain, lambda value, kind: kind(value)))

    @converter.register_structure_hook
    def of_words(value: Any, kind: type[StrEnum]) -> StrEnum:
        return kind(one_of(*map(str, kind))(value))

    @converter.register_structure_hook_factory(_generic(Annotated))
    def annotated(type_: Any) -> Callable[[Any, Any], Any]:
        inner, takes, *_ = get_args(type_)
        return lambda value, _: converter.structure(takes(value), inner)

    @converter.register_structure_hook_factory(_generic(tuple))
    def of_list(type_: Any) -> Callable[[Any, Any], Any]:
        items: Any = GenericAlias(list, get_args(type_)[:1])
        return exactly(type_, lambda value, _: tuple(converter.structure(value, items)))

    @converter.register_structure_hook_factory(_generic(dict))
    def of_table(type_: Any) -> Callable[[Any, Any], Any]:
        return exactly(type_, make_mapping_structure_fn(type_, converter))

    def number_or_null(value: Any, _: Any) -> float:
        return math.nan if value is None else converter.structure(value, float)

    @converter.register_structure_hook_factory(dataclasses.is_dataclass)
    def of_form(type_: Any) -> Callable[[Any, Any], Any]:
        types = get_type_hints(type_, include_extras=True)
        for field in dataclasses.fields(type_):  # cattrs would look them up without the extras
            field.type = types[field.name]
        unknown: dict[str, Any] = {
            field.name: override(struct_hook=number_or_null)
            for field in dataclasses.fields(type_)
            if isinstance(field.default, float) and math.isnan(field.default)
        }
        return exactly(type_, make_dict_structure_fn(type_, converter, **unknown))

    return converter


@dataclass(frozen=True)
class Setting:
    """A field of a form as the command line gives it; without ``metavar`` it takes no value."""

    name: str
    help: str
    metavar: str

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        return "--" + self.name.replace("_", "-")


def setting(says: str, metavar: str = "", default: Any = None) -> Any:
    """Return a field of a form that the command line can give, too; see ``settings_of``."""
    return dataclasses.field(default=default, metadata={"help": says, "metavar": metavar})


def settings_of(form: type[Any]) -> tuple[Setting, ...]:
    """Return the settings of a form, in the order of its fields."""
    return tuple(Setting(f.name, **f.metadata) for f in dataclasses.fields(form))
