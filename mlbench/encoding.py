"""Encoding: each distinct text of a role and language once, checked and normalised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.adapters.base import Bound, Fitted
from mlbench.adapters.boundary import calling
from mlbench.adapters.vectors import Layout, check_vectors
from mlbench.collection import Collection, Entries
from mlbench.counting import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from mlbench.adapters.registry import LoadedModel

BATCH = 1024
COLLAPSED = 0.9999


@dataclass(frozen=True)
class Distinct:
    """The distinct texts of one role and language, and which of them each entry has."""

    role: str
    language: str
    texts: list[str]
    ids: list[str]
    """The id of the first entry with each distinct text."""
    entry: npt.NDArray[np.int64]
    """(entries,) index into ``texts``."""


def distinct_texts(role: str, entries: Entries, languages: tuple[str, ...]) -> Iterator[Distinct]:
    """Yield the distinct texts of each language, in the order they first appear."""
    for number, language in enumerate(languages):
        part = entries.slice(number)
        first: dict[str, int] = {}
        entry = [first.setdefault(text, len(first)) for text in entries.texts[part]]
        seen: dict[str, str] = {}
        for id_, text in zip(entries.ids[part], entries.texts[part], strict=True):
            seen.setdefault(text, id_)
        yield Distinct(role, language, list(first), list(seen.values()), np.array(entry, np.int64))


@dataclass(frozen=True)
class Plan:
    """All that is to be encoded for a collection, by role."""

    queries: tuple[Distinct, ...]
    passages: tuple[Distinct, ...]

    @classmethod
    def of(cls, collection: Collection) -> Plan:
        """Find the distinct texts of a collection."""
        languages = collection.languages
        return cls(
            tuple(distinct_texts("query", collection.queries, languages)),
            tuple(distinct_texts("passage", collection.passages, languages)),
        )

    @property
    def texts(self) -> dict[str, int]:
        """Role -> number of texts to encode."""
        groups = {"query": self.queries, "passage": self.passages}
        return {role: sum(len(g.texts) for g in of_role) for role, of_role in groups.items()}


@dataclass(frozen=True)
class Embedded:
    """The vectors of a collection, one row an entry, ready for scoring: float32 (n, d) or CSR."""

    queries: Floats | csr_matrix
    passages: Floats | csr_matrix
    warnings: tuple[str, ...]


def learns(adapter: object) -> bool:
    """Say whether an adapter keeps something of a collection, so that each needs a new one."""
    return isinstance(adapter, Fitted | Bound)


class Encoder:
    """Encodes a collection with one model, telling ``progress`` how many texts are done."""

    def __init__(self, model: LoadedModel, progress: Callable[[int], None]) -> None:
        self.model = model
        self.progress = progress
        self.layout: Layout | None = None

    def encode(self, collection: Collection, plan: Plan) -> Embedded:
        """Return the vectors of all passages and queries.

        Raises ModelError where the model raises or breaks the adapter's contract.
        """
        self._prepare(collection, plan.passages)
        parts = {"passage": self._role(plan.passages), "query": self._role(plan.queries)}
        warnings = tuple(
            f"the model gives all {role} texts nearly the same vector (mean cosine of two is "
            f"{cosine:.5f}): it has collapsed, and ties count against it"
            for role, vectors in parts.items()
            if (cosine := mean_cosine(vectors)) > COLLAPSED
        )
        return Embedded(parts["query"], parts["passage"], warnings)

    def _prepare(self, collection: Collection, passages: Iterable[Distinct]) -> None:
        """Let a model that asks for it read the passages, or learn the ids of the texts."""
        adapter = self.model.adapter
        if isinstance(adapter, Fitted):
            for group in passages:
                with calling(self.model.spec, "fit"):
                    adapter.fit(list(group.texts), group.language)
        if isinstance(adapter, Bound):
            for role, entries in (("query", collection.queries), ("passage", collection.passages)):
                for number, language in enumerate(collection.languages):
                    part = entries.slice(number)
                    with calling(self.model.spec, "bind"):
                        adapter.bind(
                            role, language, list(entries.ids[part]), list(entries.texts[part])
                        )

    def _role(self, groups: Iterable[Distinct]) -> Floats | csr_matrix:
        """Encode the groups of one role and lay the vectors out by entry."""
        blocks: list[Any] = []
        for group in groups:
            batches = [self._batch(group, start) for start in range(0, len(group.texts), BATCH)]
            blocks.append(_stack(batches)[group.entry])
        return _stack(blocks)

    def _batch(self, group: Distinct, start: int) -> Floats | csr_matrix:
        texts = group.texts[start : start + BATCH]
        adapter = self.model.adapter
        name = "encode_queries" if group.role == "query" else "encode_passages"
        encode = adapter.encode_queries if group.role == "query" else adapter.encode_passages
        with calling(self.model.spec, name):
            value = encode(list(texts), group.language)
        where = f"model {self.model.spec}, {name} ({group.language})"
        vectors = check_vectors(
            value,
            method=where,
            rows=len(texts),
            text_id=lambda row: f"{group.role} {group.ids[start + row]!r} ({group.language})",
            layout=self.layout,
        )
        self.layout = self.layout or Layout.of(vectors, where)
        self.progress(len(texts))
        return normalise(vectors) if self.model.similarity == "cosine" else vectors


def _stack(blocks: list[Any]) -> Floats | csr_matrix:
    if isinstance(blocks[0], np.ndarray):
        stacked: Floats = np.concatenate(blocks)
        return stacked
    from scipy import sparse

    return sparse.vstack(blocks, format="csr", dtype=np.float32)


def normalise(vectors: Floats | csr_matrix) -> Floats | csr_matrix:
    """Divide each row by its Euclidean norm, in float64, and round to float32; zero rows stay.

    The norm is added in the fixed order of ``kernels.dot`` (sparse: of the columns), so that the
    result is the same on every machine.
    """
    from mlbench import kernels

    if isinstance(vectors, np.ndarray):
        norms = kernels.norms(vectors)[:, None]
        divided = np.divide(vectors, norms, where=norms > 0, out=vectors.astype(np.float64))
        return divided.astype(np.float32)
    rows = np.arange(vectors.shape[0])
    csr = (vectors.indptr, vectors.indices, vectors.data)
    norms = np.repeat(np.sqrt(kernels.sparse_pair_scores(*csr, *csr, rows, rows)), np.diff(csr[0]))
    result = vectors.copy()
    result.data = np.divide(
        vectors.data, norms, where=norms > 0, out=vectors.data.astype(np.float64)
    ).astype(np.float32)
    return result


def mean_cosine(vectors: Floats | csr_matrix) -> float:
    """Return the mean cosine of two different rows; 0 for fewer than two.

    From the length of the sum of the unit vectors: |sum|^2 = n + n (n - 1) mean.
    """
    size = vectors.shape[0]
    if size < 2:
        return 0.0
    total = np.zeros(vectors.shape[1])
    for start in range(0, size, BATCH):
        part = normalise(vectors[start : start + BATCH])
        total += np.asarray(part.sum(0, dtype=np.float64)).ravel()
    return float((total @ total - size) / (size * (size - 1)))
