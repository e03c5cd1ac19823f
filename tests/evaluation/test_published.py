"""Headline figures of published protocols on real data, computed again as they publish them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import mlbench
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.models.char_ngram import encode
from tests.oracles.published import (
    XtremePool,
    mewslix_mrr,
    mewslix_passage,
    mewslix_query,
    xtreme_average_precision,
)
from tests.support.mewsli import QUERIES, made, write_small

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


def test_xtreme_r_s_reciprocal_rank_of_mewsli_x(tmp_path: Path) -> None:
    """On made files with many equal texts; scores that tie rank the mention's entity last."""
    candidates, articles = made(5)
    lost = articles[0]["mentions"][0]
    lost["entity_id"] = "Q404"
    path, options = write_small(tmp_path, candidates, articles), {"cache": None, "progress": False}
    report = mlbench.evaluate("char-ngram", path, **options)
    by_shards = mlbench.Streaming(always=True, work=tmp_path / "work")
    streamed = mlbench.evaluate("char-ngram", path, streaming=by_shards, **options)
    assert (streamed.scores, streamed.task) == (report.scores, report.task)
    assert np.array_equal(streamed.table.above, report.table.above)
    assert streamed.warnings == report.warnings
    vectors = encode([mewslix_passage(entity) for entity in candidates]).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    per_language, tied = {}, 0
    for language in QUERIES:
        gold, predictions = {}, {}
        for row in articles:
            context = row["context"]
            for mention in row["mentions"] if context["language"] == language else ():
                spans = context["sentence_spans"]
                query = mewslix_query(context["text"], spans, mention["mention_span"])
                if mention is lost:
                    continue
                scores = np.round(vectors @ encode([query])[0], 9)
                entities = [
                    (-score, entity["entity_id"] == mention["entity_id"], entity["entity_id"])
                    for score, entity in zip(scores.tolist(), candidates, strict=True)
                ]
                own = next(score for score, is_gold, _ in entities if is_gold)
                tied += sum(score == own for score, _, _ in entities) > 1
                gold[mention["example_id"]] = mention["entity_id"]
                predictions[mention["example_id"]] = [id_ for _, _, id_ in sorted(entities)]
        per_language[language] = mewslix_mrr(gold, predictions, 20)
    assert tied > 15
    found = {
        row.query_language: row.measures["RR@20"]
        for row in report.scores.settings
        if row.kind == "multilingual"
    }
    assert found == pytest.approx(per_language, abs=1e-12)
    macro = sum(per_language.values()) / len(per_language)
    assert report.macro["multilingual"]["RR@20"] == pytest.approx(macro, abs=1e-12)
    assert 0 < macro < 1
    assert any(
        "1 judgement names a passage that is not in the corpus" in w for w in report.warnings
    )


TATOEBA = {"ka": "kat", "sw": "swh", "ta": "tam", "te": "tel"}


def similarity_search(asked: Vector, searched: Vector) -> float:
    """XTREME-R's accuracy: the share of queries whose nearest line is the one of their own number.

    The dot products of normalised float32 vectors, in float64; a line that scores as its rival is
    not the nearest.
    """
    scores = asked.astype(np.float64) @ searched.astype(np.float64).T
    own = np.diagonal(scores)[:, np.newaxis]
    return float(np.mean((scores >= own).sum(1) == 1))


def test_xtreme_r_s_similarity_search(data_dir: Path) -> None:
    folder, expected = data_dir / "tatoeba", {}
    for code, name in TATOEBA.items():
        vectors = []
        for side in ("eng", name):
            text = (folder / f"tatoeba.{name}-eng.{side}").read_text(encoding="utf-8")
            vectors.append(np.stack([of_length_one(v) for v in encode(text.splitlines())]))
        expected["en", code] = similarity_search(*vectors)
        expected[code, "en"] = similarity_search(*vectors[::-1])
    report = mlbench.evaluate(
        "char-ngram", "xtreme-r-tatoeba", languages=["en", *TATOEBA], data_dir=data_dir,
        offline=True, cache=None, progress=False,
    )  # fmt: skip
    found = {
        (row.query_language, *row.passage_languages): row.measures["Success@1"]
        for row in report.scores.settings
    }
    assert found == pytest.approx(expected, abs=1e-15)
    macro = np.mean([expected["en", code] for code in TATOEBA])
    assert report.scores.directions["from-en"]["Success@1"].value == pytest.approx(macro, abs=1e-15)


def test_the_pairs_of_tatoeba(data_dir: Path) -> None:
    task = find_task("xtreme-r-tatoeba")
    data = read_collection(task, Locator(data_dir, offline=True).of(task))
    sizes = {pair.languages: pair.queries for pair in data.sizes()}
    assert len(sizes) == 41
    assert all(one == other for one, other in sizes.values())
    smaller = {pair[0]: size[0] for pair, size in sizes.items() if size[0] != 1000}
    assert smaller == {
        "jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548
    }  # fmt: skip
    assert len(data.queries) == len(data.passages) == 2 * 36_692
    assert german_and_english(data, [0, 9, 999]) == [
        ("Maria sagte, sie wisse nicht, wo Tom sei.", "Mary said she didn't know where Tom was."),
        ("Maria glaubt, ich würde sie lieben.", "Mary thinks I love her."),
        ("Kann ich mit Kreditkarte bezahlen?", "Can I pay by credit card?"),
    ]


def german_and_english(data: Collection, lines: list[int]) -> list[tuple[str, str]]:
    """Return these lines of the pair of both languages, each as a query and as a passage."""
    pair = data.pairs.index(("de", "en"))
    sides = []
    for entries, code in ((data.queries, "de"), (data.passages, "en")):
        own = entries.of_pair(data.languages.index(code), pair)
        assert entries.ids[own] == tuple(f"de-en/{n}" for n in range(1, 1001))
        sides.append([entries.texts[own][line] for line in lines])
    return [*zip(*sides, strict=True)]
