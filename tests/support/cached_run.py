"""A run in a process of its own, for test_cached_runs: encode with a cache, and die when told.

    python -m tests.support.cached_run CACHE LIMIT LOG KILL

LOG gets a line a text that the model encodes. KILL is the number of the moment to die at (none
if 0): each file written has three, half written, whole but not yet in place, and in place.
Prints a digest of the vectors and how many texts came from the cache.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from mlbench.common import files as artefacts
from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.models import encoding, pace
from mlbench.models.cache import EmbeddingCache
from mlbench.models.registry import LoadedModel

BATCH = 8
LANGUAGES = ("en", "de")
BATCHES = (8, 8, 8, 8, 8, 3, 8, 2)
"""How many of the 43 distinct passages and then of the 10 distinct queries of ``collection``
each batch has; each is written to a file of its own."""


class Model:
    """Rounds as a network does: a vector depends on what else is in the batch."""

    cacheable = True
    language_free = True

    def __init__(self, log):
        self.log = log

    def canonical(self, role, texts):
        return [text.encode() for text in texts]

    def encode_queries(self, texts, language):
        return self._encode(texts)

    def encode_passages(self, texts, language):
        return self._encode(texts)

    def _encode(self, texts):
        with self.log.open("a") as log:
            log.write("".join(f"{text}\n" for text in texts))
        time.sleep(0.01)  # so that two runs at once meet
        beside = sum(map(len, texts)) / 2**20
        rows = [np.frombuffer(hashlib.sha256(t.encode()).digest(), np.uint8) for t in texts]
        return np.array(rows, np.float32) / 256 + np.float32(beside)


def collection():
    """20 passages and 5 queries a language, of many lengths; 3 more passages are in both."""
    records = Records()
    for code in LANGUAGES:
        for i in range(20):
            text = f"{code} passage {i} " + "and more " * (i * 7 % 5)
            records.passages.append(TextRecord(f"p{i}", code, text, ""))
        for i in range(3):
            records.passages.append(TextRecord(f"b{i}", code, f"both {i}", ""))
        for i in range(5):
            records.queries.append(TextRecord(f"q{i}", code, f"{code} query {i}", ""))
            records.judgements.append(Judgement(f"q{i}", code, f"p{i}", code, 1, ""))
    return build_collection(LANGUAGES, records)


def run(cache: EmbeddingCache | None, log: Path) -> tuple[str, int]:
    """Return the digest of all vectors, and how many texts came from the cache."""
    model = LoadedModel("m", "m", "test", Model(log), "dot", "declared: m")
    with mock.patch.multiple(pace, MOST_TEXTS=BATCH, FIRST_BYTES=2**20):
        embedded = encoding.Encoding(model, collection(), cache).encode()
    raw = embedded.passages.tobytes() + embedded.queries.tobytes()
    return hashlib.sha256(raw).hexdigest(), sum(c.cached for c in embedded.counts.values())


def die_at(moment: int) -> None:
    """Kill this process, as ``kill -9`` does, at the moment of that number."""
    passed = 0
    real_sync, real_replace = os.fsync, Path.replace

    def reach():
        nonlocal passed
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def sync(descriptor):
        size = os.fstat(descriptor).st_size
        if passed + 1 == moment:
            os.ftruncate(descriptor, size // 2)
        reach()
        real_sync(descriptor)

    def replace(self, target):
        reach()
        real_replace(self, target)
        reach()

    artefacts.os.fsync = sync
    Path.replace = replace


def main() -> None:
    """Run once."""
    folder, limit, log, moment = sys.argv[1:]
    if int(moment):
        die_at(int(moment))
    print(*run(EmbeddingCache(Path(folder), int(limit)), Path(log)))


if __name__ == "__main__":
    main()
