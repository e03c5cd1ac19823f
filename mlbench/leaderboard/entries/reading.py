"""The leaderboard as a whole: every task, entry and record of a folder, read strictly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlbench.common.errors import DataError, Fault
from mlbench.leaderboard.entries.entry import (
    ENTRY_FILE,
    RANKS_FILE,
    TASK_FILE,
    Entry,
    EntryKind,
    LeaderboardTask,
    Level,
    Record,
    Withdrawal,
)
from mlbench.leaderboard.entries.layout import RECORDS, WITHDRAWN, Place, place_of, root_of
from mlbench.leaderboard.entries.strict import MAX_JSON, AnyDocument, parse_document, read_bounded
from mlbench.leaderboard.entries.strict_table import read_table
from mlbench.leaderboard.entries.tree import Tree, read_tree
from mlbench.ranking.ranks import Ranks


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

    @property
    def slug(self) -> str:
        """The model's folder."""
        return self.place.slug

    @property
    def level(self) -> Level:
        """How far it can be trusted: disputed if any record says so, else its highest record."""
        order = list(Level)
        base = Level.RECOMPUTED if self.entry.kind is EntryKind.EVIDENCE else Level.REPORTED
        return max([base, *(record.level for record in self.records)], key=order.index)

    @property
    def ranks(self) -> Ranks | None:
        """Its table, None for a reported entry; it is read anew each time, and not kept.

        Raises DataError or IntegrityError where the file is not the table the entry names.
        """
        if self.entry.ranks_sha256 is None:
            return None
        return read_table(self.path / RANKS_FILE, self.task, self.entry.ranks_sha256)


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
    """All tasks of a leaderboard by name; all records and withdrawals by path in ``folder``."""

    folder: Path
    tasks: dict[str, BoardTask]
    records: dict[PurePosixPath, Record] = field(default_factory=dict)
    withdrawals: dict[PurePosixPath, Withdrawal] = field(default_factory=dict)

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
        raise DataError(*[fault for _, fault in faults][:20])
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
    records = loader.read_all(Record, lambda path: path.parts[0] == RECORDS)
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
            )
        )
    board = {
        name: BoardTask(task, tuple(sorted(found[name], key=_by_slug_and_date)))
        for name, task in tasks.items()
    }
    return Board(tree.root, board, records, withdrawals), loader.faults


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
