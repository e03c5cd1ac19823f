"""The pass itself: reading, tokenising, encoding and counting at once, each in a thread.

    read a block  ->  plan it (tokenise)  ->  encode it  ->  count it
        thread             thread              caller         thread

Queues between them are short, so memory does not grow, and one shard follows the other without a
pause. The encoder is what takes the time; all else happens while it works.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mlbench.common.errors import Fault, IntegrityError, MlbenchError
from mlbench.data.corpus import ShardSource
from mlbench.evaluation.blocks import BLOCK, blocks_of
from mlbench.evaluation.counts import ShardCounts
from mlbench.evaluation.embeddings import Keeper
from mlbench.evaluation.encoder import BlockEncoder, Encoded, Planned
from mlbench.evaluation.prepared import Expected, Prepared
from mlbench.models.neural.forward import ahead
from mlbench.models.protocol import Truncation

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int], None]
SWITCH_SECONDS = 0.001
"""A thread that reads may hold the interpreter so long while the encoder waits for it; Python's
usual 0.005 makes an encoder of 10,000 texts a second a tenth slower."""


def count_shard(prepared: Prepared, model: LoadedModel, shard: ShardSource) -> ShardCounts:
    """Count one shard. Raises as ``count_shards`` does."""
    with contextlib.redirect_stdout(sys.stderr):
        (counts,) = count_shards(prepared, model, [shard])
    return counts


def count_shards(
    prepared: Prepared,
    model: LoadedModel,
    shards: Iterable[ShardSource],
    progress: Progress = lambda done: None,
) -> Iterator[ShardCounts]:
    """Yield the counts of each shard, in their order; ``progress`` is told of passages counted.

    Standard output should be redirected meanwhile: threads of a model may not do it in turn.
    Raises IntegrityError where a shard is not what the scan found, ModelError where the model
    fails, and what reading raises.
    """
    encoder = BlockEncoder(prepared, model)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_switching_often())
        tally = stack.enter_context(contextlib.closing(_Tally(prepared, encoder)))
        read = (block for shard in shards for block in blocks_of(shard, BLOCK))
        blocks = stack.enter_context(contextlib.closing(ahead(read)))
        planned: Iterator[Planned] = map(encoder.plan, blocks)
        if encoder.concurrent:
            planned = stack.enter_context(contextlib.closing(ahead(planned)))
        encoded = map(encoder.encode, planned)
        for done, counts in behind(tally.add, encoded, drain=_ends_shard):
            progress(done)
            if counts is not None:
                yield counts


@contextlib.contextmanager
def _switching_often() -> Iterator[None]:
    """Let no thread keep the interpreter from the encoder for long."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _ends_shard(encoded: Encoded) -> bool:
    """A shard's counts are handed over before the next is encoded, so that no two can be lost."""
    return encoded.plan.block.content is not None


def behind(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    drain: Callable[[Item], bool] = lambda item: False,
) -> Iterator[Result]:
    """Yield what ``function`` gives for each item, worked out in a thread while the next items are
    made; two wait at most, and none after an item that is to ``drain``.

    If making an item raises one of mlbench's errors, what was made before is still worked out.
    """
    made = iter(items)
    waiting: deque[Future[Result]] = deque()

    def rest() -> Iterator[Result]:
        while waiting:
            yield waiting.popleft().result()

    with ThreadPoolExecutor(1) as pool:
        try:
            while True:
                try:
                    item = next(made)
                except StopIteration:
                    break
                except MlbenchError:
                    yield from rest()
                    raise
                waiting.append(pool.submit(function, item))
                while waiting and (len(waiting) > 2 or waiting[0].done() or drain(item)):
                    yield waiting.popleft().result()
            yield from rest()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Tally:
    """Adds up blocks until a shard is complete."""

    def __init__(self, prepared: Prepared, encoder: BlockEncoder) -> None:
        self._prepared, self._encoder = prepared, encoder
        self._counter = prepared.counter()
        self._recomputed = 0
        self._began = time.perf_counter()
        self._keeper = Keeper(prepared.keep) if prepared.keep else None
        self._reset()

    def close(self) -> None:
        """Leave no unfinished file behind."""
        if self._keeper:
            self._keeper.close()

    def _reset(self) -> None:
        rows = len(self._prepared.pairs.query)
        self._above, self._tied = (np.zeros((rows, 1), np.int32) for _ in range(2))
        self._encoded = self._distinct = 0
        self._cut: Truncation | None = Truncation(0, 0, 0)

    def add(self, encoded: Encoded) -> tuple[int, ShardCounts | None]:
        """Count a block; return how many passages it had, and the shard's counts if it ended."""
        plan, block = encoded.plan, encoded.plan.block
        size = len(block.ids)
        if size:
            vectors = self._encoder.vectors(encoded)
            starts = np.array([0, size], np.int64)
            self._counter.count(vectors, starts, plan.own, (self._above, self._tied))
            if self._keeper:
                self._keeper.add(block, vectors)
            self._encoded += len(plan.order)
            self._distinct += plan.distinct
            self._cut = _sum(self._cut, plan.cut)
        if block.content is None:
            return size, None
        found = Expected(block.start + size, block.content)
        _check(block.shard, found, self._prepared)
        counts = self._finish(block.shard, found)
        self._reset()
        return size, counts

    def _finish(self, shard: ShardSource, found: Expected) -> ShardCounts:
        now, recomputed = time.perf_counter(), self._counter.recomputed
        began, before = self._began, self._recomputed
        self._began, self._recomputed = now, recomputed
        return ShardCounts(
            name=shard.name,
            language=shard.language,
            above=self._above[:, 0],
            tied=self._tied[:, 0],
            passages=found.passages,
            content=found.content,
            encoded=self._encoded,
            distinct=self._distinct,
            recomputed=recomputed - before,
            seconds=now - began,
            cut=self._cut,
            kept=self._keeper.finish(shard, found.content) if self._keeper else None,
        )


def _sum(first: Truncation | None, second: Truncation | None) -> Truncation | None:
    if first is None or second is None:
        return None
    return Truncation(*(a + b for a, b in zip(first, second, strict=True)))


def _check(shard: ShardSource, found: Expected, prepared: Prepared) -> None:
    """Refuse a shard that is not the one that was scanned."""
    expected = prepared.expected[shard.name]
    if found != expected:
        raise IntegrityError(
            Fault(
                shard.name,
                f"{found.passages:,} passages, digest {found.content[:12]}",
                f"{expected.passages:,} passages, digest {expected.content[:12]}, as when scanned",
                "the file has changed meanwhile: restore it, or start anew with --overwrite",
            )
        )
