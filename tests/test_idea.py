"""The worked example of docs/idea.md: mlbench computes every number that the page has."""

from __future__ import annotations

import ast
import operator
import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "idea.md"
TEXT = PAGE.read_text(encoding="utf-8")
OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant):
        return node.value
    assert isinstance(node, ast.BinOp)
    return OPERATIONS[type(node.op)](value(node.left), value(node.right))


def table(first: str, second: str) -> list[list[str]]:
    """The rows of the page's table whose header begins with these two columns."""
    (found,) = re.findall(rf"^\| {first} \| {second} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.M)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the page's program defines, and its report as ``report``."""
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("ferry"))
        found: dict = {"__name__": "example"}
        exec(compile(program, str(PAGE), "exec"), found)
    return found


@pytest.fixture(scope="module")
def report(space):
    return space["report"]


def texts(space) -> dict[str, str]:
    """The text of each name on the page, such as D1 or "the German question"."""
    named = {name: text for name, _language, text in table("passage", "language")}
    assert sorted(named.values()) == sorted(
        text for texts in space["PASSAGES"].values() for text in texts.values()
    )
    questions = {code: texts["crossing"] for code, texts in space["QUESTIONS"].items()}
    named |= {"the German question": questions["de"], "the English question": questions["en"]}
    return named | questions


def test_every_calculation_on_the_page_is_right():
    calculations = re.findall(r"`([^`=\n]+)\s=\s([\d.]+)`", TEXT)
    assert len(calculations) == len(re.findall(r"`[^`\n]*=[^`\n]*`", TEXT)) == 24
    for left, right in calculations:
        digits = len(right.partition(".")[2])
        assert f"{value(ast.parse(left, mode='eval').body):.{digits}f}" == right, left


def test_the_vectors_and_scores_of_the_page(space):
    named = texts(space)
    for name, *numbers in table("text", "boats"):
        assert space["VECTORS"][named[name]] == tuple(map(int, numbers))
    for code, *scores in table("question", "D1"):
        question = np.array(space["VECTORS"][named[code]])
        passages = [space["VECTORS"][named[name]] for name in ("D1", "D2", "E1", "E2", "E3")]
        assert (np.array(passages) @ question).tolist() == list(map(int, scores))


def test_the_table_of_counts_on_the_page(report):
    ranks, names = report.ranks, report.ranks.languages
    found = [
        [
            names[ranks.query_language[ranks.query[row]]],
            names[ranks.passage_language[row]],
            int(ranks.place[row]),
            *map(int, ranks.above[row]),
            *map(int, ranks.tied[row]),
        ]
        for row in range(len(ranks.query))
    ]
    rows = table("question", "relevant passage")
    written = [[asked, {"D1": "de", "E1": "en"}[p], *map(int, n)] for asked, p, *n in rows]
    assert sorted(found) == sorted(written)


def test_every_setting_of_the_page(report):
    rows = table("kind", "question")
    found = [
        [s.kind, s.query_language, ", ".join(s.passage_languages), f"{s.measures['AP']:.4f}"]
        for s in report.settings
    ]
    assert found == [[kind, asked, pool, score] for kind, asked, pool, _ranks, score in rows]
    for _kind, _asked, _pool, ranks, score in rows:
        positions = enumerate(map(int, ranks.split(", ")), start=1)
        assert f"{np.mean([i / rank for i, rank in positions]):.4f}" == score


def test_the_macro_scores_and_the_bias_of_the_page(report):
    macro, bias = report.scores.macro, report.scores.bias
    said = {
        "`(0.5 + 1) / 2 = {:.4f}`": macro["monolingual"]["AP"].value,
        "`(1 + 1) / 2 = {:.4f}`, and in the mixed pool\n": macro["crosslingual"]["AP"].value,
        "`(7/12 + 3/4) / 2 = {:.4f}`": macro["multilingual"]["AP"].value,
        "would be\n`(1 + 1) / 2 = {:.4f}`": macro["monolingual"]["AP"].optimistic,
        "`((1/1 + 2/3) / 2 + (1/1 + 2/3) / 2) / 2 = {:.4f}`": (
            macro["multilingual"]["AP"].optimistic
        ),
        "`3 - 2 = {:.0f}` for the German": bias.by_language["de"].value,
        "`4 - 1 = {:.0f}` for the English": bias.by_language["en"].value,
        "`(1 + 3) / 2 = {:g}`": bias.rank_distance.value,
        "least possible with two relevant passages is `2 - 1 = {:g}`": bias.floor,
        "`(5 + 1) * (2 - 1) / (2 + 1) = {:g}`": bias.random,
        "`(3 + 1.5) / 2 = {:g}`": bias.same_language,
    }
    assert [text for text, number in said.items() if text.format(number) not in TEXT] == []
    for asked, *numbers in table("question", "outranked by de"):
        assert [f"{bias.outranking[asked][code]:.1f}" for code in ("de", "en")] == numbers


def test_the_printed_report_of_the_page(report):
    (printed,) = re.findall(r"```text\n(.*?)```", TEXT, re.S)
    assert printed in str(report) + "\n"
