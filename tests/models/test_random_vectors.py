from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import UsageError
from mlbench.models import random_vectors


@given(st.lists(st.text(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_order_free_and_batch_free(texts: list[str], random: object) -> None:
    model = random_vectors.make("3")
    together = model.encode_passages(texts, "th")
    apart = np.concatenate([model.encode_passages([text], "th") for text in texts[::-1]])
    assert np.array_equal(together, apart[::-1])


def test_same_bytes_on_every_machine() -> None:
    vectors = random_vectors.make("").encode_queries(["a", "ü", "湖"], "en")
    assert vectors.shape == (3, 64)
    assert vectors.dtype == np.float32
    stream = hashlib.shake_128("0\0query\0en\0ü".encode()).digest(64 * 12)
    assert vectors[1, 0] == sum((byte + 0.5) / 256 for byte in stream[:12]) - 6
    assert vectors[1, 63] == sum((byte + 0.5) / 256 for byte in stream[-12:]) - 6
    assert (
        hashlib.sha256(vectors.tobytes()).hexdigest()
        == "6fb415bc67758cb831e979e0d3e99225ed72d01eb221f6a1d70c7a6423f7c58a"
    )


def test_role_language_seed_and_text_each_matter() -> None:
    base = random_vectors.make("0")
    drawn = [
        base.encode_queries(["a"], "en"),
        base.encode_passages(["a"], "en"),
        base.encode_queries(["a"], "de"),
        base.encode_queries(["b"], "en"),
        random_vectors.make("1").encode_queries(["a"], "en"),
    ]
    assert len({vector.tobytes() for vector in drawn}) == 5
    assert random_vectors.make("007").identity == random_vectors.make("7").identity
    assert base.identity != random_vectors.make("1").identity


def test_coordinates_are_nearly_standard_normal_and_independent() -> None:
    vectors = random_vectors.make("0").encode_passages([str(i) for i in range(4000)], "en")
    assert abs(vectors.mean()) < 0.01
    assert abs(vectors.std() - 1) < 0.01
    assert 0.67 < (np.abs(vectors) < 1).mean() < 0.70
    correlation = np.corrcoef(vectors, rowvar=False) - np.eye(64)
    assert np.abs(correlation).max() < 0.08


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "0x1"])
def test_seed_must_be_a_whole_number(seed: str) -> None:
    with pytest.raises(UsageError, match="whole number"):
        random_vectors.make(seed)


def test_no_texts() -> None:
    assert random_vectors.make("").encode_queries([], "en").shape == (0, 64)
