"""What a user imports: the examples of the docs run, and every form of a model gives the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mlbench
from mlbench.commands.cli import main

ROOT = Path(__file__).resolve().parent.parent
QUIET = mlbench.Options(progress=False, cache=None)


class Bytes:
    """Counts bytes; knows nothing of files or tasks."""

    def encode_queries(self, texts, language):
        counts = [np.bincount(np.frombuffer(t.encode(), np.uint8), minlength=256) for t in texts]
        return np.array(counts, np.float32)

    encode_passages = encode_queries


@pytest.fixture(scope="module")
def data():
    return mlbench.load_collection("sample")


@pytest.fixture(scope="module")
def expected():
    return mlbench.evaluate(Bytes(), "sample", QUIET)


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_the_examples_of_the_docs_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    assert blocks
    space = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, page, "exec"), space)
    assert isinstance(space["report"], mlbench.Report)


def test_every_public_name_is_there_and_documented():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in mlbench.__all__ if not hasattr(mlbench, name)] == []
    assert [name for name in mlbench.__all__ if name not in text] == []
    assert set(mlbench.__all__) <= set(dir(mlbench))
    with pytest.raises(AttributeError, match="evaluat"):
        mlbench.evaluat  # noqa: B018


def test_importing_it_imports_nothing_heavy():
    code = "import mlbench, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert {"numpy", "pyarrow", "numba"}.isdisjoint(loaded.stdout.split())


def test_a_report_is_that_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--model", "char-ngram", "--task", "sample", "--quiet", "--json"]
    assert main(arguments) == 0
    report = mlbench.evaluate("char-ngram", "sample", QUIET)
    folder = report.save(tmp_path / "mine")
    theirs = tmp_path / "results" / "char-ngram" / "sample"
    assert (folder / "ranks.parquet").read_bytes() == (theirs / "ranks.parquet").read_bytes()
    assert {p.name for p in folder.rglob("*")} == {p.name for p in theirs.rglob("*")}
    read = mlbench.read_report(theirs)
    assert read.scores == report.scores
    table, _ = mlbench.read_ranks(theirs / "ranks.parquet")
    assert np.array_equal(table.above, report.table.above)


def test_two_functions_are_a_model(expected):
    model = Bytes()
    report = mlbench.evaluate((model.encode_queries, model.encode_passages), "sample", QUIET)
    assert report.scores == expected.scores
    assert report.model.name == "encode_queries"


@pytest.mark.parametrize("by_language", [False, True])
def test_arrays_are_a_model(data, expected, by_language):
    sides = []
    for entries in (data.queries, data.passages):
        vectors = Bytes().encode_queries(list(entries.texts), "")
        starts = entries.starts.tolist()
        cut = {c: vectors[starts[i] : starts[i + 1]] for i, c in enumerate(data.languages)}
        sides.append(cut if by_language else vectors)
    report = mlbench.evaluate_vectors(*sides, "sample", QUIET, name="mine")
    assert report.scores == expected.scores
    assert report.model.name == "mine"


def test_arrays_that_do_not_fit_are_refused(data):
    queries = Bytes().encode_queries(list(data.queries.texts), "")
    passages = Bytes().encode_queries(list(data.passages.texts), "")
    for given, where in (
        ((queries[1:], passages), f"{len(queries) - 1:,} rows"),
        (({"ar": queries[:32]}, passages), "language 'de'"),
        ((queries, passages[0]), "shape"),
    ):
        with pytest.raises(mlbench.MlbenchError, match=re.escape(where)):
            mlbench.evaluate_vectors(*given, "sample", QUIET)


class Library:
    """The part of a SentenceTransformer that is used, with prompts and a similarity of its own."""

    similarity_fn_name = "dot"
    max_seq_length = 7
    device = "cpu"
    prompts = {"query": "ask: ", "document": ""}  # noqa: RUF012

    def parameters(self):
        return iter(())

    def encode_query(self, texts, show_progress_bar):
        return Bytes().encode_queries(["ask: " + text for text in texts], "")

    def encode_document(self, texts, show_progress_bar):
        return Bytes().encode_queries(texts, "")


def test_a_sentence_transformer_is_a_model():
    report = mlbench.evaluate(Library(), "sample", QUIET)
    assert (report.model.similarity, report.model.max_length) == ("dot", 7)
    assert report.model.prompts == {"query": "ask: ", "passage": ""}
    library = Library()
    same = mlbench.evaluate(
        (
            lambda texts, language: library.encode_query(texts, False),
            lambda texts, language: library.encode_document(texts, False),
        ),
        "sample",
        QUIET,
    )
    assert same.macro != report.macro  # functions are compared by cosine


def test_a_model_that_is_being_trained_stays_in_training():
    class Trained(Library):
        training = True

        def modules(self):
            return iter([self])

        def encode_query(self, texts, show_progress_bar):
            self.training = False  # as the library's own does
            return super().encode_query(texts, show_progress_bar)

    model = Trained()
    mlbench.evaluate(model, "sample", QUIET)
    assert model.training


def test_a_task_that_is_streamed_has_no_collection_in_memory(tmp_path):
    streaming = mlbench.Streaming(always=True)
    with pytest.raises(mlbench.MlbenchError, match="streamed"):
        mlbench.load_collection(beir_task(tmp_path), data_dir=tmp_path, streaming=streaming)
    assert len(mlbench.load_collection(beir_task(tmp_path), data_dir=tmp_path).queries) == 24


def test_what_is_no_model_and_no_option_is_refused():
    for arguments, changes, where in (
        ((3, "sample"), {}, "int"),
        (("char-ngram", "sample"), {"thread": 2}, "'threads'"),
        (("char-ngram", "sampel"), {}, "'sample'"),
        ((Bytes(), "sample"), {"model_options": {"pooling": "cls"}}, "pooling"),
        (("char-ngram", "sample"), {"save_run": 3}, "folder"),
        (("char-ngram", "sample"), {"streaming": mlbench.Streaming(work=Path("x"))}, "--work"),
    ):
        with pytest.raises(mlbench.MlbenchError, match=where):
            mlbench.evaluate(*arguments, progress=False, **changes)


def test_a_run_to_be_saved_nowhere_is_refused_before_anything_is_encoded():
    encoded = []

    class Counting(Bytes):
        def encode_queries(self, texts, language):
            encoded.extend(texts)
            return super().encode_queries(texts, language)

        encode_passages = encode_queries

    with pytest.raises(mlbench.MlbenchError, match="folder"):
        mlbench.evaluate(Counting(), "sample", QUIET, save_run=3)
    assert not encoded


def test_a_report_shows_itself(expected):
    text, html = str(expected), expected._repr_html_()
    for shown in (text, html):
        assert f"{expected.macro['monolingual']['AP']:.4f}" in shown
        assert "Bytes" in shown
    assert html.count("<table>") == 1
    assert max(map(len, text.splitlines())) <= 80


def test_a_report_is_a_frame(expected):
    pytest.importorskip("pandas")
    frame = expected.to_frame()
    assert len(frame) == len(expected.settings) * len(expected.measures) == 132 * 7
    mono = frame[(frame.kind == "monolingual") & (frame.measure == "AP")]
    assert mono.value.mean() == pytest.approx(expected.macro["monolingual"]["AP"], abs=1e-12)


def test_progress_can_be_turned_off(capsys):
    mlbench.evaluate("char-ngram", "sample", progress=False)
    assert capsys.readouterr() == ("", "")
    mlbench.evaluate("char-ngram", "sample")
    assert "encoding" in capsys.readouterr().err


def test_a_task_made_by_hand_is_checked():
    task = mlbench.load_task("sample")
    for field, value in (
        ("measures", ("nDCGG@10",)),
        ("source", replace(task.source, files={"corpus": "../../{language}.jsonl"})),
    ):
        with pytest.raises(mlbench.MlbenchError, match=field):
            mlbench.evaluate("char-ngram", replace(task, **{field: value}), QUIET)


TASK = """
name = "small"
version = "1"
title = "Small"
languages = ["en", "de"]
licence = "CC0-1.0"
citation = "none"
[source]
reader = "beir"
[source.files]
corpus = "{language}.jsonl"
queries = "{language}-queries.jsonl"
qrels = "{language}.tsv"
"""


def beir_task(folder):
    """The file of a small task that can be held and streamed."""
    for code, word in {"en": "stone", "de": "Stein"}.items():
        numbers = range(12)
        passages = [{"_id": f"p{i}", "text": f"{word} number {i * i}"} for i in numbers]
        queries = [{"_id": f"q{i}", "text": f"which {word} {i * i}"} for i in numbers]
        for name, rows in ((f"{code}.jsonl", passages), (f"{code}-queries.jsonl", queries)):
            (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        judged = "".join(f"q{i}\tp{i}\t1\n" for i in numbers)
        (folder / f"{code}.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    path = folder / "small.toml"
    path.write_text(TASK)
    return path


def test_the_state_of_a_streamed_run_stays_until_its_report_is_written(tmp_path, monkeypatch):
    task = mlbench.load_task(beir_task(tmp_path))
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    held = mlbench.evaluate("char-ngram", task, QUIET, data_dir=tmp_path)
    left = tmp_path / "report" / "partial" / "1-of-1.partial"
    streaming = mlbench.Streaming(always=True)
    given = {"data_dir": tmp_path, "streaming": streaming}
    report = mlbench.evaluate("char-ngram", task, QUIET, folder=tmp_path / "report", **given)
    assert left.is_file()
    assert report.scores == held.scores
    again = mlbench.evaluate("char-ngram", task, QUIET, **given)
    assert again.scores == held.scores
    assert not list((tmp_path / "cache").rglob("*.partial"))
