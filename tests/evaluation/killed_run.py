"""A pass in a process of its own, for test_killed: count with a state, and die when told.

The log gets a line a passage that the model encodes. A moment to die at has a number (none is 0):
each file written has three, half written, whole but not yet in place, and in place; and each call
of the model has one.
"""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from mlbench.common import files as artefacts
from mlbench.data.corpus import Passage
from mlbench.evaluation import pipeline
from mlbench.evaluation.driver import stream
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes
from tests.evaluation.building import QUIET, pass_in, records, streamed, task_of
from tests.evaluation.models import Rounding, loaded

LANGUAGES = ("sw", "en")
FILES = 4 + 1 + 5
"""Scans, the core, and the partial results: one before the first shard."""
CALLS = 4 + 3 + 9
"""Of the model: for three passages, together and each alone; for the core, whose passages are more
than the first call of a model is given; and one for each block of the four shards."""
MOMENTS = 3 * FILES + CALLS


class Deadly(Rounding):
    """Dies at the moment of that number."""

    def __init__(self, log: Path | None, moment: int) -> None:
        super().__init__(log)
        self.moment, self.passed = moment, 0

    def encode(self, texts):
        self.reach()
        return super().encode(texts)

    def reach(self) -> None:
        self.passed += 1
        if self.passed == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)


def made():
    """No two passages have one text, so that a text tells its shard."""
    found = records(2, queries=4, passages=40, shards=2, languages=LANGUAGES)
    found.shards = [
        replace(shard, held=tuple(Passage(p.id, f"{p.text} {p.id}") for p in shard.held))
        for shard in found.shards
    ]
    return found


def run(folder: Path, model: Deadly) -> str:
    pipeline.BLOCK = 12
    data, task = streamed(made(), LANGUAGES), task_of(LANGUAGES)
    partial = stream(task, data, loaded(model), QUIET, pass_in(folder))
    info = partial.draft.task
    key = TaskKey(info.name, info.version, info.digest, info.kinds)
    return hashlib.sha256(ranks_to_bytes(partial.ranks, key)).hexdigest()


def die_at(model: Deadly) -> None:
    """Let writing count moments, too."""
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor):
        size = os.fstat(descriptor).st_size
        if model.passed + 1 == model.moment:
            os.ftruncate(descriptor, size // 2)
        model.reach()
        real_sync(descriptor)

    def put(self, target):
        model.reach()
        real_replace(self, target)
        model.reach()

    artefacts.os.fsync = sync
    Path.replace = put


def report(to: Connection, folder: Path, log: Path, moment: int) -> None:
    """Run once, and send the SHA-256 of the table and how many moments there were."""
    model = Deadly(log, moment)
    die_at(model)
    to.send((run(folder, model), model.passed))
