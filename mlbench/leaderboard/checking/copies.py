"""Entries that are too much like another's: names that look alike, tables that are copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import MlbenchError
from mlbench.leaderboard.entries.board import BoardEntry, Place
from mlbench.leaderboard.entries.entry import Entry, EntryKind, Found
from mlbench.leaderboard.entries.strict import skeleton
from mlbench.leaderboard.entries.tables import entry_table
from mlbench.ranking.ranks import Ranks

EQUAL = 0.2
"""Share of outranked rows with the very same counts; different models share under 0.01."""
CORRELATION = 0.98
"""Of the logarithm of the rows' counts; different models were seen at 0.60 to 0.84."""
FEWEST_ROWS = 20


@dataclass(frozen=True)
class Print:
    """What is kept of a table to compare it: a hash of each row's counts, and their sum's log.

    Rows are in the order of query, passage language and passage id, whatever their places.
    """

    hashes: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.float32]


def table_print(ranks: Ranks) -> Print:
    """Return the print of a table."""
    order = np.lexsort((np.array(ranks.passage_ids), ranks.passage_language, ranks.query))
    counts = np.concatenate([ranks.above, ranks.tied], axis=1)[order].astype(np.uint64)
    factors = np.random.default_rng(1).integers(1, 2**63, counts.shape[1], np.uint64) * 2 + 1
    sizes = np.log1p(counts.sum(1, dtype=np.float64)).astype(np.float32)
    return Print((counts * factors).sum(1, dtype=np.uint64), sizes)


def alike(one: Print, other: Print) -> str:
    """Say in what two tables are suspiciously alike, "" if they are not."""
    rows = (one.sizes > 0) | (other.sizes > 0)
    if rows.sum() < FEWEST_ROWS:
        return ""
    equal = float((one.hashes[rows] == other.hashes[rows]).mean())
    if equal > EQUAL:
        return f"{equal:.1%} of its outranked rows"
    a, b = (each.sizes[rows].astype(np.float64) for each in (one, other))
    if np.ptp(a) and np.ptp(b) and (found := float(np.corrcoef(a, b)[0, 1])) > CORRELATION:
        return f"its counts, at a correlation of {found:.3f}"
    return ""


class Prints:
    """The prints of entries, each table read once; one that cannot be read has none."""

    def __init__(self) -> None:
        self.known: dict[Place, Print | None] = {}

    def of(self, entry: BoardEntry) -> Print | None:
        """Return the print of an entry's table."""
        if entry.place not in self.known:
            try:
                ranks = entry_table(entry)
            except MlbenchError:
                ranks = None
            self.known[entry.place] = table_print(ranks) if ranks else None
        return self.known[entry.place]


def same_tables(entry: BoardEntry, others: Sequence[BoardEntry], prints: Prints) -> Iterator[Found]:
    """Yield where an entry's table is that of another model, however it was written."""
    for other in others:
        if _same(prints.of(entry), prints.of(other)):
            yield "ranks_sha256", f"the table of {other.place}", "its own table"


def _same(one: Print | None, other: Print | None) -> bool:
    """Say whether two tables have the same counts, and not so few that this can be chance."""
    if one is None or other is None or (one.sizes > 0).sum() < FEWEST_ROWS:
        return False
    return np.array_equal(one.hashes, other.hashes)


def likenesses(entry: BoardEntry, others: Sequence[BoardEntry], prints: Prints) -> Iterator[Found]:
    """Yield where an entry is very much like that of another model, though not the same."""
    for other in others:
        if entry.entry.model.identity and entry.entry.model.identity == other.entry.model.identity:
            yield "model.identity", f"that of {other.place}", "its own identity"
        table = entry.entry.ranks_sha256
        if table is None or other.entry.ranks_sha256 in (None, table):
            continue
        one, another = prints.of(entry), prints.of(other)
        if one and another and (found := alike(one, another)):
            yield "ranks_sha256", f"shares {found} with {other.place}", "its own table"


def other_owner(entry: Entry, earlier: Iterable[BoardEntry]) -> str:
    """Return whose model an entry is a run of, "" if it is its submitter's own.

    A model is of those who submitted it with evidence; figures from a publication are nobody's,
    and do not take the place of another's entry.
    """
    reported = entry.kind is EntryKind.REPORTED
    owners = [
        each.entry.declared.submitter
        for each in earlier
        if reported or each.entry.kind is EntryKind.EVIDENCE
    ]
    return "" if not owners or entry.declared.submitter in owners else owners[0]


def names_alike(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of slugs, of ``slug -> name``, whose names look alike."""
    first: dict[str, str] = {}
    for slug, name in sorted(names.items()):
        other = first.setdefault(skeleton(name), slug)
        if other != slug:
            yield slug, other
            yield other, slug
