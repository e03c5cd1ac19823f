"""Load a model from a user's own code: a Python file, an importable module, an entry point.

A file is run under a private module name. Its folder is appended to ``sys.path`` and stays
there, so that the modules beside it can be imported at any time, but never stand in for an
installed or standard module of the same name.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mlbench.common.errors import Fault, ModelError, UsageError, did_you_mean
from mlbench.models.boundary import calling

_PRIVATE = "_mlbench_model_"
_FACTORY = "a function or class that can be called without arguments and returns the model"


class Surface(NamedTuple):
    """What a kind of object must offer: methods, what they can be called with and its names; and
    where it is given, for one that comes in another's place."""

    methods: tuple[str, ...]
    example: tuple[Any, ...]
    names: str
    place: str

    @property
    def expected(self) -> str:
        """What a factory should be, in words."""
        return f"{_FACTORY}: an object with {' and '.join(self.methods)}{self.names}"


ENCODER = Surface(
    ("encode_queries", "encode_passages"), (["text"], "en"), "(texts, language)",
    "it is an encoder: give it with --model",
)  # fmt: skip
OF_IMAGES = Surface(("encode_images",), (["image"],), "(images)", "")
"""What an encoder of images has beside."""
RERANKER = Surface(
    ("score_pairs",), (["query"], ["passage"]), "(queries, passages)",
    "it is a reranker: give it with --rerank, or to `mlbench models check` with --reranker",
)  # fmt: skip


@dataclass(frozen=True)
class Factory:
    """A factory in a user's code, and what identifies that code."""

    factory: Callable[[], Any]
    identity: str
    where: str


def from_file(spec: str, file: str, factory: str) -> Factory:
    """Run ``file`` and return its ``factory``. Raises UsageError if there is no such file."""
    path = Path(file).resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(
            Fault(f"model {spec}", f"cannot read {path}: {error.strerror}", "a Python file")
        ) from None
    _claim(spec, path)
    digest = hashlib.sha256(source).hexdigest()
    name = f"{_PRIVATE}{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    with calling(spec, "load"):
        module = ModuleType(name)
        module.__file__ = str(path)
        # Compiled here, so that what runs is what was hashed, never a stale .pyc file.
        code = compile(source, str(path), "exec", dont_inherit=True)
        sys.modules[name] = module
        try:
            exec(code, module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
    return Factory(_attribute(spec, module, factory), f"sha256 {digest} of {path.name}", str(path))


def _claim(spec: str, path: Path) -> None:
    """Make the modules beside ``path`` importable, unless another model's would be taken."""
    beside = {entry.stem for entry in path.parent.glob("*.py")} - {path.stem}
    for name in sorted(beside):
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded and Path(loaded).parent != path.parent and Path(loaded).parent in _folders:
            raise ModelError(
                Fault(
                    f"model {spec}",
                    f"the module {name!r} beside it is already loaded from {loaded}",
                    "one module of this name in each process",
                    "rename one of the two, or run the models one by one",
                )
            )
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    _folders.add(path.parent)


_folders: set[Path] = set()


def from_module(spec: str, module: str, factory: str) -> Factory:
    """Import ``module`` and return its ``factory``. Raises UsageError if there is none."""
    with calling(spec, "load"):
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and f"{module}.".startswith(f"{error.name}."):
                raise UsageError(
                    Fault(
                        f"model {spec}",
                        f"no module {error.name!r} can be imported",
                        "an installed package, or one on PYTHONPATH",
                        "a file can be given as path/to/file.py:factory",
                    )
                ) from None
            raise
    return Factory(_attribute(spec, loaded, factory), _source_identity(loaded), module)


def from_entry_point(spec: str, entry: EntryPoint) -> Factory:
    """Import what an installed plug-in offers."""
    with calling(spec, "load"):
        module = importlib.import_module(entry.module)
        factory = operator.attrgetter(entry.attr)(module)
    version = f"{entry.dist.name} {entry.dist.version}, " if entry.dist else ""
    return Factory(_callable(spec, factory), version + _source_identity(module), entry.value)


def build(spec: str, source: Factory, surface: Surface = ENCODER) -> Any:
    """Call the factory and check that it returned a model.

    Raises ModelError if it needs arguments, raises, or returns something without the methods of
    the protocol.
    """
    lacking = _not_callable_with(source.factory)
    if lacking:
        what = f"the factory cannot be called without arguments: {lacking}"
        raise _broken(spec, source, what, surface)
    with calling(spec, f"factory of {source.where}"):
        adapter = source.factory()
        methods = {name: getattr(adapter, name, None) for name in surface.methods}
    returned = f"the factory returned {type(adapter).__qualname__}"
    if isinstance(adapter, type):
        what = f"the factory returned the class {adapter.__qualname__}"
        raise _broken(spec, source, what, surface)
    missing = [name for name, method in methods.items() if not callable(method)]
    if missing:
        what = f"{returned}, which has no method {' and '.join(missing)}"
        raise _broken(spec, source, what, surface, _belongs(adapter, surface))
    where = f"model {spec}, factory of {source.where}"
    refuse_other_signatures(adapter, where, surface.expected, surface)
    return adapter


def refuse_other_signatures(
    adapter: Any, where: str, expected: str, surface: Surface = ENCODER
) -> None:
    """Raise ModelError for a method that cannot be called with what the protocol says."""
    if surface is ENCODER and callable(getattr(adapter, "encode_images", None)):
        refuse_other_signatures(adapter, where, expected, OF_IMAGES)
    for name in surface.methods:
        lacking = _not_callable_with(getattr(adapter, name), *surface.example)
        if lacking:
            found = f"{name} cannot be called with {surface.names}: {lacking}"
            raise ModelError(Fault(where, found, expected))


def _not_callable_with(function: Any, *arguments: Any) -> str:
    """Return why ``function`` does not take ``arguments``; "" if it does, or cannot be known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*arguments)
    except TypeError as error:
        return f"{error}{_defined_at(function)}"
    return ""


def _defined_at(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None and inspect.isclass(function):
        code = getattr(function.__init__, "__code__", None)
    return f"\n  at {code.co_filename}:{code.co_firstlineno}" if code else ""


def _broken(spec: str, source: Factory, what: str, surface: Surface, mend: str = "") -> ModelError:
    where = f"model {spec}, factory of {source.where}"
    return ModelError(Fault(where, what, surface.expected, mend))


def _belongs(adapter: Any, surface: Surface) -> str:
    """Say where an object that is of no use here belongs, "" if it is of none anywhere."""
    other = RERANKER if surface is ENCODER else ENCODER
    fits = all(callable(getattr(adapter, name, None)) for name in other.methods)
    return other.place if fits else ""


def _attribute(spec: str, module: ModuleType, factory: str) -> Callable[[], Any]:
    """Return the object named ``factory`` (dots allowed) in ``module``."""
    with calling(spec, "load"):
        try:
            value = operator.attrgetter(factory)(module)
        except AttributeError:
            public = {name: v for name, v in vars(module).items() if not name.startswith("_")}
            offered = [name for name, value in public.items() if callable(value)]
            where = getattr(module, "__file__", None) or module.__name__
            hint = did_you_mean(factory, offered)
            raise UsageError(
                Fault(f"model {spec}", f"no {factory!r} in {where}", _FACTORY, hint)
            ) from None
    return _callable(spec, value)


def _callable(spec: str, value: Any) -> Callable[[], Any]:
    if not callable(value):
        raise ModelError(Fault(f"model {spec}", f"{type(value).__qualname__} object", _FACTORY))
    factory: Callable[[], Any] = value
    return factory


def _source_identity(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    if not file:
        return f"module {module.__name__} without a file"
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return f"sha256 {digest} of {module.__name__}"
