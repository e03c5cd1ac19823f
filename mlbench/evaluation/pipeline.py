"""The pass itself: reading, tokenising, encoding and counting at once, each in a thread.

    read a block  ->  plan it (tokenise)  ->  encode it  ->  count it
        thread             thread              caller         thread

Queues between them are short, so memory does not grow, and one shard follows the other without a
pause. The encoder is what takes the time; all else happens while it works.

A passage that the model reads as it reads a relevant one is given that one's vector, so that the
two tie exactly, whatever a model's rounding owes to the batch. What a batch holds follows from its
block alone, so a shard's counts do not depend on the run that made them.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, IntegrityError, MlbenchError
from mlbench.common.streams import stdout_to_stderr
from mlbench.data.corpus import ShardSource
from mlbench.evaluation.core import Expected, Prepared, ShardCounts
from mlbench.evaluation.saving_vectors import VectorWriter
from mlbench.evaluation.scan import BLOCK, TOKEN_BLOCK, Block, blocks_of
from mlbench.models.boundary import Layout, Vectors, attribute, calling, check_vectors
from mlbench.models.encoding import Ints, ready_to_score
from mlbench.models.inputs import Inputs
from mlbench.models.neural.forward import ahead
from mlbench.models.plan import Distinct, longest_first
from mlbench.models.protocol import Bound, FormEncoding, Truncation
from mlbench.models.rows import Rows
from mlbench.ranking.nearest import Nearest
from mlbench.ranking.topk import nearest_of
from mlbench.ranking.vectors import TokenVectors

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel


AT_ONCE = 256
"""Texts that a model is given at once. It is fixed, unlike the batches of ``encoding``, so that a
batch follows from its block alone."""


@dataclass(frozen=True)
class Planned:
    """What is to be encoded of a block.

    ``group`` holds its distinct texts, ``forms`` what the model reads of each; ``known`` (texts,)
    is the row of the relevant passage that is read the same, or -1; ``order`` (missing,) are the
    others, as they are to be encoded. ``distinct`` is the number of different texts, ``cut`` what
    the maximum length costs them (None where unknown); for ``own`` see ``Prepared.own``.
    """

    block: Block
    group: Distinct
    forms: list[bytes]
    known: Ints
    order: Ints
    own: Ints
    distinct: int
    cut: Truncation | None


class Encoded(NamedTuple):
    """A planned block and the vectors of ``plan.order``, in parts, as the model gave them."""

    plan: Planned
    parts: list[Vectors]


class BlockEncoder:
    """Encodes the blocks of one pass with one model.

    Beside ``encoding.Encoding``, which does so for texts that are all at hand, because here texts
    that the core has are known, nothing is cached, and planning runs in a thread of its own.

    If ``concurrent``, ``plan`` may run in another thread than ``encode``.
    """

    def __init__(self, prepared: Prepared, model: LoadedModel) -> None:
        self.prepared = prepared
        self.model = model
        self.concurrent = isinstance(model.adapter, FormEncoding)
        self._free = attribute(model.spec, model.adapter, "language_free", False)
        self._bound = isinstance(model.adapter, Bound)
        self._inputs = Inputs(model)
        self._layout = Layout.of(prepared.relevant, "the relevant passages")

    def plan(self, block: Block) -> Planned:
        """Find what is to be encoded of a block. Raises ModelError where the model fails."""
        code = block.shard.language
        if self._bound:
            with calling(self.model.spec, "bind"):
                self.model.adapter.bind("passage", code, block.ids, block.texts)
        group = Distinct.of("passage", "" if self._free else code, block.texts)
        distinct = len(group.texts)
        forms = self._inputs.forms("passage", group.texts)
        cut = self._inputs.truncation("passage", code, group.texts) if distinct else None
        if self._inputs.by_form:
            group, places = group.merged(forms)
            forms = [forms[place] for place in places]
        known = self.prepared.known[group.language]
        rows = np.fromiter((known.get(form, -1) for form in forms), np.int64, len(forms))
        order = np.flatnonzero(rows < 0)
        if self._inputs.by_form:
            order = longest_first(forms, order)
        own = self.prepared.own(block.ids, code)
        return Planned(block, group, forms, rows, order, own, distinct, cut)

    def encode(self, plan: Planned) -> Encoded:
        """Encode the missing texts. Raises ModelError where the model fails or breaks its word."""
        if self.concurrent:
            forms = [plan.forms[place] for place in plan.order]
            given = self._call(plan, "encode_forms", plan.order, "passage", forms)
            return Encoded(plan, [given] if len(plan.order) else [])
        parts = []
        for start in range(0, len(plan.order), AT_ONCE):
            batch = plan.order[start : start + AT_ONCE]
            texts = [plan.group.texts[place] for place in batch]
            parts.append(self._call(plan, "encode_passages", batch, texts, plan.group.language))
        return Encoded(plan, parts)

    def _call(self, plan: Planned, method: str, places: Ints, *given: Any) -> Vectors:
        if not len(places):
            return None
        with calling(self.model.spec, method):
            value = getattr(self.model.adapter, method)(*given)
        code = plan.block.shard.language

        def text_id(row: int) -> str:
            return f"passage {plan.block.ids[plan.group.first[places[row]]]!r} ({code})"

        where = f"model {self.model.spec}, {method} ({code})"
        return check_vectors(
            value, method=where, rows=len(places), text_id=text_id, layout=self._layout
        )

    def vectors(self, encoded: Encoded) -> Vectors:
        """Return the vectors of a block's passages, ready for scoring; it is not empty."""
        plan, start = encoded.plan, 0
        rows, read_before = Rows(len(plan.block.ids)), plan.known >= 0
        if read_before.any():
            rows.put(plan.group.first[read_before], self.prepared.relevant[plan.known[read_before]])
        for part in encoded.parts:
            places = plan.order[start : start + part.shape[0]]
            rows.put(plan.group.first[places], ready_to_score(self.model, part))
            start += part.shape[0]
        return rows.spread(plan.group.first[plan.group.entry])


Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int], None]
SWITCH_SECONDS = 0.001
"""A thread that reads may hold the interpreter so long while the encoder waits for it; Python's
usual 0.005 makes an encoder of 10,000 texts a second a tenth slower."""


def count_shard(prepared: Prepared, model: LoadedModel, shard: ShardSource) -> ShardCounts:
    """Count one shard. Raises as ``count_shards`` does."""
    with stdout_to_stderr:
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
        size = TOKEN_BLOCK if isinstance(prepared.queries, TokenVectors) else BLOCK
        read = (block for shard in shards for block in blocks_of(shard, size))
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
        self._writer = VectorWriter(prepared.keep) if prepared.keep else None
        self._reset()

    def close(self) -> None:
        """Leave no unfinished file behind."""
        if self._writer:
            self._writer.close()

    def _reset(self) -> None:
        rows = len(self._prepared.pairs.query)
        self._above, self._tied = (np.zeros((rows, 1), np.int32) for _ in range(2))
        self._encoded = self._distinct = 0
        self._nearest = self._prepared.nothing_yet() if self._prepared.depth else None
        self._cut: Truncation | None = Truncation(0, 0, 0)

    def add(self, encoded: Encoded) -> tuple[int, ShardCounts | None]:
        """Count a block; return how many passages it had, and the shard's counts if it ended."""
        plan, block = encoded.plan, encoded.plan.block
        size = len(block.ids)
        if size:
            vectors = self._encoder.vectors(encoded)
            starts = np.array([0, size], np.int64)
            self._counter.count(vectors, starts, plan.own, (self._above, self._tied))
            if self._nearest is not None:
                self._nearest = self._nearer(self._nearest, vectors, block, plan.own)
            if self._writer:
                self._writer.add(block, vectors)
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

    def _nearer(self, best: Nearest, vectors: Vectors, block: Block, own: Ints) -> Nearest:
        """Return the first passages of each query so far, those of a block among them."""
        prepared = self._prepared
        queries = prepared.queries[prepared.asked]
        relevant = prepared.relevant_of(own)
        found = nearest_of(queries, vectors, block.ids, relevant, best, prepared.limits)
        return best.and_also(found)

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
            saved=self._writer.finish(shard, found.content) if self._writer else None,
            nearest=self._nearest,
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
                f"{plural(found.passages, 'passage')}, digest {found.content[:12]}",
                f"{plural(expected.passages, 'passage')}, digest {expected.content[:12]}, "
                "as when scanned",
                "the file has changed since: restore it, or begin again with --overwrite",
            )
        )
