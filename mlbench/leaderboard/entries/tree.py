"""The files of a leaderboard's folder: which may stand there, how large, of what kind."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlbench.common.errors import Fault
from mlbench.leaderboard.entries.layout import is_maintainers, place_of

MOST_FILES = 100_000
EXPECTED = (
    "README.md, <task>/task.json, <task>/<slug>/entry.json and ranks.parquet, "
    "withdrawn-<date>.json, records/"
)


@dataclass(frozen=True)
class Tree:
    """Size in bytes of each file, by its path relative to the folder; and what is wrong."""

    root: Path
    files: dict[PurePosixPath, int]
    faults: tuple[tuple[PurePosixPath, Fault], ...]

    def where(self, path: PurePosixPath, field: str = "") -> str:
        """Return how a message names a file, or a field of it."""
        return f"{self.root / path}" + (f", {field}" if field else "")

    def same(self, path: PurePosixPath, other: Tree) -> bool:
        """Say whether a file is byte for byte the one of another tree."""
        if self.files.get(path, -1) != other.files.get(path, -2):
            return False
        return (self.root / path).read_bytes() == (other.root / path).read_bytes()


def read_tree(root: Path) -> Tree:
    """List the files below ``root``; nothing is opened and no link followed.

    Only regular files of known names are listed; all else is a fault.
    """
    files: dict[PurePosixPath, int] = {}
    faults: list[tuple[PurePosixPath, Fault]] = []
    if root.is_symlink():
        fault = Fault(str(root), "a symbolic link", "a folder")
        return Tree(root, {}, ((PurePosixPath("."), fault),))
    for number, path in enumerate(_below(root)):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if number >= MOST_FILES:
            faults.append((relative, Fault(str(root), f"more than {MOST_FILES:,} files")))
            break
        info = path.lstat()
        found = _wrong(relative, info)
        if found:
            faults.append((relative, Fault(str(path), found, EXPECTED)))
        else:
            files[relative] = info.st_size
    return Tree(root, dict(sorted(files.items())), tuple(faults))


def _below(root: Path) -> Iterator[Path]:
    """Yield everything below a folder but its plain folders; of these the empty ones, which git
    makes for a submodule only."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        here = Path(folder)
        if here != root and not folders and not files:
            yield here
        yield from (here / name for name in folders if (here / name).is_symlink())
        yield from (here / name for name in sorted(files))


def _wrong(path: PurePosixPath, info: os.stat_result) -> str:
    if stat.S_ISLNK(info.st_mode):
        return "a symbolic link"
    if not stat.S_ISREG(info.st_mode):
        return "an empty folder" if stat.S_ISDIR(info.st_mode) else "not a regular file"
    if any(part.startswith(".") for part in path.parts):
        return "a hidden file"
    if os.name == "posix" and info.st_mode & 0o111:
        return "an executable file"
    if place_of(path) is None and not is_maintainers(path):
        return "no file of a leaderboard"
    return ""
