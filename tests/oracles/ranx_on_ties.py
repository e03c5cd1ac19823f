"""What ranx, uncompiled, gives for runs with ties, beside what mlbench gives.

Methods that take ranks have a run's ties in every order there is, and the mean over these is what
is right.
"""

from __future__ import annotations

import itertools
import warnings

from mlbench.commands.fuse import METHODS, NORMS
from mlbench.runs.fusing import ON_RANKS, WEIGHTED, Fusion, fuse_runs
from mlbench.runs.rank_fusion import BY_VOTE
from mlbench.runs.reading import read_run
from tests.support.uncompiled import uncompiled_ranx

GIVEN = {"gmnz": {"gamma": 0.5}, "rbc": {"phi": 0.8}}
DEFAULTS = {"rrf": {"k": 60}, "logn_isr": {"sigma": 0.01}}
WEIGHTS = (0.3, 0.7, 0.5)
NOT_LINEAR = ("max", "min", "med")
"""The mean over orders of ties is not what these give for mean ranks."""


def orders(ranking):
    """Yield a ranking with its ties in every order, as scores that fall."""
    ties = [
        [name for name in ranking if ranking[name] == score]
        for score in sorted(set(ranking.values()), reverse=True)
    ]
    for each in itertools.product(*map(itertools.permutations, ties)):
        names = list(itertools.chain(*each))
        yield {name: float(len(names) - place) for place, name in enumerate(names)}


def by_ranx(ranx, rankings, method, norm, weights):
    given = GIVEN.get(method, DEFAULTS.get(method, {}))
    return ranx.fuse(
        [ranx.Run({"q": ranking}) for ranking in rankings],
        norm=norm,
        method=method,
        params={**given, **({"weights": list(weights)} if weights else {})},
    ).to_dict()["q"]


def expected(ranx, rankings, method, norm, weights):
    if method not in ON_RANKS and norm not in {"rank", "borda"}:
        return by_ranx(ranx, rankings, method, None if norm == "none" else norm, weights)
    total, count = {}, 0
    for each in itertools.product(*map(orders, rankings)):
        count += 1
        for name, score in by_ranx(ranx, each, method, norm, weights).items():
            total[name] = total.get(name, 0.0) + score
    return {name: score / count for name, score in total.items()}


def beside_ranx(given, folder):
    """Return [method, norm, ranx's scores, mlbench's scores] of each set of runs."""
    with uncompiled_ranx() as ranx, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [row for rankings in given for row in _beside(ranx, rankings, folder)]


def _beside(ranx, rankings, folder):
    rows, files = [], []
    for i, ranking in enumerate(rankings):
        path = folder / f"{i}.trec"
        lines = (f"q Q0 {name} 1 {score!r} t\n" for name, score in ranking.items())
        path.write_text("".join(lines))
        files.append(read_run(path))
    for method in METHODS:
        weights = WEIGHTS[: len(files)] if method in WEIGHTED else None
        for norm in [None] if method in ON_RANKS else NORMS:
            if method in BY_VOTE or (method in NOT_LINEAR and norm in {"rank", "borda"}):
                continue
            how = Fusion(method, norm, GIVEN.get(method, {}), weights)
            right = expected(ranx, rankings, method, norm, weights)
            rows.append([method, norm, right, dict(fuse_runs(files, how, 100)["q"])])
    return rows
