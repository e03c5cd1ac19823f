"""The driver: a task's collection and a model in, a report and its table of ranks out."""

from __future__ import annotations

import datetime
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from mlbench import __version__
from mlbench.adapters.base import Described, Truncating
from mlbench.adapters.boundary import calling
from mlbench.collection import Collection
from mlbench.encoding import Embedded, Encoding, Plan
from mlbench.measures import Measure, parse_measures
from mlbench.progress import Step
from mlbench.ranks import Ranks
from mlbench.report import Encoded, ModelInfo, Report, RunInfo, TaskInfo, Truncated
from mlbench.sampling import sample_warnings
from mlbench.scores import compute_scores
from mlbench.scoring.counting import DEFAULT_LIMITS
from mlbench.scoring.products import Limits
from mlbench.table import rank_collection
from mlbench.task import Task

if TYPE_CHECKING:
    from mlbench.adapters.registry import LoadedModel
    from mlbench.cache import EmbeddingCache

TABLE_MEASURES = ("AP", "R@1", "R@10")
"""Measures that every report has, because its main table shows them."""
RECORDED_VERSIONS = ("numpy", "scipy", "numba", "bm25s", "pyarrow")


@dataclass(frozen=True)
class Options:
    """How a run is made; ``command`` is recorded as given."""

    measures: tuple[str, ...] = ()
    limits: Limits = DEFAULT_LIMITS
    command: str = ""
    quiet: bool = False
    cache: EmbeddingCache | None = None


def chosen_measures(task: Task, names: Sequence[str]) -> tuple[Measure, ...]:
    """Return the measures of a run: those asked for, else the task's, and the main table's."""
    return parse_measures([*(names or task.measures), *TABLE_MEASURES])


def describe_task(task: Task, collection: Collection) -> TaskInfo:
    """Return what the report says of the task."""
    languages = collection.languages
    return TaskInfo(
        name=task.name,
        version=task.version,
        title=task.title,
        digest=collection.digest,
        languages=languages,
        kinds=tuple(kind.value for kind in task.kinds),
        text=task.text,
        licence=task.licence,
        citation=task.citation,
        queries=dict(zip(languages, collection.queries.counts.tolist(), strict=True)),
        passages=dict(zip(languages, collection.passages.counts.tolist(), strict=True)),
        relevant_pairs=int((collection.qrels.relevance > 0).sum()),
        sample=collection.sample,
    )


def evaluate(
    task: Task, collection: Collection, model: LoadedModel, options: Options
) -> tuple[Report, Ranks]:
    """Encode, rank and score one task with one model.

    Raises ModelError where the model fails, EnvironmentFault where memory does not suffice.
    """
    measures = chosen_measures(task, options.measures)
    with Step(f"{task.name}: preparing", 1, "plan", quiet=options.quiet) as preparing:
        work = Encoding(model, collection, options.cache)
    with Step(f"{task.name}: encoding", work.cost, work.unit, quiet=options.quiet) as encoding:
        embedded = work.encode(encoding.advance)
    comparisons = len(collection.queries) * len(collection.passages)
    with Step(f"{task.name}: ranking", comparisons, "scores", quiet=options.quiet) as ranking:
        ranks, recomputed = rank_collection(
            collection, embedded.queries, embedded.passages, options.limits, ranking.advance
        )
    with Step(f"{task.name}: measuring", 1, "report", quiet=options.quiet) as measuring:
        scores = compute_scores(ranks, task.settings(), measures)
    facts: Mapping[str, Any] = {}
    if isinstance(model.adapter, Described):
        with calling(model.spec, "describe"):
            facts = model.adapter.describe()
    steps = (preparing, encoding, ranking, measuring)
    run = replace(
        _describe_run(collection, embedded, options, facts),
        seconds={step.title.partition(": ")[2]: round(step.seconds, 3) for step in steps},
        recomputed=recomputed,
        truncated=_truncated(model, collection),
    )
    report = Report(
        task=describe_task(task, collection),
        model=_describe_model(model, embedded, facts),
        measures=tuple(measure.name for measure in measures),
        scores=scores,
        run=run,
        warnings=(*sample_warnings(collection), *embedded.warnings),
    )
    return report, ranks


def _describe_run(
    collection: Collection, embedded: Embedded, options: Options, facts: Mapping[str, Any]
) -> RunInfo:
    texts = {"query": len(collection.queries), "passage": len(collection.passages)}
    return RunInfo(
        command=options.command,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={"mlbench": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in RECORDED_VERSIONS}
        | dict(facts.get("versions", {})),
        platform=platform.platform(),
        processor=platform.processor() or platform.machine(),
        threads=options.limits.threads,
        seconds={},
        peak_memory=peak_memory(),
        encoded={
            role: Encoded(texts[role], sum(count), count.cached)
            for role, count in embedded.counts.items()
        },
        recomputed=0,
    )


def _describe_model(model: LoadedModel, embedded: Embedded, facts: Mapping[str, Any]) -> ModelInfo:
    return ModelInfo(
        name=model.name,
        spec=model.spec,
        adapter=model.kind,
        identity=model.identity,
        similarity=model.similarity,
        dimension=int(embedded.passages.shape[1]),
        dtype=facts.get("dtype", "float32"),
        parameters=facts.get("parameters"),
        max_length=facts.get("max_length"),
        pooling=facts.get("pooling"),
        prompts=facts.get("prompts", {}),
        first_input=facts.get("first_input", {}),
        device=facts.get("device"),
        notes=tuple(facts.get("notes", ())),
    )


def _truncated(
    model: LoadedModel, collection: Collection
) -> dict[str, dict[str, Truncated]] | None:
    """Ask a model that can say so what it cut of each role's texts in each language."""
    if not isinstance(model.adapter, Truncating):
        return None
    plan = Plan.of(collection)
    found: dict[str, dict[str, Truncated]] = {}
    for groups in (plan.queries, plan.passages):
        for group in groups:
            with calling(model.spec, "truncation"):
                cut = model.adapter.truncation(group.role, group.texts)
            if cut is None:
                return None
            found.setdefault(group.role, {})[group.language] = Truncated(
                texts=cut.texts,
                texts_share=cut.texts / max(len(group.texts), 1),
                tokens_share=cut.lost / max(cut.tokens, 1),
            )
    return found


def peak_memory() -> int | None:
    """Return the most memory this process has held, in bytes; None where the system won't say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
