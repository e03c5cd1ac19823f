from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.common.errors import DataError, IntegrityError
from mlbench.comparing.baseline import baseline_bytes, read_baseline, read_saved, refuse_other_task
from mlbench.comparing.baseline import saved_report as saved
from mlbench.ranking.ranks_file import ranks_to_bytes, read_ranks
from mlbench.reports.report import write_report
from tests.leaderboard.boards import add_task, run_of, submitted
from tests.support.reports import example


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    report, _ = example(2)
    return tmp_path_factory.mktemp("b") / "b", baseline_bytes(saved(report, "here"))


def fields(ranks):
    return {name: getattr(ranks, name) for name in ranks.__dataclass_fields__}


def assert_same(a, b):
    for name, value in fields(a).items():
        other = fields(b)[name]
        assert np.array_equal(value, other), name
        assert getattr(value, "dtype", None) == getattr(other, "dtype", None), name


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_is_written_is_read_again_and_the_bytes_are_the_same(count, tmp_path):
    report, ranks = example(count)
    raw = baseline_bytes(saved(report, "here"))
    path = tmp_path / "b.parquet"
    path.write_bytes(raw)
    found = read_baseline(path)
    assert (found.task, found.model, found.measures) == (report.task, report.model, report.measures)
    assert_same(found.ranks, ranks)
    assert baseline_bytes(found) == raw


def test_a_baseline_is_a_table_of_ranks(written, tmp_path):
    path, report = tmp_path / "ranks.parquet", example(2)[0]
    path.write_bytes(written[1])
    ranks, key = read_ranks(path)
    assert_same(ranks, example(2)[1])
    assert (key.name, key.digest, key.kinds) == (
        report.task.name,
        report.task.digest,
        report.task.kinds,
    )
    assert len(written[1]) < len(ranks_to_bytes(ranks, key)) + 6000


def test_a_baseline_of_another_version_is_refused_with_a_word_on_how_to_write_it(tmp_path):
    digest = '"sha256": "' + 64 * "0" + '"'
    said = json.dumps({"schema": "mlbench/baseline/1", "task": {}})[:-1] + f", {digest}}}"
    table = pa.table({"query_id": ["a"]}).replace_schema_metadata({"mlbench": said})
    pq.write_table(table, tmp_path / "b")
    raw = (tmp_path / "b").read_bytes()
    digest = hashlib.sha256(raw).hexdigest().encode()
    (tmp_path / "b").write_bytes(raw.replace(64 * b"0", digest))
    with pytest.raises(IntegrityError, match="schema 'mlbench/baseline/1'") as caught:
        read_baseline(tmp_path / "b")
    assert "mlbench baseline REPORT" in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 255))
def test_any_changed_byte_is_found(written, at, mask):
    path, raw = written
    changed = bytearray(raw)
    changed[at % len(raw)] ^= mask
    path.write_bytes(changed)
    with pytest.raises(IntegrityError, match="mlbench baseline"):
        read_baseline(path)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9))
def test_any_cut_is_found(written, at):
    path, raw = written
    path.write_bytes(raw[: at % len(raw)])
    with pytest.raises(IntegrityError):
        read_baseline(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}", b"\xff" * 100])
def test_what_is_no_baseline_is_an_integrity_error(content, tmp_path):
    path = tmp_path / "b.parquet"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="not a baseline"):
        read_saved(path)


def test_a_missing_baseline_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_saved(tmp_path / "none.parquet")


def test_another_parquet_file_and_one_file_of_a_report_are_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(IntegrityError):
        read_saved(tmp_path / "other.parquet")
    report, ranks = example(2)
    write_report(tmp_path / "r", report, ranks, {})
    for name in ("report.json", "ranks.parquet"):
        with pytest.raises(DataError, match="folder"):
            read_saved(tmp_path / "r" / name)


def test_a_report_s_folder_is_read_and_altered_scores_are_found(tmp_path):
    report, ranks = example(3)
    write_report(tmp_path, report, ranks, {})
    assert_same(read_saved(tmp_path).ranks, ranks)
    path = tmp_path / "report.json"
    table = json.loads(path.read_text())
    table["macro"]["crosslingual"]["AP"]["value"] += 0.01
    path.write_text(json.dumps(table))
    with pytest.raises(IntegrityError, match="crosslingual"):
        read_saved(tmp_path)


def test_an_entry_of_a_leaderboard_is_read_with_its_table_and_altered_scores_are_found(tmp_path):
    board = tmp_path / "board"
    add_task(*run_of(1), board)
    folder = submitted(board, tmp_path, "alpha", 1).folder
    report, ranks = run_of(1)
    found = read_saved(folder)
    assert_same(found.table, ranks)
    refuse_other_task([found, saved(replace(report, ranks=ranks), "report")])
    path = folder / "entry.json"
    table = json.loads(path.read_text())
    table["macro"]["multilingual"]["AP"]["value"] += 0.01
    path.write_text(json.dumps(table))
    with pytest.raises(IntegrityError, match="multilingual"):
        read_saved(folder)
    path.write_text(json.dumps(table | {"ranks_sha256": "0" * 64}))
    with pytest.raises(IntegrityError, match="SHA-256"):
        read_saved(folder)
    path.write_text(json.dumps(table | {"ranks_sha256": None}))
    with pytest.raises(DataError, match="publication"):
        read_saved(folder)
    path.write_text("{}")
    with pytest.raises(DataError, match="not an entry"):
        read_saved(folder)
    with pytest.raises(DataError, match=f"name a folder in it: {folder.name}"):
        read_saved(folder.parent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "2"}, "task version is 2"),
        ({"digest": "0" * 64}, "task digest is 000"),
        ({"sample": 100}, "task sample is 100"),
        ({"languages": ("ar", "de")}, "task languages is ar, de"),
        ({"kinds": ("monolingual",)}, "task kinds is monolingual"),
    ],
)
def test_results_of_another_task_are_refused_and_the_difference_is_named(change, said):
    report, _ = example(3)
    one = saved(report, "one")
    refuse_other_task([one, one])
    with pytest.raises(DataError, match=said) as caught:
        refuse_other_task([one, replace(one, task=replace(one.task, **change), where="two")])
    assert "two" in str(caught.value)


def test_tables_of_other_rows_under_one_digest_are_an_integrity_error():
    report, ranks = example(3)
    other = replace(ranks, query_ids=tuple(f"x{id_}" for id_ in ranks.query_ids))
    with pytest.raises(IntegrityError, match="not those of one"):
        refuse_other_task([saved(report, "one"), saved(replace(report, ranks=other), "two")])
