"""The command-line arguments of `tasks`, `models` and `cache`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., argparse.ArgumentParser]


def add_listing(commands: Any, command: Command) -> None:
    """Add the commands that show what there is."""
    _add_tasks(commands, command)
    _add_models(commands, command)
    _add_cache(commands, command)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where data is found."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR",
        help="folder with the tasks' data (default: $MLBENCH_DATA, else the cache, else download)",
    )  # fmt: skip
    parser.add_argument("--offline", action="store_true", help="open no network connection")


def _add_tasks(commands: Any, command: Command) -> None:
    group = commands.add_parser("tasks", help="list, show, validate and fetch tasks")
    tasks = group.add_subparsers(metavar="COMMAND", required=True)
    listing = command(tasks, "list", "list the built-in tasks", "mlbench tasks list")
    listing.add_argument("--json", action="store_true", help="print as JSON")
    show = command(
        tasks,
        "show",
        "show a task and every setting of it with its number of queries",
        "mlbench tasks show xquad-r\nmlbench tasks show path/to/my-task.toml",
    )
    show.add_argument("task", metavar="TASK", help="a task's name or file")
    show.add_argument("--json", action="store_true", help="print as JSON")
    validate = command(
        tasks,
        "validate",
        "check a task file, and its data where it is at hand",
        "mlbench tasks validate my-task.toml",
    )
    validate.add_argument("task", metavar="FILE", help="a task file, or a built-in task's name")
    fetch = command(
        tasks,
        "fetch",
        "download the data of tasks into the cache, or say where it was found",
        "mlbench tasks fetch xquad-r\nmlbench tasks fetch xquad-r mlqa-r",
    )
    fetch.add_argument("tasks", nargs="+", metavar="NAME", help="a task's name or file")
    for parser in (show, validate, fetch):
        add_data(parser)


def _add_models(commands: Any, command: Command) -> None:
    group = commands.add_parser("models", help="list models, and check one against the contract")
    models = group.add_subparsers(metavar="COMMAND", required=True)
    listing = command(
        models, "list", "list the models that can be named, and their forms", "mlbench models list"
    )
    listing.add_argument("--json", action="store_true", help="print as JSON")
    check = command(
        models,
        "check",
        "test a model against the adapter contract",
        "mlbench models check bm25\nmlbench models check path/to/my_model.py:make",
    )
    check.add_argument("model", metavar="SPEC", help="a name, a path or kind:value")
    check.add_argument("--json", action="store_true", help="print as JSON")


def _add_cache(commands: Any, command: Command) -> None:
    group = commands.add_parser("cache", help="show, verify and clear the embedding cache")
    cache = group.add_subparsers(metavar="COMMAND", required=True)
    for name, help_ in (
        ("info", "show what the embedding cache holds"),
        ("verify", "read all of the embedding cache and find what is damaged"),
        ("clear", "remove all cached embeddings"),
    ):
        parser = command(cache, name, help_, f"mlbench cache {name}")
        if name != "clear":
            parser.add_argument("--json", action="store_true", help="print as JSON")
