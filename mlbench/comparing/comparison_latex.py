"""A comparison as LaTeX tables in the form of papers: models side by side, the best one in bold
where the difference to all others is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mlbench.comparing.comparison import Comparison
from mlbench.comparing.comparison_tables import SHORT, in_words, main_quantities
from mlbench.comparing.differences import Value, measure_title, shown
from mlbench.comparing.quantities import Quantity
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.latex import Cell, LatexTable
from mlbench.reports.words import MISSING, kind_name

SIDE_BY_SIDE = 3
"""Up to so many models all figures by language fit one table."""
BOLD = (
    "Bold: the best model, where it is shown to be better than every other one (paired "
    "randomisation test over questions, corrected p at most .05, and the 95% interval excludes 0)."
)


def latex_tables_of(comparison: Comparison, *, intervals: bool = False) -> list[LatexTable]:
    """Return a table of the macro scores, a row a model, then those by query language: of up to
    three models one table, of more a table a figure, a column a model.

    Tasks of pairs have the first table alone.
    """
    found = _Found(comparison, intervals)
    quantities, task = main_quantities(comparison), comparison.task
    names = {m.label: m.name for m in comparison.models}
    labels, small = [*names], " Small numbers are 95% intervals." * intervals
    where = f"on {task.name}, version {task.version}"
    tables = [
        LatexTable(
            f"Macro scores {where}. {BOLD}{small}", f"tab:{task.name}-models", "model",
            [_column(quantity) for quantity in quantities],
            [
                (f"{label} {name}", [found.cell(label, quantity) for quantity in quantities])
                for label, name in names.items()
            ],
        )
    ]  # fmt: skip
    if task.roles.two_ways or len(task.roles.queries) < 2:
        return tables
    key = "; ".join(f"{label}: {name}" for label, name in names.items())
    together = len(labels) <= SIDE_BY_SIDE
    for group in [quantities] if together else [[quantity] for quantity in quantities]:
        title = "Scores" if together else in_words(group[0])
        title = title[0].upper() + title[1:]
        file = "languages" if together else in_words(group[0]).replace(" ", "-")
        tables.append(
            LatexTable(
                f"{title} {where}, by query language. {key}. {BOLD}{small}",
                f"tab:{task.name}-{file}", "query",
                [(" ".join(_column(quantity)), label) for quantity in group for label in labels],
                [(code, found.row(group, code)) for code in task.roles.queries],
                ("macro", found.row(group, None)),
            )
        )  # fmt: skip
    return tables


def _column(quantity: Quantity) -> tuple[str, str]:
    if quantity.measure == RANK_DISTANCE:
        return "rank", "distance"
    kind = SHORT.get(quantity.kind, kind_name(quantity.kind))
    return kind, measure_title(quantity.measure)


class _Found:
    """The values of a comparison as cells, and which of them are shown to be the best."""

    def __init__(self, comparison: Comparison, intervals: bool) -> None:
        self.labels = [model.label for model in comparison.models]
        self.values = {(v.model, v.quantity): v for v in comparison.scores}
        self.won: dict[Quantity, dict[str, int]] = {}
        for d in comparison.differences:
            if d.better:
                wins = self.won.setdefault(d.quantity, {})
                wins[d.better] = wins.get(d.better, 0) + 1
        self.intervals = intervals

    def row(self, quantities: Sequence[Quantity], language: str | None) -> list[Cell]:
        """Return the cells of all models, figure by figure."""
        return [
            self.cell(label, replace(quantity, query_language=language))
            for quantity in quantities
            for label in self.labels
        ]

    def cell(self, label: str, quantity: Quantity) -> Cell:
        """Return a score, bold where it is shown to be better than every other model's."""
        value = self.values.get((label, quantity))
        if value is None:
            return Cell(MISSING)
        bold = self.won.get(quantity, {}).get(label, 0) == len(self.labels) - 1
        return Cell(shown(value.value, quantity.measure), self._interval(value), bold)

    def _interval(self, value: Value) -> str:
        if not self.intervals or not math.isfinite(value.low):
            return ""
        digits = 0 if value.quantity.measure == RANK_DISTANCE else 3
        return f"{value.low:.{digits}f}, {value.high:.{digits}f}"
