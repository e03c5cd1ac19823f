"""``mlbench card``: figures of reports written into the card of a model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlbench.common.errors import Fault, UsageError
from mlbench.common.terminal import fill
from mlbench.integrations.cards.figures import NAMESPACE
from mlbench.integrations.cards.hub import open_pull_request, read_model
from mlbench.integrations.cards.writing import (
    README,
    RESULTS,
    CardChange,
    changed_card,
    local,
    stated_of,
)

SHOWN = (
    f"The hub shows the figures in {README} at once. It shows those in {RESULTS} only when there "
    f"are data sets called {NAMESPACE}TASK that are registered there as benchmarks; as of this "
    "version of mlbench, there are none."
)


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `card`."""
    parser.add_argument(
        "reports", nargs="+", type=Path, metavar="REPORT",
        help="a report's folder, or a folder with several reports of one model",
    )  # fmt: skip
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="the model's folder, whose README.md is its card"
    )
    parser.add_argument(
        "--push", metavar="MODEL",
        help="a model of the Hugging Face hub, OWNER/NAME: open a pull request that writes the "
        "figures into its card; your token is that of `hf auth login` or HF_TOKEN",
    )  # fmt: skip
    parser.add_argument(
        "--suite", metavar="SUITE", help="also show the reports together as a suite, with its mean"
    )
    parser.add_argument(
        "--evidence", action="append", default=[], metavar="URL",
        help="what the figures can be checked with: the address of the reports, or the folder of "
        "an entry of the leaderboard; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change, and change nothing"
    )


def card(args: Namespace) -> int:
    """Write the card in a folder, open a pull request with it, or show what would change."""
    if args.to is None and args.push is None:
        expected = "--to FOLDER, --push MODEL, or both"
        raise UsageError(Fault("mlbench card", "neither --to nor --push is given", expected))
    read = None if args.to is None else local(args.to)
    stated, suite = stated_of(args.reports, args.suite, args.evidence)
    change = read and changed_card(read, stated, suite, str(args.to / README))
    there = None if args.push is None else read_model(args.push)
    pushed = there and changed_card(there.read, stated, suite, f"{there.name}, {README}")
    if change:
        _write(change, args)
    if there and pushed:
        if args.dry_run:
            print(f"A pull request to {there.name} would change:\n\n{pushed.diff()}")
        else:
            address = open_pull_request(there, pushed.files)
            print(f"pull request: {address}" if address else f"{there.name} has all of it already.")
    print(fill(SHOWN))
    return 0


def _write(change: CardChange, args: Namespace) -> None:
    if not change.changed:
        print(f"{args.to}: the card says all of it already")
    elif args.dry_run:
        print(f"{args.to} would change:\n\n{change.diff()}")
    else:
        for path in change.save(args.to):
            print(f"written: {path}")
