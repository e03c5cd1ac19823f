"""Headline figures of published protocols on real data, computed again as they publish them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import mlbench
from mlbench.data.catalog import find_task
from tests.oracles.published import XtremePool, xtreme_average_precision

Vector = npt.NDArray[np.float32]
STRIDE = 10
"""The slow program ranks every tenth question."""


def of_length_one(vector: npt.NDArray[np.float64]) -> Vector:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class Acquainted:
    """A model that knows a vector for each text of a pool: those of questions and their answers
    are alike in all languages, apart from much noise."""

    name = "acquainted"

    def __init__(self, pool: XtremePool) -> None:
        draw = np.random.default_rng(7)
        about = {id_: draw.normal(size=64) for id_ in pool.answers}
        passages = draw.normal(size=(len(pool.texts), 64)) * 1.5
        for id_, answers in pool.answers.items():
            passages[sorted(answers)] += about[id_]
        self.passages = dict(zip(pool.texts, map(of_length_one, passages), strict=True))
        self.queries = {
            text: of_length_one(about[id_] + draw.normal(size=64))
            for (_, id_), text in pool.questions.items()
        }

    def encode_queries(self, texts: list[str], language: str) -> Vector:
        return np.stack([self.queries[text] for text in texts])

    def encode_passages(self, texts: list[str], language: str) -> Vector:
        return np.stack([self.passages[text] for text in texts])


def of_language(report: mlbench.Report, language: str) -> dict[str, float]:
    return report.per_query("multilingual", language, measures="AP@20").scores()["AP@20"]


def test_xtreme_r_s_average_precision(data_dir: Path) -> None:
    pool, languages = XtremePool(), find_task("xtreme-r-lareqa").languages
    for language in languages:
        path = data_dir / "lareqa" / "xquad-r" / f"{language}.json"
        pool.add(language, json.loads(path.read_text(encoding="utf-8")))
    model = Acquainted(pool)
    report = mlbench.evaluate(model, "xtreme-r-lareqa", data_dir=data_dir, offline=True, cache=None)
    candidates = model.encode_passages(pool.texts, "").astype(np.float64)
    expected = {}
    for language, id_ in list(pool.questions)[::STRIDE]:
        scores = candidates @ model.queries[pool.questions[language, id_]].astype(np.float64)
        ranked = scores.argsort()[::-1].tolist()
        expected[language, id_] = xtreme_average_precision(pool.answers[id_], ranked, 20)

    found = {
        (language, id_): value
        for language in languages
        for id_, value in of_language(report, language).items()
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert len({*expected.values()}) > 500
    assert len(found) == 13_090
    mean = np.mean([*found.values()])
    assert next(iter(report.measures)) == "AP@20"
    assert report.macro["multilingual"]["AP@20"] == pytest.approx(mean, abs=1e-12)
    assert 0.2 < mean < 0.8
