"""``mlbench score``: run files from elsewhere, scored and written as a report."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from mlbench.commands.options import shared
from mlbench.commands.output import ROOM_FOR_A_REPORT, print_json, print_report, summary
from mlbench.common.files import check_writable, slug
from mlbench.common.progress import Step
from mlbench.data.absent import absent_warnings
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sources import in_shards
from mlbench.data.task import Task
from mlbench.evaluation.describing import chosen_measures, describe_task
from mlbench.evaluation.tasks import load_task
from mlbench.reports.report import TaskInfo
from mlbench.reports.subset import choose_languages, cut_task, refuse_other_report
from mlbench.runs.judgements import describe_judgements
from mlbench.runs.matching import Targets
from mlbench.runs.reading import find_runs
from mlbench.runs.scoring import (
    About,
    Read,
    read_runs,
    runs_report,
    score_read,
)


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `score`."""
    shared(parser, "--task", required=True)
    parser.add_argument(
        "--run", action="append", required=True, metavar="FILE",
        help="a run file, or a pattern in which {query_language} stands for a language, and "
        "{passage_language} for a language or multilingual; may be repeated (see docs/runs.md)",
    )  # fmt: skip
    parser.add_argument(
        "--pool", action="append", default=[], metavar="POOL",
        help="which passages the queries search if the file's name does not say so: monolingual "
        "(those in their own language), multilingual (all), crosslingual (those of each language "
        "by themselves) or a language; once, or once for each --run",
    )  # fmt: skip
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="the model's name in the report (default: the tag of the runs)",
    )
    shared(parser, "--languages", "--measure")
    parser.add_argument(
        "--allow-unknown", action="store_true",
        help="leave out unknown queries, treat unknown passages as not relevant, and report how "
        "many there are (default: refuse the file)",
    )  # fmt: skip
    shared(parser, "--data-dir", "--offline", "--output")
    shared(parser, "--overwrite", help="replace a report of other runs")
    shared(parser, "--verbose", "--json", "--quiet")


def score(args: Namespace) -> int:
    """Score run files on a task and write the report."""
    task = load_task(args.task)
    measures = chosen_measures(task, args.measure)
    languages = task.languages
    if args.languages is not None:
        languages = choose_languages(
            args.languages, task.languages, "--languages", task.language_sets, roles=task.roles
        )
    given = find_runs(args.run, args.pool, task.roles)
    with Step(f"{task.name}: reading", len(given) + 1, "file", quiet=args.quiet) as reading:
        info, targets, warnings = _targets(task, args)
        reading.advance(1)
        read = read_runs(
            given, targets, languages, allow_unknown=args.allow_unknown, advance=reading.advance
        )
    if languages != task.languages:
        inside = read.rankings.chosen
        info = cut_task(info, languages, len(targets.pairs_in(inside, inside)))
    with Step(f"{task.name}: measuring", 1, "report", quiet=args.quiet) as measuring:
        scored = score_read(read, task.roles.only(languages), task.kinds, measures)
    about = About(
        name=args.name or _name(read, args.run[0]),
        runs=tuple(args.run),
        measures=measures,
        command=args.command_line,
        seconds={"reading": round(reading.seconds, 3), "measuring": round(measuring.seconds, 3)},
    )
    report = runs_report(read, scored, given, info, about)
    report = replace(report, warnings=(*warnings, *report.warnings))
    folder = args.output / slug(about.name) / slug(task.name)
    check_writable(folder, ROOM_FOR_A_REPORT)
    if not args.overwrite:
        refuse_other_report(folder, report)
    report.save(folder)
    print_report(report, folder, args)
    if args.json:
        print_json({"folder": str(folder)} | summary(report))
    return 0


def _targets(task: Task, args: Namespace) -> tuple[TaskInfo, Targets, tuple[str, ...]]:
    """Return what the report says of a task, what runs are held against, and warnings.

    Of a task whose passages come in shards none is read: its digest is over the judgements alone.
    """
    locator = Locator(args.data_dir, args.offline)
    if in_shards(task):
        streamed = stream_collection(task, locator, absent=True)
        return describe_judgements(task, streamed), Targets.of_judgements(streamed), ()
    collection = read_collection(task, locator.of(task))
    return describe_task(task, collection), Targets.of(collection), absent_warnings(collection)


def _name(read: Read, path: str) -> str:
    """Return the tag that all runs have, else the name of the first one's file."""
    if len(read.tags) == 1 and read.tags[0]:
        return read.tags[0]
    stem = re.sub(r"\{\w*\}", "", Path(path).name.split(".")[0]).strip("-_ ")
    return stem or "run"
