"""What a comparison of models says: its rows, and as tables.

Tables are for the terminal (at most 80 columns), Markdown, LaTeX, CSV and JSON. ``docs/compare.md``
explains every key of ``comparison.json``.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from mlbench.comparing.quantities import RANK_DISTANCE, Quantity
from mlbench.measures.significance import ALPHA
from mlbench.reports.report import TaskInfo
from mlbench.reports.tables import Table, escape_markdown
from mlbench.reports.words import (
    KIND_NAMES,
    MISSING,
    fill,
    kind_name,
    mean_name,
    number,
    plural,
    printable,
)

SCHEMA = "mlbench/comparison/1"
BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"
SHORT = {"monolingual": "mono", "crosslingual": "cross", "multilingual": "multi"}
RANKS = 1000
"""Rank distances from here on are shown without decimals."""


@dataclass(frozen=True)
class Value:
    """One model's score on one quantity, with its 95% interval."""

    model: str
    quantity: Quantity
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """``model`` minus ``against`` on one quantity.

    ``least`` is the smallest difference that the data would have shown (80% power, 5% level);
    ``corrected`` is p corrected over the family: all pairs of models and, for means by query
    language or single settings, all of those of the kind. The verdict is about ``model``.
    """

    model: str
    against: str
    quantity: Quantity
    difference: float
    low: float
    high: float
    p: float
    corrected: float
    least: float
    verdict: str


@dataclass(frozen=True)
class Standing:
    """A model's place among all on one quantity: from ``best`` to ``worst``, 1 is first.

    Models that share a letter in ``groups`` cannot be told apart.
    """

    model: str
    quantity: Quantity
    value: float
    best: int
    worst: int
    groups: str


@dataclass(frozen=True)
class Entrant:
    """A compared model. ``label`` stands for it in tables; ``x`` is its place on the axis."""

    label: str
    name: str
    identity: str
    where: str
    x: float | None = None


@dataclass(frozen=True)
class Method:
    """How the numbers were made."""

    draws: int
    seed: int
    level: float
    power: float
    correction: str
    questions: int
    paragraphs: int | None


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two or more models on one task. ``sensitivity`` repeats the macro differences with whole
    paragraphs as clusters, empty where the paragraphs are unknown or hold one question each."""

    task: TaskInfo
    models: tuple[Entrant, ...]
    measures: tuple[str, ...]
    scores: tuple[Value, ...]
    differences: tuple[Difference, ...]
    standings: tuple[Standing, ...]
    sensitivity: tuple[Difference, ...]
    method: Method
    axis: str | None = None

    @property
    def headline(self) -> str:
        """The measure it is read by: AP where it was compared, else the first."""
        return headline(self.measures)

    def __repr__(self) -> str:
        models = ", ".join(f"{each.label} {each.name}" for each in self.models)
        return f"<Comparison on {self.task.name}: {models}>"

    def __str__(self) -> str:
        return terminal_comparison(self)

    def _repr_markdown_(self) -> str:
        return markdown_comparison(self)


def headline(measures: Sequence[str]) -> str:
    """Return the measure that a comparison is read by: AP, else the first."""
    return "AP" if "AP" in measures else next(iter(measures), "")


def measure_title(measure: str) -> str:
    """Return how a measure's mean is written: mAP, nDCG@10, rank distance."""
    return "rank distance" if measure == RANK_DISTANCE else mean_name(measure)


def shown(value: float, measure: str, *, sign: bool = False, size: float | None = None) -> str:
    """Return a value of a measure: four decimals, or for ranks one, or none where ``size`` is
    large."""
    large = abs(value if size is None else size) >= RANKS
    digits = 4 if measure != RANK_DISTANCE else 0 if large else 1
    text = number(value, digits)
    return f"+{text}" if sign and value >= 0 and text != MISSING else text


def shown_p(p: float) -> str:
    """Return a p value with four decimals and no leading zero: .0312; 1 is "1"."""
    return "1" if p >= 0.99995 else f"{p:.4f}".removeprefix("0")


def kind_table(comparison: Comparison, difference_of: Sequence[Difference], whole: bool) -> Table:
    """Return macro differences of one pair and one kind, a row a measure.

    ``whole`` writes the verdict in full; a terminal has room for less.
    """
    values = {(v.model, v.quantity): v.value for v in comparison.scores}
    first = difference_of[0]
    rows = []
    for d in difference_of:
        measure, old = d.quantity.measure, values[d.against, d.quantity]
        p = shown_p(d.corrected if len(comparison.models) > 2 else d.p)
        size = max(abs(old), abs(values[d.model, d.quantity]))
        rows.append(
            (
                measure_title(measure).replace(" ", " " if whole else "\n"),
                *(shown(values[m, d.quantity], measure, size=size) for m in (d.against, d.model)),
                shown(d.difference, measure, sign=True, size=size),
                " ".join(shown(end, measure, sign=True, size=size) for end in (d.low, d.high)),
                p,
                shown(d.least, measure, size=size),
                d.verdict if whole or d.verdict != NOT_SHOWN else "none shown",
            )
        )
    headers = (
        kind_name(first.quantity.kind) if whole else SHORT[first.quantity.kind],
        first.against,
        first.model,
        f"{first.model} - {first.against}",
        "95% interval",
        "p",
        "least",
        f"{first.model} is",
    )
    return Table(headers, tuple(rows))


def language_table(comparison: Comparison, pair: Sequence[Difference], measure: str) -> Table:
    """Return a pair's differences by query language, a column a kind, with corrected p values.

    An asterisk marks a difference that is shown. Rank distance is the last column.
    """
    columns = [(kind, measure) for kind in KIND_NAMES]
    columns += [("multilingual", RANK_DISTANCE)] * (measure != RANK_DISTANCE)
    of = {(d.quantity.kind, d.quantity.measure, d.quantity.query_language): d for d in pair}
    columns = [c for c in columns if any((*c, code) in of for code in comparison.task.languages)]
    headers: list[str] = ["query"]
    for kind, name in columns:
        headers += [
            f"{SHORT[kind]}\n{mean_name(name)}" if name != RANK_DISTANCE else "rank\ndistance",
            "p",
        ]
    rows = []
    for code in comparison.task.languages:
        row = [code]
        for column in columns:
            d = of.get((*column, code))
            mark = "*" if d and d.verdict != NOT_SHOWN else " "
            row += (
                [shown(d.difference, column[1], sign=True) + mark, shown_p(d.corrected)]
                if d
                else [MISSING + " ", MISSING]
            )
        rows.append(tuple(row))
    return Table(tuple(headers), tuple(rows))


def standings_table(comparison: Comparison, measure: str, kind: str) -> Table:
    """Return all models on one macro mean, best first, with rank intervals and groups."""
    values: dict[str, Value] = {
        v.model: v
        for v in comparison.scores
        if (v.quantity.kind, v.quantity.measure, v.quantity.level) == (kind, measure, 0)
    }
    names = {model.label: model.name for model in comparison.models}
    rows = tuple(
        (
            f"{s.model} {names[s.model]}",
            shown(s.value, measure),
            " ".join(shown(end, measure) for end in (values[s.model].low, values[s.model].high)),
            str(s.best) if s.best == s.worst else f"{s.best} to {s.worst}",
            s.groups,
        )
        for s in comparison.standings
        if (s.quantity.kind, s.quantity.measure) == (kind, measure)
    )
    title = f"{kind_name(kind)}\n{measure_title(measure)}"
    return Table(("model", title, "95% interval", "rank", "group"), rows)


def macro_blocks(comparison: Comparison) -> Iterator[tuple[Difference, list[Difference]]]:
    """Yield each pair with the first model and each kind: its first difference, and all."""
    blocks: dict[tuple[str, str], list[Difference]] = {}
    for d in comparison.differences:
        if d.against == comparison.models[0].label and d.quantity.level == 0:
            blocks.setdefault((d.model, d.quantity.kind), []).append(d)
    order = list(KIND_NAMES)
    labels = [model.label for model in comparison.models]
    for key in sorted(blocks, key=lambda k: (labels.index(k[0]), order.index(k[1]))):
        yield blocks[key][0], blocks[key]


def pair_of(comparison: Comparison, model: str) -> list[Difference]:
    """Return the differences of a model against the first, by query language."""
    first = comparison.models[0].label
    return [
        d
        for d in comparison.differences
        if (d.model, d.against, d.quantity.level) == (model, first, 1)
    ]


def notes(comparison: Comparison) -> list[str]:
    """Return how to read the tables, and what the run with whole paragraphs changes."""
    method = comparison.method
    several = len(comparison.models) > 2
    correction = "max-T over the same draws" if method.correction == "max-t" else "Holm"
    over = "the languages of a kind"
    family = (
        f"p is corrected ({correction}) over all pairs of models and, in tables by language, over "
        f"{over} too."
    )
    lines = [
        "The intervals come from a cluster bootstrap and p from a paired randomisation test, with "
        f"{method.draws:,} draws each, over {plural(method.questions, 'question')} with all their "
        "languages. "
        + (
            family
            if several
            else f"In tables by language, p is corrected ({correction}) over {over}."
        ),
        f"Better or worse means that p is at most {ALPHA:.2f} and the interval excludes 0. None "
        "shown means that no difference is shown, not that there is none. Least is the smallest "
        f"difference that this data can reliably show ({100 * method.power:.0f}% power).",
    ]
    if any(m == RANK_DISTANCE for m in comparison.measures):
        lines.append("Of rank distance, lower is better; read it beside mAP.")
    return [*lines, *_sensitivity_lines(comparison)]


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
    what = f"With the {comparison.method.paragraphs:,} paragraphs as clusters instead of questions"
    if not changed:
        return [f"{what}, every verdict by kind of setting stays the same."]
    rest = f" and {len(changed) - 6} more" if len(changed) > 6 else ""
    return [f"{what}, these verdicts by kind of setting change: {'; '.join(changed[:6])}{rest}."]


def title_lines(comparison: Comparison) -> list[str]:
    """Return the task, and what each label stands for."""
    task = comparison.task
    sample = f", a sample of {task.sample:,} questions" if task.sample else ""
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
    blocks += [table.text() for table in _standings_tables(comparison)]
    blocks += [
        kind_table(comparison, rows, whole=False).text() for _, rows in macro_blocks(comparison)
    ]
    if len(comparison.models) == 2:
        pair = pair_of(comparison, comparison.models[1].label)
        blocks.append(language_table(comparison, pair, comparison.headline).text())
    blocks += [fill(line) for line in notes(comparison)]
    return "\n\n".join(blocks)


def _standings_tables(comparison: Comparison) -> list[Table]:
    kinds = dict.fromkeys(
        (s.quantity.measure, s.quantity.kind)
        for s in comparison.standings
        if s.quantity.measure in {comparison.headline, RANK_DISTANCE}
    )
    return [standings_table(comparison, *key) for key in kinds]


def markdown_comparison(comparison: Comparison, plots: Sequence[tuple[str, str]] = ()) -> str:
    """Return the whole comparison as Markdown; ``plots`` are (file, what it shows)."""
    head, *models = title_lines(comparison)
    parts = [f"# Comparison on {escape_markdown(head)}"]
    parts.append("\n".join(f"- {escape_markdown(line)}" for line in models))
    parts += [table.markdown() for table in _standings_tables(comparison)]
    for first, rows in macro_blocks(comparison):
        parts.append(f"## {first.model} against {first.against}, {kind_name(first.quantity.kind)}")
        parts.append(kind_table(comparison, rows, whole=True).markdown())
    for model in comparison.models[1:]:
        pair = pair_of(comparison, model.label)
        heading = f"## {model.label} against {comparison.models[0].label}, by query language"
        parts += [heading, language_table(comparison, pair, comparison.headline).markdown()]
    parts += [f"![{escape_markdown(alt)}]({file})" for file, alt in plots]
    parts += [escape_markdown(line) for line in notes(comparison)]
    return "\n\n".join(parts) + "\n"


def latex_comparison(comparison: Comparison) -> str:
    """Return the tables by kind and by language in LaTeX, for the package booktabs."""
    tables = [kind_table(comparison, rows, whole=True) for _, rows in macro_blocks(comparison)]
    tables += [
        language_table(comparison, pair_of(comparison, model.label), comparison.headline)
        for model in comparison.models[1:]
    ]
    head = "".join(f"% {printable(line)}\n" for line in title_lines(comparison))
    return head + "\n\n".join(map(_latex, tables)) + "\n"


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
