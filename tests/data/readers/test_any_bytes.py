"""Whatever a file holds, a reader returns a collection or refuses it in its own words."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mlbench.common.errors import DataError
from tests.data.readers.building import load, make_task, write


def packed(record: dict[str, str]) -> bytes:
    """Return a Parquet file of one row."""
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([record]), buffer)
    return buffer.getvalue()


PARAGRAPH = {
    "context": "One.",
    "sentences": ["One."],
    "sentence_breaks": [[0, 4]],
    "qas": [{"id": "q", "question": "?", "answers": [{"answer_start": 0}]}],
}
LAREQA = json.dumps({"data": [{"title": "T", "paragraphs": [PARAGRAPH]}]}).encode()
RECORD = b'{"_id": "1", "text": "x", "title": "y"}\n'
PARQUET = packed(json.loads(RECORD))
QRELS = b"query-id\tcorpus-id\tscore\n1\t1\t1\n"
FILES = {
    "lareqa": ({"documents": "{language}.json"}, {"en.json": LAREQA}),
    "lines": ({"text": "{language}.txt"}, {"en.txt": b"one\ntwo\n"}),
    "beir": (
        {"corpus": "c.jsonl", "queries": "q.jsonl", "qrels": "r.tsv"},
        {"c.jsonl": RECORD, "q.jsonl": RECORD, "r.tsv": QRELS},
    ),
    "rows": ({"rows": "r.csv"}, {"r.csv": b'q,"p"\r\na,"b\nc"\r\nd,e\r\n'}),
    "rows packed": ({"rows": "r.csv.gz"}, {"r.csv.gz": gzip.compress(b"q,p\na,b\n")}),
    "beir packed": (
        {"corpus": "c.jsonl.gz", "queries": "q.parquet", "qrels": "r.tsv"},
        {"c.jsonl.gz": gzip.compress(RECORD), "q.parquet": PARQUET, "r.tsv": QRELS},
    ),
}
OPTIONS = {"rows": {"query": "q", "passage": "p"}}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some bytes, or ``whole`` with a part cut out and another put in."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=40))
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, len(whole)))
    value = json.dumps(draw(json_values)).encode()
    return whole[:start] + draw(st.just(value) | st.binary(max_size=8)) + whole[end:]


@pytest.mark.parametrize("name", FILES)
@given(st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes(tmp_path: Path, name: str, data: st.DataObject) -> None:
    roles, files = FILES[name]
    target = data.draw(st.sampled_from(sorted(files)))
    write(tmp_path, {**files, target: data.draw(damaged(files[target]))})
    reader = name.partition(" ")[0]
    options = OPTIONS.get(reader, {})
    task = make_task(tmp_path, reader, roles, languages=("en",), options=options)
    try:
        collection = load(task)
    except DataError:
        return
    assert collection.relevant_by_language.sum() >= 1
    assert len(collection.digest) == 64
