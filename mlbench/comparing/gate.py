"""The gate: a saved report, or a fresh run of a model, held against a baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.comparing.baseline import (
    Saved,
    read_saved,
    refuse_other_infos,
    refuse_other_task,
    saved_report,
)
from mlbench.comparing.config import GateConfig
from mlbench.comparing.quantities import RANK_DISTANCE, chosen_names
from mlbench.comparing.regression import Check, check

if TYPE_CHECKING:
    from mlbench.evaluation.options import Options
    from mlbench.reports.report import TaskInfo


def run_gate(config: GateConfig, options: Options | None = None) -> Check:
    """Hold the configured report, or a fresh run of the configured model, against the baseline.

    ``options`` say how the model is run (default: as `mlbench.evaluate` does, without progress).
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
        new = _evaluated(config, baseline, options)
    refuse_other_task([baseline, new])
    return check(new, baseline, measures, config.margin)


def _evaluated(config: GateConfig, baseline: Saved, options: Options | None) -> Saved:
    """Run the model on the baseline's task and sample."""
    from mlbench.evaluation.evaluate import evaluate
    from mlbench.evaluation.options import Options

    def approve(info: TaskInfo) -> None:
        refuse_other_infos([(baseline.where, baseline.task), (f"task {info.name}", info)])

    how = replace(
        options or Options(progress=False),
        measures=config_measures(config),
        data_dir=config.data_dir,
        sample_questions=baseline.task.sample,
        approve=approve,
    )
    report = evaluate(config.model, config.task or baseline.task.name, how)
    if config.output is not None:
        report.save(config.output / "report")
    return saved_report(report, report.table, f"a run of {config.model}")


def config_measures(config: GateConfig) -> tuple[str, ...]:
    """Return the measures that a run has to compute: rank distance is always there."""
    return tuple(name for name in config.measures if name != RANK_DISTANCE)


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
