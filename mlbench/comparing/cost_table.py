"""What each of the models that are compared costs, as far as that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlbench.common.sizes import short_number, short_size, three_digits
from mlbench.reports.cost import Cost
from mlbench.reports.table import Block, Table
from mlbench.reports.words import MISSING

if TYPE_CHECKING:
    from mlbench.comparing.comparison import Comparison


COSTS: tuple[tuple[str, Callable[[Cost], str]], ...] = (
    ("queries\na second", lambda cost: _figure(cost.speeds.get("query"), three_digits)),
    ("passages\na second", lambda cost: _figure(cost.speeds.get("passage"), three_digits)),
    ("images\na second", lambda cost: _figure(cost.speeds.get("image"), three_digits)),
    ("bytes\na passage", lambda cost: _figure(cost.bytes, lambda size: f"{size:,.0f}")),
    ("parameters", lambda cost: _figure(cost.parameters, short_number)),
    ("peak\nmemory", lambda cost: _figure(cost.peak_memory, short_size)),
    ("peak GPU\nmemory", lambda cost: _figure(cost.peak_gpu_memory, short_size)),
)
"""Columns of the table of costs; one that no model has a figure for is left out."""


def _figure(value: Any, write: Callable[[Any], str]) -> str:
    return MISSING if value is None else write(value)


def cost_block(comparison: Comparison) -> Block:
    """Return what each model costs, as far as that is known, with the hardware."""
    costs = {m.label: (m.name, m.cost) for m in comparison.models if m.cost is not None}
    columns = [
        (header, write)
        for header, write in COSTS
        if any(write(cost) != MISSING for _, cost in costs.values())
    ]
    rows = [
        (f"{label} {name}", *(write(cost) for _, write in columns))
        for label, (name, cost) in costs.items()
    ]
    ran: dict[str, list[str]] = {}
    for label, (_, cost) in costs.items():
        ran.setdefault(cost.hardware, []).append(label)
    where = [f"{', '.join(labels)} on {machine}" for machine, labels in ran.items() if machine]
    notes = [f"Hardware: {'; '.join(where)}."] if where else []
    if len(where) > 1:
        notes.append("Speeds on different hardware cannot be compared.")
    headers = ("model", *(header for header, _ in columns))
    return Block("Cost", Table(headers, tuple(rows) if columns else ()), tuple(notes))
