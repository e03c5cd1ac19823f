"""CLIPScore: how well captions fit images, by a model's own vectors (arXiv 2104.08718)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CLIP_SCORE, JUDGED_CLIP_SCORE = "clip-score", "judged-clip-score"
"""What CLIPScore is called as a figure of a setting: of a query and what it finds first, and of a
query and what it is judged with."""
CLIP_SCORES = (CLIP_SCORE, JUDGED_CLIP_SCORE)
WEIGHT = 2.5
FORMULA = "2.5 max(cos, 0)"
ROWS = 1 << 14
"""Pairs whose vectors are in memory as float64 at once."""
Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def clip_scores(captions: npt.ArrayLike, images: npt.ArrayLike) -> Values:
    """Return 2.5 max(cos, 0) of each row of ``captions`` with that of ``images``: float64 (n,).

    Both have shape (n, d); they need not be of length 1, and a row of zeros scores 0. Source:
    Hessel et al., "CLIPScore", EMNLP 2021, https://arxiv.org/abs/2104.08718, section 3.

    >>> clip_scores([[1, 0], [0, 2]], [[3, 0], [0, -1]]).tolist()
    [2.5, 0.0]
    """
    one, other = (np.asarray(each, np.float64) for each in (captions, images))
    products = np.einsum("nd,nd->n", one, other)
    lengths = np.sqrt(np.einsum("nd,nd->n", one, one) * np.einsum("nd,nd->n", other, other))
    cosines = np.divide(products, lengths, out=np.zeros(len(one)), where=lengths > 0)
    scores: Values = WEIGHT * np.clip(cosines, 0, 1)
    return scores


def clip_scores_of(
    queries: npt.NDArray[np.float32], passages: npt.NDArray[np.float32], query: Ints, passage: Ints
) -> Values:
    """Return the CLIPScore of pairs of rows, one of which is a caption's and one an image's."""
    parts = [
        clip_scores(queries[query[at : at + ROWS]], passages[passage[at : at + ROWS]])
        for at in range(0, len(query), ROWS)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)
