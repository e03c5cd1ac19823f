"""``mlbench baseline``: a report's table and identity as one small file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlbench.commands.options import shared
from mlbench.common.files import write_atomically
from mlbench.comparing.baseline import baseline_bytes, read_saved


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `baseline`."""
    shared(parser, "report")
    shared(
        parser, "--output", default=Path("baseline.parquet"), metavar="FILE",
        help="the file to write (default: %(default)s)",
    )  # fmt: skip


def baseline(args: Namespace) -> int:
    """Write a report's table and identity into one small file to commit."""
    saved = read_saved(args.report)
    raw = baseline_bytes(saved)
    write_atomically(args.output, raw)
    print(
        f"{args.output}: {len(raw) / 1e6:.2f} MB, {saved.model.name} on {saved.task.name} "
        f"(version {saved.task.version})"
    )
    return 0
