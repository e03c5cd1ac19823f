"""What a report holds of a reranker and of the first stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlbench.measures.significance import Score


@dataclass(frozen=True)
class Reranking:
    """A reranker that scored the first ``depth`` passages of each query in each language again.

    ``identity`` changes when a score would. ``pairs`` are the distinct pairs of texts, of which
    ``cached`` were not scored in this run; the others took ``seconds``. ``macro`` and
    ``rank_distance`` are those of the first stage, the model called ``first``.
    """

    name: str
    spec: str
    kind: str
    identity: str
    depth: int
    pairs: int
    cached: int
    seconds: float
    first: str
    macro: dict[str, dict[str, Score]]
    rank_distance: Score | None
    parameters: int | None = None
    max_length: int | None = None
    device: str | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def per_second(self) -> float | None:
        """Pairs scored a second; None where none were."""
        scored = self.pairs - self.cached
        return scored / self.seconds if scored and self.seconds else None
