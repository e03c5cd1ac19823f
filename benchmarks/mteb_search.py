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

from benchmarks.data import Part, Problem, parts
from mlbench.data.task import Setting

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

    k_values = AbsTaskRetrieval.k_values
    for part in parts(problem, settings):
        evaluator = RetrievalEvaluator(
            *(
                Dataset.from_dict({"id": ids, "text": ["text"] * len(ids)})
                for ids in (part.passage_ids, part.query_ids)
            ),
            task_metadata=get_task("XQuADRetrieval").metadata,
            hf_split="test",
            hf_subset="default",
            top_k=max(k_values),
            timer=TimingStack(),
        )
        model = _Vectors(part)
        with mock.patch("mteb.models.search_wrappers.create_dataloader"):
            start = time.perf_counter()
            found = evaluator(SearchEncoderWrapper(model), {"show_progress_bar": False})
            scores = evaluator.evaluate(part.qrels, found, k_values)
            taken = time.perf_counter() - start
        each = [score["map_cut_1000"] for score in scores.all_scores.values()]
        yield part.setting, float(np.mean(each)), taken


class _Vectors:
    """An encoder in MTEB's sense that has encoded everything before."""

    mteb_model_meta = None

    def __init__(self, part: Part) -> None:
        import torch

        both = {"query": part.queries, "document": part.passages}
        self.vectors = {role: torch.from_numpy(vectors) for role, vectors in both.items()}

    def encode(self, loader: Any, *, prompt_type: Any, **others: Any) -> Any:
        return self.vectors[prompt_type.value]

    def similarity(self, queries: Any, passages: Any) -> Any:
        return queries @ passages.T
