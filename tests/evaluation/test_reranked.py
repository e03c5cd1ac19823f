"""Reranked runs from the texts to every score, by Python and by the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import ModelError, UsageError
from mlbench.evaluation.planning import planned_pairs
from mlbench.models.char_ngram import encode
from mlbench.runs.patterns import EXAMPLE
from tests.oracles.scores import exact_score
from tests.runs.building import scored
from tests.support.command_line import done
from tests.support.command_line import mlbench as command
from tests.support.pairs_task import write_pairs

QUIET: dict[str, Any] = {"progress": False, "cache": None}
CODE = """
import numpy as np
class Shared:
    name = "shared-letters"
    def score_pairs(self, queries, passages):
        return np.array([len({*q} & {*p}) / len({*p}) for q, p in zip(queries, passages)])
"""


class Shared:
    name = "shared-letters"

    def score_pairs(self, queries: list[str], passages: list[str]) -> np.ndarray:
        return np.array([shared(q, p) for q, p in zip(queries, passages, strict=True)])


def shared(query: str, passage: str) -> float:
    return len({*query} & {*passage}) / len({*passage})


@pytest.fixture(scope="module")
def report() -> mlbench.Report:
    return mlbench.evaluate("char-ngram", "sample", rerank=Shared(), depth=3, **QUIET)


@pytest.fixture(scope="module")
def saved(report: mlbench.Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the saved report."""
    return report.save(tmp_path_factory.mktemp("saved") / "reranked")


def slow_reciprocal_ranks(query_language: str, pool: list[str], depth: int) -> list[float]:
    """RR of each query of the sample, by sorting the pool; ties count against the model."""
    data = mlbench.load_collection("sample", progress=False)
    queries, passages = data.queries, data.passages

    def unit(texts: tuple[str, ...]) -> np.ndarray:
        rows = encode(list(texts)).astype(np.float64)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    vectors = unit(passages.texts)
    asked = queries.slice(data.languages.index(query_language))
    found = []
    for query in range(asked.start, asked.stop)[:8]:
        relevant = {*data.qrels.passage[data.qrels.query == query].tolist()}
        (vector,) = unit((queries.texts[query],))
        ranking = []
        for code in pool:
            part = passages.slice(data.languages.index(code))
            first = {p: exact_score(vector, vectors[p]) for p in range(part.start, part.stop)}
            by_name = sorted(first, key=passages.ids.__getitem__, reverse=True)
            order = sorted(by_name, key=lambda p: (-first[p], p in relevant))
            again = {p: np.float32(shared(queries.texts[query], passages.texts[p]))
                     for p in order[:depth]}  # fmt: skip
            ranking += [((p not in again), -again.get(p, first[p]), p in relevant) for p in first]
        ranks = [rank for rank, key in enumerate(sorted(ranking), 1) if key[2]]
        found.append(1 / ranks[0])
    return found


@pytest.mark.parametrize(("language", "pool"), [("en", ["en"]), ("en", ["de"]), ("ar", [])])
def test_ranks_equal_those_of_a_slow_program(
    report: mlbench.Report, language: str, pool: list[str]
) -> None:
    codes = pool or list(report.task.languages)
    ranking = report.table.ranking(language, codes)
    got = [1 / ranking.rank[start] for start in ranking.starts[:-1].tolist()]
    ids = [report.table.query_ids[q] for q in ranking.query.tolist()]
    data = mlbench.load_collection("sample", progress=False)
    asked = data.queries.slice(data.languages.index(language))
    expected = slow_reciprocal_ranks(language, codes, 3)
    wanted = data.queries.ids[asked][: len(expected)]
    assert [got[ids.index(name)] for name in wanted] == expected


def test_both_stages_stand_in_the_report(report: mlbench.Report) -> None:
    first = mlbench.evaluate("char-ngram", "sample", **QUIET)
    made = report.reranking
    assert made is not None
    assert report.model.name == "char-ngram-then-shared-letters-3"
    assert made.macro == first.scores.macro
    assert made.rank_distance == first.scores.bias.rank_distance
    assert report.scores.macro != first.scores.macro
    assert (made.depth, made.pairs, made.cached) == (3, 352 * 11 * 3, 0)
    assert report.model.identity != first.model.identity
    assert "first stage" in str(report)


def test_a_report_is_read_as_it_was_saved(report: mlbench.Report, saved: Path) -> None:
    read = mlbench.read_report(saved)
    assert read == report
    page = (saved / "report.html").read_text()
    assert "Reranking" in page
    assert "shared-letters put the first 3 passages" in page


def test_all_of_a_pool_may_be_reranked_and_more() -> None:
    size = int(mlbench.load_collection("sample", progress=False).passages.counts.max())
    one, more = (
        mlbench.evaluate("random", "sample", rerank=Shared(), depth=n, languages="en,de", **QUIET)
        for n in (size, 10_000)
    )
    assert one.scores.settings == more.scores.settings


def test_pairs_of_languages_are_reranked(tmp_path: Path) -> None:
    task = write_pairs(tmp_path)
    report = mlbench.evaluate("char-ngram", task, rerank=Shared(), depth=2, **QUIET)
    planned = planned_pairs(mlbench.load_task(task), mlbench.Options(rerank=Shared(), depth=2))
    assert report.reranking is not None
    assert report.reranking.pairs == planned == 2 * 2 * (9 + 7 + 11)
    assert "from-en" in report.scores.directions


def test_a_saved_run_holds_the_reranked_order(tmp_path: Path) -> None:
    task = write_pairs(tmp_path)
    for name, given in (("sample", {"languages": "en,de"}), (task, {})):
        folder = tmp_path / Path(name).stem
        measures = ("RR@5", "nDCG@5")
        given |= {"measures": measures, "rerank": Shared(), "depth": 3, **QUIET}
        report = mlbench.evaluate("char-ngram", name, save_run=5, folder=folder, **given)
        data = mlbench.load_collection(name, languages=given.get("languages"), progress=False)
        text = gzip.decompress((folder / "runs/en-de.trec.gz").read_bytes()).decode()
        (tag,) = {line.split()[-1] for line in text.splitlines()}
        assert tag == "char-ngram-then-shared-letters-3.top5"
        found = scored(data, [folder / EXAMPLE], measures)
        expected = {(s.query_language, s.passage_languages): {m: s.measures[m] for m in measures}
                    for s in report.scores.settings}  # fmt: skip
        both = [(s.measures, expected[s.query_language, s.passage_languages])
                for s in found.scores.settings if s.queries]  # fmt: skip
        assert len(both) >= 2
        assert all(one == pytest.approx(other, abs=1e-9) for one, other in both)


def test_the_command_writes_a_report_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CODE)
    asked = ("run", "--model", "char-ngram", "--task", "sample", "--languages", "en,de",
             "--rerank", "own.py:Shared", "--depth", "2")  # fmt: skip
    said = done(*asked, cwd=tmp_path)
    assert "shared-letters put the first 2 passages" in said
    (path,) = tmp_path.rglob("report.json")
    assert path.relative_to(tmp_path).parts[1] == "char-ngram-then-shared-letters-2"
    assert json.loads(path.read_text())["reranking"]["depth"] == 2
    planned = json.loads(done(*asked, "--dry-run", "--json", cwd=tmp_path))
    assert planned["pairs"] == 2 * 2 * 2 * 32
    refused = command("submit", path.parent, "--leaderboard", tmp_path / "board", cwd=tmp_path)
    assert refused.returncode == 2
    refused = command("verify", path.parent, "--model", "char-ngram", cwd=tmp_path)
    assert refused.returncode == 2


def test_a_reranked_report_is_not_verified(saved: Path) -> None:
    refused = command("verify", "reranked", "--model", "char-ngram", cwd=saved.parent)
    assert refused.returncode == 2
    assert "reranked by shared-letters, which verification cannot run again" in refused.stderr


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"depth": 3}, "given without --rerank"),
        ({"rerank": Shared(), "quantize": "int8"}, "given with --quantize"),
        ({"rerank": Shared(), "max_seconds": 3}, "given with --max-seconds"),
        ({"rerank": Shared(), "depth": 0}, "depth"),
        ({"rerank": object()}, "reranker"),
    ],
)
def test_what_does_not_go_together_is_refused(choices: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        mlbench.evaluate("char-ngram", "sample", **QUIET, **choices)
    assert said in str(caught.value)


def test_a_reranker_of_texts_is_given_no_images() -> None:
    with pytest.raises(UsageError, match="has images, and a reranker reads texts"):
        mlbench.evaluate("pixels", "emoji-images", rerank=Shared(), **QUIET)


def test_facts_must_be_what_a_report_can_hold() -> None:
    class Odd(Shared):
        def describe(self) -> dict[str, Any]:
            return {"parameters": "many"}

    with pytest.raises(ModelError, match="parameters"):
        mlbench.evaluate("char-ngram", "sample", rerank=Odd(), languages="en,de", **QUIET)
