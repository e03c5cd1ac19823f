"""The streamed side of ``mlbench run``: a task read shard by shard, whole or in part."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.commands.options import model_options
from mlbench.commands.output import print_report, refuse_other_data, shown, summary
from mlbench.common.errors import Fault, UsageError
from mlbench.common.files import slug

if TYPE_CHECKING:
    from mlbench.data.locator import Locator
    from mlbench.data.task import Task
    from mlbench.evaluation.driver import Engine, Pass
    from mlbench.evaluation.partial import Partial
    from mlbench.models.registry import LoadedModel

STATE = "partial"
"""Folder beside a report where the state of its run is kept."""


def is_streamed(task: Task, args: Namespace) -> bool:
    """Say whether a task is read shard by shard.

    Raises UsageError for options that go with streamed tasks only, or with others only.
    """
    from mlbench.data.readers import in_shards

    streamed = args.stream or in_shards(task)
    of_streams = {"--shard": args.shard, "--work": args.work}
    of_streams |= {"--keep-embeddings": args.keep_embeddings, "--address": args.address}
    of_streams |= {"--engine ray": args.engine == "ray", "--workers": args.workers}
    given = [name for name, value in of_streams.items() if value]
    if given and not streamed:
        found = f"task {task.name!r} is read at once, not shard by shard"
        raise UsageError(Fault(", ".join(given), found, "a task in shards, or --stream"))
    if args.engine != "ray" and (args.address or args.workers):
        name = "--address" if args.address else "--workers"
        raise UsageError(Fault(name, "given without --engine ray", "--engine ray"))
    refused = {"--sample-questions": args.sample, "--save-run": args.save_run}
    given = [name for name, value in refused.items() if value]
    if given and streamed:
        found = f"task {task.name!r} is read shard by shard"
        raise UsageError(Fault(", ".join(given), found, "a task that is read at once"))
    return streamed


def run_streamed(
    task: Task, locator: Locator, model: LoadedModel, folder: Path, args: Namespace
) -> dict[str, Any]:
    """Count a task, or the part of it that was asked for, and write and print what comes of it.

    Returns what ``--json`` prints of it.
    """
    from mlbench.data.readers import stream_collection
    from mlbench.evaluation.driver import stream
    from mlbench.evaluation.evaluate import Options
    from mlbench.evaluation.results import finish
    from mlbench.ranking.products import Limits
    from mlbench.reports.page import report_pages
    from mlbench.reports.report import write_report

    options = Options(
        measures=tuple(args.measure),
        limits=Limits(args.threads, args.memory, device="auto"),
        command=args.command_line,
        quiet=args.quiet,
        cache=args.cache,
    )
    how = _how(task, model, folder, args)
    partial = stream(task, stream_collection(task, locator), model, options, how)
    if args.shard:
        return _said_of_part(task, partial, how, args)
    report, ranks = finish(partial, command=args.command_line, quiet=args.quiet)
    write_report(folder, report, ranks, report_pages(report, ranks))
    _forget(how.work)
    print_report(report, shown(folder, args), args)
    return {"folder": str(shown(folder, args))} | summary(report)


def _how(task: Task, model: LoadedModel, folder: Path, args: Namespace) -> Pass:
    """Return how the pass is to be made."""
    from mlbench.data.locator import cache_folder
    from mlbench.evaluation.driver import Pass
    from mlbench.evaluation.partial import Part

    place = Path(slug(model.name), slug(task.name))
    work, keep = args.work, args.keep_embeddings
    return Pass(
        work=work.absolute() / place if work else folder / STATE,
        scans=(work.absolute() if work else cache_folder()) / "scans",
        part=Part(*(args.shard or (1, 1))),
        keep=keep.absolute() / place if keep else None,
        overwrite=args.overwrite,
        strict=args.strict,
        engine=_engine(model, args),
        load=model_options(args),
        approve=lambda info: refuse_other_data(folder, info, args),
    )


def _engine(model: LoadedModel, args: Namespace) -> Engine | None:
    if args.engine != "ray":
        return None
    from mlbench.evaluation.ray_engine import RayEngine

    return RayEngine(model, args.address, args.workers)


def _said_of_part(task: Task, partial: Partial, how: Pass, args: Namespace) -> dict[str, Any]:
    """Return, and print unless JSON was asked for, what a part has done."""
    done, shards = len(partial.done), len(partial.shards)
    if not args.json:
        command = shlex.join(["mlbench", "merge", str(how.file.parent)])
        part = f"part {how.part.number} of {how.part.of}"
        print(f"{task.name}: {part} is done, {done} of {shards} shards:\n  {how.file}")
        print(f"When all {how.part.of} parts are done:\n  {command}")
    return {"task": task.name, "partial": str(how.file), "done": done, "shards": shards}


def _forget(work: Path) -> None:
    """Remove the state of a run whose report is written, but not that of its parts."""
    from mlbench.evaluation.partial import SUFFIX, WHOLE
    from mlbench.evaluation.state import CORE_FILE

    _remove(work, WHOLE.file)
    if not any(work.glob(f"*{SUFFIX}")):
        _remove(work, CORE_FILE)
        if not any(work.iterdir()):
            work.rmdir()


def _remove(work: Path, name: str) -> None:
    """Remove a file and what was left, by a lock or by a run that was killed, beside it."""
    for path in (work / name, *work.glob(f".{name}.*")):
        path.unlink(missing_ok=True)


def plan_rows(task: Task, locator: Locator) -> Iterator[dict[str, Any]]:
    """Yield what a streamed run would encode: a row a role and language.

    Passages are not read, so what is to be known of them is None.
    """
    from mlbench.data.readers import stream_collection

    collection = stream_collection(task, locator)
    for number, language in enumerate(collection.languages):
        texts = collection.queries.texts[collection.queries.slice(number)]
        distinct = set(texts)
        found = (len(texts), len(distinct), sum(map(len, distinct)))
        yield _row(task, "query", language, found)
    for language in collection.languages:
        yield _row(task, "passage", language, (None, None, None))


def _row(task: Task, role: str, language: str, sizes: tuple[int | None, ...]) -> dict[str, Any]:
    names = ("texts", "distinct", "characters")
    row = {"task": task.name, "role": role, "language": language}
    return row | dict(zip(names, sizes, strict=True))
