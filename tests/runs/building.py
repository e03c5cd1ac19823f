"""Run files made for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mlbench.data.collection import Collection
from mlbench.data.input_files import Faults
from mlbench.data.task import Kind, Roles
from mlbench.measures.rank_measures import parse_measures
from mlbench.runs.matching import Matching, Targets
from mlbench.runs.patterns import find_runs
from mlbench.runs.rankings import Rankings
from mlbench.runs.reading import read_run
from mlbench.runs.scoring import Scored, score_runs

Run = Mapping[str, Mapping[str, float]]
"""Query -> passage -> score."""


def trec(run: Run, tag: str = "tag") -> str:
    return "".join(
        f"{query} Q0 {passage} 0 {score!r} {tag}\n"
        for query, ranking in run.items()
        for passage, score in ranking.items()
    )


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def rankings_of(
    collection: Collection, paths: Sequence[str | Path], pools: Sequence[str] = (), **options: bool
) -> tuple[Rankings, Matching]:
    """Read, match and rank; the caller looks at the faults."""
    targets = Targets.of(collection)
    rankings = Rankings(targets, np.ones(len(targets.languages), bool))
    matching = Matching(targets, **options)
    for each in find_runs(
        [str(path) for path in paths], pools, Roles(targets.languages, targets.languages)
    ):
        rankings.add(matching.place(read_run(each.path), each), each, matching.faults)
    return rankings, matching


def scored(
    collection: Collection,
    paths: Sequence[str | Path],
    measures: Iterable[str],
    pools: Sequence[str] = (),
) -> Scored:
    rankings, matching = rankings_of(collection, paths, pools)
    matching.faults.check()
    settings = collection.roles.settings(list(Kind))
    return score_runs(rankings, settings, parse_measures(measures))


def messages(faults: Faults) -> list[str]:
    return [str(fault) for fault in faults._first]
