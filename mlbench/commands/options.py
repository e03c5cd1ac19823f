"""Arguments that several commands share: each is defined here once, and added by its name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.common.errors import Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.common.sizes import parse_size
from mlbench.common.threads import usable_processors
from mlbench.models.neural.options import OPTIONS

FORMATS = ("pdf", "png", "svg")
"""Of figures for papers."""


def positive(text: str) -> int:
    """Parse a whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def size(text: str) -> int:
    """Parse a number of bytes such as ``256M`` or ``2GiB``; suffixes are powers of 1024."""
    try:
        value = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size above 0")
    return value


def part(text: str) -> tuple[int, int]:
    """Parse ``i/n``, 1 <= i <= n."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 1/4")
    return int(match[1]), int(match[2])


def figure_formats(text: str) -> tuple[str, ...]:
    """Parse formats of figures, such as ``pdf,png``."""
    found = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    if not all(form in FORMATS for form in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(FORMATS)}")
    return found


MODEL = "a model's name or path, or KIND:VALUE; `mlbench models list` shows what is possible"
SHARED: dict[str, dict[str, Any]] = {
    "report": {"type": Path, "metavar": "REPORT", "help": "a report's folder"},
    "entry": {"type": Path, "metavar": "ENTRY", "help": "an entry's folder"},
    "task": {"metavar": "TASK", "help": "a task's name or file"},
    "model": {"metavar": "SPEC", "help": MODEL},
    "--model": {"metavar": "SPEC", "help": MODEL},
    "--task": {"metavar": "TASK", "help": "a task's name or file"},
    "--data-dir": {
        "type": Path,
        "metavar": "FOLDER",
        "help": "the folder with the tasks' data (default: $MLBENCH_DATA, then the cache, then a "
        "download)",
    },
    "--offline": {"action": "store_true", "help": "do not use the network"},
    "--no-cache": {"action": "store_true", "help": "do not use the embedding cache"},
    "--threads": {
        "type": positive,
        "default": usable_processors(),
        "metavar": "N",
        "help": "number of threads for scoring (default: the processors that mlbench may use)",
    },
    "--languages": {
        "metavar": "CODES",
        "help": "keep only the queries and passages in these languages, such as ar,de,en, or in "
        "a named set of the task, such as miracl-16",
    },
    "--measure": {
        "action": "append",
        "default": [],
        "metavar": "NAME",
        "help": "a measure such as nDCG@10; may be repeated (default: the task's)",
    },
    "--output": {
        "type": Path,
        "default": Path("results"),
        "metavar": "FOLDER",
        "help": "write the report to FOLDER/<model>/<task> (default: %(default)s)",
    },
    "--overwrite": {
        "action": "store_true",
        "help": "replace a report of another model, task version or choice of measures",
    },
    "--strict": {
        "action": "store_true",
        "help": "stop with exit code 3 if the corpus lacks a judged passage",
    },
    "--to": {
        "type": Path,
        "required": True,
        "metavar": "FOLDER",
        "help": "the leaderboard's folder",
    },
    "--figures": {
        "type": figure_formats,
        "metavar": "FORMATS",
        "help": "also write figures for papers to FOLDER/figures, as pdf, png or svg; several "
        "formats with commas between them",
    },
    "--columns": {
        "type": int,
        "choices": (1, 2),
        "help": "with --figures: how many columns of a paper they are wide: 1 is 3.3 inches, 2 is "
        "6.9 (default: 1)",
    },
    "--latex": {
        "type": Path,
        "metavar": "FILE",
        "help": "also write tables in the form of papers, in LaTeX for the package booktabs",
    },
    "--intervals": {
        "action": "store_true",
        "help": "with --latex: write the 95%% intervals, too",
    },
    "--note": {"default": "", "metavar": "TEXT", "help": "anything else to know"},
    "--json": {"action": "store_true", "help": "print JSON"},
    "--verbose": {
        "action": "store_true",
        "help": "also print intervals, language bias, exclusions and ties",
    },
    "--quiet": {"action": "store_true", "help": "do not show progress"},
}
"""Settings of ``add_argument`` by the name of the argument."""


def check_columns(args: argparse.Namespace) -> int:
    """Return the columns that figures are wide. Raises UsageError where no figures are wanted."""
    if args.columns is not None and args.figures is None:
        raise UsageError(Fault("--columns", "given without --figures", "both, or neither"))
    return args.columns or 1


def write_figures(folder: Path, figures: Mapping[str, bytes]) -> None:
    """Write figures for papers below the folder of what they show."""
    for name, content in figures.items():
        write_atomically(folder / "figures" / name, content)


def shared(parser: Any, *names: str, **changes: Any) -> None:
    """Add arguments of SHARED to a parser or a group of it; ``changes`` hold for all of them."""
    for name in names:
        parser.add_argument(name, **{**SHARED[name], **changes})


def add_reranking(parser: argparse.ArgumentParser) -> None:
    """Add the options of rerankers."""
    group = parser.add_argument_group("options of reranking (see docs/rerank.md)")
    group.add_argument(
        "--rerank", metavar="SPEC",
        help="let a reranker put the first passages of each query in each language in another "
        "order: the folder or the hub's name of a CrossEncoder, rerank:MODEL of a server, a model "
        "file, or path/to/file.py:factory",
    )  # fmt: skip
    group.add_argument(
        "--depth", type=positive, metavar="K",
        help="how many passages of each language are reranked (default: 10)",
    )  # fmt: skip


def add_model_options(parser: argparse.ArgumentParser, without: tuple[str, ...] = ()) -> None:
    """Add the options of neural models, ``without`` some of them; their values are read by
    ``neural.options``."""
    names = [option.name for option in OPTIONS if option.name not in without]
    parser.set_defaults(of_models=names)
    group = parser.add_argument_group("options of neural models (see docs/models.md)")
    for option in OPTIONS:
        if option.name in ("offline", *without):  # an option of the command as well
            continue
        if option.metavar:
            group.add_argument(option.flag, metavar=option.metavar, help=option.help)
        else:
            group.add_argument(option.flag, action="store_true", help=option.help)


def model_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the values that were given for the options of neural models."""
    return {name: getattr(args, name) for name in args.of_models}
