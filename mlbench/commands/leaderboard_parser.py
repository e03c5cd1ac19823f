"""The command-line arguments of `submit`, `verify` and `leaderboard`."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.commands.listing_parser import add_data
from mlbench.commands.parsing import add_model_options, positive

Command = Callable[..., argparse.ArgumentParser]
CONTAMINATION = ("clean", "trained-on", "train-split-only", "unknown")
RECORDED = ("sampled", "reproduced", "disputed")


def day(text: str) -> datetime.date:
    """Parse a day such as 2025-01-31."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2025-01-31") from None


def add_leaderboard(commands: Any, command: Command) -> None:
    """Add the commands of the leaderboard."""
    _add_submit(commands, command)
    _add_verify(commands, command)
    group = commands.add_parser(
        "leaderboard", help="check the leaderboard, build its page, and keep it"
    )
    below = group.add_subparsers(metavar="COMMAND", required=True)
    _add_validate(below, command)
    _add_build(below, command)
    _add_report(below, command)
    _add_withdraw(below, command)
    _add_task(below, command)
    _add_record(below, command)


def _add_submit(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "submit",
        "write a report as an entry of the leaderboard, ready for a pull request",
        "mlbench submit results/bm25/xquad-r --to leaderboards --submitter 'Ada Lovelace'\n"
        "mlbench submit results/my-model/xquad-r --to leaderboards --submitter 'Ada Lovelace' "
        "--licence MIT --link https://example.org/my-model --contamination clean",
    )
    parser.add_argument("report", type=Path, metavar="REPORT", help="a report's folder")
    _add_to(parser)
    _add_declared(parser)


def _add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="the folder of the leaderboard"
    )


def _add_declared(parser: argparse.ArgumentParser) -> None:
    """Add what only the submitter knows."""
    parser.add_argument("--submitter", required=True, metavar="NAME", help="who submits the entry")
    parser.add_argument("--licence", metavar="TEXT", help="the model's licence, such as MIT")
    parser.add_argument("--link", metavar="URL", help="where the model is described (https)")
    parser.add_argument(
        "--training-data", action="append", default=[], metavar="NAME",
        help="a data set that the model was trained on; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--training-languages", metavar="CODES", help="languages it was trained on, such as ar,de"
    )
    parser.add_argument(
        "--contamination", choices=CONTAMINATION, default="unknown",
        help="whether the model was trained on the task's data (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--note", default="", metavar="TEXT", help="anything else to know")


def _add_verify(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "verify",
        "encode a sample of the task's texts again and compare with an entry's table",
        "mlbench verify leaderboards/xquad-r/bm25 --model bm25 --full\n"
        "mlbench verify leaderboards/xquad-r/my-encoder --model checkpoints/my-encoder "
        "--sample 200 --json",
    )
    parser.add_argument(
        "entry", type=Path, metavar="ENTRY", help="an entry's folder, or a report's"
    )
    parser.add_argument("--model", required=True, metavar="SPEC", help="the model, as for `run`")
    parser.add_argument(
        "--task", metavar="TASK", help="the task's name or file (default: the entry's)"
    )
    add_data(parser)
    parser.add_argument(
        "--sample", type=positive, default=200, metavar="N",
        help="how many queries to encode again (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--passages", type=positive, default=100, metavar="N",
        help="how many passages of each language to encode again, beside the relevant ones "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of the sample (default: drawn, and told)"
    )
    parser.add_argument(
        "--full", action="store_true", help="run the whole task again and compare all counts"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    add_model_options(parser)


def _add_validate(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "validate",
        "check entries: their form, their tables, every score, and copies among them",
        "mlbench leaderboard validate leaderboards\n"
        "mlbench leaderboard validate leaderboards/xquad-r/bm25\n"
        "mlbench leaderboard validate pr/leaderboards --base base/leaderboards",
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH",
        help="the leaderboard's folder, a task's or an entry's (default: the one of mlbench)",
    )  # fmt: skip
    parser.add_argument(
        "--base", type=Path, metavar="DIR",
        help="the leaderboard before the change: what stands there must stand unchanged",
    )  # fmt: skip
    parser.add_argument(
        "--maintainer", action="store_true",
        help="with --base: the change may touch the maintainers' files too",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true", help="what is flagged for review is a fault too"
    )
    parser.add_argument(
        "--today", type=day, metavar="DATE", help="the day after which dates lie in the future"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _add_build(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "build",
        "make the leaderboard's page, and the standings as CSV, JSON and Markdown",
        "mlbench leaderboard build --output site",
        "leaderboard_build",
    )
    parser.add_argument(
        "--entries", type=Path, metavar="DIR",
        help="the leaderboard's folder (default: the one of mlbench)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where the page goes"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _add_report(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "report",
        "write an entry with figures from a publication, which brings no evidence",
        "mlbench leaderboard report --task xquad-r --model mBERT --score multilingual:AP=0.29 "
        "--citation 'Somebody et al., 2020' --link https://arxiv.org/abs/2004.05484 "
        "--submitter 'Ada Lovelace' --to leaderboards",
    )
    parser.add_argument("--task", required=True, metavar="NAME", help="a task of the leaderboard")
    parser.add_argument("--model", required=True, metavar="NAME", help="what the model is called")
    parser.add_argument(
        "--score", action="append", default=[], metavar="KIND:MEASURE=VALUE",
        help="a published figure such as monolingual:AP=0.79; may be repeated",
    )  # fmt: skip
    parser.add_argument("--rank-distance", type=float, metavar="VALUE", help="as published")
    parser.add_argument("--parameters", type=positive, metavar="N", help="the model's size")
    parser.add_argument("--dimension", type=positive, metavar="N", help="of its vectors")
    parser.add_argument(
        "--citation", required=True, metavar="TEXT", help="the publication the figures are from"
    )
    _add_to(parser)
    _add_declared(parser)


def _add_withdraw(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "withdraw",
        "take an entry back: it stays, marked, and is no longer ranked",
        "mlbench leaderboard withdraw leaderboards/xquad-r/my-model --by 'Ada Lovelace' "
        "--reason 'a wrong prompt'",
    )
    parser.add_argument("entry", type=Path, metavar="ENTRY", help="an entry's folder")
    parser.add_argument("--by", required=True, metavar="NAME", help="who withdraws it")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why")


def _add_task(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "add-task",
        "for maintainers: take a report's task into the leaderboard, or renew its digest",
        "mlbench leaderboard add-task results/bm25/xquad-r --to leaderboards",
    )
    parser.add_argument(
        "report", type=Path, metavar="REPORT", help="a report that you made and trust"
    )
    _add_to(parser)


def _add_record(commands: Any, command: Command) -> None:
    parser = command(
        commands,
        "record",
        "for maintainers: record what was verified of an entry, or that it is disputed",
        "mlbench leaderboard record leaderboards/xquad-r/my-model --level sampled "
        "--by 'Ada Lovelace' --evidence verify.json",
    )
    parser.add_argument("entry", type=Path, metavar="ENTRY", help="an entry's folder")
    parser.add_argument("--level", required=True, choices=RECORDED, help="what was found")
    parser.add_argument("--by", required=True, metavar="NAME", help="who found it")
    parser.add_argument(
        "--evidence", type=Path, metavar="FILE",
        help="what `mlbench verify --json` printed; needed for sampled and reproduced",
    )  # fmt: skip
    parser.add_argument("--note", default="", metavar="TEXT", help="anything else to know")
