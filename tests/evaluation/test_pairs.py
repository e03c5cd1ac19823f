"""Pairs of languages that share no pool, from their files to every score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import DataError, UsageError
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.models.char_ngram import encode
from mlbench.reports.reading import chance
from tests.oracles.scores import exact_score
from tests.support.pairs_task import PAIRS, TASK, pair_file, write_pairs

QUIET = {"progress": False, "cache": None}


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_pairs(tmp_path, ties=True)


def slow_ranks(folder: Path) -> dict[tuple[str, str], list[int]]:
    """The rank of each line's translation among the lines of its own pair, ties against it."""
    ranks = {}
    for pair in PAIRS:
        texts = {c: pair_file(folder, pair, c).read_text().splitlines() for c in pair}
        vectors = {}
        for code, lines in texts.items():
            rows = encode(lines).astype(np.float64)
            vectors[code] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        for asked, searched in (pair, pair[::-1]):
            found = []
            for i, query in enumerate(vectors[asked]):
                scores = [exact_score(query, each) for each in vectors[searched]]
                found.append(sum(score >= scores[i] for score in scores))
            ranks[asked, searched] = found
    return ranks


def test_settings_are_the_two_directions_of_each_pair(task):
    found = mlbench.load_task(task)
    assert [(s.query_language, *s.passage_languages) for s in found.settings()] == [
        ("de", "en"), ("en", "de"), ("en", "fr"), ("en", "sw"), ("fr", "en"), ("sw", "en"),
    ]  # fmt: skip
    assert found.roles.pivot == "en"
    assert not found.roles.mixed


def test_every_direction_against_a_slow_program(task):
    report = mlbench.evaluate("char-ngram", task, **QUIET)
    expected = slow_ranks(task.parent)
    assert sum(rank > 1 for ranks in expected.values() for rank in ranks) > 6
    rows = {(row.query_language, *row.passage_languages): row for row in report.scores.settings}
    assert rows.keys() == expected.keys()
    means = {}
    for key, ranks in expected.items():
        assert (rows[key].queries, rows[key].excluded) == (len(ranks), 0)
        means[key] = np.mean([1 / rank for rank in ranks])
        assert rows[key].measures["RR"] == pytest.approx(means[key], abs=1e-15)
        first = np.mean([rank == 1 for rank in ranks])
        assert rows[key].measures["Success@1"] == pytest.approx(first, abs=1e-15)
    directions = report.scores.directions
    for name, side in (("from-en", 0), ("into-en", 1)):
        mean = np.mean([means[key] for key in means if key[side] == "en"])
        assert directions[name]["RR"].value == pytest.approx(mean, abs=1e-15)
        assert directions[name]["RR"].low <= mean <= directions[name]["RR"].high
    whole = report.scores.macro["crosslingual"]["RR"].value
    assert whole == pytest.approx(np.mean([*means.values()]), abs=1e-15)
    assert list(report.scores.macro) == ["crosslingual"]


def test_sizes_are_those_of_each_pair(task):
    report = mlbench.evaluate("char-ngram", task, **QUIET)
    assert {p.languages: p.queries for p in report.task.pairs} == {
        pair: (count, count) for pair, count in PAIRS.items()
    }
    assert report.task.queries == {"de": 9, "en": 27, "fr": 7, "sw": 11}
    ranks = report.table
    assert ranks.ranking("en", ["fr"]).pool_size == ranks.ranking("fr", ["en"]).pool_size == 7
    assert ranks.ranking("en", ["fr"]).excluded == 0


def test_a_table_is_read_again_and_cut_to_languages(task, tmp_path):
    report = mlbench.evaluate("char-ngram", task, **QUIET)
    folder = report.save(tmp_path / "report")
    again = mlbench.read_report(folder)
    assert again.scores == report.scores
    assert again.task == report.task
    assert again.table.pairs == report.table.pairs
    cut = mlbench.evaluate("char-ngram", task, languages="en,fr,sw", **QUIET)
    part = report.table.subset(("en", "fr", "sw"))
    assert part.pairs == cut.table.pairs
    assert part.query_ids == cut.table.query_ids
    for mine, theirs in ((part.above, cut.table.above), (part.judged, cut.table.judged)):
        assert np.array_equal(mine, theirs)
    with pytest.raises(UsageError, match="expected: both languages of a pair, such as de, en"):
        mlbench.evaluate("char-ngram", task, languages="fr,sw", **QUIET)


def test_a_sample_has_so_many_questions_of_each_pair(task):
    report = mlbench.evaluate("char-ngram", task, sample_questions=3, **QUIET)
    assert {pair.queries for pair in report.task.pairs} == {(3, 3)}
    assert report.task.sampled == "a sample of 3 questions of each pair"
    assert report.warnings[0].startswith("scores of a sample of 3 questions of each pair, for a")
    assert {pair.passages for pair in report.task.pairs} == {(n, n) for n in PAIRS.values()}


def test_two_pairs_may_have_the_same_sentences(task):
    """The English side of one pair is another's: the digest and the pools tell them apart."""
    whole = read_collection(mlbench.load_task(task), Locator().of(mlbench.load_task(task)))
    (task.parent / "eng-fr.eng").write_text(
        "".join((task.parent / "eng-sw.eng").read_text().splitlines(keepends=True)[:7])
    )
    other = read_collection(mlbench.load_task(task), Locator().of(mlbench.load_task(task)))
    assert whole.digest != other.digest
    sizes = {pair.languages: pair.passages for pair in other.sizes()}
    assert sizes["en", "fr"] == (7, 7)


def test_a_table_that_counts_passages_of_another_pair_is_refused(task, tmp_path):
    from dataclasses import replace

    from mlbench.common.errors import IntegrityError
    from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes, read_ranks

    ranks = mlbench.evaluate("char-ngram", task, **QUIET).table
    above = ranks.above.copy()
    row = int(np.flatnonzero(ranks.passage_language == 2)[0])
    above[row, 3] = 1
    path = tmp_path / "ranks.parquet"
    key = TaskKey("bitext", "1", "d", ("crosslingual",))
    path.write_bytes(ranks_to_bytes(replace(ranks, above=above), key))
    with pytest.raises(IntegrityError, match="its rows and its pairs of languages contradict"):
        read_ranks(path)
    path.write_bytes(ranks_to_bytes(ranks, key))
    assert read_ranks(path)[0].pairs == ranks.pairs


def test_files_of_a_pair_with_unequal_numbers_of_lines(task):
    path = task.parent / "eng-fr.fr"
    path.write_text(path.read_text() + "more\n")
    other = task.parent / "de-eng.de"
    other.write_text("one\n")
    with pytest.raises(DataError) as error:
        mlbench.evaluate("char-ngram", task, **QUIET)
    told = [f"{Path(fault.where).name}: {fault.found}" for fault in error.value.faults]
    assert told == [
        f"de-eng.eng: 9 lines, but 1 in {other}",
        f"eng-fr.fr: 8 lines, but 7 in {task.parent / 'eng-fr.eng'}",
    ]


def test_pairs_whose_queries_are_in_one_language(task):
    text = TASK.replace(
        'settings = ["',
        'query-languages = ["en"]\npassage-languages = ["de", "fr", "sw"]\nsettings = ["',
    )
    task.write_text(text)
    report = mlbench.evaluate("char-ngram", task, **QUIET)
    assert [(s.query_language, *s.passage_languages) for s in report.settings] == [
        ("en", "de"), ("en", "fr"), ("en", "sw"),
    ]  # fmt: skip
    assert str(report).count("\nde ") == 1  # its row is not printed a second time
    assert np.mean([*PAIRS.values()]) == 9
    assert chance(report) == pytest.approx(sum(1 / rank for rank in range(1, 10)) / 9)
    sample = mlbench.evaluate("char-ngram", task, sample_questions=3, **QUIET)
    assert [row.queries for row in sample.scores.settings] == [3, 3, 3]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["en", "sw"]]', '["en", "xx"]]', "field pairs: en and xx, with xx"),
        ('["en", "sw"]]', '["en", "fr"]]', "field pairs: en and fr given more than once"),
        ('["en", "sw"]]', '["fr", "en"]]', "field pairs: fr and en given more than once"),
        ('["en", "sw"]]', '["en"]]', "field pairs"),
        (', ["en", "sw"]]', "]", "field languages: sw in no pair"),
        (
            'settings = ["crosslingual"]',
            'settings = ["multilingual"]',
            "field settings: no setting",
        ),
        ("{first}-{second}.{id}", "{third}.{id}", "unknown placeholder {third}"),
    ],
)
def test_pairs_that_cannot_be(task, old, new, message):
    assert old in TASK
    task.write_text(TASK.replace(old, new))
    with pytest.raises(DataError, match=message):
        mlbench.load_task(task)
