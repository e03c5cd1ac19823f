"""Mean colours and edges: a baseline for images that needs no training and no weights.

An image is laid on white and cut into 8 x 8 cells. Of each cell the vector has the mean of red,
green and blue, and of each of 4 x 4 larger cells how strong edges of eight directions are. Both
halves are brought to length 1, so that each has half a say. All sums are of whole numbers, so that
a vector is the same on every machine.

Nothing relates words to colours without training: the vector of a text is drawn by its SHA-3, as
``random`` does. So this is a floor between texts and images, and means something only between
images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.models.images import as_rgb
from mlbench.models.random_vectors import draw

if TYPE_CHECKING:
    from PIL.Image import Image

COLOUR_CELLS, EDGE_CELLS, DIRECTIONS = 8, 4, 8
COLOURS = COLOUR_CELLS**2 * 3
DIMENSIONS = COLOURS + EDGE_CELLS**2 * DIRECTIONS
_TINY = 1e-9
_Ints = npt.NDArray[np.int32]
_Floats = npt.NDArray[np.float32]


class Pixels:
    """Dense float32 (n, 320)."""

    name = "pixels"
    similarity = "cosine"
    identity = f"pixels/1, {DIMENSIONS} dimensions"
    language_free = True
    cacheable = True

    def encode_images(self, images: list[Image]) -> _Floats:
        """Return one vector an image."""
        return np.stack([_vector(image) for image in images])

    def encode_queries(self, texts: list[str], language: str) -> _Floats:
        """Return one vector a query, which says nothing of the text."""
        return self._draw(texts)

    def encode_passages(self, texts: list[str], language: str) -> _Floats:
        """Return one vector a passage, which says nothing of the text."""
        return self._draw(texts)

    def _draw(self, texts: list[str]) -> _Floats:
        raw = [text.encode("utf-8", "surrogatepass") for text in texts]
        return draw(b"pixels\0", raw, DIMENSIONS)

    def describe(self) -> dict[str, Any]:
        """Return facts for the report: nothing in it was trained."""
        note = "its vectors of texts are random, so that between texts and images it is a floor"
        return {"parameters": 0, "notes": [note]}


def _vector(image: Image) -> _Floats:
    colours = np.asarray(as_rgb(image)).astype(np.int32)
    colour = _means(colours, COLOUR_CELLS) / 255 - 0.5
    edges = _means(_edges(colours.sum(axis=2)), EDGE_CELLS)
    halves = [each / max(float(np.sqrt(np.square(each).sum())), _TINY) for each in (colour, edges)]
    return np.concatenate(halves).astype(np.float32)


def _edges(grey: _Ints) -> _Ints:
    """Return how strong an edge of each direction is at each pixel, (height, width, 8).

    The direction is one of eight: which way grey rises, across and down, and which of the two more.
    """
    across, down = (np.zeros_like(grey) for _ in range(2))
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    down[1:-1] = grey[2:] - grey[:-2]
    strong, stronger = np.abs(across), np.abs(down)
    direction = 4 * (across < 0) + 2 * (down < 0) + (strong < stronger)
    layers = np.zeros((*grey.shape, DIRECTIONS), np.int32)
    np.put_along_axis(layers, direction[:, :, None], (strong + stronger)[:, :, None], axis=2)
    return layers


def _means(layers: _Ints, cells: int) -> npt.NDArray[np.float64]:
    """Return the mean of each layer in each of ``cells`` x ``cells`` parts, as one row. A side of
    fewer pixels than cells has parts of one pixel that are alike."""
    sizes = layers.shape[:2]
    starts = [np.arange(cells) * size // cells for size in sizes]
    sums = np.add.reduceat(layers, starts[1], axis=1, dtype=np.int64)
    sums = np.add.reduceat(sums, starts[0], axis=0)
    counts = [
        np.maximum(np.diff([*start, size]), 1) for start, size in zip(starts, sizes, strict=True)
    ]
    means: npt.NDArray[np.float64] = sums / (counts[0][:, None] * counts[1])[:, :, None]
    return means.ravel()


def make() -> Pixels:
    """Return the model."""
    return Pixels()
