"""What mlbench prints is written like a sentence of a person: one line, two lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from mlbench.common.counts import plural

PACKAGE = Path(__file__).resolve().parent.parent / "mlbench"
COUNTED = (
    "addresses articles attempts batches bytes characters checks claims columns cores dimensions "
    "draws embeddings entries faults figures files GPUs ids images judgements labels languages "
    "levels lines measures models modules numbers others pairs paragraphs parts passages pixels "
    "places positions processes processors queries questions rankings reports rows runs scores "
    "seeds sentences settings shards steps tasks tensors texts threads times tokens values "
    "vectors verdicts"
)
WHICH = "data|distinct|drawn|judged|more|new|pooling|relevant|short|such|token|unjudged"
BEHIND_A_COUNT = re.compile(rf" (?:(?:{WHICH}) )?(?:{COUNTED.replace(' ', '|')})\b(?!/)")
TEXTS = (
    "both(full) counts each figure.over found.entry.kind kind kind_title(report,kind).capitalize() "
    "'or'.join(parts) language model.spec name name.capitalize() quantity.kind "
    "report.model.variant role worst.cells"
)
"""What stands before such a word and is no count, but a text or counts that stand in a text."""
MANY = (
    "count encoded.queries len(CHECKS) len(contract.CHECKS) len(contract.PAIRS) passages[1] "
    "queries[1] rows self.texts statistics.draws times[path] total.texts"
)
"""Counts that are never 1 where they are printed, or that "of the" goes before."""


def _unagreeing(path: Path) -> Iterator[str]:
    """Each count in an f-string of a file that stands directly before a word for several."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for value, behind in pairwise(parts):
            if not isinstance(value, ast.FormattedValue) or not isinstance(behind, ast.Constant):
                continue
            said = ast.unparse(value.value).replace(" ", "")
            form = ast.unparse(value.format_spec) if value.format_spec else ""
            measured = "." in form or said.startswith(("plural(", "agreeing("))
            if measured or said.isupper() or said in (*TEXTS.split(), *MANY.split()):
                continue
            if BEHIND_A_COUNT.match(behind.value):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {{{said}}}{behind.value[:20]}"


def test_no_count_is_printed_before_a_word_for_several_whatever_the_count_is():
    found = [line for path in sorted(PACKAGE.rglob("*.py")) for line in _unagreeing(path)]
    assert found == [], "write these with mlbench.common.counts.plural"


def test_a_count_goes_with_its_word():
    assert [plural(n, "query", "queries") for n in (0, 1, 2)] == [
        "0 queries",
        "1 query",
        "2 queries",
    ]
    assert plural(1234, "line") == "1,234 lines"
