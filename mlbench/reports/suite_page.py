"""A suite as text for a terminal and as pages: ``suite.html``, which needs nothing else, and
``suite.md``. Both show the same in the same order."""

from __future__ import annotations

from typing import Any

from mlbench.common.counts import plural
from mlbench.common.terminal import fill
from mlbench.data.suite import Figure
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.measures.significance import Score
from mlbench.reports.suite_report import SuiteReport
from mlbench.reports.table import Table, escape_markdown, narrow
from mlbench.reports.tables import ranged
from mlbench.reports.templating import Safe, Section, Tile, page_environment
from mlbench.reports.words import MISSING, between, kind_name, mean_name, number

SHORT = {"monolingual": "mono", "crosslingual": "cross", "multilingual": "multi"}
HEADLINE = "*"


def suite_pages(report: SuiteReport) -> dict[str, bytes]:
    """Return file name -> content of suite.html and suite.md.

    suite.html asks for nothing over the network and runs no script.
    """
    view = _view(report)
    markdown = page_environment(lambda v: v if isinstance(v, Safe) else escape_markdown(str(v)))
    markdown.globals.update(table=lambda table: Safe(table.markdown()))
    page = page_environment()
    return {
        "suite.md": markdown.get_template("suite.md.jinja").render(view).encode(),
        "suite.html": page.get_template("suite.html.jinja").render(view).encode(),
    }


def suite_text(report: SuiteReport) -> str:
    """Return what a run of a suite prints at its end, at most 80 columns wide."""
    sections = _sections(report)
    blocks = [
        fill(f"{_model_name(report)} on the suite {report.suite.name}"),
        fill(" ".join(suite_reading(report))),
        *(block for each in sections for block in (each.table.text(), fill(each.note))),
        *(fill(f"Note: {note}") for note in report.suite.notes),
    ]
    return "\n\n".join(blocks)


def suite_reading(report: SuiteReport) -> list[str]:
    """Return what a suite's figures say in words, what is missing first."""
    missing, count = report.missing, len(report.tasks)
    said = [f"The task {task} is missing: {why}." for task, why in missing.items()]
    if missing:
        without = "has no headline" if report.suite.mean else "is incomplete"
        said.append(f"The suite therefore {without}.")
    if report.mean is not None:
        headlines = {str(each.headline): each.headline for each in report.suite.tasks}
        what = _name(next(iter(headlines.values()))) if len(headlines) == 1 else "headline"
        tasks = plural(count, "task")
        interval = between(number(report.mean.low), number(report.mean.high))
        said.append(
            f"Mean {what} over {tasks}: {number(report.mean.value)} (95% interval {interval})."
        )
    elif not missing:
        tasks = plural(count, "task")
        said.append(f"The suite has {tasks}, and no mean over them.")
    if report.mean is not None and report.mean.ties_matter:
        best = number(report.mean.optimistic)
        said.append(f"Ties are counted against the model; counted for it, the mean is {best}.")
    return said


def figures_table(report: SuiteReport) -> Table:
    """Return every figure of every task with its 95% interval, a row a figure; then the mean."""
    rows = []
    for each, of in zip(report.suite.tasks, report.tasks, strict=True):
        for figure in each.figures:
            mark = f" {HEADLINE}" if figure == each.headline and len(each.figures) > 1 else ""
            digits = 1 if _is_distance(figure) else 4
            cell = _with_interval(of.figures.get(str(figure)), digits)
            rows.append((of.task, _name(figure) + mark, cell))
    footer = ("mean", "headline", _with_interval(report.mean, 4)) if report.suite.mean else ()
    return Table(("task", "figure", "value, 95% interval"), tuple(rows), footer, words=2)


def columns_table(report: SuiteReport) -> Table:
    """Return the figures side by side, as publications print them: a row a task."""
    columns = list(dict.fromkeys(figure for each in report.suite.tasks for figure in each.figures))
    rows = tuple(
        (of.task, *(_value(of.figures.get(str(figure)), figure) for figure in columns))
        for of in report.tasks
    )
    return Table(("task", *map(_column, columns)), rows)


def _sections(report: SuiteReport) -> list[Section]:
    several = any(len(each.figures) > 1 for each in report.suite.tasks)
    note = "Each figure is a macro score: the mean over the settings of a kind"
    directed = any(figure.direction for each in report.suite.tasks for figure in each.figures)
    note += " or, of pairs and of images, over those of one direction." if directed else "."
    note += f" {HEADLINE} marks the headline of a task." * several
    if report.suite.mean:
        note += " The mean is the unweighted mean of the headlines."
    if report.statistics is not None:
        of = report.statistics
        note += (
            f" Its interval is made of {plural(of.draws, 'draw')} of the "
            f"{plural(of.clusters, 'question')} of all "
            "tasks; a question that several tasks ask is drawn for all of them."
        )
    sections = [Section("Figures", figures_table(report), note)]
    if several:
        side = "The same values side by side, as publications print them."
        sections.append(Section("Side by side", columns_table(report), side))
    return sections


def _view(report: SuiteReport) -> dict[str, Any]:
    warnings = [
        f"{task}: {said}"
        for task, of in report.reports.items()
        for said in (*of.notes, *of.warnings)
    ]
    counted = [
        (
            each.task,
            *(f"{n:,}" for n in (sum(of.task.queries.values()), sum(of.task.passages.values()))),
            str(len(of.task.languages)),
            each.version,
        )
        for each in report.tasks
        if (of := report.reports.get(each.task)) is not None
    ]
    headers = ("task", "queries", "passages", "languages", "version")
    return {
        "suite": report.suite,
        "model": _model_name(report),
        "reading": suite_reading(report),
        "tiles": _tiles(report),
        "sections": _sections(report),
        "tasks": [(each.task, each.title) for each in report.tasks],
        "counts": Table(headers, tuple(counted)),
        "warnings": [*report.suite.notes, *warnings],
    }


def _tiles(report: SuiteReport) -> list[Tile]:
    """Return the mean, then each task's headline."""
    tiles = [_tile("mean headline", report.mean)] if report.mean else []
    for each, of in zip(report.suite.tasks, report.tasks, strict=True):
        score = of.figures.get(str(each.headline))
        label = f"{of.task}, {_name(each.headline)}"
        tiles.append(_tile(label, score) if score else Tile(label, MISSING, of.missing))
    return tiles


def _tile(label: str, score: Score) -> Tile:
    return Tile(label, number(score.value), between(number(score.low), number(score.high)))


def _model_name(report: SuiteReport) -> str:
    return report.model.name if report.model else "no model"


def _is_distance(figure: Figure) -> bool:
    return figure.measure == RANK_DISTANCE


def _over(figure: Figure) -> str:
    """Say what settings a figure is over."""
    return kind_name(figure.over)


def _name(figure: Figure) -> str:
    """Return what people call a figure: mAP multilingual."""
    if _is_distance(figure):
        return "rank distance"
    return f"{mean_name(figure.measure)} {_over(figure)}"


def _column(figure: Figure) -> str:
    if _is_distance(figure):
        return "rank\ndistance"
    return f"{narrow(mean_name(figure.measure), 8)}\n{SHORT.get(figure.over, _over(figure))}"


def _value(score: Score | None, figure: Figure) -> str:
    return number(score.value if score else None, 1 if _is_distance(figure) else 4)


def _with_interval(score: Score | None, digits: int) -> str:
    return ranged(score.value, score.low, score.high, digits) if score else MISSING
