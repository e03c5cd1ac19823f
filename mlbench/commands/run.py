"""``mlbench run``: models evaluated on tasks, and their reports written and printed."""

from __future__ import annotations

import argparse
import shlex
import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.commands.options import (
    add_model_options,
    add_reranking,
    model_options,
    part,
    positive,
    shared,
    size,
)
from mlbench.commands.output import (
    ROOM_FOR_A_REPORT,
    WIDTH,
    plain_table,
    print_json,
    print_report,
    refuse_other_configuration,
    refuse_other_data,
    show_suite,
    summary,
)
from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.common.files import check_writable, slug, without_empty_folders
from mlbench.common.progress import Step

if TYPE_CHECKING:
    from mlbench.common.errors import MlbenchError
    from mlbench.data.suite import Suite
    from mlbench.data.task import Task
    from mlbench.evaluation.options import Options
    from mlbench.evaluation.partial import Partial
    from mlbench.models.registry import LoadedModel
    from mlbench.reports.report import Report


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    shared(parser, "--model", required=True)
    shared(
        parser, "--task", action="append",
        help="a task's name or file, or ir_datasets:ID; may be repeated "
        "(default: xquad-r and mlqa-r)",
    )  # fmt: skip
    parser.add_argument(
        "--suite", metavar="SUITE",
        help="a suite's name or file instead of tasks: evaluate all its tasks, and write a page "
        "over them to FOLDER/<model>/suites/<suite>",
    )  # fmt: skip
    shared(parser, "--data-dir", "--offline")
    shared(parser, "--output", help="write reports to FOLDER/<model>/<task> (default: %(default)s)")
    shared(parser, "--overwrite", "--no-cache", "--measure")
    parser.add_argument(
        "--sample-questions", type=positive, metavar="N", dest="sample",
        help="use only N questions for a quick check, the same for every model, with all passages",
    )  # fmt: skip
    parser.add_argument(
        "--sample-passages", type=positive, metavar="N",
        help="search only the judged passages and N others of each language, for a quick look",
    )  # fmt: skip
    parser.add_argument(
        "--max-seconds", type=positive, metavar="N",
        help="draw questions and passages so that encoding takes no longer than N seconds",
    )  # fmt: skip
    shared(parser, "--languages")
    parser.add_argument(
        "--quantize", type=formats, default=(), metavar="FORMATS",
        help="also score the vectors with fewer bits a coordinate: int8, binary, or int8,binary "
        "(see docs/compression.md)",
    )  # fmt: skip
    parser.add_argument(
        "--truncate-dim", type=dimensions, default=(), metavar="N[,N...]",
        help="also score the first N dimensions of the vectors (Matryoshka), such as 256,128,64; "
        "with --quantize in every combination",
    )  # fmt: skip
    shared(parser, "--threads")
    parser.add_argument(
        "--memory", type=size, default="256M", metavar="SIZE",
        help="memory for scoring, in addition to texts and vectors (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--save-run", type=positive, metavar="K",
        help="also write the top K passages of every query as TREC runs for other tools",
    )  # fmt: skip
    shared(parser, "--strict")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be encoded, and stop"
    )
    shared(parser, "--verbose", "--json", "--quiet")
    add_reranking(parser)
    _streaming_arguments(parser)
    add_model_options(parser, without=("truncate_dim",))


def formats(text: str) -> tuple[str, ...]:
    """Parse number formats such as ``int8,binary``."""
    names = tuple(part.strip() for part in text.split(","))
    if not {*names} <= {"int8", "binary"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not int8, binary or int8,binary")
    return names


def dimensions(text: str) -> tuple[int, ...]:
    """Parse numbers of dimensions such as ``256,128,64``."""
    return tuple(positive(part.strip()) for part in text.split(","))


def _streaming_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options of large collections (see docs/streaming.md)")
    group.add_argument(
        "--stream", action="store_true",
        help="read passages shard by shard, in constant memory (always so for tasks in shards)",
    )  # fmt: skip
    group.add_argument(
        "--shard", type=part, metavar="I/N",
        help="evaluate only part I of N of the shards, counted from 1; other runs do the rest, and "
        "`mlbench merge` adds the parts up",
    )  # fmt: skip
    group.add_argument(
        "--work", type=Path, metavar="FOLDER",
        help="where a streamed run keeps its partial results (default: beside its report)",
    )  # fmt: skip
    group.add_argument(
        "--keep-embeddings", type=Path, metavar="FOLDER",
        help="save all vectors in float16 in FOLDER/<model>/<task>, for --model precomputed:",
    )  # fmt: skip
    group.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="work in this process, or on a Ray cluster (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--address", metavar="ADDRESS",
        help="the Ray cluster to join (default: start one on this machine for the run)",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=positive, metavar="N",
        help="number of Ray workers, each with the model (default: one for each GPU, or for each "
        "processor if there is no GPU)",
    )  # fmt: skip


def run(args: Namespace) -> int:
    """Evaluate a model on tasks and write their reports."""
    from mlbench.evaluation.describing import chosen_measures
    from mlbench.evaluation.loading import find_data
    from mlbench.evaluation.rerankers import as_reranked, with_reranker
    from mlbench.models.inputs import about_keeping
    from mlbench.models.objects import load_model
    from mlbench.models.registry import OF_USERS

    suite, wanted = _chosen(args)
    tasks = [task for task, _ in wanted]
    measures = {task.name: names for task, names in wanted}
    output = args.output.absolute()  # whatever folder the model's code may change to
    options = evaluation_options(args)
    if args.dry_run:
        return _dry_run(tasks, options, args)
    with Step("loading the model", 1, "model", quiet=args.quiet, brief=True):
        model = load_model(args.model, options.model_options, options.cache)
        options = with_reranker(options)
    known = as_reranked(model, options)
    if options.cache and model.kind in OF_USERS and not args.quiet:
        print(f"{model.name}: {about_keeping(model)}", file=sys.stderr)
    places = {task.name: _place(Path(slug(known.name)), task, options) for task in tasks}
    folders = {name: output / place for name, place in places.items()}
    with without_empty_folders(folders.values()):
        for task in tasks:
            check_writable(folders[task.name], ROOM_FOR_A_REPORT)
            names = tuple(m.name for m in chosen_measures(task, measures[task.name]))
            refuse_other_configuration(folders[task.name], task, known, names, args)
        if suite is None:
            find_data(tasks, options)
        runs = {
            task.name: _Run(
                task,
                replace(options, measures=measures[task.name]),
                folders[task.name],
                args.output / places[task.name],
            )
            for task in tasks
        }
        if suite is not None:
            return _run_suite(suite, model, runs, args)
        results = [_run_task(each, model, args)[0] for model, each in _loaded(model, runs)]
    if args.json:
        print_json(results)
    return 0


def _place(of_model: Path, task: Task, options: Options) -> Path:
    """Return where the report on a task goes; one on some of its languages has its own folder."""
    from mlbench.evaluation.choices import chosen_languages
    from mlbench.reports.subset import subset_folder

    whole, languages = of_model / slug(task.name), chosen_languages(task, options)
    if len(languages) == len(task.languages):
        return whole
    return subset_folder(whole, languages, task.language_sets)


def evaluation_options(args: Namespace) -> Options:
    """Return the options of an evaluation that were given on the command line."""
    from mlbench.evaluation.options import Options, Streaming
    from mlbench.evaluation.partial import PartOfShards
    from mlbench.models.cache import open_cache

    return Options(
        measures=tuple(args.measure),
        data_dir=args.data_dir and args.data_dir.absolute(),
        offline=args.offline,
        model_options=model_options(args),
        cache=None if args.no_cache else open_cache(),
        threads=args.threads,
        memory=args.memory,
        sample_questions=args.sample,
        sample_passages=args.sample_passages,
        languages=args.languages,
        max_seconds=args.max_seconds,
        quantize=args.quantize,
        truncate_dim=args.truncate_dim,
        rerank=args.rerank,
        depth=args.depth,
        strict=args.strict,
        progress=not args.quiet,
        save_run=args.save_run,
        streaming=Streaming(
            always=args.stream,
            part=args.shard and PartOfShards(*args.shard),
            work=args.work and args.work.absolute(),
            keep_embeddings=args.keep_embeddings and args.keep_embeddings.absolute(),
            engine=args.engine,
            address=args.address,
            workers=args.workers,
        ),
        overwrite=args.overwrite,
        command=args.command_line,
    )


@dataclass(frozen=True)
class _Run:
    """A task to be evaluated, how, and its report's folder, also as the user named it."""

    task: Task
    options: Options
    folder: Path
    shown: Path


def _chosen(args: Namespace) -> tuple[Suite | None, list[tuple[Task, tuple[str, ...]]]]:
    """Return the suite that was asked for, if one was, and the tasks, each with its measures."""
    from mlbench.data.catalog import DEFAULT_TASKS
    from mlbench.evaluation.evaluate_suite import suite_measures
    from mlbench.evaluation.suites import load_suite

    if args.suite is None:
        return None, [(t, tuple(args.measure)) for t in _find_tasks(args.task or DEFAULT_TASKS)]
    others = {"--task": args.task, "--shard": args.shard}
    if given := [name for name, value in others.items() if value]:
        mend = "leave --suite out, and name its tasks with --task"
        raise UsageError(Fault("--suite", f"given with {' and '.join(given)}", "one of them", mend))
    suite = load_suite(args.suite)
    return suite, [(each.task, suite_measures(each, args.measure)) for each in suite.tasks]


def _loaded(model: LoadedModel, runs: dict[str, _Run]) -> Iterator[tuple[LoadedModel, _Run]]:
    """Yield each run with the model, loaded anew where it keeps something of a collection."""
    from mlbench.evaluation.evaluate import reloaded

    for number, each in enumerate(runs.values()):
        model = reloaded(model, each.options) if number else model
        yield model, each


def _run_suite(suite: Suite, model: LoadedModel, runs: dict[str, _Run], args: Namespace) -> int:
    """Evaluate the tasks of a suite and show them together; a task that cannot be is missing.

    Returns the exit code of the first one that is.
    """
    from mlbench.evaluation.evaluate_suite import ABSENT, why_absent
    from mlbench.reports.suite_report import suite_folder, suite_report

    results: list[dict[str, Any]] = []
    reports: list[Report] = []
    absent: dict[str, MlbenchError] = {}
    for loaded, each in _loaded(model, runs):
        try:
            said, report = _run_task(each, loaded, args)
        except ABSENT as error:
            absent[each.task.name] = error
            continue
        results.append(said)
        reports += [report] if report else []
    if not reports:
        raise next(iter(absent.values()))
    made = suite_report(suite, reports, {name: why_absent(e) for name, e in absent.items()})
    place = None
    if made.reports:  # samples alone make no page, and replace none
        folder = suite_folder(Path(slug(reports[0].model.name)), suite)
        made.save(args.output.absolute() / folder)
        place = args.output / folder
    show_suite(made, place, args, results)
    for each_error in absent.values():
        print(f"mlbench: error: {each_error}", file=sys.stderr)
    return next(iter(absent.values())).exit_code if absent else 0


def _find_tasks(names: Iterable[str]) -> list[Task]:
    """Find the tasks of a run; two of one name would write one report."""
    from mlbench.evaluation.tasks import load_task

    found: dict[str, Task] = {}
    for task in map(load_task, dict.fromkeys(names)):
        first = found.setdefault(task.name, task)
        if first.path.resolve() != task.path.resolve():
            clash = f"two tasks are called {task.name!r}: {first.path} and {task.path}"
            raise UsageError(Fault("--task", clash, "a different name for each task"))
    return list(found.values())


def _run_task(
    each: _Run, model: LoadedModel, args: Namespace
) -> tuple[dict[str, Any], Report | None]:
    """Evaluate one task, or count a part of it; write and print what comes of it.

    Returns what ``--json`` prints, and the report unless a part was counted.
    """
    from mlbench.evaluation.choices import streams
    from mlbench.evaluation.evaluate import count_part, evaluate
    from mlbench.evaluation.streamed import discard_state

    task, folder = each.task, each.folder
    options = replace(
        each.options, folder=folder, approve=lambda info: refuse_other_data(folder, info, args)
    )
    if args.shard:
        return _print_part(task, *count_part(task, model, options), args), None
    report = evaluate(model, task, options)
    report.save(folder, options.cache)
    if streams(task, options):
        discard_state(task, model, options)
    print_report(report, each.shown, args)
    sys.stdout.flush()
    return {"folder": str(each.shown)} | summary(report), report


def _print_part(task: Task, partial: Partial, file: Path, args: Namespace) -> dict[str, Any]:
    """Return, and print unless JSON was asked for, what a part has done."""
    done, shards, (number, parts) = len(partial.done), len(partial.shards), args.shard
    if not args.json:
        command = shlex.join(["mlbench", "merge", str(file.parent)])
        print(
            f"{task.name}: part {number} of {parts} is done, {done} of "
            f"{plural(shards, 'shard')}:\n  {file}"
        )
        print(f"When every part is done:\n  {command}")
    return {"task": task.name, "partial": str(file), "done": done, "shards": shards}


def _dry_run(tasks: list[Task], options: Options, args: Namespace) -> int:
    from mlbench.evaluation.planning import planned_pairs, planned_texts
    from mlbench.models.registry import open_adapter

    with Step("loading the model", 1, "model", quiet=args.quiet, brief=True):
        adapter = open_adapter(args.model, options.model_options, options.cache).adapter
    rows = [row for task in tasks for row in planned_texts(task, options, adapter)]
    reranks = options.rerank is not None
    pairs = sum(planned_pairs(task, options) for task in tasks) if reranks else 0
    if args.json:
        print_json({"model": args.model, "encode": rows} | ({"pairs": pairs} if reranks else {}))
        return 0
    cells = [["-" if value is None else value for value in row.values()] for row in rows]
    print(plain_table([*map(str, rows[0])], cells))
    settings = ", ".join(
        f"{plural(len(task.settings()), 'setting')} of {task.name}" for task in tasks
    )
    images = sum(row["distinct"] for row in rows if row["role"] == "image")
    total = sum(row["distinct"] or 0 for row in rows) - images
    unknown = any(row["distinct"] is None for row in rows)
    more = " and the passages of all shards" if unknown else ""
    more += f" and {plural(images, 'image')}" if images else ""
    print(f"\n{args.model} would encode {plural(total, 'text')}{more}, each once, for {settings}")
    if reranks:
        print(f"{args.rerank} would score {plural(pairs, 'pair')} at most, of equal texts one")
    if "most_tokens" in rows[0]:
        least, most = (sum(row.get(f"{which}_tokens") or 0 for row in rows) for which in _TOKENS)
        said = (
            f"The server would be sent {least:,} to {plural(most, 'token')}{more}. This is "
            "an estimate, "
            "made from the characters: a vocabulary for many languages has about the first number, "
            "one made for English first about the second. What is in the embedding cache is not "
            "sent."
        )
        print(textwrap.fill(said, WIDTH))
    return 0


_TOKENS = ("least", "most")
