"""``mlbench leaderboard``: entries checked, tasks taken in, records and withdrawals written."""

from __future__ import annotations

import datetime
import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath

from mlbench.commands.options import positive, shared
from mlbench.commands.output import print_json
from mlbench.commands.submit import declared, declared_arguments, print_submitted, today
from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.common.progress import Step
from mlbench.data.suite import Suite
from mlbench.evaluation.suites import load_suite
from mlbench.leaderboard.checking.findings import Findings
from mlbench.leaderboard.checking.recording import lift as end_disputes
from mlbench.leaderboard.checking.recording import withdraw as mark
from mlbench.leaderboard.checking.recording import write_record
from mlbench.leaderboard.checking.submit import add_task as write_task
from mlbench.leaderboard.checking.submit import reported
from mlbench.leaderboard.checking.validate import Options
from mlbench.leaderboard.checking.validate import validate as check_entries
from mlbench.leaderboard.entries.board import (
    Board,
    find_entry,
    leaderboards_folder,
    read_board,
    root_of,
)
from mlbench.leaderboard.entries.entry import TASK_FILE, Level, Source
from mlbench.leaderboard.entries.strict import link_fault, seen
from mlbench.leaderboard.page.badge import badge as make_badge
from mlbench.leaderboard.page.badge import badge_markdown
from mlbench.leaderboard.page.changes import read_previous
from mlbench.leaderboard.page.site import site_files
from mlbench.leaderboard.ranking.columns import measured_entries, with_tables
from mlbench.leaderboard.ranking.standings import all_standings
from mlbench.measures.significance import Score
from mlbench.reports.provenance import ModelInfo
from mlbench.reports.report import read_report

OVERALL_SUITE = "lareqa"
RECORDED = ("sampled", "reproduced", "disputed")
FIGURE = re.compile(r"([A-Za-z][\w-]*):(.+)=([0-9]*\.?[0-9]+)")


def day(text: str) -> datetime.date:
    """Parse a day such as 2025-01-31."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a day such as 2025-01-31") from None


def validate_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard validate`."""
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="FOLDER",
        help="the folder of the leaderboard, of a task in it, or of an entry (default: mlbench's "
        "own leaderboard)",
    )  # fmt: skip
    parser.add_argument(
        "--base", type=Path, metavar="FOLDER",
        help="the leaderboard before the change; its files must be unchanged",
    )  # fmt: skip
    parser.add_argument(
        "--maintainer", action="store_true",
        help="with --base: the change may include the maintainers' files",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true", help="treat everything that is for review as a fault"
    )
    parser.add_argument(
        "--today", type=day, metavar="DATE", help="the current day; later dates are faults"
    )
    shared(parser, "--json", "--quiet")


def validate(args: Namespace) -> int:
    """Check entries; print what is flagged, raise what is wrong."""
    if args.maintainer and args.base is None:
        raise UsageError(Fault("--maintainer", "given without --base", "both, or neither"))
    if args.base is not None and not args.base.is_dir():
        expected = "the leaderboard's folder before the change"
        raise UsageError(Fault(f"--base {args.base}", "no such folder", expected))
    findings = Findings()
    now, quiet = args.today or today(), args.quiet or args.json
    for root, within in _roots(args.paths or [leaderboards_folder()]).items():
        options = Options(now, within, args.base, args.maintainer, quiet)
        findings.add(check_entries(root, options))
    error = findings.error(strict=args.strict)
    if args.json:
        return _print_findings(findings, error.exit_code if error else 0)
    flags = list(dict.fromkeys(map(seen, findings.flags)))
    for flag in flags:
        print(f"for review: {flag}")
    if error is not None:
        raise error
    count = len(findings.checked)
    counted = f"{plural(count, 'entry', 'entries')} checked, no fault"
    print(counted + (f", {len(flags)} to review" if flags else ""))
    return 0


def _roots(paths: Sequence[Path]) -> dict[Path, tuple[PurePosixPath, ...]]:
    """Return each leaderboard's folder, as it was named, and what in it is to be checked."""
    found: dict[Path, tuple[PurePosixPath, ...]] = {}
    for path in paths:
        root = root_of(path)
        relative = PurePosixPath(path.absolute().relative_to(root).as_posix())
        named = path
        for _ in relative.parts:
            named = named.parent if named.name else root
        whole = not relative.parts or found.get(named) == ()
        found[named] = () if whole else (*found.get(named, ()), relative)
    return found


def _print_findings(findings: Findings, code: int) -> int:
    table = {
        "exit_code": code,
        "checked": [str(place) for place in findings.checked],
        "malformed": [asdict(seen(fault)) for fault in findings.malformed],
        "contradictory": [asdict(seen(fault)) for fault in findings.contradictory],
        "flags": [asdict(seen(fault)) for fault in findings.flags],
    }
    print_json(table)
    return code


def build_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard build`."""
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER",
        help="the leaderboard's folder (default: mlbench's own leaderboard)",
    )  # fmt: skip
    parser.add_argument("--entries", type=Path, dest="earlier", help=SUPPRESS)  # its name till 0.1
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to write the page"
    )
    parser.add_argument(
        "--suite", metavar="SUITE",
        help="the suite that the overall board is over: a built-in suite's name or a suite file, "
        f"with a mean (default: {OVERALL_SUITE}, if the leaderboard has its tasks)",
    )  # fmt: skip
    parser.add_argument(
        "--previous", type=Path, metavar="PATH",
        help="the folder of a build before, or its leaderboard.json: the page then says what "
        "changed since, and changes.json and changes.md do",
    )  # fmt: skip
    parser.add_argument(
        "--docs", default="", metavar="ADDRESS",
        help="where the documentation is: an https address, or a path seen from the page",
    )  # fmt: skip
    parser.add_argument(
        "--address", default="", metavar="ADDRESS",
        help="the https address of the folder where the page will be published, of which the "
        "feed's id is made",
    )  # fmt: skip
    shared(parser, "--quiet")


def build(args: Namespace) -> int:
    """Make the leaderboard's pages, and the standings as CSV, JSON and Markdown."""
    if args.folder and args.earlier:
        raise UsageError(Fault("FOLDER and --entries", "both given", "FOLDER alone"))
    docs, address = _docs(args.docs), args.address
    if address and (fault := link_fault(address)):
        raise UsageError(Fault("--address", fault, "an address such as https://example.org/board"))
    folder = args.folder or args.earlier or leaderboards_folder()
    board = read_board(folder)
    if not board.tasks:
        mend = "add a task with `mlbench leaderboard add-task REPORT --to FOLDER`"
        raise DataError(Fault(str(folder), "no task in it", f"a {TASK_FILE} for each task", mend))
    suite = _suite(args.suite, board)
    previous = read_previous(args.previous) if args.previous else None
    count = sum(len(with_tables(task)) for task in board.tasks.values())
    with Step("measuring", count, "entries", quiet=args.quiet) as step:
        tables = measured_entries(board, lambda: step.advance(1))
    with Step("ranking", 1, "leaderboard", quiet=args.quiet) as step:
        files = site_files(all_standings(board, tables, suite), previous, docs, address)
        step.advance(1)
    for name, content in files.items():
        write_atomically(args.output / name, content)
    entries = sum(len(task.current()) for task in board.tasks.values())
    page = args.output / "index.html"
    overall = f"overall by the suite {suite.name}" if suite else "no overall board (see --suite)"
    print(
        f"{page}: {len(files['index.html']) / 1e6:.2f} MB, {plural(len(board.tasks), 'task')}, "
        f"{plural(entries, 'entry', 'entries')}, {overall}"
    )
    return 0


def _docs(address: str) -> str:
    """Return where the documentation is. Raises UsageError for what is no link."""
    if link_fault(address) and (":" in address or address.startswith("//")):
        expected = "an https address, or a path seen from the page such as ../index.html"
        raise UsageError(Fault("--docs", repr(address), expected))
    return address


def _suite(named: str | None, board: Board) -> Suite | None:
    """Return the suite of the overall board; by default one whose tasks the leaderboard has."""
    suite = load_suite(named or OVERALL_SUITE)
    if not suite.mean:
        found, expected = "a suite whose headlines have no mean", "a suite with `mean = true`"
        raise UsageError(Fault(f"--suite {named}", found, expected, "there is no overall score"))
    has_all = all(each.task.name in board.tasks for each in suite.tasks)
    return suite if named or has_all else None


def badge_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard badge`."""
    shared(parser, "entry")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FILE", help="where to write it: FILE.svg"
    )
    shared(parser, "--quiet")


def badge(args: Namespace) -> int:
    """Check an entry, write its badge, and print the line of Markdown that shows it."""
    if args.to.suffix != ".svg":
        raise UsageError(Fault(f"--to {args.to}", "not called .svg", "a file such as badge.svg"))
    entry = find_entry(args.entry)
    content = make_badge(entry)
    within = (PurePosixPath(entry.place.folder),)
    checked = check_entries(root_of(entry.path), Options(today(), within, quiet=args.quiet))
    if (error := checked.error()) is not None:
        raise error
    write_atomically(args.to, content.encode(), "--to")
    print(f"written: {args.to}\n\nThis line shows it in a README beside it:\n")
    print(badge_markdown(entry, args.to.name))
    return 0


def report_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard report`."""
    parser.add_argument("--task", required=True, metavar="NAME", help="a task of the leaderboard")
    parser.add_argument("--model", required=True, metavar="NAME", help="the model's name")
    parser.add_argument(
        "--score", action="append", default=[], metavar="KIND:MEASURE=VALUE",
        help="a published figure of a kind of setting, or of a direction of the task, such as "
        "monolingual:AP=0.79 or text-to-image:Success@1=0.58; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--rank-distance", type=float, metavar="VALUE", help="the published rank distance"
    )
    parser.add_argument(
        "--parameters", type=positive, metavar="N", help="the model's number of parameters"
    )
    parser.add_argument(
        "--dimension", type=positive, metavar="N", help="the dimension of its vectors"
    )
    parser.add_argument(
        "--citation",
        required=True,
        metavar="TEXT",
        help="the publication that the figures are from",
    )
    shared(parser, "--to")
    declared_arguments(parser)


def report(args: Namespace) -> int:
    """Write an entry with the figures of a publication."""
    if not args.score:
        expected = "a published figure, such as --score monolingual:AP=0.79"
        raise UsageError(Fault("--score", "not given", expected))
    figures: dict[str, dict[str, Score]] = {}
    for text in args.score:
        match = FIGURE.fullmatch(text)
        if match is None:
            expected = (
                "KIND:MEASURE=VALUE, such as monolingual:AP=0.79, or with a direction in place of "
                "the kind, such as text-to-image:Success@1=0.58"
            )
            raise UsageError(Fault("--score", repr(text), expected))
        over, name, value = match.groups()
        if name in figures.get(over, {}):
            raise UsageError(Fault("--score", f"{over}:{name} given twice", "each figure once"))
        figures.setdefault(over, {})[name] = Score(float(value))
    distance = None if args.rank_distance is None else Score(args.rank_distance)
    by = declared(args)
    if by.link is None:
        raise UsageError(Fault("--link", "not given", "where the figures are published (https)"))
    model = ModelInfo(args.model, parameters=args.parameters, dimension=args.dimension)
    by = replace(by, source=Source(args.citation, by.link))
    done = reported(args.to, args.task, model, figures, distance, by)
    print_submitted(done)
    return 0


def withdraw_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard withdraw`."""
    shared(parser, "entry")
    parser.add_argument("--by", required=True, metavar="NAME", help="who withdraws the entry")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why it is withdrawn")


def withdraw(args: Namespace) -> int:
    """Take an entry back."""
    print(f"written: {mark(args.entry, args.by, args.reason, today())}")
    return 0


def lift_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard lift`."""
    shared(parser, "entry")
    parser.add_argument("--by", required=True, metavar="NAME", help="who lifts the dispute")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why it is settled")


def lift(args: Namespace) -> int:
    """End the disputes of an entry."""
    print(f"written: {end_disputes(args.entry, args.by, args.reason, today())}")
    return 0


def add_task_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard add-task`."""
    parser.add_argument(
        "report", type=Path, metavar="REPORT", help="the folder of a report that you made yourself"
    )
    shared(parser, "--to")


def add_task(args: Namespace) -> int:
    """Take a report's task into the leaderboard."""
    report = read_report(args.report)
    print(f"written: {write_task(report, report.table, args.to)}")
    return 0


def record_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `leaderboard record`."""
    shared(parser, "entry")
    parser.add_argument("--level", required=True, choices=RECORDED, help="the level of trust")
    parser.add_argument(
        "--by", required=True, metavar="NAME", help="who verified or disputes the entry"
    )
    parser.add_argument(
        "--evidence", type=Path, metavar="FILE",
        help="the output of `mlbench verify --json`; required for sampled and reproduced",
    )  # fmt: skip
    shared(parser, "--note")


def record(args: Namespace) -> int:
    """Record what was verified of an entry."""
    level = Level(args.level)
    path = write_record(args.entry, level, args.by, args.evidence, args.note, today())
    print(f"written: {path}")
    return 0
