"""MIRACL: the real topics and judgements, and corpora of its layout, sound and faulty."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mlbench.common.errors import DataError
from mlbench.data.catalog import find_task
from mlbench.data.corpus import StreamedCollection
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sources import in_shards
from mlbench.data.task import Kind, Task
from tests.data.readers.building import json_lines, make_task, write
from tests.support.miracl_corpus import write_corpus

QUERIES = {
    **{"ar": 2896, "bn": 411, "de": 305, "en": 799, "es": 648, "fa": 632, "fi": 1271},
    **{"fr": 343, "hi": 350, "id": 960, "ja": 860, "ko": 213, "ru": 1252, "sw": 482},
    **{"te": 828, "th": 733, "yo": 119, "zh": 393},
}
JUDGEMENTS, POSITIVE = 130_408, 31_119


@pytest.fixture(scope="module")
def real(data_dir: Path) -> StreamedCollection:
    if not (data_dir / "miracl").is_dir():
        pytest.skip(f"no MIRACL in {data_dir}")
    return stream_collection(find_task("miracl"), Locator(data_dir, offline=True), absent=True)


def test_the_real_counts(real: StreamedCollection) -> None:
    assert dict(zip(real.languages, real.queries.counts.tolist(), strict=True)) == QUERIES
    assert len(real.queries) == 13_495
    assert len(real.judgements.relevance) == JUDGEMENTS
    assert int((real.judgements.relevance > 0).sum()) == POSITIVE
    assert set(real.judgements.relevance.tolist()) == {0, 1}
    assert int(real.relevant_by_language.sum()) == POSITIVE


def test_every_question_counts_in_both_its_settings(real: StreamedCollection) -> None:
    settings = find_task("miracl").settings()
    assert [s.kind for s in settings] == [Kind.MONOLINGUAL] * 18 + [Kind.MULTILINGUAL] * 18
    for setting in settings:
        assert real.query_counts(setting) == (QUERIES[setting.query_language], 0)


def test_a_judgement_holds_in_its_own_language(real: StreamedCollection) -> None:
    language = real.queries.language[real.judgements.query]
    assert (language == real.judgements.passage_language).all()


@pytest.mark.parametrize(
    ("language", "place", "id_", "text"),
    [
        ("ar", 0, "0", "هل عدم القيام بجهد جسماني ممكن ان يسبب الأرق؟"),
        ("ar", 9, "60", "من هو مؤلف سلسلة حرب النجوم؟"),
        ("ar", -1, "15511", "من ابتكر المثلجات؟"),
        ("yo", 0, "10020#0", "Odun wo ni wọn ṣe idije Olympiiki akọkọ?"),
        ("yo", 9, "13935#0", "Awon orile ede wo ni won pe ni Balkani?"),
        ("yo", -1, "9593#0", "Kí ni orúkọ bibi akọrin Naira Marley?"),
        ("zh", 9, "67347#0", "电视剧《继承者们》的女主角是谁？"),
        ("ru", 4, "10", 'Когда Анна Павлова впервые исполнила партию в балете "Лебединое озеро"?'),
    ],
)
def test_the_first_the_tenth_and_the_last_question(
    real: StreamedCollection, language: str, place: int, id_: str, text: str
) -> None:
    part = real.queries.slice(real.languages.index(language))
    if language == "ru":  # quotation marks are text, wherever it stands
        place = real.queries.ids[part].index(id_)
    assert (real.queries.ids[part][place], real.queries.texts[part][place]) == (id_, text)


@pytest.mark.parametrize(
    ("language", "query", "passage", "relevance"),
    [
        ("ar", "0", "151236#1", 1),
        ("ar", "0", "3645940#4", 0),
        ("ar", "15511", "1295397#0", 0),
        ("zh", "1009493#0", "1016228#22", 1),
    ],
)
def test_some_judgements(
    real: StreamedCollection, language: str, query: str, passage: str, relevance: int
) -> None:
    code = real.languages.index(language)
    start = int(real.queries.starts[code])
    index = start + real.queries.ids[real.queries.slice(code)].index(query)
    rows = [row for row, q in enumerate(real.judgements.query.tolist()) if q == index]
    found = {real.judgements.passage_ids[row]: int(real.judgements.relevance[row]) for row in rows}
    assert found[passage] == relevance


def test_there_are_222_shards_in_the_order_of_the_languages(real: StreamedCollection) -> None:
    names = [shard.name for shard in real.shards]
    assert len(names) == len(set(names)) == 222
    assert names[0] == "miracl-corpus-v1.0-ar/docs-0.jsonl.gz"
    assert names[5] == "miracl-corpus-v1.0-bn/docs-0.jsonl.gz"
    assert names[-1] == "miracl-corpus-v1.0-zh/docs-9.jsonl.gz"
    languages = [shard.language for shard in real.shards]
    assert languages == sorted(languages, key=real.languages.index)
    assert languages.count("en") == 66


def test_shards_that_are_nowhere_are_missed_by_who_reads_them(
    real: StreamedCollection, data_dir: Path
) -> None:
    with pytest.raises(MissingData, match=r"222 data files not found") as caught:
        stream_collection(find_task("miracl"), Locator(data_dir, offline=True))
    assert "and 202 more" in str(caught.value)
    assert real.shards[0].size is None


def test_language_sets(real: StreamedCollection) -> None:
    sets = find_task("miracl").language_sets
    assert {name: len(codes) for name, codes in sets.items()} == {
        "miracl-18": 18,
        "miracl-16": 16,
        "miracl-15": 15,
    }
    assert set(sets["miracl-18"]) - set(sets["miracl-16"]) == {"de", "yo"}
    assert set(sets["miracl-16"]) - set(sets["miracl-15"]) == {"th"}
    assert find_task("miracl-hard-negatives").language_sets == sets


@pytest.mark.parametrize("layout", ["miracl-v1.0-{0}/{1}", "miracl/{1}", "{1}"])
def test_topics_and_qrels_are_found_in_every_layout(
    data_dir: Path, tmp_path: Path, layout: str, real: StreamedCollection
) -> None:
    for language in QUERIES:
        for role in ("topics", "qrels"):
            name = f"{role}.miracl-v1.0-{language}-dev.tsv"
            path = tmp_path / layout.format(language, role) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(data_dir / "miracl" / role / name)
    found = stream_collection(find_task("miracl"), Locator(tmp_path, offline=True), absent=True)
    assert found.queries.texts == real.queries.texts


CORPUS = "c-{language}/docs-{shard}.jsonl.gz"
FILES = {"corpus": CORPUS, "topics": "{language}.topics", "qrels": "{language}.qrels"}
SOUND = {
    "de.topics": '1\tWas ist "das"?\n',
    "de.qrels": "1\tQ0\t007\t1\n1\tQ0\t1#1\t0\n",
}
SHARDS = [
    json_lines({"docid": "007", "title": "Titel", "text": "eins\u2028zwei\u0085drei"}),
    json_lines({"docid": "1#1", "title": "", "text": "zwei", "more": 1}),
]


def small(folder: Path, text: str = "", **changes: str | bytes) -> Task:
    """Write a corpus of one language in two shards; shard_0 and shard_1 replace their lines."""
    shards = [changes.pop(f"shard_{n}", SHARDS[n]) for n in range(2)]
    packed = {
        f"c-de/docs-{n}.jsonl.gz": shard
        if isinstance(shard, bytes)
        else gzip.compress(shard.encode("utf-8", "surrogatepass"))
        for n, shard in enumerate(shards)
    }
    topics = {name.replace("_", "."): content for name, content in changes.items()}
    write(folder, {**SOUND, **packed, **topics})
    return make_task(folder, "miracl", FILES, ("de",), text, shards={"de": 2})


def passages(task: Task) -> list[tuple[str, str]]:
    found = stream_collection(task, Locator(offline=True))
    return [tuple(p) for shard in found.shards for batch in shard.passages() for p in batch]


def test_title_line_feed_text(tmp_path: Path) -> None:
    text = "eins\u2028zwei\u0085drei"
    assert passages(small(tmp_path)) == [("007", f"Titel\n{text}"), ("1#1", "zwei")]
    assert passages(small(tmp_path, "text")) == [("007", text), ("1#1", "zwei")]


def test_quotation_marks_are_text_and_ids_are_strings(tmp_path: Path) -> None:
    data = read_collection(small(tmp_path), Locator().of(small(tmp_path)))
    assert data.queries.texts == ('Was ist "das"?',)
    assert data.passages.ids == ("007", "1#1")


def test_a_byte_order_mark_windows_line_ends_and_empty_lines_are_accepted(tmp_path: Path) -> None:
    changes = {
        "shard_0": "\ufeff" + SHARDS[0].replace("\n", "\r\n") + "\n \n",
        "de_topics": "\ufeff1\tq\r\n\r\n",
        "de_qrels": "1\tQ0\t007\t1\r\n",
    }
    task = small(tmp_path, **changes)
    assert len(passages(task)) == 2
    assert stream_collection(task, Locator()).queries.texts == ("q",)


@pytest.mark.parametrize(
    ("shard", "expected"),
    [
        ('{"docid": "1"', ".jsonl.gz:1: broken JSON"),
        ('{"docid": "1", "text": "x"}{"docid": "2", "text": "x"}', ":1: broken JSON: Extra data"),
        ("[1]", ":1: JSON, but a list"),
        ('{"text": "x"}', ":1: no 'docid'"),
        ('{"docid": 5.0, "text": "x"}', "write ids as strings or as integers"),
        ('{"docid": "", "text": "x"}', "'docid' is empty"),
        ('{"docid": "1"}', "no 'text'"),
        ('{"docid": "1", "title": 7, "text": "x"}', "'title' is the number 7"),
        ('{"docid": "1", "text": " "}', "passage '1' has no text"),
        ('{"docid": "1", "text": "\\ud800"}', "half of a surrogate pair"),
        (gzip.compress(b'{"docid": "1", "text": "\xff"}', mtime=0), "byte 24 of the file (0xff)"),
        (b"no gzip", "docs-1.jsonl.gz: damaged gzip file"),
        (gzip.compress(SHARDS[1].encode(), mtime=0)[:-9], "docs-1.jsonl.gz: damaged gzip file"),
    ],
)
def test_a_faulty_shard_is_told_by_file_and_line(
    tmp_path: Path, shard: str | bytes, expected: str
) -> None:
    task = small(tmp_path, shard_1=shard)
    for read in (passages, lambda task: read_collection(task, Locator().of(task))):
        with pytest.raises(DataError) as caught:
            read(task)
        assert f"{tmp_path}/c-de/docs-1.jsonl.gz" in str(caught.value)
        assert expected in str(caught.value)


def test_an_id_given_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    task = small(tmp_path, shard_1=SHARDS[1] + SHARDS[0])
    with pytest.raises(DataError) as caught:
        read_collection(task, Locator().of(task))
    assert f"docs-1.jsonl.gz:2: passage '007' (de) given again; first at {tmp_path}" in str(
        caught.value
    )
    assert "docs-0.jsonl.gz:1" in str(caught.value)


def test_all_faults_of_a_shard_are_told_with_their_lines(tmp_path: Path) -> None:
    good = json_lines({"docid": "x", "text": "y"})
    lines = f"{good}broken\n{good}" + '{"docid": "z"}\n' + "broken\n" * 30
    with pytest.raises(DataError) as caught:
        passages(small(tmp_path, shard_1=lines))
    message = str(caught.value)
    assert "docs-1.jsonl.gz:2: broken JSON" in message
    assert "docs-1.jsonl.gz:4: no 'text'" in message
    assert "and: 12 more faults" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"de_topics": "1 q\n"}, "de.topics:1: 1 column\n"),
        ({"de_topics": "1\tq\tr\n"}, "de.topics:1: 3 columns"),
        ({"de_topics": "\tq\n"}, "an id, a tab and the query"),
        ({"de_topics": "1\tq\n1\tr\n"}, "de.topics:2: query '1' (de) given again"),
        ({"de_qrels": "1\tQ0\t007\tyes\n"}, "de.qrels:1: relevance 'yes'"),
        ({"de_qrels": "2\tQ0\t007\t1\n"}, "names query '2' (de), which is not in the collection"),
        ({"de_qrels": "1\tQ0\t007\t1\n1\tQ0\t007\t0\n"}, "de.qrels:2: query '1' and passage '007'"),
        ({"de_qrels": "1\tQ0\t007\t0\n"}, "no query has a relevant passage"),
    ],
)
def test_faulty_topics_and_qrels(tmp_path: Path, changes: dict[str, str], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        stream_collection(small(tmp_path, **changes), Locator())
    assert expected in str(caught.value)


def test_bombs_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbench.data.input_files.LONGEST_LINE", 1 << 20)
    with pytest.raises(DataError, match="a line without end"):
        passages(small(tmp_path, shard_1=gzip.compress(b" " * (4 << 20))))
    monkeypatch.setattr("mlbench.data.input_files.SMALL", 1 << 20)
    with pytest.raises(DataError, match="unpacks to more than 1,048,576 bytes"):
        passages(small(tmp_path, shard_1=gzip.compress(b"\n" * (4 << 20))))


def test_a_missing_shard_is_told(tmp_path: Path) -> None:
    task = small(tmp_path)
    (tmp_path / "c-de/docs-1.jsonl.gz").unlink()
    with pytest.raises(MissingData, match=r"c-de/docs-1\.jsonl\.gz"):
        stream_collection(task, Locator())


def test_a_made_up_corpus_around_real_judgements(data_dir: Path, tmp_path: Path) -> None:
    path = write_corpus(tmp_path, data_dir, ["sw", "zh"], shards=3, distractors=30, queries=40)
    task = find_task(path)
    assert in_shards(task)
    streamed = stream_collection(task, Locator(offline=True))
    assert len(streamed.shards) == 6
    data = read_collection(task, Locator(offline=True).of(task))
    judged = {
        (streamed.languages[code], id_)
        for code, id_ in zip(
            streamed.judgements.passage_language, streamed.judgements.passage_ids, strict=True
        )
    }
    assert len(data.passages) == len(judged) + 2 * 30
    assert data.queries.texts == streamed.queries.texts
    assert data.relevant_by_language.tolist() == streamed.relevant_by_language.tolist()
    again = write_corpus(
        tmp_path / "again", data_dir, ["sw", "zh"], shards=3, distractors=30, queries=40
    )
    for name in ("miracl-corpus-v1.0-sw/docs-1.jsonl.gz", path.name):
        assert (again.parent / name).read_bytes() == (tmp_path / name).read_bytes()
