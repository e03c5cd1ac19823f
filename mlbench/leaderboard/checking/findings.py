"""What a check of a leaderboard found, by what it ends with."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, IntegrityError, MlbenchError
from mlbench.leaderboard.entries.board import (
    Place,
)
from mlbench.leaderboard.entries.strict import seen

MOST_OF_A_FILE = 20


@dataclass
class Findings:
    """``malformed`` ends with exit code 3, ``contradictory`` with 6; ``flags`` are for review.

    ``checked`` are the entries whose tables and scores were checked.
    """

    malformed: list[Fault] = field(default_factory=list)
    contradictory: list[Fault] = field(default_factory=list)
    flags: list[Fault] = field(default_factory=list)
    checked: list[Place] = field(default_factory=list)

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """Take up the faults of an error instead of raising it."""
        try:
            yield
        except DataError as error:
            self.malformed += error.faults
        except IntegrityError as error:
            self.contradictory += error.faults

    def add(self, other: Findings) -> None:
        """Take up all that another validation found."""
        self.malformed += other.malformed
        self.contradictory += other.contradictory
        self.flags += other.flags
        self.checked += other.checked

    def error(self, *, strict: bool = False) -> MlbenchError | None:
        """Return the error to raise, with all faults in it; None where there is none.

        With ``strict`` what is flagged is a fault too.
        """
        contradictory = self.contradictory + (self.flags if strict else [])
        faults = [*contradictory, *self.malformed]
        if not faults:
            return None
        return (IntegrityError if contradictory else DataError)(*_some_of_each_file(faults))


def _some_of_each_file(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield at most 20 faults of each file, and how many more there are."""
    counts: Counter[str] = Counter()
    for fault in dict.fromkeys(map(seen, faults)):
        file = fault.where.partition(", ")[0]
        counts[file] += 1
        if counts[file] <= MOST_OF_A_FILE:
            yield fault
    for file, count in counts.items():
        if count > MOST_OF_A_FILE:
            yield Fault(file, f"{plural(count - MOST_OF_A_FILE, 'more fault')}")
