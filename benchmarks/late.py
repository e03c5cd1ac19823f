"""Late interaction: ranking by MaxSim from token vectors, against the products of the tokens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from benchmarks.data import Problem, xquad_r_shape
from benchmarks.scoring import row, table_of
from benchmarks.timing import Clock, peak_memory, side_by_side
from mlbench.common.threads import one_blas_thread
from mlbench.ranking.counting import scorer_of
from mlbench.ranking.maxsim import QUERY_TOKENS, STRIP, slices_by_tokens
from mlbench.ranking.products import DEFAULT_MEMORY
from mlbench.ranking.vectors import TokenVectors

DIMENSION, SHARE = 128, 0.25
QUERY_LENGTH, PASSAGE_LENGTH = 16, 32
"""Tokens of a question, and of a passage in the mean (from a quarter to seven quarters of it)."""
LITTLE_MEMORY = 32 * 2**20
CHECKED = 2000

Products = Callable[[npt.NDArray[np.float32], slice, slice], object]
"""What is done with the products of a strip of passage tokens and the tokens of some queries."""


def problem_of_tokens(scale: float = 1.0) -> Problem:
    """Return a quarter of a problem of XQuAD-R's shape, whose texts have a vector for each token:
    what the text has in common, and as much of their own."""
    whole = xquad_r_shape(DIMENSION, scale=SHARE * scale)
    generator = np.random.default_rng(3)
    size = len(whole.passages)
    lengths = generator.integers(PASSAGE_LENGTH // 4, PASSAGE_LENGTH * 7 // 4 + 1, size)

    def spread(vectors: npt.NDArray[np.float32], counts: npt.NDArray[np.int64]) -> TokenVectors:
        tokens = np.repeat(vectors, counts, axis=0)
        own = generator.standard_normal(tokens.shape, np.float32) / np.float32(DIMENSION**0.5)
        tokens += own
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        return TokenVectors(tokens, np.append(0, np.cumsum(counts)))

    questions = np.full(len(whole.queries), QUERY_LENGTH)
    return Problem(
        whole.collection, spread(whole.queries, questions), spread(whole.passages, lengths)
    )


def each_strip(problem: Problem, threads: int, use: Products = lambda *strip: None) -> None:
    """Multiply all tokens in the scorer's strips, each thread with single-threaded BLAS, and do
    something with the products."""
    queries, passages, local = problem.queries, problem.passages, threading.local()

    def multiply(part: slice) -> None:
        tokens = queries.vectors[queries.tokens(part)]
        if not hasattr(local, "block"):
            local.block = np.empty(STRIP * max(QUERY_TOKENS, len(tokens)), np.float32)
        for texts in slices_by_tokens(passages.starts, STRIP):
            others = passages.vectors[passages.tokens(texts)]
            block = local.block[: len(others) * len(tokens)].reshape(len(others), len(tokens))
            np.matmul(others, tokens.T, out=block)
            use(block, part, texts)

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(multiply, slices_by_tokens(queries.starts, QUERY_TOKENS)))


def scores_by_numpy(problem: Problem, threads: int) -> npt.NDArray[np.float32]:
    """Return all scores (passages x queries): numpy's maxima over the tokens of a passage, and
    its sums over those of a question."""
    queries, passages = problem.queries, problem.passages
    scores = np.empty((len(passages), len(queries)), np.float32)

    def reduce(block: npt.NDArray[np.float32], part: slice, texts: slice) -> None:
        best = np.maximum.reduceat(block, passages.within(texts)[:-1], axis=0)
        np.add.reduceat(best, queries.within(part)[:-1], axis=1, out=scores[texts, part])

    each_strip(problem, threads, reduce)
    return scores


def against_products(
    threads: int, turns: int, *, scale: float = 1.0, clock: Clock = time.perf_counter
) -> Iterator[dict[str, object]]:
    """The table of ranks by MaxSim, and numpy's scores, over the bare products; peak memory."""
    problem = problem_of_tokens(scale)
    agree(problem, scores_by_numpy(problem, threads).T)
    found = side_by_side(
        {
            "products": lambda: each_strip(problem, threads),
            "numpy": lambda: scores_by_numpy(problem, threads),
            "table": lambda: table_of(problem, threads),
        },
        "products",
        turns,
        clock,
    )
    sizes = [f"{len(side):,} x {len(side.vectors) / len(side):.0f}" for side in
             (problem.queries, problem.passages)]  # fmt: skip
    shape = f"{sizes[0]} and {sizes[1]} tokens, {DIMENSION} dimensions"
    yield row(f"bare products of tokens, {shape}", found["products"].seconds, 1.0, "")
    yield row("  scores by numpy, not ranked", found["numpy"].seconds, found["numpy"].ratio, "")
    yield row(
        "  the table of outranking counts by MaxSim",
        found["table"].seconds, found["table"].ratio, "",
    )  # fmt: skip
    for allowed in (DEFAULT_MEMORY, LITTLE_MEMORY):
        taken = peak_memory(
            "from benchmarks.late import problem_of_tokens\n"
            "from benchmarks.scoring import table_of",
            "problem_of_tokens", scale, f"table_of(problem, {threads}, {allowed})",
        )  # fmt: skip
        what = f"  peak memory beside the vectors of --memory {allowed // 2**20}M, MB"
        if taken is not None:
            yield {"what": what, "seconds": None, "ratio": taken / 1e6, "target": ""}


def agree(problem: Problem, scores: npt.NDArray[np.float32]) -> None:
    """Compare scores (queries x passages) with exact ones of pairs drawn at random.

    Raises RuntimeError where one is another.
    """
    drawn = np.random.default_rng(4).integers(0, scores.shape, (CHECKED, 2))
    query, passage = np.ascontiguousarray(drawn.T)
    exact = scorer_of(problem.queries, problem.passages, problem.collection.passages.starts).exact(
        query, passage
    )
    apart = np.abs(scores[query, passage] - exact).max()
    if not apart <= 1e-4 * np.abs(exact).max():
        raise RuntimeError(f"scores differ from the exact ones by {apart}")
