"""LAReQA on the real data (counts, first, tenth and last record, an oracle) and on small files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import DataError
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Kind, Setting
from tests.data.readers.building import load, make_task, qrels_set, write

COUNTS = {
    "xquad-r": {
        "ar": (1190, 1222),
        "de": (1190, 1276),
        "el": (1190, 1234),
        "en": (1190, 1180),
        "es": (1190, 1215),
        "hi": (1190, 1244),
        "ru": (1190, 1219),
        "th": (1190, 852),
        "tr": (1190, 1167),
        "vi": (1190, 1209),
        "zh": (1190, 1196),
    },
    "mlqa-r": {
        "ar": (517, 2545),
        "de": (512, 2362),
        "en": (1148, 6264),
        "es": (500, 1787),
        "hi": (507, 2426),
        "vi": (511, 2828),
        "zh": (504, 2322),
    },
}
# Task, language; then for the first, tenth and last record the digest of the passage's id and
# text, and of the query's id, text and the id of its relevant passage in its own language.
PINS = """
xquad-r ar 646b13c533e6 eb84808d7613 c032894701b9 9ac2aa911dc8 6df666cb8f1b c742eae67475
xquad-r de 9c3a3afce65d e2d400c5e3ab b21491833d41 bbf9d79569c8 64604f8727d8 8e2e88a0685e
xquad-r el 96de1a1de270 f0fdcf5099b5 565a3b8b5a29 b022f686f137 4f3e6fed683f ace39977f64e
xquad-r en 6c8d5cc597e0 f15f2fca7f6a ed265a669a6f 1f3f5c627726 8f3cfd4bd84f ab300116a0f0
xquad-r es c98946963dd2 b2394a359a90 ce4478f5b956 5e6d697d0f9b a8bc4a3f3bfd b3fb37dff024
xquad-r hi b6ba76cf97dc 9a1f1d47d40e c4f1de27a781 d62f71fa46ae d7931829d13c 9a73cd56128a
xquad-r ru dd598404e21a e566c24ffba9 fb3b93bc927d 3dfd772d4adc 7d8f3253ff59 027470a76613
xquad-r th e8ab449c1725 29a28ca2ec66 f17f7fe08b80 61ca1be04cb9 f97b8a70ba8e cb40fbb68010
xquad-r tr a9def2174c27 ca410f6a9dd2 facea04463f2 eb76c198836f 7fe8ab44a1fb ed71cbef1506
xquad-r vi 5d7402a255d2 460508cfa059 dff4a55fe2a9 ff40fd7af3d4 d533bdf86b59 db1fc5da992f
xquad-r zh 420a420754af c1d678a74b12 0704501c88cf 0838b0f53246 16aa780f8ca0 c3fb251c7b6e
mlqa-r ar 5731b76c908c 445a8d600245 44cc35b23db6 42d6a54b0a1a 2680dc983bc9 90114f36a8d8
mlqa-r de e17050c8c947 1e5ff8e40ef5 b26af49a9098 a8ca90c53b59 b2a82e227da3 8bc43e2512bc
mlqa-r en 13b541e17f11 9c34f9158cd1 87b9f373787d 72e5dd8329b5 bfa82c32f9b2 7d58e6c3683c
mlqa-r es a22c801a8663 01871d8defd9 5c1609064589 bbcc5c87eafb 9552530d935b c7bb3b1f44ac
mlqa-r hi e6ca8d695156 c1ad0a35aa18 8cb2f99c8c57 a87a14a59ea3 f2b596dc4e43 19e04988c9ae
mlqa-r vi 7f1738791ffc cdf054a7acf4 a4333a7e52b9 e6695ac529f8 8ef12896a4fd ff1069fc4865
mlqa-r zh 14ef13a2735f 2ed40f25b8cf 850ae29ede79 46df190b262d 436882b59676 baa9aad5bbeb
"""


@cache
def collection(name: str, data_dir: Path) -> Collection:
    task = find_task(name)
    return read_collection(task, Locator(data_dir, offline=True).of(task))


@cache
def answers(name: str, data_dir: Path, language: str) -> dict[str, str]:
    """The relevant passage of each query of a language within it, both by their ids."""
    rows = judgements(name, data_dir)
    return {q: p for lq, q, lp, p, _ in rows if lq == lp == language}


@cache
def judgements(name: str, data_dir: Path) -> set[tuple[str, str, str, str, int]]:
    return qrels_set(collection(name, data_dir))


def short(*fields: str) -> str:
    return hashlib.sha256("\n".join(fields).encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str, data_dir: Path) -> None:
    data = collection(name, data_dir)
    counts = zip(data.queries.counts.tolist(), data.passages.counts.tolist(), strict=True)
    assert dict(zip(data.languages, counts, strict=True)) == COUNTS[name]


@pytest.mark.parametrize("row", PINS.strip().splitlines(), ids=lambda row: row[:10].strip())
def test_first_tenth_and_last_record(row: str, data_dir: Path) -> None:
    name, language, *expected = row.split()
    data = collection(name, data_dir)
    index = data.languages.index(language)
    relevant = answers(name, data_dir, language)
    passages, queries = (
        list(zip(entries.ids, entries.texts, strict=True))[entries.slice(index)]
        for entries in (data.passages, data.queries)
    )
    found = []
    for at in (0, 9, -1):
        found.append(short(*passages[at]))
        found.append(short(*queries[at], relevant[queries[at][0]]))
    assert found == expected


def test_first_english_record_by_value(data_dir: Path) -> None:
    data = collection("xquad-r", data_dir)
    english = data.languages.index("en")
    query, passage = data.queries.slice(english).start, data.passages.slice(english).start
    assert data.queries.ids[query] == "56beb4343aeaaa14008c925b"
    assert data.queries.texts[query] == "How many points did the Panthers defense surrender?"
    assert data.passages.ids[passage] == "0.0.0"
    assert data.passages.texts[passage] == (
        "The Panthers defense gave up just 308 points, ranking sixth in the league, while also "
        "leading the NFL in interceptions with 24 and boasting four Pro Bowl selections."
    )
    turkish = data.passages.slice(data.languages.index("tr")).start
    assert data.passages.texts[turkish].startswith("\ufeffPanthers savunması")


def test_xquad_has_one_relevant_sentence_in_each_language(data_dir: Path) -> None:
    data = collection("xquad-r", data_dir)
    assert (len(data.queries), len(data.passages)) == (13_090, 13_014)
    assert (data.relevant_by_language == 1).all()
    assert len(set(data.queries.ids)) == 1190
    for setting in find_task("xquad-r").settings():
        assert data.query_counts(setting) == (1190, 0)


def test_mlqa_has_relevant_sentences_in_two_to_four_languages(data_dir: Path) -> None:
    data = collection("mlqa-r", data_dir)
    assert (len(data.queries), len(data.passages)) == (4199, 20_534)
    assert (data.relevant_by_language <= 1).all()
    languages_of_question = Counter(Counter(data.queries.ids).values())
    assert languages_of_question == {4: 820, 3: 263, 2: 65}


def test_mlqa_setting_counts(data_dir: Path) -> None:
    data = collection("mlqa-r", data_dir)
    assert data.query_counts(Setting(Kind.CROSSLINGUAL, "en", ("ar",))) == (517, 1148 - 517)
    assert data.query_counts(Setting(Kind.CROSSLINGUAL, "ar", ("es",))) == (161, 517 - 161)
    crosslingual = [s for s in find_task("mlqa-r").settings() if s.kind is Kind.CROSSLINGUAL]
    assert len(crosslingual) == 42
    assert sum(data.query_counts(setting)[0] for setting in crosslingual) == 11_548
    for kind in (Kind.MONOLINGUAL, Kind.MULTILINGUAL):
        settings = [s for s in find_task("mlqa-r").settings() if s.kind is kind]
        assert sum(data.query_counts(setting)[0] for setting in settings) == 4199


@pytest.mark.parametrize("name", COUNTS)
def test_judgements_equal_those_of_a_plain_reading_of_the_files(name: str, data_dir: Path) -> None:
    answers: dict[str, dict[str, str]] = {}
    for language in COUNTS[name]:
        for a, article in enumerate(_raw(data_dir, name, language)):
            for p, paragraph in enumerate(article["paragraphs"]):
                for question in paragraph["qas"]:
                    (answer,) = question["answers"]
                    holding = [
                        f"{a}.{p}.{s}"
                        for s, (start, end) in enumerate(paragraph["sentence_breaks"])
                        if answer["answer_start"] in range(start, end)
                    ]
                    answers.setdefault(question["id"], {})[language] = holding[0]
    expected = {
        (query_language, id_, language, passage, 1)
        for id_, versions in answers.items()
        for query_language in versions
        for language, passage in versions.items()
    }
    assert judgements(name, data_dir) == expected


@pytest.mark.parametrize("name", COUNTS)
def test_texts_are_those_of_the_file_with_and_without_context(name: str, data_dir: Path) -> None:
    plain, context = collection(name, data_dir), collection(f"{name}-context", data_dir)
    sentences, with_context = [], []
    for language in COUNTS[name]:
        for article in _raw(data_dir, name, language):
            for paragraph in article["paragraphs"]:
                sentences += paragraph["sentences"]
                with_context += [f"{s}\n{paragraph['context']}" for s in paragraph["sentences"]]
    assert list(plain.passages.texts) == sentences
    assert list(context.passages.texts) == with_context
    assert plain.passages.ids == context.passages.ids
    assert plain.queries.texts == context.queries.texts
    assert plain.digest != context.digest


def test_turkish_text_is_taken_from_the_sentences_not_cut_at_the_breaks(data_dir: Path) -> None:
    data = collection("xquad-r", data_dir)
    texts = set(data.passages.texts[data.passages.slice(data.languages.index("tr"))])
    cut = [
        paragraph["context"][start:end]
        for article in _raw(data_dir, "xquad-r", "tr")
        for paragraph in article["paragraphs"]
        for start, end in paragraph["sentence_breaks"]
    ]
    assert len([text for text in cut if text not in texts]) == 2


def test_paragraphs_are_the_same_groups_in_every_language(data_dir: Path) -> None:
    data = collection("xquad-r", data_dir)
    groups = [set(data.passages.groups[data.passages.slice(i)]) for i in range(len(data.languages))]
    assert all(group == groups[0] for group in groups)
    assert len(groups[0]) == 240
    of_query = dict(zip(data.queries.ids, data.queries.groups, strict=True))
    of_passage = dict(zip(data.passages.ids, data.passages.groups, strict=True))
    assert all(of_query[q] == of_passage[p] for _, q, _, p, _ in qrels_set(data))


def _raw(data_dir: Path, name: str, language: str) -> list[dict[str, Any]]:
    path = data_dir / "lareqa" / name / f"{language}.json"
    return json.loads(path.read_text(encoding="utf-8"))["data"]


def paragraph(**changes: Any) -> dict[str, Any]:
    whole = {
        "context": "One is here. Two is there.",
        "sentences": ["One is here. ", "Two is there."],
        "sentence_breaks": [[0, 13], [13, 26]],
        "qas": [
            {
                "id": "q1",
                "question": "Where is two? ",
                "answers": [
                    {"text": "there", "answer_start": 20},
                    {"text": "here", "answer_start": 7},
                ],
            }
        ],
    }
    return {key: value for key, value in (whole | changes).items() if value is not None}


def document(*paragraphs: Any) -> str:
    return json.dumps({"data": [{"title": "Numbers", "paragraphs": list(paragraphs)}]})


def small(folder: Path, de: str | bytes, en: str | None = None, text: str = "") -> Collection:
    write(folder, {"de.json": de, "en.json": en or document(paragraph())})
    return load(make_task(folder, "lareqa", {"documents": "{language}.json"}, text=text))


def faults_of(folder: Path, de: str | bytes) -> str:
    with pytest.raises(DataError) as caught:
        small(folder, de)
    return str(caught.value)


def test_nothing_is_stripped_and_the_first_answer_counts(tmp_path: Path) -> None:
    data = small(tmp_path, document(paragraph()), text="sentence-context")
    assert data.passages.texts[0] == "One is here. \nOne is here. Two is there."
    assert data.queries.texts[0] == "Where is two? "
    assert {row[3] for row in qrels_set(data)} == {"0.0.1"}
    assert len(qrels_set(data)) == 4


@pytest.mark.parametrize(("start", "sentence"), [(0, 0), (12, 0), (13, 1), (25, 1)])
def test_a_span_holds_its_start_and_not_its_end(tmp_path: Path, start: int, sentence: int) -> None:
    question = {"id": "q1", "question": "?", "answers": [{"text": "", "answer_start": start}]}
    data = small(tmp_path, document(paragraph(qas=[question])))
    german = {row[3] for row in qrels_set(data) if row[0] == row[2] == "de"}
    assert german == {f"0.0.{sentence}"}


def test_plain_squad_is_refused_naming_article_and_paragraph(tmp_path: Path) -> None:
    message = faults_of(
        tmp_path, document(paragraph(), paragraph(sentences=None, sentence_breaks=None))
    )
    assert "de.json, data[0].paragraphs[1] (Numbers): no `sentences`" in message
    assert "use reader 'beir'" in message


def test_positions_and_ids_may_be_typed_otherwise(tmp_path: Path) -> None:
    question = {"id": 7, "question": "?", "answers": [{"text": "there", "answer_start": 20.0}]}
    other = paragraph(qas=[question], sentence_breaks=[[0.0, 13.0], [13.0, "26"]])
    data = small(tmp_path, document(other), document(paragraph(qas=[{**question, "id": "7"}])))
    assert {row[1] for row in qrels_set(data)} == {"7"}
    assert {row[3] for row in qrels_set(data)} == {"0.0.1"}
    assert len(qrels_set(data)) == 4


@pytest.mark.parametrize("start", [-1, 26])
def test_an_answer_in_no_sentence_is_refused_by_name(tmp_path: Path, start: int) -> None:
    question = {"id": "q7", "question": "?", "answers": [{"text": "", "answer_start": start}]}
    message = faults_of(tmp_path, document(paragraph(qas=[question])))
    assert f"'q7', at character {start}, is in none" in message
    assert "data[0].paragraphs[0].qas[0]" in message


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"sentence_breaks": [[0, 13]]}, "2 sentences, but 1 sentence break"),
        ({"sentence_breaks": [[0, 13], [13]]}, "expected: pairs [start, end]"),
        ({"sentences": ["One is here.", 2]}, "the number 2"),
        ({"context": None}, "'context' missing"),
        ({"qas": {}}, "'qas' is an object"),
        ({"qas": [3]}, "the number 3"),
        ({"qas": [{"id": 3.0, "question": "?", "answers": []}]}, "'id' is the number 3.0"),
        ({"qas": [{"id": "a", "question": "?", "answers": []}]}, "'a' has no answer"),
        (
            {"qas": [{"id": "a", "question": "?", "answers": [{"answer_start": True}]}]},
            "'answer_start' is the boolean True",
        ),
        (
            {"qas": [{"id": "a", "question": "?", "answers": [{"answer_start": 2.5}]}]},
            "'answer_start' is the number 2.5",
        ),
        ({"sentence_breaks": [[0, 13], [13, 2.5]]}, "expected: pairs [start, end]"),
    ],
)
def test_a_wrong_structure_is_named(tmp_path: Path, broken: dict[str, Any], expected: str) -> None:
    message = faults_of(tmp_path, document(paragraph(**broken)))
    assert expected in message
    assert "de.json, data[0].paragraphs[0]" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"data": [\xff]}', "byte 10 is not UTF-8"),
        (b'{"data": [', "broken JSON"),
        (b"[" * 100_000, "broken JSON"),
        (b"[]", "a list"),
        (b'{"data": {}}', "'data' is an object"),
        (b'{"data": [7]}', "data[0]: the number 7"),
    ],
)
def test_a_file_that_is_no_document_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    message = faults_of(tmp_path, content)
    assert expected in message
    assert "de.json" in message


def test_all_faults_are_reported_at_once_and_many_are_counted(tmp_path: Path) -> None:
    bad = [{"id": f"q{i}", "question": "?", "answers": []} for i in range(30)]
    message = faults_of(tmp_path, document(paragraph(qas=bad)))
    assert message.count("has no answer") == 20
    assert "and: 10 more faults" in message


def test_a_question_id_given_twice_in_a_language_is_refused(tmp_path: Path) -> None:
    message = faults_of(tmp_path, document(paragraph(), paragraph()))
    assert "paragraphs[1].qas[0]: query 'q1' (de) given again" in message
    assert "first at" in message
    assert "paragraphs[0].qas[0]" in message
