"""Scoring as others do it: the same settings by sorting with numpy, and by evaluation packages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal, TypeVar

import numpy as np

from benchmarks import mteb_search
from benchmarks.data import Part, Problem, parts, xquad_r_shape
from benchmarks.scoring import MEASURES, ScoresByName, row, scores_of, table_of, tiled_product
from benchmarks.timing import side_by_side
from mlbench.data.task import Kind, Setting
from mlbench.measures.rank_measures import parse_measures

T = TypeVar("T")
Run = dict[str, dict[str, float]]
Judged = dict[str, dict[str, int]]
SORTS: dict[str, Literal["quicksort", "stable"]] = {
    "numpy argsort a setting, equal scores in any order": "quicksort",
    "numpy argsort a setting, equal scores in a fixed order": "stable",
}
FEWER = 100
"""Questions a language that packages are given unless more are asked for."""


def against_others(
    threads: int, turns: int, *, scale: float = 1.0, questions: int = FEWER
) -> Iterator[dict[str, object]]:
    """The same scores by sorting, and on ``questions`` a language by packages on full rankings."""
    yield from _against_sorting(xquad_r_shape(scale=scale), threads, min(turns, 3))
    fewer = xquad_r_shape(questions=questions, scale=scale)
    yield from _against_packages(fewer, threads, turns)


def _against_sorting(problem: Problem, threads: int, turns: int) -> Iterator[dict[str, object]]:
    """All questions: what is sorted is then larger than any cache, here as there."""
    settings = problem.collection.roles.settings(Kind)
    by_sorting: dict[str, ScoresByName] = {}
    bare = "bare tiled product, less than which no scoring can take"

    def sort(name: str) -> None:
        by_sorting[name] = scores_by_sorting(problem, settings, SORTS[name])

    found = side_by_side(
        {
            "mlbench": lambda: scores_of(table_of(problem, threads)),
            bare: lambda: tiled_product(problem.queries, problem.passages, threads),
            **{name: partial(sort, name) for name in SORTS},
        },
        "mlbench",
        turns,
    )
    ours = scores_of(table_of(problem, threads))
    for name, theirs in by_sorting.items():
        agree(name, ours, theirs)
    yield row(f"all settings, {_shape(problem)}", found["mlbench"].seconds, 1.0, "")
    for what in (bare, *SORTS):
        target = "at least 25" if what in SORTS else ""
        yield row(f"  {what}", found[what].seconds, found[what].ratio, target)


def _against_packages(problem: Problem, threads: int, turns: int) -> Iterator[dict[str, object]]:
    """Setting by setting, as rankings of all of them would fill the memory.

    mlbench, which does all settings at once, is timed again and again between the others' settings.
    """
    settings = problem.collection.roles.settings(Kind)
    ours = scores_of(table_of(problem, threads))
    seconds = dict.fromkeys(PEERS, 0.0)
    own: list[float] = []
    small = next(parts(xquad_r_shape(scale=0.01), settings))
    for peer in PEERS.values():  # so that no compilation is timed
        peer(_full_rankings(small), small.qrels)
    for number, part in enumerate(parts(problem, settings)):
        run = _full_rankings(part)
        for name, peer in PEERS.items():
            value, taken = _timed(partial(peer, run, part.qrels))
            seconds[name] += taken
            agree(name, ours, {(part.setting, "AP"): value})
        if number % turns == 0:
            own.append(_timed(lambda: scores_of(table_of(problem, threads)))[1])
    if mteb_search.available():
        name = "MTEB's search and scoring of the first 1,000 passages"
        seconds[name] = 0.0
        cut = scores_of(table_of(problem, threads), parse_measures([mteb_search.MEASURE]))
        for number, (setting, value, taken) in enumerate(mteb_search.searches(problem, settings)):
            seconds[name] += taken
            agree(name, cut, {(setting, mteb_search.MEASURE): value})
            if number % turns == 0:
                own.append(_timed(lambda: scores_of(table_of(problem, threads)))[1])
    one = statistics.median(own)
    yield row(f"all settings, {_shape(problem)}", one, 1.0, "")
    for name, taken in seconds.items():
        given, target = ("full rankings", "at least 150") if name in PEERS else ("vectors", "")
        yield row(f"  {name}, {given} given", taken, taken / one, target)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def _shape(problem: Problem) -> str:
    return f"{len(problem.queries):,} queries, {len(problem.passages):,} passages"


def agree(name: str, ours: ScoresByName, theirs: ScoresByName) -> None:
    """Refuse to compare the time of what does not compute the same."""
    for (setting, measure), value in theirs.items():
        if not abs(ours[setting, measure] - value) <= 1e-6:  # also where it is not a number
            raise RuntimeError(
                f"{name}: {setting}, {measure}: {value}, mlbench {ours[setting, measure]}"
            )


def scores_by_sorting(
    problem: Problem, settings: Sequence[Setting], kind: Literal["quicksort", "stable"]
) -> ScoresByName:
    """``MEASURES`` by sorting each setting's scores, as one would write it in numpy.

    By numpy's default, "quicksort", equal scores are in an order that no one promises and that
    differs between machines; by "stable" they are in that of the passages.
    """
    collection = problem.collection
    relevant = np.zeros((len(problem.queries), len(problem.passages)), bool)
    relevant[collection.qrels.query, collection.qrels.passage] = True
    number = {code: i for i, code in enumerate(collection.languages)}
    discount = 1 / np.log2(np.arange(2, 12))
    found = {}
    for setting in settings:
        own = collection.queries.slice(number[setting.query_language])
        pool = np.isin(
            collection.passages.language, [number[code] for code in setting.passage_languages]
        )
        scores = problem.queries[own] @ problem.passages[pool].T
        order = np.argsort(-scores, axis=1, kind=kind)
        hits = np.take_along_axis(relevant[own][:, pool], order, 1)
        judged = hits.sum(1)
        precision = np.cumsum(hits, 1) / np.arange(1, hits.shape[1] + 1)
        gain, top = hits[:, :10], discount[: hits.shape[1]]
        ideal = np.cumsum(top)[np.minimum(judged, len(top)) - 1]
        per_query = {
            "AP": (precision * hits).sum(1) / judged,
            "RR": 1 / (1 + hits.argmax(1)),
            "nDCG@10": gain @ top / ideal,
            "R@1": hits[:, 0] / judged,
            "R@10": gain.sum(1) / judged,
            "R@100": hits[:, :100].sum(1) / judged,
            "Success@1": hits[:, 0],
        }
        for measure in MEASURES:
            found[setting, measure.name] = float(per_query[measure.name].mean())
    return found


def _full_rankings(part: Part) -> Run:
    """A setting as the dictionaries that evaluation packages take; making them is not timed."""
    scores = part.queries.astype(np.float64) @ part.passages.T.astype(np.float64)
    return {
        id_: dict(zip(part.passage_ids, row.tolist(), strict=True))
        for id_, row in zip(part.query_ids, scores, strict=True)
    }


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
