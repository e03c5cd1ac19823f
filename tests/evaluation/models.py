"""Models that do what makes a pass difficult."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import sparse

from mlbench.models.protocol import Truncation
from mlbench.models.registry import LoadedModel


def loaded(
    adapter: object, similarity: str = "cosine", identity: str = "declared: m"
) -> LoadedModel:
    return LoadedModel("m", "m", "test", adapter, similarity, identity)


def vector(text: str) -> np.ndarray:
    """A vector of small whole numbers: products are exact, and many of them are equal."""
    raw = np.frombuffer(hashlib.sha256(text.encode()).digest()[:6], np.uint8)
    return (raw % 3).astype(np.float32) - 0.5


class Plain:
    """The same vector for a text, always; notes what it is asked in ``log``."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log
        self.asked: list[tuple[str, str]] = []

    def note(self, texts, language):
        self.asked += [(text, language) for text in texts]
        if self.log:
            with self.log.open("a", encoding="utf-8") as log:
                log.write("".join(f"{text}\n" for text in texts))

    def encode_queries(self, texts, language):
        return self.encode(texts)

    def encode_passages(self, texts, language):
        self.note(texts, language)
        return self.encode(texts)

    def encode(self, texts):
        return np.stack([vector(text) for text in texts])


class Free(Plain):
    """Not told the language."""

    language_free = True


class Folding(Free):
    """Reads all in lower case."""

    def canonical(self, role, texts):
        return [text.lower().encode() for text in texts]

    def encode(self, texts):
        return super().encode([text.lower() for text in texts])


class Forms(Folding):
    """Encodes its forms itself; says in which thread it was asked for them."""

    def __init__(self, log: Path | None = None) -> None:
        super().__init__(log)
        self.threads: dict[str, set[int]] = {"canonical": set(), "encode_forms": set()}

    def canonical(self, role, texts):
        self.threads["canonical"].add(threading.get_ident())
        return super().canonical(role, texts)

    def encode_forms(self, role, forms):
        self.threads["encode_forms"].add(threading.get_ident())
        return self.encode_passages([form.decode() for form in forms], "")

    def truncation(self, role, texts):
        longer = [len(text) - 12 for text in texts if len(text) > 12]
        return Truncation(len(longer), sum(longer), sum(map(len, texts)))


class Rounding(Folding):
    """Rounds as a network does: a vector depends on what else is in the batch."""

    def encode(self, texts):
        beside = sum(map(len, texts)) / 2**20
        return super().encode(texts) + np.float32(beside)


class Sparse(Plain):
    """Words, hashed to columns."""

    def encode(self, texts):
        rows = sparse.lil_matrix((len(texts), 50), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                rows[row, sum(map(ord, word)) % 50] += 1
        return rows.tocsr()


class Tokens(Plain):
    """A vector for each word."""

    def encode(self, texts):
        return [np.stack([vector(word) for word in text.split()]) for text in texts]


def renamed(model: LoadedModel, **given: str) -> LoadedModel:
    return replace(model, **given)
