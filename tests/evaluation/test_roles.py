"""Tasks whose queries and passages have different languages, from their files to every score."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import DataError, UsageError
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.task import Kind
from mlbench.evaluation.tasks import load_task
from mlbench.models.char_ngram import encode
from mlbench.reports.reading import chance
from tests.oracles.measures import average_precision
from tests.support.roles_task import PASSAGES, QUERIES, TASK, write_task


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_task(tmp_path)


def slow_scores(path: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    """Mean AP of each setting, from all scores of the model at once, ties against it."""
    task = load_task(path)
    data = read_collection(task, Locator().of(task))
    queries, passages = (
        each / np.linalg.norm(each, axis=1, keepdims=True)
        for each in (encode([*of.texts]).astype(float) for of in (data.queries, data.passages))
    )
    scores = queries @ passages.T
    grade = np.zeros(scores.shape, int)
    grade[data.qrels.query, data.qrels.passage] = data.qrels.relevance
    means = {}
    for setting in task.settings():
        pool = np.isin(
            data.passages.language, [data.languages.index(p) for p in setting.passage_languages]
        )
        found = []
        of_language = data.queries.slice(data.languages.index(setting.query_language))
        for q in range(of_language.start, of_language.stop):
            grades = grade[q][pool]
            if (grades > 0).any():
                order = np.lexsort((grades, -np.round(scores[q][pool], 9)))
                found.append(average_precision(grades[order].tolist()))
        means[setting.query_language, setting.passage_languages] = float(np.mean(found))
    return means


def test_settings_are_the_pairs_that_there_are(task):
    settings = load_task(task).settings()
    assert [(s.kind, s.query_language, *s.passage_languages) for s in settings] == [
        ("monolingual", "en", "en"),
        ("crosslingual", "de", "en"),
        ("crosslingual", "de", "fr"),
        ("crosslingual", "de", "sw"),
        ("crosslingual", "en", "fr"),
        ("crosslingual", "en", "sw"),
        ("multilingual", "de", "en", "fr", "sw"),
        ("multilingual", "en", "en", "fr", "sw"),
    ]


def test_every_setting_against_a_slow_program(task):
    report = mlbench.evaluate("char-ngram", task, progress=False, cache=None)
    expected = slow_scores(task)
    found = {
        (row.query_language, row.passage_languages): row.measures["AP"]
        for row in report.scores.settings
    }
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-12), key
    rows = [row for row in report.scores.settings if row.kind == "crosslingual"]
    macro = report.scores.macro["crosslingual"]["AP"].value
    assert macro == pytest.approx(np.mean([row.measures["AP"] for row in rows]), abs=1e-15)


def test_streamed_as_held(task):
    held = mlbench.evaluate("char-ngram", task, progress=False, cache=None)
    streamed = mlbench.evaluate(
        "char-ngram", task, progress=False, cache=None, streaming=mlbench.Streaming(always=True)
    )
    assert streamed.task == held.task
    assert streamed.scores == held.scores
    assert np.array_equal(streamed.table.above, held.table.above)
    found = load_task(task)
    whole = read_collection(found, Locator().of(found))
    assert stream_collection(found, Locator()).roles == whole.roles == found.roles


def test_bias_is_told_of_the_languages_that_have_it(task):
    bias = mlbench.evaluate("char-ngram", task, progress=False, cache=None).scores.bias
    assert list(bias.by_language) == ["de", "en"]
    assert [*bias.outranking["de"]] == [*bias.outranking["en"]] == ["en", "fr", "sw"]
    assert bias.same_language == bias.outranking["en"]["en"]
    assert bias.language_counts == ()
    assert bias.target_removed.by_language["de"].keys() == {"en", "fr", "sw"}


def test_a_report_cut_to_languages_is_a_run_on_them(task):
    options = {"progress": False, "cache": None}
    cut = mlbench.evaluate("char-ngram", task, languages="en,fr", **options)
    assert [*cut.task.roles.queries, *cut.task.roles.passages] == ["en", "en", "fr"]
    whole = mlbench.evaluate("char-ngram", task, **options)
    values = {(s.query_language, s.passage_languages): s.measures for s in whole.scores.settings}
    for row in cut.scores.settings:
        if row.kind != Kind.MULTILINGUAL:
            assert row.measures == values[row.query_language, row.passage_languages]
    with pytest.raises(UsageError, match="no setting has fr, sw alone\n  expected: a language"):
        mlbench.evaluate("char-ngram", task, languages="fr,sw", **options)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"en", "fr", "sw"]\nlic', '"en", "fr"]\nlic', "sw in neither query-languages nor pass"),
        ('["de", "en"]', '["de", "no"]', "query-languages: de, no\n  expected: some of the task"),
        ('["de", "en"]', '["en", "de"]', "query-languages: en, de\n  expected: some of the task"),
    ],
)
def test_roles_that_cannot_be(task, old, new, message):
    assert old in TASK
    task.write_text(TASK.replace(old, new))
    with pytest.raises(DataError, match=message):
        load_task(task)


def test_a_kind_of_setting_that_the_languages_do_not_have(task):
    text = TASK.replace('query-languages = ["de", "en"]', 'query-languages = ["de"]')
    task.write_text(text.replace("measures", 'settings = ["monolingual"]\nmeasures'))
    with pytest.raises(DataError, match="field settings: no setting, because no languages fit"):
        load_task(task)


def test_a_query_of_a_language_that_only_passages_have(task):
    path = task.parent / "queries.jsonl"
    path.write_text(path.read_text().replace('"language": "de"', '"language": "fr"', 1))
    with pytest.raises(DataError, match="query 'de0' has language 'fr'\n  expected: one of de, en"):
        mlbench.evaluate("char-ngram", task, progress=False)


def test_passages_in_a_language_that_has_none(task):
    (task.parent / "sw.corpus.jsonl").write_text("")
    with pytest.raises(DataError, match="at least one passage in every language"):
        mlbench.evaluate("char-ngram", task, progress=False)


def test_a_report_of_it_is_read_again(task, tmp_path):
    report = mlbench.evaluate("char-ngram", task, progress=False, cache=None)
    folder = report.save(tmp_path / "report")
    assert mlbench.read_report(folder).scores == report.scores
    assert len(mlbench.compare([folder, folder]).scores) > 0


def test_parallel_queries_of_a_language_without_passages(task):
    """The message says which field a task file needs."""
    text = TASK.replace('query-languages = ["de", "en"]\n', "").replace(
        'passage-languages = ["en", "fr", "sw"]\n', ""
    )
    task.write_text(f'{text}[source.options]\nrelevance = "parallel"\n')
    (task.parent / "de.corpus.jsonl").write_text("")
    (task.parent / "de.qrels.tsv").write_text("query-id\tcorpus-id\tscore\nde0\tp0\t1\n")
    with pytest.raises(DataError) as caught:
        mlbench.evaluate("char-ngram", task, progress=False)
    faults = {fault.where: fault for fault in caught.value.faults}
    assert faults["language 'de'"].found == "no passage at all"
    assert faults["language 'de'"].mend.endswith("languages of the others in passage-languages")
    assert faults["language 'fr'"].mend.endswith("languages of the others in query-languages")


def test_a_sample_needs_questions_of_the_languages_that_ask_alone(task):
    options = {"progress": False, "cache": None}
    whole = mlbench.evaluate("char-ngram", task, **options)
    sample = mlbench.evaluate("char-ngram", task, sample_questions=9, **options)
    ids = sorted(
        (f"{code}{i}" for code, count in QUERIES.items() for i in range(count)),
        key=lambda id_: hashlib.sha256(id_.encode()).digest(),
    )[:9]
    asked = [id_[:2] for id_ in ids]
    assert {*asked} == {*QUERIES}
    every = {
        row.query_language: row.queries
        for row in whole.scores.settings
        if row.kind == Kind.MULTILINGUAL
    }
    assert every == QUERIES
    for row in sample.scores.settings:
        if row.kind == Kind.MULTILINGUAL:
            assert row.queries == asked.count(row.query_language)
            assert row.passage_languages == tuple(PASSAGES)
    with pytest.raises(UsageError, match="every language of the queries"):
        mlbench.evaluate("char-ngram", task, sample_questions=1, **options)


def test_a_random_order_of_all_passages_where_no_language_is_searched_alone(task):
    options = {"progress": False, "cache": None}
    of_a_language = sum(PASSAGES.values()) // len(PASSAGES)
    for settings, size in (("", of_a_language), ('settings = ["multilingual"]\n', 21)):
        task.write_text(TASK.replace("measures = ", f"{settings}measures = "))
        random = sum(1 / rank for rank in range(1, size + 1)) / size
        assert chance(mlbench.evaluate("char-ngram", task, **options)) == pytest.approx(random)
