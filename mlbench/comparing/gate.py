"""The gate: a saved report, or a fresh run of a model, held against a baseline."""

from __future__ import annotations

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
    from mlbench.ranking.ranks import Ranks
    from mlbench.reports.report import Report


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
