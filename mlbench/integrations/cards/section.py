"""What a card says of reports in Markdown: a section between two marks, with a block for each
task, each replaced by its successor; all else of the text stays byte for byte."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.integrations.cards.figures import Evidence, Stated, figure_name, groups
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.plot_texts import plot_texts
from mlbench.reports.plots import plot_png
from mlbench.reports.suite_page import figures_table, suite_reading
from mlbench.reports.suite_report import SuiteReport
from mlbench.reports.table import Table, escape_markdown
from mlbench.reports.tables import paper_table, ranged, star_of, whole_reading
from mlbench.reports.words import MISSING, excluded_lines, marked_name, tie_lines

START = "<!-- mlbench:start (made by `mlbench card`, which replaces all up to mlbench:end) -->"
END = "<!-- mlbench:end -->"
MARKS = re.compile(r"^[ \t]*<!-- mlbench:(start|end)\b[^\n]*?-->[ \t]*\r?$", re.M)
BLOCK = re.compile(r"^<!-- mlbench:of (.*) -->$", re.M)
HEADING = "## Retrieval within and across languages"
INTRODUCTION = (
    "Computed by mlbench, with 95% intervals in brackets. Monolingual: queries search the passages "
    "in their own language. Cross-lingual: they search those in one other language. Multilingual: "
    "they search the passages in all languages together. Higher is better, except for rank "
    "distance."
)
PICTURES = "mlbench"
"""The folder beside the card that pictures lie in."""
PICTURE_DPI = 120
SHOWN = ("heatmap", "pairs", "languages", "macro")
"""Plots that a card shows the first of that a report can fill."""


def picture_of(stated: Stated) -> tuple[str, bytes] | None:
    """Return the name and the PNG of the plot that a card shows; None where there is none."""
    report = stated.report
    for name in SHOWN:
        with contextlib.suppress(UsageError):  # where this report cannot fill the plot
            return name, plot_png(name, report, report.ranks, PICTURE_DPI)
    return None


def block_of(stated: Stated, picture: str | None) -> str:
    """Return what a card says of a report; ``picture`` is the plot's name, None for none."""
    report = stated.report
    task = report.task
    table = paper_table(report)
    parts = [
        f"### {escape_markdown(stated.title)}",
        escape_markdown(" ".join(whole_reading(report))),
        figures_of(stated).markdown(),
        *(escape_markdown(line) for line in (*tie_lines(report), *excluded_lines(report))),
        *(f"Warning: {escape_markdown(line)}" for line in report.warnings),
        *(f"Note: {escape_markdown(line)}" for line in report.notes),
    ]
    if picture is not None:
        alt, how = plot_texts(f"{picture}.svg", report)
        place = f"{PICTURES}/{stated.file}.png"
        parts += [f"![{escape_markdown(alt)}]({place})", escape_markdown(how)]
    rows = table.markdown() + "\n\n" + escape_markdown(star_of(table, report))
    if len(table.rows) > 1:
        summary = "pair" if task.roles.two_ways else "query language"
        parts.append(f"<details><summary>By {summary}</summary>\n\n{rows.strip()}\n\n</details>")
    facts = [
        f"task `{task.name}`, version {escape_markdown(task.version)}",
        f"task digest `{task.digest}`",
        f"mlbench {escape_markdown(stated.version)}, {escape_markdown(report.run.date[:10])}",
        *evidence_facts(stated.evidence),
        f"licence of the data: {escape_markdown(task.licence)}",
        f"to cite: {escape_markdown(task.citation)}",
    ]
    parts.append("\n".join(f"- {fact}" for fact in facts))
    return "\n\n".join(part for part in parts if part)


def figures_of(stated: Stated) -> Table:
    """Return a report's macro scores with their intervals, a row a measure, a column a kind of
    setting or a direction; rank distance last."""
    report, of = stated.report, list(groups(stated.report))
    rows = []
    for measure in (*report.measures, RANK_DISTANCE):
        found = [scores.get(measure) for _, _, scores in of]
        if not any(found):
            continue
        digits = 1 if measure == RANK_DISTANCE else 4
        cells = [_cell(ranged(s.value, s.low, s.high, digits)) if s else MISSING for s in found]
        name = figure_name(measure) if digits == 1 else marked_name(report, measure)
        rows.append((name, *cells))
    return Table(("", *(name for _, name, _ in of)), tuple(rows))


def _cell(text: str) -> str:
    """Return a score with its interval in brackets.

    >>> _cell("0.5180 0.4282..0.6094"), _cell("1.0000")
    ('0.5180 (0.4282 to 0.6094)', '1.0000')
    """
    value, _, interval = text.partition(" ")
    return f"{value} ({interval.replace('..', ' to ')})" if interval else value


def evidence_facts(evidence: Evidence) -> list[str]:
    """Return what the figures can be checked with, in Markdown."""
    facts = []
    if evidence.url:
        facts.append(f"evidence: <{evidence.url}>")
    if evidence.entry is not None:
        place, digest = evidence.entry
        facts.append(f"leaderboard entry `{place}`, SHA-256 of its entry.json `{digest}`")
    if evidence.table:
        facts.append(f"SHA-256 of the table of ranks `{evidence.table}`")
    return facts


def suite_block(suite: SuiteReport) -> str:
    """Return what a card says of a suite."""
    return "\n\n".join(
        (
            f"### Suite {escape_markdown(suite.suite.name)}",
            escape_markdown(" ".join(suite_reading(suite))),
            figures_table(suite).markdown(),
        )
    )


def with_blocks(body: str, blocks: Mapping[str, str], where: str, newline: str = "\n") -> str:
    """Return a card's text with blocks by key in its section, in the place of former ones of the
    same key or at the end; a section is added at the end where there is none.

    Raises DataError where the section's marks do not make a pair.
    """
    before, former, after = _cut(body, where)
    kept = _blocks(former.replace("\r\n", "\n"))
    kept |= blocks
    parts = [START, HEADING, INTRODUCTION]
    parts += [f"<!-- mlbench:of {key} -->\n{text}" for key, text in kept.items()]
    section = "\n\n".join([*parts, END]).replace("\n", newline)
    if after is not None:
        return before + section + after
    space = "" if not before or before.endswith(("\n\n", "\r\n\r\n")) else newline
    space = newline + space if before and not before.endswith("\n") else space
    return before + space + section + newline


def _cut(body: str, where: str) -> tuple[str, str, str | None]:
    """Return what stands before the section, in it and after it, which is None without one."""
    marks = list(MARKS.finditer(body))
    if not marks:
        return body, "", None
    if [mark[1] for mark in marks] != ["start", "end"]:
        found = ", ".join(f"mlbench:{mark[1]}" for mark in marks)
        expected = "one line with mlbench:start, and below it one with mlbench:end"
        mend = "remove the marks and what mlbench wrote between them, and write the card again"
        raise DataError(Fault(f"{where}, the section of mlbench", found, expected, mend))
    start, end = marks
    last = end.end() - len("\r") * end.group().endswith("\r")
    return body[: start.start()], body[start.end() : end.start()], body[last:]


def _blocks(section: str) -> dict[str, str]:
    """Return the blocks of a section by their keys."""
    pieces = BLOCK.split(section)
    return {key: text.strip("\n") for key, text in zip(pieces[1::2], pieces[2::2], strict=True)}
