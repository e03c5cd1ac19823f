"""The examples of a page of the documentation, written as at Python's prompt."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def run_examples(page: str, least: int) -> dict[str, Any]:
    """Run the examples of a page, at least ``least`` of them, and return the names they leave.

    Fails with what was expected and what was printed instead.
    """
    path = DOCS / page
    parser, told = doctest.DocTestParser(), []
    test = parser.get_doctest(path.read_text(encoding="utf-8"), {}, page, str(path), 0)
    flags = doctest.NORMALIZE_WHITESPACE
    done = doctest.DocTestRunner(optionflags=flags).run(test, out=told.append, clear_globs=False)
    assert done.attempted >= least
    assert not done.failed, "".join(told)
    return test.globs
