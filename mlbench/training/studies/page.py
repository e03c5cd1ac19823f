"""A study as pages: ``study.html``, which needs nothing else, ``study.md``, and for a terminal.

All show the same in the same order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlbench.common.counts import plural
from mlbench.common.files import write_atomically
from mlbench.common.terminal import fill
from mlbench.reports.table import escape_markdown
from mlbench.reports.templating import Plot, Safe, Section, data_uri, page_environment
from mlbench.training.studies.figures import macro_figures
from mlbench.training.studies.findings import ClaimResult, TaskFindings
from mlbench.training.studies.plots import study_plots
from mlbench.training.studies.report import (
    STUDY_FILE,
    StudyReport,
    pairs_csv,
    study_values,
    values_csv,
)
from mlbench.training.studies.tables import (
    arms_table,
    claims_table,
    cost_table,
    difference_text,
    kinds_of,
    language_title,
    languages_table,
    least_text,
    ours_text,
    pairs_table,
    paper_lines,
    reading,
    seen_table,
)

PAGE_FILE = "study.html"
CLIP_NOTE = (
    "CLIPScore is how near what a query finds first is to it in the model's own vectors; the "
    "judged one is how near what it should find is. Each arm has vectors of its own, so a higher "
    "one is no better retrieval by itself. Values and intervals are as above."
)
MOST_PAIRS = 60
"""Pairs of arms that the page lists for a figure; ``pairs.csv`` has all."""


def write_study(report: StudyReport, folder: Path) -> Path:
    """Write ``study.json``, the pages, ``study.csv``, ``pairs.csv`` and the plots of a study to its
    folder; return the page. Raises EnvironmentFault where they cannot be written."""
    for name, content in study_pages(report).items():
        write_atomically(folder / name, content)
    write_atomically(folder / "study.csv", values_csv(report).encode())
    write_atomically(folder / "pairs.csv", pairs_csv(report).encode())
    raw = json.dumps(study_values(report, folder), ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(folder / STUDY_FILE, (raw + "\n").encode())
    return folder / PAGE_FILE


def study_pages(report: StudyReport) -> dict[str, bytes]:
    """Return file name -> content of the pages and of the plots under ``plots/``.

    ``study.html`` asks for nothing over the network and runs no script.
    """
    plots = study_plots(report)
    view = _view(report) | {
        "plots": [Plot(each.file, data_uri(each.svg), each.alt, each.how) for each in plots]
    }
    markdown = page_environment(lambda v: v if isinstance(v, Safe) else escape_markdown(str(v)))
    markdown.globals.update(table=lambda table: Safe(table.markdown()))
    page = page_environment()
    return {
        **{each.file: each.svg for each in plots},
        "study.md": markdown.get_template("study.md.jinja").render(view).encode(),
        PAGE_FILE: page.get_template("study.html.jinja").render(view).encode(),
    }


def study_text(report: StudyReport) -> str:
    """Return what `mlbench study` prints at its end, at most 80 columns wide."""
    blocks = [fill(report.study.form.question.strip()), fill(" ".join(reading(report)))]
    for task in report.tasks:
        tables = [arms_table(task, intervals=False, clip=clip) for clip in (False, True)]
        blocks += [f"On {task.task.name}:", *(table.text() for table in tables if table.rows)]
    blocks += [_claim_text(result) for result in report.claims]
    return "\n\n".join(blocks)


def _claim_text(result: ClaimResult) -> str:
    said = f"{result.verdict.upper()} on {result.task}: {result.claim.says} Here: "
    said += f"{ours_text(result)}. Smallest difference that could be shown: {least_text(result)}."
    return fill(said + (f" ({_why(result)})" if result.why else ""))


def _why(result: ClaimResult) -> str:
    return result.why[0].upper() + result.why[1:] + "."


def _view(report: StudyReport) -> dict[str, Any]:
    form = report.study.form
    return {
        "study": form,
        "question": form.question.strip(),
        "reading": reading(report),
        "claims": [_claim(result) for result in report.claims],
        "claims_table": claims_table(report),
        "arms": [each for task in report.tasks for each in _arms(task)],
        "pairs": [each for task in report.tasks for each in _pairs(task)],
        "languages": [
            Section(
                language_title(kind, task, form.measure),
                languages_table(task, kind, form.measure),
                "Means over the seeds.",
            )
            for task in report.tasks
            for kind in kinds_of(task)
        ],
        "seen": [
            Section(
                f"{task.task.name}: languages seen in training, and others",
                table,
                "Within a language and over the mixed pool, the language is that of the query; "
                "across languages, both languages were seen, or one of them was not.",
            )
            for task in report.tasks
            if (table := seen_table(task, form.measure)).rows
        ],
        "cost": cost_table(report.costs, report.study.form.reach),
        "facts_of_study": _facts(report),
    }


def _claim(result: ClaimResult) -> dict[str, Any]:
    return {
        "says": result.claim.says,
        "source": result.claim.source,
        "task": result.task,
        "verdict": result.verdict,
        "why": _why(result) if result.why else "",
        "ours": ours_text(result),
        "differences": [f"less {pair.against}: {difference_text(pair)}" for pair in result.pairs],
        "least": least_text(result),
        "figure": result.pairs[0].figure.title,
        "paper": paper_lines(result),
    }


def _arms(task: TaskFindings) -> list[Section]:
    note = (
        "Means over the seeds, with 95% intervals over seeds and "
        f"{plural(task.questions, 'question')}. Baselines are single models; their intervals are "
        "over the questions alone."
    )
    sections = [Section(task.task.name, arms_table(task, intervals=True), note)]
    clip = arms_table(task, intervals=True, clip=True)
    if clip.rows:
        sections.append(Section(f"{task.task.name}: CLIPScore", clip, CLIP_NOTE))
    return sections


def _pairs(task: TaskFindings) -> list[Section]:
    sections = []
    for figure in macro_figures(task.figures):
        table = pairs_table(task, figure)
        if 0 < len(table.rows) <= MOST_PAIRS:
            note = (
                f"p is corrected by Holm's method over these {plural(len(table.rows), 'pair')}; "
                "a difference is shown where it is at most .05. Least is the smallest difference "
                "that could be shown among so many, with 80% power."
            )
            sections.append(Section(f"{task.task.name}: {figure.title}", table, note))
    return sections


def _facts(report: StudyReport) -> list[tuple[str, str]]:
    form, study = report.study.form, report.study
    trained = ", ".join(f"{name} {value}" for name, value in form.train.items())
    varied = "; ".join(f"{name}: {values}" for name, values in form.grid.items())
    first = report.tasks[0]
    return [
        ("trained", trained),
        ("varied", varied),
        ("seeds", ", ".join(map(str, form.seeds))),
        ("models", f"{report.cells[0]} of {report.cells[1]}"),
        ("baselines", ", ".join(form.baselines) or "none"),
        ("tasks", ", ".join(f"{t.task.name} {t.task.version}" for t in report.tasks)),
        (
            "bootstrap",
            f"{plural(first.draws, 'draw')} of seeds and of questions, seed {first.seed}",
        ),
        ("digest", study.digest),
    ]
