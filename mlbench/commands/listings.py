"""Plain tables of the commands that list things, and the page that shows a task."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

from mlbench.collection import Collection
from mlbench.task import Kind, Setting, Task

WIDTH = 80


def plain_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return an aligned table; the last column wraps so that a line has 80 characters or so."""
    from tabulate import tabulate

    cells = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in rows]
    fixed = [
        max((len(line) for row in [header, *cells] for line in row[column].splitlines()), default=0)
        for column in range(len(header) - 1)
    ]
    room = max(24, shutil.get_terminal_size((WIDTH, 0)).columns - sum(fixed) - 2 * len(fixed))
    for row in cells:
        row[-1] = "\n".join(
            wrapped
            for line in row[-1].splitlines()
            for wrapped in textwrap.wrap(line, room, break_long_words=False) or [""]
        )
    numbers = ["right" if rows and isinstance(c, int) else "left" for c in (rows or [[]])[0]]
    table: str = tabulate(
        cells, header, tablefmt="simple", colalign=numbers or None, disable_numparse=True
    )
    return table


def task_page(task: Task, collection: Collection, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """Return a task's facts and a matrix of its settings: query language x pool, with queries."""
    facts = [
        ("task", f"{task.name}, version {task.version}"),
        ("title", task.title),
        ("text", task.text),
        ("licence", task.licence),
        ("measures", ", ".join(task.measures)),
        ("citation", task.citation),
        ("file", str(task.path)),
        ("digest", collection.digest),
    ]
    lines = [
        textwrap.fill(value, WIDTH, initial_indent=f"{name:<10}", subsequent_indent=" " * 10,
                      break_long_words=False, break_on_hyphens=False)
        for name, value in facts
        if value
    ]  # fmt: skip
    sizes = [
        [code, int(queries), int(passages)]
        for code, queries, passages in zip(
            collection.languages,
            collection.queries.counts,
            collection.passages.counts,
            strict=True,
        )
    ]
    totals = [["all", len(collection.queries), len(collection.passages)]]
    return "\n\n".join(
        [
            "\n".join(lines),
            plain_table(["language", "queries", "passages"], sizes + totals),
            _settings(task, counts),
        ]
    )


def _settings(task: Task, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """One row a query language, one column a pool; the diagonal is monolingual."""
    number: dict[tuple[str, str], str] = {}
    for setting, (queries, _) in counts.items():
        pool = setting.passage_languages
        name = "all" if setting.kind is Kind.MULTILINGUAL else pool[0]
        number[setting.query_language, name] = str(queries)
    columns = [*task.languages, "all"]
    rows = [[q, *(number.get((q, column), "-") for column in columns)] for q in task.languages]
    widths = [max(len(row[i]) for row in [["", *columns], *rows]) for i in range(len(columns) + 1)]
    table = "\n".join(
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [["", *columns], *rows]
    )
    kinds = ", ".join(
        f"{len(of_kind)} {kind.value}"
        for kind in task.kinds
        if (of_kind := [s for s in counts if s.kind is kind])
    )
    judged = sum(queries for queries, _ in counts.values())
    excluded = sum(excluded for _, excluded in counts.values())
    text = (
        f"{len(counts)} settings ({kinds}) with {judged:,} queries in all; {excluded:,} times a "
        "query is excluded because the pool holds no passage relevant to it. Queries of each "
        "setting (rows: query language; columns: pool; all: multilingual):"
    )
    return f"{textwrap.fill(text, WIDTH)}\n\n{table}"
