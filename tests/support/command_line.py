"""The command line in the process of the tests, where a process of its own adds nothing."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from mlbench.commands.cli import main


class Done(NamedTuple):
    """What a command left: its exit code and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def mlbench(*arguments: str | Path, cwd: Path, plots: bool = False, **environment: str) -> Done:
    """Run a command in this process, in ``cwd``, with no data but what is in it.

    Reports are written without plots, which take most of the time, unless ``plots`` says so.
    """
    out, err = io.StringIO(), io.StringIO()
    drawn = contextlib.nullcontext() if plots else mock.patch("mlbench.reports.plots.PLOTS", {})
    with (
        mock.patch.dict(os.environ, environment),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        drawn,
    ):
        if "MLBENCH_DATA" not in environment:
            os.environ.pop("MLBENCH_DATA", None)
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:  # of argparse
            code = stop.code if isinstance(stop.code, int) else 1
    return Done(code, out.getvalue(), err.getvalue())


def mlbench_process(
    *arguments: str | Path, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run mlbench in a process of its own, with no data but what is in ``cwd``."""
    given = {k: v for k, v in os.environ.items() if k != "MLBENCH_DATA"} | environment
    return subprocess.run(
        [sys.executable, "-m", "mlbench", *map(str, arguments)],
        cwd=cwd, env=given, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def done(*arguments: str | Path, cwd: Path, plots: bool = False) -> str:
    """Run a command that ends well and return what it prints."""
    found = mlbench(*arguments, cwd=cwd, plots=plots)
    assert found.returncode == 0, found.stderr
    return found.stdout
