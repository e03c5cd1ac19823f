"""Random vectors: the floor that any model must clear, and a check on the scorer.

A text's vector depends on nothing but the seed, the role, the language and the text, and an image's
on nothing but the seed and its pixels, so it is the same in any order, batch, process and machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

DIMENSIONS = 64
_BYTES = 12
"""A coordinate is the sum of twelve uniform variates less 6: mean 0, variance 1, near normal,
and exact, as logarithms and cosines would not be (they differ between machines)."""


class RandomVectors:
    """Vectors of independent, nearly normal coordinates: float32 (n, 64)."""

    similarity = "cosine"

    def __init__(self, seed: str) -> None:
        self.name = f"random-{seed}"
        self.identity = f"random/1, seed {seed}, {DIMENSIONS} dimensions"
        self._seed = seed

    def encode_queries(self, texts: list[str], language: str) -> npt.NDArray[np.float32]:
        """Return one vector a query."""
        return self._draw("query", language, texts)

    def encode_passages(self, texts: list[str], language: str) -> npt.NDArray[np.float32]:
        """Return one vector a passage."""
        return self._draw("passage", language, texts)

    def encode_images(self, images: list[Image]) -> npt.NDArray[np.float32]:
        """Return one vector an image."""
        return draw(f"{self._seed}\0image\0".encode(), map(_pixels, images), DIMENSIONS)

    def describe(self) -> dict[str, Any]:
        """Return facts for the report: nothing in it was trained."""
        return {"parameters": 0}

    def _draw(self, role: str, language: str, texts: list[str]) -> npt.NDArray[np.float32]:
        prefix = f"{self._seed}\0{role}\0{language}\0".encode()
        raw = [text.encode("utf-8", "surrogatepass") for text in texts]
        return draw(prefix, raw, DIMENSIONS)


def draw(prefix: bytes, each: Iterable[bytes], dimensions: int) -> npt.NDArray[np.float32]:
    """Return nearly normal coordinates, float32 (n, dimensions), that follow from a prefix and the
    bytes of each alone."""
    size = dimensions * _BYTES
    stream = b"".join(hashlib.shake_128(prefix + raw).digest(size) for raw in each)
    uniform = np.frombuffer(stream, np.uint8).reshape(-1, dimensions, _BYTES)
    total: npt.NDArray[np.float32] = uniform.sum(axis=2, dtype=np.float32)
    return (total + np.float32(_BYTES / 2)) / np.float32(256) - np.float32(_BYTES / 2)


def _pixels(image: Image) -> bytes:
    """Return all that an image shows, as bytes."""
    palette = bytes(image.getpalette() or ())
    return f"{image.mode} {image.size} {len(palette)} ".encode() + palette + image.tobytes()


def make(value: str) -> RandomVectors:
    """Return the model of the seed ``value``, a whole number ("" is 0)."""
    if value and not value.isdecimal():
        raise UsageError(Fault(f"model random:{value}", "not a seed", "a whole number from 0"))
    return RandomVectors(str(int(value or "0")))
