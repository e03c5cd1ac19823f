"""Files in the layout of Mewsli-X, made here."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PASSAGES = {"af": 5, "de": 14, "en": 30, "zh-Hans": 11}
QUERIES = {"de": 12, "en": 25}
WORDS = (
    "river",
    "hill",
    "the {old} town",
    "moon",
    "rain",
    "Sea",
    "{",
    "}",
    "two  spaces",
    "new\nline",
)
TASK = """
name = "small"
version = "1"
title = "Small"
languages = ["af", "de", "en", "zh_Hans"]
query-languages = ["de", "en"]
measures = ["RR@20", "R@1"]
licence = "CC0-1.0"
citation = "nobody"
[source]
reader = "mewsli-x"
[source.files]
candidates = "candidates.jsonl"
mentions = "mentions.jsonl"
"""

Row = dict[str, Any]


def joined(sentences: Sequence[str], between: str = " ") -> tuple[str, list[dict[str, int]]]:
    """A text of sentences, and their spans."""
    text, spans = "", []
    for sentence in sentences:
        text += between if text else ""
        spans.append({"start": len(text), "end": len(text) + len(sentence)})
        text += sentence
    return text, spans


def candidate(id_: str, language: str, sentences: Sequence[str]) -> Row:
    text, spans = joined(sentences)
    return {
        "entity_id": id_,
        "title": id_,
        "description": text,
        "description_language": language,
        "description_url": "https://example.org",
        "sentence_spans": spans,
    }


def mention(example: str, entity: str, start: int, text: str) -> Row:
    span = {"start": start, "end": start + len(text), "text": text}
    return {"example_id": example, "entity_id": entity, "mention_span": span, "metadata": {}}


def article(id_: str, language: str, sentences: Sequence[str], mentions: Sequence[Row]) -> Row:
    text, spans = joined(sentences, "\n\n")
    context = {
        "document_id": id_,
        "document_title": id_,
        "language": language,
        "text": text,
        "sentence_spans": spans,
    }
    return {"context": context, "mentions": list(mentions)}


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def made(seed: int = 0) -> tuple[list[Row], list[Row]]:
    """Candidates in the order of nothing, some with the text of others, and articles with one or
    two mentions."""
    draw = random.Random(seed)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(2, 5)))

    languages = [code for code, count in PASSAGES.items() for _ in range(count)]
    draw.shuffle(languages)
    few = [[sentence() for _ in range(draw.randint(1, 3))] for _ in range(25)]
    candidates = [candidate(f"Q{i}", code, draw.choice(few)) for i, code in enumerate(languages)]
    articles = []
    for language, count in QUERIES.items():
        left = count
        while left:
            sentences = [sentence() for _ in range(3)]
            begins = [span["start"] for span in joined(sentences, "\n\n")[1]]
            chosen = draw.sample(range(3), min(left, draw.randint(1, 2)))
            entities = [draw.choice(candidates)["entity_id"] for _ in chosen]
            named = [
                mention(f"{language}{left - n}", entity, begins[i], sentences[i][:3])
                for n, (i, entity) in enumerate(zip(chosen, entities, strict=True))
            ]
            left -= len(named)
            articles.append(article(f"{language}-{len(articles)}", language, sentences, named))
    return candidates, articles


def write_small(folder: Path, candidates: Sequence[Row], articles: Sequence[Row]) -> Path:
    """Write the files and the task over them; return the path of the task file."""
    write_rows(folder / "candidates.jsonl", candidates)
    write_rows(folder / "mentions.jsonl", articles)
    path = folder / "small.toml"
    path.write_text(TASK, encoding="utf-8")
    return path
