"""What a change to the leaderboard may do: add a few entries, and touch nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mlbench.common.counts import plural
from mlbench.common.errors import Fault
from mlbench.leaderboard.entries.board import Place, Tree, is_maintainers, place_of
from mlbench.leaderboard.entries.entry import TASK_FILE

MOST_ENTRIES = 5
MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Changes:
    """Files of ``head`` that ``base`` lacks, and files of ``base`` that differ or are gone."""

    head: Tree
    base: Tree
    added: tuple[PurePosixPath, ...]
    altered: tuple[PurePosixPath, ...]

    @classmethod
    def between(cls, base: Tree, head: Tree) -> Changes:
        """Compare two checkouts."""
        return cls(
            head,
            base,
            added=tuple(path for path in head.files if path not in base.files),
            altered=tuple(path for path in base.files if not head.same(path, base)),
        )

    def stands(self, path: PurePosixPath) -> bool:
        """Say whether a file is there as it was."""
        return path in self.base.files and path not in self.altered

    def touches(self, place: Place) -> bool:
        """Say whether an entry, or the task it is checked against, is not as it was."""
        changed = (*self.added, *self.altered)
        return self.touches_task(place.task) or any(p.parent == place.folder for p in changed)

    def touches_task(self, task: str) -> bool:
        """Say whether a task is not as it was."""
        return PurePosixPath(task, TASK_FILE) in (*self.added, *self.altered)

    def without_added(self) -> Tree:
        """Return what is left of the head to read where more was added than is taken."""
        files = {path: size for path, size in self.head.files.items() if path in self.base.files}
        return replace(self.head, files=files)

    def too_large(self) -> list[Fault]:
        """Return what of the change is more than is taken at a time."""
        faults = []
        entries = {place for path in self.added if (place := place_of(path))}
        if len(entries) > MOST_ENTRIES:
            found, expected = (
                f"{plural(len(entries), 'new entry', 'new entries')}",
                f"at most {MOST_ENTRIES} at a time",
            )
            mend = "open several pull requests"
            faults.append(Fault(str(self.head.root), found, expected, mend))
        size = sum(self.head.files[path] for path in self.added)
        if size > MOST_BYTES:
            found = f"{size / 2**20:.1f} MiB of new files"
            expected = f"at most {MOST_BYTES / 2**20:.0f} MiB at a time"
            faults.append(Fault(str(self.head.root), found, expected))
        return faults


def change_faults(changes: Changes, *, maintainer: bool) -> Iterator[Fault]:
    """Yield what a change must not do; ``maintainer`` may touch the maintainers' own files."""
    for path in changes.altered:
        if not (maintainer and is_maintainers(path)):
            found = "changed" if path in changes.head.files else "removed"
            expected = "files unchanged: a new run is a new dated entry"
            yield Fault(changes.head.where(path), found, expected, "`mlbench submit` makes one")
    for path in changes.added:
        if is_maintainers(path) and not maintainer:
            expected = "only entries: tasks and records belong to the maintainers"
            yield Fault(changes.head.where(path), "added", expected)
    yield from changes.too_large()
