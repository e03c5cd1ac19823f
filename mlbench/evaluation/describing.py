"""What a report says of the task, of the model and of the run."""

from __future__ import annotations

import datetime
import operator
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench import __version__
from mlbench.common.collector import uncollected
from mlbench.common.errors import Fault, ModelError
from mlbench.common.hardware import hardware, peak_gpu_memory, peak_memory
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE
from mlbench.data.task import Task
from mlbench.evaluation.compression import size_of
from mlbench.measures.rank_measures import Measure, parse_measures
from mlbench.models.boundary import calling
from mlbench.models.encoding import Embedded
from mlbench.models.images import ROLE as IMAGES
from mlbench.models.inputs import Inputs
from mlbench.models.plan import Plan
from mlbench.models.protocol import Described
from mlbench.ranking.vectors import text_size
from mlbench.reports.provenance import Encoded, ModelInfo, RouteInfo, RunInfo, TaskInfo, Truncated
from mlbench.reports.report import Report
from mlbench.reports.subset import marked_as_cut
from mlbench.reports.variants import VariantScores

if TYPE_CHECKING:
    from mlbench.evaluation.compression import Variant
    from mlbench.evaluation.options import Options
    from mlbench.models.cache import EmbeddingCache
    from mlbench.models.registry import LoadedModel

TABLE_MEASURES = ("AP", "R@1", "R@10")
"""Measures that every report has, because its main table shows them."""

RECORDED_VERSIONS = ("numpy", "scipy", "numba", "bm25s", "pyarrow")


def chosen_measures(task: Task, names: Sequence[str]) -> tuple[Measure, ...]:
    """Return the measures of a run: those asked for, else the task's, and the main table's."""
    return parse_measures([*(names or task.measures), *TABLE_MEASURES])


@uncollected()
def describe_task(task: Task, collection: Collection) -> TaskInfo:
    """Return what the report says of the task."""
    languages = collection.languages
    judged = np.bincount(collection.queries.language[collection.judged], minlength=len(languages))
    info = TaskInfo(
        name=task.name,
        version=task.version,
        title=task.title,
        digest=collection.digest,
        languages=languages,
        kinds=tuple(kind.value for kind in task.kinds),
        text=task.text,
        licence=task.licence,
        citation=task.citation,
        queries=dict(zip(languages, judged.tolist(), strict=True)),
        passages=dict(zip(languages, collection.passages.counts.tolist(), strict=True)),
        relevant_pairs=int((collection.qrels.relevance > 0).sum()),
        sample=collection.sample,
        language_sets=dict(task.language_sets),
        notes=task.notes,
        sample_passages=collection.sample_passages,
        pairs=collection.sizes(),
    )
    return info if collection.cut is None else marked_as_cut(info, collection.cut.digest)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _texts(value: Any) -> dict[str, str]:
    return {_text(key): _text(text) for key, text in dict(value).items()}


def _list_of_texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError
    return tuple(map(_text, value))


def _routes(value: Any) -> dict[str, RouteInfo]:
    """Read the facts of each role: those of RouteInfo, None where one does not apply."""
    found = {}
    for role, facts in dict(value).items():
        known = {name: FACTS[name][0](facts[name]) for name in facts if facts[name] is not None}
        found[_text(role)] = RouteInfo(**known)
    return found


TEXT, NUMBER = (_text, "a string"), (operator.index, "a whole number")
FACTS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "dtype": TEXT,
    "parameters": NUMBER,
    "max_length": NUMBER,
    "pooling": TEXT,
    "device": TEXT,
    "prompts": (_texts, "a dictionary of strings"),
    "versions": (_texts, "a dictionary of strings"),
    "notes": (_list_of_texts, "a list of strings"),
    "languages": (_list_of_texts, "a list of strings"),
    "routes": (_routes, "by role, some of: parameters, max_length, pooling, dtype"),
}
"""What a report holds of what a model says of itself: how it is read, and what it must be."""


def model_facts(model: LoadedModel) -> Mapping[str, Any]:
    """Return what a model says of itself and a report holds; nothing if it does not.

    Raises ModelError for what is not as the protocol says.
    """
    if not isinstance(model.adapter, Described):
        return {}
    with calling(model.spec, "describe"):
        said = model.adapter.describe()
    where = f"model {model.spec}, describe"
    if not isinstance(said, Mapping):
        found = f"returned an object of type {type(said).__name__}"
        raise ModelError(Fault(where, found, "a dictionary"))
    facts, faults = {}, []
    for name, (read, expected) in FACTS.items():
        if said.get(name) is not None:
            try:
                facts[name] = read(said[name])
            except (TypeError, ValueError, KeyError):
                faults.append(Fault(f"{where}, {name}", repr(said[name]), expected))
    if faults:
        raise ModelError(*faults)
    return facts


def describe_run(
    collection: Collection, embedded: Embedded, options: Options, facts: Mapping[str, Any]
) -> RunInfo:
    """Return what the report says of the run, as far as it is known once all is encoded."""
    texts = _entries(collection, apart=IMAGES in embedded.counts)
    machine = hardware()
    return RunInfo(
        command=options.command,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={"mlbench": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in RECORDED_VERSIONS}
        | dict(facts.get("versions", {})),
        platform=f"{platform.system()} {platform.machine()}",
        processor=machine.processor,
        threads=options.threads,
        seconds={},
        peak_memory=peak_memory(),
        encoded={
            role: Encoded(texts[role], sum(count), count.cached, _rounded(embedded, role))
            for role, count in embedded.counts.items()
        },
        recomputed=0,
        cores=machine.cores,
        gpus=machine.gpus,
        peak_gpu_memory=peak_gpu_memory(),
    )


def _entries(collection: Collection, *, apart: bool) -> dict[str, int]:
    """Return how many texts of each role there are, and images, if these are told ``apart``."""
    sides = {"query": collection.queries, "passage": collection.passages}
    texts = {role: len(side) for role, side in sides.items()}
    if not apart:
        return texts
    number = collection.languages.index(IMAGE)
    images = {role: int(side.counts[number]) for role, side in sides.items()}
    left = {role: count - images[role] for role, count in texts.items()}
    return left | {IMAGES: sum(images.values())}


def _rounded(embedded: Embedded, role: str) -> float | None:
    return round(embedded.seconds[role], 3) if role in embedded.seconds else None


def describe_model(
    model: LoadedModel, collection: Collection, embedded: Embedded, facts: Mapping[str, Any]
) -> ModelInfo:
    """Return what the report says of the model; ``facts`` are those of ``model_facts``."""
    prompts = facts.get("prompts", {})
    plan = Plan.of(collection, by_language=False)
    first = {group.role: group.texts[0] for group in plan.texts}
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
        prompts=prompts,
        first_input={role: prompts[role] + text for role, text in first.items() if role in prompts},
        device=facts.get("device"),
        notes=tuple(facts.get("notes", ())),
        routes=facts.get("routes", {}),
        sizes={"query": text_size(embedded.queries), "passage": text_size(embedded.passages)},
        languages=facts.get("languages", ()),
    )


def describe_variant(model: ModelInfo, variant: Variant, embedded: Embedded) -> ModelInfo:
    """Return what a report on a variant says of its model; ``embedded`` are the whole vectors."""
    sides = {"query": embedded.queries, "passage": embedded.passages}
    return replace(
        model,
        name=f"{model.name}@{variant.name}",
        identity=f"{model.identity}, {variant.name}",
        dimension=variant.dimension or model.dimension,
        dtype=variant.format,
        notes=(*model.notes, variant.note),
        sizes={role: size_of(variant, vectors) for role, vectors in sides.items()},
        variant=variant.name,
    )


def variant_scores(report: Report) -> VariantScores:
    """Return what the report on whole vectors holds of the one on a variant of them."""
    model, scores = report.model, report.scores
    return VariantScores(
        name=model.variant,
        format=model.dtype or "",
        dimension=model.dimension or 0,
        bytes=model.sizes["passage"].bytes,
        macro=scores.macro,
        rank_distance=scores.bias.rank_distance,
    )


def truncated(
    model: LoadedModel, collection: Collection, cache: EmbeddingCache | None
) -> dict[str, dict[str, Truncated]] | None:
    """Ask a model that can say so what it cut of each role's texts in each language."""
    inputs = Inputs(model, cache)
    plan = Plan.of(collection)
    found: dict[str, dict[str, Truncated]] = {}
    for groups in (plan.queries, plan.passages):
        for group in groups:
            cut = inputs.truncation(group.role, group.language, group.texts)
            if cut is None:
                return None
            found.setdefault(group.role, {})[group.language] = Truncated(
                texts=cut.texts,
                texts_share=cut.texts / max(len(group.texts), 1),
                tokens_share=cut.lost / max(cut.tokens, 1),
            )
    return found
