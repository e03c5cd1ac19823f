"""The evaluation of a streamed task: its shards counted, and where the state of a run is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.common.files import cache_folder, slug
from mlbench.data.corpus import StreamedCollection
from mlbench.data.task import Task
from mlbench.evaluation.options import Options
from mlbench.evaluation.rerankers import as_reranked
from mlbench.models.registry import LoadedModel
from mlbench.reports.report import Report

if TYPE_CHECKING:
    from mlbench.evaluation.driver import Engine, Pass, Ready


STATE = "partial"
"""Folder beside a report where the state of its run is kept."""


def evaluate_streamed(
    task: Task, collection: StreamedCollection, model: LoadedModel, options: Options
) -> Report:
    """Count all shards, and score what was counted."""
    from mlbench.evaluation.results import finish

    ready = count_shards(task, collection, model, options)
    report = finish(ready.partial, command=options.command, quiet=not options.progress)
    if options.rerank is None:
        return report
    from mlbench.evaluation.reranked_stream import rerank_streamed

    return rerank_streamed(report, ready, collection, options)


def count_shards(
    task: Task, collection: StreamedCollection, model: LoadedModel, options: Options
) -> Ready:
    """Count the shards that are asked for; what is done already is kept and not counted again."""
    from mlbench.evaluation.driver import counted

    return counted(task, collection, model, options, pass_of(task, model, options))


def pass_of(task: Task, model: LoadedModel, options: Options) -> Pass:
    """Return how the shards are gone through, and where what is done is kept."""
    from mlbench.evaluation.driver import Pass

    place = Path(slug(as_reranked(model, options).name), slug(task.name))
    how, own = options.streaming, options.folder
    state = own / STATE if own else cache_folder() / STATE / place
    return Pass(
        work=how.work.absolute() / place if how.work else state,
        scans=(how.work.absolute() if how.work else cache_folder()) / "scans",
        part=options.part,
        keep=how.keep_embeddings.absolute() / place if how.keep_embeddings else None,
        overwrite=options.overwrite,
        strict=options.strict,
        engine=_engine(model, options),
        load={**options.model_options, **getattr(model.adapter, "granted_options", {})},
        approve=options.approve,
    )


def _engine(model: LoadedModel, options: Options) -> Engine | None:
    if options.streaming.engine != "ray":
        return None
    from mlbench.evaluation.ray_engine import RayEngine

    return RayEngine(model, options.streaming.address, options.streaming.workers)


def discard_state(task: Task, model: LoadedModel, options: Options) -> None:
    """Remove what a streamed run keeps of what is done, but not that of its parts.

    ``evaluate`` does so itself unless ``options.folder`` is given: then the report is written
    first, so that nothing is lost where that fails.
    """
    from mlbench.evaluation.partial import CORE_FILE, SUFFIX, WHOLE

    work = pass_of(task, model, options).work
    _remove(work, WHOLE.file)
    if not any(work.glob(f"*{SUFFIX}")):
        _remove(work, CORE_FILE)
        if work.is_dir() and not any(work.iterdir()):
            work.rmdir()


def _remove(work: Path, name: str) -> None:
    """Remove a file and what was left, by a lock or by a run that was killed, beside it."""
    for path in (work / name, *work.glob(f".{name}.*")):
        path.unlink(missing_ok=True)
