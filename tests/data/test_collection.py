"""Collections: layout by language, integrity checks, counts and the digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.common.errors import DataError
from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.task import Kind, Setting
from tests.support.strategies import CODES, parallel_collection, parallel_records

LANGUAGES = CODES[:3]


def faults_of(records: Records, languages: tuple[str, ...] = LANGUAGES) -> str:
    with pytest.raises(DataError) as caught:
        build_collection(languages, records)
    return str(caught.value)


def test_entries_are_contiguous_by_language_in_the_tasks_order() -> None:
    records = parallel_records()
    records.passages.reverse()
    data = build_collection(("el", "ar", "de"), records)
    assert data.passages.counts.tolist() == [12, 12, 12]
    assert data.queries.starts.tolist() == [0, 8, 16, 24]
    assert data.passages.texts[data.passages.slice(1)][0] == "passage 11 in ar"
    assert data.passages.language.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert data.passages.groups[0] == "g2"
    assert len(data.queries) == 24


def test_qrels_are_sorted_by_query_then_passage() -> None:
    records = parallel_records()
    records.judgements.reverse()
    data = build_collection(LANGUAGES, records)
    rows = list(zip(data.qrels.query.tolist(), data.qrels.passage.tolist(), strict=True))
    assert rows == sorted(rows)
    assert len(rows) == 3 * 8 * 3
    assert data.qrels.relevance.dtype == np.int32
    assert (data.relevant_by_language == 1).all()


def test_a_duplicate_is_told_with_both_places() -> None:
    records = parallel_records()
    records.passages.append(TextRecord("p0", "ar", "again", "other.json:9"))
    records.queries.append(TextRecord("q1", "de", "again", "other.json:10"))
    message = faults_of(records)
    assert "other.json:9: passage 'p0' (ar) given again; first at ar.json:0" in message
    assert "other.json:10: query 'q1' (de) given again; first at de.json:1" in message


def test_a_record_given_twice_is_a_duplicate_too() -> None:
    records = parallel_records()
    records.passages.append(records.passages[0])
    assert "ar.json:0: passage 'p0' (ar) given again; first at ar.json:0" in faults_of(records)


def test_one_id_in_several_languages_and_equal_texts_are_no_duplicates() -> None:
    records = parallel_records()
    records.queries.append(TextRecord("q99", "ar", "question 0 in ar", "x"))
    assert build_collection(LANGUAGES, records).queries.counts.tolist() == [9, 8, 8]


@pytest.mark.parametrize(
    ("judgement", "expected"),
    [
        (("q0", "ar", "p99", "de"), "names passage 'p99' (de), which is not in the collection"),
        (("q99", "ar", "p0", "de"), "names query 'q99' (ar), which is not in the collection"),
        (("q0", "fr", "p0", "de"), "names query 'q0' (fr), which is not in the collection"),
    ],
)
def test_a_judgement_of_nothing_is_refused(
    judgement: tuple[str, str, str, str], expected: str
) -> None:
    records = parallel_records()
    records.judgements.append(Judgement(*judgement, 1, "qrels.tsv:7"))
    message = faults_of(records)
    assert "qrels.tsv:7: " in message
    assert expected in message


def test_judgements_may_be_repeated_and_not_contradicted() -> None:
    records = parallel_records()
    plain = build_collection(LANGUAGES, records).digest
    first = records.judgements[0]
    records.judgements.append(first)
    assert build_collection(LANGUAGES, records).digest == plain
    records.judgements.append(first._replace(relevance=0, where="qrels.tsv:8"))
    assert "qrels.tsv:8: query 'q0' and passage 'p0' judged 0; judged 1 at" in faults_of(records)


def test_a_language_without_texts_is_refused() -> None:
    message = faults_of(parallel_records(), (*LANGUAGES, "en"))
    assert "language 'en': no query at all" in message
    assert "language 'en': no passage at all" in message


def test_a_language_that_is_not_the_tasks_is_refused() -> None:
    message = faults_of(parallel_records(), LANGUAGES[:2])
    assert "el.json:0: query 'q0' has language 'el'" in message
    assert "expected: one of ar, de" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "has no text"), (" \n\u3000", "has no text"), ("a\ud800", "half of a surrogate pair")],
)
def test_texts_that_cannot_be_encoded_are_refused(text: str, expected: str) -> None:
    records = parallel_records()
    records.passages[0] = replace(records.passages[0], text=text)
    message = faults_of(records)
    assert "ar.json:0: passage 'p0'" in message
    assert expected in message


def test_qrels_without_a_relevant_passage_are_refused() -> None:
    records = parallel_records()
    records.judgements = [row._replace(relevance=0) for row in records.judgements]
    assert "no query has a relevant passage" in faults_of(records)
    records.judgements = []
    assert "no query has a relevant passage" in faults_of(records)


def test_many_faults_are_counted() -> None:
    records = parallel_records()
    records.passages += [replace(records.passages[0], where=f"x:{i}") for i in range(25)]
    message = faults_of(records)
    assert message.count("given again") == 20
    assert "and: 5 more faults" in message


def test_query_counts_leave_unjudged_queries_out_and_count_those_without_relevant_passage() -> None:
    records = parallel_records()
    records.judgements = [
        row._replace(relevance=int(row.query_id != "q1"))
        for row in records.judgements
        if row.query_id != "q0" and (row.query_id, row.passage_language) != ("q2", "de")
    ]
    data = build_collection(LANGUAGES, records)
    assert data.judged.reshape(3, 8).sum(1).tolist() == [7, 7, 7]
    assert data.query_counts(Setting(Kind.CROSSLINGUAL, "ar", ("de",))) == (5, 2)
    assert data.query_counts(Setting(Kind.MONOLINGUAL, "ar", ("ar",))) == (6, 1)
    assert data.query_counts(Setting(Kind.MULTILINGUAL, "el", LANGUAGES)) == (6, 1)


@given(st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_digest_does_not_depend_on_the_order_of_records(random: object) -> None:
    records = parallel_records()
    for group in (records.queries, records.passages, records.judgements):
        random.shuffle(group)  # type: ignore[attr-defined]
    assert build_collection(LANGUAGES, records).digest == parallel_collection().digest


def _change_text(records: Records) -> None:
    records.passages[3] = replace(records.passages[3], text="changed")


def _swap_texts(records: Records) -> None:
    first, second = records.passages[:2]
    records.passages[:2] = [replace(first, text=second.text), replace(second, text=first.text)]


def _drop_judgement(records: Records) -> None:
    records.judgements.pop()


def _change_relevance(records: Records) -> None:
    records.judgements[5] = records.judgements[5]._replace(relevance=2)


@pytest.mark.parametrize("change", [_change_text, _swap_texts, _drop_judgement, _change_relevance])
def test_the_digest_depends_on_everything_else(change: Callable[[Records], None]) -> None:
    records = parallel_records()
    change(records)
    assert build_collection(LANGUAGES, records).digest != parallel_collection().digest


def test_the_digest_depends_on_the_order_of_languages() -> None:
    other = build_collection(("de", "ar", "el"), parallel_records())
    assert other.digest != parallel_collection().digest


def test_the_digest_tells_queries_from_passages() -> None:
    def one(queries: str, passages: str) -> str:
        records = Records(
            queries=[TextRecord(id_, "en", "text", "x") for id_ in queries],
            passages=[TextRecord(id_, "en", "text", "x") for id_ in passages],
            judgements=[Judgement("a", "en", "c", "en", 1, "x")],
        )
        return build_collection(("en",), records).digest

    assert one("ab", "c") != one("a", "bc")


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
@settings(max_examples=50)
def test_ids_and_texts_do_not_run_together(texts: list[str]) -> None:
    def one(ids: list[str]) -> str:
        records = Records(
            queries=[TextRecord("q", "en", "text", "x")],
            passages=[
                TextRecord(id_, "en", text, "x") for id_, text in zip(ids, texts, strict=True)
            ],
            judgements=[Judgement("q", "en", ids[0], "en", 1, "x")],
        )
        return build_collection(("en",), records).digest

    assert one(texts) != one([f"{text}a" for text in texts])
