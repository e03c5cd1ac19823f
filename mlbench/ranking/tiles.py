"""Tiles: blocks of queries and passages that are scored at once, and what they are counted by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The table's rows: query i owns ``starts[i]:starts[i + 1]``, each a relevant passage and
    its exact score, the threshold that other passages are counted against.

    ``bands`` keeps what was made of the thresholds of a tile's queries for its next tile.
    """

    starts: Ints
    passage: Ints
    threshold: npt.NDArray[np.float64]
    bands: dict[tuple[int, int], Bands] = field(default_factory=dict)

    def of(self, queries: slice) -> slice:
        """Return the rows of some queries."""
        return slice(int(self.starts[queries.start]), int(self.starts[queries.stop]))

    def within(self, queries: slice) -> Ints:
        """Return where each query's rows begin and end among the rows of some queries."""
        starts: Ints = self.starts[queries.start : queries.stop + 1] - self.starts[queries.start]
        return starts


@dataclass(frozen=True)
class Bands:
    """The thresholds of a tile's queries as ``tile_kernels`` wants them, for passages whose norms
    are at most ``largest``, scaled by ``exponent``."""

    largest: float
    exponent: int
    edges: npt.NDArray[np.void]
    grid: npt.NDArray[np.void]


@dataclass(frozen=True)
class Tile:
    """A block of work: some queries against some passages, which belong to ``languages``;
    ``edges`` says where each of these begins and ends within the passages."""

    queries: slice
    passages: slice
    languages: slice
    edges: Ints

    @property
    def size(self) -> int:
        """Number of scores in the tile."""
        height = self.queries.stop - self.queries.start
        return int(height * (self.passages.stop - self.passages.start))


def cut_tiles(queries: Sequence[slice], passages: Iterable[slice], starts: Ints) -> list[Tile]:
    """Return the tiles of some passages, one for each of the parts of queries."""
    tiles = []
    for part in passages:
        first = int(np.searchsorted(starts, part.start, "right")) - 1
        last = int(np.searchsorted(starts, part.stop, "left"))
        edges = np.clip(starts[first : last + 1], part.start, part.stop) - part.start
        tiles += [Tile(rows, part, slice(first, last), edges) for rows in queries]
    return tiles


def slices(size: int, most: int) -> list[slice]:
    """Cut ``size`` things evenly into as few parts as have ``most`` of them at most."""
    parts = -(-size // most)
    cuts = [size * part // parts for part in range(parts)]
    return [slice(a, b) for a, b in pairwise([*cuts, size])]


def slices_by_language(starts: Ints, width: int) -> list[slice]:
    """Cut passages by language: as many whole ones as fit into ``width``, or even parts of one."""
    cuts = [0]
    for begin, end in pairwise(starts.tolist()):
        if end - cuts[-1] > width:
            cuts += [begin + part.start for part in slices(end - begin, width)]
    return [slice(a, b) for a, b in pairwise([*cuts, int(starts[-1])]) if b > a]
