"""Does a table of ranks agree with vectors of some of its texts? Arrays in, findings out.

Of sampled queries all relevant passages are encoded again, and of each language some passages
drawn at random. A score computed again differs a little from the first one: on another machine, in
another batch, a model rounds otherwise. A passage counts as above another only where no rounding
can have turned the two round. What is then certain must be what the table says:

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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.ranking.counting import scorer_of
from mlbench.ranking.vectors import TokenVectors
from mlbench.ranking.vectors import Vectors as AnyVectors

if TYPE_CHECKING:
    pass


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])
ROUNDING = 1e-12


def log_wealth(drawn: Floats, claimed: Floats, sizes: Ints, edges: Ints) -> Floats:
    """Return the logarithm of the wealth that each stake ends with in each population.

    This is evidence against a claimed total, by betting on values drawn at random. A population of
    N values, none negative, is claimed to have the sum S. Values are drawn one by one without
    replacement, and before each draw someone who starts with 1 stakes a share c of all they have
    on the claim being too small:

        wealth <- wealth * (1 + c * (x / mean - 1)),   mean = (S - what was drawn) / (N - drawn)

    If the sum is S or less, no stake wins on average, so the chance that the wealth ever reaches W
    is at most 1 / W (Ville's inequality): it is a test that holds for any population and any
    sample size. Populations drawn from independently (here: one a language) multiply; several c
    are played side by side, each with an equal part of the 1.

    I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting",
    Journal of the Royal Statistical Society B 86 (2024), section 5 (without replacement); used for
    auditing elections by P. B. Stark, "ALPHA: audit that learns from previously hand-audited
    ballots", Annals of Applied Statistics 17 (2023).

    ``drawn`` (..., draws) are the values in the order drawn, one population after the other, cut
    by ``edges`` (populations + 1,); ``claimed`` (..., populations) are the sums, ``sizes`` the
    numbers of values. Returns float64 (..., populations, stakes): infinite where what was drawn
    exceeds the claim, 0 where nothing was drawn.
    """
    found = np.zeros((*claimed.shape, len(STAKES)))
    for number, size in enumerate(sizes.tolist()):
        value = drawn[..., edges[number] : edges[number + 1]]
        total = claimed[..., number, None]
        remaining = total - np.cumsum(value, -1) + value
        slack = ROUNDING * (1 + np.abs(total))
        mean = remaining / (size - np.arange(value.shape[-1]))
        ratio = np.where(value > remaining + slack, np.inf, 1.0)
        np.divide(value, mean, out=ratio, where=np.isfinite(ratio) & (remaining > slack))
        for place, stake in enumerate(STAKES):
            found[..., number, place] = np.log1p(stake * (ratio - 1)).sum(-1)
    return found


def evidence(wealth: Floats) -> Floats:
    """Return the logarithm of the wealth of all stakes together: (..., stakes) -> (...)."""
    most = wealth.max(-1, keepdims=True)
    finite = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(over="ignore"):
        joined: Floats = np.log(np.exp(wealth - finite).mean(-1)) + finite[..., 0]
    return joined


@dataclass(frozen=True)
class Tolerance:
    """How far a score computed again may be off: ``share`` of |query| |passage|.

    ``ties`` says whether equal scores are taken to be equal wherever they are computed.
    """

    share: float
    ties: bool = True


TOLERANCES = {
    "float32": Tolerance(1e-5),
    "float16": Tolerance(1e-3),
    "bfloat16": Tolerance(4e-3),
}
"""By type of the model's weights; of any other type, COARSE. Measured with all-MiniLM-L6-v2 in
batches of 7 against one of 400: cosines 4e-7, 5e-4 and 3e-3 apart at most."""
COARSE = Tolerance(1.5e-2, ties=False)


@dataclass(frozen=True)
class Claims:
    """What a table says of some queries; int64 arrays, rows grouped by query.

    ``starts`` (queries + 1,) cuts the rows; ``place`` (rows,), ``above`` and ``tied`` (rows,
    languages) are the table's; ``pool`` (languages,) counts all passages, and ``sizes`` (queries,
    languages) those that each query is searched in, None where it is all.
    """

    starts: Ints
    query_language: Ints
    passage_language: Ints
    place: Ints
    above: Ints
    tied: Ints
    pool: Ints
    sizes: Ints | None = None

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.starts) - 1

    def rows(self, query: int) -> slice:
        """Return the rows of a query."""
        return slice(int(self.starts[query]), int(self.starts[query + 1]))

    def others(self) -> Ints:
        """Return how many passages of each language are not relevant to a row's query."""
        query = np.repeat(np.arange(self.queries), np.diff(self.starts))
        own = np.zeros((self.queries, len(self.pool)), np.int64)
        np.add.at(own, (query, self.passage_language), 1)
        others: Ints = ((self.pool if self.sizes is None else self.sizes) - own)[query]
        return others


@dataclass(frozen=True)
class Vectors:
    """What was encoded again, ready for scoring.

    ``passages`` are contiguous by language, cut by ``starts``;
    ``relevant`` (rows,) is the passage of each of the claims' rows, ``drawn`` the drawn passages
    in the order drawn, language after language, cut by ``edges`` (languages + 1,). ``pools`` are
    numbers of the pool that each query is searched in (queries,) and that each passage is of
    (passages,), None where all passages are one.
    """

    queries: AnyVectors
    passages: AnyVectors
    starts: Ints
    relevant: Ints
    drawn: Ints
    edges: Ints
    pools: tuple[Ints, Ints] | None = None

    def searched(self, query: int) -> Bools:
        """Return which passages a query is searched in."""
        if self.pools is None:
            return np.ones(self.passages.shape[0], bool)
        asked, of = self.pools
        return np.asarray(of == asked[query])


class Seen(NamedTuple):
    """What was seen of some rows, (rows, languages) each: passages encoded that are not relevant
    to the query, and those of them certainly above, above or level, and certainly below."""

    encoded: Ints
    above: Ints
    level: Ints
    below: Ints


class QuerySeen(NamedTuple):
    """What was seen of one query.

    ``disorder`` (rows,) marks passages that certainly stand in another order than claimed;
    ``hits`` (2, rows, draws) says whether a drawn passage is certainly above or level, and below;
    ``plain`` the same as it was encoded now, without room for rounding; ``close`` (rows, draws)
    which are too close to call.
    """

    disorder: Bools
    seen: Seen
    hits: Bools
    plain: Bools
    close: Bools


def see(claims: Claims, vectors: Vectors, tolerance: Tolerance) -> Iterator[QuerySeen]:
    """Score the passages for each query and yield what is certain of them, query by query."""
    scorer = scorer_of(vectors.queries, vectors.passages, vectors.starts)
    lengths = _norms(vectors.queries, np.add), _norms(vectors.passages, np.maximum)
    size = vectors.passages.shape[0]
    for query in range(claims.queries):
        rows = claims.rows(query)
        own = vectors.relevant[rows]
        score = scorer.exact(np.full(size, query), np.arange(size))
        reach = tolerance.share * lengths[0][query] * lengths[1]
        others = vectors.searched(query)
        others[own] = False
        above = (score - reach > (score + reach)[own, None]) & others
        below = (score + reach < (score - reach)[own, None]) & others
        higher, lower = (score > score[own, None]) & others, (score < score[own, None]) & others
        equal = others & ~higher & ~lower & tolerance.ties
        level = above | equal
        parts = np.broadcast_to(others, above.shape), above, level, below
        yield QuerySeen(
            _disorder(claims.place[rows], score[own], reach[own]),
            Seen(*(_by_language(part, vectors.starts) for part in parts)),
            np.stack([level, below])[..., vectors.drawn],
            np.stack([higher | equal, lower])[..., vectors.drawn],
            (others & ~level & ~below)[..., vectors.drawn],
        )


def _by_language(found: Bools, starts: Ints) -> Ints:
    """Count what is marked of the passages of each language: (rows, passages) -> (rows, languages).

    A language without passages has none.
    """
    counts = np.zeros((len(found), len(starts) - 1), np.int64)
    there = np.flatnonzero(np.diff(starts))
    counts[:, there] = np.add.reduceat(found, starts[there], 1, np.int64)
    return counts


def _disorder(place: Ints, score: Floats, reach: Floats) -> Bools:
    """Mark the passages of a query that certainly score higher or lower than claimed beside one
    another; those in equal places must be level."""
    higher = place[:, None] < place
    certainly = (score - reach)[:, None] > score + reach
    wrong = certainly & ~higher
    return np.asarray(wrong.any(0) | wrong.any(1))


def _norms(vectors: AnyVectors, over_tokens: np.ufunc) -> Floats:
    """Return what times the other side's bounds a score: norms, of tokens added or the largest."""
    if isinstance(vectors, TokenVectors):
        norms = _norms(vectors.vectors, over_tokens)
        return np.asarray(over_tokens.reduceat(norms, vectors.starts[:-1]))
    exact = vectors.astype(np.float64)
    squares = exact**2 if isinstance(exact, np.ndarray) else exact.multiply(exact)
    return np.asarray(np.sqrt(np.asarray(squares.sum(1)).ravel()))


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
TURNED = 0.05
"""The share of comparisons too close to call that rounding may turn round, of honest tables."""
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


class Blur(NamedTuple):
    """The share of comparisons of a passage and a relevant one that are too close to call: of
    all, and of the query language, the passage language or the monolingual settings (``part``,
    with ``group`` as their number) of which it is largest."""

    share: float
    largest: float
    part: str
    group: int


@dataclass(frozen=True)
class Agreement:
    """What a comparison found.

    ``disorder`` (rows,) and ``exceeded`` (rows, languages) mark what contradicts the table;
    ``families`` has the strongest evidence of each of FAMILIES, and ``plain`` that of those of
    several queries if rounding turned round TURNED of what is too close to call, and no more;
    ``blur`` says how much that is.
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

    def families(self) -> Iterator[Floats]:
        """Yield the evidence of each of FAMILIES but the last, the groups being languages."""
        whole = self.whole()
        yield whole.evidence()
        yield self.evidence()
        yield np.moveaxis(evidence(whole.wealth())[0], -1, 0)


def compare(claims: Claims, vectors: Vectors, tolerance: Tolerance) -> Agreement:
    """Hold what a table claims against vectors of its sampled texts."""
    languages = len(claims.pool)
    shape = (languages, len(SIDES), len(CELLS) * len(WEIGHTS))
    bets, plain = (
        _Bets(
            np.zeros((*shape, len(vectors.drawn))),
            np.zeros((*shape, languages)),
            claims.pool,
            vectors.edges,
        )
        for _ in range(2)
    )
    draws = np.diff(vectors.edges)
    drawn_language = np.repeat(np.arange(languages), draws)
    stand_for = (claims.pool / np.maximum(draws, 1)) * np.eye(languages)[drawn_language]
    disorder, seen, of_queries = [], [], []
    for query, found in enumerate(see(claims, vectors, tolerance)):
        stakes, claimed = _stakes(claims, query)
        staked, asked = stakes[..., drawn_language], claims.query_language[query]
        drawn = (found.hits[:, None] * staked).sum(2)
        of_queries.append(_Bets(drawn[None], claimed[None], claims.pool, vectors.edges).evidence())
        bets.drawn[asked] += drawn
        bets.claimed[asked] += claimed
        plain.drawn[asked] += (found.plain[:, None] * staked).sum(2)
        plain.claimed[asked] += claimed + TURNED * ((found.close * staked).sum(2) @ stand_for)
        disorder.append(found.disorder)
        seen.append(found.seen)
    joined = Seen(*(np.concatenate(part) for part in zip(*seen, strict=True)))
    strongest = (*bets.families(), np.concatenate(of_queries))
    return Agreement(
        disorder=np.concatenate(disorder),
        exceeded=_exceeded(claims, joined),
        seen=joined,
        families={name: _worst(each) for name, each in zip(FAMILIES, strongest, strict=True)},
        plain={name: _worst(each) for name, each in zip(FAMILIES, plain.families(), strict=False)},
        resolution=_resolution(bets.whole(), claims.others().sum(0)),
        blur=_blur(claims, joined),
    )


def _blur(claims: Claims, seen: Seen) -> Blur:
    """Return how much is too close to call."""
    asked = np.repeat(claims.query_language, np.diff(claims.starts))
    cells = np.zeros((2, 2, len(claims.pool), len(claims.pool)), np.int64)
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
    part = max(of_parts, key=lambda name: float(of_parts[name].max()))
    group = int(of_parts[part].argmax())
    return Blur(float(share(*cells[0].sum((1, 2)))), float(of_parts[part][group]), part, group)


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
    size = claims.pool if claims.sizes is None else claims.sizes[query]
    counts = np.stack([level, size - own - level]).astype(np.float64)
    same = language[:, None] == np.arange(len(claims.pool))
    monolingual = same & (language == claims.query_language[query])[:, None]
    cells = np.stack([np.ones_like(same), monolingual, same & ~monolingual])
    weights = np.stack([np.ones_like(counts), 1 / (1 + np.maximum(counts, 0))], 1)
    stakes = (cells[None, :, None] * weights[:, None]).reshape(2, -1, *level.shape)
    return stakes, (stakes * counts[:, None]).sum(2)
