"""Plain tables of the commands that list things, and the page that shows a task."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

from mlbench.data.collection import Collection
from mlbench.data.corpus import StreamedCollection
from mlbench.data.task import Kind, Setting, Task

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


def task_page(
    task: Task,
    collection: Collection | StreamedCollection,
    counts: Mapping[Setting, tuple[int, int]],
) -> str:
    """Return a task's facts and a matrix of its settings: query language x pool, with queries."""
    facts = [
        ("task", f"{task.name}, version {task.version}"),
        ("title", task.title),
        ("text", task.text),
        ("licence", task.licence),
        ("measures", ", ".join(task.measures)),
        ("citation", task.citation),
        ("file", str(task.path)),
        ("digest", collection.digest if isinstance(collection, Collection) else ""),
        *(("note", note) for note in task.notes),
        *((name, " ".join(codes)) for name, codes in task.language_sets.items()),
    ]
    width = max(10, *(len(name) + 1 for name, _ in facts))
    lines = [
        textwrap.fill(
            value,
            WIDTH,
            initial_indent=f"{name:<{width}}",
            subsequent_indent=" " * width,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, value in facts
        if value
    ]
    return "\n\n".join(["\n".join(lines), _sizes(collection), _settings(task, counts)])


def _sizes(collection: Collection | StreamedCollection) -> str:
    """One row a language; passages that are streamed are not counted, their shards are."""
    columns = {"queries": collection.queries.counts.tolist()}
    if isinstance(collection, Collection):
        columns["passages"] = collection.passages.counts.tolist()
    else:
        of = [[s for s in collection.shards if s.language == c] for c in collection.languages]
        columns["shards"] = [len(shards) for shards in of]
        columns["bytes found"] = [sum(shard.size or 0 for shard in shards) for shards in of]
    rows = list(zip(collection.languages, *columns.values(), strict=True))
    totals = ("all", *(sum(column) for column in columns.values()))
    return plain_table(["language", *columns], [*rows, totals])


def _settings(task: Task, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """How many settings of which kinds there are, and the queries of each."""
    kinds = ", ".join(
        f"{len(of_kind)} {kind.value}"
        for kind in task.kinds
        if (of_kind := [s for s in counts if s.kind is kind])
    )
    judged = sum(queries for queries, _ in counts.values())
    excluded = sum(excluded for _, excluded in counts.values())
    text = (
        f"{len(counts)} settings ({kinds}) with {judged:,} queries in all; {excluded:,} times a "
        "query is excluded because the pool holds no passage relevant to it. "
    )
    if Kind.CROSSLINGUAL not in task.kinds:
        text += "Queries of each setting:"
        return f"{textwrap.fill(text, WIDTH)}\n\n{_by_kind(task, counts)}"
    text += "Queries of each setting (rows: query language; columns: pool; all: multilingual):"
    return f"{textwrap.fill(text, WIDTH)}\n\n{_matrix(task, counts)}"


def _by_kind(task: Task, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """One row a query language, one column a kind."""
    number = {(s.query_language, s.kind): queries for s, (queries, _) in counts.items()}
    rows = [
        [language, *(number.get((language, kind), 0) for kind in task.kinds)]
        for language in task.languages
    ]
    return plain_table(["language", *(kind.value for kind in task.kinds)], rows)


def _matrix(task: Task, counts: Mapping[Setting, tuple[int, int]]) -> str:
    """One row a query language, one column a pool; the diagonal is monolingual."""
    number: dict[tuple[str, str], str] = {}
    for setting, (queries, _) in counts.items():
        pool = setting.passage_languages
        name = "all" if setting.kind is Kind.MULTILINGUAL else pool[0]
        number[setting.query_language, name] = str(queries)
    columns = [*task.languages, "all"]
    rows = [[q, *(number.get((q, column), "-") for column in columns)] for q in task.languages]
    widths = [max(len(row[i]) for row in [["", *columns], *rows]) for i in range(len(columns) + 1)]
    return "\n".join(
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [["", *columns], *rows]
    )
