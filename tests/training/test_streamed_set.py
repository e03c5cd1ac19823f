"""Training sets in shards: the same rows as of the whole collection, which is read at once here."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from mlbench import evaluate
from mlbench.common.errors import DataError, EnvironmentFault, UsageError
from mlbench.data.locator import Locator
from mlbench.data.overlap_record import read_overlaps
from mlbench.data.readers import read_collection
from mlbench.data.sampling import cut_to_languages
from mlbench.evaluation.options import Options
from mlbench.evaluation.tasks import load_task
from mlbench.training import overlap as overlap_module
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.overlap import overlap, overlaps
from mlbench.training.similar_texts import jaccard
from mlbench.training.training_set import training_set

LANGUAGES = ("de", "en", "sw")
HEADER = "query-id\tcorpus-id\tscore\n"
TASK = """
name = "shards"
version = "1"
title = "Shards"
languages = ["de", "en", "sw"]
licence = "CC0-1.0"
citation = "none"
[source]
reader = "beir"
[source.files]
corpus = "{language}/corpus-{shard}.jsonl"
queries = "{language}/queries.jsonl"
qrels = "QRELS"
[source.shards]
de = 2
en = 2
sw = 2
[source.options]
relevance = "RELEVANCE"
"""
STUDY = """
name = "many"
title = "Many"
question = "Many?"
tasks = ["PATH"]
seeds = [1]
[train]
data = "PATH"
steps = 2
[grid]
alpha = [0, 1]
"""


def text_of(chance, language, number):
    """One text in eight is that of another number, so that some are the same."""
    number = number if chance.random() < 0.875 else number + 1
    return f"{language} sentence of the number {number}, with some more words"


def make_task(folder, relevance):
    """20 questions and 90 passages, not all in every language; 60 of the passages are judged."""
    chance = np.random.default_rng(5)
    for language in LANGUAGES:
        (folder / language).mkdir(parents=True)
        there = {role: chance.random(90) < 0.9 for role in ("queries", "corpus")}
        there["queries"][20:] = False
        for role, present in there.items():
            numbers = np.flatnonzero(present).tolist()
            parts = [numbers] if role == "queries" else [numbers[:25], numbers[25:]]
            for part, some in enumerate(parts):
                name = "queries.jsonl" if role == "queries" else f"corpus-{part}.jsonl"
                lines = (
                    json.dumps({"_id": f"{role[0]}{n}", "text": text_of(chance, language, n)})
                    for n in some
                )
                (folder / language / name).write_text("".join(f"{line}\n" for line in lines))
        rows = [(f"q{q}", f"c{q * 3 + i}", i % 2) for q in range(20) for i in range(3)]
        if relevance == "same-language":
            rows = [
                row for row in rows
                if there["queries"][int(row[0][1:])] and there["corpus"][int(row[1][1:])]
            ]  # fmt: skip
        content = "".join(f"{q}\t{p}\t{grade}\n" for q, p, grade in rows)
        for name in (f"{language}/qrels.tsv", "qrels.tsv"):
            (folder / name).write_text(HEADER + content)
    qrels = "qrels.tsv" if relevance == "parallel" else "{language}/qrels.tsv"
    path = folder / "shards.toml"
    path.write_text(TASK.replace("QRELS", qrels).replace("RELEVANCE", relevance))
    return path


@pytest.fixture(params=["parallel", "same-language"], scope="module")
def both(request, tmp_path_factory):
    """The file of a task in shards, and its collection, held."""
    path = make_task(tmp_path_factory.mktemp("shards"), request.param)
    task = load_task(path)
    return path, read_collection(task, Locator().of(task))


def rows_of(data, pair):
    """All rows of two languages: texts, negatives, and the numbers of both."""
    rows = data.rows(*pair)
    every = np.arange(len(rows.query))
    wrong = data.negatives(*pair, every) or [[]] * len(every)
    return sorted(zip(*data.texts(*pair, every), map(sorted, wrong), *rows, strict=True))


@pytest.mark.parametrize("chosen", [LANGUAGES, ("de", "sw")])
def test_rows_texts_and_negatives_are_those_of_the_collection_held(both, chosen):
    path, whole = both
    held = TrainingSet.of("shards", cut_to_languages(whole, chosen))
    streamed = training_set(path, languages=chosen, progress=False)
    assert streamed.languages == held.languages == chosen
    some = 0
    for pair in itertools.product(chosen, chosen):
        ours, theirs = rows_of(streamed, pair), rows_of(held, pair)
        some += len(ours)
        assert [row[:3] for row in ours] == [row[:3] for row in theirs]
        for place in (3, 4):  # what shares a number does so in the held one, too
            linked = {(row[place], wanted[place]) for row, wanted in zip(ours, theirs, strict=True)}
            assert len(linked) == len({number for number, _ in linked})
            if streamed.collection.qrels.query.size == 0:  # between all languages: all of it does
                assert len(linked) == len({number for _, number in linked})
    assert some > 20
    assert sorted(streamed.every_text()) == sorted(
        (role, language, text) for role, language, text in held.every_text()
    )


def test_only_what_is_judged_is_held(both):
    path, whole = both
    data = training_set(path, progress=False)
    judged = {whole.passages.texts[i] for i in whole.qrels.passage.tolist()}
    assert set(data.collection.passages.texts) <= judged
    assert len(data.collection.passages) < 0.8 * len(whole.passages)
    assert len(data.collection.qrels.query) in (0, len(whole.qrels.query))
    again = training_set(path, progress=False)
    assert data.digest == again.digest != training_set(path, languages="de,en").digest
    copy = pickle.loads(pickle.dumps(data))
    assert np.array_equal(copy.rows("de", "en").query, data.rows("de", "en").query)


def test_nothing_judged_in_any_shard_is_told(tmp_path):
    path = make_task(tmp_path, "parallel")
    (tmp_path / "qrels.tsv").write_text(HEADER + "q1\tnowhere\t1\nq2\tnowhere\t1\n")
    with pytest.raises(DataError, match="language 'de': no passage that its judgements name"):
        training_set(path, progress=False)


def test_the_overlap_with_a_streamed_task_is_that_with_the_same_task_held(both, monkeypatch):
    path, whole = both
    data = training_set(path, languages="de,en", progress=False)
    streamed = overlap(data, path, progress=False)
    monkeypatch.setattr(overlap_module, "streams", lambda task, options: False)
    monkeypatch.setattr("mlbench.load_collection", lambda task, options: whole, raising=False)
    held = overlap(data, path, progress=False)
    assert replace(streamed, examples=()) == replace(held, examples=())
    for ours, theirs in zip(streamed.examples, held.examples, strict=True):
        assert (ours.text, ours.similarity) == (theirs.text, theirs.similarity)
        assert jaccard(ours.text, ours.training_text) == pytest.approx(ours.similarity, abs=1e-4)
    assert streamed.total("passage").near > 0
    assert streamed.total("query").exact > 0


def test_parts_of_a_set_are_compared_with_a_streamed_task_in_one_pass(both):
    path, _ = both
    sets = [training_set(path, languages=codes, progress=False) for codes in ("de", "de,en", "en")]
    found = overlaps(sets, path, progress=False)
    assert found == [overlap(data, path, progress=False) for data in sets]
    assert len({each.total() for each in found}) > 1


def test_a_training_and_a_study_measure_the_overlap_with_a_task_in_shards(both, tmp_path):
    pytest.importorskip("sentence_transformers")
    from mlbench.training.studies.plan import load_study
    from mlbench.training.studies.work import measured_overlap
    from mlbench.training.trainer import train

    path, _ = both
    wanted = overlap(training_set(path, languages="de", progress=False), path, progress=False)
    small = {"steps": 2, "batch_size": 4, "dimension": 8, "vocabulary": 300, "languages": ["de"]}
    given = {"data": str(path), "alpha": 1.0, "evaluate": str(path), "evaluate_every": 2}
    record = train({**given, **small, "output": str(tmp_path / "model")}, Options(progress=False))
    assert read_overlaps(tmp_path / "model" / "training.json") == [wanted]
    assert wanted.warning in record.notes
    streamed = evaluate(str(tmp_path / "model"), path, progress=False, cache=None)
    assert f"the training set shards {wanted.fault.found}." in streamed.warnings[0]
    with pytest.raises(DataError, match=re.escape(wanted.fault.found)):
        train({**given, **small, "output": str(tmp_path / "no")}, Options(strict=True))
    (tmp_path / "many.toml").write_text(STUDY.replace("PATH", str(path)))
    study = load_study(tmp_path / "many.toml")
    whole = overlap(training_set(path, progress=False), path, progress=False)
    assert measured_overlap(study, tmp_path / "done", Options(progress=False)) == [whole.warning]
    assert read_overlaps(tmp_path / "done" / "overlap.json") == [whole]


def test_evaluation_in_training_takes_all_of_a_task_in_shards(both):
    pytest.importorskip("sentence_transformers")
    from mlbench.training.evaluator import RetrievalEvaluator

    path, _ = both
    figures = RetrievalEvaluator(path, questions=2)("char-ngram")
    whole = evaluate("char-ngram", path, progress=False, cache=None)
    assert figures["shards_multilingual_AP"] == whole.macro["multilingual"]["AP"]
    with pytest.raises(UsageError, match="--sample-passages: task 'shards' is streamed"):
        RetrievalEvaluator(path, passages=3)


def test_ids_of_ir_datasets_with_a_place_for_the_language_are_a_training_set(tmp_path, monkeypatch):
    pytest.importorskip("ir_datasets")
    pytest.importorskip("sentence_transformers")
    from mlbench.training.config import train_config
    from mlbench.training.studies.plan import load_study
    from mlbench.training.studies.work import check_arms, measured_overlap
    from mlbench.training.trainer import Opened
    from tests.data.readers.test_irds import register_each

    spec, quiet = f"ir_datasets:{register_each('de', 'en', 'fr')}", Options(progress=False)
    data = training_set(spec, languages="de,fr", progress=False)
    first, second = rows_of(data, ("de", "fr"))
    assert first[:3] == ("what?", "fr  two", ["fr T one"])
    assert second[:3] == ("who?", "fr U three", [])
    given = {"data": spec, "alpha": 0, "steps": 2, "batch_size": 2}
    config = train_config(given={**given, "languages": ["de", "fr"], "output": str(tmp_path)})
    assert Opened.of(config, quiet).plan.languages == ("de", "fr")
    with pytest.raises(UsageError, match="no languages are given"):
        Opened.of(train_config(given={**given, "output": str(tmp_path)}), quiet)
    text = STUDY.replace('tasks = ["PATH"]', 'tasks = ["sample"]').replace("PATH", spec)
    text = text.replace("alpha = [0, 1]", 'languages = [["de"], ["de", "fr"]]')
    (tmp_path / "many.toml").write_text(text.replace("steps = 2", "steps = 2\nbatch_size = 2"))
    study = load_study(tmp_path / "many.toml", {"alpha": 1})
    check_arms(study, quiet, data=True)
    assert measured_overlap(study, tmp_path / "done", quiet) == []
    seen, german = read_overlaps(tmp_path / "done" / "overlap.json")
    assert (seen.training, seen.training_texts) == (data.name, 2 + 3 * 2)
    assert (seen.training_languages, german.training_languages) == (("de", "fr"), ("de",))
    config = train_config(given={**given, "languages": ["de"], "alpha": 1, "output": "x"})
    assert german.training_digest == Opened.of(config, quiet).data.digest
    (tmp_path / "many.toml").write_text(
        (tmp_path / "many.toml").read_text().replace('["de", "fr"]', '["de", "fr", "en"]')
    )
    more = load_study(tmp_path / "many.toml", {"alpha": 1})
    measured_overlap(more, tmp_path / "done", quiet)  # of one more language
    measured_overlap(more, tmp_path / "done", quiet)
    every = read_overlaps(tmp_path / "done" / "overlap.json")
    assert every[:2] == [seen, german]
    assert [len(each.training_languages) for each in every] == [2, 1, 3]
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(EnvironmentFault, match="the package ir_datasets is not installed"):
        training_set(spec, languages="de,fr", progress=False)


def test_of_a_place_for_the_language_each_order_is_counted_by_itself(tmp_path):
    """The ids are read in this order, so the data has another digest, which records go by."""
    pytest.importorskip("ir_datasets")
    pytest.importorskip("sentence_transformers")
    from mlbench.training.config import train_config
    from mlbench.training.studies.plan import load_study
    from mlbench.training.studies.work import measured_overlap
    from mlbench.training.trainer import Opened
    from tests.data.readers.test_irds import register_each

    spec, quiet = f"ir_datasets:{register_each('de', 'fr')}", Options(progress=False)
    text = STUDY.replace('tasks = ["PATH"]', 'tasks = ["sample"]').replace("PATH", spec)
    text = text.replace("steps = 2", "steps = 2\nbatch_size = 2")
    path, orders = tmp_path / "many.toml", (["de", "fr"], ["fr", "de"])

    def digests(*orders):
        path.write_text(text.replace("alpha = [0, 1]", f"languages = {[*orders, ['de']]}"))
        measured_overlap(load_study(path, {"alpha": 1}), tmp_path / "done", quiet)
        found = read_overlaps(tmp_path / "done" / "overlap.json")
        return [each.training_digest for each in found]

    given = {"data": spec, "alpha": 1, "steps": 2, "batch_size": 2, "output": "x"}
    trained = [
        Opened.of(train_config(given={**given, "languages": codes}), quiet).data.digest
        for codes in (*orders, ["de"])
    ]
    first, second, german = trained
    assert digests(orders[0]) == [first, german]
    assert digests(*orders) == [first, german, second]  # only what is new
    assert len({*trained}) == 3
