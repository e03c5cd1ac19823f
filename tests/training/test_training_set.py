"""Training sets of every kind of task, against slow and obvious definitions."""

from __future__ import annotations

import pickle
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import UsageError
from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.training_set import training_set
from tests.data.readers.building import json_lines, make_task, write
from tests.support.pairs_task import write_pairs
from tests.support.roles_task import write_task

LANGUAGES = ("de", "en", "fr")


def linked(records: list[TextRecord]) -> dict[tuple[str, str], int]:
    """(language, id) -> a number that is equal where a chain of equal ids and texts leads from one
    to the other: colours spread until nothing changes."""
    colour = {(r.language, r.id): i for i, r in enumerate(records)}
    changed = True
    while changed:
        changed = False
        for one, other in product(records, repeat=2):
            if one.id == other.id or one.text == other.text:
                low = min(colour[one.language, one.id], colour[other.language, other.id])
                for record in (one, other):
                    changed |= colour[record.language, record.id] != low
                    colour[record.language, record.id] = low
    return colour


@st.composite
def records(draw: st.DrawFn) -> Records:
    """A few queries and passages whose ids and texts are often equal, in any language."""
    found = Records()
    for role, kept in (("query", found.queries), ("passage", found.passages)):
        for language in LANGUAGES:
            ids = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True))
            for id_ in ids:
                text = f"{role} {draw(st.integers(0, 20))}"
                kept.append(TextRecord(id_, language, text, "made"))
    for query, passage in product(found.queries, found.passages):
        grade = draw(st.sampled_from([None, None, 0, 1, 2, -1]))
        if grade is not None:
            name = (query.id, query.language, passage.id, passage.language)
            found.judgements.append(Judgement(*name, grade, "made"))
    query, passage = found.queries[0], found.passages[0]
    name = (query.id, query.language, passage.id, passage.language)
    found.judgements = [row for row in found.judgements if row[:4] != name]
    found.judgements.append(Judgement(*name, 1, "made"))
    return found


def of(made: Records) -> TrainingSet:
    collection = build_collection(LANGUAGES, made)
    return TrainingSet("made", LANGUAGES, collection.digest, collection)


@given(records())
def test_rows_texts_and_negatives_are_those_of_the_judgements(made):
    data = of(made)
    text = {
        role: {(r.language, r.id): r.text for r in kept}
        for role, kept in (("query", made.queries), ("passage", made.passages))
    }
    query_colour, passage_colour = linked(made.queries), linked(made.passages)
    numbers: dict[str, dict[int, int]] = {"query": {}, "passage": {}}
    for one, other in product(LANGUAGES, repeat=2):
        judged = [
            r for r in made.judgements if (r.query_language, r.passage_language) == (one, other)
        ]
        positive = [r for r in judged if r.relevance > 0]
        rows = data.rows(one, other)
        assert rows.query.dtype == rows.passage.dtype == np.int64
        everything = np.arange(len(rows.query))
        queries, passages = data.texts(one, other, everything)
        assert sorted(zip(queries, passages, strict=True)) == sorted(
            (text["query"][one, r.query_id], text["passage"][other, r.passage_id]) for r in positive
        )
        by_text = {text["query"][one, r.query_id]: query_colour[one, r.query_id] for r in judged}
        for given_text, number in zip(queries, rows.query.tolist(), strict=True):
            colour = by_text[given_text]
            assert numbers["query"].setdefault(colour, number) == number
        by_text = {
            text["passage"][other, r.passage_id]: passage_colour[other, r.passage_id]
            for r in judged
        }
        for given_text, number in zip(passages, rows.passage.tolist(), strict=True):
            colour = by_text[given_text]
            assert numbers["passage"].setdefault(colour, number) == number
        refused = [r for r in judged if r.relevance <= 0]
        negatives = data.negatives(one, other, everything)
        assert (negatives is None) == (not refused)
        for given_text, found in zip(queries, negatives or [], strict=False):
            allowed = [r for r in refused if text["query"][one, r.query_id] == given_text]
            assert set(found) <= {text["passage"][other, r.passage_id] for r in allowed}
    for found in numbers.values():
        assert len(set(found.values())) == len(found)


def test_parallel_questions_share_numbers_and_arrays():
    data = training_set("sample", progress=False)
    first = data.rows("ar", "zh")
    for one, other in product(data.languages, repeat=2):
        rows = data.rows(one, other)
        assert rows.query is first.query
        assert rows.passage is first.passage
    assert sorted(first.query.tolist()) == list(range(32))
    assert len(data._arrays) == 2  # a number is a place, as nothing is equal
    english, german = data.texts("en", "de", np.array([5, 0]))
    assert english[1] == "How do bees let other bees know which way to fly for nectar?"
    assert german[1].startswith("Eine Honigbiene")
    assert data.negatives("en", "de", np.array([5, 0])) is None


def test_some_languages_of_a_task_and_its_digest():
    whole = training_set("sample", progress=False)
    part = training_set("sample", languages="de,en", progress=False)
    assert (whole.name, len(whole.languages)) == ("sample", 11)
    assert part.languages == ("de", "en")
    assert part.digest != whole.digest
    assert whole.digest == training_set("sample", progress=False).digest
    with pytest.raises(UsageError, match="'fr' is no language of sample"):
        part.rows("de", "fr")


def test_negatives_are_the_passages_judged_0(tmp_path: Path):
    write(
        tmp_path,
        {
            "de/corpus.jsonl": json_lines(
                {"_id": "p1", "text": "Antwort"},
                {"_id": "p2", "text": "falsch"},
                {"_id": "p3", "text": "auch falsch"},
            ),
            "en/corpus.jsonl": json_lines(
                {"_id": "p1", "text": "answer"}, {"_id": "p2", "text": "wrong"}
            ),
            "de/queries.jsonl": json_lines({"_id": "q1", "text": "Frage"}),
            "en/queries.jsonl": json_lines({"_id": "q1", "text": "question"}),
            "qrels.tsv": "query-id\tcorpus-id\tscore\nq1\tp1\t1\nq1\tp2\t0\nq1\tp3\t0\n",
        },
    )
    task = make_task(
        tmp_path,
        "beir",
        {
            "corpus": "{language}/corpus.jsonl",
            "queries": "{language}/queries.jsonl",
            "qrels": "qrels.tsv",
        },
        options={"relevance": "parallel"},
    )
    data = training_set(task, progress=False)
    first = np.array([0])
    assert data.negatives("en", "de", first) == [["falsch", "auch falsch"]]
    assert data.negatives("de", "en", first) == [["wrong"]]
    assert data.texts("de", "en", first) == (["Frage"], ["answer"])


def test_lines_pair_with_their_translations_and_with_themselves(tmp_path: Path):
    write(tmp_path, {"t.de.txt": "eins\nzwei\n", "t.en.txt": "one\ntwo\n"})
    data = training_set(make_task(tmp_path, "lines", {"text": "t.{language}.txt"}), progress=False)
    assert data.texts("de", "en", np.arange(2)) == (["eins", "zwei"], ["one", "two"])
    assert data.texts("de", "de", np.arange(2)) == (["eins", "zwei"], ["eins", "zwei"])


def test_questions_and_passages_of_different_languages(tmp_path: Path):
    data = training_set(write_task(tmp_path), progress=False)
    assert len(data.rows("de", "en").query) == 8
    assert len(data.rows("en", "de").query) == 0
    assert data.texts("en", "de", np.arange(0)) == ([], [])


def test_pairs_of_languages_that_share_no_pool(tmp_path: Path):
    data = training_set(write_pairs(tmp_path), progress=False)
    sizes = {name: len(data.rows(*name).query) for name in product(data.languages, repeat=2)}
    assert {name: size for name, size in sizes.items() if size} == {
        ("de", "en"): 9,
        ("en", "de"): 9,
        ("en", "fr"): 7,
        ("fr", "en"): 7,
        ("en", "sw"): 11,
        ("sw", "en"): 11,
    }


def test_a_training_set_goes_to_other_processes():
    data = pickle.loads(pickle.dumps(training_set("sample", progress=False)))
    assert len(data.rows("de", "en").query) == 32
