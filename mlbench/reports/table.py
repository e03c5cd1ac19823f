"""A table of text: for the terminal (at most 80 columns) and as Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlbench.common.names import shortened_apart
from mlbench.common.terminal import WIDTH, printable

LABEL = 14
"""Columns that the name of a row has at the least."""


@dataclass(frozen=True)
class Table:
    """Text cells; the first of a row names it. A newline in a header breaks it where room is dear.

    ``footer`` is the macro row, or empty. The first ``words`` columns hold words, the others
    numbers.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    footer: tuple[str, ...] = ()
    words: int = 1

    def text(self) -> str:
        """Return the table for a terminal: numbers to the right, rules as in a printed one."""
        from tabulate import SEPARATING_LINE, tabulate

        rows = [(name, *row[1:]) for name, row in zip(self._names(), self.rows, strict=True)]
        lines: list[object] = [self.headers, SEPARATING_LINE, *rows]
        if self.footer:
            lines += [SEPARATING_LINE, self.footer]
        table: str = tabulate(
            lines,
            tablefmt="simple",
            disable_numparse=True,
            colalign=self._alignment(),
            preserve_whitespace=True,
        )
        return "\n".join(line.rstrip() for line in printable(table).splitlines())

    def markdown(self) -> str:
        """Return a Markdown table; whatever a cell holds is shown, never interpreted."""
        from tabulate import tabulate

        lines = [[escape_markdown(cell) for cell in row] for row in self.rows]
        if self.footer:
            lines.append([f"**{escape_markdown(cell)}**" if cell else "" for cell in self.footer])
        headers = [escape_markdown(header) for header in self.headers]
        table: str = tabulate(
            lines,
            headers,
            "pipe",
            disable_numparse=True,
            colalign=self._alignment(),
        )
        return table

    def _names(self) -> list[str]:
        """Return what the rows are called, in the room that the other columns leave."""
        columns = list(
            zip(*map(_widths, filter(None, (self.headers, *self.rows, self.footer))), strict=True)
        )
        room = WIDTH - sum(2 + max(widths) for widths in columns[1:])
        names = [printable(row[0]) for row in self.rows]
        lines = [line for name in names for line in name.split("\n")]
        short = shortened_apart(lines, max(room, LABEL))
        return ["\n".join(short[line] for line in name.split("\n")) for name in names]

    def _alignment(self) -> tuple[str, ...]:
        count = len(self.headers)
        return ("left",) * self.words + ("right",) * (count - self.words)


def escape_markdown(text: str) -> str:
    """Return ``text`` such that Markdown shows it on one line as it is, without any markup."""
    flat = " ".join(text.split())
    marked = re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", flat)
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _widths(row: tuple[str, ...]) -> list[int]:
    return [max(map(len, cell.split("\n"))) for cell in row]


def narrow(name: str, width: int) -> str:
    """Break a long measure name over lines: AP(rel=2)@100 becomes AP, (rel=2), @100."""
    return name if len(name) <= width else name.replace("(", "\n(").replace("@", "\n@")


@dataclass(frozen=True)
class Block:
    """A table under its title, with what its marks mean and how it is read."""

    title: str
    table: Table
    notes: tuple[str, ...] = ()
