from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.models.reranking.contract import CHECKS, about_keeping, check_reranker
from mlbench.models.reranking.protocol import Reranker
from mlbench.models.reranking.registry import load_reranker
from tests.models.reranking.test_cross_encoder import write_cross_encoder
from tests.support.command_line import mlbench

Score = Callable[[list[str], list[str]], Any]


def lengths(queries: list[str], passages: list[str]) -> np.ndarray:
    return np.array([len(q) - 2 * len(p) for q, p in zip(queries, passages, strict=True)], float)


class Own:
    identity = "own"

    def __init__(self, score: Score = lengths) -> None:
        self.score = score

    def score_pairs(self, queries: list[str], passages: list[str]) -> Any:
        return self.score(queries, passages)


def failed(score: Score, again: Callable[[], Any] | None = None) -> dict[str, str]:
    def load() -> Reranker:
        return load_reranker(again() if again else Own(score))

    results = check_reranker(load_reranker(Own(score)), load)
    return {result.name: result.detail for result in results if not result.passed}


def test_a_sound_reranker_passes_every_check() -> None:
    load = lambda: load_reranker(Own())  # noqa: E731
    results = [*check_reranker(load(), load)]
    assert [result.name for result in results] == [name for name, _ in CHECKS]
    assert all(result.passed for result in results)
    said = {result.name: result.detail for result in results}
    assert said["batch-free"] == "equal"
    assert said["empty list"] == "information: tolerated (shape (0,))"


def less_their_mean(queries: list[str], passages: list[str]) -> np.ndarray:
    scores = lengths(queries, passages)
    return scores - scores.mean() if len(scores) else scores


def by_place(queries: list[str], passages: list[str]) -> np.ndarray:
    return lengths(queries, passages) + np.arange(len(queries))


def nothing_for_odd_texts(queries: list[str], passages: list[str]) -> np.ndarray:
    scores = lengths(queries, passages)
    scores[[passage == "x" for passage in passages]] = np.nan
    return scores


def no_long_texts(queries: list[str], passages: list[str]) -> np.ndarray:
    if any(len(text) > 5000 for text in (*queries, *passages)):
        raise ValueError("too many tokens")
    return lengths(queries, passages)


def sorts_its_lists(queries: list[str], passages: list[str]) -> np.ndarray:
    scores = lengths(queries, passages)
    passages.sort()
    return scores


@pytest.mark.parametrize(
    ("score", "names", "said"),
    [
        (less_their_mean, {"batch-free"}, "of the largest score apart"),
        (by_place, {"order-free", "batch-free", "duplicate pairs"}, "order-free"),
        (nothing_for_odd_texts, {"odd texts"}, "nan for the query"),
        (no_long_texts, {"long text"}, "too many tokens"),
        (sorts_its_lists, {"lists untouched"}, "changed a list"),
        (lambda q, p: [0.0] * len(q), {"scores"}, "a list"),
        (lambda q, p: np.zeros(len(q) + 1), {"scores"}, "shape"),
    ],
)
def test_what_breaks_the_contract_fails_its_own_check(
    score: Score, names: set[str], said: str
) -> None:
    found = failed(score)
    assert found.keys() == names
    assert said in str(found)


def test_scores_that_change_with_every_call_fail() -> None:
    noise = np.random.default_rng(0)
    found = failed(lambda q, p: lengths(q, p) + noise.random(len(q)))
    assert {"repeatable", "order-free", "batch-free", "duplicate pairs"} <= found.keys()


def test_a_buffer_that_is_used_again_fails() -> None:
    buffer = np.zeros(100)

    def into_the_buffer(queries: list[str], passages: list[str]) -> np.ndarray:
        buffer[: len(queries)] = lengths(queries, passages)
        return buffer[: len(queries)]

    assert "return a copy" in failed(into_the_buffer)["buffers not reused"]


def test_one_identity_for_two_rerankers_fails() -> None:
    seeds = itertools.count()
    found = failed(lengths, lambda: Own(lambda q, p: lengths(q, p) * next(seeds)))
    assert "the same identity, and yet" in found["identity"]

    class Undeclared(Own):
        identity = None

    results = check_reranker(
        load_reranker(Undeclared()), lambda: load_reranker(Undeclared(less_their_mean))
    )
    (broken,) = [result for result in results if not result.passed]
    assert "drawn at random" in broken.detail


def test_what_is_kept_is_said() -> None:
    assert "for that give it cacheable = True" in about_keeping(load_reranker(Own()))


def test_the_command_checks_a_cross_encoder_by_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    write_cross_encoder(tmp_path / "tiny")
    done = mlbench("models", "check", "tiny", "--json", cwd=tmp_path)
    results = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0, results
    assert results["identity"]["detail"].startswith("loaded again it has the same identity")


def test_the_command_is_told_of_a_reranker_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "class Mean:\n"
        "    def score_pairs(self, queries, passages):\n"
        "        sizes = np.array([float(len(p)) for p in passages])\n"
        "        return sizes - sizes.sum()\n"
    )
    refused = mlbench("models", "check", "own.py:Mean", cwd=tmp_path)
    assert (refused.returncode, "--reranker" in refused.stderr) == (4, True)
    done = mlbench("models", "check", "own.py:Mean", "--reranker", cwd=tmp_path)
    assert done.returncode == 4
    assert "FAILED  batch-free" in done.stdout
    odd = mlbench("models", "check", "own.py:Mean", "--reranker", "--pooling", "cls", cwd=tmp_path)
    assert (odd.returncode, "takes no --pooling" in odd.stderr) == (2, True)
