"""What a pass hands over at the end of each shard."""

from __future__ import annotations

from dataclasses import dataclass

from mlbench.models.protocol import Truncation
from mlbench.models.saved_vectors import SavedFile
from mlbench.ranking.products import Counts32


@dataclass(frozen=True)
class ShardCounts:
    """What one shard adds to the table, and what it took.

    ``above`` and ``tied`` (rows,) are counts of the passages of the shard's language, int32.
    ``encoded`` is the number of texts that the model was given, ``distinct`` that of the different
    texts in each block, ``cut`` what the maximum length cost these (None where unknown).
    """

    name: str
    language: str
    above: Counts32
    tied: Counts32
    passages: int
    content: str
    encoded: int
    distinct: int
    recomputed: int
    seconds: float
    cut: Truncation | None = None
    kept: SavedFile | None = None
