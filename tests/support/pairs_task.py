"""A task of pairs of languages that share no pool, whose pairs are not equally hard."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PAIRS = {("de", "en"): 9, ("en", "fr"): 7, ("en", "sw"): 11}
SHARED = {("de", "en"): 2, ("en", "fr"): 1, ("en", "sw"): 0}
"""How many of its six words a line has from the line that it translates."""
TASK = """
name = "bitext"
version = "1"
title = "Lines and their translations"
languages = ["de", "en", "fr", "sw"]
pairs = [["de", "en"], ["en", "fr"], ["en", "sw"]]
settings = ["crosslingual"]
licence = "CC0-1.0"
citation = "nobody"
measures = ["RR", "Success@1"]
[source]
reader = "lines"
[source.files]
text = "{first}-{second}.{id}"
[source.ids]
de = "de"
en = "eng"
fr = "fr"
sw = "sw"
"""


def pair_file(folder: Path, pair: tuple[str, str], code: str) -> Path:
    """Return the file of a pair's lines in one of its languages."""
    one, other, name = ("eng" if c == "en" else c for c in (*pair, code))
    return folder / f"{one}-{other}.{name}"


def write_pairs(folder: Path, *, ties: bool = False, times: int = 1) -> Path:
    """Write ``bitext.toml`` and its files, the first line and the last the same where ``ties``, and
    ``times`` as many lines as PAIRS has."""
    generator = np.random.default_rng(11)

    def words(count: int) -> list[str]:
        return ["".join(generator.choice([*"abcdefgh"], 4)) for _ in range(count)]

    for (one, other), count in PAIRS.items():
        first = [words(6) for _ in range(count * times)]
        second = [line[: SHARED[one, other]] + words(6 - SHARED[one, other]) for line in first]
        for code, lines in ((one, first), (other, second)):
            lines[-1] = lines[0] if ties else lines[-1]
            text = "".join(" ".join(line) + "\n" for line in lines)
            pair_file(folder, (one, other), code).write_text(text)
    path = folder / "bitext.toml"
    path.write_text(TASK)
    return path
