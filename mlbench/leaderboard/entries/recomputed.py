"""The scores of an entry: taken from a report's, and computed again from its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mlbench.data.task import Kind, all_settings
from mlbench.leaderboard.entries.entry import BiasSummary, Entry, table_of
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import BiasScores, compute_scores
from mlbench.ranking.ranks import Ranks
from mlbench.reports.report import differences


def bias_summary(bias: BiasScores) -> BiasSummary:
    """Return what an entry holds of a report's language bias."""
    return BiasSummary(
        rank_distance=bias.rank_distance,
        floor=bias.floor,
        random=bias.random,
        same_language=bias.same_language,
        measures={name: found.score for name, found in bias.measures.items()},
    )


def score_faults(
    entry: Entry, ranks: Ranks, kinds: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield key, found and expected of each score that does not follow from the table.

    ``kinds`` are those of the task. Scores agree where they differ by at most 1e-9, or 1e-9 of
    their size where they are above 1.
    """
    settings = all_settings(ranks.languages, [Kind(kind) for kind in kinds])
    scores = compute_scores(ranks, settings, parse_measures(entry.measures))
    true = replace(entry, macro=scores.macro, bias=bias_summary(scores.bias))
    said, found = table_of(entry), table_of(true)
    for key in ("macro", "bias"):
        for where, one, other in differences(said[key], found[key], key):
            yield where, f"{one!r}"[:200], f"{other!r}, from the table"[:200]
