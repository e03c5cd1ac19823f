"""Tables for papers: their numbers, what is bold, and that LaTeX takes whatever a name holds."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from mlbench.comparing.compare import compare
from mlbench.comparing.comparison_latex import latex_tables_of
from mlbench.comparing.quantities import Quantity
from mlbench.reports.latex import Cell, LatexTable, escape_latex, latex_report, latex_tables
from mlbench.reports.tables import paper_table
from tests.comparing.test_comparison import model
from tests.reports.test_image_reports import report as image_report  # noqa: F401
from tests.support.reports import example, renamed

HOSTILE = r"""\input{/etc/passwd} a_b 50% $x$ #1 {~^} <s>|"'`&"""
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}\usepackage[T1]{fontenc}\usepackage{textcomp}
\begin{document}
%s
\end{document}
"""


def cells(text: str) -> list[list[str]]:
    """The rows of all tables, without their markup."""
    rows = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r"\\")]
    return [re.sub(r"\\textbf\{([^}]*)\}", r"\1", row).split(" & ") for row in rows]


def test_the_numbers_are_those_of_the_main_table_and_intervals_those_of_the_report():
    report, _ = example()
    table = paper_table(report)
    text = latex_tables([latex_report(report)])
    assert cells(text)[2:] == [list(row) for row in (*table.rows, table.footer)]
    wide = latex_tables([latex_report(report, intervals=True)])
    for language in report.task.roles.queries:
        score = report.scores.per_language["monolingual"]["AP"][language]
        row = next(row for row in cells(wide) if row[0] == language)
        assert row[1] == f"{score.value:.4f}"
        assert rf"\scriptsize [{score.low:.3f}, {score.high:.3f}]" in wide


def test_bold_is_what_is_shown_to_be_better_than_all_others():
    comparison = compare([model(noise) for noise in (0.6, 1.2, 1.2)], ["AP"], draws=300)
    macro, languages = latex_tables_of(comparison)
    for column, kind in enumerate(("monolingual", "crosslingual", "multilingual")):
        won = {
            name: all(
                d.better == name
                for d in comparison.differences
                if d.quantity == Quantity(kind, "AP") and name in (d.model, d.against)
            )
            for name in "ABC"
        }
        assert won == {"A": True, "B": False, "C": False}
        assert [of[column].bold for _, of in macro.rows] == [*won.values()]
    values = {(v.model, v.quantity): v.value for v in comparison.scores}
    assert languages.columns[:3] == [("mono mAP", "A"), ("mono mAP", "B"), ("mono mAP", "C")]
    for code, row in languages.rows:
        texts = [f"{values[n, Quantity('monolingual', 'AP', code)]:.4f}" for n in "ABC"]
        assert [cell.text for cell in row[:3]] == texts
    same = compare([model(1.2), model(1.2)], ["AP"], draws=100)
    assert r"\textbf" not in latex_tables(latex_tables_of(same))
    four = compare([model(1.2)] * 4, ["AP"], draws=50)
    assert [len(table.columns) for table in latex_tables_of(four)] == [3, 4, 4, 4]


def test_columns_of_one_measure_stand_under_a_rule():
    table = LatexTable("c", "l", "", [("mAP", "a"), ("mAP", "b"), ("R", "x")],
                       [("de", [Cell("-0.1"), Cell("-"), Cell("1", bold=True)])])  # fmt: skip
    text = latex_tables([table])
    assert r" & \multicolumn{2}{c}{mAP} & R \\" in text
    assert r"\cmidrule(lr){2-3}" in text
    assert r"de & $-$0.1 & - & \textbf{1} \\" in text


def test_images_have_the_measure_above_the_directions(image_report):  # noqa: F811
    columns = latex_report(image_report).columns
    assert columns[0][1] == "text to image"
    assert columns[-1] == ("", "gap")


def test_latex_prints_what_names_hold(tmp_path):
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("no pdflatex found: apt-get install texlive-latex-base")
    report = renamed(example()[0], HOSTILE)
    saved = [replace(m, model=report.model) for m in (model(0.6), model(1.2))]
    comparison = compare(saved, ["AP"], draws=50)
    tables = [latex_report(report), latex_report(report, intervals=True)]
    tables += latex_tables_of(comparison, intervals=True)
    (tmp_path / "paper.tex").write_text(DOCUMENT % latex_tables(tables))
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-800:]
    assert "root:" not in (tmp_path / "paper.log").read_text(errors="replace")


def test_names_are_escaped_once():
    assert escape_latex("a\\b\n{c}") == r"a\textbackslash{}b \{c\}"


def test_a_file_says_what_its_names_need():
    report, _ = example()
    assert "LuaLaTeX" not in latex_tables([latex_report(report)])
    assert "LuaLaTeX" in latex_tables([latex_report(renamed(report, "模型"))])
