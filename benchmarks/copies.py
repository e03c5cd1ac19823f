"""How long a new entry of the leaderboard is compared with all others: python -m benchmarks.copies.

The project's own tables of XQuAD-R stand for as many others as are asked for. One of them is held
against all, as `mlbench leaderboard validate --base` does, and against some of them as it was done
before: every table unpacked in a process of its own, checked as a new one is, and compared whole.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mlbench.leaderboard.checking.copies import Print, Prints, resemblances, table_print
from mlbench.leaderboard.entries.board import BoardEntry, leaderboards_folder, read_board
from mlbench.leaderboard.entries.tables import entry_table

TASK = "xquad-r"


def others_of(entries: Sequence[BoardEntry], count: int) -> list[BoardEntry]:
    """Return as many entries as are asked for, which have these entries' tables in turn."""
    chosen = [entries[number % len(entries)] for number in range(count)]
    return [
        replace(entry, place=replace(entry.place, slug=f"model-{number}"))
        for number, entry in enumerate(chosen)
    ]


def as_before(own: Print, other: BoardEntry) -> bool:
    """Read a table as a new one, and compare all of it."""
    ranks = entry_table(other)
    its = table_print(ranks) if ranks else own
    rows = (own.sizes > 0) | (its.sizes > 0)
    equal = (own.hashes[rows] == its.hashes[rows]).mean()
    correlation = np.corrcoef(own.sizes[rows].astype(float), its.sizes[rows].astype(float))[0, 1]
    return bool(equal > 0.2 or correlation > 0.98)


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock, and of processors."""
    start, begun = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - begun


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print. ``arguments`` are sys.argv's if None."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies", description=__doc__)
    parser.add_argument("--entries", type=int, default=1000, help="other entries (1,000)")
    parser.add_argument("--before", type=int, default=20, help="of these, as it was before (20)")
    args = parser.parse_args(arguments)
    entries = [
        entry
        for entry in read_board(leaderboards_folder()).tasks[TASK].entries
        if entry.entry.ranks_sha256
    ]
    new, others = entries[0], others_of(entries[1:], args.entries)
    ranks = entry_table(new)
    if ranks is None:
        raise SystemExit("no table")
    own = table_print(ranks)
    prints = Prints(lambda entry: True)
    prints.known[new.place] = own
    before = timed(lambda: [as_before(own, other) for other in others[: args.before]])
    now = timed(lambda: list(resemblances([new], others, prints)))
    for name, spent, count in (("before", before, args.before), ("now", now, args.entries)):
        each, busy = (seconds / count for seconds in spent)
        print(
            f"{name:<8}{count:6,} tables: {1000 * each:7.1f} ms each, {1000 * busy:.1f} ms of "
            f"processors; {args.entries:,} take {each * args.entries:.0f} s"
        )
    ratio, busy = (
        (old / args.before) / (late / args.entries) for old, late in zip(before, now, strict=True)
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"before over now: {ratio:.1f}, by processors {busy:.1f} (the process that unpacked not")
    print(f"counted); {os.cpu_count()} processors, load {load}")


if __name__ == "__main__":
    main()
