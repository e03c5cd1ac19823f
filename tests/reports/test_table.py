"""Tables of text, whatever their cells hold."""

from __future__ import annotations

import re

from mlbench.reports.table import Table, escape_markdown


def test_a_text_table_has_rules_and_numbers_to_the_right() -> None:
    table = Table(
        ("query", "mAP\nmono"), (("ar", "0.5"), ("zh-Hans-TW-hello", "-")), ("macro", "1")
    )
    assert table.text().splitlines() == [
        "----------------  ----",
        "query              mAP",
        "                  mono",
        "----------------  ----",
        "ar                 0.5",
        "zh-Hans-TW-hello     -",
        "----------------  ----",
        "macro                1",
        "----------------  ----",
    ]


def test_names_of_rows_are_cut_where_the_table_would_be_too_wide_and_stay_different() -> None:
    names = [f"zh-Hans-{letter}-{'x' * 70}" for letter in "ab"]
    text = Table(("query", *9 * ["score"]), tuple((name, *9 * ["0.5000"]) for name in names)).text()
    rows = text.splitlines()[3:5]
    assert rows[0] != rows[1]
    assert max(map(len, text.splitlines())) <= 14 + 9 * 8


def test_markdown_shows_what_a_cell_holds() -> None:
    table = Table(("a|b", "c\nd"), (("`x` <script>|*y*", "1\n2"),), ("macro", ""))
    lines = table.markdown().splitlines()
    assert "\\`x\\` &lt;script&gt;\\|\\*y\\*" in lines[2]
    assert "1 2" in lines[2]
    assert re.search(r"a\\\|b\s+\|\s+c d", lines[0])
    assert "**macro**" in lines[3]
    assert len(lines) == 4


def test_escaped_markdown_is_one_line_without_markup() -> None:
    assert escape_markdown("# a\n\n- b & <c>") == "\\# a - b &amp; &lt;c&gt;"
