"""TOML files read into forms: every kind of field, and how its faults are told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest

from mlbench.common.errors import DataError, EnvironmentFault
from mlbench.common.forms import (
    WORD,
    Takes,
    Wrong,
    fields_of,
    fill_form,
    if_only,
    one_of,
    read_toml,
    setting,
    settings_of,
)


def both(value: Any) -> Any:
    if value == "two":
        raise ExceptionGroup("", [Wrong("one", "none"), Wrong("other", "none")])
    return [value]


@dataclass(frozen=True)
class Inner:
    word: Annotated[str, WORD]
    table: dict[str, Annotated[int, if_only(lambda v: v != 7, "not 7")]] = field(
        default_factory=dict
    )


@dataclass(frozen=True)
class Form:
    name: str
    inner: Inner
    flag: bool = False
    number: float = 0.5
    folder: Path | None = None
    two_words: tuple[str, ...] = ()
    choice: Annotated[str, one_of("cosine", "dot")] = "cosine"
    listed: Annotated[tuple[str, ...], Takes("anything", both)] = ()


SOUND = {"name": "a", "inner": {"word": "b"}}


def told(**changes: Any) -> list[tuple[str, str, str, str]]:
    table = {k.replace("__", "-"): v for k, v in (SOUND | changes).items() if v is not None}
    with pytest.raises(DataError) as caught:
        fill_form(Form, table, lambda name: f"at {name}", DataError)
    return [(f.where, f.found, f.expected, f.mend) for f in caught.value.faults]


def test_every_kind_of_field_is_read() -> None:
    table = SOUND | {
        "flag": True, "number": 2, "folder": "x/y", "two-words": ["p", "q"], "choice": "dot",
        "listed": "one", "inner": {"word": "w", "table": {"a.b": 1}},
    }  # fmt: skip
    expected = Form(
        "a", Inner("w", {"a.b": 1}), True, 2.0, Path("x/y"), ("p", "q"), "dot", ("one",)
    )
    assert fill_form(Form, table, str, DataError) == expected
    assert fill_form(Form, SOUND, str, DataError) == Form("a", Inner("b"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": 3}, ("at name", "3", "a string", "")),
        ({"name": None}, ("at name", "missing", "a string", "")),
        ({"inner": None}, ("at inner", "missing", "a table", "")),
        ({"inner": "x"}, ("at inner", "'x'", "a table", "")),
        ({"inner": {}}, ("at inner.word", "missing", "a string that is not empty", "")),
        ({"inner": {"word": " "}}, ("at inner.word", "' '", "a string that is not empty", "")),
        (
            {"inner": {"word": "b", "wrod": 1}},
            ("at inner.wrod", "unknown field", "", "did you mean 'word'?"),
        ),
        ({"inner": {"word": "b", "table": {"k": 7}}}, ("at inner.table.k", "7", "not 7", "")),
        ({"inner": {"word": "b", "table": 1}}, ("at inner.table", "1", "a table", "")),
        ({"flag": 1}, ("at flag", "1", "true or false", "")),
        ({"number": True}, ("at number", "True", "a number", "")),
        ({"folder": 1}, ("at folder", "1", "a path", "")),
        ({"two_words": "x"}, ("at two_words", "'x'", "a list of strings", "")),
        ({"two__words": ["x", 1]}, ("at two-words", "1", "a string", "")),
        ({"two__word": 1}, ("at two-word", "unknown field", "", "did you mean 'two-words'?")),
        (
            {"choice": "cosin"},
            ("at choice", "'cosin'", "one of cosine, dot", "did you mean 'cosine'?"),
        ),
        ({"choice": "zzz"}, ("at choice", "'zzz'", "one of cosine, dot", "")),
    ],
)
def test_a_fault_says_where_what_and_what_was_expected(change: dict[str, Any], fault: Any) -> None:
    assert told(**change) == [fault]


def test_all_faults_come_at_once_unknown_fields_first_then_missing_ones() -> None:
    where = [place for place, *_ in told(flag=3, name=None, zzz=1, aaa=2, listed="two")]
    assert where == ["at aaa", "at zzz", "at name", "at flag", "at listed", "at listed"]


def test_a_file_is_toml_in_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfa-b = 1")
    assert read_toml(path, "a form", DataError) == {"a-b": 1}
    assert fields_of(path)("a") == f"{path}, field a"
    for content, message in (
        (b"a = \xff", "byte 4: not UTF-8"),
        (b"\n\na = b", "broken TOML.*line 3"),
        (b"a = " + b"[" * 100_000, "broken TOML"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_toml(path, "a form", DataError)
    with pytest.raises(DataError, match="no such file\n  expected: a form"):
        read_toml(tmp_path / "none.toml", "a form", DataError)
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        read_toml(tmp_path, "a form", DataError)


def test_settings_are_the_fields_with_their_help() -> None:
    @dataclass(frozen=True)
    class Options:
        max_length: int = setting("cut there", "N", 5)
        fast: bool = setting("go", default=False)

    assert Options() == Options(5, False)
    rows = [(row.name, row.flag, row.help, row.metavar) for row in settings_of(Options)]
    assert rows == [("max_length", "--max-length", "cut there", "N"), ("fast", "--fast", "go", "")]


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Json:
    colour: Colour
    size: int | None
    parts: dict[str, tuple[int, ...]]
    low: float = math.nan
    high: float = 1.0


def json_faults(**table: Any) -> set[tuple[str, str, str, str]]:
    with pytest.raises(DataError) as caught:
        fill_form(Json, table, str, DataError)
    return {(f.where, f.found, f.expected, f.mend) for f in caught.value.faults}


def test_null_stands_for_nothing_and_for_an_unknown_number():
    filled = fill_form(
        Json, {"colour": "red", "size": None, "parts": {"a": [1]}, "low": None}, str, DataError
    )
    assert (filled.colour, filled.size, filled.parts, filled.high) == (
        Colour.RED, None, {"a": (1,)}, 1.0,
    )  # fmt: skip
    assert math.isnan(filled.low)


def test_words_null_and_tables_that_do_not_fit():
    assert json_faults() == {
        ("colour", "missing", "one of red, green", ""),
        ("size", "missing", "a whole number", ""),
        ("parts", "missing", "a table", ""),
    }
    long = "x" * 1000
    assert json_faults(
        colour="gren", size=1.0, parts={"a": 1, "b": [True]}, low=long, high=None
    ) == {
        ("colour", "'gren'", "one of red, green", "did you mean 'green' or 'red'?"),
        ("size", "1.0", "a whole number", ""),
        ("parts.a", "1", "a list", ""),
        ("parts.b", "True", "a whole number", ""),
        ("low", repr(long)[:200], "a number", ""),
        ("high", "None", "a number", ""),
    }
    assert json_faults(colour=None, size=2, parts={}) == {
        ("colour", "None", "one of red, green", "")
    }
