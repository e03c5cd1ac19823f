"""One training as its trainer gets it: configuration, data, plan, base, and how far it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlbench.common.errors import Fault, ModelError
from mlbench.data.task import IMAGE
from mlbench.training.batches import Batch, HybridBatches, Kind
from mlbench.training.config import TrainConfig

if TYPE_CHECKING:
    from mlbench.training.base import Base
    from mlbench.training.judged_pairs import TrainingSet

BESIDE = 1
"""Tells the draws of training sets from those of batches."""
LAST_GOOD = "last-good"
"""Where the model is kept that a training had when its loss was no number any more."""
STATE_FILE, CHECKPOINTS = "training.state", "checkpoints"
"""What a training goes on from: that of static embeddings, and of transformers."""
_NO_MATTER = {
    *("output", "checkpoint_seconds", "evaluate", "evaluate_every", "evaluate_questions"),
    *("base", "data", "evaluate_passages"),
}
"""What another model does not follow from; of base and data the digests count."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate: it rises to ``rate`` in the share ``warmup`` of the training, and falls
    as a cosine to 0. The training is so many ``steps`` long, or else so many ``seconds``."""

    rate: float
    warmup: float
    steps: int | None
    seconds: float | None

    def share(self, step: int, seconds: float) -> float:
        """Return how much of the training is done before a step, from 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, seconds / (self.seconds or math.inf))

    def rate_at(self, step: int, seconds: float) -> float:
        """Return the learning rate of a step; steps begin at 0."""
        half = 0.5 / self.steps if self.steps else 0.0
        share = self.share(step, seconds) + half
        if share < self.warmup:
            return self.rate * share / self.warmup
        fallen = (share - self.warmup) / max(1 - self.warmup, 1e-12)
        return self.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, fallen)))


@dataclass
class Course:
    """How a training went: the loss of every step, the seconds of the steps, figures of
    evaluations, the steps at which it was resumed, and how many batches of each kind there were."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    evaluations: list[dict[str, float]] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many steps are done."""
        return len(self.losses)

    def add(self, batch: Batch, loss: float, seconds: float) -> None:
        """Take note of a step."""
        self.losses.append(loss)
        self.kinds[str(batch.kind)] += 1
        self.seconds += seconds


@dataclass(frozen=True)
class Job:
    """What a trainer needs; ``evaluate`` returns figures of the model as it is after some step.

    ``beside`` is a second training set and its plan, whose batches stand among those of the first.
    """

    config: TrainConfig
    data: TrainingSet
    plan: HybridBatches
    base: Base
    evaluate: Callable[[int], dict[str, float]] | None = None
    progress: bool = True
    beside: tuple[TrainingSet, HybridBatches] | None = None

    @property
    def folder(self) -> Path:
        """Where the model goes."""
        return self.config.output

    @cached_property
    def schedule(self) -> Schedule:
        """The learning rate over the training."""
        config = self.config
        rate = config.rate(self.base.kind.rate)
        return Schedule(rate, config.warmup, config.whole_steps, config.seconds)

    @cached_property
    def fingerprint(self) -> str:
        """The same for trainings that should give the same model, SHA-256 (hex)."""
        config = dataclasses.asdict(self.config)
        told = {name: value for name, value in config.items() if name not in _NO_MATTER}
        told |= {
            "alpha": None,
            "proportions": dataclasses.asdict(self.config.mixing),
            "languages": list(self.plan.languages),
            "learning_rate": self.schedule.rate,
        }
        told["text_data"] = self.beside and self.beside[0].digest
        all_of_it = [told, self.data.digest, self.base.digest]
        return hashlib.sha256(json.dumps(all_of_it, sort_keys=True).encode()).hexdigest()

    def batch(self, number: int) -> Batch:
        """Return batch ``number``, of the first training set or of that beside it."""
        return self._drawn(number)[1][number]

    def kind(self, number: int) -> Kind:
        """Return of which kind batch ``number`` is, without drawing its rows."""
        return self._drawn(number)[1].kind(number)

    def _drawn(self, number: int) -> tuple[TrainingSet, HybridBatches]:
        """Draw which training set batch ``number`` is of; it depends on the seed and it alone."""
        if self.beside is None:
            return self.data, self.plan
        chance = np.random.default_rng((self.config.seed, number, BESIDE)).random()
        return self.beside if chance < self.config.text_share else (self.data, self.plan)

    def texts(self, batch: Batch, number: int) -> tuple[list[str], list[str], list[list[str]]]:
        """Return the queries, the passages and the hard negatives of each row of batch ``number``,
        with their prompts; no negatives where the data has none. An image is its reference."""
        data = self._drawn(number)[0]
        size = len(batch)
        queries, passages = [""] * size, [""] * size
        negatives: list[list[str]] = [[] for _ in range(size)]
        before = self.base.prompts
        for query_language, passage_language, places, rows in batch.by_pair():
            asked, found = data.texts(query_language, passage_language, rows)
            prompt = "" if passage_language == IMAGE else before["passage"]
            for place, query, passage in zip(places.tolist(), asked, found, strict=True):
                queries[place] = before["query"] + query
                passages[place] = prompt + passage
            if most := self.config.negatives:
                wrong = data.negatives(query_language, passage_language, rows) or []
                for place, texts in zip(places.tolist(), wrong, strict=bool(wrong)):
                    turned = [texts[(number + i) % len(texts)] for i in range(len(texts))]
                    negatives[place] = [prompt + text for text in turned[:most]]
        return queries, passages, negatives

    def refuse_loss(self, loss: float, step: int) -> None:
        """Keep the model and raise ModelError where the loss of a step is no finite number; the
        step must not have changed the model."""
        if np.isfinite(loss):
            return
        kept = self.folder / LAST_GOOD
        self.base.save(kept)
        found = f"the loss is {loss}"
        mend = (
            f"give a lower learning rate than {self.schedule.rate:g}; the model as it was before "
            f"this step is kept in {kept}"
        )
        raise ModelError(Fault(f"training, step {step + 1}", found, "a finite number", mend))
