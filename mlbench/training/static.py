"""Static embeddings trained by a loop of their own: a text's vector is the mean of its tokens'.

A batch touches few of the vectors, so only their rows are gathered, get gradients, and are changed,
by Adam with lazy moments (as ``torch.optim.SparseAdam``). The trainer of sentence-transformers
would change all of them in every step.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.files import write_atomically
from mlbench.common.progress import Step
from mlbench.common.sealed import seal, unseal
from mlbench.training.base import table_of
from mlbench.training.batches import IntArray
from mlbench.training.job import STATE_FILE, Course, Job

if TYPE_CHECKING:
    from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8
SCHEMA = "mlbench/static-training/1"
SHARE = 1000
"""Parts of a progress bar that shows the time."""
MOST_KNOWN = 2_000_000
"""Texts whose tokens are kept."""


@dataclass
class Table:
    """The vectors of all tokens, float32 (vocabulary, d), their moments, and how often they were
    changed: all that a training goes on from."""

    vectors: Tensor
    first: Tensor
    second: Tensor
    step: int = 0

    @classmethod
    def begin(cls, vectors: Tensor) -> Table:
        """Return the table of a training that begins with some vectors."""
        import torch

        return cls(vectors, torch.zeros_like(vectors), torch.zeros_like(vectors))

    def change(self, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Let Adam change some rows, int64 (n,), by their gradients (n, d)."""
        self.step += 1
        fade, fade_second = BETAS
        first = self.first[rows].lerp_(gradient, 1 - fade)
        second = self.second[rows].mul_(fade_second)
        second.addcmul_(gradient, gradient, value=1 - fade_second)
        self.first[rows], self.second[rows] = first, second
        size = rate * (1 - fade_second**self.step) ** 0.5 / (1 - fade**self.step)
        self.vectors.index_add_(0, rows, first.div_(second.sqrt_().add_(EPSILON)), alpha=-size)


class Tokens:
    """The tokens of texts, each text tokenised once."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, IntArray] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Return the tokens of all texts, int64, and where each text begins, int64 (n,)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(new) > MOST_KNOWN:
            self._known.clear()
            new = list(dict.fromkeys(texts))
        found = self._tokenizer.encode_batch_fast(new, add_special_tokens=False) if new else []
        for text, tokens in zip(new, found, strict=True):
            self._known[text] = np.array(tokens.ids, np.int64)
        rows = [self._known[text] for text in texts]
        starts = np.cumsum([0, *(len(row) for row in rows[:-1])], dtype=np.int64)
        return np.concatenate(rows), starts


def info_nce(queries: Tensor, passages: Tensor, scale: float) -> Tensor:
    """Return the mean over queries of -log softmax(scale * cosine) at their own passage.

    ``queries`` (n, d) and ``passages`` (n or more, d): the passage of query i is the i-th; those
    after the n-th are wrong for all.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    scores = normalize(queries) @ normalize(passages).T * scale
    return cross_entropy(scores, torch.arange(len(queries)))


def learn(
    table: Table, bags: tuple[IntArray, IntArray], queries: int, scale: float, rate: float
) -> float:
    """Make one step with a batch and return its loss, before the step.

    ``bags`` are the tokens of its texts, as ``Tokens`` gives them: first the queries, then the
    passages. A loss that is not finite changes nothing.
    """
    import torch
    from torch.nn.functional import embedding_bag

    tokens, starts = bags
    used, places = np.unique(tokens, return_inverse=True)
    rows = torch.from_numpy(used)
    own = table.vectors[rows].requires_grad_()
    vectors = embedding_bag(torch.from_numpy(places), own, torch.from_numpy(starts), mode="mean")
    loss = info_nce(vectors[:queries], vectors[queries:], scale)
    value = float(loss.detach())
    if np.isfinite(value):
        loss.backward()
        if own.grad is not None:
            table.change(rows, own.grad, rate)
    return value


def train_static(job: Job) -> Course:
    """Train a static model in place; go on from the state that the folder keeps, if it is that of
    the same training.

    The loss of every step, and with it the model, is that of a training which was never
    interrupted; but not where ``seconds`` say how long. Raises ModelError where the loss is no
    number any more.
    """
    with _one_thread():
        return _loop(job)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread meanwhile: a step is too small to share, and sums then do not
    depend on how many there are."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _loop(job: Job) -> Course:
    table, course = _begin(job)
    tokens, schedule = Tokens(job.base.model.tokenizer), job.schedule
    total = (schedule.steps or 0) * job.plan.size
    saved = time.monotonic()
    step = Step("training", total or SHARE, "pairs" if total else "", quiet=not job.progress)
    with step as bar:
        done = 0
        while schedule.share(course.steps, course.seconds) < 1:
            begun, number = time.perf_counter(), course.steps
            batch = job.batch(number)
            queries, passages, negatives = job.texts(batch, number)
            bags = tokens([*queries, *passages, *itertools.chain(*negatives)])
            rate = schedule.rate_at(number, course.seconds)
            loss = learn(table, bags, len(queries), job.config.scale, rate)
            job.refuse_loss(loss, number)
            course.add(batch, loss, time.perf_counter() - begun)
            so_far = course.steps * job.plan.size
            now = so_far if total else int(SHARE * schedule.share(course.steps, course.seconds))
            bar.advance(now - done)
            done = now
            bar.say(f"loss {loss:.3f}, {so_far / course.seconds:,.0f} pairs/s")
            if time.monotonic() - saved >= job.config.checkpoint_seconds:
                _keep(job, table, course)
                saved = time.monotonic()
            if job.evaluate is not None and course.steps % job.config.evaluate_every == 0:
                found = job.evaluate(course.steps)
                course.evaluations.append(found | {"seconds": round(course.seconds, 3)})
    return course


def _begin(job: Job) -> tuple[Table, Course]:
    """Return the vectors and the course of a training: from its beginning, or where it was."""
    import torch

    table = Table.begin(table_of(job.base.model))
    path = job.folder / STATE_FILE
    if not path.is_file():
        return table, Course()
    head, parts = unseal(path, SCHEMA, "remove the file, and the training begins anew")
    if head["fingerprint"] != job.fingerprint:
        return table, Course()
    table.vectors.copy_(torch.from_numpy(parts["vectors"]))
    table.first.copy_(torch.from_numpy(parts["first"]))
    table.second.copy_(torch.from_numpy(parts["second"]))
    table.step = int(head["step"])
    course = Course(
        losses=parts["losses"].tolist(),
        seconds=head["seconds"],
        evaluations=head["evaluations"],
        resumed_at=[*head["resumed_at"], table.step],
        kinds=Counter(head["kinds"]),
    )
    return table, course


def _keep(job: Job, table: Table, course: Course) -> None:
    """Write all that the training can go on from. Raises EnvironmentFault on a full disk."""
    head = {
        "fingerprint": job.fingerprint,
        "step": table.step,
        "seconds": course.seconds,
        "evaluations": course.evaluations,
        "resumed_at": course.resumed_at,
        "kinds": dict(course.kinds),
    }
    content = seal(
        SCHEMA,
        head,
        vectors=table.vectors.numpy(),
        first=table.first.numpy(),
        second=table.second.numpy(),
        losses=np.array(course.losses, np.float64),
    )
    write_atomically(job.folder / STATE_FILE, content)
