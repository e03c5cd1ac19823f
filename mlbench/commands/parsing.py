"""Arguments that several commands share."""

from __future__ import annotations

import argparse

from mlbench.models.neural.options import OPTIONS


def positive(text: str) -> int:
    """Parse a whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of neural models; their values are read by ``neural.options``."""
    group = parser.add_argument_group("options of neural models (see docs/models.md)")
    for option in OPTIONS:
        if option.name == "offline":  # an option of the run as well
            continue
        if option.metavar:
            group.add_argument(option.flag, metavar=option.metavar, help=option.help)
        else:
            group.add_argument(option.flag, action="store_true", help=option.help)
