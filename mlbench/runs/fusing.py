"""Several runs fused into one: their scores by ranx, their ranks by ``rank_fusion``.

A run that ties passages adds the same to each; which of equal fused scores goes first is decided
afterwards, by trec_eval's rule. ranx compiles anew for passage ids of another length, so it is
given numbers of one length for names.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.runs.rank_fusion import BY_VOTE, NORMS, Ranking, fuse_ranks, normalised
from mlbench.runs.rank_fusion import METHODS as BY_PLACE
from mlbench.runs.reading import Name, RunFile
from mlbench.runs.writing import LARGEST, falling, refuse_unfit, trec_lines

PARAMETERS: Mapping[str, Mapping[str, float | None]] = {
    "rrf": {"k": 60},
    "logn_isr": {"sigma": 0.01},
    "gmnz": {"gamma": None},
    "rbc": {"phi": None},
}
"""Method -> its parameters and their defaults, None where it has to be given."""
WEIGHTED = ("wsum", "mixed", "wmnz", "w_bordafuse", "w_condorcet")
ON_RANKS = (*BY_PLACE, *BY_VOTE)
"""Methods to which scores say the order only, so that normalising them changes nothing."""
DEFAULT_NORM = "min-max"
SHOWN = 3

Ranked = dict[str, list[tuple[str, float]]]
"""Query -> its passages with their scores, the best first."""


@dataclass(frozen=True)
class Fusion:
    """How runs are fused: a method of ranx, its normalisation, parameters and weights."""

    method: str
    norm: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    weights: tuple[float, ...] | None = None

    def check(self, runs: int) -> None:
        """Raise UsageError where the options do not fit the method or the number of runs."""
        known = PARAMETERS.get(self.method, {})
        faults = [
            Fault("--param", f"{self.method} has no {name}", ", ".join(known) or "no parameter")
            for name in self.parameters
            if name not in known
        ]
        for name, default in known.items():
            value = self.parameters.get(name, default)
            if value is None:
                faults.append(Fault("--param", f"{self.method} needs {name}", f"{name}=NUMBER"))
            elif not math.isfinite(value) or (name == "k" and not float(value).is_integer()):
                faults.append(
                    Fault(
                        "--param", f"{name}={value}", "a whole number for k, any number for others"
                    )
                )
        if runs < 2:
            faults.append(Fault("RUN", f"{runs} given", "two or more"))
        if self.method in ON_RANKS and self.norm not in {None, "none"}:
            found = f"{self.method} takes ranks, not scores: normalising them changes nothing"
            faults.append(Fault("--norm", found, "--norm left out"))
        weighted = self.method in WEIGHTED
        if weighted and (self.weights is None or len(self.weights) != runs):
            found = f"{len(self.weights or ())} given"
            faults.append(Fault("--weights", found, f"{runs} for {self.method}, one for each run"))
        if not weighted and self.weights is not None:
            faults.append(Fault("--weights", f"{self.method} takes none", ", ".join(WEIGHTED)))
        if faults:
            raise UsageError(*faults)

    def values(self) -> dict[str, Any]:
        """Return the parameters, those that were not given by their defaults."""
        values: dict[str, Any] = {
            name: self.parameters.get(name, default)
            for name, default in PARAMETERS.get(self.method, {}).items()
        }
        return values

    def options(self) -> dict[str, Any]:
        """Return parameters and weights as ranx takes them."""
        return self.values() | ({} if self.weights is None else {"weights": list(self.weights)})


def fuse_runs(runs: Sequence[RunFile], fusion: Fusion, depth: int) -> Ranked:
    """Fuse runs over the same queries; at most ``depth`` passages of each are kept.

    Passages of equal fused scores are sorted by id, descending. Raises UsageError where the options
    do not fit, DataError where an id cannot stand in a TREC run, the runs differ in their queries,
    or a fused score is no number.
    """
    fusion.check(len(runs))
    refuse_unfit(
        (f"{run.path}, {role} {name.id!r}", name.id)
        for run in runs
        for role, names in (("query", run.queries), ("passage", run.passages))
        for name in names
    )
    _refuse_other_queries(runs)
    from mlbench.ranking.kernels import check_cache

    check_cache()

    passages = sorted({shown(name) for run in runs for name in run.passages})
    number = {name: i for i, name in enumerate(passages)}
    rankings = [_rankings(run, number) for run in runs]
    by_query = {query: [of[query] for of in rankings] for query in sorted(rankings[0])}
    if fusion.method in ON_RANKS:
        given, weights = fusion.values(), fusion.weights
        fused = {
            query: fuse_ranks(of, fusion.method, given, weights) for query, of in by_query.items()
        }
    else:
        fused = _fused_by_ranx(by_query, fusion)
    ranked: Ranked = {}
    for query, ranking in fused.items():
        if not all(abs(score) <= LARGEST for score in ranking.values()):
            found = f"{fusion.method} gives no number that float32 can hold for query {query!r}"
            raise DataError(Fault("fuse", found, "scores that it can fuse", "try another --norm"))
        best = sorted(((score, i) for i, score in ranking.items()), reverse=True)
        ranked[query] = [(passages[i], score) for score, i in best[:depth]]
    return ranked


def _fused_by_ranx(
    by_query: Mapping[str, Sequence[Ranking]], fusion: Fusion
) -> dict[str, dict[int, float]]:
    """Return query -> number of a passage -> its fused score, from the runs' own scores."""
    from mlbench.ranking.kernels import check_cache

    check_cache()
    import ranx

    norm = DEFAULT_NORM if fusion.norm is None else fusion.norm
    if norm in NORMS:
        by_query = {query: normalised(of, norm) for query, of in by_query.items()}
    count = len(next(iter(by_query.values())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, about ranx's own code
        fused = ranx.fuse(
            [
                ranx.Run({query: _labelled(of[i]) for query, of in by_query.items()})
                for i in range(count)
            ],
            norm=None if norm in {*NORMS, "none"} else norm,
            method=fusion.method,
            params=fusion.options(),
        ).to_dict()
    return {
        query: {int(label): float(score) for label, score in fused[query].items()}
        for query in by_query
    }


def _labelled(ranking: Ranking) -> dict[str, float]:
    return {f"{i:010d}": score for i, score in zip(*map(np.ndarray.tolist, ranking), strict=True)}


def shown(name: Name) -> str:
    """Return an id as a fused run has it: with its language where the file has a column for it."""
    return f"{name.language}:{name.id}" if name.language else name.id


def _refuse_other_queries(runs: Sequence[RunFile]) -> None:
    """Raise DataError, naming a few, where a run lacks queries that another has."""
    queries = [{shown(name) for name in run.queries} for run in runs]
    every = set().union(*queries)
    faults = []
    for run, own in zip(runs, queries, strict=True):
        lacking = sorted(every - own)
        if lacking:
            named = ", ".join(map(repr, lacking[:SHOWN]))
            more = f" and {len(lacking) - SHOWN:,} more" if len(lacking) > SHOWN else ""
            found = (
                f"lacks {len(lacking):,} of {plural(len(every), 'query', 'queries')}: {named}{more}"
            )
            mend = "add these queries to it, or leave them out of the others"
            faults.append(Fault(str(run.path), found, "the queries of the other runs", mend))
    if faults:
        raise DataError(*faults)


def _rankings(run: RunFile, number: Mapping[str, int]) -> dict[str, Ranking]:
    """Return query -> the numbers of its passages and their scores, as they stand in the file."""
    passage = np.array([number[shown(name)] for name in run.passages])[run.passage]
    order = np.argsort(run.query, kind="stable")
    edges = np.searchsorted(run.query[order], np.arange(len(run.queries) + 1))
    return {
        shown(name): (passage[order[a:b]], run.score[order[a:b]])
        for name, a, b in zip(run.queries, edges[:-1], edges[1:], strict=True)
    }


def fused_lines(ranked: Ranked, tag: str) -> Iterator[str]:
    """Yield the TREC lines of a fused run, its scores as float32 and falling strictly."""
    for query, ranking in ranked.items():
        written = falling(np.array([score for _, score in ranking])).tolist()
        yield from trec_lines(query, zip((name for name, _ in ranking), written, strict=True), tag)
