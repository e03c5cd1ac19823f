"""Ranking many models on one task, on the board and in each single setting: time and memory.

    python -m benchmarks.board_of_report REPORT [--models N]

The models are made of the table of a saved report, which has the shape of its task: of each count
of outranking passages a random share is left. Prints the time, and the memory before and at most;
making and measuring the tables comes first and is not counted. Needs Linux.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlbench.comparing.rank_intervals import rank_intervals
from mlbench.leaderboard.entries.tables import described
from mlbench.leaderboard.ranking.by_setting import setting_cells
from mlbench.leaderboard.ranking.columns import (
    Column,
    Measured,
    measure,
    task_columns,
    task_settings,
)
from mlbench.leaderboard.ranking.standings import part_of, score
from mlbench.reports.report import read_report


def made_up_models(folder: Path, count: int) -> tuple[tuple[Column, ...], list[Measured]]:
    """Measure tables that differ in how many passages outrank."""
    report = read_report(folder)
    ranks, generator = report.table, np.random.default_rng(0)
    task = described(report, ranks)
    columns, settings = task_columns(task), task_settings(task)
    found = []
    for number in range(count):
        share = generator.random(ranks.above.shape) ** (3 + number % 4 + 0.05 * number)
        table = replace(ranks, above=(ranks.above * share).astype(ranks.above.dtype))
        found.append(measure(table, columns, settings))
    return columns, found


def ranked(columns: Sequence[Column], of: Sequence[Measured]) -> None:
    """Rank the models in every column and setting, as the board does."""
    everyone, questions = np.ones(len(of), bool), np.arange(len(of[0].questions))
    for column in columns:
        values = [each.value(column.key) for each in of]
        score(column, [part_of(of, column.key, questions)], values, everyone)
    setting_cells(of, everyone)


def memory(field: str) -> int:
    """Return a field of the process's status in MiB: VmRSS, or VmHWM, the most since the reset."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{field}:\s+(\d+) kB$", status, re.M)
    return int(found) // 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.board_of_report")
    parser.add_argument("report", type=Path, help="the folder of a report")
    parser.add_argument("--models", type=int, default=12, help="models (default 12)")
    args = parser.parse_args()
    columns, of = made_up_models(args.report, args.models)
    generator = np.random.default_rng(0)
    rank_intervals(generator.random((2, 10)), generator.random((100, 2)), draws=100)  # compiles
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before, start, begun = memory("VmRSS"), time.perf_counter(), time.process_time()
    ranked(columns, of)
    seconds, busy = time.perf_counter() - start, time.process_time() - begun
    print(
        f"{len(of)} models, {len(of[0].settings)} settings, {len(of[0].questions):,} questions: "
        f"{seconds:.1f} s, {busy:.1f} s of processors, memory {before:,} MiB before and "
        f"{memory('VmHWM'):,} MiB at most"
    )


if __name__ == "__main__":
    main()
