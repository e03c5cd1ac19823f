"""Does a table of ranks agree with vectors of some of its texts? Arrays in, findings out.

Of sampled queries all relevant passages are encoded again, and of each language some passages
drawn at random. What is then certain (see ``reencoded``) must be what the table says:

- *order*: the relevant passages of a query stand in the table's order;
- *bounds*: no more passages are seen above, or below, a relevant one than the table counts there;
- *evidence*: the drawn passages are above, and below, as often as the table's counts would have
  it; see ``betting``. A drawn passage is the unit, whatever rows it is compared with, so that
  rows need not be independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlbench.leaderboard.verifying.betting import Floats, Ints, evidence, log_wealth
from mlbench.leaderboard.verifying.reencoded import Bools, Claims, Seen, Tolerance, Vectors, see

FALSE_ALARM = 1e-4
"""The chance, at most, that the evidence refuses an honest table."""
SIDES = ("above", "below")
CELLS = ("all", "monolingual", "crosslingual")
"""Which counts of a row: of all languages; of the passage's own, if it is the query's, or not."""
WEIGHTS = ("equal", "top")
"""What a cell counts for: 1, or 1 / (1 + its count), so that good ranks count most, as in AP."""
TESTS = len(SIDES) * len(CELLS) * len(WEIGHTS)
FAMILIES = ("whole", "query language", "passage language", "query")
STRONGEST = 300.0
UNDERSTATED = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
EXCESS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class Worst(NamedTuple):
    """The strongest evidence of a family of tests, in powers of ten (at most 300), what refuses
    the table, and which of ``tests`` it is; ``group`` numbers the query or language."""

    evidence: float
    threshold: float
    tests: int
    group: int
    side: str
    cells: str
    weight: str

    @property
    def agrees(self) -> bool:
        """Whether the evidence is too weak to refuse the table."""
        return self.evidence < self.threshold


class Resolution(NamedTuple):
    """What this sample could have seen.

    ``understated``: it would refuse the table if all its counts were lower by this share (None:
    even by half would pass). ``excess``: it would refuse the table if it counted this share of
    all other passages more (None: even a fifth more would pass).
    """

    understated: float | None
    excess: float | None


@dataclass(frozen=True)
class Agreement:
    """What a comparison found.

    ``disorder`` (rows,) and ``exceeded`` (rows, languages) mark what contradicts the table;
    ``families`` has the strongest evidence of each of FAMILIES; ``undecided`` is the share of
    comparisons of a passage and a relevant one that are too close to call.
    """

    disorder: Bools
    exceeded: Bools
    seen: Seen
    families: dict[str, Worst]
    resolution: Resolution
    undecided: float

    @property
    def agrees(self) -> bool:
        """Whether nothing contradicts the table."""
        contradicted = self.disorder.any() or self.exceeded.any()
        return not contradicted and all(worst.agrees for worst in self.families.values())


class _Bets(NamedTuple):
    """The drawn values and claimed sums of some groups of queries, by side and kind of test.

    ``drawn`` (groups, sides, cells x weights, draws), ``claimed`` (..., languages); ``pool`` and
    ``edges`` as in Claims and Vectors.
    """

    drawn: Floats
    claimed: Floats
    pool: Ints
    edges: Ints

    def whole(self) -> _Bets:
        """Return all queries as one group."""
        return self._replace(drawn=self.drawn.sum(0)[None], claimed=self.claimed.sum(0)[None])

    def wealth(self) -> Floats:
        """Return (groups, sides, cells x weights, languages, stakes)."""
        return log_wealth(self.drawn, self.claimed, self.pool, self.edges)

    def evidence(self) -> Floats:
        """Return that of the draws of all languages: (groups, sides, cells x weights)."""
        return evidence(self.wealth().sum(-2))


def compare(claims: Claims, vectors: Vectors, tolerance: Tolerance) -> Agreement:
    """Hold what a table claims against vectors of its sampled texts."""
    languages = len(claims.pool)
    shape = (languages, len(SIDES), len(CELLS) * len(WEIGHTS))
    bets = _Bets(
        np.zeros((*shape, len(vectors.drawn))),
        np.zeros((*shape, languages)),
        claims.pool,
        vectors.edges,
    )
    drawn_language = np.repeat(np.arange(languages), np.diff(vectors.edges))
    disorder, seen, of_queries = [], [], []
    for query, found in enumerate(see(claims, vectors, tolerance)):
        stakes, claimed = _stakes(claims, query)
        drawn = (found.hits[:, None] * stakes[..., drawn_language]).sum(2)
        of_queries.append(_Bets(drawn[None], claimed[None], claims.pool, vectors.edges).evidence())
        bets.drawn[claims.query_language[query]] += drawn
        bets.claimed[claims.query_language[query]] += claimed
        disorder.append(found.disorder)
        seen.append(found.seen)
    joined = Seen(*(np.concatenate(part) for part in zip(*seen, strict=True)))
    whole = bets.whole()
    by_passage = np.moveaxis(evidence(whole.wealth())[0], -1, 0)
    strongest = (whole.evidence(), bets.evidence(), by_passage, np.concatenate(of_queries))
    decided = (joined.level + joined.below).sum() / max(joined.encoded.sum(), 1)
    return Agreement(
        disorder=np.concatenate(disorder),
        exceeded=_exceeded(claims, joined),
        seen=joined,
        families={name: _worst(each) for name, each in zip(FAMILIES, strongest, strict=True)},
        resolution=_resolution(whole, claims.others().sum(0)),
        undecided=1 - float(decided),
    )


def threshold(tests: int) -> float:
    """Return the evidence, in powers of ten, that refuses a table in a family of so many tests.

    An honest table is refused with a chance of FALSE_ALARM at most (Bonferroni).
    """
    return float(np.log10(len(FAMILIES) * tests / FALSE_ALARM))


def _worst(found: Floats) -> Worst:
    """Return the strongest evidence of a family, (groups, sides, cells x weights)."""
    group, side, kind = np.unravel_index(np.argmax(found), found.shape)
    return Worst(
        evidence=float(np.minimum(found[group, side, kind] / np.log(10), STRONGEST)),
        threshold=threshold(found.size),
        tests=found.size,
        group=int(group),
        side=SIDES[side],
        cells=CELLS[kind // len(WEIGHTS)],
        weight=WEIGHTS[kind % len(WEIGHTS)],
    )


def _resolution(whole: _Bets, others: Ints) -> Resolution:
    """Try other claims on the same draws; ``others`` (languages,) sums over rows."""

    def refused(side: int, claimed: Floats, kinds: slice) -> bool:
        bets = whole._replace(
            drawn=whole.drawn[:, [side], kinds], claimed=claimed[:, [side], kinds]
        )
        return bool(bets.evidence().max() >= threshold(TESTS) * np.log(10))

    every, first = slice(None), slice(1)
    less = (share for share in UNDERSTATED if refused(0, whole.claimed * (1 - share), every))
    more = (share for share in EXCESS if refused(1, whole.claimed - share * others, first))
    return Resolution(next(less, None), next(more, None))


def _exceeded(claims: Claims, seen: Seen) -> Bools:
    level = claims.above + claims.tied
    wrong: Bools = (
        (seen.above > claims.above) | (seen.level > level) | (seen.below > claims.others() - level)
    )
    return wrong


def _stakes(claims: Claims, query: int) -> tuple[Floats, Floats]:
    """Return what a passage above or below each row counts for, (sides, cells x weights, rows,
    languages), and the sums that the table claims, (sides, cells x weights, languages)."""
    rows = claims.rows(query)
    language = claims.passage_language[rows]
    own = np.bincount(language, minlength=len(claims.pool))
    level = claims.above[rows] + claims.tied[rows]
    counts = np.stack([level, claims.pool - own - level]).astype(np.float64)
    same = language[:, None] == np.arange(len(claims.pool))
    monolingual = same & (language == claims.query_language[query])[:, None]
    cells = np.stack([np.ones_like(same), monolingual, same & ~monolingual])
    weights = np.stack([np.ones_like(counts), 1 / (1 + np.maximum(counts, 0))], 1)
    stakes = (cells[None, :, None] * weights[:, None]).reshape(2, -1, *level.shape)
    return stakes, (stakes * counts[:, None]).sum(2)
