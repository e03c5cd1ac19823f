from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import ModelError
from mlbench.models.cache import EmbeddingCache
from mlbench.models.reranking.registry import load_reranker
from mlbench.models.reranking.scoring import PairScoring

QUERIES = ["red", "green", "red"]
PASSAGES = ["a", "bb", "a", "cc"]
PAIRS = (np.array([0, 0, 1, 2, 2, 0]), np.array([0, 1, 3, 2, 3, 0]))


class Counting:
    """Scores by a fixed rule, and remembers every pair that it was given."""

    name = "counting"
    identity = "counting v1"
    cacheable = True

    def __init__(self, fails_after: int = 10**9) -> None:
        self.seen: list[tuple[str, str]] = []
        self.left = fails_after

    def score_pairs(self, queries: list[str], passages: list[str]) -> Any:
        self.left -= len(queries)
        if self.left < 0:
            raise RuntimeError("broken off")
        self.seen += zip(queries, passages, strict=True)
        return np.array([rule(q, p) for q, p in zip(queries, passages, strict=True)])


def rule(query: str, passage: str) -> float:
    return len(query) / 7 - len(passage) / 3


def expected() -> list[float]:
    return [float(np.float32(rule(QUERIES[q], PASSAGES[p]))) for q, p in zip(*PAIRS, strict=True)]


def scoring(adapter: object, cache: EmbeddingCache | None = None) -> PairScoring:
    return PairScoring(load_reranker(adapter), (QUERIES, PASSAGES), PAIRS, cache)


def test_each_distinct_pair_of_texts_is_scored_once() -> None:
    adapter, told = Counting(), []
    work = scoring(adapter)
    assert work.missing == 4
    found = work.score(told.append)
    assert found.scores.tolist() == expected()
    assert sorted(adapter.seen) == sorted(
        {(QUERIES[q], PASSAGES[p]) for q, p in zip(*PAIRS, strict=True)}
    )
    assert (found.scored, found.cached, sum(told)) == (4, 0, 4)


def test_pairs_of_a_query_stand_together() -> None:
    adapter = Counting()
    scoring(adapter).score()
    queries = [query for query, _ in adapter.seen]
    assert queries == sorted(queries, key=queries.index)


def test_kept_scores_are_not_asked_for_again(tmp_path: Path) -> None:
    scoring(Counting(), EmbeddingCache(tmp_path)).score()
    again = Counting()
    found = scoring(again, EmbeddingCache(tmp_path)).score()
    assert (again.seen, found.scored, found.cached) == ([], 0, 4)
    assert found.scores.tolist() == expected()

    class Other(Counting):
        identity = "counting v2"

    other = Other()
    assert scoring(other, EmbeddingCache(tmp_path)).score().cached == 0
    assert len(other.seen) == 4


def test_a_run_that_breaks_off_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbench.models.pace.MOST_TEXTS", 2)
    with pytest.raises(ModelError, match="broken off") as caught:
        scoring(Counting(3), EmbeddingCache(tmp_path)).score()
    (note,) = caught.value.__notes__
    kept = int(note.split()[0])
    assert 0 < kept < 4
    rest = Counting()
    found = scoring(rest, EmbeddingCache(tmp_path)).score()
    assert len(rest.seen) == 4 - kept
    assert found.scores.tolist() == expected()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda n: np.zeros(n + 1), "shape"),
        (lambda n: np.zeros((n, 1)), "shape"),
        (lambda n: np.zeros(n, int), "int64"),
        (lambda n: [0.0] * n, "list"),
        (lambda n: np.full(n, np.nan), "nan for the query"),
        (lambda n: np.full(n, 1e300), "1e+300 for the query"),
    ],
)
def test_what_is_not_one_finite_score_a_pair_is_refused(value: Any, said: str) -> None:
    class Odd:
        def score_pairs(self, queries: list[str], passages: list[str]) -> Any:
            return value(len(queries))

    with pytest.raises(ModelError) as caught:
        scoring(Odd()).score()
    assert said in str(caught.value)
