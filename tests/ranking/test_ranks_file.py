from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlbench.common.errors import DataError, EnvironmentFault, IntegrityError
from mlbench.ranking import ranks_file
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes, read_ranks
from tests.support.strategies import parallel_collection, vectors_for

KEY = TaskKey("t", "1", "d" * 64, ("monolingual", "multilingual"))


@pytest.fixture
def ranks():
    collection = parallel_collection()
    return rank_collection(collection, *vectors_for(collection))[0]


def test_round_trip(ranks, tmp_path):
    path = tmp_path / "ranks.parquet"
    path.write_bytes(ranks_to_bytes(ranks, KEY))
    again, key = read_ranks(path)
    assert key == KEY
    for field in dataclasses.fields(ranks):
        before, after = getattr(ranks, field.name), getattr(again, field.name)
        assert np.array_equal(before, after), field.name
    assert ranks_to_bytes(again, key) == path.read_bytes()


def test_ids_of_any_script_and_length_are_kept(ranks, tmp_path):
    ids = tuple(
        ("", "ü", "問" * 9, "a\x00b", "\U0001f600")[i % 5] for i in range(len(ranks.relevance))
    )
    path = tmp_path / "ranks.parquet"
    path.write_bytes(ranks_to_bytes(dataclasses.replace(ranks, passage_ids=ids), KEY))
    assert read_ranks(path)[0].passage_ids == ids
    assert pq.read_table(path).column("passage_id").to_pylist() == list(ids)


def test_more_text_than_a_column_holds_is_said(ranks, monkeypatch):
    monkeypatch.setattr(ranks_file, "MOST_TEXT", 9)
    with pytest.raises(EnvironmentFault, match="at most 9"):
        ranks_to_bytes(ranks, KEY)


def test_missing_and_damaged_files(ranks, tmp_path):
    path = tmp_path / "ranks.parquet"
    with pytest.raises(DataError, match="no such file"):
        read_ranks(path)
    raw = ranks_to_bytes(ranks, KEY)
    for damaged in (b"", raw[:100], raw[:-20], b"PAR1" + bytes(50)):
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="Parquet"):
            read_ranks(path)


def test_a_foreign_parquet_file_is_refused(tmp_path):
    path = tmp_path / "ranks.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(IntegrityError, match="metadata"):
        read_ranks(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["tied"]), "columns"),
        (lambda t: t.take(list(range(len(t)))[::-1]), "not sorted"),
        (
            lambda t: t.set_column(1, "query_language", pa.array(["xx"] * len(t))),
            "language 'xx' is not one of",
        ),
        (
            lambda t: t.set_column(0, "query_id", pa.array([None] * len(t), pa.string())),
            "value is missing",
        ),
    ],
)
def test_altered_tables_are_refused(ranks, tmp_path, change, message):
    path = tmp_path / "ranks.parquet"
    path.write_bytes(ranks_to_bytes(ranks, KEY))
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(IntegrityError, match=message):
        read_ranks(path)
