"""What was chosen of a task: whether it is streamed, which languages, and where its files lie."""

from __future__ import annotations

from mlbench.common.errors import Fault, UsageError
from mlbench.data.locator import Locator
from mlbench.data.sources import in_shards
from mlbench.data.task import Task
from mlbench.evaluation.options import Options
from mlbench.reports.subset import choose_languages


def streams(task: Task, options: Options) -> bool:
    """Say whether a task is read shard by shard.

    Raises UsageError for choices that go with streamed tasks only, or with others only.
    """
    how, streamed = options.streaming, options.streaming.always or in_shards(task)
    ray = {"--address": how.address, "--workers": how.workers}
    only_streamed: dict[str, object] = {"--shard": how.part, "--work": how.work}
    only_streamed |= {"--keep-embeddings": how.keep_embeddings, "--address": how.address}
    only_streamed |= {"--engine ray": how.engine == "ray", "--workers": how.workers}
    given = [name for name, value in only_streamed.items() if value]
    if given and not streamed:
        found = f"task {task.name!r} is held in memory, not streamed"
        raise UsageError(Fault(", ".join(given), found, "a task in shards, or --stream"))
    if how.engine != "ray" and any(ray.values()):
        name = next(name for name, value in ray.items() if value)
        raise UsageError(Fault(name, "given without --engine ray", "--engine ray"))
    only_held: dict[str, object] = {"--save-run": options.save_run}
    only_held |= {"--sample-questions": options.sample_questions}
    only_held |= {"--sample-passages": options.sample_passages}
    only_held |= {"--languages": options.languages, "--max-seconds": options.max_seconds}
    only_held |= {"--quantize": options.quantize, "--truncate-dim": options.truncate_dim}
    if options.rerank is not None and how.part is not None:
        found = "given with --rerank, and parts are added up without a reranker"
        raise UsageError(Fault("--shard", found, "all shards in one run, or no reranker"))
    given = [name for name, value in only_held.items() if value]
    if given and streamed:
        found = f"task {task.name!r} is streamed"
        mend = "copy its task file and leave languages out there" if options.languages else ""
        raise UsageError(Fault(", ".join(given), found, "a task that is held in memory", mend))
    return streamed


def chosen_languages(task: Task, options: Options) -> tuple[str, ...]:
    """Return the languages that were chosen of a task's. Raises UsageError for others."""
    if options.languages is None:
        return task.languages
    given = options.languages
    text = given if isinstance(given, str) else ",".join(given)
    where = "--languages"
    known, sets = task.languages, task.language_sets
    return choose_languages(text, known, where, sets, roles=task.roles, all_of_them=True)


def locator_of(options: Options) -> Locator:
    """Return what finds the files of tasks."""
    return Locator(options.data_dir and options.data_dir.absolute(), options.offline)
