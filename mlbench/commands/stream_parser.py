"""The command-line arguments of streamed runs and of `merge`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.commands.parsing import positive

Command = Callable[..., argparse.ArgumentParser]


def part(text: str) -> tuple[int, int]:
    """Parse ``i/n``, 1 <= i <= n."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 1/4")
    return int(match[1]), int(match[2])


def add_streaming(parser: argparse.ArgumentParser) -> None:
    """Add the options of a streamed run to `run`."""
    group = parser.add_argument_group("options of large collections (see docs/streaming.md)")
    group.add_argument(
        "--stream", action="store_true",
        help="read passages shard by shard and hold none of them (tasks in shards always are)",
    )  # fmt: skip
    group.add_argument(
        "--shard", type=part, metavar="I/N",
        help="count the I-th of N parts of the shards, from 1, and leave the rest to other runs; "
        "`mlbench merge` adds them up",
    )  # fmt: skip
    group.add_argument(
        "--work", type=Path, metavar="DIR",
        help="where a streamed run keeps what it has done (default: beside its report)",
    )  # fmt: skip
    group.add_argument(
        "--keep-embeddings", type=Path, metavar="DIR",
        help="keep all vectors, in float16, as DIR/<model>/<task> (a model for precomputed:)",
    )  # fmt: skip
    group.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="count shards in this process, or on a Ray cluster (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--address", metavar="ADDRESS",
        help="the Ray cluster to join (default: one on this machine that ends with the run)",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=positive, metavar="N",
        help="Ray workers, each with the model (default: one a GPU, else one a processor)",
    )  # fmt: skip


def add_merge(commands: Any, command: Command) -> None:
    """Add `merge`."""
    parser = command(
        commands,
        "merge",
        "add up the parts of a streamed run and write its report; needs no model and no data",
        "mlbench merge results/my-model/miracl/partial\n"
        "mlbench merge 1-of-3.partial 2-of-3.partial 3-of-3.partial --output results",
    )
    parser.add_argument(
        "partials", nargs="+", type=Path, metavar="PARTIAL",
        help="the file of a part, or a folder that holds such files",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("results"), metavar="DIR",
        help="where the report goes, as DIR/<model>/<task> (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--measure", action="append", default=[], metavar="NAME",
        help="a measure such as nDCG@10; may be repeated (default: those of the parts)",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a report of another configuration"
    )
    parser.add_argument("--json", action="store_true", help="print results as JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
