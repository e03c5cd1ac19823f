"""The gate's configuration, and what it takes to hold a model against its baseline.

Configuration comes from ``mlbench.toml``, or the table ``[tool.mlbench]`` of ``pyproject.toml``;
whatever a command or a test gives goes before it.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.errors import DataError, Fault, UsageError, did_you_mean
from mlbench.common.files import write_atomically
from mlbench.comparing.baseline import (
    Saved,
    read_saved,
    refuse_other_infos,
    refuse_other_task,
    saved_report,
)
from mlbench.comparing.quantities import RANK_DISTANCE, chosen_names
from mlbench.comparing.regression import MARGIN, Check, check

if TYPE_CHECKING:
    from mlbench.ranking.ranks import Ranks
    from mlbench.reports.report import Report

FILES = ("mlbench.toml", "pyproject.toml")
PATHS = {"report", "baseline", "data_dir", "output"}


@dataclass(frozen=True)
class GateConfig:
    """What is checked. Either a saved ``report`` or a ``model`` to run is held against the
    ``baseline``; ``output`` is a folder for what is written."""

    report: Path | None = None
    model: str | None = None
    baseline: Path | None = None
    task: str | None = None
    measures: tuple[str, ...] = ()
    margin: float = MARGIN
    strict: bool = False
    data_dir: Path | None = None
    output: Path | None = None


_TYPES: dict[str, tuple[type, str]] = {
    "report": (str, "the folder of a report"),
    "model": (str, "a model as `mlbench run --model` takes it"),
    "baseline": (str, "the path of a baseline"),
    "task": (str, "a task's name or file"),
    "measures": (list, "a list of measures"),
    "margin": (float, "a number from 0"),
    "strict": (bool, "true or false"),
    "data_dir": (str, "a folder"),
    "output": (str, "a folder"),
}


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


def read_config(folder: Path, file: Path | None = None) -> GateConfig:
    """Read ``file``, or the first of mlbench.toml and pyproject.toml in ``folder`` that has any.

    Paths are relative to the file. Raises UsageError with all faults of the file at once.
    """
    if file is not None:
        table = _read(file)
        if table is None:
            raise UsageError(
                Fault(str(file), "no [tool.mlbench] in it", "the gate's configuration")
            )
        return _parse(file, table)
    for name in FILES:
        path = folder / name
        table = _read(path) if path.is_file() else None
        if table is not None:
            return _parse(path, table)
    return GateConfig()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = error.strerror or str(error)
        raise UsageError(Fault(str(path), found, "the gate's configuration")) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(Fault(str(path), f"broken TOML: {error}", "valid TOML")) from None
    if path.name != "pyproject.toml":
        return table
    tool = table.get("tool")
    own = tool.get("mlbench") if isinstance(tool, dict) else None
    return own if isinstance(own, dict) else None


def _parse(path: Path, table: Mapping[str, Any]) -> GateConfig:
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        where = f"{path}, field {key}"
        if name not in _TYPES:
            faults.append(Fault(where, "unknown field", mend=did_you_mean(name, _TYPES)))
        elif not _fits(_TYPES[name][0], value):
            faults.append(Fault(where, f"{value!r}", _TYPES[name][1]))
        else:
            values[name] = tuple(value) if name == "measures" else value
    if faults:
        raise UsageError(*faults)
    for name in PATHS & values.keys():
        values[name] = path.parent / values[name]
    for name in {"model", "task"} & values.keys():
        beside = path.parent / values[name]
        if beside.exists() or beside.with_name(beside.name.rpartition(":")[0] or "-").is_file():
            values[name] = str(beside)
    return GateConfig(**values)


def _fits(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and _is_margin(value)
    if kind is list:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return isinstance(value, kind)


def _is_margin(value: object) -> bool:
    try:
        parse_margin(value)
    except ValueError:
        return False
    return True


def overridden(config: GateConfig, **given: Any) -> GateConfig:
    """Return the configuration with every given value that is not None.

    A report or a model replaces both. Raises TypeError for an unknown name.
    """
    unknown = given.keys() - {field.name for field in fields(GateConfig)}
    if unknown:
        raise TypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(_TYPES)}")
    chosen = {name: value for name, value in given.items() if value is not None}
    if "report" in chosen or "model" in chosen:
        config = replace(config, report=None, model=None)
    for name in PATHS & chosen.keys():
        chosen[name] = Path(chosen[name])
    if "measures" in chosen:
        chosen["measures"] = tuple(chosen["measures"])
    if "margin" in chosen:
        try:
            chosen["margin"] = parse_margin(chosen["margin"])
        except ValueError as error:
            raise UsageError(Fault("margin", str(error))) from None
    return replace(config, **chosen)


def run_gate(config: GateConfig, command: str = "", quiet: bool = True) -> Check:
    """Hold the configured report, or a fresh run of the configured model, against the baseline.

    Raises UsageError where it is not said what to check, DataError where the baseline is missing
    or of another task, IntegrityError where something is damaged.
    """
    if config.baseline is None:
        raise UsageError(
            Fault("--baseline", "not given", "a baseline file or a report's folder",
                  "write one with `mlbench baseline REPORT`, name it here or in mlbench.toml")
        )  # fmt: skip
    if (config.report is None) == (config.model is None):
        found = "neither a report nor a model" if config.report is None else "a report and a model"
        raise UsageError(Fault("what to check", found, "a report's folder, or --model SPEC"))
    measures = chosen_names(config.measures)
    baseline = read_saved(config.baseline)
    if RANK_DISTANCE in measures and len(baseline.task.languages) < 2:
        found = f"{RANK_DISTANCE} on a task of one language"
        raise UsageError(Fault("--measure", found, "a measure that the task has a value for"))
    if config.report is not None:
        new = read_saved(config.report)
    else:
        new = _evaluated(config, baseline, command, quiet)
    refuse_other_task([baseline, new])
    return check(new, baseline, measures, config.margin)


def _evaluated(config: GateConfig, baseline: Saved, command: str, quiet: bool) -> Saved:
    """Run the model on the baseline's task and sample."""
    from mlbench.data.locator import Locator
    from mlbench.data.readers import load_collection
    from mlbench.data.sampling import sample_questions
    from mlbench.evaluation.evaluate import Options, describe_task, evaluate
    from mlbench.evaluation.tasks import load_task
    from mlbench.models.registry import load_adapter

    task = load_task(config.task or baseline.task.name)
    collection = load_collection(task, Locator(config.data_dir, False).of(task))
    collection = sample_questions(collection, baseline.task.sample)
    mine = (f"task {task.name}", describe_task(task, collection))
    refuse_other_infos([(baseline.where, baseline.task), mine])
    model = load_adapter(str(config.model))
    options = Options(measures=config_measures(config), command=command, quiet=quiet)
    report, ranks = evaluate(task, collection, model, options)
    if config.output is not None:
        _write_report(config.output / "report", report, ranks)
    return saved_report(report, ranks, f"a run of {config.model}")


def config_measures(config: GateConfig) -> tuple[str, ...]:
    """Return the measures that a run has to compute: rank distance is always there."""
    return tuple(name for name in config.measures if name != RANK_DISTANCE)


def _write_report(folder: Path, report: Report, ranks: Ranks) -> None:
    from mlbench.reports.page import report_pages
    from mlbench.reports.report import write_report

    write_report(folder, report, ranks, report_pages(report, ranks))


def write_check(folder: Path, result: Check, strict: bool) -> None:
    """Write check.json, check.md (for a pull request) and check.xml (JUnit) into ``folder``."""
    from mlbench.comparing.check_output import junit_check, markdown_check
    from mlbench.comparing.regression import check_json

    write_atomically(folder / "check.xml", junit_check(result, strict))
    write_atomically(folder / "check.md", markdown_check(result).encode())
    write_atomically(folder / "check.json", check_json(result).encode())


def exit_code(result: Check, strict: bool) -> int:
    """Return 1 for regressed and nothing else; 3 for inconclusive where that counts as a fault:
    the data handed in does not suffice; else 0."""
    if result.verdict == "regressed":
        return 1
    return DataError.exit_code if strict and result.verdict == "inconclusive" else 0
