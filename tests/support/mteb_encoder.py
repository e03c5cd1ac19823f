"""A deterministic model for both programs: the same vectors, exact in single precision."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

DIMENSION = 32


class Hashed:
    """Whole numbers up to ``size`` from the digest of a text: all products and sums are exact.

    Small ones give many equal scores, large ones hardly any.
    """

    similarity = "dot"

    def __init__(self, size: int) -> None:
        self.size, self.name = size, f"hashed-{size}"

    def encode_queries(self, texts: Sequence[str], language: str = "") -> Any:
        """(texts, 32) float32."""
        digests = [hashlib.sha256(text.encode()).digest()[:DIMENSION] for text in texts]
        raw = np.array([[*digest] for digest in digests], np.int64)
        return (raw % (2 * self.size + 1) - self.size).astype(np.float32)

    encode_passages = encode_queries


class ForMteb:
    """The same model as MTEB takes it."""

    def __init__(self, model: Hashed) -> None:
        from mteb.models.model_meta import ModelMeta

        self.model = model
        empty = ModelMeta.create_empty()
        changed = {"name": f"tests/{model.name}", "revision": "1"}
        self.mteb_model_meta = empty.model_copy(update=changed)

    def encode(self, inputs: Any, **_: Any) -> Any:
        """Vectors of the texts that a loader of MTEB gives, batch by batch."""
        return self.model.encode_queries([text for batch in inputs for text in batch["text"]])

    def similarity(self, first: Any, second: Any) -> Any:
        """Dot products."""
        return np.asarray(first) @ np.asarray(second).T

    def similarity_pairwise(self, first: Any, second: Any) -> Any:
        """Dot products of rows."""
        return (np.asarray(first) * np.asarray(second)).sum(1)
