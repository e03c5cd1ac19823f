"""A suite: a named list of tasks with a headline figure each, and the file (TOML) that says it.

``tasks/suites/`` holds those that come with mlbench. Here a suite names its tasks;
``evaluation.suites.load_suite`` finds them and checks that they have the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from mlbench.common.errors import DataError, Fault, nearest
from mlbench.common.files import shipped_folder
from mlbench.common.forms import (
    WORD,
    Takes,
    fields_of,
    fill_form,
    form_path,
    if_only,
    read_toml,
)
from mlbench.data.task import FROM_IMAGE, INTO_IMAGE, LANGUAGE, NAME, Kind, Task


@dataclass(frozen=True)
class Figure:
    """A macro score: a measure over the settings of a kind, or over those of pairs in one
    direction, or from texts to images or back. Written ``multilingual:AP``,
    ``from-en:Success@1`` or ``text-to-image:Success@1``."""

    kind: Kind
    measure: str
    direction: str = ""

    @property
    def over(self) -> str:
        """What settings it is over."""
        return self.direction or self.kind.value

    def __str__(self) -> str:
        return f"{self.over}:{self.measure}"

    @classmethod
    def read(cls, text: str) -> Figure:
        """Return the figure that is written so, its measure as it stands."""
        over, _, measure = text.partition(":")
        return (
            cls(Kind.CROSSLINGUAL, measure, over)
            if over not in [*Kind]
            else cls(Kind(over), measure)
        )


@dataclass(frozen=True)
class SuiteTask:
    """A task of a suite; ``figures`` hold the ``headline`` and those shown beside it."""

    task: Task
    headline: Figure
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Suite:
    """Tasks whose figures are read together; ``mean`` says that their headlines have a mean."""

    name: str
    title: str
    citation: str
    tasks: tuple[SuiteTask, ...]
    path: Path
    mean: bool = False
    notes: tuple[str, ...] = ()


def _figure(value: Any) -> str:
    """Return ``kind:measure`` as it is. What it is a figure of, is looked at later."""
    _, colon, measure = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not measure.strip():
        raise ValueError
    return str(value)


def faults_of_settings(where: str, figure: Figure) -> Iterator[Fault]:
    """Tell where what stands before the colon of a figure names no settings."""
    if figure.direction and not DIRECTION.fullmatch(figure.direction):
        kinds = [*map(str, Kind)]
        directed = f"as in from-en or {INTO_IMAGE}"
        expected = f"a kind of setting before the colon, one of {', '.join(kinds)}, or {directed}"
        yield Fault(where, repr(str(figure)), expected, nearest(figure.direction, kinds))


DIRECTION = re.compile(rf"(from|into)-({LANGUAGE.pattern})|{INTO_IMAGE}|{FROM_IMAGE}")
_NAMED = if_only(
    lambda v: isinstance(v, str) and NAME.fullmatch(v),
    "lower-case letters, digits, '.', '_' and '-'",
)
_FIGURE = Takes("a kind of setting and a measure, such as 'multilingual:AP'", _figure)


@dataclass(frozen=True)
class SuiteTaskForm:
    """The table ``[tasks.NAME]`` of a suite file, figures as they are written."""

    headline: Annotated[str, _FIGURE]
    figures: tuple[Annotated[str, _FIGURE], ...] = ()


@dataclass(frozen=True)
class SuiteForm:
    """A suite file."""

    name: Annotated[str, _NAMED]
    title: Annotated[str, WORD]
    tasks: dict[str, SuiteTaskForm]
    citation: str = ""
    mean: bool = False
    notes: tuple[Annotated[str, WORD], ...] = field(default=())


def suites_folder() -> Path:
    """Return the folder of the built-in suites."""
    return shipped_folder("tasks") / "suites"


def list_suites() -> list[str]:
    """Return the names of the built-in suites, sorted."""
    return sorted(path.stem for path in suites_folder().glob("*.toml"))


def suite_path(name_or_path: str | Path) -> Path:
    """Return the file of the built-in suite of that name, or the path that is given.

    What ends in ``.toml`` or holds a separator is a path. Raises UsageError where there is none.
    """
    return form_path(name_or_path, suites_folder(), "suite")


def parse_suite(path: Path) -> SuiteForm:
    """Read a suite file. Raises DataError with all faults of its form at once."""
    table = read_toml(path, "a suite file (TOML)", DataError)
    return fill_form(SuiteForm, table, fields_of(path), DataError, _across(path, table))


def _across(path: Path, table: dict[str, Any]) -> Iterator[Fault]:
    place, name = fields_of(path), table.get("name")
    if isinstance(name, str) and NAME.fullmatch(name) and name != path.stem:
        mend = f"call the file {name}.toml, or the suite {path.stem!r}"
        yield Fault(place("name"), repr(name), repr(path.stem), mend)
    tasks = table.get("tasks")
    if tasks == {}:
        yield Fault(place("tasks"), "no task", "at least one table such as [tasks.xquad-r]")
    for task, of in tasks.items() if isinstance(tasks, dict) else ():
        figures = of.get("figures", []) if isinstance(of, dict) else []
        texts = [f for f in figures if isinstance(f, str)] if isinstance(figures, list) else []
        for figure in dict.fromkeys(f for f in texts if texts.count(f) > 1):
            where = place(f"tasks.{task}.figures")
            yield Fault(where, f"{figure!r} given more than once", "distinct figures")
