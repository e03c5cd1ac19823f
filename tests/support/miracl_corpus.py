"""A corpus of MIRACL's layout around its real judgements: made-up texts under the judged ids."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

TASK = """
name = "{name}"
version = "test"
title = "Made-up passages around MIRACL's judgements"
languages = {languages}
settings = ["monolingual", "multilingual"]
measures = ["nDCG@10", "R@100", "AP"]
licence = "CC0-1.0"
citation = "nobody"
{source}
[source.files]
corpus = "miracl-corpus-v1.0-{{language}}/docs-{{shard}}.jsonl.gz"
topics = "miracl-v1.0-{{language}}/topics/topics.miracl-v1.0-{{language}}-dev.tsv"
qrels = "miracl-v1.0-{{language}}/qrels/qrels.miracl-v1.0-{{language}}-dev.tsv"

[source.shards]
{shards}
"""


def write_corpus(
    folder: Path,
    data_dir: Path,
    languages: Sequence[str],
    *,
    shards: int = 2,
    distractors: int = 50,
    queries: int | None = None,
    name: str = "miracl-small",
    url: str = "",
) -> Path:
    """Write topics, qrels and a corpus below ``folder``; return the path of the task file.

    ``data_dir`` holds the real files in ``miracl``. Each language gets its first ``queries``
    topics (None: all), every passage judged for them, and ``distractors`` more. A relevant
    passage holds its query, so that lexical models find it; the order is shuffled. The same
    arguments give the same bytes.
    """
    for language in languages:
        topics = _columns(data_dir, "topics", language)[:queries]
        kept = {topic[0] for topic in topics}
        qrels = [row for row in _columns(data_dir, "qrels", language) if row[0] in kept]
        place = folder / f"miracl-v1.0-{language}"
        for role, rows in (("topics", topics), ("qrels", qrels)):
            lines = "".join("\t".join(row) + "\n" for row in rows)
            _write(place / role / f"{role}.miracl-v1.0-{language}-dev.tsv", lines.encode())
        passages = list(_passages(language, topics, qrels, distractors))
        for shard in range(shards):
            lines = "".join(
                json.dumps(passage, ensure_ascii=False) + "\n"
                for passage in passages[shard::shards]
            )
            packed = gzip.compress(lines.encode(), 1, mtime=0)
            _write(folder / f"miracl-corpus-v1.0-{language}/docs-{shard}.jsonl.gz", packed)
    return write_task(folder, languages, shards=shards, name=name, url=url)


def write_task(
    folder: Path, languages: Sequence[str], *, shards: int, name: str, url: str = ""
) -> Path:
    """Write the task file of such a corpus; ``url`` says where it can be downloaded."""
    counts = "\n".join(f"{language} = {shards}" for language in languages)
    source = '[source]\nreader = "miracl"\n' + (f'url = "{url}"\n' if url else "")
    text = TASK.format(
        name=name, languages=json.dumps(list(languages)), source=source, shards=counts
    )
    _write(folder / f"{name}.toml", text.encode())
    return folder / f"{name}.toml"


def _columns(data_dir: Path, role: str, language: str) -> list[list[str]]:
    path = data_dir / "miracl" / role / f"{role}.miracl-v1.0-{language}-dev.tsv"
    return [line.split("\t") for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]


def _passages(
    language: str, topics: list[list[str]], qrels: list[list[str]], distractors: int
) -> Iterator[dict[str, str]]:
    chance = random.Random(f"{language} {len(topics)} {distractors}")
    words = sorted({word for _, query in topics for word in query.split()})
    query_of = dict(topics)
    found: dict[str, str] = {}
    for query, _, passage, relevance in qrels:
        found[passage] = found.get(passage, "") + (f"{query_of[query]} " * int(relevance))
    article = 1 + max((int(id_.split("#")[0]) for id_ in found), default=0)
    found |= {f"{article + number // 5}#{number % 5}": "" for number in range(distractors)}
    ids = sorted(found)
    chance.shuffle(ids)
    for id_ in ids:
        made_up = " ".join(chance.choices(words, k=12))
        yield {
            "docid": id_,
            "title": f"{chance.choice(words)} {id_.split('#')[0]}",
            "text": f"{found[id_]}{made_up}",
        }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
