"""Reports read back: an edited report.json is refused, with its file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import IntegrityError
from mlbench.comparing.baseline import read_saved
from mlbench.reports.report import read_report, write_report
from tests.support.reports import example, pair

Path_ = tuple[str | int, ...]


def edit(folder: Path, keys: Path_, value: Any) -> None:
    """Set one value of report.json, such as the one at ("task", "languages", 0)."""
    path = folder / "report.json"
    table = entry = json.loads(path.read_text())
    for key in keys[:-1]:
        entry = entry[key]
    entry[keys[-1]] = value
    path.write_text(json.dumps(table))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    report, ranks = example(3)
    write_report(tmp_path, report, ranks, {})
    read, table = pair(read_report(tmp_path))
    assert read == report
    assert table.languages == ranks.languages


@pytest.mark.parametrize(
    ("keys", "value", "field"),
    [
        (("task", "name"), "other", "task.name: 'other'"),
        (("task", "version"), "2", "task.version: '2'"),
        (("task", "digest"), "00", "task.digest: '00'"),
        (("task", "languages", 0), "xx", "task.languages[0]: 'xx'"),
        (("task", "languages"), ["ar"], "task.languages: ['ar']"),
        (("task", "kinds"), ["bilingual"], "task.kinds[0]: 'bilingual'"),
        (("task", "kinds"), ["monolingual"], "task.kinds: ['monolingual']"),
        (("task", "queries", "ar"), 99999, "task.queries.ar: 99999"),
        (("task", "passages", "de"), 1, "task.passages.de: 1"),
        (("task", "passages"), {}, "task.passages.ar: 'nothing'"),
        (("task", "relevant_pairs"), 1, "task.relevant_pairs: 1"),
        (("measures",), ["AP", "Foo"], "measures, measure 'Foo': not a measure"),
        (("measures",), ["AP", "AP"], "measures: AP, AP"),
        (("measures",), ["AP", None], "measures"),
        (("ranks_sha256",), "00", ""),
    ],
)
def test_an_edited_report_is_refused_with_file_and_field(
    tmp_path: Path, keys: Path_, value: Any, field: str
) -> None:
    write_report(tmp_path, *example(3), {})
    edit(tmp_path, keys, value)
    for read in (read_report, read_saved):
        with pytest.raises(IntegrityError) as caught:
            read(tmp_path)
        where = f"{tmp_path / 'report.json'}, {field}" if field else str(tmp_path / "ranks.parquet")
        assert where in str(caught.value)


def test_all_edits_are_told_at_once(tmp_path: Path) -> None:
    write_report(tmp_path, *example(3), {})
    edit(tmp_path, ("task", "version"), "2")
    edit(tmp_path, ("measures",), ["Foo"])
    with pytest.raises(IntegrityError) as caught:
        read_report(tmp_path)
    assert [fault.where.split(", ")[1] for fault in caught.value.faults] == [
        "task.version",
        "measures",
    ]
