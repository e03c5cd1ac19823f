"""Streaming: a memory-mapped corpus counted whole and block by block, against the bare product."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.data import mapped_corpus, unit_vectors
from benchmarks.scoring import row, tiled_product
from benchmarks.timing import side_by_side
from mlbench.evaluation.scan import BLOCK
from mlbench.ranking.counting import Counter, count_outranking
from mlbench.ranking.products import Limits, Pairs

DIMENSION = 384


def against_product(
    threads: int, turns: int, sizes: tuple[int, ...] = (100_000, 1_000_000), queries: int = 1000
) -> Iterator[dict[str, object]]:
    """A memory-mapped corpus, whole and block by block, over reading and multiplying it."""
    vectors = unit_vectors(queries, DIMENSION, 2)
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / f"{size}.npy"
            corpus = mapped_corpus(path, size, DIMENSION)
            for relevant, target in ((1, "at most 1.10"), (11, "at most 1.50")):
                work = _Stream(vectors, corpus, relevant, threads)
                found = side_by_side(
                    {"product": work.multiply, "whole": work.count, "blocks": work.count_blocks},
                    "product",
                    turns,
                )
                if not np.array_equal(work.count().sum(1), work.count_blocks()):
                    raise RuntimeError("counts of blocks do not add up")
                what = f"streaming {size:,} passages, {queries:,} queries, {relevant} relevant each"
                yield row(what, found["whole"].seconds, found["whole"].ratio, target)
                yield row(
                    f"  in blocks of {BLOCK:,}", found["blocks"].seconds, found["blocks"].ratio,
                    target,
                )  # fmt: skip
            del corpus, work
            path.unlink()


class _Stream:
    """Queries with ``relevant`` passages each in a corpus of 11 languages."""

    def __init__(
        self,
        queries: npt.NDArray[np.float32],
        corpus: npt.NDArray[np.float32],
        relevant: int,
        threads: int,
    ) -> None:
        shape = (len(queries), relevant)
        passage = np.random.default_rng(3).integers(0, len(corpus), shape)
        query = np.repeat(np.arange(len(queries)), relevant)
        self.pairs = Pairs(query, np.sort(passage, axis=1).ravel())
        self.queries, self.corpus, self.threads = queries, corpus, threads

    def multiply(self) -> None:
        tiled_product(self.queries, self.corpus, self.threads)

    def count(self) -> npt.NDArray[np.int32]:
        starts = np.linspace(0, len(self.corpus), 12).astype(np.int64)
        limits = Limits(self.threads)
        return count_outranking(self.queries, self.corpus, self.pairs, starts, limits).above

    def count_blocks(self) -> npt.NDArray[np.int32]:
        """Block by block, as a streaming pass does."""
        pairs = Pairs(self.pairs.query, np.arange(len(self.pairs.query)))
        relevant = self.corpus[self.pairs.passage]
        counter = Counter(self.queries, relevant, pairs, Limits(self.threads))
        above, tied = np.zeros((2, len(pairs.query), 1), np.int32)
        for start in range(0, len(self.corpus), BLOCK):
            block = self.corpus[start : start + BLOCK]
            own = self.pairs.passage - start
            own[(own < 0) | (own >= len(block))] = -1
            counter.count(block, np.array([0, len(block)]), own, (above, tied))
        return above[:, 0]
