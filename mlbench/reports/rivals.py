"""Rivals: the passages that are not relevant to a query and yet rank above one that is, or tie.

The table of ranks counts them and does not name them. Who they are comes from a model's scores
(``evaluation.rivals``) or from run files (``runs.rivals``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlbench.data.texts import Name


@dataclass(frozen=True)
class Rival:
    """A passage that is not relevant: its score, and how many of the query's relevant passages in
    the pool it ranks ``above`` and how many it is ``tied`` with."""

    passage_id: str
    language: str
    score: float
    above: int
    tied: int


@dataclass(frozen=True)
class Rivals:
    """The first rivals of one query, by language, best first.

    ``scores`` holds what is known of the relevant passages' scores. ``short`` names the languages
    of which there are more than the source of the names could tell.
    """

    of: dict[str, tuple[Rival, ...]]
    scores: dict[Name, float] = field(default_factory=dict)
    short: tuple[str, ...] = ()

    @property
    def best(self) -> Rival | None:
        """The one of the highest score, None where there is none."""
        every = [rivals[0] for rivals in self.of.values() if rivals]
        return max(every, key=lambda rival: rival.score, default=None)


def ranked_rivals(
    language: str,
    ordered: Sequence[tuple[str, float]],
    counts: Mapping[Name, tuple[int, int]],
    most: int,
) -> tuple[Rival, ...]:
    """Return the first ``most`` rivals in a language.

    ``ordered`` are (id, score) of its passages that are not relevant, the first of its ranking;
    ``counts`` maps each relevant passage to how many of the language are above and tied.
    """
    found = []
    for place, (id_, score) in enumerate(ordered[:most]):
        above = sum(place < counted for counted, _ in counts.values())
        tied = sum(counted <= place < counted + alike for counted, alike in counts.values())
        if above or tied:
            found.append(Rival(id_, language, score, above, tied))
    return tuple(found)
