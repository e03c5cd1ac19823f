from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.names import cut_in_the_middle, shortened_apart

WIDTHS = (8, 14, 28)


def cut(names, most):
    short = shortened_apart(names, most)
    assert list(short) == list(dict.fromkeys(names))
    assert max(map(len, short.values()), default=0) <= most
    assert len(set(short.values())) == len(short)
    return list(short.values())


@pytest.mark.parametrize("most", WIDTHS)
@pytest.mark.parametrize(
    "names",
    [
        ["a" + 40 * "x", "b" + 40 * "x"],
        [20 * "x" + "a" + 20 * "x", 20 * "x" + "b" + 20 * "x"],
        [40 * "x" + "a", 40 * "x" + "b"],
        [40 * "x", 41 * "x", 42 * "x"],
        ["org/one-" + 30 * "x" + letter + 30 * "y" for letter in "abc"] + ["another"],
        [f"sentence-transformers/model-{i}-of-many-that-there-are" for i in range(12)],
    ],
    ids=["first", "middle", "last", "length", "groups", "numbers"],
)
def test_names_stay_different_wherever_they_differ(names, most):
    cut(names, most)


@given(st.lists(st.text("ab/-…~1", max_size=60), max_size=12), st.integers(8, 30))
def test_no_two_names_become_one(names, most):
    cut(names, most)


def test_what_fits_is_not_cut_and_a_common_beginning_is():
    assert cut(["bm25", "LaBSE"], 8) == ["bm25", "LaBSE"]
    names = ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L12-v2"]
    assert cut(["bm25", *names], 20) == ["bm25", "…all-MiniLM-L6-v2", "…all-MiniLM-L12-v2"]
    assert all(text.startswith("…") for text in cut(names, 12))


def test_what_the_names_of_one_organisation_begin_with_is_cut_whatever_others_are_called():
    ours = [
        f"sentence-transformers/paraphrase-multilingual-{n}" for n in ("MiniLM-L12", "mpnet-v2")
    ]
    short = cut([*ours, "intfloat/multilingual-e5-small"], 24)
    assert short == [
        "…multilingual-MiniLM-L12",
        "…multilingual-mpnet-v2",
        "intfloat/mul…al-e5-small",
    ]


def test_a_name_alone_is_cut_in_the_middle():
    assert cut_in_the_middle("intfloat/multilingual-e5-small", 13) == "intflo…-small"
    assert cut(["intfloat/multilingual-e5-small"], 13) == ["intflo…-small"]
    assert cut_in_the_middle("bm25", 4) == "bm25"


def test_digests_and_identities_show_the_part_that_differs():
    derived = [f"derived: sha256 {digit * 64}" for digit in "ab"]
    assert cut(derived, 12) == ["…aaaaa…aaaaa", "…bbbbb…bbbbb"]
