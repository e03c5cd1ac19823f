"""Where the files of the leaderboard stand.

    README.md
    <task>/task.json
    <task>/<slug>/entry.json, ranks.parquet, withdrawn-<date>.json           a model's first entry
    <task>/<slug>/<date>-<digest>/entry.json, ...                             a later one
    records/<task>/<slug>/<entry digest>-<level>-<date>.json                  what was verified

``task.json`` and ``records/`` are the maintainers'. ``<slug>`` is ``artefacts.slug`` of the model's
name; ``<digest>`` the first eight hex digits of the SHA-256 of entry.json.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from mlbench.common.errors import DataError, Fault
from mlbench.common.files import shipped_folder
from mlbench.data.task import NAME
from mlbench.leaderboard.entries.entry import ENTRY_FILE, RANKS_FILE, TASK_FILE

RECORDS = "records"
README = "README.md"
SLUG = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,70}[a-z0-9_])?")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
RUN = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{8}")
WITHDRAWN = re.compile(r"withdrawn-(\d{4}-\d{2}-\d{2})\.json")
RECORD = re.compile(r"[0-9a-f]{12}-[a-z]+-\d{4}-\d{2}-\d{2}\.json")


@dataclass(frozen=True, order=True)
class Place:
    """The folder of an entry: task, slug, and ``run``, which is "" for a model's first entry."""

    task: str
    slug: str
    run: str = ""

    @property
    def folder(self) -> PurePosixPath:
        """The folder, relative to the leaderboard's."""
        return PurePosixPath(self.task, self.slug, self.run)

    def __str__(self) -> str:
        return str(self.folder)


def run_folder(date: str, sha256: str) -> str:
    """Return the folder of a later entry, by its date and the SHA-256 of its entry.json."""
    return f"{date}-{sha256[:8]}"


def record_path(task: str, slug: str, entry_sha256: str, level: str, date: str) -> PurePosixPath:
    """Return where a record stands, relative to the leaderboard's folder."""
    return PurePosixPath(RECORDS, task, slug, f"{entry_sha256[:12]}-{level}-{date}.json")


def place_of(path: PurePath) -> Place | None:
    """Return the entry that a file, relative to the leaderboard's folder, belongs to, if any."""
    task, slug, run = (*path.parts[:-1], "", "", "")[:3]
    file = path.name
    if not 3 <= len(path.parts) <= 4 or task == RECORDS:
        return None
    if not NAME.fullmatch(task) or not SLUG.fullmatch(slug) or (run and not RUN.fullmatch(run)):
        return None
    if file not in (ENTRY_FILE, RANKS_FILE) and not WITHDRAWN.fullmatch(file):
        return None
    return Place(task, slug, run)


def is_maintainers(path: PurePath) -> bool:
    """Say whether a file, relative to the leaderboard's folder, is one that maintainers keep."""
    parts = path.parts
    if parts == (README,):
        return True
    if len(parts) == 2:
        return bool(NAME.fullmatch(parts[0])) and parts[0] != RECORDS and parts[1] == TASK_FILE
    return (
        len(parts) == 4
        and parts[0] == RECORDS
        and bool(NAME.fullmatch(parts[1]) and SLUG.fullmatch(parts[2]))
        and bool(RECORD.fullmatch(parts[3]))
    )


def leaderboards_folder() -> Path:
    """Return the folder of the project's own leaderboard."""
    return shipped_folder("leaderboards")


def root_of(path: Path) -> Path:
    """Return the leaderboard's folder that ``path`` is or lies in.

    It is the folder that holds task folders, which have a task.json. Raises DataError.
    """
    absolute = path.absolute()
    for folder in (absolute, *absolute.parents) if path.exists() else ():
        if (folder / TASK_FILE).is_file():
            return folder.parent
        if folder.is_dir() and any(folder.glob(f"*/{TASK_FILE}")):
            return folder
    found = "not inside a leaderboard" if path.exists() else "no such file or folder"
    mend = "add a task with `mlbench leaderboard add-task REPORT --to FOLDER`"
    raise DataError(Fault(str(path), found, f"a folder whose tasks have a {TASK_FILE} each", mend))
