"""Reports read back: an edited report.json is refused, with its file and field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import DataError, IntegrityError
from mlbench.comparing.baseline import read_saved
from mlbench.ranking.ranks_file import read_ranks
from mlbench.reports.report import REPORT_FILE, read_report, write_report
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


def test_a_report_from_before_there_were_directions_is_read(tmp_path):
    report, ranks = example(2)
    write_report(tmp_path, report, ranks, {})
    path = tmp_path / REPORT_FILE
    table = json.loads(path.read_text())
    del table["directions"]
    path.write_text(json.dumps(table))
    assert read_report(tmp_path).scores == report.scores


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


def test_a_report_is_one_short_line_where_it_is_not_printed() -> None:
    report, ranks = example(3)
    for each in (report, ranks, replace(report, ranks=ranks)):
        assert len(repr(each)) < 200
        assert "\n" not in repr(each)
    assert report.model.name in repr(report)
    assert f"{report.macro['multilingual'][report.measures[0]]:.4f}" in repr(report)


def test_what_is_no_folder_of_a_report_is_told(tmp_path: Path) -> None:
    report, ranks = example(3)
    write_report(tmp_path / "report", report, ranks, {})
    (tmp_path / "odd" / "report.json").mkdir(parents=True)
    for given in (tmp_path / "report" / "report.json", tmp_path / "odd"):
        with pytest.raises(DataError, match=r"report\.json: cannot be read"):
            read_report(given)
    with pytest.raises(DataError, match="a folder"):
        read_ranks(tmp_path / "report")
    assert read_ranks(str(tmp_path / "report" / "ranks.parquet"))[0].languages == ranks.languages
