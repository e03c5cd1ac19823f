"""The command-line arguments of `compare`, `baseline` and `check`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.common.toml import settings_of
from mlbench.comparing.config import GateConfig

Command = Callable[..., argparse.ArgumentParser]
MODULE = "compare"


def add_comparing(commands: Any, command: Command) -> None:
    """Add the commands that hold saved results against each other."""
    _add_compare(commands, command)
    _add_baseline(commands, command)
    _add_check(commands, command)


def _add_compare(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "compare",
        "compare saved reports of one task: differences, intervals, tests, places",
        "mlbench compare results/bm25/xquad-r results/char-ngram/xquad-r\n"
        "mlbench compare a/xquad-r b/xquad-r --measure AP --measure rank-distance\n"
        "mlbench compare a/xquad-r b/xquad-r --format latex\n"
        "mlbench compare c0/xquad-r c1/xquad-r c2/xquad-r --x mixing=0,0.5,1 --output series",
        MODULE,
    )
    parser.add_argument(
        "reports", nargs="+", type=Path, metavar="REPORT",
        help="a report's folder or a baseline file; the first is what the others are held against",
    )  # fmt: skip
    parser.add_argument(
        "--measure", action="append", default=[], metavar="NAME",
        help="a measure such as nDCG@10, or rank-distance; may be repeated (default: all that the "
        "reports share)",
    )  # fmt: skip
    parser.add_argument(
        "--correction", choices=("max-t", "holm"), default="max-t",
        help="how p is corrected for several languages and models (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("text", "markdown", "latex", "csv", "json"), default="text",
        help="what to print (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--x", metavar="NAME=VALUE,...",
        help="places of the reports on an axis, in order, or a TOML file that gives them",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="write comparison.json, .md, .csv, .tex and plots there",
    )  # fmt: skip


def _add_baseline(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "baseline",
        "write a report's table and identity into one small file to commit",
        "mlbench baseline results/bm25/xquad-r\n"
        "mlbench baseline results/bm25/xquad-r --output baselines/bm25.parquet",
        MODULE,
    )
    parser.add_argument("report", type=Path, metavar="REPORT", help="a report's folder")
    parser.add_argument(
        "--output", type=Path, default=Path("baseline.parquet"), metavar="FILE",
        help="where it goes (default: %(default)s)",
    )  # fmt: skip


def _add_check(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "check",
        "hold a report, or a fresh run of a model, against a baseline: pass, regressed (exit code "
        "1) or inconclusive",
        "mlbench check results/bm25/xquad-r --baseline baseline.parquet\n"
        "mlbench check results/new/xquad-r --baseline results/old/xquad-r --measure nDCG@10\n"
        "mlbench check --model path/to/my_model.py:make --baseline baseline.parquet --strict\n"
        "mlbench check",
        MODULE,
    )
    for row in settings_of(GateConfig):
        if row.name == "report":
            parser.add_argument("report", nargs="?", type=Path, metavar=row.metavar, help=row.help)
        elif row.name == "measures":  # one at a time
            parser.add_argument(
                "--measure", dest="measures", action="append", metavar=row.metavar, help=row.help
            )
        elif row.metavar:
            parser.add_argument(row.flag, metavar=row.metavar, help=row.help)
        else:
            parser.add_argument(row.flag, action="store_true", default=None, help=row.help)
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="the configuration (default: mlbench.toml, else [tool.mlbench] of pyproject.toml)",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print as JSON")
    form.add_argument("--markdown", action="store_true", help="print as Markdown")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
