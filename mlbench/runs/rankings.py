"""Rankings of run files: the ranks of a task's relevant passages in each, as trec_eval has them.

A query's passages are sorted by score, descending, read as float32 as trec_eval reads it; equal
scores by passage id as written, descending (trec_eval 9.0, ``form_res_rels.c``). Ranks in the file
and the order of its lines say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlbench.data.input_files import Faults
from mlbench.data.task import Kind, Setting
from mlbench.runs.matching import Placed, Targets
from mlbench.runs.patterns import Given
from mlbench.runs.reading import Ints, RunFile


@dataclass(frozen=True)
class Hits:
    """Relevant passages that runs hold, as arrays of one length, sorted by pool, query and rank.

    ``pair`` indexes ``Targets.query``; ``rank`` counts from 1.
    """

    pool: Ints
    query: Ints
    rank: Ints
    pair: Ints


class Takes(Protocol):
    """Something that is shown all rankings."""

    def take(self, ranked: Placed, cell: Ints, rank: Ints, pair: Ints) -> None:
        """Look at a file's lines in their order: the number of the ranking of each, its rank from
        1, and which relevant pair it is, -1 for none."""


@dataclass
class Rankings:
    """What all run files hold together. A pool is a language, or after them all of them."""

    targets: Targets
    chosen: npt.NDArray[np.bool_]
    """(languages,) the languages that count; the pool of all languages is all of these."""
    depth: Ints = field(init=False)
    """(queries, pools) passages of a query."""
    claimed: npt.NDArray[np.bool_] = field(init=False)
    """(languages, pools) settings that some file is about."""
    tied: int = 0
    """Rankings in which a relevant passage has the score of one that is not."""
    parts: list[Hits] = field(default_factory=list)
    owner: dict[int, str] = field(default_factory=dict)
    shown: Takes | None = None

    def __post_init__(self) -> None:
        languages = len(self.targets.languages)
        self.depth = np.zeros((len(self.targets.judged), languages + 1), np.int64)
        self.claimed = np.zeros((languages, languages + 1), bool)

    def add(self, placed: Placed, given: Given, faults: Faults) -> None:
        """Rank a file's lines and keep what counts; another file's query in a pool is a fault."""
        placed = self._cut(placed)
        self._claim(placed, given)
        queries, pools = self.depth.shape
        cell = placed.pool * queries + placed.query
        order, same = trec_order(placed, cell)
        cell = cell[order]
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        count = np.diff(starts, append=len(cell))
        for number, at in zip(cell[starts].tolist(), order[starts].tolist(), strict=True):
            other = self.owner.setdefault(number, str(placed.run.path))
            if other != str(placed.run.path):
                where = placed.run.where(int(placed.line[at]))
                name = self.targets.query_ids[number % queries]
                faults.add(where, f"query {name!r} is also in {other}", "each query once in a pool")
        self.depth.reshape(-1)[cell[starts] % queries * pools + cell[starts] // queries] = count
        rank = np.arange(len(order)) - np.repeat(starts, count) + 1
        pair = self._pairs(placed.query[order], placed.passage[order])
        self.tied += _tied_rankings(cell, ~same, pair >= 0)
        if self.shown is not None:
            self.shown.take(placed.kept(order), cell, rank, pair)
        hit = np.flatnonzero(pair >= 0)
        at = order[hit]
        self.parts.append(Hits(placed.pool[at], placed.query[at], rank[hit], pair[hit]))

    @cached_property
    def hits(self) -> Hits:
        """All that was added."""
        columns = [
            np.concatenate([getattr(part, name) for part in self.parts])
            for name in ("pool", "query", "rank", "pair")
        ]
        order = np.lexsort((columns[2], columns[1], columns[0]))
        return Hits(*(column[order] for column in columns))

    def _cut(self, placed: Placed) -> Placed:
        """Leave out the lines in languages that do not count."""
        if self.chosen.all():
            return placed
        ok = np.append(self.chosen, True)  # the last is for the pool of all, and for no language
        asked = self.targets.queries.language[placed.query]
        kept = np.flatnonzero(self.chosen[asked] & ok[placed.pool] & ok[placed.language])
        return placed.kept(kept)

    def _claim(self, placed: Placed, given: Given) -> None:
        """Say which settings a file is about: all of its rule's, for the languages it can hold.

        One for each passage language by itself is about the query's own where it has such lines.
        """
        number = {code: i for i, code in enumerate(self.targets.languages)}
        asked = [i for code, i in number.items() if given.query_language in {"", code}]
        for query in asked:
            if given.pool == Kind.MULTILINGUAL.value:
                self.claimed[query, -1] = True
            elif given.pool == Kind.MONOLINGUAL.value:
                self.claimed[query, query] = True
            elif given.pool == Kind.CROSSLINGUAL.value:
                self.claimed[query, :-1] |= np.arange(len(number)) != query
            else:
                self.claimed[query, number[given.pool]] = True
        self.claimed[self.targets.queries.language[placed.query], placed.pool] = True

    def _pairs(self, query: Ints, passage: Ints) -> Ints:
        """Return which relevant pair each line is, -1 for none."""
        targets = self.targets
        size = len(targets.passages.language) + int(passage.max(initial=0)) + 1
        known = targets.query * size + targets.passage
        asked = query * size + passage
        place = np.searchsorted(known, asked).clip(max=len(known) - 1)
        found: Ints = np.where(known[place] == asked, place, -1)
        return found


def _tied_rankings(
    cell: Ints, begins: npt.NDArray[np.bool_], relevant: npt.NDArray[np.bool_]
) -> int:
    """Count the cells in which lines of one score, where ``begins`` starts one, are mixed."""
    group = np.cumsum(begins) - 1
    found = np.bincount(group, relevant)
    mixed = (found > 0) & (found < np.bincount(group))
    return int(np.count_nonzero(np.diff(cell[begins][mixed], prepend=-1)))


def trec_order(placed: Placed, cell: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return the order of lines, cell by cell, and which have the cell and score of the one before.

    ``cell`` is a number for each query in a pool.
    """
    with np.errstate(over="ignore"):
        score = placed.run.score[placed.line].astype(np.float32)
    place = name_order(placed.run)[placed.run.passage[placed.line]]
    order = np.lexsort((-place, -score, cell))
    same = np.zeros(len(order), bool)
    same[1:] = (np.diff(cell[order]) == 0) & (score[order][1:] == score[order][:-1])
    return order, same


def name_order(run: RunFile) -> Ints:
    """Return the place of each passage name in ascending order of code points (and of bytes)."""
    order = sorted(range(len(run.passages)), key=run.passages.__getitem__)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def pool_number(setting: Setting, languages: Sequence[str]) -> int:
    """Return the number of a setting's pool: that of its language, or after these that of all."""
    mixed = setting.kind is Kind.MULTILINGUAL
    return len(languages) if mixed else languages.index(setting.passage_languages[0])
