"""Similar texts are found as a slow comparison of all pairs finds them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.training.similar_texts import TextIndex, jaccard, plain

WORDS = st.sampled_from(["ab", "abc", "cab", "bcd", "x", "Ä", "ä", "ß", "日本", "日本語", "🙂", ""])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=12)


def slowly(own: list[str], other: list[str], threshold: float) -> dict[tuple[int, int], float]:
    pairs = product(enumerate(own), enumerate(other))
    found = {(i, j): jaccard(one, two) for (i, one), (j, two) in pairs}
    return {pair: value for pair, value in found.items() if value >= threshold}


def found(own: list[str], other: list[str], threshold: float) -> dict[tuple[int, int], float]:
    similar = TextIndex(own, threshold).similar(other)
    pairs = zip(similar.indexed.tolist(), similar.other.tolist(), strict=True)
    values = dict(zip(pairs, similar.similarity.tolist(), strict=True))
    assert len(values) == len(similar.indexed)
    return values


@given(TEXTS, TEXTS, st.sampled_from([0.1, 1 / 3, 0.5, 0.6, 0.75, 0.8, 1.0]))
def test_exactly_the_similar_pairs_are_found(own: list[str], other: list[str], threshold: float):
    assert found(own, other, threshold) == slowly(own, other, threshold)


def edited(text: str, generator: np.random.Generator) -> str:
    """Replace, delete or double a few characters."""
    letters = [*text]
    for place in generator.integers(0, len(letters), generator.integers(1, 5)).tolist():
        letters[place] = str(generator.choice(["", "x", letters[place] * 2]))
    return "".join(letters)


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_no_edited_text_is_missed(threshold: float):
    """Texts of many words, edited, among others: more pairs than one round has room for."""
    generator = np.random.default_rng(3)
    words = ["".join(generator.choice([*"abcdefghij"], 5)) for _ in range(60)]
    own = [" ".join(generator.choice(words, 9)) for _ in range(150)]
    other = [edited(text, generator) for text in own for _ in range(2)] + own[:20]
    expected = slowly(own, other, threshold)
    assert len(expected) > {0.5: 200, 0.8: 60}[threshold]
    assert found(own, other, threshold) == expected
    many = TextIndex(own * 10, 1.0).similar(own)
    assert len(many.indexed) == 10 * len(own)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Ｆｉｒｓｔ  Line\n", "first line"), ("STRASSE", plain("Straße")), ("\u00a0x\u3000y", "x y")],
)
def test_what_is_compared(text: str, expected: str):
    assert plain(text) == expected


def test_similarity_by_hand():
    """nightly has nig igh ght htl tly; night the first three."""
    assert jaccard("night", "Nightly") == 3 / 5
    assert jaccard("ab", "ab ") == 1
    assert jaccard("ab", "abc") == 0


def test_nothing_is_similar_to_nothing():
    assert found([], ["abc"], 0.5) == {}
    assert found(["abc"], [], 0.5) == {}


def test_pairs_are_those_that_minhash_estimates():
    """MinHash of datasketch, of 256 permutations, whose estimate of a similarity J has the standard
    error sqrt(J (1 - J) / 256); 5 of them are allowed, as pairs are many."""
    pytest.importorskip("datasketch")
    from benchmarks.overlap_minhash import estimated_pairs

    generator = np.random.default_rng(8)
    words = ["".join(generator.choice([*"abcdefghij"], 5)) for _ in range(200)]
    own = [" ".join(generator.choice(words, 12)) for _ in range(120)]
    other = [plain(edited(text, generator)) for text in own] + own[:10]
    other += [" ".join(generator.choice(words, 12)) for _ in range(100)]
    exact, estimates = found(own, other, 0.7), estimated_pairs(own, other, 0.7, 256)
    assert len(exact) > 110
    error = {pair: 5 * (value * (1 - value) / 256) ** 0.5 for pair, value in exact.items()}
    both = exact.keys() & estimates.keys()
    assert all(abs(estimates[pair] - exact[pair]) <= error[pair] for pair in both)
    bound = 0.7 + 5 * (0.7 * 0.3 / 256) ** 0.5
    sure = {pair for pair, value in estimates.items() if value > bound}
    assert len(sure) > 40
    assert sure <= exact.keys()
    missed = exact.keys() - estimates.keys()
    assert all(exact[pair] < bound for pair in missed)
    assert {(i, 120 + i): 1.0 for i in range(10)}.items() <= exact.items() & estimates.items()
