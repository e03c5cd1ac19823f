"""Tables held against one another: as fast as can be, and with what a whole comparison finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlbench.leaderboard.checking.copies import (
    CORRELATION,
    EQUAL,
    FEWEST_ROWS,
    Print,
    Prints,
    alike,
    file_print,
    resemblances,
    table_print,
)
from mlbench.leaderboard.entries.board import leaderboards_folder, read_board
from mlbench.leaderboard.entries.tables import entry_table
from tests.leaderboard.boards import TASK, alter_table


@pytest.mark.parametrize("checked", [True, False])
def test_a_print_is_that_of_the_table_however_it_is_read(checked: bool) -> None:
    board = read_board(leaderboards_folder())
    for entry in board.tasks["mlqa-r"].entries:
        ranks = entry_table(entry)
        if ranks is not None:
            expected, found = table_print(ranks), file_print(entry, checked=checked)
            np.testing.assert_array_equal(found.hashes, expected.hashes)
            np.testing.assert_array_equal(found.sizes, expected.sizes)


def test_a_print_does_not_depend_on_the_order_of_a_querys_passages() -> None:
    """Several passages of a language are relevant to a query; scores say in which order."""
    entry = next(e for e in read_board(leaderboards_folder()).entries() if e.slug == "bm25")
    ranks = entry_table(entry)
    assert ranks is not None
    generator = np.random.default_rng(0)
    rows = np.concatenate(
        [
            begin + generator.permutation(end - begin)
            for begin, end in itertools.pairwise(ranks.starts.tolist())
        ]
    )
    shuffled = replace(
        ranks,
        passage_ids=tuple(ranks.passage_ids[row] for row in rows),
        passage_language=ranks.passage_language[rows],
        above=ranks.above[rows],
        tied=ranks.tied[rows],
    )
    np.testing.assert_array_equal(table_print(shuffled).hashes, table_print(ranks).hashes)


def slowly_alike(one: Print, other: Print) -> bool:
    """The definition, on all rows that something outranks in either table."""
    rows = [i for i, pair in enumerate(zip(one.sizes, other.sizes, strict=True)) if any(pair)]
    if len(rows) < FEWEST_ROWS:
        return False
    if np.mean([one.hashes[i] == other.hashes[i] for i in rows]) > EQUAL:
        return True
    a, b = (np.array([float(each.sizes[i]) for i in rows]) for each in (one, other))
    return bool(a.std() > 0 and b.std() > 0 and np.corrcoef(a, b)[0, 1] > CORRELATION)


def made(counts: np.ndarray) -> Print:
    return Print(counts.astype(np.uint64), np.log1p(counts).astype(np.float32))


CASES: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "another": lambda g, counts: g.integers(0, 1000, len(counts)),
    "a fifth": lambda g, counts: np.where(g.random(len(counts)) < 0.2, counts, counts + 1),
    "nearly": lambda g, counts: (counts * g.uniform(0.5, 1.5, len(counts))).astype(int),
    "close": lambda g, counts: (counts * g.uniform(0.8, 1.3, len(counts))).astype(int),
    "constant": lambda g, counts: np.full(len(counts), 7),
    "almost constant": lambda g, counts: np.where(np.arange(len(counts)) == 0, 8, 7),
    "nothing": lambda g, counts: np.zeros(len(counts), int),
    "few": lambda g, counts: np.where(np.arange(len(counts)) < 15, counts, 0),
    "itself": lambda g, counts: counts,
    "ten times": lambda g, counts: counts * 10 + 9,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
@pytest.mark.parametrize("name", CASES)
def test_what_is_ruled_out_by_sums_is_not_alike(name: str, share: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    counts = np.where(generator.random(600) < share, 0, generator.integers(0, 1000, 600))
    one, other = made(counts), made(CASES[name](generator, counts))
    assert bool(alike(one, other)) == slowly_alike(one, other)
    assert bool(alike(other, one)) == slowly_alike(other, one)


def test_each_other_table_is_read_once_for_all_new_ones(board: Path) -> None:
    entries = [e for e in read_board(board).tasks[TASK].entries if e.entry.ranks_sha256]
    prints = Prints(lambda entry: True)
    reads = []
    prints.checked = lambda entry: bool(reads.append(entry.place)) or True
    new = [entry for entry in entries if entry.slug == entries[0].slug]
    prints.known |= {entry.place: file_print(entry, checked=True) for entry in new}
    assert len(new) == 2
    list(resemblances(new, entries, prints))
    assert sorted(reads) == sorted(e.place for e in entries if e.slug != new[0].slug)


def test_a_table_that_cannot_be_read_is_nobodys_copy(board: Path) -> None:
    entries = [e for e in read_board(board).tasks[TASK].entries if e.entry.ranks_sha256]
    broken = entries[-1]
    for raw in (b"", b"PAR1", (broken.path / "ranks.parquet").read_bytes()[:-200]):
        (broken.path / "ranks.parquet").write_bytes(raw)
        for checked in (True, False):
            assert Prints(lambda entry, known=checked: known).of(broken) is None
    alter_table(entries[0].path, above=lambda above: above + 1)
    assert Prints(lambda entry: True).of(entries[0]) is not None
