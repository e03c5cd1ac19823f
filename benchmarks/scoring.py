"""Scoring: all settings of XQuAD-R from vectors, against the bare product and against others."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks import mteb_search
from benchmarks.data import Problem, parts, xquad_r, xquad_r_shape
from benchmarks.timing import side_by_side
from mlbench.measures import Measure, parse_measures
from mlbench.ranks import Ranks
from mlbench.scores import compute_scores, score_settings
from mlbench.scoring.products import PASSAGE_TILE, QUERY_TILE, Limits
from mlbench.table import rank_collection
from mlbench.task import Kind, Setting, all_settings

MEASURES = parse_measures(["AP", "RR", "nDCG@10", "R@1", "R@10", "R@100", "Success@1"])


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
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(multiply, corners))


def table_of(problem: Problem, threads: int) -> Ranks:
    return rank_collection(problem.collection, problem.queries, problem.passages, Limits(threads))[
        0
    ]


def scores_of(
    ranks: Ranks, measures: Sequence[Measure] = MEASURES
) -> dict[tuple[Setting, str], float]:
    """Every measure of every setting, ties counted both ways."""
    settings = all_settings(ranks.languages, Kind)
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
    generated = xquad_r_shape(questions=max(4, int(1190 * scale)), scale=scale)
    yield from _over_product("generated vectors", generated, threads, turns)
    if model and real:
        yield from _over_product(f"vectors of {model.name}", real, threads, turns)


def _over_product(
    source: str, problem: Problem, threads: int, turns: int
) -> Iterator[dict[str, object]]:
    settings = all_settings(problem.collection.languages, Kind)
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


def against_others(threads: int, turns: int, *, scale: float = 1.0) -> Iterator[dict[str, object]]:
    """The same scores by sorting, and on fewer questions by three packages on full rankings."""
    yield from _against_sorting(threads, min(turns, 3), scale)
    yield from _against_packages(threads, turns, scale)


def _against_sorting(threads: int, turns: int, scale: float) -> Iterator[dict[str, object]]:
    """All questions: what is sorted is then larger than any cache, here as there."""
    problem = xquad_r_shape(questions=max(4, int(1190 * scale)), scale=scale)
    settings = all_settings(problem.collection.languages, Kind)
    by_sorting: dict[Setting, float] = {}
    name = "numpy argsort a setting, AP alone"
    bare = "bare tiled product, less than which no scoring can take"
    found = side_by_side(
        {
            "mlbench": lambda: scores_of(table_of(problem, threads)),
            bare: lambda: tiled_product(problem.queries, problem.passages, threads),
            name: lambda: by_sorting.update(argsort_ap(problem, settings)),
        },
        "mlbench",
        turns,
    )
    _agree(name, scores_of(table_of(problem, threads)), by_sorting)
    yield row(f"all settings, {_shape(problem)}", found["mlbench"].seconds, 1.0, "")
    for what, target in ((bare, ""), (name, "at least 25")):
        yield row(f"  {what}", found[what].seconds, found[what].ratio, target)


def _against_packages(threads: int, turns: int, scale: float) -> Iterator[dict[str, object]]:
    """100 questions a language: rankings as dictionaries of all of them would fill the memory.

    mlbench, which does all settings at once, is timed again and again between the others' settings.
    """
    problem = xquad_r_shape(questions=max(4, int(100 * scale)), scale=scale)
    settings = all_settings(problem.collection.languages, Kind)
    ours = scores_of(table_of(problem, threads))
    seconds = dict.fromkeys(PEERS, 0.0)
    own: list[float] = []
    for peer in PEERS.values():  # so that no compilation is timed
        peer(*next(full_rankings(problem, settings))[1:])
    for number, ranking in enumerate(full_rankings(problem, settings)):
        for name, peer in PEERS.items():
            value, taken = _timed(partial(peer, *ranking[1:]))
            seconds[name] += taken
            _agree(name, ours, {ranking[0]: value})
        if number % turns == 0:
            own.append(_timed(lambda: scores_of(table_of(problem, threads)))[1])
    if mteb_search.available():
        name = "MTEB's search and scoring of the first 1,000 passages"
        seconds[name] = 0.0
        cut = scores_of(table_of(problem, threads), parse_measures([mteb_search.MEASURE]))
        for number, (setting, value, taken) in enumerate(mteb_search.searches(problem, settings)):
            seconds[name] += taken
            _agree(name, cut, {setting: value}, mteb_search.MEASURE)
            if number % turns == 0:
                own.append(_timed(lambda: scores_of(table_of(problem, threads)))[1])
    one = statistics.median(own)
    yield row(f"all settings, {_shape(problem)}", one, 1.0, "")
    for name, taken in seconds.items():
        given, target = ("full rankings", "at least 150") if name in PEERS else ("vectors", "")
        yield row(f"  {name}, {given} given", taken, taken / one, target)


T = TypeVar("T")


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def _shape(problem: Problem) -> str:
    return f"{len(problem.queries):,} queries, {len(problem.passages):,} passages"


def _agree(
    name: str,
    ours: dict[tuple[Setting, str], float],
    theirs: dict[Setting, float],
    measure: str = "AP",
) -> None:
    """Refuse to time what does not compute the same."""
    for setting, value in theirs.items():
        if abs(ours[setting, measure] - value) > 1e-6:
            raise RuntimeError(f"{name}: {setting}: {value}, mlbench {ours[setting, measure]}")


def argsort_ap(problem: Problem, settings: tuple[Setting, ...]) -> dict[Setting, float]:
    """AP by sorting each setting's scores, as one would write it in numpy."""
    collection = problem.collection
    relevant = np.zeros((len(problem.queries), len(problem.passages)), bool)
    relevant[collection.qrels.query, collection.qrels.passage] = True
    number = {code: i for i, code in enumerate(collection.languages)}
    found = {}
    for setting in settings:
        own = collection.queries.slice(number[setting.query_language])
        pool = np.isin(
            collection.passages.language, [number[code] for code in setting.passage_languages]
        )
        scores = problem.queries[own] @ problem.passages[pool].T
        order = np.argsort(-scores, axis=1)
        hits = np.take_along_axis(relevant[own][:, pool], order, 1)
        precision = np.cumsum(hits, 1) / np.arange(1, hits.shape[1] + 1)
        found[setting] = float(((precision * hits).sum(1) / hits.sum(1)).mean())
    return found


Ranking = tuple[Setting, dict[str, dict[str, float]], dict[str, dict[str, int]]]


def full_rankings(problem: Problem, settings: tuple[Setting, ...]) -> Iterator[Ranking]:
    """Every setting as the dictionaries that evaluation packages take; making them is not timed."""
    for part in parts(problem, settings):
        scores = part.queries.astype(np.float64) @ part.passages.T.astype(np.float64)
        run = {
            id_: dict(zip(part.passage_ids, row.tolist(), strict=True))
            for id_, row in zip(part.query_ids, scores, strict=True)
        }
        yield part.setting, run, part.qrels


Run = dict[str, dict[str, float]]
Judged = dict[str, dict[str, int]]


def _pytrec_eval(run: Run, qrels: Judged) -> float:
    import pytrec_eval

    wanted = {"map", "recip_rank", "ndcg_cut_10", "recall_1,10,100", "success_1"}
    values = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    return float(np.mean([value["map"] for value in values.values()]))


def _ir_measures(run: Run, qrels: Judged) -> float:
    import ir_measures

    measures = [ir_measures.parse_measure(measure.name) for measure in MEASURES]
    return float(ir_measures.calc_aggregate(measures, qrels, run)[measures[0]])


def _ranx(run: Run, qrels: Judged) -> float:
    import ranx

    wanted = ["map", "mrr", "ndcg@10", "recall@1", "recall@10", "recall@100", "hit_rate@1"]
    return float(ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), wanted)["map"])


PEERS = {"pytrec_eval": _pytrec_eval, "ir-measures": _ir_measures, "ranx": _ranx}


def row(what: str, seconds: float, ratio: float, target: str) -> dict[str, object]:
    return {"what": what, "seconds": seconds, "ratio": ratio, "target": target}
