"""Pairs scored once each: those that the embedding cache holds are not scored again.

Pairs of equal texts are one pair, so that they tie exactly. They are scored query by query, as much
at a time as takes a second or two, and kept after each batch: a run that is stopped goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import Fault, ModelError
from mlbench.models.boundary import calling
from mlbench.models.cache_files import Source, packed
from mlbench.models.pace import Pace
from mlbench.models.protocol import Changeable
from mlbench.models.reranking.protocol import Reranker

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Progress = Callable[[int], None]
_EXPECTED = "a floating-point array of shape (pairs,)"


@dataclass(frozen=True)
class PairScores:
    """The ``scores`` float32 of pairs, in their order; how many distinct pairs of texts were
    scored now and how many came from the cache, and the ``seconds`` that scoring took."""

    scores: Floats
    scored: int
    cached: int
    seconds: float


class PairScoring:
    """The scoring of pairs of texts: pair i is ``queries[query[i]]`` with
    ``passages[passage[i]]``.

    Making one takes from ``cache`` what is there; ``missing`` pairs are left. Raises ModelError
    where the reranker raises, or returns something else than a finite score for each pair.
    """

    def __init__(
        self,
        reranker: Reranker,
        texts: tuple[Sequence[str], Sequence[str]],
        pairs: tuple[Ints, Ints],
        cache: EmbeddingCache | None = None,
    ) -> None:
        self._reranker = reranker
        self._cache = cache if reranker.cacheable else None
        self._texts, numbers = zip(*map(_distinct, texts), strict=True)
        width = len(self._texts[1])
        names = numbers[0][pairs[0]] * width + numbers[1][pairs[1]]
        names, self._place = np.unique(names, return_inverse=True)
        self._query, self._passage = np.divmod(names, max(width, 1))
        self._scores = np.full(len(names), np.nan, np.float32)
        self._source = Source(reranker.identity, "pair", form="query and passage")
        self._keys = self._found() if self._cache else []
        self.missing = int(np.isnan(self._scores).sum())

    def score(self, progress: Progress = lambda done: None) -> PairScores:
        """Score what is missing, and return all scores; ``progress`` is told of pairs done."""
        todo = np.flatnonzero(np.isnan(self._scores))
        cached, began, pace = len(self._scores) - len(todo), time.perf_counter(), Pace()
        sizes = np.array([self._size(pair) for pair in todo.tolist()], np.int64)
        ends = np.append(np.flatnonzero(np.diff(self._query[todo])) + 1, len(todo))
        try:
            for part in pace.cut(sizes, ends):
                start = time.perf_counter()
                batch = todo[part]
                self._scores[batch] = self._asked(batch)
                self._keep(batch)
                pace.took(time.perf_counter() - start)
                progress(len(batch))
        except BaseException as error:
            if self._cache:
                kept = int(np.isfinite(self._scores).sum())
                error.add_note(
                    f"{kept:,} of {plural(len(self._scores), 'pair')} "
                    f"{agreeing(kept, 'is', 'are')} in the embedding cache; the same "
                    "command goes on from there"
                )
            raise
        if len(todo) and isinstance(self._reranker.adapter, Changeable):
            with calling(self._reranker.spec, "confirm"):
                self._reranker.adapter.confirm()
        seconds = time.perf_counter() - began
        return PairScores(self._scores[self._place], len(todo), cached, seconds)

    def _size(self, pair: int) -> int:
        texts = self._texts[0][self._query[pair]], self._texts[1][self._passage[pair]]
        return sum(map(len, texts))

    def _form(self, pair: int) -> bytes:
        texts = self._texts[0][self._query[pair]], self._texts[1][self._passage[pair]]
        return packed(text.encode() for text in texts)

    def _found(self) -> list[bytes]:
        """Take from the cache what is there; return the keys of all pairs."""
        keys = self._source.keys(map(self._form, range(len(self._scores))))
        for places, vectors in self._cache.find(self._source, keys) if self._cache else ():
            self._scores[places] = vectors[:, 0]
        return keys

    def _keep(self, batch: Ints) -> None:
        if self._cache:
            keys = [self._keys[pair] for pair in batch]
            self._cache.store(self._source, keys, self._scores[batch][:, None], self._reranker.name)

    def _asked(self, batch: Ints) -> Floats:
        queries = [self._texts[0][i] for i in self._query[batch]]
        passages = [self._texts[1][i] for i in self._passage[batch]]
        spec = self._reranker.spec
        with calling(spec, "score_pairs"):
            value = self._reranker.adapter.score_pairs(queries, passages)
        return checked(value, f"reranker {spec}, score_pairs", queries, passages)


def checked(value: Any, where: str, queries: list[str], passages: list[str]) -> Floats:
    """Return scores as float32 (n,). Raises ModelError for what is not one finite score a pair."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        kind = type(value).__name__
        found = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {kind}"
        raise ModelError(Fault(where, f"returned {found}", _EXPECTED))
    if value.shape != (len(queries),):
        found = f"returned shape {value.shape} for {plural(len(queries), 'pair')}"
        raise ModelError(Fault(where, found, "one score for each pair"))
    with np.errstate(over="ignore", invalid="ignore"):
        scores = np.asarray(value, np.float32)
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        first = int(wrong[0])
        pair = f"the query {queries[first][:60]!r} and the passage {passages[first][:60]!r}"
        more = f" (and for {plural(len(wrong) - 1, 'more pair')})" if len(wrong) > 1 else ""
        raise ModelError(Fault(where, f"returned {value[first]} for {pair}{more}", "finite scores"))
    return scores


def _distinct(texts: Sequence[str]) -> tuple[list[str], Ints]:
    """Return the distinct texts and the number of each text among them."""
    index: dict[str, int] = {}
    numbers = np.fromiter((index.setdefault(t, len(index)) for t in texts), np.int64, len(texts))
    return list(index), numbers
