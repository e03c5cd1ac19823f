"""What is certain of passages once scores may be off: against a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from mlbench.leaderboard.verifying.agreement import Claims, Tolerance, Vectors, see

STARTS = np.array([0, 4, 7])
RELEVANT = np.array([1, 5, 0, 2, 6])


def claims(place=(1, 2, 1, 2, 3)) -> Claims:
    """Two queries, of two and three relevant passages, two languages of 4 and 3 passages."""
    zeros = np.zeros((5, 2), np.int64)
    language = np.array([0, 1, 0, 0, 1])
    place = np.array(place)
    return Claims(
        np.array([0, 2, 5]), np.array([0, 1]), language, place, zeros, zeros, np.array([4, 3])
    )


def vectors(scores) -> Vectors:
    """Vectors of which query i has the given score with passage j, and all have norm 1 or so."""
    scores = np.array(scores, np.float32)
    passages = np.hstack([scores.T, np.ones((7, 1), np.float32)])
    queries = np.eye(2, 3, dtype=np.float32)
    return Vectors(queries, passages, STARTS, RELEVANT, np.array([3, 0, 6]), np.array([0, 2, 3]))


SCORES = np.array([
    [0.1, 0.5, 0.5, 0.9, 0.5001, 0.3, 0.2],
    [0.8, 0.1, 0.7, 0.75, 0.7, 0.2, 0.3],
])  # fmt: skip


@pytest.mark.parametrize(
    "tolerance", [Tolerance(0.0), Tolerance(1e-3), Tolerance(1e-3, ties=False)]
)
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_counts_are_those_of_a_slow_loop(tolerance, make):
    given, said = vectors(SCORES), claims()
    norms = np.linalg.norm(given.passages, axis=1)
    exact = given.queries.astype(float) @ given.passages.astype(float).T
    given = Vectors(make(given.queries), make(given.passages), *list(vars(given).values())[2:])
    for query, found in enumerate(see(said, given, tolerance)):
        rows = range(*said.starts[query : query + 2])
        own = {int(RELEVANT[row]) for row in rows}
        for at, row in enumerate(rows):
            r = RELEVANT[row]
            expected = np.zeros((4, 2), int)
            for j in set(range(7)) - own:
                room = tolerance.share * (norms[j] + norms[r])
                difference = exact[query, j] - exact[query, r]
                level = difference > room or (tolerance.ties and difference == 0)
                sides = (True, difference > room, level, difference < -room)
                expected[:, int(j >= 4)] += sides
                if j in (3, 0, 6):
                    hit = found.hits[:, at, [3, 0, 6].index(j)]
                    assert hit.tolist() == [level, difference < -room]
            np.testing.assert_array_equal([part[at] for part in found.seen], expected)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ((1, 2, 1, 2, 3), []),
        ((2, 1, 1, 2, 3), [0, 1]),
        ((1, 1, 1, 2, 3), [0, 1]),
        ((1, 2, 1, 3, 2), [3, 4]),
        ((1, 2, 3, 1, 2), [2, 3, 4]),
    ],
)
def test_places_must_be_in_the_order_of_scores(place, wrong):
    found = see(claims(place), vectors(SCORES), Tolerance(1e-3))
    assert np.flatnonzero(np.concatenate([each.disorder for each in found])).tolist() == wrong


def test_places_of_scores_too_close_to_call_may_be_either_way():
    scores = SCORES.copy()
    scores[0, 5] = 0.4999
    for place in ((1, 2, 1, 2, 3), (2, 1, 1, 2, 3), (1, 1, 1, 2, 3)):
        found = see(claims(place), vectors(scores), Tolerance(1e-3))
        assert not any(each.disorder.any() for each in found)


def test_others_are_the_passages_not_relevant_to_the_query():
    assert claims().others().tolist() == [[3, 2]] * 2 + [[2, 2]] * 3
