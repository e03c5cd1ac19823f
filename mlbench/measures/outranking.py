"""Outranking: how often each language stands above relevant passages, by its share of the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlbench.measures.bias import Matrix, Values

if TYPE_CHECKING:
    from mlbench.ranking.ranks import Ints, Ranks


def outranking_matrix(ranks: Ranks) -> Matrix:
    """Return who outranks: float64 (query languages, passage languages), NaN where nobody does.

    Entry (q, l): of all non-relevant passages that rank above a relevant one for the queries of
    q (ties count), the share that is in l, divided by l's share of the pool's non-relevant
    passages. 1 is unbiased, 2 is twice as often as the language's size explains.
    """
    size = len(ranks.languages)
    row_language = ranks.query_language[ranks.query]
    own = np.bincount(
        ranks.query * size + ranks.passage_language, minlength=len(ranks.query_ids) * size
    ).reshape(-1, size)
    outranking, at_hand = np.zeros((2, size, size), np.int64)
    for language in range(size):
        rows = slice(*np.searchsorted(row_language, [language, language + 1]))
        outranking[language] = ranks.above[rows].sum(0, dtype=np.int64)
        outranking[language] += ranks.tied[rows].sum(0, dtype=np.int64)
        at_hand[language] = (ranks.searched[language] - own[ranks.query[rows]]).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = outranking / outranking.sum(1, keepdims=True)
        pool_share = at_hand / at_hand.sum(1, keepdims=True)
        matrix: Matrix = share / pool_share
    return matrix


@dataclass(frozen=True, eq=False)
class OwnOutranking:
    """Same-language outranking of one or several models, ready to be drawn: by question (cluster)
    and query language, how many passages outrank relevant ones, how many of them are in the query's
    own language (both (clusters, models, languages)), and how many passages of the pool there are
    and are so, (clusters, languages). All float64.
    """

    outranking: Values
    own_outranking: Values
    at_hand: Values
    own_at_hand: Values

    @classmethod
    def of(cls, ranks: Ranks, cluster: Ints, clusters: int) -> OwnOutranking:
        """Add up one model's table; ``cluster`` is that of each query of it."""
        size = len(ranks.languages)
        asked = ranks.query_language[ranks.query]
        place = cluster[ranks.query] * size + asked
        own = np.bincount(
            ranks.query * size + ranks.passage_language, minlength=len(ranks.query_ids) * size
        ).reshape(-1, size)
        left = (ranks.searched[ranks.query_language] - own)[ranks.query]
        rows = np.arange(len(asked))

        def added_up(of_row: Ints) -> Values:
            found = np.bincount(place, of_row, clusters * size).astype(np.float64)
            return found.reshape(clusters, size)

        above = ranks.above.sum(1, dtype=np.int64) + ranks.tied.sum(1, dtype=np.int64)
        own_above = ranks.above[rows, asked].astype(np.int64) + ranks.tied[rows, asked]
        return cls(
            added_up(above)[:, np.newaxis],
            added_up(own_above)[:, np.newaxis],
            added_up(left.sum(1)),
            added_up(left[rows, asked]),
        )

    @classmethod
    def beside(cls, models: Sequence[OwnOutranking]) -> OwnOutranking:
        """Return that of several models on the same queries."""
        return cls(
            np.concatenate([each.outranking for each in models], axis=1),
            np.concatenate([each.own_outranking for each in models], axis=1),
            models[0].at_hand,
            models[0].own_at_hand,
        )

    def drawn(self, weights: Values) -> Values:
        """Return the mean over the query languages and then each one's, in each draw: float64
        (draws, models, 1 + languages), NaN where nothing outranks.

        ``weights`` (draws, clusters) is how often a draw takes each cluster.
        """
        clusters, _, languages = self.outranking.shape

        def drawn(of: Values) -> Values:
            return (weights @ of.reshape(clusters, -1)).reshape(len(weights), -1, languages)

        with np.errstate(invalid="ignore", divide="ignore"):
            share = drawn(self.own_outranking) / drawn(self.outranking)
            each = share / (drawn(self.own_at_hand) / drawn(self.at_hand))
            there = ~np.isnan(each)
            mean = np.where(there, each, 0).sum(2) / there.sum(2)
        return np.concatenate([mean[:, :, np.newaxis], each], axis=2)
