"""Task, Setting and Source: parse and check a task file; no other input or output.

A task file (TOML) says what is evaluated: languages, where the data lies and how to read it,
which text a model is given, licence, citation, the kinds of setting and the headline measures.
``tasks/TEMPLATE.toml`` explains every field.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mlbench.errors import DataError, EnvironmentFault, Fault, did_you_mean

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
SHA256 = re.compile(r"[0-9a-f]{64}")


class Kind(StrEnum):
    """The three kinds of retrieval a setting can belong to."""

    MONOLINGUAL = "monolingual"
    CROSSLINGUAL = "crosslingual"
    MULTILINGUAL = "multilingual"


@dataclass(frozen=True)
class Setting:
    """Queries of one language searched in the pool of the passages of some languages."""

    kind: Kind
    query_language: str
    passage_languages: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where a task's data lies and how it is read.

    ``files`` maps a role that the reader names (``documents``, ``corpus``, ...) to a path
    pattern; ``{language}`` in it stands for each language. ``sha256`` maps a resolved path to
    its digest. ``options`` are the reader's own.
    """

    reader: str
    files: Mapping[str, str]
    url: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def paths(self, role: str, languages: Iterable[str]) -> dict[str, str]:
        """Return language -> relative path of ``role``; "" for a path without language."""
        pattern = self.files[role]
        if "{language}" not in pattern:
            return {"": pattern}
        return {language: pattern.replace("{language}", language) for language in languages}


@dataclass(frozen=True)
class Task:
    """What is evaluated, as a task file says it."""

    name: str
    version: str
    title: str
    languages: tuple[str, ...]
    kinds: tuple[Kind, ...]
    measures: tuple[str, ...]
    text: str
    licence: str
    citation: str
    source: Source
    path: Path

    def settings(self) -> tuple[Setting, ...]:
        """Return every setting of the task; see ``all_settings``."""
        return all_settings(self.languages, self.kinds)


def all_settings(languages: tuple[str, ...], kinds: Iterable[Kind]) -> tuple[Setting, ...]:
    """Return the settings of the kinds: by kind, then query language, then pool language.

    L languages have L monolingual, L(L-1) cross-lingual and L multilingual settings; a
    multilingual pool needs at least two languages.
    """

    def pools(kind: Kind, query_language: str) -> list[tuple[str, ...]]:
        if kind is Kind.MONOLINGUAL:
            return [(query_language,)]
        if kind is Kind.CROSSLINGUAL:
            return [(language,) for language in languages if language != query_language]
        return [languages] if len(languages) > 1 else []

    return tuple(
        Setting(kind, query_language, pool)
        for kind in kinds
        for query_language in languages
        for pool in pools(kind, query_language)
    )


@dataclass(frozen=True)
class _Field:
    """One field of a task file: its type, and whether it may be left out."""

    type: type
    required: bool = True
    default: Any = None


_TASK_FIELDS = {
    "name": _Field(str),
    "version": _Field(str),
    "title": _Field(str),
    "languages": _Field(list),
    "settings": _Field(list, required=False, default=[kind.value for kind in Kind]),
    "measures": _Field(list, required=False, default=["AP", "RR", "nDCG@10", "R@1", "R@10"]),
    "text": _Field(str, required=False, default=""),
    "licence": _Field(str),
    "citation": _Field(str),
    "source": _Field(dict),
}
_SOURCE_FIELDS = {
    "reader": _Field(str),
    "files": _Field(dict),
    "url": _Field(str, required=False),
    "sha256": _Field(dict, required=False, default={}),
    "options": _Field(dict, required=False, default={}),
}
_TYPE_NAMES: dict[object, str] = {
    str: "a string",
    list: "a list of strings",
    dict: "a table of strings",
}


def parse_task(path: Path) -> Task:
    """Read the task file at ``path``.

    Raises DataError with every fault of the file at once: broken TOML (with its line), unknown
    fields (with the nearest known one), missing fields, wrong types, bad values.
    """
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(Fault(str(path), "no such file", "a task file (TOML)")) from None
    except UnicodeDecodeError as error:
        raise DataError(
            Fault(f"{path}, byte {error.start}", "not UTF-8", "a TOML file in UTF-8")
        ) from None
    except OSError as error:
        found = f"cannot be read: {error.strerror or error}"
        raise EnvironmentFault(Fault(str(path), found, "a task file (TOML)")) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(Fault(str(path), f"broken TOML: {error}", "valid TOML")) from None
    return _TaskParser(path).parse(table)


class _TaskParser:
    """Checks one task file and gathers all its faults before raising."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[Fault] = []

    def parse(self, table: dict[str, Any]) -> Task:
        values = self._fields(table, _TASK_FIELDS, "")
        source: dict[str, Any] = {}
        if values["source"] is not None:
            source = self._fields(values["source"], _SOURCE_FIELDS, "source.")
            for name in ("files", "sha256", "options"):
                for key, value in (source[name] or {}).items():
                    self._strings(f"source.{name}.{key}", [value])
            for file, digest in (source["sha256"] or {}).items():
                if isinstance(digest, str) and not SHA256.fullmatch(digest):
                    self._fault(f"source.sha256.{file}", f"{digest!r}", "64 lower-case hex digits")
        self._check_values(values)
        if self.faults:
            raise DataError(*self.faults)
        return Task(
            name=values["name"],
            version=values["version"],
            title=values["title"],
            languages=tuple(values["languages"]),
            kinds=tuple(Kind(kind) for kind in values["settings"]),
            measures=tuple(values["measures"]),
            text=values["text"],
            licence=values["licence"],
            citation=values["citation"].strip(),
            source=Source(
                reader=source["reader"],
                files=source["files"],
                url=source["url"],
                sha256=source["sha256"],
                options=source["options"],
            ),
            path=self.path,
        )

    def _fault(self, name: str, found: str, expected: str = "", mend: str = "") -> None:
        self.faults.append(Fault(f"{self.path}, field {name}", found, expected, mend))

    def _fields(
        self, table: dict[str, Any], fields: Mapping[str, _Field], prefix: str
    ) -> dict[str, Any]:
        for name in sorted(table.keys() - fields.keys()):
            self._fault(prefix + name, "unknown field", mend=did_you_mean(name, fields))
        values: dict[str, Any] = {}
        for name, spec in fields.items():
            value = table.get(name, spec.default)
            if name not in table and spec.required:
                self._fault(prefix + name, "missing", _TYPE_NAMES[spec.type])
            elif name in table and not isinstance(value, spec.type):
                self._fault(prefix + name, f"{value!r}", _TYPE_NAMES[spec.type])
                value = None
            values[name] = value
        return values

    def _strings(self, name: str, values: Iterable[Any]) -> bool:
        bad = [value for value in values if not isinstance(value, str) or not value]
        for value in bad:
            self._fault(name, f"{value!r}", "non-empty strings")
        return not bad

    def _check_values(self, values: dict[str, Any]) -> None:
        name = values["name"]
        if name is not None and not NAME.fullmatch(name):
            self._fault("name", f"{name!r}", "lower-case letters, digits, '.', '_' and '-'")
        for key in ("version", "title", "licence", "citation"):
            if values[key] is not None:
                self._strings(key, [values[key].strip()])
        for key in ("languages", "settings", "measures"):
            if values[key] is not None and self._strings(key, values[key]):
                self._check_list(key, values[key])

        if len(values["languages"] or []) == 1 and "monolingual" not in (values["settings"] or []):
            self._fault(
                "settings",
                "no setting at all: the task has one language",
                "monolingual, or more languages",
            )

    def _check_list(self, key: str, entries: list[str]) -> None:
        if not entries:
            self._fault(key, "an empty list", "at least one entry")
        for entry in sorted({e for e in entries if entries.count(e) > 1}):
            self._fault(key, f"{entry!r} given more than once", "distinct entries")
        kinds = [kind.value for kind in Kind]
        for entry in entries:
            if key == "languages" and not LANGUAGE.fullmatch(entry):
                self._fault(key, f"{entry!r}", "language codes such as 'ar' or 'zh-Hans'")
            if key == "settings" and entry not in kinds:
                self._fault(key, f"{entry!r}", ", ".join(kinds), did_you_mean(entry, kinds))
