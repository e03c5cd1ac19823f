"""``mlbench run``: models evaluated on tasks, and their reports written and printed."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.commands.options import add_model_options, model_options, positive, shared, size
from mlbench.commands.output import (
    ROOM_FOR_A_REPORT,
    plain_table,
    print_json,
    print_report,
    refuse_other_configuration,
    refuse_other_data,
    shown,
    summary,
)
from mlbench.commands.stream import is_streamed, plan_rows, run_streamed
from mlbench.common.errors import Fault, UsageError
from mlbench.common.files import check_writable, slug

if TYPE_CHECKING:
    from mlbench.data.collection import Collection
    from mlbench.data.locator import Locator
    from mlbench.data.task import Task
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
    shared(parser, "--data-dir", "--offline")
    shared(
        parser, "--output", help="where reports go, as FOLDER/<model>/<task> (default: %(default)s)"
    )
    shared(parser, "--overwrite", "--no-cache", "--measure")
    parser.add_argument(
        "--sample-questions", type=positive, metavar="N", dest="sample",
        help="a quick check: N questions, the same for every model, and all passages",
    )  # fmt: skip
    shared(parser, "--threads")
    parser.add_argument(
        "--memory", type=size, default="256M", metavar="SIZE",
        help="memory for scoring beside texts and vectors (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--save-run", type=positive, metavar="K",
        help="write the first K passages of every query as TREC runs, for other tools",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true",
        help="a judged passage that is missing from the corpus is a fault (exit code 3)",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be encoded, and stop"
    )
    shared(parser, "--verbose", "--json", "--quiet")
    _streaming_arguments(parser)
    add_model_options(parser)


def part(text: str) -> tuple[int, int]:
    """Parse ``i/n``, 1 <= i <= n."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 1/4")
    return int(match[1]), int(match[2])


def _streaming_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options of large collections (see docs/streaming.md)")
    group.add_argument(
        "--stream", action="store_true",
        help="read passages shard by shard and hold none of them (tasks in shards always are)",
    )  # fmt: skip
    group.add_argument(
        "--shard", type=part, metavar="I/N",
        help="count the I-th of N parts of the shards, from 1, and leave the rest to other runs; "
        "`mlbench merge` adds them up",
    )  # fmt: skip
    group.add_argument(
        "--work", type=Path, metavar="FOLDER",
        help="where a streamed run keeps what it has done (default: beside its report)",
    )  # fmt: skip
    group.add_argument(
        "--keep-embeddings", type=Path, metavar="FOLDER",
        help="keep all vectors, in float16, as FOLDER/<model>/<task> (a model for precomputed:)",
    )  # fmt: skip
    group.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="count shards in this process, or on a Ray cluster (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--address", metavar="ADDRESS",
        help="the Ray cluster to join (default: one on this machine that ends with the run)",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=positive, metavar="N",
        help="Ray workers, each with the model (default: one a GPU, else one a processor)",
    )  # fmt: skip


def run(args: Namespace) -> int:
    """Evaluate a model on tasks and write their reports."""
    from mlbench.data.catalog import DEFAULT_SUITE
    from mlbench.data.locator import Locator
    from mlbench.data.readers import load_collection
    from mlbench.data.sampling import sample_questions
    from mlbench.evaluation.evaluate import chosen_measures, describe_task
    from mlbench.models.cache import open_cache
    from mlbench.models.inputs import learns
    from mlbench.models.registry import load_adapter

    tasks = _find_tasks(args.task or DEFAULT_SUITE)
    measures = {
        task.name: tuple(m.name for m in chosen_measures(task, args.measure)) for task in tasks
    }
    locator = Locator(args.data_dir and args.data_dir.absolute(), args.offline)
    output = args.output.absolute()  # whatever folder the model's code may change to
    options = model_options(args)
    args.cache = None if args.no_cache else open_cache()
    model = load_adapter(args.model, options, args.cache)
    if args.dry_run:
        return _dry_run(tasks, locator, args)
    folders = {task.name: output / slug(model.name) / slug(task.name) for task in tasks}
    for task in tasks:
        check_writable(folders[task.name], ROOM_FOR_A_REPORT)
        refuse_other_configuration(folders[task.name], task, model, measures[task.name], args)
    sources = {task.name: locator.of(task) for task in tasks if not is_streamed(task, args)}
    results: list[dict[str, Any]] = []
    for number, task in enumerate(tasks):
        folder = folders[task.name]
        if number and learns(model.adapter):
            model = load_adapter(args.model, options, args.cache)
        if task.name not in sources:
            results.append(run_streamed(task, locator, model, folder, args))
            continue
        collection = sample_questions(
            load_collection(task, sources[task.name], strict=args.strict), args.sample
        )
        refuse_other_data(folder, describe_task(task, collection), args)
        report = _evaluate(task, collection, model, folder, args)
        results.append({"folder": str(shown(folder, args))} | summary(report))
    if args.json:
        print_json(results)
    return 0


def _find_tasks(names: Iterable[str]) -> list[Task]:
    """Find the tasks of a run; two of one name would write one report."""
    from mlbench.evaluation.tasks import load_task

    found: dict[str, Task] = {}
    for task in map(load_task, dict.fromkeys(names)):
        first = found.setdefault(task.name, task)
        if first.path.resolve() != task.path.resolve():
            clash = f"two tasks are called {task.name!r}: {first.path} and {task.path}"
            raise UsageError(Fault("--task", clash, "a name of its own for each task"))
    return list(found.values())


def _evaluate(
    task: Task, collection: Collection, model: LoadedModel, folder: Path, args: Namespace
) -> Report:
    from mlbench.evaluation.evaluate import Options, evaluate
    from mlbench.ranking.products import Limits
    from mlbench.reports.page import report_pages
    from mlbench.reports.report import write_report
    from mlbench.runs.writing import Saving, discard_runs

    tag = f"{slug(model.name)}.top{args.save_run}"
    options = Options(
        measures=tuple(args.measure),
        limits=Limits(args.threads, args.memory, device="auto"),
        command=args.command_line,
        quiet=args.quiet,
        cache=args.cache,
        saving=Saving(folder, args.save_run, tag) if args.save_run else None,
    )
    report, ranks = evaluate(task, collection, model, options)
    if options.saving is None:
        discard_runs(folder)
    write_report(folder, report, ranks, report_pages(report, ranks, args.cache))
    print_report(report, shown(folder, args), args)
    return report


def _dry_run(tasks: list[Task], locator: Locator, args: Namespace) -> int:
    from mlbench.data.readers import load_collection
    from mlbench.data.sampling import sample_questions
    from mlbench.models.encoding import Plan

    rows: list[dict[str, Any]] = []
    for task in tasks:
        if is_streamed(task, args):
            rows += plan_rows(task, locator)
            continue
        data = load_collection(task, locator.of(task), strict=args.strict)
        plan = Plan.of(sample_questions(data, args.sample))
        for role, groups in (("query", plan.queries), ("passage", plan.passages)):
            rows += [
                {
                    "task": task.name,
                    "role": role,
                    "language": group.language,
                    "texts": len(group.entry),
                    "distinct": len(group.texts),
                    "characters": sum(map(len, group.texts)),
                }
                for group in groups
            ]
    if args.json:
        print_json({"model": args.model, "encode": rows})
        return 0
    cells = [["-" if value is None else value for value in row.values()] for row in rows]
    print(plain_table([*map(str, rows[0])], cells))
    settings = ", ".join(f"{len(task.settings())} settings of {task.name}" for task in tasks)
    total = sum(row["distinct"] or 0 for row in rows)
    unknown = any(row["distinct"] is None for row in rows)
    more = " and the passages of all shards" if unknown else ""
    print(f"\n{args.model} would encode {total:,} texts{more}, each once, for {settings}")
    return 0
