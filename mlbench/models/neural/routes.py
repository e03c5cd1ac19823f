"""The way of a role's texts through a model of the library: its modules, and what these do.

A Router (Asym, as it was called) sends queries and passages through modules of their own, so what
is true of one role says nothing of the other; in any other model both ways are the same.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, ModelError, UsageError

UNCUT = 2**30
"""A maximum length that cuts nothing."""
NAMES = {"query": ("query", "question"), "passage": ("document", "passage", "corpus", "doc")}
"""What routes of a role are called, the library's own name first."""
_POSITIONS = re.compile(
    r"^(?!.*(vision|visual|image)).*"
    r"(?<!\w)(position_embeddings?|embed_positions|positions_embed|wpe)$"
)
"""Tables of the positions of tokens in transformers' networks; some have an ``offset``."""
PLURALS = {"query": "queries", "passage": "passages"}
Value = TypeVar("Value")


@dataclass(frozen=True)
class Route:
    """The ``modules`` that texts of a role go through, and what the library is told of the role."""

    role: str
    modules: tuple[Any, ...]
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str | None:
        """The library's name for the role."""
        return self.arguments.get("task")

    @property
    def parameters(self) -> int:
        """The number of weights on this way; one that two modules share counts once."""
        weights = {id(weight): weight for each in self.modules for weight in each.parameters()}
        return sum(weight.numel() for weight in weights.values())

    @property
    def dtype(self) -> str:
        """The number format of the first weights on this way."""
        first = next((weight for each in self.modules for weight in each.parameters()), None)
        return "float32" if first is None else str(first.dtype).removeprefix("torch.")

    @property
    def length(self) -> int | None:
        """The tokens after which a text is cut; None if it never is."""
        length = self.fixed or next((limit.get() for limit in _limits(self)), None)
        return int(length) if length and length < UNCUT else None

    @property
    def expansion(self) -> dict[str, Any] | None:
        """How queries of late interaction are filled up with tokens; None if they are not."""
        own = getattr(self.modules[0], "query_expansion", None)
        return own if self.task == "query" else None

    @property
    def fixed(self) -> int | None:
        """How many tokens every text is cut at or filled up to; None if lengths differ."""
        expansion = self.expansion
        return expansion["length"] if expansion and expansion["strategy"] == "fixed" else None

    @property
    def positions(self) -> int | None:
        """For how many tokens a module has learned positions; None if none counts them."""
        import torch

        for name, table in (named for each in self.modules for named in each.named_modules()):
            if isinstance(table, torch.nn.Embedding) and _POSITIONS.search(name):
                offset = 0 if table.padding_idx is None else table.padding_idx + 1
                return int(table.num_embeddings) - int(getattr(table, "offset", offset))
        return None

    @property
    def dimension(self) -> int | None:
        """The number of dimensions of a vector; None if no module says it."""
        for module in reversed(self.modules):
            says = getattr(module, "get_embedding_dimension", None)
            if says is not None and (dimension := says()) is not None:
                return int(dimension)
        return None

    @property
    def pooling(self) -> str:
        """How token vectors become one: "mean", "cls+max", "none", ..."""
        modes = (module.pooling_mode for module in self.poolings)
        return "+".join(m if isinstance(m, str) else "+".join(m) for m in modes) or "none"

    @property
    def poolings(self) -> list[Any]:
        """The modules that pool."""
        return [module for module in self.modules if type(module).__name__ == "Pooling"]

    def can_cut(self) -> bool:
        """Say whether a maximum length can be set."""
        return self.fixed is None and bool(_limits(self))

    def cut_at(self, length: int) -> None:
        """Cut texts of this role after so many tokens."""
        for limit in _limits(self):
            limit.set(length)

    @contextlib.contextmanager
    def uncut(self) -> Iterator[None]:
        """Cut nothing meanwhile, nor fill anything up."""
        expansion, limits = self.expansion, _limits(self)
        before = [limit.get() for limit in limits]
        filled = [each for each in _settings(self) if each.get("padding") == "max_length"]
        try:
            for options in filled:
                options["padding"] = True
            if expansion:
                self.modules[0].query_expansion = None
            for limit in limits:
                limit.set(UNCUT)
            yield
        finally:
            for limit, length in zip(limits, before, strict=True):
                limit.set(length)
            for options in filled:
                options["padding"] = "max_length"
            if expansion:
                self.modules[0].query_expansion = expansion


def find_image_route(model: Any) -> Route | None:
    """Return the way of images, which have no role, as ``encode`` of the library takes it; None for
    a model that has none."""
    if not model.supports("image"):
        return None
    for task in (None, *NAMES["passage"], *NAMES["query"]):
        try:
            modules = tuple(_passed(model, task, "image"))
        except _NoRouteError:
            continue
        return Route("image", modules, {"task": task} if task else {})
    return None


def find_route(model: Any, role: str, asked: Mapping[str, Any], where: str) -> Route:
    """Return the way of a role's texts; ``asked`` is what the library gives its modules for it.

    Where a router has no route of the library's own name for the role, one called by another of
    NAMES is taken. Raises ModelError if it has none of these either; ``where`` names the model.
    """
    own = asked.get("task")
    for task in dict.fromkeys((own, *(NAMES[role] if own else ()))):
        try:
            modules = tuple(_passed(model, task))
        except _NoRouteError:
            continue
        return Route(role, modules, {"task": task} if task else {})
    found = f"its router has no route for {PLURALS[role]}; it has {', '.join(_names(model))}"
    raise ModelError(Fault(where, found, f"a route called {' or '.join(NAMES[role])}"))


class _NoRouteError(Exception):
    """A router does not know a task."""


def _is_router(module: Any) -> bool:
    return hasattr(module, "sub_modules") and hasattr(module, "_resolve_route")


def _passed(modules: Iterable[Any], task: str | None, modality: str = "text") -> Iterator[Any]:
    """Yield the modules that inputs of a task pass, in order, those of routers in their place."""
    for module in modules:
        if not _is_router(module):
            yield module
            continue
        try:
            name = module._resolve_route(task=task, modality=modality)
        except ValueError as error:
            raise _NoRouteError from error
        yield from _passed(module.sub_modules[name], task, modality)


def _names(modules: Iterable[Any]) -> list[str]:
    """Return the names of all routes."""
    names: list[str] = []
    for router in filter(_is_router, modules):
        names += router.sub_modules
        for route in router.sub_modules.values():
            names += _names(route)
    return [*dict.fromkeys(names)]


@dataclass(frozen=True)
class _Limit:
    """One place where a maximum length stands."""

    get: Callable[[], Any]
    set: Callable[[Any], None]


def _limits(route: Route) -> list[_Limit]:
    """Return where the length stands that a role's texts are cut at: what is in force first."""
    first = route.modules[0]
    tokenizer: Any = getattr(first, "tokenizer", None)
    if hasattr(tokenizer, "enable_truncation"):
        return [_rust_limit(tokenizer)] if tokenizer.truncation else []
    limits = []
    for options in _settings(route):
        if options.get("truncation", True) in (False, "do_not_truncate"):
            return []
        if options.get("max_length"):
            limits.append(_Limit(_getter(options), _setter(options)))
    own = {"query": "query_length", "document": "document_length"}.get(route.task or "")
    if own and getattr(first, own, None):
        limits.append(_attribute(first, own))
    if hasattr(tokenizer, "model_max_length"):
        limits.append(_attribute(tokenizer, "model_max_length"))
    return limits


def _settings(route: Route) -> list[dict[str, Any]]:
    """Return what the library is told to do with the texts of a role, what is in force last."""
    given = getattr(route.modules[0], "processing_kwargs", None) or {}
    return [given.get("common") or {}, given.get("text") or {}]


def _getter(table: dict[str, Any]) -> Callable[[], Any]:
    return lambda: table["max_length"]


def _setter(table: dict[str, Any]) -> Callable[[Any], None]:
    return lambda length: table.update(max_length=length)


def _attribute(holder: Any, name: str) -> _Limit:
    return _Limit(lambda: getattr(holder, name), lambda value: setattr(holder, name, value))


def _rust_limit(tokenizer: Any) -> _Limit:
    """A tokenizer of the tokenizers library, as static embeddings have, keeps its own length."""
    rest = {name: value for name, value in tokenizer.truncation.items() if name != "max_length"}
    return _Limit(
        lambda: tokenizer.truncation["max_length"],
        lambda length: tokenizer.enable_truncation(max_length=length, **rest),
    )


def both(values: Mapping[str, Value], show: Callable[[Value], str] = str) -> str:
    """Return what holds in each role in words; once if it is the same.

    >>> both({"query": "none", "passage": "mean"})
    'none (queries), mean (passages)'
    >>> both({"query": "mean", "passage": "mean"})
    'mean'
    """
    shown = {role: show(value) for role, value in values.items()}
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{value} ({PLURALS[role]})" for role, value in shown.items())


def differences(routes: Sequence[Route]) -> dict[str, dict[str, Any]]:
    """Return what holds for each role alone; nothing where all go through the same modules and are
    cut at the same length."""
    first = routes[0]
    if all((each.modules, each.length) == (first.modules, first.length) for each in routes):
        return {}
    return {
        route.role: {
            "parameters": route.parameters,
            "max_length": route.length,
            "pooling": route.pooling,
            "dtype": route.dtype,
        }
        for route in routes
    }


def set_length(routes: Sequence[Route], wanted: int | None, notes: list[str]) -> None:
    """Set the maximum length where there is one, and keep it within what there are positions for.

    Raises UsageError for a length that no role can take, or that is beyond its positions.
    """
    able = [route for route in routes if route.can_cut()]
    if wanted and not able:
        raise UsageError(Fault(f"option --max-length {wanted}", "this model does not cut texts"))
    if wanted and len(able) < len(routes):
        others = ", ".join(PLURALS[route.role] for route in routes if route not in able)
        notes.append(f"--max-length {wanted} does not apply to {others}, whose length is not set")
    for route in able:
        positions = route.positions
        if wanted and positions and wanted > positions:
            found = f"the model has {plural(positions, 'position')}{_for(route, routes)}"
            raise UsageError(Fault(f"option --max-length {wanted}", found, f"at most {positions}"))
        length = wanted
        if not wanted and positions and (route.length or UNCUT) > positions:
            allowed = next(limit.get() for limit in _limits(route))
            note = (
                f"its tokenizer allows {plural(allowed, 'token')}{_for(route, routes)}, the "
                "model has "
                f"{plural(positions, 'position')}: texts are cut there"
            )
            if note not in notes:
                notes.append(note)
            length = positions
        if length:
            route.cut_at(length)


def set_pooling(routes: Sequence[Route], wanted: str) -> None:
    """Set the pooling where there is one module of it. Raises UsageError where there is none."""
    able = [route for route in routes if len(route.poolings) == 1]
    if not able or any(len(route.poolings) > 1 for route in routes):
        counts = both({route.role: len(route.poolings) for route in routes})
        found = f"the model has {counts} pooling modules"
        raise UsageError(Fault(f"option --pooling {wanted}", found))
    for module in (route.poolings[0] for route in able):
        module.pooling_mode = wanted
        module.pooling_output_dimension = module.embedding_dimension


def _for(route: Route, routes: Sequence[Route]) -> str:
    """Say which role is meant, where the roles differ."""
    alike = all(other.modules == route.modules for other in routes)
    return "" if alike else f" for {PLURALS[route.role]}"
