"""``mlbench submit``: a report written as an entry of the leaderboard."""

from __future__ import annotations

import datetime
import shlex
from argparse import Namespace

from mlbench.leaderboard.checking.submit import Submitted
from mlbench.leaderboard.checking.submit import submit as write_entry
from mlbench.leaderboard.entries.entry import Contamination, Declared


def submit(args: Namespace) -> int:
    """Write a report as an entry and say what comes next."""
    done = write_entry(args.report, args.to, declared(args))
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
        training_languages=tuple(code.strip() for code in codes if code.strip()),
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
        print(f"command that everybody will see: {entry.run.command}")
    print(f"contamination: {entry.declared.contamination}")
    root = done.folder.parents[len(done.place.folder.parts) - 1]
    print("\nnext, check it, then open a pull request with this folder:")
    print(f"  mlbench leaderboard validate {shlex.quote(str(done.folder))}")
    print(f"  git add {shlex.quote(str(root))} && git commit -m 'Entry: {done.place}'")
