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
from mlbench.common.files import slug
from mlbench.common.progress import Step
from mlbench.data.absent import absent_warnings
from mlbench.data.collection import Collection
from mlbench.data.corpus import StreamedCollection
from mlbench.data.sampling import sample_warnings
from mlbench.data.task import Task
from mlbench.evaluation.choices import chosen_languages, streams
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
from mlbench.evaluation.loading import leave_passages, open_collection, part_of
from mlbench.evaluation.options import Options, chosen_options
from mlbench.evaluation.reranked import rank_and_rerank
from mlbench.evaluation.rerankers import as_reranked, describe_reranking, with_reranker
from mlbench.evaluation.streamed import count_shards, discard_state, evaluate_streamed, pass_of
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
    from mlbench.evaluation.partial import Partial


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
        report = evaluate_streamed(task, collection, loaded, chosen)
        if chosen.folder is None:
            discard_state(task, loaded, chosen)
        return report
    if chosen.max_seconds is not None:
        languages = chosen_languages(task, chosen)
        chosen = within_time(task.name, collection, loaded, chosen, languages)
        collection = part_of(collection, task, chosen)
    chosen.approve(describe_task(task, collection))
    return evaluate_held(task, collection, loaded, chosen)


def count_part(task: Task, model: LoadedModel, options: Options) -> tuple[Partial, Path]:
    """Count the part of a task's shards that ``options.streaming`` names: what is counted, and the
    file that keeps it for ``mlbench merge``. Raises as ``evaluate`` does."""
    streams(task, options)
    collection = leave_passages(task, options)
    partial = count_shards(task, collection, model, options).partial
    return partial, pass_of(task, model, options).file


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


def reloaded(model: LoadedModel, options: Options) -> LoadedModel:
    """Return the model for another task: a new one where it keeps something of a collection."""
    return (
        load_model(model.spec, options.model_options, options.cache)
        if learns(model.adapter)
        else model
    )
