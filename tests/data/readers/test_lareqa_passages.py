"""Tasks on LAReQA's files with other passages than sentences as they stand: what XTREME-R and MTEB
make of them, on the real data (counts, records, oracles), and on small files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import DataError
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from tests.data.readers.building import load, make_task, qrels_set, write
from tests.data.readers.test_lareqa import (
    answers,
    collection,
    document,
    judgements,
    paragraph,
    short,
)
from tests.oracles.published import MtebRetrieval, XtremePool, mteb_retrieval

# Task, language, documents and queries, and their mean length in characters, as MTEB's source
# states them (XQuADRetrieval; MLQARetrieval, validation) at versions that build them from the hub.
MTEB = """
xquad-paragraph ar 240 1186 683.4666666666667 53.327993254637434
xquad-paragraph de 240 1181 894.0666666666667 69.04318374259103
xquad-paragraph el 240 1184 894.3791666666667 68.61317567567568
xquad-paragraph en 240 1185 784.8333333333334 61.25063291139241
xquad-paragraph es 240 1184 883.8041666666667 68.23817567567568
xquad-paragraph hi 240 1183 764.9416666666667 59.684699915469146
xquad-paragraph ru 240 1185 850.1875 64.94261603375527
xquad-paragraph th 240 1180 736.7583333333333 55.103389830508476
xquad-paragraph tr 240 1184 788.3 60.876689189189186
xquad-paragraph vi 240 1182 803.9083333333333 61.62859560067682
xquad-paragraph zh 240 1181 252.4 18.460626587637595
mlqa-paragraph ar 439 517 693.8883826879271 42.321083172147
mlqa-paragraph de 456 512 721.405701754386 52.572265625
mlqa-paragraph en 978 1148 940.2842535787321 49.01480836236934
mlqa-paragraph es 454 500 641.8215859030837 52.146
mlqa-paragraph hi 425 507 691.5482352941176 49.3905325443787
mlqa-paragraph vi 451 511 892.7250554323725 48.082191780821915
mlqa-paragraph zh 443 504 246.65237020316027 15.39484126984127
"""
# As in test_lareqa: digests of the first, tenth and last record's passage and query.
PINS = """
xtreme-r-lareqa ar c5e954928190 eb84808d7613 f0b1309f599a 9ac2aa911dc8 ac033a0a4a3c c742eae67475
xtreme-r-lareqa de bef6a7da9f23 e2d400c5e3ab f4792f2c6877 bbf9d79569c8 2e7ece765404 8e2e88a0685e
xtreme-r-lareqa el 4cb4084561d8 f0fdcf5099b5 c4c96c092737 b022f686f137 0ef71e2ace22 ace39977f64e
xtreme-r-lareqa en ca84d52968a3 f15f2fca7f6a 28b5f0c4abd2 1f3f5c627726 8b25e3bcc6ab ab300116a0f0
xtreme-r-lareqa es 901e82c94b99 b2394a359a90 0dda149ed122 5e6d697d0f9b 251fe8f5091e b3fb37dff024
xtreme-r-lareqa hi 0d5d7fd80eaa 9a1f1d47d40e 504119a16564 d62f71fa46ae 904fdc30c5b9 9a73cd56128a
xtreme-r-lareqa ru ea971ce84ca0 e566c24ffba9 73c08dc7fe4a 3dfd772d4adc a57518b0e271 027470a76613
xtreme-r-lareqa th 39be2ade8d38 29a28ca2ec66 79be98c510e5 61ca1be04cb9 bd1d5d91c737 cb40fbb68010
xtreme-r-lareqa tr 031a27857fb7 ca410f6a9dd2 bd60163e8e2d eb76c198836f 0c815d78b325 ed71cbef1506
xtreme-r-lareqa vi 009196b5cf6d 460508cfa059 c1b963059806 ff40fd7af3d4 7e958c47311e db1fc5da992f
xtreme-r-lareqa zh 73dd6ea3d95c c1d678a74b12 bf0cd6a1b4f6 0838b0f53246 cc3c5c23e3d3 c3fb251c7b6e
xquad-paragraph ar 7449a5762eb9 92cf515c2605 23a9fafff3d5 17ec37ea794d dd7ff8ca1eed e414a29a68bb
xquad-paragraph de 0b0d1787ac95 ec2a402ed6db 503e39c2d2bd b6d38b95cb19 0b200291aa97 a661f4148364
xquad-paragraph el 14bf6c07ef65 f2086d0803f3 b6c70a96e006 808c98cff42a bfb9706a52a5 4b1c55befe4f
xquad-paragraph en ccb4e1d70b23 47efcff69261 8601d8481db1 fde62f5baf2d 2db22fa7b25e 67c2155c1f35
xquad-paragraph es f1153795db79 49cc09be9948 16e7cf7e97cb 40bdea98a833 b4ce7a688de2 87eb3ed7d1df
xquad-paragraph hi ff81149df552 152fb2f03092 f31f6ed357da 43967930e558 59a0eed9a377 8841dd44811f
xquad-paragraph ru 8290191505c6 e3f8662293be 23348a42dc7c 866987a4fcbf c4383d12c003 4782d7a36be5
xquad-paragraph th cdcdb31b9cea 017b6fef2293 e7aeeb49d2b7 f9b2a250832b e796978cfc29 eed40c875974
xquad-paragraph tr 08b1ee5c4490 cc857142d2b6 cce0cfad6249 fbd682432bff 750002dcd93e 224f627a2af0
xquad-paragraph vi 22366fc1971e 879c9399fa49 32dc2642b911 7533ee0bb134 9d705f47440f de323a2159c1
xquad-paragraph zh ef49a4c841f0 8bda57bb1d48 8f73b5ec9092 b2d6795ad387 1d88b1eb2462 60a53a38629c
mlqa-paragraph ar d8d3d728b440 24b6121fc0bf ed51660f1699 79e868184f8f fee94ea3fc50 334fc81523dd
mlqa-paragraph de 00a73d585e03 f2cb3b626c9d 7685967c53ee 98d3cd44e4c3 43e8afc481fa 4fef4b8155b7
mlqa-paragraph en ee8cb741b95f 0297f131f1ad c1050939fe64 8ae751e045fa 812fded95591 e89fb39a3fcf
mlqa-paragraph es abba45bbc57e 1abf0599a6a6 79600cb3c529 5113f65ba64d bec42f782a60 de04d46e5e88
mlqa-paragraph hi a042c22f2492 538acde8b458 949760be4ccf dd009935d0f0 af4bb72b0172 7f7aac2a17f4
mlqa-paragraph vi c406bf832459 6b7eaf3e71d9 38a4ee584c8d 9fb3800a2335 5a40fa9d9362 daad679d1149
mlqa-paragraph zh 9b102484c75b e47b5d0e8da4 928ef3011d0c 1a2f147a827c 57da453a6526 1e9cc24457e2
"""


@cache
def raw(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def squad(data_dir: Path, name: str, language: str) -> dict[str, Any]:
    """The file of a language of XQuAD-R or MLQA-R."""
    return raw(data_dir / "lareqa" / name / f"{language}.json")


def texts(data: Collection, role: str, language: str) -> dict[str, str]:
    entries = data.queries if role == "queries" else data.passages
    part = entries.slice(data.languages.index(language))
    return dict(zip(entries.ids[part], entries.texts[part], strict=True))


@pytest.mark.parametrize("row", MTEB.strip().splitlines(), ids=lambda row: row[:18])
def test_counts_and_lengths_are_those_that_mteb_states(row: str, data_dir: Path) -> None:
    name, language, *expected = row.split()
    data = collection(name, data_dir)
    passages, queries = (texts(data, role, language) for role in ("passages", "queries"))
    sizes = [sum(map(len, each.values())) / len(each) for each in (passages, queries)]
    assert [len(passages), len(queries)] == [int(count) for count in expected[:2]]
    assert sizes == pytest.approx([float(size) for size in expected[2:]], rel=1e-12)


@pytest.mark.parametrize("row", PINS.strip().splitlines(), ids=lambda row: row[:18].strip())
def test_first_tenth_and_last_record(row: str, data_dir: Path) -> None:
    name, language, *expected = row.split()
    relevant = answers(name, data_dir, language)
    data = collection(name, data_dir)
    passages, queries = (list(texts(data, r, language).items()) for r in ("passages", "queries"))
    found = []
    for at in (0, 9, -1):
        found.append(short(*passages[at]))
        found.append(short(*queries[at], relevant[queries[at][0]]))
    assert found == expected


@pytest.mark.parametrize("language", find_task("xquad-paragraph").languages)
def test_monolingual_xquad_is_what_mteb_makes_of_the_file(language: str, data_dir: Path) -> None:
    data = collection("xquad-paragraph", data_dir)
    passages = texts(data, "passages", language)
    relevant: dict[str, set[str]] = {}
    for query_language, query, passage_language, passage, grade in judgements(
        "xquad-paragraph", data_dir
    ):
        if query_language == passage_language == language:
            assert grade == 1
            relevant.setdefault(query, set()).add(passages[passage])
    found = MtebRetrieval(texts(data, "queries", language), set(passages.values()), relevant)
    assert found == mteb_retrieval(squad(data_dir, "xquad-r", language))
    assert len(set(passages.values())) == len(passages)


def test_xquad_s_paragraphs_are_parallel(data_dir: Path) -> None:
    """Each of the 240 has its number and its questions' ids in every language's file."""
    layouts = [
        [
            (f"{a}.{p}", [question["id"] for question in each["qas"]])
            for a, article in enumerate(squad(data_dir, "xquad-r", language)["data"])
            for p, each in enumerate(article["paragraphs"])
        ]
        for language in find_task("xquad-paragraph").languages
    ]
    assert all(layout == layouts[0] for layout in layouts)
    assert len(layouts[0]) == 240
    data = collection("xquad-paragraph", data_dir)
    assert len(set(data.passages.ids)) == 240
    assert (data.relevant_by_language == 1).all()
    of_question = {id_: key for key, ids in layouts[0] for id_ in ids}
    rows = judgements("xquad-paragraph", data_dir)
    assert all(of_question[query] == passage for _, query, _, passage, _ in rows)
    for setting in find_task("xquad-paragraph").settings():
        language = data.languages.index(setting.query_language)
        assert data.query_counts(setting) == (data.queries.counts[language], 0)
    assert len(find_task("xquad-paragraph").settings()) == 11 + 110 + 11


def test_mlqa_s_paragraphs_are_those_of_the_sentences_that_mlqa_r_judges(data_dir: Path) -> None:
    sentences, paragraphs = (collection(n, data_dir) for n in ("mlqa-r", "mlqa-paragraph"))
    above = {
        (lq, q, lp, p.rpartition(".")[0], grade) for lq, q, lp, p, grade in qrels_set(sentences)
    }
    assert qrels_set(paragraphs) == above
    assert paragraphs.queries.texts == sentences.queries.texts
    for setting in find_task("mlqa-paragraph").settings():
        assert paragraphs.query_counts(setting) == sentences.query_counts(setting)
    assert len(find_task("mlqa-paragraph").settings()) == 7 + 42 + 7


def test_xtreme_r_s_candidates_and_answers_are_those_of_its_own_reading(data_dir: Path) -> None:
    task, data = find_task("xtreme-r-lareqa"), collection("xtreme-r-lareqa", data_dir)
    assert task.measures[0] == "AP@20"
    pool = XtremePool()
    for language in data.languages:
        pool.add(language, squad(data_dir, "xquad-r", language))
    assert pool.texts == list(data.passages.texts)
    assert list(pool.questions.values()) == list(data.queries.texts)
    codes = data.queries.language.tolist()
    names = [data.languages[code] for code in codes]
    assert list(pool.questions) == list(zip(names, data.queries.ids, strict=True))
    judged: dict[str, set[int]] = {}
    for query, passage in zip(data.qrels.query.tolist(), data.qrels.passage.tolist(), strict=True):
        judged.setdefault(data.queries.ids[query], set()).add(passage)
    assert judged == pool.answers
    assert {len(answers) for answers in judged.values()} == {11}
    assert data.passages.ids == collection("xquad-r", data_dir).passages.ids


def small(folder: Path, text: str, *paragraphs: dict[str, Any], **options: str) -> Collection:
    write(folder, {f"{code}.json": document(*paragraphs) for code in ("de", "en")})
    files = {"documents": "{language}.json"}
    return load(make_task(folder, "lareqa", files, text=text, options=options))


def asked(id_: str, text: str, start: int = 0) -> dict[str, Any]:
    return {"id": id_, "question": text, "answers": [{"text": "", "answer_start": start}]}


def test_joined_texts_are_cut_at_the_breaks_without_separator_or_line_feeds(tmp_path: Path) -> None:
    cut = paragraph(context="One.\nTwo.", sentence_breaks=[[0, 5], [5, 8]], qas=[asked("q1", "?")])
    data = small(tmp_path, "sentence-context-joined", cut)
    assert data.passages.texts[:2] == ("One.One.Two.", "TwoOne.Two.")


def test_paragraphs_need_no_sentences(tmp_path: Path) -> None:
    plain = paragraph(sentences=None, sentence_breaks=None)
    data = small(tmp_path, "paragraph", plain)
    assert data.passages.texts == ("One is here. Two is there.",) * 2
    assert {row[3] for row in qrels_set(data)} == {"0.0"}
    with pytest.raises(DataError, match='text = "paragraph"'):
        small(tmp_path, "sentence", plain)


def test_an_answer_that_is_not_in_its_paragraph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'q7', at character 26, is not in the paragraph"):
        small(tmp_path, "paragraph", paragraph(qas=[asked("q7", "?", 26)]))


def test_equal_texts_are_one_record(tmp_path: Path) -> None:
    """The query has the last id and the passages of all; the passage has the first id."""
    one = paragraph(context=" One. ", qas=[asked("a", "Who? "), asked("b", "What?")])
    same = paragraph(context="One.", qas=[asked("c", "Where?")])
    two = paragraph(context="Two.", qas=[asked("d", "Who?")])
    data = small(tmp_path, "paragraph", one, same, two, records="distinct")
    german = data.queries.slice(0)
    assert data.queries.ids[german] == ("b", "c", "d")
    assert data.queries.texts[german] == ("What?", "Where?", "Who?")
    assert data.passages.texts[data.passages.slice(0)] == ("One.", "Two.")
    assert data.passages.ids[data.passages.slice(0)] == ("0.0", "0.2")
    languages = ("de", "en")
    related = {("b", "0.0"), ("c", "0.0"), ("d", "0.0"), ("d", "0.2")}
    assert qrels_set(data) == {
        (query_language, query, passage_language, passage, 1)
        for query, passage in related
        for query_language in languages
        for passage_language in languages
    }
    everything = small(tmp_path, "paragraph", one, same, two, records="all")
    assert everything.queries.ids[german.start : 4] == ("a", "b", "c", "d")
    assert everything.passages.texts[0] == " One. "


def test_an_id_given_twice_is_no_equal_text(tmp_path: Path) -> None:
    twice = paragraph(qas=[asked("a", "Who?"), asked("a", "Who?")])
    with pytest.raises(DataError, match=r"qas\[1\]: query 'a' \(de\) given again"):
        small(tmp_path, "paragraph", twice, records="distinct")


def test_records_is_checked(tmp_path: Path) -> None:
    from mlbench.data.sources import check_source

    task = make_task(
        tmp_path, "lareqa", {"documents": "{language}.json"}, options={"records": "distict"}
    )
    (fault,) = check_source(task)
    assert (fault.found, fault.expected) == ("'distict'", "all, distinct")
