"""Clusters: which queries are drawn together, because they are easy or hard together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlbench.ranking.ranks import Ints, Ranks


@dataclass(frozen=True)
class Clusters:
    """``of`` (queries,) is the cluster of each query of a table, below ``count``."""

    unit: str
    of: Ints
    count: int


def question_clusters(ranks: Ranks) -> Clusters:
    """Return the questions: queries of one id, whatever their language."""
    _, of = np.unique(np.array(ranks.query_ids), return_inverse=True)
    return Clusters("question", of.astype(np.int64), int(of.max(initial=-1)) + 1)


def paragraph_clusters(ranks: Ranks) -> Clusters | None:
    """Return the questions joined by the paragraph or article they come from, None if unknown.

    Questions on one paragraph share passages. A paragraph is known by its language and name, and
    two questions that share one in any language belong together, so a cluster is a connected
    component; a question of unknown paragraph is one by itself.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not any(ranks.query_groups):
        return None
    questions = question_clusters(ranks)
    number: dict[tuple[int, str], int] = {}
    links = [
        (question, number.setdefault((language, group), questions.count + len(number)))
        for question, language, group in zip(
            questions.of.tolist(), ranks.query_language.tolist(), ranks.query_groups, strict=True
        )
        if group
    ]
    size = questions.count + len(number)
    graph = coo_array((np.ones(len(links)), np.array(links).T), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, of = np.unique(component[: questions.count], return_inverse=True)
    return Clusters("paragraph", of.astype(np.int64)[questions.of], int(of.max()) + 1)
