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
from mlbench.data.input_files import Faults, read_lines
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


def json_lines(run, names=("query_id", "doc_id", "score")):
    return "".join(
        json.dumps(dict(zip(names, (query, passage, score), strict=True))) + "\n"
        for query, ranking in run.items()
        for passage, score in ranking.items()
    )


def save_parquet(path, names=("q_id", "doc_id", "score")):
    rows = [(q, p, s) for q, ranking in RUN.items() for p, s in ranking.items()]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
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
        ("run.jsonl", lambda path: path.write_text(json_lines(RUN))),
        ("run.v2.ndjson", lambda path: path.write_text("\ufeff\n" + json_lines(RUN) + "\n \n")),
        ("run.jsonl.gz", lambda path: path.write_bytes(gzip.compress(json_lines(RUN).encode()))),
        ("run.run", lambda path: path.write_text(json_lines(RUN))),
        ("lines.json", lambda path: path.write_text(json_lines(RUN))),
        ("RUN.JSONL.GZ", lambda path: path.write_bytes(gzip.compress(json_lines(RUN).encode()))),
        ("run.lz4", save_as_ranx),
        ("run.parquet", save_parquet),
    ],
)
def test_every_form_says_the_same(name, write, tmp_path):
    write(tmp_path / name)
    assert entries(read_run(tmp_path / name)) == ENTRIES


@pytest.mark.parametrize(
    "names",
    [
        ("qid", "docid", "score"),
        ("query-id", "corpus-id", "score"),
        ("query_id", "passage_id", "score"),
        ("query", "docno", "score"),
        ("q_id", "doc_id", "score"),
    ],
)
def test_the_names_that_tools_use(names, tmp_path):
    (tmp_path / "run.jsonl").write_text(json_lines(RUN, names))
    save_parquet(tmp_path / "run.parquet", names)
    assert entries(read_run(tmp_path / "run.jsonl")) == ENTRIES
    assert entries(read_run(tmp_path / "run.parquet")) == ENTRIES


def test_json_lines_may_say_the_languages_and_more_and_have_integers_for_ids(tmp_path):
    (tmp_path / "run.jsonl").write_text(
        '{"query_id": 7, "doc_id": 12, "score": 3, "rank": 1, "text": "T", "query_language": "de",'
        ' "passage_language": "en"}\n\n{"query_id": "7", "doc_id": "12", "score": 2.5}\n'
    )
    run = read_run(tmp_path / "run.jsonl")
    assert run.queries == (Name("7", "de"), Name("7"))
    assert run.passages == (Name("12", "en"), Name("12"))
    assert run.score.tolist() == [3.0, 2.5]
    assert run.line.tolist() == [1, 3]
    assert run.tag == ""


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
        ("a.json", '{"q": {"p": 1}}\n{"r": {"p": 1}}\n', "broken JSON"),
        (
            "a",
            '{"query_id": "q", "doc_id": "p", "s": 1}\n',
            "JSON lines from files called .jsonl",
        ),
        ("a.jsonl", "q Q0 p 1 0.5 tag\n", ":1: broken JSON"),
        ("a.jsonl", "q Q0 p 1 0.5 tag\n", "one JSON object on each line"),
        ("a.jsonl", "[1]\n", ":1: JSON, but a list"),
        ("a.jsonl", "", "holds no ranking\n  expected: a line {"),
        ("a.jsonl.gz", '{"query_id": "q"}\n', "damaged gzip"),
        ("a.jsonl", '{"qid": "q", "docid": "p"}\n', ":1: no field for score\n"),
        ("a.jsonl", '{"q": {"p": 1}}\n', "a file {query: {passage: score}} is read if its name"),
        ("a.jsonl", '{"qid": "q", "docid": "p", "score": "1"}\n', "'score' is the string '1'"),
        ("a.jsonl", '{"qid": "q", "docid": "p", "score": true}\n', "'score' is the boolean"),
        ("a.jsonl", '{"qid": "q", "docid": "p", "score": null}\n', "'score' is null"),
        ("a.jsonl", '\n{"qid": "q", "docid": "p", "score": NaN}\n', "a.jsonl:2: score nan"),
        ("a.jsonl", '{"qid": "q", "docid": "p", "score": 1' + "0" * 400 + "}", ":1: score inf"),
        ("a.jsonl", '{"qid": "", "docid": "p", "score": 1}\n', "'qid' is empty"),
        ("a.jsonl", '{"qid": 1.5, "docid": "p", "score": 1}\n', "'qid' is the number 1.5"),
        ("a.jsonl", '{"qid": "q", "docid": ["p"], "score": 1}\n', "'docid' is a list"),
        (
            "a.jsonl",
            '{"qid": "q", "docid": "p", "score": 1, "query_language": 3}\n',
            "'query_language' is the number 3",
        ),
        (
            "a.jsonl",
            '{"qid": "q", "docid": "p", "score": 1}\n{"qid": "q", "docid": "p", "score": 2}\n',
            "a.jsonl:2: passage 'p' given again for query 'q'; first at",
        ),
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


@pytest.mark.parametrize("name", ["run.trec.gz", "run.jsonl.gz", "run.jsonl"])
@pytest.mark.parametrize("row", [b"\n", b"\r\n", b" \n"])
def test_a_file_of_empty_lines_alone_is_refused_at_once(name, row, tmp_path):
    raw = row * (10 << 20)
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    faults = Faults()
    assert len(list(read_lines(tmp_path / name, faults))) == 0
    with pytest.raises(DataError, match="more than 8 MiB of empty lines at a stretch"):
        faults.check()
    with pytest.raises(DataError, match="at a stretch"):
        read_run(tmp_path / name)


def test_some_empty_lines_are_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("mlbench.data.input_files.CHUNK", 1_000)
    monkeypatch.setattr("mlbench.data.input_files.MOST_BLANK", 30_000)
    many = "\n" * 25_000  # at each of three places, which add up to more than is allowed at one
    (tmp_path / "run").write_text(f"\n{many}q Q0 p 1 1 t\n{many}q Q0 r 1 1 t\n{many}")
    assert read_run(tmp_path / "run").line.tolist() == [25_002, 50_003]
    found = list(read_lines(tmp_path / "run", Faults()))
    assert len(found) == 75_003
    assert [line.number for line in found if line.text] == [25_002, 50_003]


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
