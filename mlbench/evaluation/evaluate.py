"""The one way in: a model and a task in, a report out.

The command line, the regression check, the leaderboard's verification and users' own code call it.
Whether a collection is held or streamed is decided here alone. Both stay, because a streamed one is
read twice, to scan it and to count it, and a held one once; what both do to a text is shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlbench.common.errors import Fault, UsageError
from mlbench.common.files import cache_folder, slug
from mlbench.common.progress import Step
from mlbench.data.absent import absent_warnings
from mlbench.data.collection import Collection
from mlbench.data.corpus import StreamedCollection
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sampling import Draw, cut_to_languages, sample_warnings
from mlbench.data.task import Task
from mlbench.evaluation.choices import chosen_languages, locator_of, streams
from mlbench.evaluation.clip_score import clip_score
from mlbench.evaluation.compression import compressed, refuse_unfit
from mlbench.evaluation.describing import (
    chosen_measures,
    describe_model,
    describe_run,
    describe_task,
    describe_variant,
    model_facts,
    truncated,
    variant_scores,
)
from mlbench.evaluation.examples import examples_of
from mlbench.evaluation.options import Options, chosen_options
from mlbench.evaluation.reranked import rank_and_rerank
from mlbench.evaluation.rerankers import (
    as_reranked,
    describe_reranking,
    refuse_images,
    with_reranker,
)
from mlbench.evaluation.tasks import load_task
from mlbench.evaluation.trained_on import training_warnings
from mlbench.evaluation.within_time import within_time
from mlbench.measures.rank_measures import Measure
from mlbench.measures.scores import Scores, compute_scores
from mlbench.models.boundary import Layout
from mlbench.models.encoding import Embedded, Encoding, encode_shown
from mlbench.models.inputs import learns
from mlbench.models.objects import load_model
from mlbench.models.registry import LoadedModel
from mlbench.models.reranking.scoring import PairScores
from mlbench.ranking.counting import comparisons, rank_collection
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.reranking import Rescored
from mlbench.reports.report import Report
from mlbench.reports.texts import shown_texts
from mlbench.runs.writing import Saving, check_names, discard_runs, save_runs

if TYPE_CHECKING:
    from mlbench.evaluation.driver import Engine, Pass, Ready
    from mlbench.evaluation.partial import Partial

STATE = "partial"
"""Folder beside a report where the state of its run is kept."""


def evaluate(
    model: object, task: str | Path | Task, options: Options | None = None, **changes: Any
) -> Report:
    """Evaluate a model on a task: every setting, with intervals and language bias.

    ``model`` is a name or path as ``mlbench run --model`` takes it, an object with
    ``encode_queries`` and ``encode_passages``, a SentenceTransformer, a pair of functions (texts,
    language) -> array for queries and passages, or a LoadedModel. ``task`` is a name, the path of a
    task file, or a Task. ``changes`` are fields of ``Options``.

    Raises UsageError for what there is not or does not go together, DataError for faulty data,
    ModelError where the model fails, IntegrityError where data is not what it was, EnvironmentFault
    where memory, disk or network fail.

    >>> evaluate("char-ngram", "sample", progress=False).macro["monolingual"]["AP"] > 0
    True
    """
    chosen = chosen_options(options, changes)
    task = load_task(task)
    loaded = load_model(model, chosen.model_options, chosen.cache)
    if chosen.streaming.part is not None:
        found = "a part of the shards has no report of its own"
        expected = "no part; `mlbench run --shard` counts one, and `mlbench merge` adds them up"
        raise UsageError(Fault("option streaming.part", found, expected))
    chosen = with_reranker(chosen)
    collection = open_collection(task, chosen)
    if isinstance(collection, StreamedCollection):
        report = _evaluate_streamed(task, collection, loaded, chosen)
        if chosen.folder is None:
            discard_state(task, loaded, chosen)
        return report
    if chosen.max_seconds is not None:
        languages = chosen_languages(task, chosen)
        chosen = within_time(task.name, collection, loaded, chosen, languages)
        collection = _part_of(collection, task, chosen)
    chosen.approve(describe_task(task, collection))
    return evaluate_held(task, collection, loaded, chosen)


def count_part(task: Task, model: LoadedModel, options: Options) -> tuple[Partial, Path]:
    """Count the part of a task's shards that ``options.streaming`` names: what is counted, and the
    file that keeps it for ``mlbench merge``. Raises as ``evaluate`` does."""
    streams(task, options)
    collection = _leave(task, options)
    partial = _count(task, collection, model, options).partial
    return partial, _pass(task, model, options).file


def load_collection(
    task: str | Path | Task, options: Options | None = None, **changes: Any
) -> Collection:
    """Read and check a task's data: its queries, passages and judgements; see ``evaluate``.

    ``collection.languages`` are its languages; ``collection.queries`` and ``collection.passages``
    have ``ids`` and ``texts``, by language in that order, and ``starts``, where each begins.

    Raises UsageError for a task that is streamed, and as ``evaluate`` does.
    """
    task, chosen = load_task(task), chosen_options(options, changes)
    if streams(task, chosen):
        expected = "a task that is held in memory"
        raise UsageError(Fault(f"task {task.name!r}", "is streamed, shard by shard", expected))
    return _hold(task, chosen)


def open_collection(task: Task, options: Options) -> Collection | StreamedCollection:
    """Read a task's data: its passages are left where they are if the task is streamed.

    A part is drawn, or cut to some languages, if one is asked for. Raises as ``evaluate`` does.
    """
    if streams(task, options):
        return _leave(task, options)
    collection = _hold(task, options)
    if options.rerank is not None:
        refuse_images(task.name, collection)
    return collection


def _leave(task: Task, options: Options) -> StreamedCollection:
    """Read all of a task but its passages, which are left where they are."""
    with Step(f"{task.name}: reading", 1, "task", quiet=not options.progress, brief=True):
        return stream_collection(task, locator_of(options))


def _hold(task: Task, options: Options) -> Collection:
    places = locator_of(options).of(task)
    with Step(f"{task.name}: reading", 1, "task", quiet=not options.progress, brief=True):
        data = read_collection(task, places, strict=options.strict)
        return data if options.max_seconds else _part_of(data, task, options)


def _part_of(whole: Collection, task: Task, options: Options) -> Collection:
    """Return the part of a collection that is asked for."""
    drawn = Draw(options.sample_questions, options.sample_passages).of(whole)
    return cut_to_languages(drawn, chosen_languages(task, options))


def find_data(tasks: Iterable[Task], options: Options) -> None:
    """Find the data of all tasks that will be held, before any of them is evaluated.

    Raises as ``evaluate`` does where some of it cannot be had.
    """
    locator = locator_of(options)
    for task in tasks:
        if not streams(task, options):
            locator.of(task)


def encode_held(
    task: Task,
    collection: Collection,
    model: LoadedModel,
    options: Options,
    whole: Collection | None = None,
) -> tuple[Embedded, list[Step]]:
    """Encode a collection that is held, or a part of ``whole``; return also the steps, timed.

    Raises ModelError where the model fails.
    """
    quiet = not options.progress
    with Step(f"{task.name}: preparing", 1, "plan", quiet=quiet) as preparing:
        work = Encoding(model, collection, options.cache, whole=whole)
        if whole is None:
            work.try_company()
        if work.layout:
            refuse_unfit(model, work.layout.kind, work.layout.dimension, options.variants)
    embedded, encoding = encode_shown(work, f"{task.name}: encoding", quiet=quiet)
    return embedded, [preparing, encoding]


def rank_held(
    task: Task, collection: Collection, embedded: Embedded, options: Options, variant: str = ""
) -> tuple[Ranks, int, Step]:
    """Rank a collection by its vectors: the table, how many scores were recomputed exactly, and
    the step, timed. Raises EnvironmentFault where memory does not suffice."""
    quiet, title = not options.progress, f"{task.name}: ranking {variant}".rstrip()
    with Step(title, comparisons(collection), "scores", quiet=quiet) as ranking:
        ranks, recomputed = rank_collection(
            collection, embedded.queries, embedded.passages, options.limits, ranking.advance
        )
    return ranks, recomputed, ranking


def evaluate_held(
    task: Task, collection: Collection, model: LoadedModel, options: Options
) -> Report:
    """Encode, rank and score a collection that is held in memory, and variants of its vectors.

    Raises ModelError where the model fails, EnvironmentFault where memory does not suffice.
    """
    measures = chosen_measures(task, options.measures)
    saving_as = _saving(as_reranked(model, options), options) if options.save_run else None
    if saving_as:
        check_names(collection)
    embedded, steps = encode_held(task, collection, model, options)
    layout = Layout.of(embedded.passages, "")
    refuse_unfit(model, layout.kind, layout.dimension, options.variants)
    facts = model_facts(model)
    found = _Scored.of(task, collection, embedded, measures, options)
    if options.folder is not None:
        discard_runs(options.folder)
    saving = (
        _save_runs(saving_as, task, collection, embedded, options, found.rescored)
        if saving_as
        else []
    )
    run = replace(
        describe_run(collection, embedded, options, facts),
        seconds=_seconds([*steps, *found.steps, *saving]),
        recomputed=found.recomputed,
        truncated=truncated(model, collection, options.cache),
    )
    examples = examples_of(collection, embedded, found.ranks, options.limits)
    report = Report(
        task=describe_task(task, collection),
        model=describe_model(as_reranked(model, options), collection, embedded, facts),
        measures=tuple(measure.name for measure in measures),
        scores=found.scores,
        run=run,
        warnings=(
            *training_warnings(model, task, collection.languages),
            *sample_warnings(collection),
            *absent_warnings(collection),
            *embedded.warnings,
        ),
        ranks=found.ranks,
        texts=shown_texts(found.ranks, collection, examples),
        examples=examples,
        reranking=describe_reranking(model, options, found.pairs, found.first),
    )
    clip, each = clip_score(collection, embedded, report.model, task.kinds, options.limits)
    report = replace(report, clip_score=clip, clip_values=each)
    return _with_variants(report, task, collection, model, embedded, options)


def _with_variants(
    report: Report,
    task: Task,
    collection: Collection,
    model: LoadedModel,
    embedded: Embedded,
    options: Options,
) -> Report:
    """Score the variants of vectors that are asked for, too; each gets a report of its own."""
    measures, made = chosen_measures(task, options.measures), []
    for variant in options.variants:
        smaller = compressed(embedded, variant, model.similarity)
        found = _Scored.of(task, collection, smaller, measures, options, variant.name)
        encoding = {k: v for k, v in report.run.seconds.items() if k in ("preparing", "encoding")}
        run = replace(
            report.run,
            seconds=encoding | _seconds(found.steps, variant.name),
            recomputed=found.recomputed,
        )
        texts = shown_texts(found.ranks, collection)
        described = describe_variant(report.model, variant, embedded)
        clip, each = clip_score(collection, smaller, described, task.kinds, options.limits)
        made.append(
            replace(report, model=described, scores=found.scores, run=run, ranks=found.ranks,
                    texts=texts, clip_score=clip, clip_values=each, examples=())
        )  # fmt: skip
    scores = tuple(map(variant_scores, made))
    return replace(report, variants=scores, variant_reports=tuple(made))


class _Scored(NamedTuple):
    """What vectors score: the table, how many scores were recomputed, and the steps, timed.

    With a reranker, ``pairs`` and ``rescored`` are what it scored, and ``first`` are the scores of
    the first stage.
    """

    ranks: Ranks
    recomputed: int
    scores: Scores
    steps: list[Step]
    first: Scores
    pairs: PairScores | None = None
    rescored: Rescored | None = None

    @classmethod
    def of(
        cls,
        task: Task,
        collection: Collection,
        embedded: Embedded,
        measures: tuple[Measure, ...],
        options: Options,
        variant: str = "",
    ) -> _Scored:
        """Rank and score a collection by its vectors. Raises as ``rank_held`` does."""
        settings = collection.roles.settings(task.kinds)
        title = " ".join(filter(None, (f"{task.name}: measuring", variant)))
        if options.rerank is None:
            ranks, recomputed, ranking = rank_held(task, collection, embedded, options, variant)
            with Step(title, 1, "report", quiet=not options.progress) as measuring:
                scores = compute_scores(ranks, settings, measures)
            return cls(ranks, recomputed, scores, [ranking, measuring], scores)
        stages = rank_and_rerank(task.name, collection, embedded, options)
        with Step(title, 2, "reports", quiet=not options.progress) as measuring:
            scores, first = (compute_scores(r, settings, measures) for r in stages.tables)
        steps, both = [*stages.steps, measuring], (stages.pairs, stages.rescored)
        return cls(stages.ranks, stages.recomputed, scores, steps, first, *both)


def _seconds(steps: Iterable[Step], variant: str = "") -> dict[str, float]:
    """Return how long each step took, by its name."""
    names = [step.title.partition(": ")[2].removesuffix(variant).rstrip() for step in steps]
    return {name: round(step.seconds, 3) for name, step in zip(names, steps, strict=True)}


def _save_runs(
    saving_as: Saving,
    task: Task,
    collection: Collection,
    embedded: Embedded,
    options: Options,
    rescored: Rescored | None,
) -> list[Step]:
    """Write the first passages of every query; return the step, timed."""
    settings, vectors = collection.roles.settings(task.kinds), (embedded.queries, embedded.passages)
    total, quiet = comparisons(collection), not options.progress
    with Step(f"{task.name}: saving", total, "scores", quiet=quiet) as saving:
        save_runs(
            saving_as, settings, collection, vectors, options.limits, saving.advance, rescored
        )
    return [saving]


def _saving(model: LoadedModel, options: Options) -> Saving:
    if options.folder is None or options.save_run is None:
        found = "given without a folder to write to"
        raise UsageError(Fault("option save_run", found, "option folder, or --output"))
    return Saving(options.folder, options.save_run, f"{slug(model.name)}.top{options.save_run}")


def _evaluate_streamed(
    task: Task, collection: StreamedCollection, model: LoadedModel, options: Options
) -> Report:
    """Count all shards, and score what was counted."""
    from mlbench.evaluation.results import finish

    ready = _count(task, collection, model, options)
    report = finish(ready.partial, command=options.command, quiet=not options.progress)
    if options.rerank is None:
        return report
    from mlbench.evaluation.reranked_stream import rerank_streamed

    return rerank_streamed(report, ready, collection, options)


def _count(
    task: Task, collection: StreamedCollection, model: LoadedModel, options: Options
) -> Ready:
    from mlbench.evaluation.driver import counted

    return counted(task, collection, model, options, _pass(task, model, options))


def _pass(task: Task, model: LoadedModel, options: Options) -> Pass:
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

    work = _pass(task, model, options).work
    _remove(work, WHOLE.file)
    if not any(work.glob(f"*{SUFFIX}")):
        _remove(work, CORE_FILE)
        if work.is_dir() and not any(work.iterdir()):
            work.rmdir()


def _remove(work: Path, name: str) -> None:
    """Remove a file and what was left, by a lock or by a run that was killed, beside it."""
    for path in (work / name, *work.glob(f".{name}.*")):
        path.unlink(missing_ok=True)


def reloaded(model: LoadedModel, options: Options) -> LoadedModel:
    """Return the model for another task: a new one where it keeps something of a collection."""
    return (
        load_model(model.spec, options.model_options, options.cache)
        if learns(model.adapter)
        else model
    )
