"""Ways to a table that a sample of the model's vectors does not contradict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbench.leaderboard.entries.entry import Level
from mlbench.leaderboard.entries.tables import table_faults
from mlbench.leaderboard.verifying.verification import Verdict, terminal_verification
from mlbench.leaderboard.verifying.verify import Request, verify
from mlbench.ranking.counting import rank_collection
from tests.leaderboard.sampled import (
    TASK,
    Known,
    average_precision,
    favourable,
    loaded,
    problem,
    subject_of,
    unit,
)

FLOAT32, BFLOAT16 = 1e-5, 4e-3


def held_against(sides, ranks, dtype="float32", seed=3, **request):
    """Verify a table against the very vectors of a model."""
    collection = problem()[0]
    model = loaded(Known(collection, sides, dtype))
    asked = {"queries": 90, "passages": 60, "seed": seed} | request
    return verify(subject_of(ranks, collection), TASK, collection, model, Request(**asked))


def near_constant(share, noise=4.0):
    """Vectors that are all the same but for a small share."""
    constant = unit(np.random.default_rng(5).standard_normal((1, 64)))
    return [unit(constant + share * side) for side in problem(noise=noise)[1]]


def by_topic(count):
    """Vectors of a model that only tells so many topics: texts of one are nearly the same."""
    collection, sides, _ = problem()
    topics = unit(np.random.default_rng(6).standard_normal((count, 64)))
    return [
        unit(topics[[int(id_[1:]) % count for id_ in entries.ids]] + 1e-4 * side)
        for entries, side in zip((collection.queries, collection.passages), sides, strict=True)
    ]


@pytest.mark.parametrize("share", [0.003, 0.01, 0.02])
def test_nothing_is_concluded_from_vectors_that_are_nearly_equal(share):
    sides = near_constant(share)
    forged = favourable(problem()[0], sides, FLOAT32)
    honest = rank_collection(problem()[0], *sides)[0]
    assert not list(table_faults(forged))
    assert average_precision(forged) > 1.8 * average_precision(honest)
    found = held_against(sides, forged)
    assert all(check.agrees for check in found.checks)
    assert found.limits.undecided > 0.15
    assert (found.verdict, found.level, found.exit_code) == (Verdict.INCONCLUSIVE, None, 3)
    assert "too close to call" in " ".join(found.notes)
    assert "INCONCLUSIVE" in terminal_verification(found)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [20, 50, 75])
def test_ties_that_rounding_has_broken_cannot_all_be_claimed(count, seed):
    sides = by_topic(count)
    forged = favourable(problem()[0], sides, FLOAT32)
    assert average_precision(forged) > 0.99
    found = held_against(sides, forged, seed=seed)
    assert all(check.agrees for check in found.checks)
    assert found.limits.undecided < 0.05
    assert (found.verdict, found.level) == (Verdict.INCONCLUSIVE, None)
    assert "rounding has always favoured it" in " ".join(found.notes)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_the_table_of_vectors_that_are_less_equal_agrees(share):
    sides = near_constant(share)
    found = held_against(sides, rank_collection(problem()[0], *sides)[0])
    assert (found.verdict, found.level) == (Verdict.AGREES, Level.SAMPLED)


def test_one_language_that_is_blurred_is_enough():
    collection, sides, _ = problem()
    blurred = near_constant(1e-5)[1]
    passages = np.where((collection.passages.language == 2)[:, None], blurred, sides[1])
    forged = favourable(collection, [sides[0], passages], FLOAT32)
    found = held_against([sides[0], passages], forged)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "passage language el" in " ".join(found.notes)


@pytest.mark.parametrize(("dtype", "share"), [("int8", 1.5e-2), ("whatever", 1.5e-2)])
def test_a_model_gains_nothing_by_calling_itself_coarse(dtype, share):
    sides = problem()[1]
    forged = favourable(problem()[0], sides, share)
    assert held_against(sides, forged, dtype).verdict is Verdict.INCONCLUSIVE
    assert held_against(sides, forged).verdict is Verdict.DISAGREES


@pytest.mark.parametrize(
    ("noise", "share", "dtype"),
    [(4.0, FLOAT32, "float32"), (2.0, FLOAT32, "float32"), (2.0, BFLOAT16, "bfloat16")],
)
def test_what_passes_has_gained_little(noise, share, dtype):
    collection, sides, ranks = problem(noise=noise)
    forged = favourable(collection, sides, share)
    gain = average_precision(forged) - average_precision(ranks)
    assert 0 <= gain < (0.001 if dtype == "float32" else 0.03)


def constant(side):
    return np.ones_like(side) / 8


def zero(side):
    return np.zeros_like(side)


def one_dimension(side):
    return np.sign(side[:, :1])


def two_values(side):
    return unit(np.sign(side[:, :3]))


@pytest.mark.parametrize("degenerate", [constant, zero, one_dimension, two_values])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_vectors_that_tie_do_not_agree_with_a_table_without_ties(degenerate, dtype):
    sides = [degenerate(side) for side in problem()[1]]
    forged = problem(noise=0.8)[2]
    found = held_against(sides, forged, dtype)
    assert found.level is None
    assert found.verdict is Verdict.DISAGREES or dtype == "int8"
    hidden = rank_collection(problem()[0], *sides)[0]
    hidden = replace(hidden, tied=np.zeros_like(hidden.tied))
    assert held_against(sides, hidden, dtype).level is None
    own = rank_collection(problem()[0], *sides)[0]
    assert held_against(sides, own, dtype).verdict is not Verdict.DISAGREES


def test_the_table_of_an_invented_model_is_not_that_of_a_blurred_one_in_full_either():
    sides = near_constant(0.01)
    found = held_against(sides, favourable(problem()[0], sides, FLOAT32), full=True)
    assert all(check.agrees for check in found.checks)
    assert (found.verdict, found.level) == (Verdict.INCONCLUSIVE, None)
    assert found.score_difference > 0.1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("dtype", "rounding"), [("float32", 1e-7), ("float16", 1e-4), ("bfloat16", 7e-4)]
)
def test_honest_models_of_every_precision_agree(dtype, rounding, seed):
    _, sides, ranks = problem(noise=2.0)
    generator = np.random.default_rng(seed)
    rounded = [
        (side + rounding * generator.standard_normal(side.shape)).astype(np.float32)
        for side in sides
    ]
    found = held_against(rounded, ranks, dtype, seed)
    assert (found.verdict, found.level) == (Verdict.AGREES, Level.SAMPLED)


def altered(ranks, cells, **columns):
    return replace(
        ranks,
        **{
            name: np.where(cells, change, getattr(ranks, name)).astype(np.int32)
            for name, change in columns.items()
        },
    )


@pytest.mark.parametrize("language", range(3))
@pytest.mark.parametrize("side", ["queries", "passages"])
def test_a_forgery_in_one_language_is_found(language, side):
    _, sides, ranks = problem()
    cells = (ranks.query_language[ranks.query] == language)[:, None]
    if side == "passages":
        cells = np.arange(3) == language
    forged = altered(ranks, cells, above=ranks.above // 2)
    found = held_against(sides, forged, queries=200, passages=100)
    assert found.verdict is Verdict.DISAGREES


def test_ties_that_are_moved_or_dropped_are_found():
    sides = [unit(np.sign(side[:, :4])) for side in problem()[1]]
    ranks = rank_collection(problem()[0], *sides)[0]
    nothing = np.zeros_like(ranks.tied)
    assert held_against(sides, ranks).verdict is not Verdict.DISAGREES
    dropped = altered(ranks, True, tied=nothing)
    moved = altered(ranks, True, tied=nothing, above=ranks.above + ranks.tied)
    halved = altered(ranks, True, tied=ranks.tied // 2)
    for forged in (dropped, halved):
        assert held_against(sides, forged).verdict is Verdict.DISAGREES
    worse = average_precision(moved)
    assert worse <= average_precision(ranks) + 1e-12  # ties count against a model anyway


@pytest.mark.parametrize("seed", range(3))
def test_queries_made_perfect_are_found_when_so_many_are_that_one_is_drawn(seed):
    _, sides, ranks = problem()
    honest = held_against(sides, ranks, seed=seed)
    share = honest.recomputed.altered
    assert 0.04 < share < 0.06
    assert f"{share:.1%} of the queries" in " ".join(terminal_verification(honest).split())
    chosen = np.random.default_rng(seed).random(len(ranks.query_ids)) < 2 * share
    forged = altered(ranks, chosen[ranks.query][:, None], above=0)
    assert held_against(sides, forged, seed=seed).verdict is Verdict.DISAGREES
