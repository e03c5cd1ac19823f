"""What `mlbench check` is told: by the command line, a configuration file, or a pytest fixture.

The file is ``mlbench.toml``, or the table ``[tool.mlbench]`` of ``pyproject.toml``; whatever a
command or a test gives goes before it.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from mlbench.common.errors import Fault, UsageError
from mlbench.common.forms import (
    Takes,
    fields_of,
    fill_form,
    if_only,
    read_toml,
    setting,
    settings_of,
)
from mlbench.common.trust import Demand, refuse_untrusted

FILES = ("mlbench.toml", "pyproject.toml")
MARGIN = 0.005
"""How much worse is still no matter, unless told."""


def _text(expected: str) -> Takes:
    return if_only(lambda value: isinstance(value, str), expected)


def parse_margin(value: object) -> float:
    """Return a margin. Raises ValueError unless it is a finite number from 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a number from 0")
    try:
        margin = float(value)
    except ValueError:
        margin = math.nan
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"{value!r} is not a number from 0")
    return margin


def _margin_of_file(value: Any) -> float:
    if isinstance(value, str):
        raise ValueError
    return parse_margin(value)


_MARGIN = Takes("a number from 0", _margin_of_file)
_MEASURES = if_only(
    lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "a list of measures",
)


@dataclass(frozen=True)
class GateConfig:
    """What is checked: its fields are the arguments of `mlbench check`, the keys of mlbench.toml,
    and what the pytest fixture takes; with their defaults, what they may be, and what they are."""

    report: Annotated[Path, _text("the folder of a report")] | None = setting(
        "a report's folder", "REPORT"
    )
    model: Annotated[str, _text("a model as `mlbench run --model` takes it")] | None = setting(
        "instead of a report: a model to run on the baseline's task", "SPEC"
    )
    baseline: Annotated[Path, _text("the path of a baseline")] | None = setting(
        "a baseline file or a report's folder", "BASELINE"
    )
    task: Annotated[str, _text("a task's name or file")] | None = setting(
        "with --model: the task's name or file (default: the baseline's task)", "TASK"
    )
    margin: Annotated[float, _MARGIN] = setting(
        "the largest loss that does not matter (default: 0.005; for rank-distance, this share of "
        "a random order's)",
        "NUMBER",
        MARGIN,
    )
    measures: Annotated[tuple[str, ...], _MEASURES] = setting(
        "a measure, or rank-distance; may be repeated (default: the baseline's first)", "NAME", ()
    )
    strict: bool = setting("end with exit code 3 if the check is inconclusive", default=False)
    data_dir: Annotated[Path, _text("a folder")] | None = setting(
        "with --model: the folder with the task's data (default: as in `run`)", "FOLDER"
    )
    output: Annotated[Path, _text("a folder")] | None = setting(
        "write check.json, check.md and check.xml (JUnit) to FOLDER and, with --model, the report",
        "FOLDER",
    )


def read_config(folder: Path, file: Path | None = None) -> GateConfig:
    """Read ``file``, or the first of mlbench.toml and pyproject.toml in ``folder`` that has any.

    Paths are relative to the file. Raises UsageError with all faults of the file at once.
    """
    return _read(folder, file)[0]


def chosen_config(folder: Path, file: Path | None = None, **given: Any) -> GateConfig:
    """Read the configuration as ``read_config`` does, and return it with what is given instead.

    Raises UsageError, too, where the model that the file names is code, or its output lies outside
    its folder, unless the user's own word allows it, and as ``overridden``.
    """
    config, demands = _read(folder, file)
    chosen = overridden(config, **given)
    kept = [name for name in ("model", "output") if getattr(chosen, name) and not given.get(name)]
    refuse_untrusted(each for each in demands if each.field.rpartition(".")[2] in kept)
    return chosen


def demands_of(file: Path) -> list[Demand]:
    """Return what a configuration asks for that needs trust. Raises as ``read_config`` does."""
    return _read(file.parent, file)[1]


def _read(folder: Path, file: Path | None) -> tuple[GateConfig, list[Demand]]:
    """Return the configuration, and what its file asks for that needs trust."""
    for path in [file] if file else [folder / name for name in FILES]:
        table = _own_table(path) if file or path.is_file() else None
        if table is not None:
            form = fill_form(GateConfig, table, fields_of(path), UsageError)
            _refuse_unknown_measures(path, form.measures)
            config = _beside(path.parent, form)
            return config, [*_demands(path, config.model), *_writes(path, config.output)]
    if file is not None:
        raise UsageError(
            Fault(str(file), "no [tool.mlbench] in it", "the configuration of `mlbench check`")
        )
    return GateConfig(), []


def _refuse_unknown_measures(path: Path, names: tuple[str, ...]) -> None:
    from mlbench.comparing.quantities import chosen_names

    try:
        chosen_names(names, clip=False)
    except UsageError as error:
        where = f"{path}, field {_field(path, 'measures')}"
        faults = (replace(f, where=where, found=f"{f.where}: {f.found}") for f in error.faults)
        raise UsageError(*faults) from None


def _demands(path: Path, model: str | None) -> list[Demand]:
    from mlbench.models.registry import code_of

    what, file = code_of(model or "")
    word = f"name the model yourself with --model {shlex.quote(model or '')}"
    code = (file,) if file is not None and file.is_file() else ()
    what = f"names a model that {what}" if what else ""
    return [Demand(path, _field(path, "model"), what, word, code)] if what else []


def _writes(path: Path, output: Path | None) -> list[Demand]:
    if output is None or output.resolve().is_relative_to(path.parent.resolve()):
        return []
    what = f"writes to {str(output)!r}, outside the folder of this file"
    return [Demand(path, _field(path, "output"), what, "give --output yourself")]


def _field(path: Path, name: str) -> str:
    return f"tool.mlbench.{name}" if path.name == FILES[1] else name


def _own_table(path: Path) -> dict[str, Any] | None:
    table = read_toml(path, "the configuration of `mlbench check`", UsageError)
    if path.name != "pyproject.toml":
        return table
    tool = table.get("tool")
    own = tool.get("mlbench") if isinstance(tool, dict) else None
    return own if isinstance(own, dict) else None


def _beside(folder: Path, config: GateConfig) -> GateConfig:
    """Return a configuration whose paths start at ``folder``, where its file is."""
    given = vars(config).items()
    paths: dict[str, Any] = {n: folder / value for n, value in given if isinstance(value, Path)}
    model, task = _beside_or(folder, config.model), _beside_or(folder, config.task)
    return replace(config, model=model, task=task, **paths)


def _beside_or(folder: Path, name: str | None) -> str | None:
    """Return the path of a file in ``folder``, such as of ``model.py:make``, else the name."""
    if name is None:
        return None
    beside = folder / name
    there = beside.exists() or beside.with_name(beside.name.rpartition(":")[0] or "-").is_file()
    return str(beside) if there else name


def overridden(config: GateConfig, **given: Any) -> GateConfig:
    """Return the configuration with every given value that is not None.

    A report or a model replaces both. Raises TypeError for an unknown name.
    """
    known = [setting.name for setting in settings_of(GateConfig)]
    if unknown := sorted(given.keys() - set(known)):
        raise TypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    chosen = {name: value for name, value in given.items() if value is not None}
    if "report" in chosen or "model" in chosen:
        config = replace(config, report=None, model=None)
    for name in ("report", "baseline", "data_dir", "output"):
        if name in chosen:
            chosen[name] = Path(chosen[name])
    if "measures" in chosen:
        chosen["measures"] = tuple(chosen["measures"])
    if "margin" in chosen:
        try:
            chosen["margin"] = parse_margin(chosen["margin"])
        except ValueError as error:
            raise UsageError(Fault("margin", str(error))) from None
    return replace(config, **chosen)
