from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import DataError
from mlbench.data.input_files import Faults
from mlbench.runs.reading import Name, _read_lines, _read_plain, duplicates, read_run
from tests.runs.building import lines, trec

RUN = {"q1": {"de:p1": 2.5, "p 2".replace(" ", ""): -1e-3}, "q2": {"p3": 7.0}}
ENTRIES = {("q1", "de:p1", 2.5), ("q1", "p2", -1e-3), ("q2", "p3", 7.0)}


def entries(run):
    return {
        (run.queries[q].id, run.passages[p].id, s)
        for q, p, s in zip(run.query, run.passage, run.score.tolist(), strict=True)
    }


def save_as_ranx(path):
    from ranx.io import save_lz4

    save_lz4(RUN, path)


def save_parquet(path):
    rows = [(q, p, s) for q, ranking in RUN.items() for p, s in ranking.items()]
    columns = dict(zip(("q_id", "doc_id", "score"), zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table({name: list(column) for name, column in columns.items()}), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("run.trec", lambda path: path.write_text(trec(RUN))),
        ("run.txt", lambda path: path.write_text(trec(RUN).replace(" ", "\t"))),
        ("run", lambda path: path.write_text("\n" + trec(RUN).replace(" ", "   "))),
        ("run.crlf", lambda path: path.write_bytes(trec(RUN).replace("\n", "\r\n").encode())),
        ("run.bom", lambda path: path.write_text("\ufeff" + trec(RUN), encoding="utf-8")),
        ("run.gz", lambda path: path.write_bytes(gzip.compress(trec(RUN).encode()))),
        ("RUN.TREC.GZ", lambda path: path.write_bytes(gzip.compress(trec(RUN).encode()))),
        ("run.json", lambda path: path.write_text(json.dumps(RUN))),
        ("run.json.gz", lambda path: path.write_bytes(gzip.compress(json.dumps(RUN).encode()))),
        ("run.lz4", save_as_ranx),
        ("run.parquet", save_parquet),
    ],
)
def test_every_form_says_the_same(name, write, tmp_path):
    write(tmp_path / name)
    assert entries(read_run(tmp_path / name)) == ENTRIES


def test_eight_columns_say_the_languages(tmp_path):
    path = tmp_path / "run.trec"
    path.write_text(lines("q Q0 p 1 0.5 tag de fr", "q Q0 p 2 0.4 tag de en", "q Q0 p 3 1 tag"))
    run = read_run(path)
    assert run.queries == (Name("q", "de"), Name("q"))
    assert run.passages == (Name("p", "fr"), Name("p", "en"), Name("p"))
    assert [run.where(i) for i in range(3)] == [f"{path}:{i}" for i in (1, 2, 3)]
    assert run.tag == "tag"


ids = st.text("ab:#é\u2028\u3000\x85_", min_size=1, max_size=3)
rows = st.lists(st.tuples(ids, ids, st.floats(-1e30, 1e30)), min_size=1, max_size=12)


@given(rows)
def test_well_formed_lines_are_read_alike_all_at_once_and_one_by_one(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("runs") / "run.trec"
    text = "".join(f"{q} Q0 {p} 1 {score!r} tag\n" for q, p, score in rows)
    path.write_text(text, encoding="utf-8", newline="")
    faults = Faults()
    slow, fast = _read_lines(path, faults), _read_plain(path, faults)
    faults.check()
    assert fast is not None
    assert [slow.queries[i] for i in slow.query] == [fast.queries[i] for i in fast.query]
    assert [slow.passages[i] for i in slow.passage] == [fast.passages[i] for i in fast.passage]
    assert [slow.passages[i].id for i in slow.passage] == [p for _, p, _ in rows]
    assert np.array_equal(slow.score, fast.score)
    assert np.array_equal(slow.line, fast.line)


@pytest.mark.parametrize(
    "text",
    ["", "q Q0 p 1 0.5 tag\n\n", "q Q0 p 1 x tag\n", "q  Q0 p 1 1 t\n", "q Q0 p 1 1 t de fr\n",
     "q Q0 p\tp 1 1 t\n", "q Q0 p 1 1 t\rr Q0 p 1 1\n", "q Q0 p 1 1 t\tde\tfr\n",
     "q Q0\tx p 1 1 t\n", "q  p 1 1 t\n", "q Q0 p 1 1 \n"],
)  # fmt: skip
def test_anything_else_is_left_to_the_reader_of_lines(text, tmp_path):
    path = tmp_path / "run.trec"
    path.write_text(text, encoding="utf-8")
    faults = Faults()
    assert _read_plain(path, faults) is None
    assert not faults


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a", "q Q0 p 1 0.5 tag\nq Q0 p 1 0.5\n", ":2: 5 columns"),
        ("a", "q Q0 p 1 high tag\n", ":1: score 'high'"),
        ("a", "q Q0 p 1 1_0 tag\n", ":1: score '1_0'"),
        ("a", "q Q0 p 1 \u0663 tag\n", ":1: score '\u0663'"),
        ("a", "q Q0 p 1 1 \n", ":1: 5 columns"),
        ("a", "q Q0 p 1 1 tag\nq Q0 r 1 nan tag\n", ":2: score nan"),
        ("a", "q Q0 p 1 -inf tag\n", ":1: score -inf"),
        ("a", "q Q0 p 1 1 t\nr Q0 p 1 1 t\nq Q0 p 1 2 t\n", "a:3: passage 'p' given again for"),
        ("a", "q Q0 p 1 1 t\nr Q0 p 1 1 t\nq Q0 p 1 2 t\n", "first at"),
        ("a", "", "holds no ranking"),
        ("a", '{"q": {"p": 1}}\n', "called .json"),
        ("a.gz", "q Q0 p 1 1 t\n", "damaged gzip"),
        ("a.json", '{"q": {"p": "1"}}', "query 'q', passage 'p': the string '1'"),
        ("a.json", '{"q": {"p": true}}', "query 'q', passage 'p': the boolean"),
        ("a.json", '{"q": {"p": NaN}}', "score nan"),
        ("a.json", '{"q": {"p": 1' + "0" * 400 + "}}", "score inf"),
        ("a.json", '{"q": {"p": 1, "p": 2}}', "query 'q': 'p' given again"),
        ("a.json", '{"q": {"p": 1}, "q": {"r": 2}}', "a.json: 'q' given again"),
        ("a.json", '{"q": [1]}', "query 'q': a list"),
        ("a.json", "[]", "a list"),
        ("a.json", '{"q": {}}', "holds no ranking"),
        ("a.json", "{", "broken JSON"),
        ("a.lz4", "no", "damaged"),
        ("a.parquet", "no", "not readable"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(name, text, found, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_run(tmp_path / name)
    assert found in str(error.value)


def test_bytes_that_are_no_text_are_refused_with_their_offset(tmp_path):
    (tmp_path / "a").write_bytes(b"q Q0 p 1 1 t\nq Q0 \xff 1 1 t\n")
    with pytest.raises(DataError, match="byte 18"):
        read_run(tmp_path / "a")


def test_all_faults_of_a_file_come_at_once_twenty_of_them_in_words(tmp_path):
    (tmp_path / "a").write_text(lines(*(f"q Q0 p{i} 1 x tag" for i in range(50))))
    with pytest.raises(DataError) as error:
        read_run(tmp_path / "a")
    assert len(error.value.faults) == 21
    assert "30 more" in str(error.value)


def test_a_file_that_is_not_there_is_no_crash(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_run(tmp_path / "nowhere")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20))
def test_duplicates_are_found_as_by_looking_back(pairs):
    query, passage = np.array(pairs, np.int64).reshape(-1, 2).T
    expected = {(pairs.index(p), i) for i, p in enumerate(pairs) if p in pairs[:i]}
    assert set(duplicates(query, passage)) == expected


@pytest.mark.parametrize("name", ["run.trec.gz", "run.json.gz"])
def test_a_decompression_bomb_is_refused_with_its_limit(name, tmp_path, monkeypatch):
    monkeypatch.setattr("mlbench.data.input_files.SMALL", 1 << 16)
    monkeypatch.setattr("mlbench.data.input_files.MOST_TIMES_PACKED", 1)
    row = b"q Q0 p 1 1 t\n" if "trec" in name else b" " * 13
    (tmp_path / name).write_bytes(gzip.compress(row * (1 << 17)))
    with pytest.raises(DataError, match="unpacks to more than 65,536 bytes"):
        read_run(tmp_path / name)


def test_what_ranx_packed_twice_may_be_a_bomb_inside(tmp_path, monkeypatch):
    from ranx.io import save_lz4

    monkeypatch.setattr("mlbench.data.input_files.SMALL", 1 << 16)
    save_lz4({"q": {"p" * (1 << 22): 1.0}}, tmp_path / "run.lz4")
    with pytest.raises(DataError, match="unpacks to more than 65,536 bytes"):
        read_run(tmp_path / "run.lz4")


def test_an_empty_packed_file_is_no_gzip_file(tmp_path):
    (tmp_path / "run.trec.gz").touch()
    with pytest.raises(DataError, match="damaged gzip file: it is empty"):
        read_run(tmp_path / "run.trec.gz")
