"""The first passages of saved rankings, and these rankings after they were scored again.

Of each ranking, the first ``depth`` passages of each language are its candidates. After they were
scored again, candidates stand above all other passages, by their second scores, as float32; of
equal scores those that are not relevant first, then the less relevant, so that ties count against
the model. The others keep their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.data.task import Setting
from mlbench.runs.matching import Placed, Targets
from mlbench.runs.rankings import Hits, Rankings, pool_number
from mlbench.runs.reading import Ints

Floats = npt.NDArray[np.float32]


class _Candidates(NamedTuple):
    """Candidates, as arrays of one length: the number of their ranking, their query and passage,
    and which relevant pair they are, -1 for none."""

    cell: Ints
    query: Ints
    passage: Ints
    pair: Ints


@dataclass
class FirstPassages:
    """Gathers the candidates of the rankings that it is shown (see ``Rankings.shown``)."""

    depth: int
    targets: Targets
    _candidates: list[_Candidates] = field(default_factory=list)
    _others: list[Hits] = field(default_factory=list)

    def take(self, ranked: Placed, cell: Ints, rank: Ints, pair: Ints) -> None:
        """Take the candidates of a file's rankings, and the ranks that other relevant passages
        will have."""
        languages = len(self.targets.languages)
        chosen = _places(cell * (languages + 1) + ranked.language + 1) < self.depth
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        count = chosen.astype(np.int64)
        before = np.cumsum(count) - count
        which = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(cell)))
        inside = np.add.reduceat(count, starts) if len(starts) else np.zeros(0, np.int64)
        moved = rank + inside[which] - (before - before[starts][which])
        rest = np.flatnonzero(~chosen & (pair >= 0))
        self._others.append(Hits(ranked.pool[rest], ranked.query[rest], moved[rest], pair[rest]))
        mine = np.flatnonzero(chosen)
        self._candidates.append(
            _Candidates(cell[mine], ranked.query[mine], ranked.passage[mine], pair[mine])
        )

    @property
    def all(self) -> _Candidates:
        """All candidates; pair i of what is to be scored is ``query[i]`` with ``passage[i]``."""
        empty = np.zeros(0, np.int64)
        columns = zip(*self._candidates, strict=True) if self._candidates else [[empty]] * 4
        return _Candidates(*(np.concatenate(column) for column in columns))

    def reranked(self, rankings: Rankings, again: Floats) -> Rankings:
        """Return the rankings after reranking; ``again`` float32 (n,) are the candidates' second
        scores."""
        found, queries = self.all, len(self.targets.judged)
        grades = np.append(self.targets.relevance, 0)[found.pair]
        order = np.lexsort((grades, -again, found.cell))
        cell, pair = found.cell[order], found.pair[order]
        hit = np.flatnonzero(pair >= 0)
        rank = _places(cell) + 1
        own = Hits(cell[hit] // queries, cell[hit] % queries, rank[hit], pair[hit])
        new = replace(rankings, parts=[own, *self._others], shown=None)
        new.depth, new.claimed = rankings.depth, rankings.claimed
        return new

    def short(self, rankings: Rankings, settings: Sequence[Setting]) -> Iterator[tuple[str, int]]:
        """Yield, for each setting that the runs are about, its kind and how many of its rankings
        end before they have ``depth`` passages of every language, or all there are."""
        queries, languages = len(self.targets.judged), self.targets.languages
        counts = np.bincount(self.all.cell, minlength=queries * (len(languages) + 1))
        of_query = self.targets.queries.language
        for setting in settings:
            asked, pool = languages.index(setting.query_language), pool_number(setting, languages)
            if rankings.claimed[asked, pool]:
                taken = counts[queries * pool : queries * (pool + 1)][of_query == asked]
                full = self._most(setting)
                yield setting.kind.value, int(((taken > 0) & (taken < full)).sum())

    def _most(self, setting: Setting) -> int:
        """Return how many candidates a ranking of a setting can have."""
        if len(setting.passage_languages) == 1:
            size = self.targets.sizes(setting)[1]
            return self.depth if size is None else min(self.depth, size)
        if self.targets.pool_sizes is None:
            return self.depth * len(setting.passage_languages)
        pool = [self.targets.languages.index(code) for code in setting.passage_languages]
        return int(np.minimum(self.targets.pool_sizes[pool], self.depth).sum())


def _places(group: Ints) -> Ints:
    """Return the place of each element among those of its group, from 0, in their order."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(starts, append=len(group))
    places = np.empty(len(group), np.int64)
    places[order] = np.arange(len(group)) - np.repeat(starts, sizes)
    return places
