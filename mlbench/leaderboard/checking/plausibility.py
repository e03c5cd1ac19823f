"""Scores that can be true and are worth a look: rules, not verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from mlbench.data.task import Kind
from mlbench.leaderboard.entries.entry import Entry

PERFECT = 0.999
AHEAD = 0.05
"""How far cross-lingual AP may be above monolingual: translation loses, in all we have seen."""


def implausible(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Yield key, found and what would be expected of each score that a person should look at."""
    for kind, of_kind in entry.macro.items():
        for name in ("AP", "RR"):
            if (score := of_kind.get(name)) and score.value > PERFECT:
                yield f"macro.{kind}.{name}", f"{score.value:.4f}", f"at most {PERFECT}"
    ap = {kind: of_kind["AP"].value for kind, of_kind in entry.macro.items() if "AP" in of_kind}
    within, across = ap.get(Kind.MONOLINGUAL), ap.get(Kind.CROSSLINGUAL)
    if within is not None and across is not None and across > within + AHEAD:
        key = f"macro.{Kind.CROSSLINGUAL}.AP"
        yield key, f"{across:.4f}", f"at most {AHEAD} above the monolingual {within:.4f}"
