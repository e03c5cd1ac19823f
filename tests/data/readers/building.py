"""Small tasks and files for the tests of readers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.data.collection import Collection
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Kind, Source, Task


def make_task(
    folder: Path,
    reader: str,
    files: Mapping[str, str],
    languages: tuple[str, ...] = ("de", "en"),
    text: str = "",
    url: str | None = None,
    **source: Any,
) -> Task:
    if url is not None:
        source["urls"] = {"": url}
    return Task(
        name="small",
        version="1",
        title="Small",
        languages=languages,
        kinds=tuple(Kind),
        measures=("AP",),
        text=text,
        licence="CC0-1.0",
        citation="nobody",
        source=Source(reader=reader, files=files, **source),
        path=folder / "small.toml",
    )


def load(task: Task) -> Collection:
    return read_collection(task, Locator(offline=True).of(task))


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def json_lines(*records: Mapping[str, Any]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def qrels_set(collection: Collection) -> set[tuple[str, str, str, str, int]]:
    """Return (query language, query id, passage language, passage id, relevance) of each row."""
    queries, passages, qrels = collection.queries, collection.passages, collection.qrels
    names = collection.languages
    return {
        (
            names[queries.language[q]],
            queries.ids[q],
            names[passages.language[p]],
            passages.ids[p],
            int(r),
        )
        for q, p, r in zip(
            *map(np.ndarray.tolist, (qrels.query, qrels.passage, qrels.relevance)), strict=True
        )
    }
