"""BUCC's layout, on made files: sentences with ids, and a list of translations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import DataError
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection
from mlbench.data.sources import check_source
from mlbench.models.char_ngram import encode
from tests.data.readers.building import make_task, qrels_set, write

PAIRS = {"de": (14, 17), "fr": (12, 11), "ru": (13, 12), "zh": (12, 16)}
"""How many sentences each language has, and how many the English that goes with it."""
LINKS = 10
"""How many sentences of each pair have one translation; sentence 1 has another one in German."""
PATH = "bucc2018/{0}-en/{0}-en.training.{1}"


def sentence(code: str, number: int) -> str:
    return f"{code} {'abcdefghij'[number % 10] * 3} {'klmno'[number % 5] * 4} {number}"


def write_bucc(folder: Path) -> dict[str, set[tuple[int, int]]]:
    """Write the files of all pairs; return which sentences translate each other."""
    links = {}
    for code, sizes in PAIRS.items():
        names = (code, "en")
        for name, size in zip(names, sizes, strict=True):
            lines = [f"{name}-{i:09}\t{sentence(name, i)}\n" for i in range(1, size + 1)]
            write(folder, {PATH.format(code, name): "".join(lines)})
        links[code] = {(i, sizes[1] + 1 - i) for i in range(1, LINKS + 1)}
        links[code] |= {(1, 1)} if code == "de" else set()
        gold = [f"{code}-{one:09}\ten-{other:09}\n" for one, other in sorted(links[code])]
        write(folder, {PATH.format(code, "gold"): "".join(gold)})
    return links


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bucc")
    links = write_bucc(folder)
    task = mlbench.load_task("bucc")
    return folder, task, links, read_collection(task, Locator(folder, offline=True).of(task))


def test_sentences_with_a_translation_are_queries_and_all_are_passages(data):
    _, _, _, found = data
    sizes = {pair.languages: (pair.queries, pair.passages) for pair in found.sizes()}
    assert sizes == {
        ("de", "en"): ((10, 11), (14, 17)),
        ("fr", "en"): ((10, 10), (12, 11)),
        ("ru", "en"): ((10, 10), (13, 12)),
        ("zh", "en"): ((10, 10), (12, 16)),
    }
    assert len(found.unjudged) == sum(map(sum, PAIRS.values())) - 81
    assert ("de", "de-en/de-000000011") in found.unjudged


def test_first_tenth_and_last_records(data):
    _, _, _, found = data
    ids = found.passages.ids[found.passages.of_pair(1, 0)]
    texts = found.passages.texts[found.passages.of_pair(1, 0)]
    for place, number in ((0, 1), (9, 10), (-1, 14)):
        assert ids[place] == f"de-en/de-{number:09}"
        assert texts[place] == sentence("de", number)
    assert found.queries.ids[found.queries.of_pair(1, 0)][-1] == "de-en/de-000000010"


def test_relevant_are_the_translations_of_the_gold_file_both_ways(data):
    _, _, links, found = data
    expected = set()
    for code, of in links.items():
        for one, other in of:
            ids = (code, f"{code}-en/{code}-{one:09}"), ("en", f"{code}-en/en-{other:09}")
            expected |= {(*ids[0], *ids[1], 1), (*ids[1], *ids[0], 1)}
    assert qrels_set(found) == expected


def test_sentences_that_translate_each_other_are_one_question(data):
    _, _, _, found = data
    groups = dict(zip(found.queries.ids, found.queries.groups, strict=True))
    joined = [id_ for id_, group in groups.items() if group == groups["de-en/de-000000001"]]
    assert sorted(joined) == [
        "de-en/de-000000001", "de-en/en-000000001", "de-en/en-000000017",
    ]  # fmt: skip
    assert len(set(groups.values())) == 4 * LINKS


def test_scores_against_a_slow_program(data):
    folder, task, links, _ = data
    report = mlbench.evaluate("char-ngram", task, data_dir=folder, progress=False, cache=None)
    rows = {(row.query_language, *row.passage_languages): row for row in report.scores.settings}
    assert len(rows) == 8
    for code, of in links.items():
        both = []
        for name in (code, "en"):
            lines = (folder / PATH.format(code, name)).read_text().splitlines()
            vectors = encode([line.split("\t")[1] for line in lines]).astype(np.float64)
            both.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        scores = np.round(both[0] @ both[1].T, 9)
        for table, pairs, key in (
            (scores, of, (code, "en")),
            (scores.T, {link[::-1] for link in of}, ("en", code)),
        ):
            precision, first = [], []
            for query in sorted({one for one, _ in pairs}):
                relevant = {other - 1 for one, other in pairs if one == query}
                row = table[query - 1]
                worst = sorted(range(len(row)), key=lambda p: (-row[p], p in relevant))
                hits = [place for place, p in enumerate(worst, 1) if p in relevant]
                precision.append(np.mean([n / place for n, place in enumerate(hits, 1)]))
                first.append(hits[0] == 1)
            assert rows[key].queries == len(precision)
            assert rows[key].measures["AP"] == pytest.approx(np.mean(precision), abs=1e-12)
            assert rows[key].measures["Success@1"] == pytest.approx(np.mean(first), abs=1e-12)


def test_missing_files_are_told_with_where_to_get_them(tmp_path):
    with pytest.raises(MissingData, match=r"12 data files not found.*\n(.*\n)*.*training-gold"):
        Locator(tmp_path, offline=True).of(mlbench.load_task("bucc"))


SOUND = {"de": "d1\teins\nd2\tzwei\n", "en": "e1\tone\ne2\ttwo\n", "gold": "d1\te2\n"}


def small(folder: Path, **changes: str):
    for name, text in (SOUND | changes).items():
        write(folder, {f"de-en.{name}": text})
    files = {"text": "{first}-{second}.{language}", "gold": "{first}-{second}.gold"}
    task = make_task(folder, "bucc", files)
    object.__setattr__(task, "pairs", (("de", "en"),))
    assert check_source(task) == []
    return read_collection(task, Locator(folder, offline=True).of(task))


def test_a_sound_pair(tmp_path):
    found = small(tmp_path, en="e1\tone\ttab\r\ne2\ttwo\n", gold="d1\te2\nd1\te2\n")
    assert found.queries.ids == ("de-en/d1", "de-en/e2")
    assert found.passages.texts == ("eins", "zwei", "one\ttab", "two")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gold": "d1\te2\nd9\te1\n"}, ["de-en.gold:2: the id 'd9', which is not in", "de-en.de"]),
        ({"gold": "d1\te9\n"}, ["de-en.gold:1: the id 'e9', which is not in", "de-en.en"]),
        ({"gold": "e2\td1\n"}, ["the id 'e2'", "the id 'd1'", "change `pairs`"]),
        ({"gold": "d1 e2\n"}, ["de-en.gold:1: no tab in 'd1 e2'", "the id of its translation"]),
        ({"gold": ""}, ["language 'de': no query at all"]),
        ({"de": "d1\teins\nd1\tzwei\n"}, ["de-en.de:2: the id 'd1' again", "de-en.de:1"]),
        ({"en": "e1 one\ne2\ttwo\n"}, ["de-en.en:1: no tab in 'e1 one'", "a tab and a sentence"]),
        ({"en": "e1\t \ne2\ttwo\n"}, ["de-en.en:1: nothing after the tab"]),
        ({"en": "\tone\ne2\ttwo\n"}, ["de-en.en:1: nothing before the tab"]),
        ({"de": "d1\teins\nd1\tx\n", "en": "e1\n"}, ["de-en.de:2", "de-en.en:1"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, changes, expected):
    with pytest.raises(DataError) as caught:
        small(tmp_path, **changes)
    for part in expected:
        assert part in str(caught.value)


def test_files_must_be_of_each_pair(tmp_path):
    task = make_task(tmp_path, "bucc", {"text": "{language}.txt", "gold": "{first}.gold"})
    found = [(fault.where, fault.found) for fault in check_source(task)]
    assert [where.rpartition(".")[2] for where, said in found if "does not hold" in said] == [
        "text", "gold",
    ]  # fmt: skip
