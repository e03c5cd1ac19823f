"""The command line: parse, call, turn errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from mlbench import __version__
from mlbench.commands.once import Once
from mlbench.commands.table import COMMANDS, GROUPS, Command
from mlbench.common.errors import EnvironmentFault, MlbenchError
from mlbench.common.streams import stdout_guard
from mlbench.common.terminal import fill
from mlbench.common.threads import limit_libraries
from mlbench.common.trust import foreign_settings, refuse_untrusted
from mlbench.common.user_folders import lend_folders

EXIT_CODES = """exit codes:
  0 success             1 a regression found by a check
  2 wrong usage         3 bad input data         4 model failure
  5 environment (disk, memory, network)    6 integrity (digest, damaged file)
  70 a defect of mlbench itself
  130 interrupted       143 terminated"""
INTERNAL_ERROR = 70


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM)."""


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one an exit code
    """Run one command and return its exit code."""
    limit_libraries()
    lend_folders()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        refuse_untrusted(() if given[:1] == ["trust"] else foreign_settings())
        args = parser_of(given).parse_args(given)
    except MlbenchError as error:
        print(f"mlbench: error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # what a command needs cannot be loaded
        return _environment(error)
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
        print(f"mlbench: error: {error}{_notes(error)}", file=sys.stderr)
        return error.exit_code
    except Terminated as stop:
        print(f"mlbench: terminated; {_left(stop)}", file=sys.stderr)
        return 143
    except KeyboardInterrupt as stop:
        print(f"mlbench: interrupted; {_left(stop)}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if args.debug:
            raise
        return _environment(error)
    except Exception:  # a defect of mlbench; code 1 would say "regressed"
        traceback.print_exc()
        print("mlbench: this is a defect of mlbench; please report it", file=sys.stderr)
        return INTERNAL_ERROR
    return result


def _environment(error: OSError) -> int:
    print(f"mlbench: error: {error.filename or 'system'}: {error.strerror}", file=sys.stderr)
    return EnvironmentFault.exit_code


def _notes(error: BaseException) -> str:
    """Return what was said of an exception on its way, such as what is kept of the work."""
    return "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))


def _left(stop: BaseException) -> str:
    return f"no incomplete files are left{_notes(stop)}"


def _terminate(number: int, frame: Any) -> NoReturn:
    raise Terminated


def parser_of(given: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of all commands; of ``given`` words only the one they name is loaded."""
    parser = argparse.ArgumentParser(
        prog="mlbench",
        description=fill(
            "Benchmark retrieval within languages, across languages and over mixed-language "
            "collections."
        ),
        epilog="examples:\n"
        "  mlbench run --model char-ngram --task sample\n"
        "  mlbench run --model bm25 --task xquad-r --data-dir data\n"
        "  mlbench tasks show xquad-r\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mlbench {__version__}")
    places = {"": parser.add_subparsers(metavar="COMMAND", required=True)}
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        if group not in places:
            below = places[""].add_parser(group, help=GROUPS[group])
            places[group] = below.add_subparsers(metavar="COMMAND", required=True)
        words = command.name.split()
        _add(places[group], name, command, given is None or [*given[: len(words)]] == words)
    return parser


def _add(place: Any, name: str, command: Command, load: bool) -> None:
    examples = [" ".join(line.split()) for line in command.examples.strip().splitlines()]
    parser = place.add_parser(
        name,
        help=command.help,
        description=fill(command.help[0].upper() + command.help[1:] + "."),
        epilog="\n  ".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    for store in (None, "store"):
        parser.register("action", store, Once)
    if load:
        action, add_arguments = command.load()
        add_arguments(parser)
        parser.set_defaults(action=action, foreign=command.foreign)


if __name__ == "__main__":
    sys.exit(main())
