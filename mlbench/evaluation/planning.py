"""What an evaluation would do, found without a model's vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlbench.data.collection import Collection
from mlbench.data.task import Task
from mlbench.evaluation.loading import open_collection
from mlbench.evaluation.options import Options
from mlbench.models.images import ROLE as IMAGES
from mlbench.models.protocol import Metered
from mlbench.ranking.reranking import most_candidates

if TYPE_CHECKING:
    from mlbench.models.plan import Plan


def planned_pairs(task: Task, options: Options) -> int:
    """Return how many pairs of a query and a passage a reranker would be given at most; those of
    equal texts are scored once."""
    collection = open_collection(task, options)
    if isinstance(collection, Collection):
        return most_candidates(collection, options.reranked_to)
    asked = int((collection.relevant_by_language > 0).any(axis=1).sum())
    return asked * len(collection.roles.passages) * options.reranked_to


def planned_texts(task: Task, options: Options, adapter: object = None) -> list[Mapping[str, Any]]:
    """Return what an evaluation would encode: a row a role and language, with the number of texts,
    of distinct ones and of their characters; None for passages that are streamed, hence not read.
    Images, which have no characters, are a row of the role "image".

    Where ``adapter`` can estimate the tokens that a server would be sent, each row also has the
    ``least_tokens`` and ``most_tokens`` of the distinct texts. Raises as ``evaluate`` does.
    """
    from mlbench.models.plan import Plan

    collection = open_collection(task, options)
    if isinstance(collection, Collection):
        plan = Plan.of(collection)
        return [
            _planned(task, group.role, group.language, len(group.entry), group.texts, adapter)
            for group in (*plan.queries, *plan.passages)
        ] + _planned_images(task, plan)
    rows = []
    for number, language in enumerate(collection.languages):
        texts = collection.queries.texts[collection.queries.slice(number)]
        distinct = list(dict.fromkeys(texts))
        rows.append(_planned(task, "query", language, len(texts), distinct, adapter))
    languages = collection.languages
    return rows + [_planned(task, "passage", each, None, None, adapter) for each in languages]


def _planned_images(task: Task, plan: Plan) -> list[Mapping[str, Any]]:
    """Return the row of the images of both roles; none where there are no images."""
    if not plan.images:
        return []
    images, first = sum(len(group.entry) for group in plan.images), plan.images[0]
    row = _planned(task, IMAGES, first.language, images, None, None)
    return [{**row, "distinct": len(first.texts)}]


def _planned(
    task: Task,
    role: str,
    language: str,
    texts: int | None,
    distinct: list[str] | None,
    adapter: object,
) -> Mapping[str, Any]:
    row = {"task": task.name, "role": role, "language": language, "texts": texts}
    row["distinct"] = None if distinct is None else len(distinct)
    row["characters"] = None if distinct is None else sum(map(len, distinct))
    if isinstance(adapter, Metered):
        sent = None if distinct is None else adapter.tokens(role, distinct)
        row["least_tokens"] = sent and sent.least
        row["most_tokens"] = sent and sent.most
    return row
