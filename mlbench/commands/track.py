"""``mlbench track``: finished reports logged to a tool that tracks experiments."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.common.terminal import printable
from mlbench.integrations.tracking.tools import TOOLS, track


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `track`."""
    parser.add_argument(
        "reports", nargs="+", type=Path, metavar="REPORT",
        help="a report's folder, or a folder with several reports",
    )  # fmt: skip
    parser.add_argument("--to", required=True, choices=[*TOOLS], help="the tool")
    parser.add_argument(
        "--at", metavar="PLACE",
        help="the tracking URI of MLflow (default: MLFLOW_TRACKING_URI, or what MLflow chooses), "
        "the folder of TensorBoard (default: runs), or the folder that Weights & Biases writes "
        "its folder wandb into (default: this one)",
    )  # fmt: skip
    parser.add_argument(
        "--project", metavar="NAME",
        help="the experiment of MLflow, or the project of Weights & Biases (default: mlbench)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=_steps, metavar="N,...",
        help="a step for each report, such as 100,200,300: the reports on one task are then the "
        "steps of one run; without it each report is a run of its own",
    )  # fmt: skip
    parser.add_argument("--name", help="the run's name (default: the model's, on the task's)")


def _steps(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ArgumentTypeError(f"{text!r} is not a list of steps, such as 100,200,300")
    return [int(part) for part in parts]


def run(args: Namespace) -> int:
    """Log the reports, and say where each run is."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # MLflow tries for minutes
    logged = track(
        args.reports, args.to, at=args.at, project=args.project, steps=args.steps, name=args.name
    )
    for each in logged:
        said = (
            plural(each.figures, "figure") if each.new else "is there already, nothing was logged"
        )
        print(printable(f"{each.run.name}: {said}\n  {each.place}"))
    return 0
