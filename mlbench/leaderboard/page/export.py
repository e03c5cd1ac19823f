"""The standings as CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlbench.leaderboard.entries.strict import FORMULA, visible
from mlbench.leaderboard.page.wording import (
    column_head,
    cost_texts,
    rank_text,
    score_text,
    summary,
)
from mlbench.leaderboard.ranking.columns import Column, chosen_score
from mlbench.leaderboard.ranking.rows import Cell, Row, Standings
from mlbench.measures.significance import Values
from mlbench.reports.tables import Table, escape_markdown

SCHEMA = "mlbench/leaderboard/1"
FORMULAS = (*FORMULA, "\t", "\r", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a cell for a formula; the last four are their wide forms."""
KEYS = ("mono", "cross", "multi", "recall", "distance")


def standings_csv(standings: Sequence[Standings]) -> str:
    """Return a line a model and task; what is not known is an empty cell.

    A text that a spreadsheet would take for a formula is set off by an apostrophe.
    """
    lines = [line for each in standings for row in each.rows for line in [_line(row, each)]]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_line_names())
    writer.writerows([[_cell(value) for value in line] for line in lines])
    return buffer.getvalue()


def _line_names() -> list[str]:
    scores = [f"{key}{end}" for key in KEYS for end in ("", "_low", "_high", "_best", "_worst")]
    return [
        "standings", "rank_best", "rank_worst", "near_first", "model", "slug", "unranked",
        "evidence", "contamination", *scores, "recall_measure", "parameters", "dimension",
        "texts_per_second", "seconds", "date", "submitter", "licence", "link",
    ]  # fmt: skip


def _line(row: Row, standings: Standings) -> list[Any]:
    main = row.cells[standings.main.key]
    scores: list[Any] = []
    for key in KEYS:
        cell = row.cells.get(key, Cell())
        scores += [cell.value, *_interval(cell), cell.best, cell.worst]
    recall = next((c.measure for c in standings.columns if c.key == "recall"), None)
    entries = [each.entry for each in row.entries.values()]
    declared = {
        name: "; ".join(dict.fromkeys(filter(None, values)))
        for name, values in (
            ("submitter", [entry.declared.submitter for entry in entries]),
            ("licence", [entry.declared.licence for entry in entries]),
            ("link", [entry.declared.link for entry in entries]),
        )
    }
    near = None if main.best is None else str(main.near_first).lower()
    return [
        standings.name, main.best, main.worst, near, row.name, row.slug, row.unranked,
        str(row.level), str(row.contamination), *scores, recall, row.cost.parameters,
        row.cost.dimension, row.cost.speed, row.cost.seconds, row.date, *declared.values(),
    ]  # fmt: skip


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(FORMULAS) else text


def standings_json(standings: Sequence[Standings]) -> str:
    """Return all standings as strict JSON; what is not known is null."""
    table = {"schema": SCHEMA, "standings": [_standings(each) for each in standings]}
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _standings(each: Standings) -> dict[str, Any]:
    return {
        "name": each.name,
        "tasks": list(each.tasks),
        "title": each.task.title if each.task else None,
        "version": each.task.version if each.task else None,
        "languages": list(each.task.languages) if each.task else None,
        "questions": each.questions,
        "main": each.main.key,
        "columns": [
            asdict(column) | {"lower_is_better": column.lower_is_better} for column in each.columns
        ],
        "rows": [_row(row, each) for row in each.rows],
        "withdrawn": [
            {"entry": str(entry.place), "reason": entry.withdrawn.reason if entry.withdrawn else ""}
            for entry in each.withdrawn
        ],
    }


def _row(row: Row, standings: Standings) -> dict[str, Any]:
    return {
        "model": row.name,
        "slug": row.slug,
        "unranked": row.unranked or None,
        "evidence": str(row.level),
        "contamination": str(row.contamination),
        "date": row.date,
        "cost": asdict(row.cost),
        "scores": {key: _score(cell) for key, cell in row.cells.items()},
        "by_language": {
            column.key: _by_language(row.figures[column.key], standings)
            for column in standings.columns
            if column.key in row.figures
        },
        "entries": {
            name: {"entry": str(entry.place), "sha256": entry.sha256}
            for name, entry in row.entries.items()
        },
    }


def _score(cell: Cell) -> dict[str, Any]:
    low, high = _interval(cell)
    return asdict(cell) | {"low": low, "high": high}


def _interval(cell: Cell) -> tuple[float | None, float | None]:
    """Return the ends to six decimals: further ones can depend on the machine."""
    low, high = (None if end is None else round(end, 6) for end in (cell.low, cell.high))
    return low, high


def _by_language(figures: Values, standings: Standings) -> dict[str, float | None]:
    """Return the mean of each query language; cross-lingual over the passage languages."""
    languages = standings.task.languages if standings.task else ()
    means = (chosen_score(part.ravel()) for part in figures.reshape(len(languages), -1))
    return {
        language: None if value is None or math.isnan(value) else value
        for language, value in zip(languages, means, strict=True)
    }


def standings_markdown(standings: Sequence[Standings]) -> str:
    """Return a Markdown table for each standings; "-" is missing."""
    parts = ["# Leaderboard\n"]
    for each in standings:
        title = f": {each.task.title}" if each.task else ": the mean over all tasks"
        said = "".join(text for text, _ in summary(each))
        parts += [
            f"## {_markdown(each.name + title)}\n",
            f"{_markdown(said)}\n",
            f"{_table(each).markdown()}\n",
        ]
        gone = [
            f"{entry.entry.model.name} ({entry.withdrawn.reason})"
            for entry in each.withdrawn
            if entry.withdrawn
        ]
        if gone:
            parts.append(f"Withdrawn: {_markdown('; '.join(gone))}.\n")
    parts.append(
        "Rank intervals are paired; two models share a place where they cannot be told apart. "
        "\\- is missing, or no rank.\n"
    )
    return "\n".join(parts)


def _markdown(text: str) -> str:
    return escape_markdown(visible(text))


def _table(each: Standings) -> Table:
    heads = (_flat(column, each) for column in each.columns)
    headers = ("model", "rank", *heads, "evidence", "contamination", "parameters", "date")
    return Table(headers, tuple(_cells(row, each) for row in each.rows))


def _flat(column: Column, each: Standings) -> str:
    return column_head(column, each).replace("\n", " ")


def _cells(row: Row, each: Standings) -> tuple[str, ...]:
    main = row.cells[each.main.key]
    first = " (≈ first)" if main.near_first and main.worst != 1 else ""
    scores = (score_text(row.cells[c.key].value, c, each) for c in each.columns)
    cells = (
        row.name, rank_text(main) + first, *scores, str(row.level), str(row.contamination),
        cost_texts(row.cost)[0], row.date,
    )  # fmt: skip
    return tuple(visible(cell) for cell in cells)
