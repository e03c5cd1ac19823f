"""The report of a study: what it found on each task, what training took, as JSON and as CSV.

``study.json`` (``mlbench/study/1``) says all of it; ``docs/studies.md`` explains every key.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import DataError, Fault
from mlbench.measures.significance import DRAWS, LEVEL
from mlbench.reports.values import finite
from mlbench.training.studies.entrants import Entrant
from mlbench.training.studies.findings import (
    ArmValue,
    ClaimResult,
    Pair,
    TaskFindings,
    task_findings,
)
from mlbench.training.studies.form import Claim
from mlbench.training.studies.plan import Study
from mlbench.training.studies.run import cell_folder, entrants, task_folder, trainings

SCHEMA = "mlbench/study/1"
STUDY_FILE = "study.json"


@dataclass(frozen=True)
class Cost:
    """What the trainings of an arm took: means over its seeds, the peak of all; None where it is
    not recorded. ``memory`` is in bytes; ``texts_per_second`` is how fast its models encode;
    ``reached`` is after how many seconds each training first had the score that the study wants to
    be reached, None where it did not or ``untimed``: where the seconds were not recorded."""

    arm: str
    steps: float | None
    pairs: float | None
    seconds: float | None
    pairs_per_second: float | None
    memory: int | None
    evaluating: float
    texts_per_second: float | None
    reached: tuple[float | None, ...] = ()
    untimed: tuple[bool, ...] = ()

    @classmethod
    def of(cls, arm: str, records: Sequence[Mapping[str, Any]], reach: float | None = None) -> Cost:
        """Return that of an arm by the records of its trainings; ``reach`` is a score."""

        def mean(name: str) -> float | None:
            values = [record[name] for record in records if record.get(name) is not None]
            return sum(values) / len(values) if values else None

        memory = [peak for record in records if (peak := _peak(record))]
        timed = [record["cell"]["seconds"] for record in records]
        encoded = [record["cell"]["encoded"] for record in records]
        seconds = sum(of["seconds"] for of in encoded)
        evaluating = [sum(of.values()) - of.get("training", 0) for of in timed]
        return cls(
            arm,
            mean("steps"),
            mean("pairs"),
            mean("seconds"),
            mean("pairs_per_second"),
            max(memory, default=None),
            sum(evaluating) / len(evaluating),
            sum(of["texts"] for of in encoded) / seconds if seconds else None,
            () if reach is None else tuple(seconds_to(reach, record) for record in records),
            () if reach is None else tuple(not _timed(record) for record in records),
        )


def seconds_to(score: float, record: Mapping[str, Any]) -> float | None:
    """Return after how many seconds of steps an evaluation in training first had a score or more:
    over all languages mixed or, where the task has no such setting, across or within languages."""
    for evaluation in record.get("evaluations", ()):
        for kind in ("multilingual", "crosslingual", "monolingual"):
            values = [value for key, value in evaluation.items() if f"_{kind}_" in key]
            if values:
                if values[0] >= score and "seconds" in evaluation:
                    return float(evaluation["seconds"])
                break
    return None


def _timed(record: Mapping[str, Any]) -> bool:
    """Return whether the record of a training says when each of its evaluations was."""
    evaluations = record.get("evaluations")
    return evaluations is not None and all("seconds" in each for each in evaluations)


def _peak(record: Mapping[str, Any]) -> int | None:
    """Return the peak memory of a training: that of the accelerator, where there was one, else
    that of the process while it trained."""
    peak: int | None = record.get("peak_gpu_memory") or record["cell"].get("peak_memory")
    return peak


@dataclass(frozen=True)
class StudyReport:
    """What a study found. ``cells`` are (done, planned); ``records`` are by arm those of its
    trainings."""

    study: Study
    tasks: tuple[TaskFindings, ...]
    costs: tuple[Cost, ...]
    records: Mapping[str, Sequence[Mapping[str, Any]]]
    cells: tuple[int, int]
    warnings: tuple[str, ...] = ()

    @property
    def claims(self) -> tuple[ClaimResult, ...]:
        """What becomes of each claim on each task, claim by claim."""
        names = list(self.study.form.claims)
        every = [result for task in self.tasks for result in task.claims]
        return tuple(sorted(every, key=lambda result: names.index(result.name)))

    @property
    def untested(self) -> tuple[tuple[str, Claim], ...]:
        """The claims whose figure no task has, or whose arms are not done."""
        tested = {result.name for result in self.claims}
        return tuple((n, c) for n, c in self.study.form.claims.items() if n not in tested)

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """All arms and baselines, in order."""
        every = {each.label: each for task in self.tasks for each in task.entrants}
        return tuple(every.values())


def study_report(
    study: Study, folder: Path, warnings: Sequence[str] = (), *, draws: int = DRAWS
) -> StudyReport:
    """Make the report of all that is done of a study, with more ``warnings`` than it finds itself.

    Raises DataError where no cell is done, IntegrityError where a report is damaged or two are not
    of the same data.
    """
    records = trainings(study, folder)
    done = sum(map(len, records.values()))
    if not done:
        raise DataError(Fault(str(folder), "no cell of the study is done", "at least one"))
    tasks = []
    for task in map(task_folder, study.form.tasks):
        there = entrants(study, folder, task)
        present = {each.label for each in there}
        claims = {
            name: claim
            for name, claim in study.form.claims.items()
            if claim.arm in present and all(a in present or a == "all" for a in claim.than)
        }
        tasks.append(task_findings(there, claims, study.form.measure, draws=draws))
    costs = tuple(Cost.of(arm, of, study.form.reach) for arm, of in records.items())
    planned = len(study.cells)
    said = (*warnings, *_warnings(study, records, done, planned))
    return StudyReport(study, tuple(tasks), costs, records, (done, planned), said)


def _warnings(
    study: Study, records: Mapping[str, Sequence[Mapping[str, Any]]], done: int, planned: int
) -> list[str]:
    said = []
    if done < planned:
        said.append(
            f"Only {done} of {plural(planned, 'model')} {agreeing(done, 'is', 'are')} "
            "trained; the others are left out."
        )
    if len(study.form.seeds) == 1:
        said.append(
            "Each arm has one seed. Two trainings that differ in nothing but the seed score "
            "differently, and one seed does not show by how much, so no difference between arms "
            "can be shown."
        )
    every = [record for of in records.values() for record in of]
    chosen = (("config", "data"), ("config", "languages"))
    for what, path, of in (
        ("training data", ("data", "digest"), chosen),
        ("hardware", ("hardware",), ()),
    ):
        found: dict[str, set[str]] = {}
        for record in every:
            told = [json.dumps(_at(record, each), sort_keys=True) for each in (*of, path)]
            found.setdefault(" ".join(told[:-1]), set()).add(told[-1])
        if any(len(values - {"null"}) > 1 for values in found.values()):
            said.append(f"The models were not all trained with the same {what}.")
    return said


def _at(record: Any, path: Sequence[str]) -> Any:
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def study_values(report: StudyReport, folder: Path) -> dict[str, Any]:
    """Return what ``study.json`` says; paths start at ``folder``."""
    study, form = report.study, report.study.form
    values = {
        "schema": SCHEMA,
        "study": form.name,
        "title": form.title,
        "question": form.question,
        "citation": form.citation,
        "notes": form.notes,
        "warnings": report.warnings,
        "digest": study.digest,
        "axis": study.axis,
        "arms": [
            {
                "label": each.label,
                "role": each.role,
                "seeds": each.seeds,
                "languages": each.languages,
                "x": each.x,
                "series": each.series,
            }
            for each in report.entrants
        ],
        "cells": [_cell_values(report, folder, *each) for each in _done_cells(report)],
        "planned_cells": report.cells[1],
        "costs": [asdict(cost) for cost in report.costs],
        "tasks": [_task_values(task) for task in report.tasks],
        "claims": [_claim_values(result) for result in report.claims],
        "untested_claims": [{"name": n, "says": c.says} for n, c in report.untested],
    }
    found: dict[str, Any] = finite(values)
    return found


def _done_cells(report: StudyReport) -> list[tuple[str, int, Mapping[str, Any]]]:
    return [
        (arm, number, record)
        for arm, of in report.records.items()
        for number, record in enumerate(of)
    ]


TOLD = ("steps", "pairs", "seconds", "pairs_per_second", "peak_memory", "fingerprint", "versions")
"""Keys of ``training.json`` that ``study.json`` repeats."""


def _cell_values(
    report: StudyReport, folder: Path, arm: str, number: int, record: Mapping[str, Any]
) -> dict[str, Any]:
    cell = record["cell"]
    planned = next(c for c in report.study.cells if (c.arm.label, c.seed) == (arm, cell["seed"]))
    scores = {
        task.task.name: {
            v.figure.text: v.by_seed[number]
            for v in task.values
            if v.arm == arm and not v.figure.over
        }
        for task in report.tasks
    }
    return {
        "arm": arm,
        "seed": cell["seed"],
        "folder": str(cell_folder(folder, planned).relative_to(folder)),
        "config": cell["config"],
        "seconds": cell["seconds"],
        "training": {name: record[name] for name in TOLD if name in record},
        "scores": scores,
    }


def _task_values(task: TaskFindings) -> dict[str, Any]:
    return {
        "task": task.task.name,
        "version": task.task.version,
        "digest": task.task.digest,
        "questions": task.questions,
        "bootstrap": {"draws": task.draws, "seed": task.seed, "level": LEVEL},
        "values": [_flat(v) for v in task.values],
        "pairs": [_flat(p) for p in task.pairs],
    }


def _flat(row: ArmValue | Pair) -> dict[str, Any]:
    """Return a row with the fields of its figure in it."""
    values = asdict(row)
    figure = values.pop("figure")
    if not figure["over"] and isinstance(row, Pair):
        figure.pop("over")
    return {"arm": values.pop("arm"), **figure, **values}


def _claim_values(result: ClaimResult) -> dict[str, Any]:
    claim = result.claim
    return {
        "name": result.name,
        "says": claim.says,
        "figure": claim.figure,
        "relation": claim.relation.value,
        "within": claim.within,
        "arm": claim.arm,
        "than": [pair.against for pair in result.pairs],
        "source": claim.source,
        "task": result.task,
        "verdict": result.verdict,
        "why": result.why,
        "ours": result.ours,
        "least": result.least,
        "pairs": [_flat(pair) for pair in result.pairs],
        "paper": [
            {"where": where, "figures": figures, "agrees": agrees}
            for where, (figures, agrees) in result.paper.items()
        ],
    }


def values_csv(report: StudyReport) -> str:
    """Return every figure of every arm on every task, a row each, in full precision."""
    about = {each.label: each for each in report.entrants}
    rows = [
        {
            "task": task.task.name,
            "arm": v.arm,
            "role": about[v.arm].role,
            "x": about[v.arm].x,
            "series": about[v.arm].series,
            **asdict(v.figure),
            **{name: getattr(v, name) for name in ("value", "low", "high", "over_seeds")},
            "seeds": len(v.by_seed),
        }
        for task in report.tasks
        for v in task.values
    ]
    return _csv(rows)


def pairs_csv(report: StudyReport) -> str:
    """Return every difference of two arms on every task, a row each, in full precision."""
    return _csv([{"task": t.task.name, **_flat(p)} for t in report.tasks for p in t.pairs])


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()
