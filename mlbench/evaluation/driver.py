"""The driver of a pass: scan, encode the core, count shard after shard, and keep what is done.

After each shard the sum is written down, so whatever ends a run costs one shard at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import Fault, UsageError
from mlbench.common.hardware import peak_memory
from mlbench.common.progress import Step
from mlbench.common.streams import stdout_to_stderr
from mlbench.data.absent import absent_warnings
from mlbench.data.corpus import ShardSource, StreamedCollection, without_absent
from mlbench.evaluation.core import Core, CoreVectors, Prepared, ShardCounts, prepare
from mlbench.evaluation.describing import (
    chosen_measures,
    describe_model,
    describe_run,
    describe_task,
    model_facts,
    truncated,
)
from mlbench.evaluation.options import Options
from mlbench.evaluation.partial import (
    VECTORS,
    WHOLE,
    Draft,
    Partial,
    PartOfShards,
    ShardRow,
    State,
    check_identity,
    empty_counts,
    identity_of,
    write_partial,
)
from mlbench.evaluation.pipeline import Progress, count_shards
from mlbench.evaluation.saving_vectors import SavedFiles, open_saved, save_queries
from mlbench.evaluation.scan import Scan, cost, scan
from mlbench.evaluation.trained_on import training_warnings
from mlbench.models.encoding import confirm
from mlbench.models.protocol import Fitted
from mlbench.reports.provenance import TaskInfo

if TYPE_CHECKING:
    from mlbench.data.task import Task
    from mlbench.models.encoding import Embedded
    from mlbench.models.registry import LoadedModel


class Engine(Protocol):
    """Something that counts shards: here, in other processes, on other machines."""

    def __call__(
        self, prepared: Prepared, shards: Sequence[ShardSource], progress: Progress
    ) -> Iterator[ShardCounts]:
        """Yield the counts of every shard once, in any order, as they are done; ``progress`` is
        told of passages counted."""


def local_engine(model: LoadedModel) -> Engine:
    """Return the engine of one process."""
    return lambda prepared, shards, progress: count_shards(prepared, model, shards, progress)


@dataclass(frozen=True)
class Pass:
    """How a pass is made.

    ``work`` is the folder of its state, ``scans`` that of what is known of shards. ``load`` are
    the options the model was loaded with; ``engine`` is this process if None. With ``strict``, a
    judged passage that is in no shard is a fault. ``approve`` is told what the task is before
    anything is encoded, and may refuse.
    """

    work: Path
    scans: Path
    part: PartOfShards = WHOLE
    keep: Path | None = None
    overwrite: bool = False
    strict: bool = False
    engine: Engine | None = None
    load: Mapping[str, Any] = field(default_factory=dict)
    approve: Callable[[TaskInfo], None] = lambda info: None

    @property
    def file(self) -> Path:
        """Where the partial result is."""
        return self.work / self.part.file


@dataclass(frozen=True)
class Ready:
    """A pass that may begin: what is counted so far, and what counting needs."""

    partial: Partial
    prepared: Prepared
    core: Core
    embedded: Embedded


def stream(
    task: Task, collection: StreamedCollection, model: LoadedModel, options: Options, how: Pass
) -> Partial:
    """Count one part of a collection, going on where an earlier run stopped; see ``counted``."""
    return counted(task, collection, model, options, how).partial


def counted(
    task: Task, collection: StreamedCollection, model: LoadedModel, options: Options, how: Pass
) -> Ready:
    """Count one part of a collection, going on where an earlier run stopped: the pass when it is
    over. With a reranker, the first passages of every query are found, too.

    Raises UsageError for a model that must see the whole collection or a state that belongs to
    another run, DataError for a faulty corpus, ModelError where the model fails, IntegrityError
    where data has changed or a file is damaged, EnvironmentFault where disk or memory are short.
    """
    if isinstance(model.adapter, Fitted):
        found = "has fit, which must read the whole collection first, so it cannot be streamed"
        raise UsageError(Fault(f"model {model.spec}", found, "a model without fit"))
    ready = make_ready(task, collection, model, options, how)
    shards = {shard.name: shard.passages for shard in ready.partial.shards}
    mine = how.part.share(shards)
    done = ready.partial.done
    todo = [s for s in collection.shards if s.name in mine and s.name not in done]
    prepared, saved = ready.prepared, None
    if how.keep is not None:
        saved = open_saved(how.keep, model, ready.partial, anew=how.overwrite)
        save_queries(saved, ready.core.collection, ready.embedded.queries)
        prepared = replace(prepared, keep=how.keep)
    write_partial(how.file, ready.partial)
    engine = how.engine or local_engine(model)
    total = sum(shards[shard.name] for shard in todo)
    with (
        stdout_to_stderr,
        Step(f"{task.name}: streaming", total, "passages", quiet=not options.progress) as step,
    ):
        step.say(f"{len(done)} of {plural(len(mine), 'shard')} before")
        try:
            for counts in engine(prepared, todo, step.advance):
                confirm(model)
                _take(ready.partial, counts, saved, how.file)
                step.say(f"{len(done)} of {plural(len(mine), 'shard')}, last {counts.name}")
        except BaseException as error:
            error.add_note(
                f"{len(done):,} of {plural(len(mine), 'shard')} "
                f"{agreeing(len(done), 'is', 'are')} counted; the same command goes on "
                "from there"
            )
            raise
    return ready


def make_ready(
    task: Task, collection: StreamedCollection, model: LoadedModel, options: Options, how: Pass
) -> Ready:
    """Scan, find out what is done, and encode the core."""
    costs = sum(map(cost, collection.shards))
    with Step(f"{task.name}: scanning", costs, "bytes", quiet=not options.progress) as step:
        scanned = scan(collection, how.scans, options.limits.threads, step.advance)
    collection = without_absent(collection, scanned.present)
    if how.strict and collection.absent is not None:
        collection.absent.refuse()
    core = Core.of(collection, scanned)
    info = replace(
        describe_task(task, core.collection),
        digest=scanned.digest(collection),
        queries=dict(zip(collection.languages, core.judged.tolist(), strict=True)),
        passages=dict(zip(collection.languages, scanned.passages.tolist(), strict=True)),
    )
    how.approve(info)
    shards = _rows(scanned)
    depth = 0 if options.rerank is None else options.reranked_to
    identity = identity_of(info, shards, model, depth)
    state = State(how.work, identity, shards, how.overwrite)
    partial = state.partial(how.part)
    embedded, seconds = state.embedded(task.name, core, model, options)
    vectors = CoreVectors(embedded.queries, embedded.passages)
    identity = {**state.identity, VECTORS: vectors.digest}
    if partial is not None and not how.overwrite:
        check_identity(how.file, partial.identity, identity)
    frame, prepared = prepare(core, scanned, vectors, model, options.limits, how.load, depth)
    draft = _draft(task, info, core, model, options, embedded)
    draft = replace(draft, warnings=(*absent_warnings(collection), *draft.warnings))
    if partial is None or partial.identity != identity:
        took = {"scanning": step.seconds, "encoding": seconds}
        draft = _with_seconds(draft, {name: round(s, 3) for name, s in took.items()})
        partial = Partial(identity, shards, {}, draft, empty_counts(frame))
    else:
        partial.draft = _with_seconds(draft, partial.draft.run.seconds)
    return Ready(partial, prepared, core, embedded)


def _rows(scanned: Scan) -> tuple[ShardRow, ...]:
    return tuple(ShardRow(s.name, s.language, s.passages, s.content) for s in scanned.shards)


def _draft(
    task: Task, info: TaskInfo, core: Core, model: LoadedModel, options: Options, embedded: Embedded
) -> Draft:
    """Describe the run, as far as it is known before a shard was counted."""
    facts = model_facts(model)
    run = describe_run(core.collection, embedded, options, facts)
    measures = chosen_measures(task, options.measures)
    return Draft(
        task=info,
        model=describe_model(model, core.collection, embedded, facts),
        run=replace(run, truncated=truncated(model, core.collection, options.cache)),
        warnings=(*training_warnings(model, task, info.languages), *embedded.warnings),
        measures=tuple(measure.name for measure in measures),
    )


def _with_seconds(draft: Draft, seconds: Mapping[str, float]) -> Draft:
    return replace(draft, run=replace(draft.run, seconds=dict(seconds)))


def _take(partial: Partial, counts: ShardCounts, saved: SavedFiles | None, path: Path) -> None:
    """Add a shard and write all down; its vectors first, so that none is missing of what is."""
    if saved is not None:
        saved.add(counts.saved)
        saved.write()
    partial.add(counts)
    run = partial.draft.run
    peak = max(filter(None, (run.peak_memory, peak_memory())), default=None)
    partial.draft = replace(partial.draft, run=replace(run, peak_memory=peak))
    write_partial(path, partial)
