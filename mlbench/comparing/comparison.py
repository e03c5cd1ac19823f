"""What a comparison of models says: its rows, and as tables.

Tables are for the terminal (at most 80 columns), Markdown, LaTeX, CSV and JSON. ``docs/compare.md``
explains every key of ``comparison.json``.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mlbench.common.counts import plural
from mlbench.common.terminal import fill, printable
from mlbench.comparing.comparison_tables import blocks_of
from mlbench.comparing.differences import (
    Difference,
    Entrant,
    Method,
    Repeated,
    Standing,
    Value,
    measure_title,
)
from mlbench.measures.clip_score import CLIP_SCORES
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.measures.significance import ALPHA
from mlbench.reports.provenance import TaskInfo
from mlbench.reports.table import Table, escape_markdown
from mlbench.reports.words import kind_name

SCHEMA = "mlbench/comparison/1"


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two or more models on one task. ``sensitivity`` repeats the macro differences with whole
    paragraphs as clusters, empty where the paragraphs are unknown or hold one question each.
    ``repeated`` are the measures that cannot differ from another one; tables leave them out.
    ``remarks`` say what must be known of results that are truncated."""

    task: TaskInfo
    models: tuple[Entrant, ...]
    measures: tuple[str, ...]
    scores: tuple[Value, ...]
    differences: tuple[Difference, ...]
    standings: tuple[Standing, ...]
    sensitivity: tuple[Difference, ...]
    method: Method
    axis: str | None = None
    repeated: tuple[Repeated, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The measure it is read by: the first."""
        return headline(self.measures)

    def __repr__(self) -> str:
        models = ", ".join(f"{each.label} {each.name}" for each in self.models)
        return f"<Comparison on {self.task.name}: {models}>"

    def __str__(self) -> str:
        return terminal_comparison(self)

    def _repr_markdown_(self) -> str:
        return markdown_comparison(self)


def headline(measures: Sequence[str]) -> str:
    """Return the measure that a comparison is read by: the first, but for rank distance and
    CLIPScore."""
    others = [name for name in measures if name not in (RANK_DISTANCE, *CLIP_SCORES)]
    return next(iter([*others, *measures]), "")


def notes(comparison: Comparison, whole: bool = True) -> list[str]:
    """Return how to read the tables, ``whole`` ones or those of a terminal, and what the run with
    whole paragraphs changes."""
    method = comparison.method
    several, languages = len(comparison.models) > 2, len(comparison.task.roles.queries) > 1
    correction = "max-T over the same draws" if method.correction == "max-t" else "Holm"
    families = ["over all pairs of models"] * several
    by = "pair" if comparison.task.roles.two_ways else "language"
    families += [f"in tables by {by} over the {by}s of a kind"] * languages
    corrected = f" p is corrected ({correction}) {' and '.join(families)}." if families else ""
    lines = [
        "The intervals come from a cluster bootstrap and p from a paired randomisation test, with "
        f"{plural(method.draws, 'draw')} each, over {plural(method.questions, 'question')}"
        f"{' with all their languages' if languages and by != 'pair' else ''}.{corrected}",
    ]
    if whole or not several:
        lines.append(
            f"Better or worse means that p is at most {ALPHA:.2f} and the interval excludes 0. Not "
            "shown means that no difference is shown, not that there is none. Least is the "
            f"smallest difference that this data can reliably show ({100 * method.power:.0f}% "
            "power)."
        )
    else:
        lines.append("That no difference is shown does not mean that there is none.")
    if RANK_DISTANCE in comparison.measures:
        lines.append(
            "Of rank distance, lower is better; read it beside "
            f"{measure_title(comparison.headline)}."
        )
    if any(measure in CLIP_SCORES for measure in comparison.measures):
        lines.append(
            "CLIPScore is of each model's own vectors, of what queries find first or of what they "
            "are judged with. Of other models than CLIP ViT-B/32, a higher one is not better."
        )
    return [*comparison.remarks, *lines, *_sensitivity_lines(comparison)]


def _sensitivity_lines(comparison: Comparison) -> list[str]:
    if not comparison.sensitivity:
        return []
    before = {
        (d.model, d.against, d.quantity): d for d in comparison.differences if not d.quantity.level
    }
    changed = [
        f"{d.model} - {d.against} {kind_name(d.quantity.kind)} {measure_title(d.quantity.measure)}"
        for d in comparison.sensitivity
        if d.verdict != before[d.model, d.against, d.quantity].verdict
    ]
    clusters = plural(comparison.method.paragraphs or 0, "paragraph")
    what = f"With {clusters} as clusters instead of questions"
    if not changed:
        return [f"{what}, every verdict by kind of setting stays the same."]
    rest = f" and {len(changed) - 6} more" if len(changed) > 6 else ""
    return [f"{what}, these verdicts by kind of setting change: {'; '.join(changed[:6])}{rest}."]


def title_lines(comparison: Comparison) -> list[str]:
    """Return the task, and what each label stands for."""
    task = comparison.task
    sample = f", {task.sampled}" if task.sampled else ""
    axis = comparison.axis or "x"
    return [
        f"{task.name} (version {task.version}{sample})",
        *(
            f"{m.label} = {m.name} ({m.where})" + (f", {axis} {m.x:g}" if m.x is not None else "")
            for m in comparison.models
        ),
    ]


def terminal_comparison(comparison: Comparison) -> str:
    """Return what `mlbench compare` prints."""
    blocks = ["\n".join(map(printable, title_lines(comparison)))]
    for block in blocks_of(comparison, whole=False):
        blocks.append("\n".join([block.table.text(), *map(fill, block.notes)]))
    blocks += [fill(line) for line in notes(comparison, whole=False)]
    return "\n\n".join(blocks)


def markdown_comparison(comparison: Comparison, plots: Sequence[tuple[str, str]] = ()) -> str:
    """Return the whole comparison as Markdown; ``plots`` are (file, what it shows)."""
    head, *models = title_lines(comparison)
    parts = [f"# Comparison on {escape_markdown(head)}"]
    parts.append("\n".join(f"- {escape_markdown(line)}" for line in models))
    for block in blocks_of(comparison, whole=True):
        parts += [f"## {escape_markdown(block.title)}", block.table.markdown()]
        parts += map(escape_markdown, block.notes)
    parts += [f"![{escape_markdown(alt)}]({file})" for file, alt in plots]
    parts += [escape_markdown(line) for line in notes(comparison)]
    return "\n\n".join(parts) + "\n"


def latex_comparison(comparison: Comparison) -> str:
    """Return the tables of the Markdown in LaTeX, for the package booktabs, with their notes."""
    head = "".join(f"% {printable(line)}\n" for line in title_lines(comparison))
    tables = [
        "\n".join([f"% {block.title}", _latex(block.table), *(f"% {note}" for note in block.notes)])
        for block in blocks_of(comparison, whole=True)
    ]
    return head + "\n\n".join(tables) + "\n"


def _latex(table: Table) -> str:
    from tabulate import tabulate

    headers = [" ".join(header.split()) for header in table.headers]
    align = ["left", *["right"] * (len(headers) - 1)]
    text: str = tabulate(
        table.rows, headers, "latex_booktabs", disable_numparse=True, colalign=align
    )
    return text


def csv_comparison(comparison: Comparison) -> str:
    """Return every difference, a row each, as CSV with full precision."""
    buffer = io.StringIO()
    rows = [asdict(d) for d in comparison.differences]
    flat = [{**row.pop("quantity"), **row} for row in rows]
    writer = csv.DictWriter(buffer, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def comparison_json(comparison: Comparison) -> str:
    """Return ``comparison.json``: strict JSON, each row with its quantity's fields in it."""
    table = {"schema": SCHEMA} | asdict(comparison)
    for name in ("scores", "differences", "standings", "sensitivity"):
        table[name] = [flat_row(row) for row in table[name]]
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def flat_row(row: dict[str, object]) -> dict[str, object]:
    """Return a row for JSON: its quantity's fields first, None where a number is not finite."""
    quantity = row.pop("quantity")
    flat = {**quantity, **row} if isinstance(quantity, dict) else row
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in flat.items()
    }
