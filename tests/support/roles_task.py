"""A task whose queries and passages have different languages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

QUERIES = {"de": 6, "en": 8}
PASSAGES = {"en": 9, "fr": 7, "sw": 5}
TASK = """
name = "roles"
version = "1"
title = "Queries and passages of different languages"
languages = ["de", "en", "fr", "sw"]
query-languages = ["de", "en"]
passage-languages = ["en", "fr", "sw"]
licence = "CC0-1.0"
citation = "nobody"
measures = ["AP", "nDCG@10"]
[source]
reader = "beir"
[source.files]
corpus = "{language}.corpus.jsonl"
queries = "queries.jsonl"
qrels = "{language}.qrels.tsv"
"""


def words(generator: np.random.Generator) -> str:
    return " ".join("".join(generator.choice([*"abcde"], 3)) for _ in range(6))


def write_task(folder: Path) -> Path:
    """Write ``roles.toml`` and its files. Each query is judged in two of the languages of passages,
    some of its passages are graded."""
    generator = np.random.default_rng(7)
    (folder / "queries.jsonl").write_text(
        "".join(
            json.dumps({"_id": f"{code}{i}", "language": code, "text": words(generator)}) + "\n"
            for code, count in QUERIES.items()
            for i in range(count)
        )
    )
    for number, (code, count) in enumerate(PASSAGES.items()):
        corpus = [{"_id": f"p{i}", "text": words(generator)} for i in range(count)]
        path = folder / f"{code}.corpus.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in corpus))
        rows = ["query-id\tcorpus-id\tscore"]
        for asked, many in QUERIES.items():
            for i in range(many):
                if i % 3 != number:
                    chosen = generator.choice(count, 2, replace=False).tolist()
                    rows += [f"{asked}{i}\tp{p}\t{g}" for p, g in zip(chosen, (1, 2), strict=True)]
        (folder / f"{code}.qrels.tsv").write_text("\n".join(rows) + "\n")
    path = folder / "roles.toml"
    path.write_text(TASK)
    return path
