"""A model's card with the figures of reports: what ``mlbench card`` writes into a model's folder.

That is README.md (``model-index`` in its YAML, and a section of its text), ``.eval_results/*.yaml``
and a picture of each report in the folder ``mlbench``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import reading, sha256_of, write_atomically
from mlbench.data.suite import Suite
from mlbench.integrations.cards.figures import (
    SUITE,
    Evidence,
    Stated,
    entries_of,
    is_ours,
    results_of,
    suite_results,
)
from mlbench.integrations.cards.front_matter import parse_card, with_body, with_results
from mlbench.integrations.cards.section import (
    PICTURES,
    block_of,
    picture_of,
    suite_block,
    with_blocks,
)
from mlbench.integrations.report_folders import reports_in
from mlbench.leaderboard.entries.board import BoardEntry, find_entry
from mlbench.leaderboard.entries.entry import ENTRY_FILE
from mlbench.reports.report import RANKS_FILE, Report, read_report
from mlbench.reports.report import rescored as scored_again
from mlbench.reports.suite_report import SuiteReport, suite_report
from mlbench.reports.table import escape_markdown

README, RESULTS = "README.md", ".eval_results"
URL = re.compile(r"https?://[^\s<>\"'`()\[\]]+")
Read = Callable[[str], bytes | None]
"""Returns a file of a model's folder by its name in it, None where there is none."""


@dataclass(frozen=True)
class CardChange:
    """What a card is to become: content by name in the model's folder, and what is there now, None
    for a file that is new."""

    files: dict[str, bytes]
    former: dict[str, bytes | None] = field(repr=False)

    @property
    def changed(self) -> list[str]:
        """The names of the files that are not the same already."""
        return [name for name, content in self.files.items() if self.former[name] != content]

    def diff(self) -> str:
        """Return what changes as a unified diff; of a picture only its size."""
        lines: list[str] = []
        for name in self.changed:
            before, after = self.former[name], self.files[name]
            if name.endswith(".png"):
                lines.append(f"{'changed' if before else 'new'} picture {name}: {len(after):,} B\n")
                continue
            old, new = (
                (raw or b"").decode(errors="replace").splitlines(keepends=True)
                for raw in (before, after)
            )
            told = difflib.unified_diff(
                old, new, f"a/{name}" if before else "/dev/null", f"b/{name}"
            )
            lines += (line if line.endswith("\n") else f"{line}\n" for line in told)
        return "".join(lines)

    def save(self, folder: Path) -> list[Path]:
        """Write what changes, each file whole, README.md last; return the files."""
        for name in (names := self.changed):
            write_atomically(folder / name, self.files[name], "--to")
        return [folder / name for name in names]


def write_card(
    reports: Report | str | Path | Iterable[Report | str | Path],
    to: str | Path,
    *,
    suite: str | Path | Suite | None = None,
    evidence: str | Path | Iterable[str | Path] = (),
) -> list[Path]:
    """Write the figures of one model's reports into the card in its folder ``to``; return the files
    that changed.

    Reports are objects or folders, which may hold several. ``suite`` also shows them together.
    ``evidence`` is an address (https), or the folder of an entry of the leaderboard, for readers to
    check the figures with. Nothing else of the card changes, and figures of the same task are
    replaced. Raises UsageError for a folder or evidence that there is not, DataError for a card
    that cannot be read or for reports that do not belong together, and as ``read_report`` does.

    >>> import mlbench, pathlib, tempfile
    >>> report = mlbench.evaluate("char-ngram", "sample", progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in mlbench.write_card(report, folder))
    ['README.md', 'mlbench-sample.yaml', 'sample.png']
    """
    folder = Path(to)
    return card_change(local(folder), reports, suite, evidence, str(folder / README)).save(folder)


def card_change(
    read: Read,
    reports: Report | str | Path | Iterable[Report | str | Path],
    suite: str | Path | Suite | None = None,
    evidence: str | Path | Iterable[str | Path] = (),
    where: str = README,
) -> CardChange:
    """Return what the card whose files ``read`` returns becomes with reports, as ``write_card``."""
    given = [reports] if isinstance(reports, Report | str | Path) else list(reports)
    shown = [evidence] if isinstance(evidence, str | Path) else list(evidence)
    return changed_card(read, *stated_of(given, suite, shown), where)


def changed_card(
    read: Read, stated: Sequence[Stated], suite: SuiteReport | None, where: str
) -> CardChange:
    """Return what a card becomes with what is stated; its present files come from ``read``."""
    name = " ".join(stated[0].report.model.name.split())
    former = {README: read(README)}
    content = former[README]
    card = parse_card(
        f"# {escape_markdown(name)}\n".encode() if content is None else content, where
    )
    files: dict[str, bytes] = {}
    blocks: dict[str, str] = {}
    for each in stated:
        picture = picture_of(each)
        if picture is not None:
            files[f"{PICTURES}/{each.file}.png"] = picture[1]
        if entries := entries_of(each):
            files[f"{RESULTS}/mlbench-{each.file}.yaml"] = _yaml(entries)
        blocks[each.key] = block_of(each, picture and picture[0])
        task, part = each.report.task.name, each.part
        if results := results_of(each):
            card = with_results(card, name, results, lambda r, t=task, p=part: is_ours(r, t, p))  # type: ignore[misc]
    if suite is not None:
        blocks[f"suite {suite.suite.name}"] = suite_block(suite)
        of = f"{SUITE}{suite.suite.name}"
        if results := suite_results(suite, stated[0].evidence):
            card = with_results(card, name, results, lambda result: is_ours(result, of))
    body = with_blocks(card.body, blocks, where, card.newline)
    former |= {other: read(other) for other in files}
    return CardChange(files | {README: with_body(card, body).content}, former)


def local(folder: Path) -> Read:
    """Return what reads the files of a folder. Raises UsageError where there is none."""
    if not folder.is_dir():
        found = "not a folder" if folder.exists() else "no such folder"
        raise UsageError(Fault(str(folder), found, "the folder of a model"))

    def read(name: str) -> bytes | None:
        with reading(folder / name, "a file that you may read"):
            return (folder / name).read_bytes() if (folder / name).exists() else None

    return read


def stated_of(
    reports: Sequence[Report | str | Path],
    suite: str | Path | Suite | None,
    evidence: Sequence[str | Path],
) -> tuple[list[Stated], SuiteReport | None]:
    """Read the reports, find what each can be checked with, and read those of a suite together.

    Raises UsageError for evidence that is of no report, DataError for reports of several models or
    several of one task.
    """
    url, entries = _evidence(evidence)
    found = [each for report in reports for each in reports_in(report)]
    _refuse_strangers([Stated(report, Evidence()) for report, _ in found])
    stated = []
    for saved, folder in found:
        report, table = _with_table(saved, folder)
        stated.append(Stated(report, Evidence(url, _entry_of(report, table, entries), table)))
    if unused := [e for e in entries if str(e.place) not in _named(stated)]:
        found_ = f"the entry {unused[0].place}, which has another table than the reports"
        raise UsageError(Fault("--evidence", found_, "an entry made from one of the reports"))
    if suite is None:
        return stated, None
    from mlbench.evaluation.suites import load_suite

    chosen = load_suite(suite)
    together = suite_report(chosen, [each.report for each in stated])
    if together.model is None:
        names = ", ".join(each.task.name for each in chosen.tasks)
        what = f"no report on a task of the suite {chosen.name}"
        raise DataError(Fault("--suite", what, f"reports on {names}"))
    return stated, together


def _named(stated: Sequence[Stated]) -> set[str]:
    return {each.evidence.entry[0] for each in stated if each.evidence.entry}


def _with_table(report: Report, folder: Path | None) -> tuple[Report, str]:
    """Return a report with its table and the SHA-256 of that, "" for run files; the scores of a
    saved one are computed again."""
    if folder is None:
        return report, "" if report.ranks is None else _digest(report)
    if report.retrieved is not None:
        return report, ""
    saved = read_report(folder)
    return scored_again(saved, saved.table, folder), sha256_of(folder / RANKS_FILE)


def _digest(report: Report) -> str:
    import hashlib

    from mlbench.ranking.ranks_file import ranks_to_bytes

    return hashlib.sha256(ranks_to_bytes(report.table, report.task.key)).hexdigest()


def _refuse_strangers(stated: Sequence[Stated]) -> None:
    """Refuse reports of several models, and several of one part of a task."""
    models = {each.report.model.identity or each.report.model.name for each in stated}
    if len(models) > 1:
        names = ", ".join(dict.fromkeys(each.report.model.name for each in stated))
        found = f"reports of {plural(len(models), 'model')} ({names})"
        raise DataError(Fault("the card", found, "reports of one model"))
    keys = [each.key for each in stated]
    if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise DataError(
            Fault("the card", f"{plural(keys.count(twice[0]), 'report')} on {twice[0]}", "one")
        )


def _evidence(given: Sequence[str | Path]) -> tuple[str, list[BoardEntry]]:
    """Return the address and the entries that are evidence."""
    urls = [str(each) for each in given if "://" in str(each)]
    for url in urls:
        if not URL.fullmatch(url):
            raise UsageError(Fault("--evidence", repr(url), "an address such as https://..."))
    if len(urls) > 1:
        raise UsageError(
            Fault(
                "--evidence", f"{plural(len(urls), 'address', 'addresses')}", "one address at most"
            )
        )
    folders = [Path(each) for each in given if "://" not in str(each)]
    for folder in folders:
        if not (folder / ENTRY_FILE).is_file():
            found, expected = "neither an address nor an entry", "https://... or an entry's folder"
            raise UsageError(Fault(f"--evidence {folder}", found, expected))
    return (urls or [""])[0], [find_entry(folder) for folder in folders]


def _entry_of(report: Report, table: str, entries: Sequence[BoardEntry]) -> tuple[str, str] | None:
    """Return the place and the digest of the entry that was made from a report, if it is there."""
    if report.ranks is None or not entries:
        return None
    tables = (table, _digest(report))
    made = (each for each in entries if each.entry.ranks_sha256 in tables)
    return next(((str(each.place), each.sha256) for each in made), None)


def _yaml(entries: Sequence[object]) -> bytes:
    from huggingface_hub.utils import yaml_dump

    text: str = yaml_dump(list(entries), sort_keys=False)
    return text.encode()
