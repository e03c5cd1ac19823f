"""The command-line arguments of `score` and `fuse`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.commands.listing_parser import add_data
from mlbench.commands.parsing import positive

Command = Callable[..., argparse.ArgumentParser]

METHODS = ("rrf", "isr", "log_isr", "logn_isr", "rbc", "bordafuse", "w_bordafuse", "condorcet",
           "w_condorcet", "sum", "wsum", "mixed", "max", "min", "med", "anz", "mnz", "gmnz",
           "wmnz")  # fmt: skip
"""Methods of ranx that need no judgements."""
NORMS = ("min-max", "max", "sum", "rank", "zmuv", "borda", "none")


def parameter(text: str) -> tuple[str, float]:
    """Parse NAME=NUMBER."""
    name, equals, value = text.partition("=")
    try:
        if name and equals:
            return name, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER, such as k=60")


def weights(text: str) -> tuple[float, ...]:
    """Parse numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers such as 0.3,0.7") from None


def add_runs(commands: Any, command: Command) -> None:
    """Add the commands that work on run files."""
    _add_score(commands, command)
    _add_fuse(commands, command)


def _add_score(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "score",
        "score run files that other tools made (TREC, BEIR's JSON, ranx), as a report truncated "
        "at their depth",
        "mlbench score --task xquad-r --run 'runs/{query_language}-{passage_language}.trec.gz'\n"
        "mlbench score --task xquad-r --run 'runs/{query_language}.json' --pool multilingual\n"
        "mlbench score --task miracl --run 'dev-{query_language}.trec' --pool monolingual\n"
        "mlbench score --task my-task.toml --run run.trec --pool multilingual --name my-model",
    )
    parser.add_argument("--task", required=True, metavar="TASK", help="a task's name or file")
    parser.add_argument(
        "--run", action="append", required=True, metavar="FILE",
        help="a run file, or files named by {query_language} and {passage_language} (a language, "
        "or multilingual); ids can be written de:17 (see docs/runs.md); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--pool", action="append", default=[], metavar="POOL",
        help="the passages that queries search where the name of the file does not say it: "
        "monolingual (their own language's), multilingual (all), crosslingual (each language by "
        "itself) or a language; once, or once for each --run",
    )  # fmt: skip
    parser.add_argument(
        "--name", metavar="MODEL", help="what to call the model (default: the tag of the runs)"
    )
    parser.add_argument(
        "--languages", metavar="CODES",
        help="score the task cut to these languages, queries and passages both, such as ar,de,en",
    )  # fmt: skip
    parser.add_argument(
        "--measure", action="append", default=[], metavar="NAME",
        help="a measure such as nDCG@10; may be repeated (default: the task's)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-unknown", action="store_true",
        help="leave out queries that the task does not have and take passages that it does not "
        "have as not relevant, and count both (default: refuse them)",
    )  # fmt: skip
    add_data(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("results"), metavar="DIR",
        help="where the report goes, as DIR/<model>/<task> (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace a report of other runs")
    parser.add_argument("--json", action="store_true", help="print results as JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _add_fuse(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "fuse",
        "fuse run files into one, by ranx",
        "mlbench fuse bm25.trec dense.trec --output fused.trec\n"
        "mlbench fuse bm25.trec dense.trec --method wsum --weights 0.3,0.7 --output fused.trec.gz\n"
        "mlbench fuse 'bm25/{query_language}.trec' 'dense/{query_language}.trec' "
        "--method rrf --param k=10 --output 'fused/{query_language}.trec'",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run files, or patterns with the same placeholders"
    )
    parser.add_argument(
        "--method", choices=METHODS, default="rrf", help="how (default: %(default)s)"
    )
    parser.add_argument(
        "--norm", choices=NORMS,
        help="how each run's scores are normalised first, for methods on scores (default: min-max)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=weights, metavar="W,W,...",
        help="one weight a run, for wsum, mixed, wmnz, w_bordafuse and w_condorcet",
    )  # fmt: skip
    parser.add_argument(
        "--param", type=parameter, action="append", default=[], metavar="NAME=NUMBER",
        help="k of rrf (default 60), sigma of logn_isr (default 0.01), gamma of gmnz, phi of rbc",
    )  # fmt: skip
    parser.add_argument(
        "--depth", type=positive, default=1000, metavar="K",
        help="most passages of a query to write (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--tag", default="", metavar="TAG", help="the last column (default: the method)"
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE",
        help="the TREC run to write, packed if it ends in .gz; with the placeholders of RUN",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print as JSON")
