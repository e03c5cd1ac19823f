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
from mlbench.leaderboard.page.packing import packed
from mlbench.leaderboard.page.wording import (
    column_head,
    cost_texts,
    rank_text,
    score_text,
    summary,
)
from mlbench.leaderboard.ranking.columns import Column, language_means
from mlbench.leaderboard.ranking.rows import Cell, Row, Standings
from mlbench.measures.significance import Values
from mlbench.reports.table import Table, escape_markdown

SCHEMA = "mlbench/leaderboard/1"
FORMULAS = (*FORMULA, "\t", "\r", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a cell for a formula; the last four are their wide forms."""
KEYS = ("mean", "mono", "cross", "from", "into", "to_image", "to_text", "multi", "recall",
        "distance")  # fmt: skip


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
        "bytes_per_passage", "texts_per_second", "seconds", "date", "submitter", "licence", "link",
    ]  # fmt: skip


def _line(row: Row, standings: Standings) -> list[Any]:
    said = _scores(row)
    main = said["scores"][standings.main.key]
    missing = _score(Cell())
    scores = [
        said["scores"].get(key, missing)[name]
        for key in KEYS
        for name in ("value", "low", "high", "best", "worst")
    ]
    recall = next((c.measure for c in standings.columns if c.key == "recall"), None)
    declared = [each.entry.declared for each in row.entries.values()]
    near = None if main["best"] is None else str(main["near_first"]).lower()
    return [
        standings.name, main["best"], main["worst"], near, row.name, row.slug, row.unranked,
        said["evidence"], said["contamination"], *scores, recall, *said["cost"].values(), row.date,
        *("; ".join(dict.fromkeys(filter(None, (getattr(each, name) for each in declared))))
          for name in ("submitter", "licence", "link")),
    ]  # fmt: skip


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(FORMULAS) else text


def standings_json(standings: Sequence[Standings], feed: str) -> str:
    """Return all standings as strict JSON; what is not known is null. ``feed`` is the feed's id."""
    written = [_standings(each) for each in standings]
    table = {"schema": SCHEMA, "feed": feed, "standings": written}
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def board_data(standings: Sequence[Standings]) -> list[dict[str, Any]]:
    """Return what the page's script sorts and filters by: of leaderboard.json what strangers did
    not write, without the figures by language."""
    return [
        {"name": each.name, "main": each.main.key, "columns": _columns(each)}
        | {"rows": [_scores(row) for row in each.rows]}
        | {**_suite(each), **_languages(each)}
        for each in standings
    ]


def _standings(each: Standings) -> dict[str, Any]:
    return {
        "name": each.name,
        **_suite(each),
        "title": each.title,
        "version": each.task.version if each.task else None,
        **_languages(each),
        "questions": each.questions,
        "main": each.main.key,
        "columns": _columns(each),
        "rows": [_row(row, each) for row in each.rows],
        "withdrawn": [
            {"entry": str(entry.place), "reason": entry.withdrawn.reason if entry.withdrawn else ""}
            for entry in each.withdrawn
        ],
    }


def _suite(each: Standings) -> dict[str, Any]:
    """Return what a board is over: a task, or a suite with the column of each task's headline."""
    suite = each.suite.name if each.suite else None
    return {"tasks": list(each.tasks), "suite": suite, "headlines": dict(each.headlines)}


def _languages(each: Standings) -> dict[str, list[str]]:
    """Return the languages of a task in all and by role, none over a suite."""
    roles = each.roles
    return {
        "languages": list(each.task.languages if each.task else ()),
        "query_languages": list(roles.queries),
        "passage_languages": list(roles.passages),
    }


def _columns(each: Standings) -> list[dict[str, Any]]:
    return [
        asdict(c) | {"lower_is_better": c.lower_is_better, "by_pair": c.by_pair}
        for c in each.columns
    ]


def _row(row: Row, standings: Standings) -> dict[str, Any]:
    return (
        {"model": row.name}
        | _scores(row)
        | {
            "by_language": {
                column.key: dict(
                    zip(
                        standings.roles.queries,
                        language_means(row.figures[column.key]),
                        strict=True,
                    )
                )
                for column in standings.columns
                if column.key in row.figures
            },
            "entries": {
                name: {"entry": str(entry.place), "sha256": entry.sha256}
                for name, entry in row.entries.items()
            },
        }
    )


def _scores(row: Row) -> dict[str, Any]:
    """Return what CSV, JSON and the page's script all say of a model."""
    return {
        "slug": row.slug,
        "unranked": row.unranked or None,
        "evidence": str(row.level),
        "contamination": str(row.contamination),
        "date": row.date,
        "cost": asdict(row.cost),
        "scores": {key: _score(cell) for key, cell in row.cells.items()},
    }


def _score(cell: Cell) -> dict[str, Any]:
    """Return a cell, the ends of its interval to six decimals: further ones can depend on the
    machine."""
    ends = {"low": cell.low, "high": cell.high}
    return asdict(cell) | {k: None if end is None else round(end, 6) for k, end in ends.items()}


def figures_data(standings: Sequence[Standings]) -> dict[str, Any]:
    """Return task -> model -> column -> figures by language; those beyond 1 as plain numbers."""
    return {
        each.name: {
            row.slug: {
                column.key: _figures(row.figures[column.key], plain=column.lower_is_better)
                for column in each.columns
            }
            for row in each.rows
            if row.figures
        }
        for each in standings
        if each.task is not None
    }


def _figures(values: Values, *, plain: bool) -> str | list[float | None]:
    if not plain:
        return packed(values)
    return [None if math.isnan(value) else round(value, 4) for value in values.tolist()]


def standings_markdown(standings: Sequence[Standings]) -> str:
    """Return a Markdown table for each standings; "-" is missing."""
    parts = ["# Leaderboard\n"]
    for each in standings:
        said = "".join(text for text, _ in summary(each))
        parts += [
            f"## {_markdown(f'{each.name}: {each.title}')}\n",
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
        "A rank is the range of places that the data allow; models share places if the data "
        "cannot distinguish them. \\- is a missing value, or no rank.\n"
    )
    return "\n".join(parts)


def _markdown(text: str) -> str:
    return escape_markdown(visible(text))


def _table(each: Standings) -> Table:
    heads = (_flat(column) for column in each.columns)
    headers = ("model", "rank", *heads, "evidence", "contamination", "parameters", "date")
    return Table(headers, tuple(_cells(row, each) for row in each.rows))


def _flat(column: Column) -> str:
    return column_head(column).replace("\n", " ")


def _cells(row: Row, each: Standings) -> tuple[str, ...]:
    main = row.cells[each.main.key]
    first = " (≈ first)" if main.shares_first else ""
    scores = (score_text(row.cells[c.key].value, c) for c in each.columns)
    cells = (
        row.name, rank_text(main) + first, *scores, str(row.level), str(row.contamination),
        cost_texts(row.cost)[0], row.date,
    )  # fmt: skip
    return tuple(visible(cell) for cell in cells)
