"""Judged passages that are not in the corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import DataError
from mlbench.data.absent import absent_warnings
from mlbench.data.building import build_collection
from mlbench.data.building_streamed import build_streamed
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.corpus import StreamedCollection, StreamedRecords, without_absent
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.sampling import sample_questions
from mlbench.ranking.counting import rank_collection
from tests.data.readers.building import json_lines, make_task, write
from tests.data.readers.test_miracl import small
from tests.data.test_corpus import listed

LANGUAGES = ("de", "en")


def text(role: str, id_: str, language: str = "de") -> TextRecord:
    return TextRecord(id_, language, f"{role} {id_}", f"{role}s:{id_}")


def judged(query: str, passage: str, relevance: int = 1, language: str = "de") -> Judgement:
    return Judgement(query, language, passage, language, relevance, f"qrels:{query} {passage}")


QUERIES = [text("query", id_) for id_ in ("1", "2", "3")] + [text("query", "1", "en")]
PASSAGES = [text("passage", id_) for id_ in ("a", "b")] + [text("passage", "a", "en")]
HERE = [judged("1", "a"), judged("2", "b", 0), judged("1", "a", language="en")]
LOST = [judged("2", "x"), judged("3", "x", 2), judged("1", "y", 0), judged("3", "z", 0)]


def streamed(judgements: list[Judgement]) -> StreamedCollection:
    shards = [listed("de", "d", "a", "b"), listed("en", "e", "a")]
    return build_streamed(LANGUAGES, StreamedRecords(QUERIES, judgements, list(shards)))


PRESENT = {"de": {"a", "b"}, "en": {"a"}}


def test_they_are_left_out_and_counted() -> None:
    data = build_collection(LANGUAGES, Records(QUERIES, PASSAGES, HERE + LOST), lenient=True)
    part = build_collection(LANGUAGES, Records(QUERIES, PASSAGES, HERE))
    assert data.digest == part.digest
    assert data.qrels.query.tolist() == part.qrels.query.tolist()
    assert data.judged.tolist() == [True] * 4
    assert absent_warnings(data) == (
        "4 judgements name passages that are not in the corpus, and are left out: 'y' (de), "
        "'x' (de), 'z' (de); 2 queries have no other relevant passage and are excluded",
    )


def test_a_streamed_collection_leaves_out_the_same() -> None:
    data = build_collection(LANGUAGES, Records(QUERIES, PASSAGES, HERE + LOST), lenient=True)
    left = without_absent(streamed(HERE + LOST), PRESENT)
    assert absent_warnings(left) == absent_warnings(data)
    assert left.judged.tolist() == data.judged.tolist()
    assert left.relevant_by_language.tolist() == data.relevant_by_language.tolist()
    assert left.judgements.passage_ids == ("a", "b", "a")


def test_nothing_missing_changes_nothing() -> None:
    whole = streamed(HERE)
    assert without_absent(whole, PRESENT) is whole
    data = build_collection(LANGUAGES, Records(QUERIES, PASSAGES, HERE), lenient=True)
    assert data.absent is None
    assert absent_warnings(data) == ()
    assert data.judged.tolist() == [True, True, False, True]


def test_queries_that_lost_their_last_passage_are_excluded_from_the_table() -> None:
    data = build_collection(LANGUAGES, Records(QUERIES, PASSAGES, HERE + LOST), lenient=True)
    vectors = np.eye(4, 2, dtype=np.float32)
    ranks, _ = rank_collection(data, vectors, vectors[:3])
    assert ranks.judged.tolist() == [3, 1]
    assert ranks.query_ids == ("1", "1")


def test_a_sample_keeps_what_concerns_it() -> None:
    data = build_collection(LANGUAGES, Records(QUERIES, PASSAGES, HERE + LOST), lenient=True)
    part = sample_questions(data, 2)
    assert len(part.queries) == 3
    assert part.absent is not None
    assert part.judged.all()
    (other,) = set(part.queries.ids) - {"1"}
    named = {row.passage_id for row in LOST if row.query_id in {"1", other}}
    assert set(part.absent.passages) == {f"{id_!r} (de)" for id_ in named}


@pytest.mark.parametrize("relevance", [0, 1])
def test_nothing_relevant_left_is_refused_with_the_passages(relevance: int) -> None:
    rows = [judged("1", "x"), judged("2", "y", relevance), judged("2", "b", 0)]
    with pytest.raises(DataError, match=r"qrels:1 x: a judgement names passage 'x'") as caught:
        build_collection(LANGUAGES, Records(QUERIES, PASSAGES, rows), lenient=True)
    assert len(caught.value.faults) == 2
    with pytest.raises(DataError, match=r"'x' \(de\): is judged") as caught:
        without_absent(streamed(rows), PRESENT)
    assert len(caught.value.faults) == 2


def test_of_many_the_first_are_listed() -> None:
    rows = [judged("1", "a"), *(judged("1", f"{i:03}") for i in range(30))]
    data = build_collection(LANGUAGES, Records(QUERIES, PASSAGES, rows), lenient=True)
    assert absent_warnings(data) == (
        "30 judgements name passages that are not in the corpus, and are left out: '000' (de), "
        "'001' (de), '002' (de) and 27 more",
    )
    with pytest.raises(DataError, match="and: 11 more passages"):
        without_absent(streamed(rows), PRESENT | {"de": set()})


def test_other_faults_stay_faults() -> None:
    unknown = judged("9", "x")
    with pytest.raises(DataError, match="names query '9'"):
        build_collection(LANGUAGES, Records(QUERIES, PASSAGES, [*HERE, unknown]), lenient=True)
    with pytest.raises(DataError, match=r"judged 0; judged 1 at qrels:2 x"):
        build_collection(
            LANGUAGES,
            Records(QUERIES, PASSAGES, [*HERE, LOST[0], judged("2", "x", 0)]),
            lenient=True,
        )


def test_a_task_in_shards_warns_and_refuses_if_strict(tmp_path: Path) -> None:
    task = small(tmp_path, de_qrels="1\tQ0\t007\t1\n1\tQ0\tgone\t1\n")
    data = read_collection(task, Locator().of(task))
    (warning,) = absent_warnings(data)
    assert warning.startswith("1 judgement names a passage that is not in the corpus, and is left")
    assert warning.endswith("left out: 'gone' (de)")
    with pytest.raises(DataError, match=r"de.qrels:2: a judgement names passage 'gone' \(de\)"):
        read_collection(task, Locator().of(task), strict=True)


def test_a_corpus_read_at_once_warns_and_refuses_if_strict(tmp_path: Path) -> None:
    files = {
        "corpus.jsonl": json_lines({"_id": "1", "text": "eins"}),
        "queries.jsonl": json_lines({"_id": "1", "text": "was?"}),
        "qrels.tsv": "query-id\tcorpus-id\tscore\n1\t1\t1\n1\t9\t1\n",
    }
    roles = {name.split(".")[0]: "de/" + name for name in files}
    write(tmp_path, {"de/" + name: text for name, text in files.items()})
    patterns = {role: path.replace("de/", "{language}/") for role, path in roles.items()}
    task = make_task(tmp_path, "beir", patterns, languages=("de",))
    data = read_collection(task, Locator(offline=True).of(task))
    assert data.absent is not None
    with pytest.raises(DataError, match=r"qrels.tsv:3: a judgement names passage '9' \(de\)"):
        read_collection(task, Locator(offline=True).of(task), strict=True)
