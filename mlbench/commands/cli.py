"""The command line: parse, call, print."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from mlbench import __version__
from mlbench.commands.compare_parser import add_comparing
from mlbench.commands.leaderboard_parser import add_leaderboard
from mlbench.commands.listing_parser import add_data, add_listing
from mlbench.commands.parsing import add_model_options, positive
from mlbench.commands.runs_parser import add_runs
from mlbench.commands.stream_parser import add_merge, add_streaming
from mlbench.common.errors import EnvironmentFault, MlbenchError
from mlbench.common.sizes import parse_size
from mlbench.common.streams import stdout_guard

EXIT_CODES = """exit codes:
  0 success             1 a regression found by a check
  2 wrong usage         3 bad input data         4 model failure
  5 environment (disk, memory, network)          6 integrity (digest, damaged file)
  70 a defect of mlbench itself
  130 interrupted       143 terminated"""
INTERNAL_ERROR = 70

RUN_FOREIGN_CODE = {"run", "models_check", "check", "verify"}
"""The commands that run a model's code."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM)."""


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one an exit code
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(given)
    command = shlex.join(["mlbench", *given])
    args.command_line = command.encode("utf-8", "backslashreplace").decode()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with stdout_guard(final=arguments is None) if args.foreign else contextlib.nullcontext():
            result: int = args.action(args)
        if sys.stdout:  # None where it was closed
            sys.stdout.flush()
        if arguments is None:
            gc.freeze()  # what is left ends with the process: Python need not search it first
    except MlbenchError as error:
        if args.debug:
            raise
        print(f"mlbench: error: {error}", file=sys.stderr)
        return error.exit_code
    except Terminated:
        print("mlbench: terminated; nothing half-written is left", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("mlbench: interrupted; nothing half-written is left", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if args.debug:
            raise
        print(f"mlbench: error: {error.filename or 'system'}: {error.strerror}", file=sys.stderr)
        return EnvironmentFault.exit_code
    except Exception:  # a defect of mlbench; code 1 would say "regressed"
        traceback.print_exc()
        print("mlbench: this is a defect of mlbench; please report it", file=sys.stderr)
        return INTERNAL_ERROR
    return result


def _terminate(number: int, frame: Any) -> NoReturn:
    raise Terminated


def size(text: str) -> int:
    """Parse a number of bytes such as ``256M`` or ``2GiB``; suffixes are powers of 1024."""
    try:
        value = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlbench",
        description="Benchmark retrieval within languages, across languages and over "
        "mixed-language collections.",
        epilog="examples:\n"
        "  mlbench run --model char-ngram --task sample\n"
        "  mlbench run --model bm25 --task xquad-r --data-dir data\n"
        "  mlbench tasks show xquad-r\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mlbench {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    add_merge(commands, _command)
    _add_report(commands)
    _add_explain(commands)
    add_comparing(commands, _command)
    add_runs(commands, _command)
    add_leaderboard(commands, _command)
    add_listing(commands, _command)
    return parser


def _command(
    commands: Any, name: str, help_: str, examples: str, module: str = ""
) -> argparse.ArgumentParser:
    """Add a command; its function, such as ``tasks_list``, is looked up in
    ``mlbench.commands.<module>`` (default: its first word) when it is called, so that ``--help``
    imports nothing."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=help_[0].upper() + help_[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    words = parser.prog.split()[1:]
    function = "_".join(words).replace("-", "_")
    parser.set_defaults(
        action=lambda args: _call(module or words[0], function, args),
        foreign=function in RUN_FOREIGN_CODE,
    )
    return parser


def _call(module: str, function: str, args: argparse.Namespace) -> int:
    code: int = getattr(importlib.import_module(f"mlbench.commands.{module}"), function)(args)
    return code


def _add_run(commands: Any) -> None:
    parser = _command(
        commands,
        "run",
        "evaluate a model on one or more tasks and write a report of each",
        "mlbench run --model char-ngram --task sample\n"
        "mlbench run --model bm25 --task xquad-r --task mlqa-r\n"
        "mlbench run --model path/to/my_model.py:make --output results --overwrite\n"
        "mlbench run --model random:7 --task xquad-r --measure AP --measure R@5 --json\n"
        "mlbench run --model checkpoints/my-encoder --query-prompt 'Query: '\n"
        "mlbench run --model bm25 --dry-run",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="SPEC",
        help="a name, a path or kind:value; see `models list`",
    )
    parser.add_argument(
        "--task", action="append", metavar="TASK",
        help="a task's name or file, or ir_datasets:ID; may be repeated "
        "(default: xquad-r and mlqa-r)",
    )  # fmt: skip
    add_data(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("results"), metavar="DIR",
        help="where reports go, as DIR/<model>/<task> (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a report of another configuration"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="neither read nor write the embedding cache"
    )
    parser.add_argument(
        "--measure", action="append", default=[], metavar="NAME",
        help="a measure such as nDCG@10; may be repeated (default: the task's)",
    )  # fmt: skip
    parser.add_argument(
        "--sample-questions", type=positive, metavar="N", dest="sample",
        help="a quick check: N questions, the same for every model, and all passages",
    )  # fmt: skip
    _add_limits(parser)
    add_streaming(parser)
    add_model_options(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """Add what `run` may use, and what it is to leave behind and say."""
    parser.add_argument(
        "--threads", type=positive, default=os.cpu_count() or 1, metavar="N",
        help="threads for scoring (default: the number of processors)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=size, default="256M", metavar="SIZE",
        help="memory for scoring beside texts and vectors (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--save-run", type=positive, metavar="K",
        help="write the first K passages of every query as TREC runs, for other tools",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true",
        help="a judged passage that is missing from the corpus is a fault (exit code 3)",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be encoded, and stop"
    )
    parser.add_argument("--json", action="store_true", help="print results as JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _add_report(commands: Any) -> None:
    parser = _command(
        commands,
        "report",
        "compute the scores of saved reports again from their tables and render them",
        "mlbench report results/bm25/xquad-r\nmlbench report results\n"
        "mlbench report results/bm25/xquad-r --languages ar,de,en",
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a report's folder, or one that holds reports"
    )
    parser.add_argument(
        "--languages", metavar="CODES",
        help="score the task cut to these languages, such as ar,de,en, or to a set of the task's "
        "such as miracl-16, from the same table",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="where that report goes (default: FOLDER/languages-<codes>)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print results as JSON, no tables")


def _add_explain(commands: Any) -> None:
    parser = _command(
        commands,
        "explain",
        "show where a query's relevant passages rank and which languages outrank them",
        "mlbench explain results/bm25/xquad-r\n"
        "mlbench explain results/bm25/xquad-r --query 56beb4343aeaaa14008c925b\n"
        "mlbench explain results/bm25/xquad-r --query 56beb4343aeaaa14008c925b --language de",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a report's folder")
    parser.add_argument(
        "--query", metavar="ID", help="a query's id (default: list the most biased queries)"
    )
    parser.add_argument("--language", metavar="CODE", help="the query's language (default: all)")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR",
        help="folder with the task's data, to show texts (default: $MLBENCH_DATA, else the cache)",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=positive, default=10, metavar="N",
        help="how many queries to list (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print as JSON")


if __name__ == "__main__":
    sys.exit(main())
