"""Batches that mix languages: a plan that is drawn, replayed, and resumed anywhere.

A batch holds rows; each row is a question in one language and a passage that answers it, in the
same or in another. Of which kind a batch is, decides how the languages are drawn:

* *mono*: one language for all questions and passages of the batch. Where the passages are images,
  all captions of the batch are in one language.
* *pair*: one pair of different languages for the whole batch.
* *mixed*: for each row its own pair of different languages (X-Y of arXiv 2408.10536). Where the
  passages are images, each row's caption has its own language.
* *multi*: for each row a question language and, independently of it, a passage language, so that
  both are the same in some rows.

The kind is drawn for each batch; *mono* with probability alpha, else *mixed*, is the hybrid batch
of that paper. No question and no passage comes twice in a batch, in whatever language, since the
answer of one row would be counted as wrong for the other. Batches are drawn independently of each
other: batch k depends on the seed and k alone, not on the batches before it, on the library that
trains, or on how many processes share it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError, first_faults
from mlbench.data.task import IMAGE

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
TOLERANCE = 1e-6
"""How far proportions may be from adding up to 1."""
ROUNDS = 8
"""Draws of a row before those that are left are searched."""


class Positives(Protocol):
    """The judged pairs of a question language and a passage language: ``query`` and ``passage``
    hold the number of the question and of the passage of each, int64 (n,). Translations and equal
    texts share a number."""

    @property
    def query(self) -> IntArray: ...  # noqa: D102
    @property
    def passage(self) -> IntArray: ...  # noqa: D102


class Kind(StrEnum):
    """The kinds of batches; see the top of this module."""

    MONO = "mono"
    PAIR = "pair"
    MIXED = "mixed"
    MULTI = "multi"

    def takes(self, query_language: str, passage_language: str) -> bool:
        """Say whether a row may be of a pair of languages."""
        return query_language != IMAGE and _RULES[self].takes(query_language, passage_language)

    @property
    def one_a_batch(self) -> bool:
        """Whether all rows of a batch are of one pair of languages."""
        return _RULES[self].one_a_batch


@dataclass(frozen=True)
class _Rule:
    """Which pairs of languages a kind draws from, and whether one pair is for the whole batch."""

    takes: Callable[[str, str], bool]
    one_a_batch: bool


_RULES = {
    Kind.MONO: _Rule(lambda query, passage: passage in (query, IMAGE), True),
    Kind.PAIR: _Rule(lambda query, passage: passage not in (query, IMAGE), True),
    Kind.MIXED: _Rule(operator.ne, False),
    Kind.MULTI: _Rule(lambda query, passage: True, False),
}


@dataclass(frozen=True)
class Proportions:
    """How often a batch is of each kind, as probabilities that add up to 1."""

    mono: float = 0.0
    pair: float = 0.0
    mixed: float = 0.0
    multi: float = 0.0

    @classmethod
    def hybrid(cls, alpha: float) -> Proportions:
        """Return the hybrid batches of arXiv 2408.10536: *mono* with probability alpha, else
        *mixed*.

        >>> Proportions.hybrid(0.25)
        Proportions(mono=0.25, pair=0.0, mixed=0.75, multi=0.0)
        """
        return cls(mono=alpha, mixed=1 - alpha)

    def of(self, kind: Kind) -> float:
        """Return the probability of a kind."""
        return float(getattr(self, kind))

    def faults(self, where: str = "proportions") -> list[Fault]:
        """Return what is wrong with them."""
        shares = dataclasses.asdict(self)
        wrong = {name: share for name, share in shares.items() if not 0 <= share <= 1}
        expected = "a number from 0 to 1"
        if wrong:
            return [
                Fault(f"{where}, {name}", repr(share), expected) for name, share in wrong.items()
            ]
        total = sum(shares.values())
        if abs(total - 1) > TOLERANCE:
            shown = " + ".join(f"{name} {share:g}" for name, share in shares.items() if share)
            found = f"they add up to {total:g}" + (f" ({shown})" if shown else "")
            return [Fault(where, found, "proportions that add up to 1")]
        return []


@dataclass(frozen=True)
class Batch:
    """One batch: of which kind it is; for each row the languages of question and passage, as
    numbers in ``languages``, and which of the judged pairs of these two it is; each int64 (n,)."""

    kind: Kind
    languages: tuple[str, ...]
    query_language: IntArray
    passage_language: IntArray
    row: IntArray

    def __len__(self) -> int:
        return len(self.row)

    def part(self, number: int, of: int) -> Batch:
        """Return the rows of one of ``of`` processes that share the batch: as many for each."""
        size = len(self) // of
        cut = slice(number * size, (number + 1) * size)
        return Batch(
            self.kind,
            self.languages,
            self.query_language[cut],
            self.passage_language[cut],
            self.row[cut],
        )

    def by_pair(self) -> Iterator[tuple[str, str, IntArray, IntArray]]:
        """Yield each pair of languages in the batch, the places of its rows in the batch, and
        which judged pairs they are."""
        pairs = self.query_language * len(self.languages) + self.passage_language
        for pair in np.unique(pairs):
            places = np.flatnonzero(pairs == pair)
            query, passage = divmod(int(pair), len(self.languages))
            yield self.languages[query], self.languages[passage], places, self.row[places]


class LanguageDraw:
    """Draws kinds of batches and pairs of languages from those pairs that there are.

    ``pairs`` are question language and passage language by their numbers in ``languages``.
    ``weights`` makes some languages more frequent than others, which have weight 1: a pair is drawn
    in proportion to the product of its two.

    Raises UsageError for proportions that cannot be, or weights of other languages; DataError for a
    language that has no pair of a kind that is to be drawn.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        languages: Sequence[str],
        proportions: Proportions,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.languages = tuple(languages)
        self.weights = dict.fromkeys(languages, 1.0) | dict(weights or {})
        if faults := [*plan_faults(languages, proportions, self.weights)]:
            raise UsageError(*faults)
        self.kinds = [kind for kind in Kind if proportions.of(kind)]
        self._kind_up_to = np.cumsum([proportions.of(kind) for kind in self.kinds])
        self.pairs = {kind: self._pairs(kind, pairs) for kind in self.kinds}
        if faults := [*self._languages_without_pairs()]:
            raise DataError(*first_faults(faults))
        self._up_to = {kind: self._chances(kind) for kind in self.kinds}

    def kind(self, chance: np.random.Generator) -> Kind:
        """Draw a kind."""
        place = np.searchsorted(self._kind_up_to, chance.random(), side="right")
        return self.kinds[min(int(place), len(self.kinds) - 1)]

    def draw(self, kind: Kind, size: int, chance: np.random.Generator) -> IntArray:
        """Draw the pair of each row of a batch of a kind, int64 (size, 2)."""
        count = 1 if kind.one_a_batch else size
        places = np.searchsorted(self._up_to[kind], chance.random(count), side="right")
        drawn: IntArray = self.pairs[kind][np.minimum(places, len(self.pairs[kind]) - 1)]
        return np.broadcast_to(drawn, (size, 2))

    def _pairs(self, kind: Kind, pairs: Sequence[tuple[int, int]]) -> IntArray:
        code = self.languages
        taken = [
            (query, passage) for query, passage in pairs if kind.takes(code[query], code[passage])
        ]
        return np.array(taken, np.int64).reshape(-1, 2)

    def _chances(self, kind: Kind) -> FloatArray:
        of_language = np.array([self.weights[code] for code in self.languages])
        of_pair = of_language[self.pairs[kind]]
        up_to: FloatArray = np.cumsum(of_pair[:, 0] if kind is Kind.MONO else of_pair.prod(axis=1))
        up_to /= up_to[-1]
        return up_to

    def _languages_without_pairs(self) -> Iterator[Fault]:
        for kind, pairs in self.pairs.items():
            if not len(pairs) and IMAGE in self.languages:
                found, mend = "all passages are images", "plan mono or mixed batches instead"
                yield Fault(f"{kind} batches", found, "pairs of texts in two languages", mend)
                continue
            there = set(pairs.ravel().tolist())
            within = "within it" if kind is Kind.MONO else "with any other language"
            for number, language in enumerate(self.languages):
                if number not in there:
                    found = f"the training set has no judged pairs of it {within}"
                    expected = f"pairs for the {kind} batches of the plan"
                    mend = "leave the language out, or plan no batches of this kind"
                    yield Fault(f"language {language}", found, expected, mend)


def plan_faults(
    languages: Sequence[str], proportions: Proportions, weights: Mapping[str, float]
) -> Iterator[Fault]:
    """Yield what is wrong with a plan whatever the data is."""
    yield from proportions.faults()
    for language in sorted(weights.keys() - set(languages)):
        expected = "one of " + ", ".join(languages)
        yield Fault("weights", f"{language!r} is no language of the plan", expected)
    for language, weight in weights.items():
        if not 0 < weight < float("inf"):
            yield Fault(f"weights, {language}", repr(weight), "a number above 0")
    if len(languages) < 2 and (proportions.pair or proportions.mixed):
        found = f"{len(languages)} language, and batches across languages"
        yield Fault("languages", found, "two languages or more, or mono batches only")


class HybridBatches:
    """The plan of a training: ``plan[k]`` is batch k, for every k from 0.

    ``rows(query_language, passage_language)`` gives the judged pairs of two of ``languages`` (none:
    an empty one). ``weights`` makes some languages more frequent than others, which have weight 1:
    a pair is drawn in proportion to the product of its two, among the pairs that have rows.

    Raises UsageError for proportions that cannot be, or weights of other languages; DataError
    for a language that has no pairs of a kind that is to be drawn, or where the rows do not
    suffice for a batch of ``size`` rows without a question or passage twice.

    >>> from types import SimpleNamespace
    >>> rows = SimpleNamespace(query=np.arange(50), passage=np.arange(50))
    >>> plan = HybridBatches(lambda q, p: rows, ("de", "en"), 4, Proportions(mono=1), seed=7)
    >>> len(set(plan[3].query_language)), plan[3].row.tolist() == plan[3].row.tolist()
    (1, True)
    """

    def __init__(
        self,
        rows: Callable[[str, str], Positives],
        languages: Sequence[str],
        size: int,
        proportions: Proportions,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.languages, self.size = tuple(languages), size
        self.proportions, self.seed = proportions, seed
        if size < 2:
            found, expected = str(size), "a whole number from 2"
            mend = "the other rows of a batch are what a row is told apart from"
            told = plan_faults(languages, proportions, weights or {})
            raise UsageError(*told, Fault("batch size", found, expected, mend))
        self._rows: dict[tuple[int, int], tuple[IntArray, IntArray]] = {}
        self._read(rows)
        self._draw = LanguageDraw([*self._rows], languages, proportions, weights)
        if faults := [*self._too_few()]:
            raise DataError(*first_faults(faults))

    def __getitem__(self, number: int) -> Batch:
        chance = np.random.default_rng((self.seed, number))
        kind = self._draw.kind(chance)
        pairs = self._draw.draw(kind, self.size, chance)
        row = self._fill(pairs, chance)
        if row is None:
            among = pairs[:1] if kind.one_a_batch else self._draw.pairs[kind]
            pairs, row = self._matched(among, chance)
        return Batch(kind, self.languages, pairs[:, 0], pairs[:, 1], row)

    def kind(self, number: int) -> Kind:
        """Return of which kind a batch is, without drawing its rows."""
        return self._draw.kind(np.random.default_rng((self.seed, number)))

    def describe(self) -> dict[str, Any]:
        """Return what the plan is, for a record of a training."""
        return {
            "languages": list(self.languages),
            "size": self.size,
            "seed": self.seed,
            "proportions": dataclasses.asdict(self.proportions),
            "weights": self._draw.weights,
        }

    def _read(self, rows: Callable[[str, str], Positives]) -> None:
        """Get the judged pairs of all pairs of languages that some kind draws from."""
        kinds = [kind for kind in Kind if self.proportions.of(kind)]
        for query, query_language in enumerate(self.languages):
            for passage, passage_language in enumerate(self.languages):
                if any(kind.takes(query_language, passage_language) for kind in kinds):
                    found = rows(query_language, passage_language)
                    if len(found.query):
                        self._rows[query, passage] = found.query, found.passage

    def _too_few(self) -> Iterator[Fault]:
        known: dict[tuple[int, int], int] = {}  # parallel languages share their arrays
        for kind, among in self._draw.pairs.items():
            pairs = [(int(query), int(passage)) for query, passage in among]
            for pair in pairs:
                query, passage = self._rows[pair]
                same = id(query), id(passage)
                if same not in known:
                    known[same] = _room(query, passage, self.size)
                if kind.one_a_batch and known[same] < self.size:
                    shown = "-".join(dict.fromkeys(self.languages[number] for number in pair))
                    yield self._small(f"{kind} batches of {shown}", known[same])
            if not kind.one_a_batch and all(
                known[id(self._rows[pair][0]), id(self._rows[pair][1])] < self.size
                for pair in pairs
            ):
                edges = [self._rows[pair] for pair in pairs]
                query, passage = (np.concatenate(side) for side in zip(*edges, strict=True))
                if (room := _room(query, passage, self.size)) < self.size:
                    yield self._small(f"{kind} batches", room)

    def _small(self, where: str, room: int) -> Fault:
        found = f"{plural(room, 'row')} at most, since no question or passage comes twice"
        mend = "make the batch smaller, or take more data"
        return Fault(where, found, f"{plural(self.size, 'row')}, the batch size", mend)

    def _fill(self, pairs: IntArray, chance: np.random.Generator) -> IntArray | None:
        """Return a row for each place of a batch whose pair of languages is known, uniform among
        those without a question or passage of another place; None where one finds no row."""
        chosen = np.full(len(pairs), -1, np.int64)
        queries: set[int] = set()
        passages: set[int] = set()
        sides = [self._rows[query, passage] for query, passage in pairs.tolist()]

        def take(place: int, row: int) -> bool:
            query, passage = int(sides[place][0][row]), int(sides[place][1][row])
            if query in queries or passage in passages:
                return False
            queries.add(query)
            passages.add(passage)
            chosen[place] = row
            return True

        without = list(range(len(pairs)))
        for _ in range(ROUNDS):
            draws = zip(without, chance.random(len(without)).tolist(), strict=True)
            without = [p for p, u in draws if not take(p, int(u * len(sides[p][0])))]
        for place in without:
            query, passage = sides[place]
            free = ~np.isin(query, list(queries)) & ~np.isin(passage, list(passages))
            rows = np.flatnonzero(free)
            if not len(rows):
                return None
            take(place, int(rows[int(chance.random() * len(rows))]))
        return chosen

    def _matched(self, pairs: IntArray, chance: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Return pairs of languages, among some, and rows of a batch that single draws do not fill,
        because it holds nearly all questions there are."""
        sides = [self._rows[query, passage] for query, passage in pairs.tolist()]
        query, passage = (np.concatenate(side) for side in zip(*sides, strict=True))
        sizes = [len(side[0]) for side in sides]
        edges = _matching(query, passage, chance)
        edges = edges[np.argsort(chance.random(len(edges)))[: self.size]]
        of_pair = np.repeat(np.arange(len(pairs)), sizes)[edges]
        starts = np.cumsum([0, *sizes[:-1]])
        return pairs[of_pair], edges - starts[of_pair]


def _room(query: IntArray, passage: IntArray, enough: int) -> int:
    """Return how many rows can be had without a question or passage twice, or ``enough`` where
    those are no fewer."""
    queries: set[int] = set()
    passages: set[int] = set()
    for one, other in zip(query.tolist(), passage.tolist(), strict=True):
        if one not in queries and other not in passages:
            queries.add(one)
            passages.add(other)
            if len(queries) == enough:
                return enough
    return min(enough, len(_matching(query, passage, np.random.default_rng(0))))


def _matching(query: IntArray, passage: IntArray, chance: np.random.Generator) -> IntArray:
    """Return, of judged pairs, the most that have no question or passage in common: a maximum
    matching, with chance among them."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    mixed = np.argsort(chance.random(len(query)))
    queries, of_query = np.unique(query, return_inverse=True)
    passages, of_passage = np.unique(passage, return_inverse=True)
    of_query = np.argsort(chance.random(len(queries)))[of_query]
    of_passage = np.argsort(chance.random(len(passages)))[of_passage]
    keys, first = np.unique((of_query * len(passages) + of_passage)[mixed], return_index=True)
    edges = mixed[first]
    graph = csr_matrix(
        (np.ones(len(keys), np.int8), (of_query[edges], of_passage[edges])),
        shape=(len(queries), len(passages)),
    )
    partner = maximum_bipartite_matching(graph, perm_type="column")
    matched = np.flatnonzero(partner >= 0)
    places = np.searchsorted(keys, matched * len(passages) + partner[matched])
    found: IntArray = edges[places]
    return found
