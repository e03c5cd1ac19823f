"""What the page's script is given: small JSON, with figures by language in three letters each."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from mlbench.leaderboard.entries.strict import visible
from mlbench.leaderboard.ranking.rows import Cell, Row, Standings
from mlbench.measures.significance import Values

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
UNIT = 100_000
"""Scores of 0 to 1 are rounded to five decimals."""
MISSING = 64**3 - 1


def packed(values: Values) -> str:
    """Return scores from 0 to 1 as text, three letters each, row by row; NaN is ``///``.

    >>> packed(np.array([0.0, 1.0, math.nan]))
    'AAAYag///'
    """
    numbers = [MISSING if math.isnan(v) else round(UNIT * v) for v in values.ravel().tolist()]
    return "".join(LETTERS[n >> 12] + LETTERS[n >> 6 & 63] + LETTERS[n & 63] for n in numbers)


def script_json(value: Any) -> str:
    """Return JSON that can stand in a script element: nothing in it can end or escape it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def board_data(standings: Sequence[Standings]) -> dict[str, Any]:
    """Return what the script sorts and filters by: all but the figures by language."""
    return {"tables": [_table(each) for each in standings]}


def _table(standings: Standings) -> dict[str, Any]:
    return {
        "name": standings.name,
        "main": standings.main.key,
        "columns": [
            {"key": c.key, "lower": c.lower_is_better, "pairs": c.kind == "crosslingual"}
            for c in standings.columns
        ],
        "languages": list(standings.task.languages) if standings.task else [],
        "tasks": _weights(standings),
        "rows": [_row(row, standings) for row in standings.rows],
    }


def _weights(standings: Standings) -> dict[str, Any]:
    """Return task -> column -> [scale, offset] of the mean over tasks; empty for one task."""
    return {
        name: {column: list(weight) for column, weight in of.items()}
        for name, of in standings.weights.items()
    }


def _row(row: Row, standings: Standings) -> dict[str, Any]:
    cells = [row.cells[column.key] for column in standings.columns]
    cost = row.cost
    return {
        "key": row.slug,
        "text": visible(f"{row.name} {row.slug}").lower(),
        "ranked": not row.unranked,
        "level": str(row.level),
        "contamination": str(row.contamination),
        "values": [None if cell.value is None else round(cell.value, 7) for cell in cells],
        "places": [_place(cell) for cell in cells],
        "cost": [cost.parameters, cost.dimension, cost.speed and round(cost.speed, 1)],
        "date": row.date,
    }


def _place(cell: Cell) -> list[int] | None:
    if cell.best is None or cell.worst is None:
        return None
    return [cell.best, cell.worst, int(cell.near_first and cell.worst != 1)]


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
