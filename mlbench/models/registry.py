"""The registry: find a model by name, file, folder or entry point; load nothing but that one.

A SPEC is a name (``bm25``), a Python file and a factory in it (``path/to/file.py:factory``), a
kind and its value (``random:7``, ``precomputed:FOLDER``, ``python:package.module:factory``), a
folder of a known kind, a model file (``path/to/model.toml``), or a model of the hub
(``ORG/NAME``). Installed packages add names by the entry point group ``mlbench.adapters``.
"""

from __future__ import annotations

import importlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlbench.common.errors import Fault, ModelError, UsageError, did_you_mean
from mlbench.common.forms import read_toml
from mlbench.models import plugin
from mlbench.models.boundary import calling
from mlbench.models.built_in import BUILT_IN, BuiltIn
from mlbench.models.protocol import SIMILARITIES

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache


GROUP = "mlbench.adapters"
_FILE = re.compile(r"(?P<file>.+\.py):(?P<factory>[^\\/:]+)")
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FORMS = "a name (see mlbench models list), a folder, path/to/file.py:factory, or KIND:VALUE"
RERANK = "rerank"
"""The kind of a reranker on a server, which is no model of its own."""
_RERANKED = "give it with --rerank, and another model with --model as the first stage"
_BY_NAME = {row.name: row for row in BUILT_IN}


class ModelRow(NamedTuple):
    """One line of ``mlbench models list``: how it is written, what it is, where it is from."""

    spec: str
    help: str
    origin: str


_OWN_CODE = (
    ModelRow("path/to/file.py:factory", "a model in a Python file", "your code"),
    ModelRow("python:package.module:factory", "a model in an importable module", "your code"),
)


OF_USERS = ("file", "python", "plug-in")
"""Kinds of models whose code does not come with mlbench."""


class Opened(NamedTuple):
    """A model that has not been asked anything; ``name`` and ``derived`` (its identity) stand for
    what it will not say."""

    spec: str
    kind: str
    adapter: Any
    name: str
    derived: str


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to encode.

    ``kind`` is the built-in's name, "file", "python" or "plug-in". ``identity`` changes when a
    vector would change: "declared: ..." by the model itself, or "derived: ..." from its source.
    """

    spec: str
    name: str
    kind: str
    adapter: Any
    similarity: str
    identity: str


def list_models() -> list[ModelRow]:
    """Return every known model, built-in first; nothing is loaded.

    Raises ModelError if two installed packages, or one and a built-in, give the same name.
    """
    plugins = _plugins()
    faults = [fault for name in plugins for fault in _clashes(name, plugins[name])]
    if faults:
        raise ModelError(*faults)
    installed = [
        ModelRow(name, _summary(entry), _origin(entry))
        for name, (entry,) in sorted(plugins.items())
    ]
    return (
        [ModelRow(row.syntax, row.help, "mlbench") for row in BUILT_IN] + installed + [*_OWN_CODE]
    )


def load_adapter(
    spec: str, options: Mapping[str, Any] | None = None, cache: EmbeddingCache | None = None
) -> LoadedModel:
    """Load the model that ``spec`` names; ``options`` are for those kinds that take some.

    An option that is None or False counts as not given. A neural model that ``cache`` knows is
    loaded only when it must encode. Raises UsageError if there is no such
    model, file or folder (with near names), or for options that it does not take, and
    ModelError, with the place in the user's code, if it cannot be loaded or is no model.
    """
    return describe_adapter(*open_adapter(spec, options, cache))


def open_adapter(
    spec: str, options: Mapping[str, Any] | None = None, cache: EmbeddingCache | None = None
) -> Opened:
    """Return the model that ``spec`` names before it is asked what it is: a server that it may need
    is not asked anything. Raises as ``load_adapter`` does.
    """
    given = {
        name: value
        for name, value in (options or {}).items()
        if value is not None and value is not False
    }
    kind, colon, value = spec.partition(":")
    if kind in _BY_NAME:
        return _load_built_in(spec, _BY_NAME[kind], value if colon else None, given, cache)
    plugins = _plugins()
    if (colon and kind == "python") or _FILE.fullmatch(spec) or spec in plugins:
        _refuse_options(spec, given)
    if colon and kind == "python":
        return _load_module(spec, value)
    if match := _FILE.fullmatch(spec):
        source = plugin.from_file(spec, match["file"], match["factory"])
        return _finish(spec, "file", source, f"{Path(match['file']).stem}-{match['factory']}")
    if spec in plugins:
        _refuse_clash(spec, plugins[spec])
        return _finish(spec, "plug-in", plugin.from_entry_point(spec, plugins[spec][0]), spec)
    row = _row_of(spec)
    if row is None:
        raise _unknown(spec, kind if colon else spec, plugins)
    return _load_built_in(spec, row, spec, given, cache)


def code_of(spec: str) -> tuple[str, Path | None]:
    """Return what Python code, of no installed plug-in, a SPEC names, and its file if it has one.

    >>> code_of("bm25")
    ('', None)
    """
    kind, colon, value = spec.partition(":")
    if kind in _BY_NAME:
        return "", None
    if colon and kind == "python":
        return f"imports the module {value.partition(':')[0]!r}", None
    if match := _FILE.fullmatch(spec):
        return f"runs the Python file {match['file']!r}", Path(match["file"])
    return "", None


def _row_of(spec: str) -> BuiltIn | None:
    """Return the kind of model that a folder, a model file or a name of the hub is."""
    path = Path(spec)
    if spec and path.is_dir():
        return _folder_row(spec, path)
    if path.suffix == ".toml" and path.is_file():
        return _BY_NAME["toml"]
    if _HUB.fullmatch(spec) and path.suffix not in (".py", ".toml"):
        return _BY_NAME["hub"]
    return None


def _folder_row(spec: str, folder: Path) -> BuiltIn:
    for among in ("markers", "parts"):
        for row in BUILT_IN:
            if any(any(folder.glob(each)) for each in getattr(row, among)):
                return row
    markers = [f"{' or '.join(row.markers)} ({row.name})" for row in BUILT_IN if row.markers]
    inside = sorted(
        entry.name
        for entry in folder.iterdir()
        for row in BUILT_IN
        if entry.is_dir() and any((entry / marker).is_file() for marker in row.markers)
    )
    hint = f"name one of the folders in it: {', '.join(inside[:5])}" if inside else ""
    expected = "one that holds " + ", ".join(markers)
    raise UsageError(
        Fault(f"model {spec}", "not the folder of a known kind of model", expected, hint)
    )


def _load_built_in(
    spec: str,
    row: BuiltIn,
    value: str | None,
    options: Mapping[str, Any],
    cache: EmbeddingCache | None,
) -> Opened:
    _refuse_clash(row.name, _plugins().get(row.name, []))
    if (value and not row.value) or (not value and row.required) or value == "":
        found = f"{value!r} given" if value else "no value given"
        raise UsageError(Fault(f"model {spec}", found, row.syntax))
    if not row.options:
        _refuse_options(spec, options)
    if row.name == "toml":
        row = _row_of_file(Path(value or ""))
    with calling(spec, "load"):
        factory = getattr(importlib.import_module(row.module), row.factory)
        taken = ([value or ""] if row.value else []) + ([options, cache] if row.options else [])
        adapter = factory(*taken)
    return Opened(spec, row.kind or row.name, adapter, row.name, row.name)


def _row_of_file(path: Path) -> BuiltIn:
    """Return the kind of the model that a model file names, to be made from the file."""
    named = read_toml(path, "a model file", UsageError).get("model")
    kind, colon, _ = named.partition(":") if isinstance(named, str) else ("", "", "")
    if colon and kind == RERANK:
        raise UsageError(Fault(f"{path}, field model", "names a reranker", "an encoder", _RERANKED))
    row = _BY_NAME.get(kind) if colon else None
    return replace(row, factory=row.file) if row and row.file else _BY_NAME["toml"]


def _refuse_options(spec: str, options: Mapping[str, Any]) -> None:
    refused = sorted(options.keys() - {"offline"})  # nothing else goes to the network
    if refused:
        names = ", ".join("--" + name.replace("_", "-") for name in refused)
        found = f"takes none of the options given: {names}"
        raise UsageError(Fault(f"model {spec}", found, "a neural model, which takes them"))


def _load_module(spec: str, value: str) -> Opened:
    module, colon, factory = value.partition(":")
    if not (module and colon and factory):
        raise UsageError(
            Fault(f"model {spec}", "no factory given", "python:package.module:factory")
        )
    source = plugin.from_module(spec, module, factory)
    return _finish(spec, "python", source, f"{module}-{factory}")


def _finish(spec: str, kind: str, factory: plugin.Factory, name: str) -> Opened:
    return Opened(spec, kind, plugin.build(spec, factory), name, factory.identity)


def describe_adapter(
    spec: str, kind: str, adapter: Any, name: str = "", derived: str = ""
) -> LoadedModel:
    """Return a model as what it says of itself; ``name`` and ``derived`` (its identity) stand for
    what it does not say, ``spec`` where they are not given either.

    Raises ModelError for attributes that are not what the protocol says.
    """
    with calling(spec, "load"):
        given = {key: getattr(adapter, key, None) for key in ("name", "similarity", "identity")}
    faults = [
        Fault(
            f"model {spec}, attribute {key}",
            f"{value!r}",
            "a string that is not empty, and that UTF-8 can hold",
        )
        for key, value in given.items()
        if value is not None and not _is_text(value)
    ]
    similarity = given["similarity"] or SIMILARITIES[0]
    if not faults and similarity not in SIMILARITIES:
        faults.append(
            Fault(
                f"model {spec}, attribute similarity",
                f"{similarity!r}",
                " or ".join(map(repr, SIMILARITIES)),
            )
        )
    if faults:
        raise ModelError(*faults)
    declared = given["identity"]
    identity = f"declared: {declared}" if declared else f"derived: {derived or spec}"
    return LoadedModel(spec, given["name"] or name or spec, kind, adapter, similarity, identity)


def _is_text(value: Any) -> bool:
    """Say whether a value is a string that a file can hold, with more than spaces."""
    if not isinstance(value, str) or not value.strip():
        return False
    return value.encode("utf-8", "ignore").decode() == value


def _plugins() -> dict[str, list[EntryPoint]]:
    """Return the entry points of installed packages by name; nothing is loaded."""
    found: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry in entry_points(group=GROUP):
        found[entry.name].append(entry)
    return found


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _summary(entry: EntryPoint) -> str:
    return (entry.dist.metadata["Summary"] if entry.dist else None) or entry.value


def _clashes(name: str, entries: list[EntryPoint]) -> list[Fault]:
    owners = ["mlbench"] * (name in _BY_NAME or name == "python") + sorted(map(_origin, entries))
    if len(owners) < 2:
        return []
    return [
        Fault(
            f"model {name}",
            f"the name is given by {' and by '.join(owners)}",
            "each name in one package only",
            "uninstall one of them, or rename its entry point",
        )
    ]


def _refuse_clash(name: str, entries: list[EntryPoint]) -> None:
    faults = _clashes(name, entries)
    if faults:
        raise ModelError(*faults)


def _unknown(spec: str, name: str, plugins: Iterable[str]) -> UsageError:
    if name == RERANK:
        return UsageError(Fault(f"model {spec}", "is a reranker", "an encoder", _RERANKED))
    if spec.endswith(".py"):
        return UsageError(Fault(f"model {spec}", "names no factory", f"{spec}:factory"))
    if re.search(r"[\\/]", spec):
        return UsageError(Fault(f"model {spec}", "no such file or folder", _FORMS))
    hint = did_you_mean(name, [*_BY_NAME, *plugins, "python"])
    return UsageError(Fault(f"model {spec}", "no such model", _FORMS, hint))
