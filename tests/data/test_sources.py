"""What a task file may say of its source: found wrong without opening its data."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlbench.data.sources import READERS, check_source, text_choice
from mlbench.data.task import Task
from tests.data.readers.building import make_task

BEIR = {"corpus": "c.jsonl", "queries": "q.jsonl", "qrels": "r.tsv"}


def task(reader: str = "beir", files: dict[str, str] | None = None, **changes: Any) -> Task:
    return make_task(Path("/nowhere"), reader, BEIR if files is None else files, **changes)


@pytest.mark.parametrize("name", READERS)
def test_every_row_leads_to_a_reader(name: str) -> None:
    row = READERS[name]
    assert row.name == name
    module = importlib.import_module(row.module)
    assert callable(getattr(module, "read", None) or module.stream)
    assert hasattr(module, "stream") == row.streams
    assert set(row.streamed) <= set(row.roles)
    assert row.texts
    assert set(row.per_language) <= set(row.roles)


def test_a_sound_task_has_no_fault() -> None:
    assert check_source(task(options={"relevance": "parallel", "language-field": "l"})) == []
    assert check_source(task("lines", {"text": "{language}.txt"}, text="line")) == []
    assert check_source(task("lareqa", {"documents": "{language}.json"})) == []


def test_the_first_text_is_the_default() -> None:
    assert text_choice(task()) == "text"
    assert text_choice(task(text="title-text")) == "title-text"
    assert text_choice(task("lareqa", {"documents": "{language}.json"})) == "sentence"


@pytest.mark.parametrize(
    ("faulty", "where", "expected"),
    [
        (task("bier"), "source.reader", "did you mean 'beir'?"),
        (task(files={**BEIR, "corpora": "x"}), "source.files.corpora", "did you mean 'corpus'?"),
        (task(files={"corpus": "c", "queries": "q"}), "source.files.qrels", "missing"),
        (task("lines", {"text": "a.txt"}), "source.files.text", "holds no {language}"),
        (task(text="titel-text"), "text", "did you mean 'title-text' or 'text'?"),
        (task(options={"relevanz": "x"}), "source.options.relevanz", "did you mean 'relevance'?"),
        (task(options={"relevance": "paralel"}), "source.options.relevance", "mean 'parallel'?"),
        (task(files={**BEIR, "qrels": "{lang}.tsv"}), "source.files.qrels", "placeholder {lang}"),
        (task("lines", {"text": "{language}"}, options={"x": "y"}), "x", "expected: no options"),
    ],
)
def test_faults_are_found_without_data(faulty: Task, where: str, expected: str) -> None:
    (fault,) = check_source(faulty)
    assert fault.where == f"/nowhere/small.toml, field {where}" or fault.where.endswith(f".{where}")
    assert expected in str(fault)


def test_all_faults_are_found_at_once() -> None:
    assert len(check_source(task(files={"corpora": "x"}, text="no", options={"a": "b"}))) == 6


def test_readers_are_imported_only_when_used() -> None:
    code = "import sys, mlbench.data.readers, mlbench.data.catalog; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(out.stdout.split())
    assert "mlbench.data.readers" in modules
    assert not modules & {"mlbench.data.readers.beir", "numpy", "pyarrow", "requests"}
