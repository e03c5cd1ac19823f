"""What a report on run files says of them: how deep they are, and what they lack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Depth:
    """How deep the run files of a kind of setting are, and what they lack.

    ``truncated_at`` is the most passages that a query has. Of ``queries_missing`` there is no
    passage, so they count as 0; ``queries_short`` have fewer than others. Of the
    ``passages_relevant`` to all queries, ``passages_beyond`` are not in the files.
    ``lower_bounds`` names the measures that reach deeper than the files. ``settings_missing`` of
    the kind are in no file and not scored.
    """

    truncated_at: int
    settings: int
    settings_missing: int
    queries_missing: int
    queries_short: int
    passages_relevant: int
    passages_beyond: int
    lower_bounds: tuple[str, ...]


@dataclass(frozen=True)
class Retrieved:
    """Where a report on run files has its scores from: each file's SHA-256, and how deep the files
    of each kind of setting are. It has no table of ranks, and of rank distance a lower bound only.
    """

    files: dict[str, str]
    kinds: dict[str, Depth]
    rank_distance_at_least: float | None
