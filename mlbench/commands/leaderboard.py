"""``mlbench leaderboard``: entries checked, tasks taken in, records and withdrawals written."""

from __future__ import annotations

import json
import math
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath

from mlbench.commands.submit import declared, print_submitted, today
from mlbench.common.errors import Fault, UsageError
from mlbench.leaderboard.checking.findings import Findings, seen
from mlbench.leaderboard.entries.entry import Level, Source
from mlbench.leaderboard.entries.layout import Place, leaderboards_folder, root_of
from mlbench.measures.significance import Score
from mlbench.reports.report import ModelInfo

FIGURE = re.compile(r"([a-z]+):([^=]+)=(\d*\.?\d+)")


def leaderboard_validate(args: Namespace) -> int:
    """Check entries; print what is flagged, raise what is wrong."""
    from mlbench.leaderboard.checking.validate import Options, validate

    if args.maintainer and args.base is None:
        raise UsageError(Fault("--maintainer", "given without --base", "both, or neither"))
    if args.base is not None and not args.base.is_dir():
        expected = "the leaderboard's folder before the change"
        raise UsageError(Fault(f"--base {args.base}", "no such folder", expected))
    findings = Findings()
    checked: list[Place] = []
    day, quiet = args.today or today(), args.quiet or args.json
    for root, within in _roots(args.paths or [leaderboards_folder()]).items():
        outcome = validate(root, Options(day, within, args.base, args.maintainer, quiet))
        findings.add(outcome.findings)
        checked += outcome.entries
    error = findings.error(strict=args.strict)
    if args.json:
        return _print_json(findings, checked, error.exit_code if error else 0)
    flags = list(dict.fromkeys(map(seen, findings.flags)))
    for flag in flags:
        print(f"for review: {flag}")
    if error is not None:
        raise error
    counted = f"{len(checked)} {'entry' if len(checked) == 1 else 'entries'} checked, no fault"
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


def _print_json(findings: Findings, checked: Sequence[Place], code: int) -> int:
    table = {
        "exit_code": code,
        "checked": [str(place) for place in checked],
        "malformed": [asdict(seen(fault)) for fault in findings.malformed],
        "contradictory": [asdict(seen(fault)) for fault in findings.contradictory],
        "flags": [asdict(seen(fault)) for fault in findings.flags],
    }
    print(json.dumps(table, indent=1, ensure_ascii=False))
    return code


def leaderboard_report(args: Namespace) -> int:
    """Write an entry with the figures of a publication."""
    from mlbench.leaderboard.checking.submit import reported

    def figure(value: float) -> Score:
        return Score(value, math.nan, math.nan, math.nan)

    macro: dict[str, dict[str, Score]] = {}
    for text in args.score:
        match = FIGURE.fullmatch(text)
        if match is None:
            expected = "KIND:MEASURE=VALUE, such as monolingual:AP=0.79"
            raise UsageError(Fault("--score", repr(text), expected))
        kind, name, value = match.groups()
        if name in macro.get(kind, {}):
            raise UsageError(Fault("--score", f"{kind}:{name} given twice", "each figure once"))
        macro.setdefault(kind, {})[name] = figure(float(value))
    distance = None if args.rank_distance is None else figure(args.rank_distance)
    by = declared(args)
    if by.link is None:
        raise UsageError(Fault("--link", "not given", "where the figures are published (https)"))
    model = ModelInfo(args.model, parameters=args.parameters, dimension=args.dimension)
    by = replace(by, source=Source(args.citation, by.link))
    done = reported(args.to, args.task, model, macro, distance, by)
    print_submitted(done)
    return 0


def leaderboard_withdraw(args: Namespace) -> int:
    """Take an entry back."""
    from mlbench.leaderboard.checking.records import withdraw

    print(f"written: {withdraw(args.entry, args.by, args.reason, today())}")
    return 0


def leaderboard_add_task(args: Namespace) -> int:
    """Take a report's task into the leaderboard."""
    from mlbench.leaderboard.entries.tasks_known import add_task
    from mlbench.reports.report import read_report

    print(f"written: {add_task(*read_report(args.report), args.to)}")
    return 0


def leaderboard_record(args: Namespace) -> int:
    """Record what was verified of an entry."""
    from mlbench.leaderboard.checking.records import write_record

    level = Level(args.level)
    path = write_record(args.entry, level, args.by, args.evidence, args.note, today())
    print(f"written: {path}")
    return 0
