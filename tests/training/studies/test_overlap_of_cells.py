"""The record of each model of a study tells of the overlap with what that model was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlbench.data.overlap_record import read_overlaps
from mlbench.evaluation.options import Options
from mlbench.training.similar_texts import TextIndex, jaccard, plain
from mlbench.training.studies.plan import load_study
from mlbench.training.studies.run import carry_out_one, jobs
from mlbench.training.studies.work import OVERLAP_FILE, measured_overlap, work_with

pytest.importorskip("sentence_transformers")
OPTIONS = Options(progress=False, offline=True)
CODES = ("de", "en", "es")
TASK = """
name = "NAME"
version = "1"
title = "Rows"
languages = ["de", "en", "es"]
licence = "CC0-1.0"
citation = "none"
[source]
reader = "rows"
[source.files]
rows = "NAME-{language}.jsonl"
[source.options]
query = "q"
passage = "a"
query-id = "id"
passage-id = "id"
"""
STUDY = """
name = "parts"
title = "Parts of a training set"
question = "Of what does each record tell?"
tasks = ["test.toml"]
seeds = [1]

[train]
data = "train.toml"
base = "static"
alpha = 1
batch_size = 4
steps = 2
dimension = 8
vocabulary = 200

[grid]
languages = [["de"], ["es", "en"], ["en", "de"]]
"""
WORDS = ["river", "stone", "bridge", "garden", "window", "market", "winter", "candle"]
Rows = dict[str, list[tuple[str, str]]]


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Rows, Rows]:
    """Pairs of each language that are trained on, and those that are evaluated, some the same."""
    chance = np.random.default_rng(3)

    def text(code: str) -> str:
        return " ".join([code, *chance.choice(WORDS, 8)])

    train = {code: [(text(code), text(code)) for _ in range(12)] for code in CODES}
    test = {code: [(text(code), text(code)) for _ in range(8)] for code in CODES}
    for count, code in enumerate(CODES, 1):
        for i in range(count):
            test[code][i] = (train[code][i][0].upper(), train[code][i + 4][1] + "s")
    test["es"][5] = (train["de"][7][1], train["en"][7][0])  # of other languages than its own
    for name, pairs in (("train", train), ("test", test)):
        (tmp_path / f"{name}.toml").write_text(TASK.replace("NAME", name))
        for code, own in pairs.items():
            lines = (json.dumps({"id": f"{i}", "q": q, "a": a}) for i, (q, a) in enumerate(own))
            (tmp_path / f"{name}-{code}.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "parts.toml").write_text(STUDY)
    return train, test


def slowly(train: Rows, test: Rows, languages: tuple[str, ...]) -> set[tuple[object, ...]]:
    """Role, language, texts, exact and near ones of a model that was trained on some languages."""
    texts = {text for code in languages for pair in train[code] for text in pair}
    same, counts = {plain(text) for text in texts}, set()
    for code, pairs in test.items():
        for role, own in zip(("query", "passage"), zip(*pairs, strict=True), strict=True):
            exact = [text for text in own if plain(text) in same]
            near = [text for text in own if any(jaccard(text, one) >= 0.8 for one in texts)]
            counts.add((role, code, len(own), len(exact), len(near) - len(exact)))
    return counts


def test_each_record_has_the_counts_of_a_slow_comparison_with_its_own_languages(
    tmp_path, rows, monkeypatch
):
    train, test = rows
    compared: list[str] = []
    similar = TextIndex.similar
    monkeypatch.setattr(
        TextIndex, "similar", lambda self, texts: compared.extend(texts) or similar(self, texts)
    )
    study, folder = load_study(tmp_path / "parts.toml"), tmp_path / "done"
    (said,) = measured_overlap(study, folder, OPTIONS)
    assert len(compared) == len({*compared}) == 3 * 12 * 2
    whole = slowly(train, test, CODES)
    exact, near = (sum(count[i] for count in whole) for i in (3, 4))
    assert f"holds {exact} of the 48 questions and passages of test, and {near} more" in said
    for job in jobs(study, folder, work_with(OPTIONS, overlaps=folder / OVERLAP_FILE)):
        carry_out_one(job)
    found = {}
    for path in folder.glob("cells/*/seed-1/training.json"):
        (told,) = read_overlaps(path)
        found[told.training_languages] = told
        counts = {(c.role, c.language, c.texts, c.exact, c.near) for c in told.counts}
        assert counts == slowly(train, test, told.training_languages)
        assert json.loads(path.read_text())["plan"]["languages"] == [*told.training_languages]
    assert {*found} == {("de",), ("en", "es"), ("de", "en")}
    assert len({each.total() for each in found.values()}) == 3
    assert len(compared) == 3 * 12 * 2  # nothing was counted again


def test_only_languages_that_an_arm_trains_on_are_counted(tmp_path, rows):
    train, test = rows
    path = tmp_path / "parts.toml"
    path.write_text(STUDY.replace('[["de"], ["es", "en"], ["en", "de"]]', '[["de"], ["de", "en"]]'))
    study, folder = load_study(path), tmp_path / "done"
    measured_overlap(study, folder, OPTIONS)
    widest, german = read_overlaps(folder / OVERLAP_FILE)
    for found, languages in ((widest, ("de", "en")), (german, ("de",))):
        assert found.training_languages == languages
        counts = {(c.role, c.language, c.texts, c.exact, c.near) for c in found.counts}
        assert counts == slowly(train, test, languages)


def test_what_is_evaluated_in_training_is_not_counted_again(tmp_path, rows, monkeypatch):
    path = tmp_path / "parts.toml"
    text = STUDY.replace("alpha = 1\n", 'alpha = 1\nevaluate = "TASK"\nevaluate_every = 2\n')
    path.write_text(text.replace("TASK", str(tmp_path / "test.toml")))
    study, folder = load_study(path), tmp_path / "done"
    measured_overlap(study, folder, OPTIONS)
    monkeypatch.setattr("mlbench.training.overlap.overlap", None)
    job = next(iter(jobs(study, folder, work_with(OPTIONS, overlaps=folder / OVERLAP_FILE))))
    carry_out_one(job)
    (told,) = read_overlaps(job.folder / "training.json")
    assert told.training_languages == ("de",)
