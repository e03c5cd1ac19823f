"""Sparse vectors: ranking by exact scores, against scipy's product of the same matrices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.data import Problem, xquad_r_shape
from benchmarks.late import agree
from benchmarks.scoring import row, table_of
from benchmarks.timing import Clock, peak_memory, side_by_side
from mlbench.ranking.tiles import slices

VOCABULARY, TOPICAL = 30_522, 8
ACTIVE = {"query": 24, "passage": 120}
"""Coordinates of a text that are not 0, at most; ``TOPICAL`` of them are those that a question and
its answers have in common, the others are drawn as words are: few often, most seldom."""
BLOCK = 256


def sparse_problem(scale: float = 1.0) -> Problem:
    """Return a problem of XQuAD-R's shape with sparse vectors, as SPLADE makes them."""
    whole = xquad_r_shape(8, scale=scale)
    collection, generator = whole.collection, np.random.default_rng(5)
    often = 1 / np.arange(10, VOCABULARY + 10)
    often /= often.sum()
    topics = generator.integers(0, VOCABULARY, (len(collection.queries), TOPICAL))
    topic = {"query": np.arange(len(collection.queries)), "passage": np.zeros(0, np.int64)}
    languages = len(collection.languages)
    topic["query"] %= len(collection.queries) // languages
    topic["passage"] = np.full(len(collection.passages), len(topics) - 1)
    topic["passage"][collection.qrels.passage] = topic["query"][collection.qrels.query]

    def draw(role: str) -> Any:
        rows = len(topic[role])
        words = generator.choice(VOCABULARY, (rows, ACTIVE[role] - TOPICAL), p=often)
        columns = np.hstack([topics[topic[role]], words]).ravel()
        starts = np.arange(rows + 1) * ACTIVE[role]
        values = generator.random(len(columns), np.float32) + np.float32(0.1)
        found = sparse.csr_matrix((values, columns, starts), (rows, VOCABULARY))
        found.sum_duplicates()
        return found

    return Problem(collection, draw("query"), draw("passage"))


def multiply(problem: Problem, threads: int) -> None:
    """Multiply by scipy, some queries at a time, and keep nothing."""
    others = problem.passages.T.tocsr()

    def work(part: slice) -> int:
        return int((problem.queries[part] @ others).nnz)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, slices(problem.queries.shape[0], BLOCK)))


def against_scipy(
    threads: int, turns: int, *, scale: float = 1.0, clock: Clock = time.perf_counter
) -> Iterator[dict[str, object]]:
    """The table of ranks from sparse vectors over scipy's product; peak memory."""
    problem = sparse_problem(scale)
    first = problem.queries[: min(BLOCK, problem.queries.shape[0])]
    agree(problem, (first @ problem.passages.T).toarray())
    found = side_by_side(
        {
            "product": lambda: multiply(problem, threads),
            "table": lambda: table_of(problem, threads),
        },
        "product",
        turns,
        clock,
    )
    sides = (problem.queries, problem.passages)
    sizes = [f"{side.shape[0]:,} x {side.nnz / side.shape[0]:.0f}" for side in sides]
    shape = f"{sizes[0]} and {sizes[1]} coordinates of {VOCABULARY:,}"
    yield row(f"scipy's product, float32, {shape}", found["product"].seconds, 1.0, "")
    yield row(
        "  the table of outranking counts, exact", found["table"].seconds, found["table"].ratio, ""
    )
    taken = peak_memory(
        "from benchmarks.scoring import table_of\nfrom benchmarks.sparse import sparse_problem",
        "sparse_problem", scale, f"table_of(problem, {threads})",
    )  # fmt: skip
    if taken is not None:
        what = "  peak memory of the table beside the vectors, MB"
        yield {"what": what, "seconds": None, "ratio": taken / 1e6, "target": ""}
