"""Which entry an id means: by its language, by a prefix, or because only one has it."""

from __future__ import annotations

import numpy as np
import pytest

from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.corpus import Judged, StreamedCollection
from mlbench.data.task import Roles
from mlbench.runs.matching import Matching, Targets
from mlbench.runs.patterns import find_runs
from mlbench.runs.reading import read_run
from tests.runs.building import lines, messages

CODES = ("de", "en", "tr")
ROLES = Roles(CODES, CODES)
IDS = {"de": ("p1", "p2", "only-de"), "en": ("p1", "p2", "de:p9"), "tr": ("p1", "p2")}
MANY = "can be one of several: de, en, tr"


@pytest.fixture(scope="module")
def collection():
    """q1 in all languages, q-tr in one; p1 answers q1 in each language."""
    records = Records()
    for code in CODES:
        ids = ("q1", "q-tr") if code == "tr" else ("q1",)
        records.queries += [TextRecord(id_, code, "text", "here") for id_ in ids]
        records.passages += [TextRecord(id_, code, "text", "here") for id_ in IDS[code]]
        records.judgements += [
            Judgement(id_, code, "p1", other, 1, "here") for id_ in ids for other in CODES
        ]
    return build_collection(CODES, records)


def placed(collection, path, pool, text, **options):
    """(query language, passage language or "", pool) of each line, and the faults."""
    path.write_text(text, encoding="utf-8")
    targets = collection if isinstance(collection, Targets) else Targets.of(collection)
    matching = Matching(targets, **options)
    (each,) = find_runs([str(path)], [] if pool is None else [pool], ROLES)
    found = matching.place(read_run(path), each)
    names = (*CODES, "")
    pools = (*CODES, "all")
    rows = [
        (names[targets.queries.language[q]], names[language], pools[p])
        for q, language, p in zip(found.query, found.language, found.pool, strict=True)
    ]
    return rows, messages(matching.faults), matching.unknown


@pytest.mark.parametrize(
    ("pool", "line", "expected"),
    [
        ("monolingual", "en:q1 Q0 p1 1 1 t", ("en", "en", "en")),
        ("monolingual", "q-tr Q0 p1 1 1 t", ("tr", "tr", "tr")),
        ("monolingual", "q-tr Q0 tr:p1 1 1 t", ("tr", "tr", "tr")),
        ("monolingual", "q1 Q0 p1 1 1 t de de", ("de", "de", "de")),
        ("multilingual", "q1 Q0 p1 1 1 t de en", ("de", "en", "all")),
        ("multilingual", "de:q1 Q0 en:p1 1 1 t", ("de", "en", "all")),
        ("multilingual", "de:q1 Q0 only-de 1 1 t", ("de", "de", "all")),
        ("multilingual", "de:q1 Q0 de:p9 1 1 t", ("de", "en", "all")),
        ("crosslingual", "de:q1 Q0 tr:p1 1 1 t", ("de", "tr", "tr")),
        ("crosslingual", "de:q1 Q0 only-de 1 1 t", ("de", "de", "de")),
        ("en", "de:q1 Q0 p1 1 1 t", ("de", "en", "en")),
    ],
)
def test_one_meaning_is_taken(collection, pool, line, expected, tmp_path):
    rows, faults, _ = placed(collection, tmp_path / "run", pool, lines(line))
    assert faults == []
    assert rows == [expected]


def test_the_name_of_a_file_says_the_languages(collection, tmp_path):
    path = tmp_path / "en-tr.trec"
    path.write_text(lines("q1 Q0 p2 1 1 t", "q1 Q0 p1 2 0 t"))
    (each,) = find_runs([str(tmp_path / "{query_language}-{passage_language}.trec")], [], ROLES)
    matching = Matching(Targets.of(collection))
    found = matching.place(read_run(path), each)
    matching.faults.check()
    names = [collection.passages.ids[i] for i in found.passage]
    assert names == ["p2", "p1"]
    assert set(collection.passages.language[found.passage]) == {2}
    assert set(collection.queries.language[found.query]) == {1}


@pytest.mark.parametrize(
    ("pool", "line", "found"),
    [
        ("multilingual", "q1 Q0 en:p1 1 1 t", f"query 'q1' {MANY}"),
        ("multilingual", "de:q1 Q0 p1 1 1 t", f"passage 'p1' {MANY}"),
        ("multilingual", "fr:q1 Q0 de:p1 1 1 t", "query 'fr:q1' is not in the task"),
        ("multilingual", "de:q1 Q0 de:p7 1 1 t", "passage 'de:p7' is not in the task"),
        ("monolingual", "de:q1 Q0 en:p1 1 1 t", "passage 'en:p1' is not in de"),
        ("monolingual", "en:q1 Q0 only-de 1 1 t", "passage 'only-de' is not in en"),
        ("multilingual", "q1 Q0 p1 1 1 t de fr", "is said to be in fr"),
        ("monolingual", "q1 Q0 p1 1 1 t de en", "passage 'p1' is said to be in en\n  expected: de"),
    ],
)
def test_no_meaning_or_several_is_a_fault_of_the_line(collection, pool, line, found, tmp_path):
    first = "q-tr Q0 tr:p2 1 1 t"
    _, faults, _ = placed(collection, tmp_path / "run", pool, lines(first, line))
    assert len(faults) == 1
    assert faults[0].startswith(f"{tmp_path / 'run'}:2")
    assert found in faults[0]


def test_an_id_that_is_also_a_prefix_and_an_id_is_ambiguous(tmp_path):
    records = Records()
    for code, ids in (("de", ("x", "en:x")), ("en", ("x",))):
        records.queries.append(TextRecord("q", code, "text", "here"))
        records.passages += [TextRecord(id_, code, "text", "here") for id_ in ids]
    records.judgements.append(Judgement("q", "de", "x", "de", 1, "here"))
    collection = build_collection(("de", "en"), records)
    path = tmp_path / "run"
    path.write_text(lines("de:q Q0 en:x 1 1 t"))
    (each,) = find_runs([str(path)], ["multilingual"], Roles(("de", "en"), ("de", "en")))
    matching = Matching(Targets.of(collection))
    matching.place(read_run(path), each)
    (fault,) = messages(matching.faults)
    assert "'en:x' can be one of several: de, en" in fault


def test_one_passage_under_two_names_is_refused(collection, tmp_path):
    text = lines("de:q1 Q0 only-de 1 1 t", "de:q1 Q0 de:only-de 2 0 t")
    _, faults, _ = placed(collection, tmp_path / "run", "multilingual", text)
    assert len(faults) == 1
    assert "run:2: passage 'de:only-de' is the one at" in faults[0]


def test_unknown_ids_are_left_out_or_kept_as_not_relevant_and_counted(collection, tmp_path):
    text = lines(
        "en:q1 Q0 gone 1 9 t", "en:q1 Q0 gone-too 2 8 t", "nobody Q0 p1 1 1 t", "nobody Q0 x 1 1 t"
    )
    rows, faults, unknown = placed(
        collection, tmp_path / "run", "monolingual", text, allow_unknown=True
    )
    assert faults == []
    assert rows == [("en", "en", "en")] * 2
    assert (unknown.queries, unknown.passages) == (2, 2)
    assert len(unknown.examples) == 3
    assert unknown.examples[0] == f"query 'nobody' at {tmp_path / 'run'}:3 (2 lines)"


def test_an_unknown_passage_without_language_is_in_no_ranking_of_one_language(collection, tmp_path):
    """Left out, it would raise what is below it."""
    text = lines("en:q1 Q0 gone 1 9 t", "en:q1 Q0 de:gone 1 8 t", "en:q1 Q0 de:p1 2 7 t")
    rows, faults, _ = placed(collection, tmp_path / "run", "crosslingual", text, allow_unknown=True)
    assert len(faults) == 1
    assert "run:1 (1 line): passage 'gone' is not in the task" in faults[0]
    assert "write it <language>:gone" in faults[0]
    assert rows == [("en", "de", "de")] * 2


@pytest.fixture(scope="module")
def streamed(collection):
    """The same task with its passages unread: p1 is the one that is judged."""
    qrels = collection.qrels
    judged = Judged(
        query=qrels.query,
        passage_language=collection.passages.language[qrels.passage],
        passage_ids=tuple(collection.passages.ids[i] for i in qrels.passage),
        relevance=qrels.relevance,
    )
    return Targets.of_judgements(StreamedCollection(CODES, collection.queries, judged, ()))


@pytest.mark.parametrize(
    ("pool", "line", "expected", "relevant"),
    [
        ("monolingual", "en:q1 Q0 p1 1 1 t", ("en", "en", "en"), True),
        ("monolingual", "en:q1 Q0 p77 1 1 t", ("en", "en", "en"), False),
        ("multilingual", "en:q1 Q0 tr:p1 1 1 t", ("en", "tr", "all"), True),
        ("multilingual", "en:q1 Q0 tr:p77 1 1 t", ("en", "tr", "all"), False),
    ],
)
def test_what_is_not_judged_is_not_relevant_where_passages_are_not_read(
    streamed, pool, line, expected, relevant, tmp_path
):
    rows, faults, unknown = placed(streamed, tmp_path / "run", pool, lines(line))
    assert faults == []
    assert rows == [expected]
    assert unknown.passages == 0


def test_a_passage_that_is_not_read_needs_a_language(streamed, tmp_path):
    text = lines("en:q1 Q0 p1 1 1 t")
    _, faults, _ = placed(streamed, tmp_path / "run", "multilingual", text)
    assert "passage 'p1' is not in the task" in faults[0]


def test_the_pairs_of_unread_passages_are_those_of_the_judgements(collection, streamed):
    whole = Targets.of(collection)

    def pairs(targets):
        language = targets.passages.language[targets.passage]
        return sorted(zip(targets.query.tolist(), language.tolist(), strict=True))

    assert pairs(whole) == pairs(streamed)
    assert len(np.unique(streamed.passage)) == 3
    assert np.array_equal(whole.judged, streamed.judged)


def test_a_file_may_spell_a_language_otherwise(tmp_path):
    codes = ("deu-Latn", "en")
    records = Records(
        [TextRecord("q1", code, "text", "here") for code in codes],
        [TextRecord("p1", code, "text", "here") for code in codes],
        [Judgement("q1", code, "p1", code, 1, "here") for code in codes],
    )
    path = tmp_path / "run.trec"
    for text in ("deu_Latn:q1 Q0 deu_Latn:p1 1 1 t\n", "q1 Q0 p1 1 1 t deu_Latn deu_Latn\n"):
        path.write_text(text)
        matching = Matching(Targets.of(build_collection(codes, records)))
        (given,) = find_runs([str(path)], ["multilingual"], Roles(codes, codes))
        found = matching.place(read_run(path), given)
        assert not matching.faults
        assert found.language.tolist() == [0]


@pytest.fixture(scope="module")
def partly():
    """q1 is judged in each language; q2 in German, nowhere else; q3 in none; in English, q4 was
    kept without a judgement."""
    records = Records()
    for code in CODES:
        kept = {"de": ("q1", "q2"), "en": ("q1", "q4")}.get(code, ("q1",))
        records.queries += [TextRecord(id_, code, "text", "here") for id_ in kept]
        records.unjudged += [
            TextRecord(id_, code, "text", "here")
            for id_ in ("q3", *(() if code == "de" else ("q2",)))
        ]
        records.passages.append(TextRecord("p1", code, "text", "here"))
        judged = kept if code == "de" else kept[:1]
        records.judgements += [Judgement(id_, code, "p1", code, 1, "here") for id_ in judged]
    return build_collection(CODES, records)


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("en:q2 Q0 p1 1 1 t", "en:q2"),
        ("q2 Q0 p1 1 1 t tr tr", "tr:q2"),
        ("q4 Q0 p1 1 1 t", "en:q4"),
        ("q3 Q0 p1 1 1 t", "de:q3"),
        ("q3 Q0 no-such-p1 1 1 t", "de:q3"),
    ],
)
@pytest.mark.parametrize("allow_unknown", [False, True])
def test_queries_of_the_task_without_a_judgement_are_left_out_and_counted(
    partly, tmp_path, line, left_out, allow_unknown
):
    path = tmp_path / "run"
    path.write_text(lines(line, "en:q1 Q0 p1 1 1 t", line.replace("p1", "p2")))
    matching = Matching(Targets.of(partly), allow_unknown=allow_unknown)
    (each,) = find_runs([str(path)], ["monolingual"], ROLES)
    assert len(matching.place(read_run(path), each).query) == 1
    assert messages(matching.faults) == []
    assert matching.unknown.queries == matching.unknown.passages == 0
    assert matching.unjudged.queries == {left_out}
    assert matching.unjudged.lines == 2
    assert "1 query of the task without a judgement left out, with 2" in matching.unjudged.words()


def test_an_id_that_is_judged_in_one_language_and_not_in_another_can_be_either(partly, tmp_path):
    text = lines("q2 Q0 p1 1 1 t", "q5 Q0 p1 1 1 t")
    _, faults, _ = placed(partly, tmp_path / "run", "monolingual", text)
    assert len(faults) == 2
    assert "query 'q2' can be one of several: de, en, tr" in faults[0]
    assert "query 'q5' is not in the task" in faults[1]
    rows, faults, _ = placed(partly, tmp_path / "run", "de", lines("de:q2 Q0 p1 1 1 t"))
    assert (rows, faults) == ([("de", "de", "de")], [])
