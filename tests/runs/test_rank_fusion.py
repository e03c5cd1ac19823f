"""Fusion by ranks: the methods by hand, runs with ties, and invariances; ranx is the oracle in
test_fusing.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlbench.runs.rank_fusion import METHODS, NORMS, fuse_ranks, normalised, shared

GIVEN = {"k": 60, "phi": 0.8, "sigma": 0.01}


def ranking(scores):
    """A ranking of passages 0, 1, 2, ..., None where it lacks one."""
    held = [i for i, score in enumerate(scores) if score is not None]
    return np.array(held), np.array([scores[i] for i in held], float)


def fused(method, *runs, weights=None):
    return fuse_ranks([ranking(scores) for scores in runs], method, GIVEN, weights)


DENSE = [0.9, 0.8, 0.7, 0.6]
BY_HAND = {
    "rrf": lambda r: 1 / (60 + r),
    "isr": lambda r: 2 / r**2,
    "log_isr": lambda r: math.log(2) / r**2,
    "logn_isr": lambda r: math.log(2.01) / r**2,
    "rbc": lambda r: 0.2 * 0.8 ** (r - 1),
    "bordafuse": lambda r: 4 - r + 1,
    "w_bordafuse": lambda r: 0.5 * (4 - r + 1),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_by_hand(method):
    weights = [0.5, 0.5] if method == "w_bordafuse" else None
    found = fused(method, DENSE, DENSE[::-1], weights=weights)
    worth = [BY_HAND[method](place) for place in range(1, 5)]
    for i in range(4):
        assert found[i] == pytest.approx(worth[i] + worth[3 - i], rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("score", [1e8, 0.0, -3.0])
def test_a_run_that_ties_all_adds_the_same_to_all(method, score):
    weights = [0.3, 0.7] if method == "w_bordafuse" else None
    found = fused(method, [score] * 4, DENSE, weights=weights)
    assert sorted(found, key=found.get, reverse=True) == [0, 1, 2, 3]
    worth = [BY_HAND[method](place) for place in range(1, 5)]
    own, other = (0.6, 1.4) if weights else (1, 1)
    for i in range(4):
        mean = own * sum(worth) / 4
        assert found[i] == pytest.approx(mean + other * worth[i], rel=1e-12)


def test_a_tie_takes_its_places_together():
    assert shared(np.array([8.0, 4.0, 2.0, 1.0]), np.array([0.5, 3.0, 0.5, 3.0])).tolist() == [
        1.5, 6.0, 1.5, 6.0,
    ]  # fmt: skip
    assert shared(np.array([8.0]), np.array([7.0])).tolist() == [8.0]


def test_borda_gives_passages_that_a_run_lacks_the_last_places_together():
    assert fused("bordafuse", [3, None, 2, None], [4, 3, 2, 1]) == {0: 8, 1: 4.5, 2: 5, 3: 2.5}
    one, _ = normalised([ranking([3, None, 2, None]), ranking([4, 3, 2, 1])], "borda")
    assert one[1].tolist() == [1.0, 0.375, 0.75, 0.375]


@pytest.mark.parametrize("norm", NORMS)
def test_normalised_ties_are_equal(norm):
    tied, dense = normalised([ranking([5, 5, 5, 1]), ranking(DENSE)], norm)
    assert tied[1].tolist() == [0.75, 0.75, 0.75, 0.25]
    assert dense[1].tolist() == [1.0, 0.75, 0.5, 0.25]


def test_condorcet_follows_the_majority_and_ties_do_not_vote():
    order = [4, 3, 2, 1]
    assert fused("condorcet", order, [3, 4, 2, 1], [4, 3, 1, 2]) == {0: 4, 1: 3, 2: 2, 3: 1}
    assert fused("condorcet", [1, 1, 1, 1], order) == {0: 4, 1: 3, 2: 2, 3: 1}
    assert fused("condorcet", order, order[::-1]) == {3: 4, 2: 3, 1: 2, 0: 1}
    assert fused("w_condorcet", order, order[::-1], weights=[0.6, 0.4]) == {0: 4, 1: 3, 2: 2, 3: 1}
    first = [2, 1, None, None]
    assert fused("condorcet", first, first, [None, None, 1, 1]) == {0: 4, 1: 3, 3: 2, 2: 1}


@pytest.mark.parametrize("method", METHODS)
def test_neither_names_nor_the_order_of_lines_count(method):
    rng = np.random.default_rng(3)
    runs = [(rng.permutation(30)[:20], rng.integers(0, 5, 20).astype(float)) for _ in range(3)]
    weights = [0.2, 0.3, 0.5] if method == "w_bordafuse" else None
    found = fuse_ranks(runs, method, GIVEN, weights)
    shuffled = [
        (29 - passage[order], score[order])
        for passage, score in runs
        for order in [rng.permutation(20)]
    ]
    renamed = fuse_ranks(shuffled, method, GIVEN, weights)
    assert {29 - name: score for name, score in renamed.items()} == found
