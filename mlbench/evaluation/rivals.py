"""The passages that outrank the relevant ones, by the model's own scores.

Only the queries in question are encoded, and the passages of the pool; what the embedding cache
holds is taken from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, UsageError
from mlbench.data.collection import Collection, Qrels
from mlbench.data.task import Task
from mlbench.data.texts import Name
from mlbench.evaluation.evaluate import encode_held
from mlbench.evaluation.options import Options
from mlbench.models.encoding import Embedded
from mlbench.models.registry import LoadedModel
from mlbench.ranking.counting import scorer_of
from mlbench.ranking.ranks import Ints
from mlbench.reports.explain import Explanation
from mlbench.reports.provenance import ModelInfo
from mlbench.reports.rivals import Rivals, ranked_rivals


class Found(NamedTuple):
    """The rivals of some queries, and how many of their counts are not those of the table, which
    happens where vectors were encoded anew and round differently."""

    rivals: list[Rivals]
    differing: int


def refuse_other_model(model: LoadedModel, info: ModelInfo) -> None:
    """Raise UsageError unless the model is the one of the report."""
    if model.identity != info.identity:
        raise UsageError(
            Fault(
                "--model",
                f"is not the model of the report: its identity is {model.identity!r}",
                f"{info.identity!r}, that of {info.name}",
                "give the model, with its options, as in the report's run.command",
            )
        )


def find_rivals(
    task: Task,
    collection: Collection,
    model: LoadedModel,
    explained: Sequence[Explanation],
    most: int,
    options: Options,
) -> Found:
    """Return the first ``most`` rivals, by language, of queries in one pool, or of pairs each in
    that of its own.

    Raises ModelError where the model fails.
    """
    if len(explained) > 1 and collection.pairs:
        parts = [find_rivals(task, collection, model, [e], most, options) for e in explained]
        return Found([r for each in parts for r in each.rivals], sum(e.differing for e in parts))
    pool = list(explained[0].passages[0].above)
    part, asked, names = _part(collection, explained, pool)
    embedded, _ = encode_held(task, part, model, options, whole=collection)
    starts = part.passages.starts
    rivals, differing = [], 0
    for row, each in zip(asked.tolist(), explained, strict=True):
        scores = _scores(embedded, row, starts)
        found, wrong = _of_query(scores, starts, names, each, pool, part, most)
        rivals.append(found)
        differing += wrong
    return Found(rivals, differing)


def _part(
    collection: Collection, explained: Sequence[Explanation], pool: Sequence[str]
) -> tuple[Collection, Ints, dict[Name, int]]:
    """Return the queries explained with the passages of the pool, as a collection; where each of
    the queries is in it; and where each of its passages is, by name."""
    code = collection.languages.index
    index = collection.queries.index
    asked = np.array([index[code(each.language), each.query_id] for each in explained], np.int64)
    queries = np.unique(asked)
    languages = [code(language) for language in pool]
    inside = np.isin(collection.passages.language, languages)
    if collection.queries.pair is not None and collection.passages.pair is not None:
        inside &= np.isin(collection.passages.pair, collection.queries.pair[queries])
    passages = np.flatnonzero(inside)
    nothing = np.zeros(0, np.int64)
    part = replace(
        collection,
        queries=collection.queries.take(queries),
        passages=collection.passages.take(passages),
        qrels=Qrels(nothing, nothing, nothing.astype(np.int32)),
        absent=None,
    )
    names = {
        (collection.languages[language], id_): place
        for (language, id_), place in part.passages.index.items()
    }
    return part, np.searchsorted(queries, asked), names


def _scores(embedded: Embedded, query: int, starts: Ints) -> npt.NDArray[np.float64]:
    """Return the exact score of a query with every passage."""
    passages = np.arange(embedded.passages.shape[0])
    scorer = scorer_of(embedded.queries, embedded.passages, starts)
    return scorer.exact(np.full(len(passages), query), passages)


def _of_query(
    scores: npt.NDArray[np.float64],
    starts: Ints,
    names: dict[Name, int],
    each: Explanation,
    pool: Sequence[str],
    part: Collection,
    most: int,
) -> tuple[Rivals, int]:
    """Return the rivals of one query, and how many counts differ from the table's."""
    relevant = {(p.language, p.passage_id): names[p.language, p.passage_id] for p in each.passages}
    counted = {(p.language, p.passage_id): (p.above, p.tied) for p in each.passages}
    others = np.ones(len(scores), bool)
    others[list(relevant.values())] = False
    of, differing = {}, 0
    for language in pool:
        number = part.languages.index(language)
        places = np.arange(starts[number], starts[number + 1])
        places = places[others[places]]
        own = scores[places]
        counts = {
            name: (int((own > scores[at]).sum()), int((own == scores[at]).sum()))
            for name, at in relevant.items()
        }
        differing += sum(
            counts[name] != (above[language], tied[language])
            for name, (above, tied) in counted.items()
        )
        order = places[np.lexsort((places, -own))[:most]].tolist()
        ordered = [(part.passages.ids[at], float(scores[at])) for at in order]
        of[language] = ranked_rivals(language, ordered, counts, most)
    return Rivals(of, {name: float(scores[at]) for name, at in relevant.items()}), differing
