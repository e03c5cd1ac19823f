"""A task of pairs of languages whose files translate each other: each line is one question."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LINES = 12
LANGUAGES = ("en", "de", "fr")
TASK = """
name = "shared"
version = "1"
title = "Lines in three languages, each with English"
languages = ["en", "de", "fr"]
pairs = [["de", "en"], ["en", "fr"]]
settings = ["crosslingual"]
licence = "CC0-1.0"
citation = "nobody"
measures = ["RR", "R@1"]
[source]
reader = "lines"
[source.files]
text = "{language}.txt"
"""


def write_shared_pairs(folder: Path) -> Path:
    """Write ``shared.toml`` and its files, lines of words of which every other is like those that
    it translates."""
    generator = np.random.default_rng(12)

    def words() -> list[str]:
        return ["".join(generator.choice([*"abcdefgh"], 4)) for _ in range(6)]

    lines = [words() for _ in range(LINES)]
    for code in LANGUAGES:
        own = [[*line[:3], *words()[:3]] if i % 2 else words() for i, line in enumerate(lines)]
        text = "".join(" ".join(line) + "\n" for line in own)
        (folder / f"{code}.txt").write_text(text, encoding="utf-8")
    path = folder / "shared.toml"
    path.write_text(TASK)
    return path
