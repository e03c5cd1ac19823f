from __future__ import annotations

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import DataError, ModelError, UsageError
from tests.support.letters import Letters

QUIET = mlbench.Options(progress=False, cache=None)


@pytest.fixture(scope="module")
def sides():
    data = mlbench.load_collection("sample")
    return [Letters().encode_queries(each.texts, "") for each in (data.queries, data.passages)]


class Gradient:
    """Like a tensor that has a gradient: it does not become an array."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("use tensor.detach()")


@pytest.mark.parametrize("given", [Gradient(), [[1.0], [1.0, 2.0]], None])
@pytest.mark.parametrize("by_language", [False, True])
def test_what_is_no_array_is_told(sides, given, by_language):
    given = dict.fromkeys(mlbench.load_task("sample").languages, given) if by_language else given
    with pytest.raises(DataError, match="query vectors"):
        mlbench.evaluate_vectors(given, sides[1], "sample", QUIET)


def test_vectors_take_no_options_of_models(sides):
    with pytest.raises(UsageError, match="pooling"):
        mlbench.evaluate_vectors(*sides, "sample", QUIET, model_options={"pooling": "cls"})


def test_half_precision_and_lists_are_vectors(sides):
    expected = mlbench.evaluate_vectors(*sides, "sample", QUIET)
    lists = mlbench.evaluate_vectors(*(side.tolist() for side in sides), "sample", QUIET)
    halves = (side.astype(np.float16) for side in sides)
    assert lists.scores == expected.scores
    assert mlbench.evaluate_vectors(*halves, "sample", QUIET).scores == expected.scores


def test_lists_of_token_vectors_are_scored_by_maxsim(sides):
    expected = mlbench.evaluate_vectors(*sides, "sample", QUIET)
    one_each = ([row[None] for row in side] for side in sides)
    assert mlbench.evaluate_vectors(*one_each, "sample", QUIET).scores == expected.scores
    twice = ([np.stack([row, row]).astype(np.float16) for row in side] for side in sides)
    report = mlbench.evaluate_vectors(*twice, "sample", QUIET)
    assert report.scores == expected.scores
    assert report.model.sizes["passage"].vectors == 2
    queries, passages = ([row[None] for row in side] for side in sides)
    passages[3] = np.zeros((2, 5))
    with pytest.raises(DataError, match=r"passage vectors: arrays of .* in one list"):
        mlbench.evaluate_vectors(queries, passages, "sample", QUIET)
    passages[3] = np.zeros((0, sides[0].shape[1]))
    with pytest.raises(ModelError, match="no token vector for passage"):
        mlbench.evaluate_vectors(queries, passages, "sample", QUIET)


def test_languages_of_vectors_may_be_spelled_otherwise(sides):
    data = mlbench.load_collection("sample")
    given = [
        {code.upper(): side[each.slice(number)] for number, code in enumerate(data.languages)}
        for side, each in zip(sides, (data.queries, data.passages), strict=True)
    ]
    expected = mlbench.evaluate_vectors(*sides, "sample", QUIET)
    assert mlbench.evaluate_vectors(*given, "sample", QUIET).scores == expected.scores
