from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlbench.models.cache import EmbeddingCache
from mlbench.models.endpoint.probes import PROBES, Floats, Probing

RNG = np.random.default_rng(5)
ONE, OTHER = (RNG.standard_normal((2 * len(PROBES), 12)).astype(np.float32) for _ in range(2))


class Asked:
    """A server with some vectors, and so much noise; ``alone`` counts the questions one by one."""

    def __init__(self, vectors: Floats, noise: float = 0.0) -> None:
        self.vectors, self.noise, self.alone = vectors, noise, 0
        self.rng = np.random.default_rng(0)

    def __call__(self, alone: bool) -> Floats:
        self.alone += alone
        norms = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        noise = self.rng.standard_normal(self.vectors.shape) * self.noise * norms
        return (self.vectors + noise / np.sqrt(self.vectors.shape[1])).astype(np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path)


def test_the_identity_is_that_of_settings_and_vectors() -> None:
    first = Probing("settings", Asked(ONE), None).identity
    assert Probing("settings", Asked(ONE), None).identity == first
    assert len(first) == 64
    others = {
        Probing("other settings", Asked(ONE), None).identity,
        Probing("settings", Asked(OTHER), None).identity,
        Probing("settings", Asked(ONE[:, :6]), None).identity,
        Probing("settings", Asked(np.nextafter(ONE, np.float32(9))), None).identity,
    }
    assert len(others | {first}) == 5


def test_a_server_that_is_the_same_is_not_asked_twice(cache: EmbeddingCache) -> None:
    for _ in range(2):
        asked = Asked(ONE)
        probing = Probing("settings", asked, cache)
        assert probing.apart() == 0.0
        assert (asked.alone, probing.noisy) == (0, False)


@pytest.mark.parametrize("noise", [1e-4, 2e-3])
def test_a_noisy_server_keeps_its_identity(cache: EmbeddingCache, noise: float) -> None:
    asked = Asked(ONE, noise)
    identities = set()
    for _ in range(8):
        probing = Probing("settings", asked, cache)
        identities.add(probing.identity)
        assert probing.apart() == 0.0
    assert len(identities) == 1
    assert probing.noisy
    assert Probing("settings", Asked(OTHER, noise), cache).identity not in identities


def test_noise_does_not_excuse_everything(cache: EmbeddingCache) -> None:
    probing = Probing("settings", Asked(ONE, 0.2), cache)
    assert probing.apart() > 0.03


def test_what_a_server_computes_in_is_allowed_for(cache: EmbeddingCache) -> None:
    first = Probing("settings", Asked(ONE), cache).identity
    near = Asked((ONE * np.float32(1.001)).astype(np.float32))
    assert Probing("settings", near, cache, "float16").identity == first
    assert Probing("settings", near, cache).identity != first


def test_two_models_that_take_turns_have_an_identity_each(cache: EmbeddingCache) -> None:
    turns = [Probing("s", Asked(v), cache).identity for v in (ONE, OTHER, ONE, OTHER)]
    assert turns[:2] == turns[2:]
    assert len(set(turns)) == 2


def test_a_model_that_changes_within_a_run_loses_its_identity(cache: EmbeddingCache) -> None:
    """What was stored under it may be of the other model."""
    asked = Asked(ONE)
    probing = Probing("s", asked, cache)
    before = probing.identity
    asked.vectors = OTHER
    assert 0.5 < probing.apart() < 5
    now = Probing("s", Asked(OTHER), cache).identity
    again = Probing("s", Asked(ONE), cache).identity
    assert len({before, now, again}) == 3
    assert Probing("s", Asked(ONE), cache).identity == again


def test_another_dimension_is_another_model() -> None:
    asked = Asked(ONE)
    probing = Probing("s", asked, None)
    asked.vectors = ONE[:, :6]
    assert probing.apart() == float("inf")
