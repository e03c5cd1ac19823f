"""What mkdocstrings needs to know to show the examples of docstrings as listings."""

from __future__ import annotations

import inspect
import re

import griffe

EXAMPLE = re.compile(r"(?:^>>> .*\n?)(?:^(?!\s*$).*\n?)*", re.M)


class DocstringExamples(griffe.Extension):
    """Puts each run of ``>>>`` lines, with the output below it, into a fence."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Rewrite one docstring."""
        if obj.docstring is None:
            return
        text = inspect.cleandoc(obj.docstring.value)
        obj.docstring.value = EXAMPLE.sub(
            lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text
        )
