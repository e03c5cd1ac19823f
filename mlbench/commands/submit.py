"""``mlbench submit``: a report written as an entry of the leaderboard."""

from __future__ import annotations

import datetime
import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlbench.commands.options import shared
from mlbench.common.terminal import fill
from mlbench.data.task import code_of
from mlbench.leaderboard.checking.submit import Submitted
from mlbench.leaderboard.checking.submit import submit as write_entry
from mlbench.leaderboard.entries.entry import Contamination, Declared

CONTRADICTED = (
    "This contradicts the declaration that the model is clean, and the entry shows both. See with "
    "`mlbench overlap` which texts they are; if it is not by chance, declare trained-on or "
    "train-split-only instead."
)
CONTAMINATION = ("clean", "trained-on", "train-split-only", "unknown")


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `submit`."""
    shared(parser, "report")
    shared(parser, "--to")
    declared_arguments(parser)
    parser.add_argument(
        "--training-overlap", type=Path, metavar="FILE",
        help="what `mlbench overlap --json` printed of the model's training text and the task "
        "(default: the training.json in the model's folder, if there is one)",
    )  # fmt: skip


def declared_arguments(parser: ArgumentParser) -> None:
    """Add what only the submitter knows."""
    parser.add_argument("--submitter", required=True, metavar="NAME", help="who submits the entry")
    parser.add_argument("--licence", metavar="TEXT", help="the model's licence, such as MIT")
    parser.add_argument("--link", metavar="URL", help="where the model is described (https)")
    parser.add_argument(
        "--training-data", action="append", default=[], metavar="NAME",
        help="a data set that the model was trained on; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--training-languages",
        metavar="CODES",
        help="the languages that the model was trained on, such as ar,de",
    )
    parser.add_argument(
        "--contamination", choices=CONTAMINATION, default="unknown",
        help="whether the model was trained on the task's data (default: %(default)s)",
    )  # fmt: skip
    shared(parser, "--note")


def submit(args: Namespace) -> int:
    """Write a report as an entry and say what comes next."""
    done = write_entry(args.report, args.to, declared(args), args.training_overlap)
    print_submitted(done)
    return 0


def declared(args: Namespace) -> Declared:
    """Return what the submitter says by the options."""
    codes = (args.training_languages or "").split(",")
    return Declared(
        args.submitter,
        today().isoformat(),
        licence=args.licence,
        link=args.link,
        training_data=tuple(args.training_data),
        training_languages=tuple(code_of(code.strip()) for code in codes if code.strip()),
        contamination=Contamination(args.contamination),
        note=args.note,
    )


def today() -> datetime.date:
    """Return the day it is, in UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def print_submitted(done: Submitted) -> None:
    """Say what was written, what of it others will see, and what comes next."""
    entry = done.entry
    print(f"{done.folder}: {done.size / 2**10:,.0f} KiB, {entry.kind} of {entry.model.name}")
    if entry.run is not None:
        print(f"everybody will see this command: {entry.run.command}")
    print(f"contamination: {entry.declared.contamination}")
    for measured in entry.declared.in_training:
        print(fill(f"counted: {measured}"))
        if measured.exact + measured.near and entry.declared.contamination is Contamination.CLEAN:
            print(fill(CONTRADICTED))
    root = done.folder.parents[len(done.place.folder.parts) - 1]
    print("\nNext, check the entry, commit it, and open a pull request with it:")
    print(f"  mlbench leaderboard validate {shlex.quote(str(done.folder))}")
    print(f"  git add {shlex.quote(str(root))} && git commit -m 'Entry: {done.place}'")
