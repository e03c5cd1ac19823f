"""``mlbench check``: a report, or a fresh run of a model, held against a baseline."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.commands.options import add_model_options, model_options, shared
from mlbench.common.errors import Fault, UsageError
from mlbench.common.forms import settings_of
from mlbench.comparing.check_texts import markdown_check, terminal_check
from mlbench.comparing.config import GateConfig, chosen_config
from mlbench.comparing.regression import check_json, exit_code, run_gate, write_check

if TYPE_CHECKING:
    from mlbench.evaluation.options import Options


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `check`: a row of the configuration each, and how to print."""
    for row in settings_of(GateConfig):
        if row.name == "report":
            shared(parser, "report", nargs="?")
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
        help="the configuration (default: mlbench.toml, then [tool.mlbench] of pyproject.toml)",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    shared(form, "--json")
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    shared(parser, "--quiet")
    running = parser.add_argument_group("options of the run, with --model")
    shared(running, "--offline", "--no-cache", "--threads")
    add_model_options(parser)


def check(args: Namespace) -> int:
    """Hold a report, or a fresh run of a model, against a baseline; 1 where it regressed."""
    if args.report is not None and args.model is not None:
        raise UsageError(Fault("what to check", "a report and --model", "one of the two"))
    given = {row.name: getattr(args, row.name) for row in settings_of(GateConfig)}
    config = chosen_config(Path(), args.config, **given)
    result = run_gate(config, None if config.model is None else _options(args))
    if config.output is not None:
        write_check(config.output, result, config.strict)
    if args.json:
        print(check_json(result), end="")
    elif args.markdown:
        print(markdown_check(result), end="")
    else:
        print(terminal_check(result))
    return exit_code(result, config.strict)


def _options(args: Namespace) -> Options:
    """Return how the model is to be run; a saved report needs none of what this imports."""
    from mlbench.evaluation.options import Options
    from mlbench.models.cache import open_cache

    return Options(
        offline=args.offline,
        model_options=model_options(args),
        cache=None if args.no_cache else open_cache(),
        threads=args.threads,
        progress=not args.quiet,
        command=args.command_line,
    )
