"""What a report holds of smaller variants of its vectors, which have reports of their own."""

from __future__ import annotations

from dataclasses import dataclass

from mlbench.measures.significance import Score


@dataclass(frozen=True)
class VariantScores:
    """How well smaller vectors do: their number ``format``, their ``dimension``, the ``bytes`` of
    a passage, the macro scores by kind and measure, and rank distance. The report that has all of
    them is in the folder ``name`` of the report's own."""

    name: str
    format: str
    dimension: int
    bytes: float
    macro: dict[str, dict[str, Score]]
    rank_distance: Score | None
