"""docs/report.md explains every key of report.json and every column of ranks.parquet."""

from __future__ import annotations

import io
import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pyarrow.parquet as pq

from mlbench.measures.scores import Scores
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes
from mlbench.reports.report import Report, report_to_json
from tests.support.reports import example

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"


def documented(heading: str) -> set[str]:
    """The first column of the tables below a heading; what stands for a name becomes <>."""
    text = DOCS.read_text(encoding="utf-8")
    part = re.split(r"^## ", text, flags=re.M)
    section = next(p for p in part if p.startswith(heading))
    return {re.sub("<[a-z]+>", "<>", key) for key in re.findall(r"^\| `([^`]+)`", section, re.M)}


APART = ("Ranks | None", "PerQuery | None", "Texts | None", "tuple[Report, ...]")
"""What a report has in files of their own."""


def keys_of(kind: object, path: str) -> Iterator[str]:
    """Every key that a value of this type gives in JSON, below ``path``."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        yield from keys_of(next(a for a in arguments if a is not type(None)), path)
    elif typing.get_origin(kind) is dict:
        yield from keys_of(arguments[1], f"{path}.<>")
    elif typing.get_origin(kind) is tuple and is_dataclass(arguments[0]):
        yield from keys_of(arguments[0], f"{path}[]")
    elif isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        for field in (each for each in fields(kind) if each.type not in APART):
            below = "" if hints[field.name] is Scores else f"{path}.{field.name}".lstrip(".")
            yield from keys_of(hints[field.name], below)
    else:
        yield path


def test_every_key_of_report_json_is_explained_and_no_other() -> None:
    expected = {"schema", "ranks_sha256", *keys_of(Report, "")}
    assert documented("report.json") == expected


def test_the_file_itself_has_no_other_keys() -> None:
    report, _ = example(2)
    top = {key.split(".")[0].removesuffix("[]") for key in documented("report.json")}
    assert set(json.loads(report_to_json(report, "0" * 64))) == top


def test_every_column_of_ranks_parquet_is_explained_and_no_other() -> None:
    _, ranks = example(2)
    raw = ranks_to_bytes(ranks, TaskKey("name", "1", "0" * 64, ("monolingual",)))
    schema = pq.read_schema(io.BytesIO(raw))
    metadata = json.loads(schema.metadata[b"mlbench"])
    assert documented("ranks.parquet") == {*schema.names, *metadata}
