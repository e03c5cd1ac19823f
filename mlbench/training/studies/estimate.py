"""How long a study takes: what is left of it, by what is done or by a rule of thumb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbench.common.progress import duration
from mlbench.training.config import TrainConfig
from mlbench.training.studies.plan import Study

STATIC_PAIRS = 4_000
"""Pairs a second that static embeddings are trained on, on a processor of 2024."""


@dataclass(frozen=True)
class Estimate:
    """The seconds that are left, None where they cannot be told, and where that is from."""

    seconds: float | None
    source: str

    @property
    def words(self) -> str:
        """The estimate as a sentence."""
        if self.seconds is None:
            return "How long that takes is known when the first model is done."
        return f"That takes about {duration(self.seconds)}, {self.source}."


def planned_steps(config: Mapping[str, Any]) -> int | None:
    """Return how many batches a training has, None where it is a time that is given."""
    if "steps" in config:
        return int(config["steps"])
    if "pairs" in config:
        return -(-int(config["pairs"]) // _batch_size(config))
    return None


def _batch_size(config: Mapping[str, Any]) -> int:
    return int(config.get("batch_size", TrainConfig().batch_size))


def estimate(study: Study, known: Mapping[str, Sequence[Mapping[str, Any]]]) -> Estimate:
    """Return what is left of a study: by the models of each arm that are done, of an arm without
    any by those of all arms; without any at all by the pairs that are planned."""
    seconds = {
        arm: [sum(record["cell"]["seconds"].values()) for record in of] for arm, of in known.items()
    }
    every = [each for of in seconds.values() for each in of]
    total = 0.0
    for arm in study.arms:
        own = seconds.get(arm.label, [])
        left = len(study.form.seeds) - len(own)
        basis = own or every
        each = sum(basis) / len(basis) if basis else _by_rule(arm.config)
        if left and each is None:
            return Estimate(None, "")
        total += left * (each or 0.0)
    if every:
        return Estimate(total, "as the models that are done took")
    return Estimate(
        total,
        f"at {STATIC_PAIRS:,} pairs a second as static embeddings are trained on one processor, "
        "and without the evaluations",
    )


def _by_rule(config: Mapping[str, Any]) -> float | None:
    """Return the seconds of a training by rule of thumb, None where there is none."""
    if "seconds" in config:
        return float(config["seconds"])
    steps = planned_steps(config)
    if steps is None or config.get("base", TrainConfig().base) != TrainConfig().base:
        return None
    return steps * _batch_size(config) / STATIC_PAIRS
