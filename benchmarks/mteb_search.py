"""MTEB's own search and scoring of every setting, given the vectors: an optional peer.

``pip install mteb`` brings it. Encoding is excluded, and so are its data loaders, which would feed
an encoder: only what MTEB does with the vectors is timed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.data import Problem
from mlbench.task import Setting

MEASURE = "AP@1000"
"""MTEB looks at the first 1,000 passages; its ``map_at_1000`` is this measure."""


def available() -> bool:
    """Whether MTEB is installed."""
    return find_spec("mteb") is not None


def searches(
    problem: Problem, settings: tuple[Setting, ...]
) -> Iterator[tuple[Setting, float, float]]:
    """Search and score each setting; yield it, its mean AP@1000, and the seconds that it took."""
    from datasets import Dataset
    from mteb import get_task
    from mteb._evaluators import RetrievalEvaluator
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.models.search_wrappers import SearchEncoderWrapper
    from mteb.timing import TimingStack

    collection = problem.collection
    number = {code: i for i, code in enumerate(collection.languages)}
    names = [
        f"{collection.languages[language]}-{id_}"
        for language, id_ in zip(collection.passages.language, collection.passages.ids, strict=True)
    ]
    judged: dict[int, list[int]] = {}
    for query, passage in zip(
        collection.qrels.query.tolist(), collection.qrels.passage.tolist(), strict=True
    ):
        judged.setdefault(query, []).append(passage)
    k_values = AbsTaskRetrieval.k_values
    for setting in settings:
        own = collection.queries.slice(number[setting.query_language])
        inside = [number[code] for code in setting.passage_languages]
        pool = np.flatnonzero(np.isin(collection.passages.language, inside))
        members = set(pool.tolist())
        asked = {collection.queries.ids[query]: query for query in range(own.start, own.stop)}
        qrels = {
            id_: {names[p]: 1 for p in judged[query] if p in members}
            for id_, query in asked.items()
        }
        evaluator = RetrievalEvaluator(
            Dataset.from_dict({"id": [names[p] for p in pool], "text": ["text"] * len(pool)}),
            Dataset.from_dict({"id": list(asked), "text": ["text"] * len(asked)}),
            task_metadata=get_task("XQuADRetrieval").metadata,
            hf_split="test",
            hf_subset="default",
            top_k=max(k_values),
            timer=TimingStack(),
        )
        model = _Vectors(problem.queries[own], problem.passages[pool])
        with mock.patch("mteb.models.search_wrappers.create_dataloader"):
            start = time.perf_counter()
            found = evaluator(SearchEncoderWrapper(model), {"show_progress_bar": False})
            scores = evaluator.evaluate(qrels, found, k_values)
            taken = time.perf_counter() - start
        each = [score["map_cut_1000"] for score in scores.all_scores.values()]
        yield setting, float(np.mean(each)), taken


class _Vectors:
    """An encoder in MTEB's sense that has encoded everything before."""

    mteb_model_meta = None

    def __init__(self, queries: npt.NDArray[np.float32], passages: npt.NDArray[np.float32]) -> None:
        import torch

        self.vectors = {"query": torch.from_numpy(queries), "document": torch.from_numpy(passages)}

    def encode(self, loader: Any, *, prompt_type: Any, **others: Any) -> Any:
        return self.vectors[prompt_type.value]

    def similarity(self, queries: Any, passages: Any) -> Any:
        return queries @ passages.T
