"""An option that is given twice is refused."""

from __future__ import annotations

import argparse
from typing import Any


class Once(argparse.Action):
    """Keep the value of an option, and refuse a second one, which argparse would take silently."""

    def __call__(  # noqa: D102 - as argparse says
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest, self.default)
        if option_string and before is not self.default:
            message = f"given twice ({before} and {values}), but a command takes one value"
            raise argparse.ArgumentError(self, message)
        setattr(namespace, self.dest, values)
