"""The errors a user can meet: one message each, and the exit code it ends with.

A message says where the fault is (file, line or field), what was found, what was expected and
how to mend it. Exit codes: 2 wrong usage, 3 bad input data, 4 model failure, 5 environment
(disk, memory, network), 6 integrity (a digest differs, an artefact is damaged or forged).
Code 1 is kept for a regression found by a check, 70 for a defect of mlbench itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

MOST_FAULTS = 20
"""Faults that one error names."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: ``where`` it is, what was ``found``, what was ``expected``."""

    where: str
    found: str
    expected: str = ""
    mend: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}"]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.mend:
            lines.append(f"  to fix: {self.mend}")
        return "\n".join(lines)


def install_extra(name: str) -> str:
    """Say how to install what an optional part of mlbench needs.

    The package is installed from its repository until it is released: on the package index,
    "mlbench" is another project.
    """
    return f"pip install '.[{name}]' in a clone of mlbench"


class MlbenchError(Exception):
    """Base of all errors that are reported without a traceback; holds one or more faults."""

    exit_code: ClassVar[int] = 2

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


class UsageError(MlbenchError):
    """The command line or a call is wrong (an unknown task, model, measure or option)."""

    exit_code = 2


class DataError(MlbenchError):
    """Input data is missing or malformed."""

    exit_code = 3


class ModelError(MlbenchError):
    """A model could not be loaded, raised, or broke the adapter contract."""

    exit_code = 4


class EnvironmentFault(MlbenchError):
    """Disk, memory, permissions or the network are in the way."""

    exit_code = 5


class IntegrityError(MlbenchError):
    """A digest differs, or an artefact is damaged, forged or belongs to something else."""

    exit_code = 6


def first_faults(faults: Sequence[Fault], more: str = "faults") -> tuple[Fault, ...]:
    """Return the first MOST_FAULTS faults and, where there are more, one that counts the rest."""
    rest = len(faults) - MOST_FAULTS
    tail = [Fault("and", f"{rest:,} more {more}")] if rest > 0 else []
    return (*faults[:MOST_FAULTS], *tail)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the entries of ``known`` nearest to ``name``, or all of them."""
    names = sorted(known)
    return nearest(name, names) or ("known: " + ", ".join(names) if names else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the entries of ``known`` nearest to ``name``, "" where none is near:
    for a message that tells all of them already.

    >>> nearest("ricall", ["recall", "mAP"]), nearest("xx", ["recall", "mAP"])
    ("did you mean 'recall'?", '')
    """
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    return "did you mean " + " or ".join(map(repr, near)) + "?" if near else ""
