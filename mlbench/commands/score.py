"""``mlbench score``: run files from elsewhere, scored and written as a report."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlbench.commands.options import add_reranking, shared
from mlbench.commands.output import ROOM_FOR_A_REPORT, print_json, print_report, summary
from mlbench.common.errors import Fault, UsageError
from mlbench.common.files import check_writable, slug
from mlbench.common.progress import Step
from mlbench.data.absent import absent_warnings
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sources import in_shards
from mlbench.data.task import Task
from mlbench.evaluation.describing import chosen_measures, describe_task
from mlbench.evaluation.options import DEFAULT_DEPTH
from mlbench.evaluation.tasks import load_task
from mlbench.reports.provenance import TaskInfo
from mlbench.reports.subset import choose_languages, cut_task, refuse_other_report
from mlbench.runs.first_passages import FirstPassages
from mlbench.runs.judgements import describe_judgements
from mlbench.runs.matching import Targets
from mlbench.runs.patterns import find_runs
from mlbench.runs.run_reports import About, Read, read_runs, runs_report, score_read

if TYPE_CHECKING:
    from mlbench.data.collection import Collection
    from mlbench.evaluation.reranked_runs import RerankedRuns
    from mlbench.models.cache import EmbeddingCache
    from mlbench.models.reranking.protocol import Reranker
    from mlbench.reports.report import Report


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
    add_reranking(parser)
    shared(parser, "--no-cache", help="do not use the cache of the reranker's scores")
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
    reranker = _reranker(task, args)
    given = find_runs(args.run, args.pool, task.roles)
    with Step(f"{task.name}: reading", len(given) + 1, "file", quiet=args.quiet) as reading:
        held = _held(task, args)
        reading.advance(1)
        first = FirstPassages(args.depth or DEFAULT_DEPTH, held.targets) if reranker else None
        read = read_runs(
            given, held.targets, languages,
            allow_unknown=args.allow_unknown, advance=reading.advance, shown=first,
        )  # fmt: skip
    info = held.info
    if languages != task.languages:
        inside = read.rankings.chosen
        info = cut_task(info, languages, len(held.targets.pairs_in(inside, inside)))
    roles = task.roles.only(languages)
    reranked = _rerank(task, held, read, first, reranker, args)
    with Step(f"{task.name}: measuring", 1, "report", quiet=args.quiet) as measuring:
        of_runs = score_read(read, roles, task.kinds, measures)
        scored = score_read(reranked.read, roles, task.kinds, measures) if reranked else of_runs
    about = About(
        name=args.name or _name(read, args.run[0]),
        runs=tuple(args.run),
        measures=measures,
        command=args.command_line,
        seconds={"reading": round(reading.seconds, 3), "measuring": round(measuring.seconds, 3)},
    )
    report = runs_report(reranked.read if reranked else read, scored, given, info, about)
    report = replace(report, warnings=(*held.warnings, *report.warnings))
    if reranked:
        report = reranked.report(report, of_runs, roles.settings(task.kinds))
    return _write(report, task, args)


def _write(report: Report, task: Task, args: Namespace) -> int:
    folder = args.output / slug(report.model.name) / slug(task.name)
    check_writable(folder, ROOM_FOR_A_REPORT)
    if not args.overwrite:
        refuse_other_report(folder, report)
    report.save(folder)
    print_report(report, folder, args)
    if args.json:
        print_json({"folder": str(folder)} | summary(report))
    return 0


class _Held(NamedTuple):
    """What the report says of a task, what runs are held against, warnings, and the task's data,
    None where its passages come in shards: none is read then, and the digest is over the judgements
    alone."""

    info: TaskInfo
    targets: Targets
    warnings: tuple[str, ...]
    collection: Collection | None


def _held(task: Task, args: Namespace) -> _Held:
    locator = Locator(args.data_dir, args.offline)
    if in_shards(task):
        streamed = stream_collection(task, locator, absent=True)
        info = describe_judgements(task, streamed)
        return _Held(info, Targets.of_judgements(streamed), (), None)
    collection = read_collection(task, locator.of(task))
    info, warnings = describe_task(task, collection), absent_warnings(collection)
    return _Held(info, Targets.of(collection), warnings, collection)


def _reranker(task: Task, args: Namespace) -> Reranker | None:
    """Return the reranker that is asked for. Raises UsageError for what does not go with it."""
    faults = []
    if args.rerank is None:
        if args.depth is not None:
            faults.append(Fault("--depth", "given without --rerank", "both, or neither"))
    elif in_shards(task):
        expected = "a task whose passages are read, because a reranker reads their texts"
        faults.append(Fault("--rerank", f"task {task.name!r} comes in shards", expected))
    elif args.allow_unknown:
        found, expected = "given with --allow-unknown", "passages with texts, which it can read"
        faults.append(Fault("--rerank", found, expected))
    if faults:
        raise UsageError(*faults)
    if args.rerank is None:
        return None
    from mlbench.models.reranking.registry import load_reranker

    with Step("loading the reranker", 1, "model", quiet=args.quiet, brief=True):
        return load_reranker(args.rerank, offline=args.offline, cache=_cache(args))


def _cache(args: Namespace) -> EmbeddingCache | None:
    from mlbench.models.cache import open_cache

    return None if args.no_cache else open_cache()


def _rerank(
    task: Task,
    held: _Held,
    read: Read,
    first: FirstPassages | None,
    reranker: Reranker | None,
    args: Namespace,
) -> RerankedRuns | None:
    if first is None or reranker is None or held.collection is None:
        return None
    from mlbench.evaluation.reranked_runs import rerank_runs

    return rerank_runs(
        task.name, read, first, held.collection, reranker, _cache(args), quiet=args.quiet
    )


def _name(read: Read, path: str) -> str:
    """Return the tag that all runs have, else the name of the first one's file."""
    if len(read.tags) == 1 and read.tags[0]:
        return read.tags[0]
    stem = re.sub(r"\{\w*\}", "", Path(path).name.split(".")[0]).strip("-_ ")
    return stem or "run"
