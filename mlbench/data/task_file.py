"""Read and check a task file.

A task file (TOML) says what is evaluated: languages, where the data lies and how to read it,
which text a model is given, licence, citation, the kinds of setting and the headline measures.
``tasks/TEMPLATE.toml`` explains every field.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.common.errors import DataError, EnvironmentFault, Fault, did_you_mean
from mlbench.data.task import LANGUAGE, NAME, SHA256, Kind, Source, Task


@dataclass(frozen=True)
class _Field:
    """One field of a task file: its type, and whether it may be left out."""

    type: type | tuple[type, ...]
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
    "language-sets": _Field(dict, required=False, default={}),
    "notes": _Field(list, required=False, default=[]),
}
_SOURCE_FIELDS = {
    "reader": _Field(str),
    "files": _Field(dict, required=False, default={}),
    "url": _Field((str, dict), required=False, default={}),
    "sha256": _Field(dict, required=False, default={}),
    "options": _Field(dict, required=False, default={}),
    "shards": _Field(dict, required=False, default={}),
    "ids": _Field(dict, required=False, default={}),
}
_TYPE_NAMES: dict[object, str] = {
    str: "a string",
    list: "a list of strings",
    dict: "a table of strings",
    (str, dict): "a string, or a table of strings",
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
        source = self._source(values["source"])
        self._check_values(values)
        self._check_sets(values["language-sets"] or {}, values["languages"] or [])
        if self.faults or source is None:
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
            source=source,
            path=self.path,
            language_sets={name: tuple(s) for name, s in values["language-sets"].items()},
            notes=tuple(" ".join(note.split()) for note in values["notes"]),
        )

    def _source(self, table: dict[str, Any] | None) -> Source | None:
        if table is None:
            return None
        values = self._fields(table, _SOURCE_FIELDS, "source.")
        if isinstance(values["url"], str):
            values["url"] = {"": values["url"]}
        for name in ("url", "sha256", "options", "ids"):
            for key, value in (values[name] or {}).items():
                self._strings(f"source.{name}.{key}", [value])
        for role, paths in (values["files"] or {}).items():
            self._strings(f"source.files.{role}", paths if paths and _is_list(paths) else [paths])
        for file, digest in (values["sha256"] or {}).items():
            if isinstance(digest, str) and not SHA256.fullmatch(digest):
                self._fault(f"source.sha256.{file}", f"{digest!r}", "64 lower-case hex digits")
        for language, count in (values["shards"] or {}).items():
            if type(count) is not int or count < 1:
                self._fault(f"source.shards.{language}", f"{count!r}", "a whole number from 1")
        if self.faults:
            return None
        paths = {role: p if _is_list(p) else [p] for role, p in values["files"].items()}
        return Source(
            reader=values["reader"],
            files={role: first for role, (first, *_) in paths.items()},
            urls=values["url"],
            sha256=values["sha256"],
            options=values["options"],
            shards=values["shards"],
            places={role: tuple(rest) for role, (_, *rest) in paths.items() if rest},
            ids=values["ids"],
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
        self._strings("notes", values["notes"] or [])
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

    def _check_sets(self, sets: dict[str, Any], languages: list[str]) -> None:
        for name, codes in sets.items():
            key = f"language-sets.{name}"
            if not NAME.fullmatch(name) or name in languages:
                expected = "a name of lower-case letters, digits, '.', '_' and '-', no language"
                self._fault(key, f"{name!r}", expected)
            if not _is_list(codes):
                self._fault(key, f"{codes!r}", "a list of the task's languages")
            elif codes != [code for code in languages if code in codes]:
                expected = "some of the task's languages, in its order: " + ", ".join(languages)
                self._fault(key, ", ".join(map(str, codes)), expected)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)
