"""The leaderboard as a whole: where its files stand, which may, and all of them read strictly.

    README.md
    <task>/task.json
    <task>/<slug>/entry.json, ranks.parquet, withdrawn-<date>.json           a model's first entry
    <task>/<slug>/<date>-<digest>/entry.json, ...                             a later one
    records/<task>/<slug>/<entry digest>-<level>-<date>.json                  what was verified
    records/<task>/<slug>/<entry digest>-lifted-<date>.json                   a dispute's end

``task.json`` and ``records/`` are the maintainers'. ``<slug>`` is ``artefacts.slug`` of the model's
name; ``<digest>`` the first eight hex digits of the SHA-256 of entry.json.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from mlbench.common.errors import DataError, Fault, first_faults
from mlbench.common.files import shipped_folder
from mlbench.data.task import NAME
from mlbench.leaderboard.entries.entry import (
    ENTRY_FILE,
    RANKS_FILE,
    RECORDS,
    TASK_FILE,
    AnyDocument,
    Entry,
    EntryKind,
    LeaderboardTask,
    Level,
    Lifting,
    Record,
    Withdrawal,
    parse_document,
)
from mlbench.leaderboard.entries.strict import MAX_JSON, read_bounded

DAY = r"\d{4}-\d{2}-\d{2}"
SLUG = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,70}[a-z0-9_])?")
WITHDRAWN = re.compile(rf"withdrawn-({DAY})\.json")
LIFTED = "lifted"
"""What stands in the name of a lifting in the place of a record's level."""
TASK_NAME = rf"(?!{RECORDS}/){NAME.pattern}"
ENTRYS = re.compile(
    rf"(?P<task>{TASK_NAME})/(?P<slug>{SLUG.pattern})(?:/(?P<run>{DAY}-[0-9a-f]{{8}}))?"
    rf"/(?:entry\.json|ranks\.parquet|{WITHDRAWN.pattern})"
)
"""Paths of the files of an entry."""
MAINTAINERS = re.compile(
    rf"README\.md|{TASK_NAME}/task\.json"
    rf"|{RECORDS}/{NAME.pattern}/{SLUG.pattern}/[0-9a-f]{{12}}-[a-z]+-{DAY}\.json"
)
"""Paths of the files that maintainers keep."""


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
    found = ENTRYS.fullmatch(path.as_posix())
    return Place(found["task"], found["slug"], found["run"] or "") if found else None


def is_maintainers(path: PurePath) -> bool:
    """Say whether a file, relative to the leaderboard's folder, is one that maintainers keep."""
    return bool(MAINTAINERS.fullmatch(path.as_posix()))


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
        return "not a file of a leaderboard"
    return ""


@dataclass(frozen=True)
class BoardEntry:
    """An entry with all that stands beside it. ``sha256`` is that of its entry.json."""

    entry: Entry
    place: Place
    path: Path
    sha256: str
    task: LeaderboardTask = field(repr=False)
    records: tuple[Record, ...] = ()
    withdrawn: Withdrawal | None = None
    liftings: tuple[Lifting, ...] = ()

    @property
    def slug(self) -> str:
        """The model's folder."""
        return self.place.slug

    @property
    def level(self) -> Level:
        """How far it can be trusted: disputed if a dispute stands, else its highest record."""
        if self.disputes:
            return Level.DISPUTED
        base = Level.RECOMPUTED if self.entry.kind is EntryKind.EVIDENCE else Level.REPORTED
        levels = (record.level for record in self.records if record.level is not Level.DISPUTED)
        return max([base, *levels], key=list(Level).index)

    @property
    def disputes(self) -> tuple[str, ...]:
        """The days of the disputes that nobody lifted, in order."""
        lifted = {day for lifting in self.liftings for day in lifting.disputes}
        days = {record.date for record in self.records if record.level is Level.DISPUTED}
        return tuple(sorted(days - lifted))


@dataclass(frozen=True)
class BoardTask:
    """A task and its entries, by slug, then date: of one model the last is the current one."""

    task: LeaderboardTask
    entries: tuple[BoardEntry, ...]

    def current(self) -> tuple[BoardEntry, ...]:
        """Return the last entry of each model that is not withdrawn; figures from a publication
        only where it has none with evidence."""
        standing: dict[str, BoardEntry] = {}
        for each in self.entries:
            before = standing.get(each.slug)
            if each.withdrawn is None and (
                before is None
                or before.entry.kind is EntryKind.REPORTED
                or each.entry.kind is EntryKind.EVIDENCE
            ):
                standing[each.slug] = each
        return tuple(standing.values())

    def previous(self, entry: BoardEntry) -> BoardEntry | None:
        """Return the entry of the same model before this one, leaving out those withdrawn."""
        before = [
            each
            for each in self.entries[: self.entries.index(entry)]
            if each.slug == entry.slug and each.withdrawn is None
        ]
        return before[-1] if before else None


@dataclass(frozen=True)
class Board:
    """All tasks of a leaderboard by name; all records, withdrawals and liftings of disputes by
    their path in ``folder``."""

    folder: Path
    tasks: dict[str, BoardTask]
    records: dict[PurePosixPath, Record] = field(default_factory=dict)
    withdrawals: dict[PurePosixPath, Withdrawal] = field(default_factory=dict)
    liftings: dict[PurePosixPath, Lifting] = field(default_factory=dict)

    def entries(self) -> Iterator[BoardEntry]:
        """Yield the entries of all tasks."""
        for task in self.tasks.values():
            yield from task.entries


def read_board(folder: Path) -> Board:
    """Read a leaderboard's folder; the result does not depend on the order of files on the disk.

    Tables are read when asked for. What is read is well-formed; whether it is true is for
    ``validate`` to say. Raises DataError with the faults of every file (20 at most).
    """
    board, faults = load_board(read_tree(folder))
    if faults:
        raise DataError(*first_faults([fault for _, fault in faults]))
    return board


def find_entry(path: Path) -> BoardEntry:
    """Return the entry whose folder, or a file in it, is at ``path``.

    Raises DataError where there is none, or its leaderboard is malformed.
    """
    folder = path.parent if path.name in (ENTRY_FILE, RANKS_FILE) else path
    board = read_board(root_of(folder))
    for entry in board.entries():
        if entry.path.resolve() == folder.resolve():
            return entry
    raise DataError(Fault(str(path), "no entry", f"the folder of an entry of {board.folder}"))


def load_board(tree: Tree) -> tuple[Board, list[tuple[PurePosixPath, Fault]]]:
    """Read what can be read of a leaderboard, and say what is malformed and in which file."""
    loader = _Loader(tree)
    records = loader.read_all(Record, lambda path: _is_record(path) and not _is_lifting(path))
    liftings = loader.read_all(Lifting, _is_lifting)
    known = loader.read_all(LeaderboardTask, lambda path: path.name == TASK_FILE)
    entries = loader.read_all(Entry, lambda path: path.name == ENTRY_FILE)
    withdrawals = loader.read_all(Withdrawal, lambda path: bool(WITHDRAWN.fullmatch(path.name)))
    found: dict[str, list[BoardEntry]] = {path.parts[0]: [] for path in known}
    tasks = {path.parts[0]: task for path, task in known.items()}
    for path, entry in entries.items():
        place = place_of(path)
        if place is None or place.task not in tasks:
            continue
        digest = loader.digests[path]
        of = [record for record in records.values() if record.entry_sha256 == digest]
        back = [each for other, each in withdrawals.items() if other.parent == path.parent]
        found[place.task].append(
            BoardEntry(
                entry,
                place,
                tree.root / path.parent,
                digest,
                tasks[place.task],
                tuple(sorted(of, key=lambda record: (record.date, record.level, record.by))),
                back[0] if back else None,
                tuple(each for each in liftings.values() if each.entry_sha256 == digest),
            )
        )
    board = {
        name: BoardTask(task, tuple(sorted(found[name], key=_by_slug_and_date)))
        for name, task in tasks.items()
    }
    return Board(tree.root, board, records, withdrawals, liftings), loader.faults


def _is_record(path: PurePosixPath) -> bool:
    return path.parts[0] == RECORDS


def _is_lifting(path: PurePosixPath) -> bool:
    return _is_record(path) and path.name.split("-")[1:2] == [LIFTED]


def _by_slug_and_date(each: BoardEntry) -> tuple[str, str, str, str]:
    made = each.entry.run.date if each.entry.run else ""
    return each.slug, each.entry.declared.date, made, each.place.run


class _Loader:
    """Reads documents, and keeps their digests and what is wrong with them."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.digests: dict[PurePosixPath, str] = {}
        self.faults: list[tuple[PurePosixPath, Fault]] = []

    def read_all(
        self, kind: type[AnyDocument], wanted: Callable[[PurePosixPath], bool]
    ) -> dict[PurePosixPath, AnyDocument]:
        """Read the files that are wanted, in the order of their paths."""
        found = {}
        for path in filter(wanted, self.tree.files):
            where = str(self.tree.root / path)
            try:
                raw = read_bounded(self.tree.root / path, MAX_JSON, where)
                found[path] = parse_document(raw, kind, where)
            except DataError as error:
                self.faults += [(path, fault) for fault in error.faults]
            else:
                self.digests[path] = hashlib.sha256(raw).hexdigest()
        return found
