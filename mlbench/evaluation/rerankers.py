"""The reranker of an evaluation: found, named together with the first stage, and described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mlbench.common.errors import Fault, ModelError, UsageError
from mlbench.data.collection import Collection
from mlbench.measures.scores import Scores
from mlbench.models.boundary import calling
from mlbench.models.protocol import Described
from mlbench.models.registry import LoadedModel
from mlbench.models.reranking.protocol import Reranker
from mlbench.models.reranking.scoring import PairScores
from mlbench.reports.provenance import ModelInfo
from mlbench.reports.reranking import Reranking

if TYPE_CHECKING:
    from mlbench.evaluation.options import Options

Named = TypeVar("Named", LoadedModel, ModelInfo)
_FACTS: Mapping[str, Any] = {
    "parameters": int, "max_length": int, "device": str, "prompts": dict, "notes": tuple,
}  # fmt: skip
"""What a report holds of what a reranker says of itself, and what it is made."""


def refuse_images(task: str, collection: Collection) -> None:
    """Raise UsageError for a collection with images: a reranker is given texts alone."""
    if collection.images is not None:
        found = f"task {task!r} has images, and a reranker reads texts"
        raise UsageError(Fault("--rerank", found, "a task of texts, or no reranker"))


def with_reranker(options: Options) -> Options:
    """Return the options with the reranker that they name loaded. Raises as ``load_reranker``."""
    return options if options.rerank is None else replace(options, rerank=reranker_of(options))


def as_reranked(model: LoadedModel, options: Options) -> LoadedModel:
    """Return a model as reports know it: with the reranker, if there is one, in its name and
    identity."""
    if options.rerank is None:
        return model
    return with_second_stage(model, reranker_of(options), options.reranked_to)


def with_second_stage(model: Named, reranker: Reranker, depth: int) -> Named:
    """Return a first stage with the name and the identity that it has with the reranker."""
    return replace(
        model,
        name=f"{model.name}-then-{reranker.name}-{depth}",
        identity=f"{model.identity}, the first {depth} reranked by {reranker.identity}",
    )


def describe_reranking(
    model: LoadedModel, options: Options, pairs: PairScores | None, first: Scores
) -> Reranking | None:
    """Return what the report says of the reranker that scored ``pairs``, if there is one;
    ``first`` are the first stage's scores."""
    if pairs is None:
        return None
    return described(reranker_of(options), options.reranked_to, pairs, (model.name, first))


def described(
    reranker: Reranker, depth: int, pairs: PairScores, first: tuple[str, Scores]
) -> Reranking:
    """Return what a report says of a reranker; ``first`` are the name and the scores of the first
    stage."""
    name, scores = first
    return Reranking(
        name=reranker.name,
        spec=reranker.spec,
        kind=reranker.kind,
        identity=reranker.identity,
        depth=depth,
        pairs=pairs.scored + pairs.cached,
        cached=pairs.cached,
        seconds=round(pairs.seconds, 3),
        first=name,
        macro=scores.macro,
        rank_distance=scores.bias.rank_distance,
        **_facts(reranker),
    )


def _facts(reranker: Reranker) -> dict[str, Any]:
    """Return what a reranker says of itself. Raises ModelError for what is not as it should be."""
    if not isinstance(reranker.adapter, Described):
        return {}
    with calling(reranker.spec, "describe"):
        said = dict(reranker.adapter.describe())
    found: dict[str, Any] = {}
    for name, made in _FACTS.items():
        try:
            found |= {name: made(said[name])} if said.get(name) is not None else {}
        except (TypeError, ValueError):
            where = f"reranker {reranker.spec}, describe, {name}"
            raise ModelError(Fault(where, repr(said[name]), made.__name__)) from None
    return found


def reranker_of(options: Options) -> Reranker:
    """Return the reranker of options, loaded if it is not yet. Raises as ``load_reranker``."""

    from mlbench.models.reranking.registry import load_reranker

    return load_reranker(options.rerank, offline=options.offline, cache=options.cache)
