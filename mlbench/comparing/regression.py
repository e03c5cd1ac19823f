"""The regression gate: is a model worse than its baseline? From two saved results alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.comparing.baseline import Result, Saved, refuse_other_infos, saved_report, saved_result
from mlbench.comparing.check_texts import junit_check, markdown_check, terminal_check
from mlbench.comparing.compare import compare
from mlbench.comparing.comparison import Comparison, flat_row
from mlbench.comparing.config import MARGIN, GateConfig, parse_margin
from mlbench.comparing.differences import WORSE, Difference
from mlbench.comparing.judgements import GRAVITY, INCONCLUSIVE, REGRESSED, Judgement, judge
from mlbench.comparing.quantities import chosen_names
from mlbench.data.task import Task
from mlbench.measures.bias import rank_distance
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.ranking.ranks import Ranks
from mlbench.reports.provenance import ModelInfo, TaskInfo
from mlbench.reports.report import REPORT_FILE, Report

if TYPE_CHECKING:
    from mlbench.evaluation.options import Options

Evaluate = Callable[..., Report]
"""What evaluates a model as ``mlbench.evaluate`` does."""
SCHEMA = "mlbench/check/1"


@dataclass(frozen=True, repr=False)
class Check:
    """A model held against its baseline. ``fallen`` are the query languages, or of pairs
    the settings, shown to be worse."""

    verdict: str
    task: TaskInfo
    model: ModelInfo
    baseline: ModelInfo
    questions: int
    margin: float
    judgements: tuple[Judgement, ...]
    fallen: tuple[Difference, ...]

    def __repr__(self) -> str:
        models = f"{self.model.name} against {self.baseline.name}"
        return f"<Check of {models} on {self.task.name}: {self.verdict}>"

    def __str__(self) -> str:
        return terminal_check(self)

    def _repr_markdown_(self) -> str:
        return markdown_check(self)


def check(
    report_or_model: object,
    baseline: Result,
    measures: str | Sequence[str] = (),
    margin: float = MARGIN,
    *,
    task: str | Path | Task | None = None,
    **options: Any,
) -> Check:
    """Hold a report, or a model that is evaluated for it, against a baseline.

    Args:
        report_or_model: A Report, the folder of one, a baseline file (.parquet), or a model as
            ``evaluate`` takes it, which is evaluated on the baseline's sample of its task.
        baseline: A file that `mlbench baseline` wrote, a Report, or the folder of one.
        measures: Names such as nDCG@10, or rank-distance; none: the first of the baseline.
        margin: How much worse is still no matter; for rank distance it is that share of a random
            order's.
        task: The task of a model, where its name in the baseline does not find it.
        **options: Those of ``evaluate``; with ``folder`` the report of a model is saved there.

    The result has a ``verdict`` ("pass", "regressed" or "inconclusive") and prints as
    `mlbench check` does. Raises as ``evaluate`` does; DataError unless both are of the same task,
    UsageError for a measure that the task has no value for, IntegrityError for a damaged file.
    """
    return _checked(report_or_model, baseline, (measures, margin), task, options)


def _checked(
    given: object,
    baseline: Result,
    gate: tuple[str | Sequence[str], float],
    task: str | Path | Task | None,
    options: dict[str, Any],
    evaluate: Evaluate | None = None,
) -> Check:
    """See ``check``; ``evaluate`` is what evaluates a model, where it is not ``mlbench``'s own."""
    measures, margin = chosen_names(gate[0], clip=False), gate[1]
    old = saved_result(baseline)
    if RANK_DISTANCE in measures and not old.task.roles.mixed:
        found = f"{RANK_DISTANCE} on a task without passages of several languages together"
        raise UsageError(Fault("--measure", found, "a measure that the task has a value for"))
    try:
        margin = parse_margin(margin)
    except ValueError as error:
        raise UsageError(Fault("margin", str(error))) from None
    if _is_result(given):
        _refuse_unknown(options)
        new = saved_result(given)
    else:
        options["measures"] = tuple(name for name in measures if name != RANK_DISTANCE)
        new = _evaluated(given, old, task or old.task.name, options, evaluate)
    return _judged(new, old, measures, margin)


def _is_result(given: object) -> TypeGuard[Result]:
    """Say whether a report or a baseline is given, or the path of one, and not a model."""
    if not isinstance(given, str | Path):
        return isinstance(given, Saved | Report)
    return (Path(given) / REPORT_FILE).is_file() or Path(given).suffix == ".parquet"


def _refuse_unknown(options: dict[str, Any]) -> None:
    """Raise UsageError for options that there are not, where none is needed."""
    if options:
        from mlbench.evaluation.options import chosen_options

        chosen_options(options.pop("options", None), options)


def _evaluated(
    model: object,
    baseline: Saved,
    task: str | Path | Task,
    options: dict[str, Any],
    evaluate: Evaluate | None,
) -> Saved:
    """Evaluate a model on the baseline's task and sample."""
    import mlbench.evaluation.evaluate as driver

    def approve(info: TaskInfo) -> None:
        refuse_other_infos([(baseline.where, baseline.task), (f"task {info.name}", info)])

    info = baseline.task
    options |= {"sample_questions": info.sample, "sample_passages": info.sample_passages}
    options |= {"languages": info.languages if info.subset_of else None, "approve": approve}
    report = (evaluate or driver.evaluate)(model, task, **options)
    if options.get("folder") is not None:
        report.save(options["folder"])
    name = model if isinstance(model, str) else report.model.name
    return saved_report(report, f"a run of {name}")


def default_gate(baseline: Saved) -> tuple[str, ...]:
    """Return the measure that is checked unless told: the baseline's first."""
    return baseline.measures[:1]


def _judged(new: Saved, baseline: Saved, measures: Sequence[str], margin: float) -> Check:
    """Judge every macro mean of the measures; the worst verdict is that of the check.

    Scores of truncated run files are lower bounds, which could not pass: DataError.
    """
    tables = baseline.table, new.table
    comparison = compare([baseline, new], measures or default_gate(baseline))
    values = {(v.model, v.quantity): v.value for v in comparison.scores}
    same = _same_counts(*tables)
    judgements = tuple(
        judge(
            d,
            (values["A", d.quantity], values["B", d.quantity]),
            margin * (random_distance(new.table) if d.quantity.lower_is_better else 1),
            comparison.method.questions,
            same=same,
        )
        for d in comparison.differences
        if d.quantity.level == 0
    )
    return Check(
        verdict=max((j.verdict for j in judgements), key=GRAVITY.index),
        task=new.task,
        model=new.model,
        baseline=baseline.model,
        questions=comparison.method.questions,
        margin=margin,
        judgements=judgements,
        fallen=tuple(_fallen(comparison)),
    )


def _fallen(comparison: Comparison) -> list[Difference]:
    """Return what is shown to be worse by query language, if there are several, or by pair."""
    roles = comparison.task.roles
    level = 2 if roles.two_ways else 1
    return [
        d
        for d in comparison.differences
        if d.quantity.level == level and d.verdict == WORSE and len(roles.queries) > 1
    ]


def _same_counts(a: Ranks, b: Ranks) -> bool:
    columns = ((a.above, b.above), (a.tied, b.tied), (a.place, b.place))
    return a.passage_ids == b.passage_ids and all(np.array_equal(*pair) for pair in columns)


def random_distance(ranks: Ranks) -> float:
    """Return the rank distance of a random order: the mean over languages of their expectation."""
    each = [rank_distance(ranks, language) for language in ranks.roles.mixing]
    means = [float(e.expected.mean()) for e in each if len(e.query)]
    return math.fsum(means) / len(means)


def run_gate(
    config: GateConfig, options: Options | None = None, evaluate: Evaluate | None = None
) -> Check:
    """Hold the configured report, or a fresh run of the configured model, against the baseline.

    ``options`` say how the model is run (default: as `mlbench.evaluate` does, without progress),
    and ``evaluate`` what runs it (default: that function).
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
    if config.report is not None:
        new = saved_result(config.report)
        return check(new, config.baseline, config.measures, config.margin)
    folder = None if config.output is None else config.output / "report"
    given: dict[str, Any] = {"data_dir": config.data_dir, "folder": folder}
    given |= {"options": options} if options else {"progress": False}
    gate = config.measures, config.margin
    return _checked(config.model, config.baseline, gate, config.task, given, evaluate)


def write_check(folder: Path, result: Check, strict: bool) -> None:
    """Write check.json, check.md (for a pull request) and check.xml (JUnit) into ``folder``."""
    write_atomically(folder / "check.xml", junit_check(result, strict))
    write_atomically(folder / "check.md", markdown_check(result).encode())
    write_atomically(folder / "check.json", check_json(result).encode())


def exit_code(result: Check, strict: bool) -> int:
    """Return 1 for regressed and nothing else; 3 for inconclusive where that counts as a fault:
    the data handed in does not suffice; else 0."""
    if result.verdict == REGRESSED:
        return 1
    return DataError.exit_code if strict and result.verdict == INCONCLUSIVE else 0


def check_json(result: Check) -> str:
    """Return the check as strict JSON (schema ``mlbench/check/1``)."""
    table = {"schema": SCHEMA} | asdict(result)
    for name in ("judgements", "fallen"):
        table[name] = [flat_row(row) for row in table[name]]
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
