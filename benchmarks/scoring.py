"""Scoring: all settings of XQuAD-R from vectors, against the bare product."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.data import Problem, xquad_r, xquad_r_shape
from benchmarks.timing import side_by_side
from mlbench.common.threads import one_blas_thread
from mlbench.data.task import Kind, Setting
from mlbench.measures.rank_measures import Measure, parse_measures
from mlbench.measures.scores import compute_scores, score_settings
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.products import DEFAULT_MEMORY, PASSAGE_TILE, QUERY_TILE, Limits
from mlbench.ranking.ranks import Ranks

MEASURES = parse_measures(["AP", "RR", "nDCG@10", "R@1", "R@10", "R@100", "Success@1"])
ScoresByName = dict[tuple[Setting, str], float]
"""A setting and a measure's name -> the mean over the setting's queries."""


def tiled_product(
    queries: npt.NDArray[np.float32], passages: npt.NDArray[np.float32], threads: int
) -> None:
    """The bare product in the scorer's tiles, each thread with single-threaded BLAS."""
    local = threading.local()

    def multiply(corner: tuple[int, int]) -> None:
        a = queries[corner[0] : corner[0] + QUERY_TILE]
        b = passages[corner[1] : corner[1] + PASSAGE_TILE]
        if not hasattr(local, "block"):
            local.block = np.empty(QUERY_TILE * PASSAGE_TILE, np.float32)
        np.matmul(a, b.T, out=local.block[: len(a) * len(b)].reshape(len(a), len(b)))

    corners = [
        (row, column)
        for column in range(0, len(passages), PASSAGE_TILE)
        for row in range(0, len(queries), QUERY_TILE)
    ]
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(multiply, corners))


def table_of(problem: Problem, threads: int, memory: int = DEFAULT_MEMORY) -> Ranks:
    limits = Limits(threads, memory)
    return rank_collection(problem.collection, problem.queries, problem.passages, limits)[0]


def scores_of(ranks: Ranks, measures: Sequence[Measure] = MEASURES) -> ScoresByName:
    """Every measure of every setting, ties counted both ways."""
    settings = ranks.roles.settings(Kind)
    return {
        (setting, name): value
        for setting, (_, row) in zip(
            settings, score_settings(ranks, settings, measures), strict=True
        )
        for name, value in row.measures.items()
    }


def against_product(
    threads: int, turns: int, *, scale: float = 1.0, model: Path | None = None
) -> Iterator[dict[str, object]]:
    """Vectors to every score of 132 settings, over the bare tiled product."""
    real = xquad_r(model) if model else None  # what it lacks is said before anything is timed
    generated = xquad_r_shape(scale=scale)
    yield from _over_product("generated vectors", generated, threads, turns)
    if model and real:
        yield from _over_product(f"vectors of {model.name}", real, threads, turns)


def _over_product(
    source: str, problem: Problem, threads: int, turns: int
) -> Iterator[dict[str, object]]:
    settings = problem.collection.roles.settings(Kind)
    found = side_by_side(
        {
            "product": lambda: tiled_product(problem.queries, problem.passages, threads),
            "table": lambda: table_of(problem, threads),
            "scores": lambda: scores_of(table_of(problem, threads)),
            "report": lambda: compute_scores(table_of(problem, threads), settings, MEASURES),
        },
        "product",
        turns,
    )
    shape = f"{len(problem.queries):,} x {len(problem.passages):,} x {problem.queries.shape[1]}"
    yield row(f"bare tiled product, {source}, {shape}", found["product"].seconds, 1.0, "")
    yield row("  the table of outranking counts", found["table"].seconds, found["table"].ratio, "")
    target = "at most 1.30 (AVX2), 1.50 (AVX-512)"
    yield row(
        f"  all {len(settings)} settings, 7 measures, ties both ways",
        found["scores"].seconds, found["scores"].ratio, target,
    )  # fmt: skip
    yield row(
        "  the same with macro intervals, all bias figures and the language-count curve",
        found["report"].seconds, found["report"].ratio, "",
    )  # fmt: skip


def row(what: str, seconds: float, ratio: float, target: str) -> dict[str, object]:
    return {"what": what, "seconds": seconds, "ratio": ratio, "target": target}
