"""Run the benchmarks: python -m benchmarks [--tiny] [--only NAME] [--json FILE] [--plot FILE].

Without --only, all groups but ``warm``, which needs a model and a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tabulate import tabulate
from threadpoolctl import threadpool_info

import mlbench
from benchmarks import late, others, scoring, sparse, streaming, warm
from benchmarks.timing import peak_memory, side_by_side
from mlbench.commands.options import positive
from mlbench.common.errors import MlbenchError
from mlbench.common.threads import usable_processors

Rows = Iterator[dict[str, object]]


def machine(threads: int) -> dict[str, object]:
    """The BLAS under numpy, its kernel, and the machine: without them a ratio says little."""
    import numpy as np

    np.zeros((2, 2)) @ np.zeros((2, 2))
    blas = [entry for entry in threadpool_info() if entry["user_api"] == "blas"]
    return {
        "blas": ", ".join(f"{b['internal_api']} {b['version']}" for b in blas),
        "core": ", ".join(str(b.get("architecture", "?")) for b in blas),
        "threads": threads,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "mlbench": mlbench.__version__,
        "load": ", ".join(f"{value:.1f}" for value in os.getloadavg()),
    }


def memory(threads: int, turns: int, scale: float = 1.0) -> Rows:
    """Peak memory of scoring beyond the vectors, in a process of its own."""
    taken = peak_memory(
        "from benchmarks.data import xquad_r_shape\n"
        "from benchmarks.scoring import scores_of, table_of",
        "xquad_r_shape", scale, f"scores_of(table_of(problem, {threads}))",
    )  # fmt: skip
    if taken is not None:
        yield {
            "what": "peak memory of scoring beside vectors, MB",
            "seconds": None,
            "ratio": taken / 1e6,
            "target": "under 300",
        }


def start_up(threads: int, turns: int, scale: float = 1.0) -> Rows:
    """The time of `mlbench --help`, beside that of an empty Python."""
    found = side_by_side(
        {
            "python -c pass": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
            "mlbench --help": lambda: subprocess.run(
                [sys.executable, "-m", "mlbench", "--help"], check=True, stdout=subprocess.DEVNULL
            ),
        },
        "python -c pass",
        turns,
    )
    for name, timing in found.items():
        target = "under 0.3 s" if "help" in name else ""
        yield {"what": name, "seconds": timing.seconds, "ratio": timing.ratio, "target": target}


def stream(threads: int, turns: int, scale: float = 1.0) -> Rows:
    """Streaming, at sizes that ``scale`` shrinks."""
    sizes = tuple(int(size * scale) for size in (100_000, 1_000_000))
    return streaming.against_product(threads, turns, sizes, max(20, int(1000 * scale)))


GROUPS: dict[str, Callable[..., Rows]] = {
    "product": scoring.against_product,
    "others": others.against_others,
    "late": late.against_products,
    "sparse": sparse.against_scipy,
    "streaming": stream,
    "memory": memory,
    "start": start_up,
}
NEEDS_A_MODEL = {"warm": warm.whole_runs}
TAKES = {
    "product": ["model"],
    "warm": ["model"],
    "others": ["questions"],
    "late": ["clock"],
    "sparse": ["clock"],
}
"""The options of the command line that a group takes."""


def plot(rows: list[dict[str, object]], path: Path) -> None:
    """Draw the ratios as bars on a log scale."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    shown = [row for row in rows if isinstance(row["ratio"], float) and row["seconds"]]
    figure = Figure(figsize=(9, 0.36 * len(shown) + 1))
    axes = figure.add_subplot()
    bars = axes.barh(range(len(shown)), [float(str(row["ratio"])) for row in shown])
    axes.set_yticks(range(len(shown)), [str(row["what"]).strip() for row in shown])
    blank = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.bar_label(bars, fmt="%.2f", padding=4, fontsize=8, bbox=blank)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.margins(x=0.1)
    axes.axvline(1, color="black", linewidth=0.8, zorder=0)
    axes.invert_yaxis()
    axes.set_xlabel("time over that of the group's first row (medians)")
    figure.savefig(path, bbox_inches="tight", dpi=150)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and show what was found; return the exit code. ``arguments``: sys.argv's if None."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a size that proves it runs, no more")
    parser.add_argument(
        "--only", choices=[*GROUPS, *NEEDS_A_MODEL], action="append",
        help="one group; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FOLDER",
        help="a checkpoint folder for warm, and for product on real vectors too",
    )
    parser.add_argument(
        "--questions", type=positive, default=others.FEWER,
        help="questions a language that packages are given (default %(default)s; XQuAD-R has "
        "1,190: 20 minutes and a few GB)",
    )  # fmt: skip
    parser.add_argument(
        "--turns", type=positive, default=5, help="turns of each comparison (default 5)"
    )
    parser.add_argument(
        "--processor-time", dest="clock", action="store_const", const=time.process_time,
        default=time.perf_counter,
        help="late and sparse: compare processor time, which other programs change less",
    )  # fmt: skip
    parser.add_argument("--threads", type=positive, default=usable_processors())
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    args = parser.parse_args(arguments)
    for path in filter(None, (args.json, args.plot)):
        if not path.parent.is_dir():
            parser.error(f"{path}: no folder {path.parent}; make it first")
    facts = machine(args.threads)
    print("\n".join(f"{name:<9} {value}" for name, value in facts.items()), end="\n\n")
    rows: list[dict[str, object]] = []
    turns, scale = (1, 0.02) if args.tiny else (args.turns, 1.0)
    try:
        for name in args.only or GROUPS:
            group = (GROUPS | NEEDS_A_MODEL)[name]
            taken = {option: getattr(args, option) for option in TAKES.get(name, [])}
            for row in group(args.threads, turns, scale=scale, **taken):
                rows.append(row)
                print(f"  {str(row['what']).strip()}: {row['ratio']:.2f}", file=sys.stderr)
    except MlbenchError as error:
        print(f"benchmarks: error: {error}", file=sys.stderr)
        return error.exit_code
    finally:  # what was measured is not lost
        show(rows, facts, args.json, args.plot)
    return 0


def show(
    rows: list[dict[str, object]], facts: dict[str, object], to: Path | None, picture: Path | None
) -> None:
    """Print the table, and write JSON and a plot where asked, if anything was measured."""
    if not rows:
        return
    cells = [
        [
            row["what"],
            "" if row["seconds"] is None else f"{row['seconds']:.3f}",
            f"{row['ratio']:.2f}",
            row["target"],
        ]
        for row in rows
    ]
    headers = ["what", "seconds", "ratio", "target"]
    aligned = ("left", "right", "right", "left")
    print(tabulate(cells, headers, "pipe", colalign=aligned, disable_numparse=True))
    if to:
        to.write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")
    if picture:
        plot(rows, picture)


if __name__ == "__main__":
    sys.exit(main())
