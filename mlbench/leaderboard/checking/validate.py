"""Check a leaderboard's folder: form, tables, scores, copies, and what a change does to it."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mlbench.common.errors import Fault
from mlbench.common.progress import Step
from mlbench.data.task import Kind, Roles
from mlbench.leaderboard.checking.changes import Changes, change_faults
from mlbench.leaderboard.checking.copies import (
    Prints,
    names_alike,
    other_owner,
    resemblances,
    table_print,
)
from mlbench.leaderboard.checking.documents import (
    lifting_findings,
    record_findings,
    withdrawal_findings,
)
from mlbench.leaderboard.checking.findings import Findings
from mlbench.leaderboard.entries.board import (
    WITHDRAWN,
    BoardEntry,
    Place,
    Tree,
    load_board,
    place_of,
    read_tree,
    run_folder,
)
from mlbench.leaderboard.entries.entry import (
    ENTRY_FILE,
    RANKS_FILE,
    RECORDS,
    TASK_FILE,
    Entry,
    EntryKind,
    Found,
    faults_at,
)
from mlbench.leaderboard.entries.fields import (
    entry_faults,
    task_faults,
)
from mlbench.leaderboard.entries.strict import shown
from mlbench.leaderboard.entries.tables import entry_table, score_faults, table_faults


@dataclass(frozen=True)
class Options:
    """``within`` are paths below the folder, all of it where empty; ``base`` is the folder before
    a change, None where only the state is checked."""

    today: datetime.date
    within: tuple[PurePosixPath, ...] = ()
    base: Path | None = None
    maintainer: bool = False
    quiet: bool = True


def validate(root: Path, options: Options) -> Findings:
    """Check the leaderboard in ``root``.

    With a base, what stands there unchanged is taken as checked when it was added; all the
    rest, and it against all, is checked now.
    """
    work = _Validation(root, options)
    work.form()
    work.documents()
    work.tables()
    work.names()
    work.people()
    return work.findings


class _Validation:
    """One validation: what is checked, and what was found."""

    def __init__(self, root: Path, options: Options) -> None:
        self.options = options
        self.findings = Findings()
        self.tree = read_tree(root)
        self.changes = None
        if options.base is not None:
            self.changes = Changes.between(read_tree(options.base.resolve()), self.tree)
            if not options.maintainer and self.changes.too_large():
                self.tree = self.changes.without_added()
        self.board, self.malformed = load_board(self.tree)

    def chosen(self, path: PurePosixPath) -> bool:
        """Say whether a file is to be checked; a record is where its entry is."""
        if path.parts[:1] == (RECORDS,):
            path = PurePosixPath(*path.parts[1:])
        within = self.options.within
        return (
            not within
            or path == PurePosixPath()
            or any(each == path or each in path.parents for each in within)
        )

    def faults(
        self, entry: BoardEntry, found: Iterable[Found], file: str = ENTRY_FILE
    ) -> list[Fault]:
        """Return what was found of an entry's file as faults."""
        return faults_at(self.tree.where(entry.place.folder / file), found)

    def to_check(self, entry: BoardEntry) -> bool:
        """Say whether an entry is chosen, and does not stand in the base as it is."""
        changed = self.changes is None or self.changes.touches(entry.place)
        return changed and self.chosen(entry.place.folder / ENTRY_FILE)

    def age(self, entry: BoardEntry) -> tuple[bool, Place]:
        """Return what entries are sorted by: those of the base first, whatever date is claimed."""
        return self.changes is not None and self.changes.touches(entry.place), entry.place

    def form(self) -> None:
        """Check which files there are, and what the change does to them."""
        found = [*self.tree.faults, *self.malformed, *_partial(self.tree, set(self.board.tasks))]
        self.findings.malformed += [fault for path, fault in found if self.chosen(path)]
        if self.changes is not None:
            maintainer = self.options.maintainer
            self.findings.contradictory += change_faults(self.changes, maintainer=maintainer)

    def documents(self) -> None:
        """Check the fields of tasks, entries, withdrawals and records."""
        today = self.options.today
        for name, task in self.board.tasks.items():
            path = PurePosixPath(name, TASK_FILE)
            if self.chosen(path):
                found = task_faults(task.task, name)
                self.findings.malformed += faults_at(self.tree.where(path), found)
            earlier: dict[str, list[BoardEntry]] = defaultdict(list)
            for entry in sorted(task.entries, key=self.age):
                if self.to_check(entry):
                    found = entry_faults(entry.entry, entry.place, task.task, today)
                    self.findings.malformed += self.faults(entry, found)
                    found = _history(entry, earlier[entry.slug])
                    self.findings.contradictory += self.faults(entry, found)
                earlier[entry.slug].append(entry)
        for document, check in (
            (self.board.records, record_findings),
            (self.board.withdrawals, withdrawal_findings),
            (self.board.liftings, lifting_findings),
        ):
            for path in filter(self.chosen, document):
                if self.changes and self.changes.stands(path):
                    continue
                result = check(self.board, path, self.tree.where(path), today)
                if self.changes and path in self.changes.added and not self.options.maintainer:
                    result.contradictory += result.flags  # only a maintainer may do for others
                    result.flags = []
                self.findings.add(result)

    def people(self) -> None:
        """Flag what is in another's name: nobody but a person can tell who opened the change."""
        for entry in filter(self.to_check, self.board.entries()):
            owners = {
                other.entry.declared.submitter
                for other in self.board.entries()
                if other.slug == entry.slug
                and other.place != entry.place
                and other.entry.ranks_sha256
            }
            for owner in sorted(owners - {entry.entry.declared.submitter}):
                found = f"of a model that {shown(owner)} submitted"
                told = [("declared.submitter", found, "an entry of theirs")]
                self.findings.flags += self.faults(entry, told)
        if self.changes is None:
            return
        for path in self.changes.added:
            place = place_of(path)
            if place is None or not self.chosen(path):
                continue
            if WITHDRAWN.fullmatch(path.name):
                fault = Fault(self.tree.where(path), "an entry is withdrawn", "by its submitter")
                self.findings.flags.append(fault)
            elif place.run and path.name == ENTRY_FILE:
                fault = Fault(self.tree.where(path), "a new run of a model", "by its submitter")
                self.findings.flags.append(fault)

    def tables(self) -> None:
        """Check tables and what follows from them."""
        entries = [e for e in self.board.entries() if self.to_check(e) and self.trusted(e)]
        prints = Prints(self.stands)
        with Step("checking", len(entries), "entries", quiet=self.options.quiet) as step:
            for entry in entries:
                roles = self.board.tasks[entry.place.task].task.roles
                self.findings.flags += self.faults(entry, implausible(entry.entry, roles))
                self.table(entry, prints)
                step.advance(1)
        for name, task in self.board.tasks.items():
            of_task = [entry for entry in entries if entry.place.task == name]
            for entry, found, copied in resemblances(of_task, task.entries, prints):
                faults = self.findings.contradictory if copied else self.findings.flags
                faults += self.faults(entry, [found])
        self.findings.checked += [entry.place for entry in entries]

    def stands(self, entry: BoardEntry) -> bool:
        """Say whether an entry stands in the base as it is, where it was checked when it came."""
        files = [entry.place.folder / name for name in (ENTRY_FILE, RANKS_FILE)]
        return self.changes is not None and all(map(self.changes.stands, files))

    def trusted(self, entry: BoardEntry) -> bool:
        """Say whether an entry's task is in order and a maintainer's, and the change not too
        large: what is not is a fault already, and would say how much there is to do."""
        if any(task_faults(entry.task, entry.place.task)):
            return False
        if self.changes is None or self.options.maintainer:
            return True
        return not self.changes.touches_task(entry.place.task) and not self.changes.too_large()

    def table(self, entry: BoardEntry, prints: Prints) -> None:
        """Check an entry's table, and the scores against it."""
        prints.known[entry.place] = None
        with self.findings.gathering():
            ranks = entry_table(entry, self.tree.where(entry.place.folder / RANKS_FILE))
            if ranks is None:
                return
            prints.known[entry.place] = table_print(ranks)
            broken = list(table_faults(ranks))
            self.findings.contradictory += self.faults(entry, broken, RANKS_FILE)
            measures = self.tree.where(entry.place.folder / ENTRY_FILE, "measures")
            if not broken and all(fault.where != measures for fault in self.findings.malformed):
                found = score_faults(entry.entry, ranks, entry.task.kinds)
                self.findings.contradictory += self.faults(entry, found)

    def names(self) -> None:
        """Look for names that look alike, of all tasks together."""
        entries = {entry.slug: entry for entry in self.board.entries()}
        names = {slug: entry.entry.model.name for slug, entry in entries.items()}
        for slug, other in names_alike(names):
            if self.to_check(entries[slug]):
                found = f"{shown(names[slug])} looks like {shown(names[other])} of {other}"
                told = [("model.name", found, "another name")]
                self.findings.contradictory += self.faults(entries[slug], told)


def _partial(tree: Tree, tasks: set[str]) -> Iterator[tuple[PurePosixPath, Fault]]:
    """Yield where a file is there and the one that it belongs to is not."""
    for path in tree.files:
        place = place_of(path)
        if place is None:
            continue
        for folder in {place.folder, replace(place, run="").folder}:
            if folder / ENTRY_FILE not in tree.files:
                where = tree.where(folder / ENTRY_FILE)
                yield path, Fault(where, "no such file", f"this file, because there is {path}")
        if path.name == ENTRY_FILE and place.task not in tasks:
            task = PurePosixPath(place.task, TASK_FILE)
            yield path, Fault(tree.where(path), "its task is not in the leaderboard", f"{task}")


def _history(entry: BoardEntry, earlier: Sequence[BoardEntry]) -> Iterator[Found]:
    """Yield what does not fit the model's earlier entries, or the name of the entry's folder."""
    run = entry.place.run
    expected = run_folder(entry.entry.declared.date, entry.sha256)
    if run and run != expected:
        yield "declared.date", f"in the folder {run}", f"{expected}, by its date and SHA-256"
    if owner := other_owner(entry.entry, earlier):
        expected = f"{shown(owner)}, whose model this is; else another name for the model"
        yield "declared.submitter", shown(entry.entry.declared.submitter), expected
    if entry.entry.kind is EntryKind.REPORTED and (entry.path / RANKS_FILE).exists():
        yield "declared.kind", "reported, but there is a table", "evidence, or no table"


PERFECT = 0.999
AHEAD = 0.05
"""How far cross-lingual AP may be above monolingual: translation loses, in all we have seen."""


def implausible(entry: Entry, roles: Roles) -> Iterator[tuple[str, str, str]]:
    """Yield key, found and what would be expected of each score that a person should look at.

    Scores within and across languages are held against each other only where queries and passages
    have the same languages: elsewhere they are scores of other queries.
    """
    for key, figures in (("macro", entry.macro), ("directions", entry.directions)):
        for over, of in figures.items():
            for name in ("AP", "RR"):
                if (score := of.get(name)) and score.value > PERFECT:
                    yield f"{key}.{over}.{name}", f"{score.value:.4f}", f"at most {PERFECT}"
    ap = {kind: of_kind["AP"].value for kind, of_kind in entry.macro.items() if "AP" in of_kind}
    within, across = ap.get(Kind.MONOLINGUAL), ap.get(Kind.CROSSLINGUAL)
    if {*roles.queries} != {*roles.passages} or within is None or across is None:
        return
    if across > within + AHEAD:
        key = f"macro.{Kind.CROSSLINGUAL}.AP"
        yield key, f"{across:.4f}", f"at most {AHEAD} above the monolingual {within:.4f}"
