"""Entries that are too much like another's: names that look alike, tables that are copies.

A new table is held against all others of its task, in one pass over them. Of each are read only
the columns that tell its rows and counts, and kept are a hash and a size of each row.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import MlbenchError
from mlbench.leaderboard.entries.board import BoardEntry, Place
from mlbench.leaderboard.entries.entry import RANKS_FILE, Entry, EntryKind, Found
from mlbench.leaderboard.entries.strict import read_bounded, skeleton
from mlbench.leaderboard.entries.tables import MAX_TABLE
from mlbench.leaderboard.entries.unpacking import unpacked
from mlbench.ranking.ranks import Ranks

if TYPE_CHECKING:
    import pyarrow as pa

Ints = npt.NDArray[np.int64]

EQUAL = 0.2
"""Share of outranked rows with the very same counts; different models share under 0.01."""
CORRELATION = 0.98
"""Of the logarithm of the rows' counts; different models were seen at 0.60 to 0.84."""
FEWEST_ROWS = 20
SLACK, LEAST_VARIANCE = 1e-4, 1e-6
"""A correlation from sums in float64, of values whose variance is at least this share of their
mean square, is off by far less than ``SLACK``."""
COLUMNS = ("query_id", "query_language", "passage_id", "passage_language", "above", "tied")
IDS = COLUMNS[:4]


@dataclass(frozen=True)
class Print:
    """What is kept of a table to compare it: a hash of each row's counts, and their sum's log.

    Rows are in the order of query, passage language and passage id, whatever their places.
    """

    hashes: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.float32]

    @cached_property
    def outranked(self) -> npt.NDArray[np.bool_]:
        """(rows,) whether anything outranks the passage."""
        return self.sizes > 0

    @cached_property
    def sums(self) -> tuple[int, float, float]:
        """The number of outranked rows, and the sums of all sizes and of their squares."""
        sizes = self.sizes.astype(np.float64)
        return int(self.outranked.sum()), float(sizes.sum()), _product(sizes, sizes)


def table_print(ranks: Ranks) -> Print:
    """Return the print of a table."""
    ids = np.unique(np.array(ranks.passage_ids), return_inverse=True)[1]
    return _print(ranks.query, ranks.passage_language, ids, ranks.above, ranks.tied)


def file_print(entry: BoardEntry, *, checked: bool) -> Print:
    """Return the print of an entry's table, from its file; ``checked`` says that the file is one
    that passed all checks before, and need not be unpacked with care.

    Raises DataError or ValueError where the file is no such table.
    """
    import pyarrow.parquet as pq

    task, path = entry.task, entry.path / RANKS_FILE
    raw = read_bounded(path, MAX_TABLE, str(path))
    if checked:
        file = pq.ParquetFile(io.BytesIO(raw), read_dictionary=list(IDS))
        table = file.read(columns=list(COLUMNS))
    else:
        table = unpacked(raw, task.rows, len(task.languages))
    texts = {name: _numbers(table, name) for name in IDS}
    number = {code: i for i, code in enumerate(task.languages)}
    languages = np.array([number[code] for code in texts["passage_language"][1]])
    changes = [np.diff(texts[name][0]) != 0 for name in ("query_id", "query_language")]
    order = {id_: i for i, id_ in enumerate(sorted(texts["passage_id"][1]))}
    ids = np.array([order[id_] for id_ in texts["passage_id"][1]])
    above, tied = (
        table.column(name).combine_chunks().flatten().to_numpy().reshape(-1, len(number))
        for name in ("above", "tied")
    )
    return _print(
        np.append(0, np.cumsum(changes[0] | changes[1])),
        languages[texts["passage_language"][0]],
        ids[texts["passage_id"][0]],
        above,
        tied,
    )


def _numbers(table: pa.Table, name: str) -> tuple[Ints, list[str]]:
    """Return a column of texts as indices into the distinct ones, and these."""
    import pyarrow as pa

    column = table.column(name).combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.indices.to_numpy(), column.dictionary.to_pylist()


def _print(
    query: npt.NDArray[np.integer],
    language: npt.NDArray[np.integer],
    passage: npt.NDArray[np.integer],
    above: npt.NDArray[np.integer],
    tied: npt.NDArray[np.integer],
) -> Print:
    """Return the print of rows: (rows,) each, counts (rows, languages)."""
    width = above.shape[1]
    factors = np.random.default_rng(1).integers(1, 2**63, 2 * width, np.uint64) * 2 + 1
    hashes = above.astype(np.uint64) @ factors[:width]
    sizes = above @ np.ones(width, np.int64)
    if tied.any():
        hashes += tied.astype(np.uint64) @ factors[width:]
        sizes += tied @ np.ones(width, np.int64)
    logarithms = np.log1p(sizes.astype(np.float64)).astype(np.float32)
    order = _order(query, language, passage, width)
    return Print(hashes[order], logarithms[order])


def _order(
    query: npt.NDArray[np.integer],
    language: npt.NDArray[np.integer],
    passage: npt.NDArray[np.integer],
    languages: int,
) -> Ints:
    """Return the order of rows by query, passage language and passage."""
    cells = query * languages + language
    counts = np.bincount(cells)
    if counts.max() > 1:
        return np.lexsort((passage, cells))
    order = np.empty(len(cells), np.int64)
    order[np.cumsum(counts)[cells] - 1] = np.arange(len(cells))
    return order


def alike(one: Print, other: Print) -> str:
    """Say in what two tables are suspiciously alike, "" if they are not."""
    if len(one.sizes) != len(other.sizes) or not _may_be_alike(one, other):
        return ""
    rows = one.outranked | other.outranked
    if rows.sum() < FEWEST_ROWS:
        return ""
    equal = float((one.hashes[rows] == other.hashes[rows]).mean())
    if equal > EQUAL:
        return f"{equal:.1%} of its outranked rows"
    a, b = (each.sizes[rows].astype(np.float64) for each in (one, other))
    if np.ptp(a) and np.ptp(b) and (found := float(np.corrcoef(a, b)[0, 1])) > CORRELATION:
        return f"its counts, at a correlation of {found:.3f}"
    return ""


def _may_be_alike(one: Print, other: Print) -> bool:
    """Say whether two tables can be alike, from sums alone: never False where they are.

    Rows that nothing outranks in either table are equal, and add nothing to a sum.
    """
    rows = one.sums[0] + other.sums[0] - int(np.count_nonzero(one.outranked & other.outranked))
    equal = np.count_nonzero(one.hashes == other.hashes) - (len(one.sizes) - rows)
    if equal > EQUAL * rows:
        return True
    rows = max(rows, 1)
    spread = [square - total**2 / rows for _, total, square in (one.sums, other.sums)]
    if any(
        each <= LEAST_VARIANCE * of.sums[2] for each, of in zip(spread, (one, other), strict=True)
    ):
        return True
    shared = _product(*(each.sizes.astype(np.float64) for each in (one, other)))
    covariance = shared - one.sums[1] * other.sums[1] / rows
    return bool(covariance > (CORRELATION - SLACK) * np.sqrt(spread[0] * spread[1]))


def _product(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return a dot product, without the threads that BLAS would start for it."""
    return float(np.einsum("i,i->", one, other))


class Prints:
    """The prints of entries; one whose table cannot be read has none.

    ``known`` are those of tables that were read anyway. ``checked`` says whether an entry's files
    passed all checks before.
    """

    def __init__(self, checked: Callable[[BoardEntry], bool]) -> None:
        self.known: dict[Place, Print | None] = {}
        self.checked = checked

    def of(self, entry: BoardEntry) -> Print | None:
        """Return the print of an entry's table; what was not known is not kept."""
        if entry.place in self.known:
            return self.known[entry.place]
        if entry.entry.ranks_sha256 is None:
            return None
        try:
            return file_print(entry, checked=self.checked(entry))
        except (MlbenchError, ValueError, KeyError, OSError):  # its own check says what is wrong
            return None


def resemblances(
    entries: Sequence[BoardEntry], others: Iterable[BoardEntry], prints: Prints
) -> Iterator[tuple[BoardEntry, Found, bool]]:
    """Hold entries of a task against all others of it that are of another model.

    Yields each that is too much like another: what was found, and whether it is a copy, the very
    table however it was written.
    """
    for other in others:
        of_other = [entry for entry in entries if entry.slug != other.slug]
        its = prints.of(other) if of_other else None
        for entry in of_other:
            yield from _resemblance(entry, other, prints.known.get(entry.place), its)


def _resemblance(
    entry: BoardEntry, other: BoardEntry, own: Print | None, its: Print | None
) -> Iterator[tuple[BoardEntry, Found, bool]]:
    if _same(own, its):
        yield entry, ("ranks_sha256", f"the table of {other.place}", "its own table"), True
    if entry.entry.model.identity and entry.entry.model.identity == other.entry.model.identity:
        yield entry, ("model.identity", f"that of {other.place}", "its own identity"), False
    table = entry.entry.ranks_sha256
    if table is None or other.entry.ranks_sha256 in (None, table):
        return
    if own and its and (found := alike(own, its)):
        yield entry, ("ranks_sha256", f"shares {found} with {other.place}", "its own table"), False


def _same(one: Print | None, other: Print | None) -> bool:
    """Say whether two tables have the same counts, and not so few that this can be chance."""
    if one is None or other is None or one.sums[0] < FEWEST_ROWS:
        return False
    return np.array_equal(one.hashes, other.hashes)


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
