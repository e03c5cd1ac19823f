"""The ranks of the queries of all settings: those that search one pool are ranked together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlbench.ranking.ranks import Ints, Ranking, Ranks

if TYPE_CHECKING:
    from mlbench.data.task import Setting


@dataclass(frozen=True)
class SharedPool:
    """The ranks of the relevant passages of several query languages in one pool.

    ``cuts`` (languages of the table + 1,) cuts the queries of ``ranking`` by language, and
    ``language`` maps the place of each setting that has the pool, among all settings asked for, to
    the column of its query language.
    """

    ranking: Ranking
    cuts: Ints
    language: dict[int, int]

    @property
    def queries(self) -> dict[int, slice]:
        """Where the queries of each setting are in ``ranking``."""
        cuts = self.cuts.tolist()
        return {i: slice(cuts[at], cuts[at + 1]) for i, at in self.language.items()}


def shared_pools(
    ranks: Ranks, settings: Sequence[Setting], *, optimistic: bool = False
) -> list[SharedPool]:
    """Rank the queries of all settings, pool by pool; ``optimistic`` as ``Ranks.ranking``.

    Pairs share no pool.
    """
    by_pool: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for i, setting in enumerate(settings):
        apart = setting.query_language if ranks.pairs else ""
        by_pool.setdefault((apart, setting.passage_languages), []).append(i)
    return [
        _shared(ranks, pool, {i: settings[i].query_language for i in members}, optimistic)
        for (_, pool), members in by_pool.items()
    ]


def _shared(
    ranks: Ranks, pool: tuple[str, ...], asked: dict[int, str], optimistic: bool
) -> SharedPool:
    languages = [code for code in ranks.languages if code in asked.values()]
    if len(languages) == len(ranks.languages):
        ranking = ranks.ranking_of_all(pool, optimistic=optimistic)
    else:
        ranking = Ranking.joined(
            [ranks.ranking(language, pool, optimistic=optimistic) for language in languages]
        )
    of_language = ranks.query_language[ranking.query]
    cuts = np.searchsorted(of_language, np.arange(len(ranks.languages) + 1))
    language = ranks.columns(tuple(asked.values())).tolist()
    return SharedPool(ranking, cuts, dict(zip(asked, language, strict=True)))
