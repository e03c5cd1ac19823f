"""Does a table of ranks agree with vectors of some of its texts? Arrays in, findings out.

Of sampled queries all relevant passages are encoded again, and of each language (of a task of
pairs: of each pair in each language) some passages drawn at random. A score computed again differs
a little from the first one: on another machine, in another batch, a model rounds otherwise. A
passage counts as above another only where no rounding can have turned the two round. What is then
certain must be what the table says:

- *order*: the relevant passages of a query stand in the table's order;
- *bounds*: no more passages are seen above, or below, a relevant one than the table counts there;
- *evidence*: the drawn passages are above, and below, as often as the table's counts would have
  it (``log_wealth``). A drawn passage is the unit, whatever rows it is compared with, so that
  rows need not be independent.

What is too close to call agrees with any table. So it is measured what rounding may have hidden:
the share of comparisons that are undecided, and the evidence without any room for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlbench.leaderboard.verifying.betting import evidence, log_wealth
from mlbench.leaderboard.verifying.claims import (
    Bools,
    Claims,
    Floats,
    Ints,
    Populations,
    Seen,
    Tolerance,
    Vectors,
    see,
)

FALSE_ALARM = 1e-4
"""The chance, at most, that the evidence refuses an honest table."""
SIDES = ("above", "below")
CELLS = ("all", "monolingual", "crosslingual")
"""Which counts of a row: of all languages; of the passage's own, if it is the query's, or not."""
WEIGHTS = ("equal", "top")
"""What a cell counts for: 1, or 1 / (1 + its count), so that good ranks count most, as in AP."""
TESTS = len(SIDES) * len(CELLS) * len(WEIGHTS)
FAMILIES = ("whole", "query language", "passage language", "query")
FAMILIES_OF_PAIRS = ("whole", "query language", "passage language", "setting", "query")
STRONGEST = 300.0
TURNED = 0.05
"""The share of comparisons too close to call that rounding may turn round, of honest tables."""
UNDERSTATED = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
EXCESS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class Worst(NamedTuple):
    """The strongest evidence of a family of tests, in powers of ten (at most 300), what refuses
    the table, and which of ``tests`` it is; ``group`` numbers the query, language or population."""

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


class Blur(NamedTuple):
    """The share of comparisons of a passage and a relevant one that are too close to call: of
    all, and of the query language, the passage language, the setting of a pair or the monolingual
    settings (``part``, with ``group`` as their number) of which it is largest."""

    share: float
    largest: float
    part: str
    group: int


@dataclass(frozen=True)
class Agreement:
    """What a comparison found.

    ``disorder`` (rows,) and ``exceeded`` (rows, languages) mark what contradicts the table;
    ``families`` has the strongest evidence of each of FAMILIES or FAMILIES_OF_PAIRS, and ``plain``
    that of those of several queries if rounding turned round TURNED of what is too close to call,
    and no more; ``blur`` says how much that is.
    """

    disorder: Bools
    exceeded: Bools
    seen: Seen
    families: dict[str, Worst]
    plain: dict[str, Worst]
    resolution: Resolution
    blur: Blur

    @property
    def undecided(self) -> float:
        """The share of all comparisons that are too close to call."""
        return self.blur.share

    @property
    def agrees(self) -> bool:
        """Whether nothing contradicts the table."""
        contradicted = self.disorder.any() or self.exceeded.any()
        return not contradicted and all(worst.agrees for worst in self.families.values())


class _Bets(NamedTuple):
    """The drawn values and claimed sums of some groups of queries, by side and kind of test.

    ``drawn`` (groups, sides, cells x weights, draws), ``claimed`` (..., populations); ``edges`` as
    in Vectors. Groups are query languages, but of pairs there is one: what is drawn of a population
    is compared with queries of one language anyway.
    """

    drawn: Floats
    claimed: Floats
    populations: Populations
    edges: Ints

    @classmethod
    def none(cls, claims: Claims, edges: Ints) -> _Bets:
        """Return bets to which those of queries are added."""
        groups = claims.languages if claims.populations.asked is None else 1
        shape = (groups, len(SIDES), len(CELLS) * len(WEIGHTS))
        drawn, claimed = np.zeros((*shape, edges[-1])), np.zeros((*shape, len(claims.populations)))
        return cls(drawn, claimed, claims.populations, edges)

    def whole(self) -> _Bets:
        """Return all queries as one group."""
        return self._replace(drawn=self.drawn.sum(0)[None], claimed=self.claimed.sum(0)[None])

    def wealth(self) -> Floats:
        """Return (groups, sides, cells x weights, populations, stakes)."""
        return log_wealth(self.drawn, self.claimed, self.populations.size, self.edges)

    def evidence(self) -> Floats:
        """Return that of the draws of all populations: (groups, sides, cells x weights)."""
        return evidence(self.wealth().sum(-2))

    def families(self, languages: int) -> Iterator[tuple[str, Floats]]:
        """Yield the name and the evidence of each family but that of single queries."""
        wealth, of = self.whole().wealth(), self.populations
        yield "whole", evidence(wealth.sum(-2))
        by_query = self.evidence() if of.asked is None else _joined(wealth, of.asked, languages)
        yield "query language", by_query
        yield "passage language", _joined(wealth, of.language, languages)
        if of.asked is not None:
            yield "setting", _joined(wealth, np.arange(len(of)), len(of))


def _joined(wealth: Floats, groups: Ints, size: int) -> Floats:
    """Return the evidence of all queries (1, sides, cells x weights, populations, stakes) in groups
    of populations: (groups, sides, cells x weights)."""
    sums = np.zeros((size, *wealth.shape[1:3], wealth.shape[-1]))
    np.add.at(sums, groups, np.moveaxis(wealth[0], -2, 0))
    return evidence(sums)


def compare(claims: Claims, vectors: Vectors, tolerance: Tolerance) -> Agreement:
    """Hold what a table claims against vectors of its sampled texts."""
    bets, plain = (_Bets.none(claims, vectors.edges) for _ in range(2))
    disorder, seen, of_queries = [], [], []
    for query, found in enumerate(see(claims, vectors, tolerance)):
        where = claims.where(query)
        group = int(claims.query_language[query]) if claims.populations.asked is None else 0
        stakes, claimed = _stakes(claims, query)
        claimed = claimed[..., claims.populations.language[where]]
        staked, stand_for = _drawn_stakes(stakes, claims.populations, where, vectors.edges)
        drawn = (found.hits[:, None] * staked).sum(2)
        of_queries.append(_of_query(drawn, claimed, claims.populations, where, vectors.edges))
        draws = vectors.draws(where)
        bets.drawn[group, ..., draws] += drawn
        bets.claimed[group, ..., where] += claimed
        plain.drawn[group, ..., draws] += (found.plain[:, None] * staked).sum(2)
        turned = TURNED * ((found.close * staked).sum(2) @ stand_for)
        plain.claimed[group, ..., where] += claimed + turned
        disorder.append(found.disorder)
        seen.append(found.seen)
    joined = Seen(*(np.concatenate(part) for part in zip(*seen, strict=True)))
    strongest = dict(bets.families(claims.languages)) | {"query": np.concatenate(of_queries)}
    of_several, count = dict(plain.families(claims.languages)), len(strongest)
    return Agreement(
        disorder=np.concatenate(disorder),
        exceeded=_exceeded(claims, joined),
        seen=joined,
        families={name: _worst(each, count) for name, each in strongest.items()},
        plain={name: _worst(each, count) for name, each in of_several.items()},
        resolution=_resolution(bets.whole(), _other_passages(claims), count),
        blur=_blur(claims, joined),
    )


def _drawn_stakes(
    stakes: Floats, populations: Populations, where: slice, edges: Ints
) -> tuple[Floats, Floats]:
    """Return what a draw of the populations that a query is searched in counts for, (sides, cells
    x weights, rows, draws), and for how many passages of each it stands, (draws, populations)."""
    draws = np.diff(edges[where.start : where.stop + 1])
    which = np.repeat(np.arange(len(draws)), draws)
    each = populations.size[where] / np.maximum(draws, 1)
    return stakes[..., populations.language[where][which]], each * np.eye(len(draws))[which]


def _of_query(
    drawn: Floats, claimed: Floats, populations: Populations, where: slice, edges: Ints
) -> Floats:
    """Return the evidence of one query: (1, sides, cells x weights)."""
    cut = edges[where.start : where.stop + 1]
    wealth = log_wealth(drawn, claimed, populations.size[where], cut - cut[0])
    return evidence(wealth.sum(-2))[None]


def _other_passages(claims: Claims) -> Ints:
    """Return how many passages of each population are not relevant to a row's query, summed over
    the rows: (populations,)."""
    others = claims.others()
    if claims.searched is None:
        return np.asarray(others.sum(0))
    found = np.zeros(len(claims.populations), np.int64)
    np.add.at(found, np.repeat(claims.searched, np.diff(claims.starts)), others.sum(1))
    return found


def _blur(claims: Claims, seen: Seen) -> Blur:
    """Return how much is too close to call."""
    asked = np.repeat(claims.query_language, np.diff(claims.starts))
    cells = np.zeros((2, 2, claims.languages, claims.languages), np.int64)
    own = claims.passage_language == asked
    for number, counts in enumerate((seen.level + seen.below, seen.encoded)):
        np.add.at(cells[0, number], asked, counts)
        np.add.at(cells[1, number], (asked[own], asked[own]), counts[own, asked[own]])

    def share(decided: Ints, encoded: Ints) -> Floats:
        found: Floats = np.where(encoded > 0, 1 - decided / np.maximum(encoded, 1), 0.0)
        return found

    of_parts = {
        "query language": share(*cells[0].sum(2)),
        "passage language": share(*cells[0].sum(1)),
        "monolingual": share(*cells[1].sum((1, 2))[:, None]),
    }
    if claims.populations.asked is not None:
        setting = claims.populations.asked, claims.populations.language
        of_parts["setting"] = share(*(counts[setting] for counts in cells[0]))
    part = max(of_parts, key=lambda name: float(of_parts[name].max()))
    group = int(of_parts[part].argmax())
    return Blur(float(share(*cells[0].sum((1, 2)))), float(of_parts[part][group]), part, group)


def threshold(tests: int, families: int = len(FAMILIES)) -> float:
    """Return the evidence, in powers of ten, that refuses a table in a family of so many tests.

    An honest table is refused with a chance of FALSE_ALARM at most (Bonferroni).
    """
    return float(np.log10(families * tests / FALSE_ALARM))


def _worst(found: Floats, families: int) -> Worst:
    """Return the strongest evidence of one of so many families: (groups, sides, cells x weights)
    -> the worst."""
    group, side, kind = np.unravel_index(np.argmax(found), found.shape)
    return Worst(
        evidence=float(np.minimum(found[group, side, kind] / np.log(10), STRONGEST)),
        threshold=threshold(found.size, families),
        tests=found.size,
        group=int(group),
        side=SIDES[side],
        cells=CELLS[kind // len(WEIGHTS)],
        weight=WEIGHTS[kind % len(WEIGHTS)],
    )


def _resolution(whole: _Bets, others: Ints, families: int) -> Resolution:
    """Try other claims on the same draws; ``others`` (populations,) sums over rows."""

    def refused(side: int, claimed: Floats, kinds: slice) -> bool:
        bets = whole._replace(
            drawn=whole.drawn[:, [side], kinds], claimed=claimed[:, [side], kinds]
        )
        return bool(bets.evidence().max() >= threshold(TESTS, families) * np.log(10))

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
    own = np.bincount(language, minlength=claims.languages)
    level = claims.above[rows] + claims.tied[rows]
    counts = np.stack([level, claims.sizes(query) - own - level]).astype(np.float64)
    same = language[:, None] == np.arange(claims.languages)
    monolingual = same & (language == claims.query_language[query])[:, None]
    cells = np.stack([np.ones_like(same), monolingual, same & ~monolingual])
    weights = np.stack([np.ones_like(counts), 1 / (1 + np.maximum(counts, 0))], 1)
    stakes = (cells[None, :, None] * weights[:, None]).reshape(2, -1, *level.shape)
    return stakes, (stakes * counts[:, None]).sum(2)
