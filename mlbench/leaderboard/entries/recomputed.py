"""The scores of an entry: taken from a report's, and computed again from its table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from mlbench.data.task import Kind, all_settings
from mlbench.leaderboard.entries.entry import Entry, EntryBias, EntryScore, EntryScores
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import Scores, compute_scores
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.reports.report import differences


def entry_scores(scores: Scores) -> EntryScores:
    """Return what an entry holds of a report's scores."""
    bias = scores.bias
    return EntryScores(
        macro={
            kind: {name: _score(score) for name, score in of_kind.items()}
            for kind, of_kind in scores.macro.items()
        },
        bias=EntryBias(
            rank_distance=_score(bias.rank_distance) if bias.rank_distance else None,
            floor=_number(bias.floor),
            random=_number(bias.random),
            same_language=_number(bias.same_language),
            measures={name: _score(found.score) for name, found in bias.measures.items()},
        ),
    )


def _score(score: Score) -> EntryScore:
    return EntryScore(
        score.value, _number(score.low), _number(score.high), _number(score.optimistic)
    )


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def recompute(entry: Entry, ranks: Ranks, kinds: Sequence[str]) -> EntryScores:
    """Compute the scores of an entry from its table."""
    settings = all_settings(ranks.languages, [Kind(kind) for kind in kinds])
    return entry_scores(compute_scores(ranks, settings, parse_measures(entry.measures)))


def score_faults(
    entry: Entry, ranks: Ranks, kinds: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield key, found and expected of each score that does not follow from the table.

    ``kinds`` are those of the task. Scores agree where they differ by at most 1e-9, or 1e-9 of
    their size where they are above 1.
    """
    said, found = asdict(entry.scores), asdict(recompute(entry, ranks, kinds))
    for key, one, other in differences(said, found, "scores"):
        yield key, f"{one!r}"[:200], f"{other!r}, from the table"[:200]
