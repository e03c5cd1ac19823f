r"""Tables for papers: LaTeX for the package booktabs, each a whole ``table`` with its caption."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlbench.common.terminal import printable
from mlbench.data.task import Kind
from mlbench.measures.significance import Score
from mlbench.reports.report import Report
from mlbench.reports.tables import paper_columns, paper_table, star_of
from mlbench.reports.words import macro_score, settings_of

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
}  # fmt: skip
PACKAGES = "% Needs \\usepackage{booktabs}, \\usepackage[T1]{fontenc} and \\usepackage{textcomp}.\n"
OTHER_LETTERS = "% Some names are not in Latin letters: compile with LuaLaTeX or XeLaTeX.\n"
LAST_LATIN = 0x24F
"""The last letter of Unicode's Latin Extended-B."""
SEARCHED = {
    Kind.MONOLINGUAL.value: "Mono: passages in the language of the query are searched.",
    Kind.CROSSLINGUAL.value: "Cross: the mean over the other languages, each searched by itself.",
    Kind.MULTILINGUAL.value: "Multi: the passages of all languages are searched together.",
}


@dataclass(frozen=True)
class Cell:
    """A number of a table: its text, its interval or "", and whether it stands in bold."""

    text: str
    interval: str = ""
    bold: bool = False


@dataclass(frozen=True)
class LatexTable:
    """A table: ``columns`` are (what several have in common, own name); a row is its name and its
    cells; ``footer`` is the row below the rule. All are plain text."""

    caption: str
    label: str
    corner: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    footer: tuple[str, Sequence[Cell]] | None = None


def escape_latex(text: str) -> str:
    r"""Return ``text`` such that LaTeX prints it on one line as it is.

    >>> print(escape_latex("50% of a_b"))
    50\% of a\_b
    """
    return "".join(SPECIAL.get(c, c) for c in " ".join(printable(text).split()))


def latex_tables(tables: Sequence[LatexTable]) -> str:
    """Return tables as a file that a paper can ``\\input``."""
    text = "\n".join(map(_table, tables))
    beyond = any(ord(character) > LAST_LATIN for character in text)
    return PACKAGES + OTHER_LETTERS * beyond + "\n" + text


def _table(table: LatexTable) -> str:
    count = len(table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape_latex(table.caption)}}}",
        rf"\label{{{re.sub(r'[^A-Za-z0-9:.-]+', '-', table.label)}}}",
        rf"\begin{{tabular}}{{l{'r' * count}}}",
        r"\toprule",
        *_head(table),
        r"\midrule",
        *(_row(name, cells) for name, cells in table.rows),
    ]
    if table.footer is not None:
        lines += [r"\midrule", _row(*table.footer)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _head(table: LatexTable) -> list[str]:
    """Return the rows of the head, with a rule under what several columns have in common."""
    above, rules, at = [], [], 2
    for group, of in itertools.groupby(table.columns, key=lambda column: column[0]):
        count = len(list(of))
        shown = escape_latex(group)
        above.append(shown if count == 1 else rf"\multicolumn{{{count}}}{{c}}{{{shown}}}")
        if count > 1:
            rules.append(rf"\cmidrule(lr){{{at}-{at + count - 1}}}")
        at += count
    names = [escape_latex(name) for _, name in table.columns]
    lines = [" & ".join(["", *above]) + r" \\"] if any(above) else []
    lines += [" ".join(rules)] if rules else []
    return [*lines, " & ".join([escape_latex(table.corner), *names]) + r" \\"]


def _row(name: str, cells: Sequence[Cell]) -> str:
    """Return a row and, below it, that of its intervals where there are any."""
    shown = []
    for cell in cells:
        text = rf"\textbf{{{cell.text}}}" if cell.bold else cell.text
        shown.append(re.sub(r"(?<![\w.}])-(?=\d)", "$-$", text))
    lines = [" & ".join([escape_latex(name), *shown]) + r" \\"]
    if any(cell.interval for cell in cells):
        ends = [rf"\scriptsize [{c.interval}]" if c.interval else "" for c in cells]
        lines.append(" & ".join(["", *ends]) + r" \\[2pt]")
    return "\n".join(lines)


def interval_text(score: Score | None, digits: int) -> str:
    """Return the ends of an interval, "" where there is no score."""
    return "" if score is None else f"{score.low:.{digits}f}, {score.high:.{digits}f}"


def latex_report(report: Report, *, intervals: bool = False) -> LatexTable:
    """Return a report's main table in the form of arXiv 2408.10536, a row a query language (of a
    task of pairs a row a pair), with the macro scores below, and 95% intervals where asked for.

    Its numbers are those of ``paper_table``.
    """
    table, task = paper_table(report), report.task
    rows = [(row[0], [Cell(text) for text in row[1:]]) for row in (*table.rows, table.footer)]
    if intervals and not task.roles.two_ways:
        rows = [
            (name, [Cell(c.text, i) for c, i in zip(cells, _intervals(report, code), strict=True)])
            for (name, cells), code in zip(rows, [*task.roles.queries, None], strict=True)
        ]
    said = [text for kind, text in SEARCHED.items() if settings_of(report, kind)]
    caption = [
        f"{report.model.name} on {task.name}, version {task.version}.",
        *(() if task.roles.two_ways else said),
        "Macro: the mean over settings.",
        star_of(table, report),
        "Small numbers are 95% intervals." if intervals and not task.roles.two_ways else "",
    ]
    columns = [_split(header) for header in table.headers[1:]]
    label = f"tab:{report.model.name}-{task.name}"
    return LatexTable(
        " ".join(filter(None, caption)), label, table.headers[0], columns, rows[:-1], rows[-1]
    )


def _split(header: str) -> tuple[str, str]:
    """Return the measure and the rest of a header, whose lines are joined again."""
    first, *rest = header.split("\n")
    while rest[1:] and rest[0][:1] in "(@":
        first += rest.pop(0)
    return (first, " ".join(rest)) if rest else ("", first)


def _intervals(report: Report, language: str | None) -> list[str]:
    """Return the intervals of a row of ``paper_table``, of the macro row without a language."""
    scores, bias = report.scores, report.scores.bias
    found = [
        macro_score(report, kind, measure)
        if language is None
        else scores.per_language.get(kind, {}).get(measure, {}).get(language)
        for kind, measure in paper_columns(report)
    ]
    texts = [interval_text(score, 3) for score in found]
    if bias.by_language:
        spread = bias.rank_distance if language is None else bias.by_language.get(language)
        ends = (spread.low, spread.high) if spread is not None else (None, None)
        texts.append("" if None in ends else ", ".join(f"{end:.0f}" for end in ends))
    return texts
