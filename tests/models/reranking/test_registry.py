from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import MlbenchError, ModelError, UsageError
from mlbench.models.reranking.registry import KINDS, load_reranker

CODE = """
import numpy as np
class Overlap:
    name = "overlap"
    identity = "overlap v1"
    cacheable = True
    def score_pairs(self, queries, passages):
        return np.array([float(len({*q} & {*p})) for q, p in zip(queries, passages)])
class Wordless:
    def score_pairs(self, queries):
        return np.zeros(len(queries))
def needs(argument):
    return Overlap()
def nothing():
    return object()
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(CODE)
    return path


class Bare:
    def score_pairs(self, queries: list[str], passages: list[str]) -> np.ndarray:
        return np.zeros(len(queries))


def test_a_reranker_of_a_file_says_what_it_is(code: Path) -> None:
    found = load_reranker(f"{code}:Overlap")
    assert (found.name, found.kind, found.cacheable) == ("overlap", "file", True)
    assert found.identity == "declared: overlap v1"
    assert load_reranker(found) is found
    scores = found.adapter.score_pairs(["ab", "ab"], ["abc", "x"])
    assert scores.tolist() == [2.0, 0.0]


def test_an_object_without_identity_is_not_kept() -> None:
    found = load_reranker(Bare())
    assert (found.name, found.kind, found.cacheable) == ("Bare", "object", False)
    assert found.identity.startswith("derived: Bare, scores sha256 ")


def test_objects_of_one_class_are_told_apart_by_their_scores() -> None:
    class Weighted(Bare):
        def __init__(self, weight: float) -> None:
            self.weight = weight

        def score_pairs(self, queries: list[str], passages: list[str]) -> np.ndarray:
            return np.array([self.weight * len(passage) for passage in passages])

    one, again, other = (load_reranker(Weighted(w)).identity for w in (1.0, 1.0, 2.0))
    assert one == again
    assert one != other


def test_an_object_whose_scores_are_none_is_refused_when_it_is_loaded() -> None:
    class Odd(Bare):
        def score_pairs(self, queries: list[str], passages: list[str]) -> np.ndarray:
            return np.full(len(queries), np.nan)

    with pytest.raises(ModelError, match="nan for the query"):
        load_reranker(Odd())


def test_code_that_changes_has_another_identity(code: Path) -> None:
    spec = f"{code}:Bare"
    code.write_text(CODE.replace("Overlap", "Bare").replace('identity = "overlap v1"', ""))
    before = load_reranker(spec).identity
    code.write_text(code.read_text() + "\n# changed\n")
    assert before.startswith("derived: sha256 ")
    assert load_reranker(spec).identity != before


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("Wordless", "score_pairs cannot be called with (queries, passages)"),
        ("needs", "the factory cannot be called without arguments"),
        ("nothing", "which has no method score_pairs"),
        ("Overlapp", "no 'Overlapp' in"),
    ],
)
def test_code_that_is_no_reranker_is_refused(code: Path, factory: str, said: str) -> None:
    with pytest.raises(MlbenchError) as caught:
        load_reranker(f"{code}:{factory}")
    assert said in str(caught.value)


@pytest.mark.parametrize("given", ["nowhere at all", "rerank:", "no/such/folder/at/all", 3, Bare])
def test_what_is_no_reranker_is_refused(given: object) -> None:
    with pytest.raises(UsageError) as caught:
        load_reranker(given)
    assert "reranker" in str(caught.value)


def test_odd_names_are_refused() -> None:
    class Odd(Bare):
        name = ""

    with pytest.raises(ModelError, match="attribute name"):
        load_reranker(Odd())


def test_every_kind_can_be_imported() -> None:
    import importlib

    for kind in KINDS:
        assert callable(getattr(importlib.import_module(kind.module), kind.factory))
