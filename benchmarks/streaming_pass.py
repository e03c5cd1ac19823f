"""A streaming pass: its memory and time as the corpus grows, and how seldom the encoder waits.

    python -m benchmarks.streaming_pass [--only memory|overlap|minilm] [--sizes N,N,N] [--turns N]

Corpora are generated as they are read (memory), or written to packed JSON lines as MIRACL's are
(overlap). The encoders of the first two groups are made up: one that hashes, as cheap as can be,
and one that takes a fixed time a text and leaves the processor alone meanwhile, as a GPU does.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF

import numpy as np

from mlbench.common.threads import usable_processors
from mlbench.data.building_streamed import build_streamed
from mlbench.data.collection import Judgement, TextRecord
from mlbench.data.corpus import Passage, ShardSource, StreamedRecords
from mlbench.data.locations import DataFile
from mlbench.data.readers._shards import TableShard
from mlbench.data.task import Kind, Source, Task
from mlbench.evaluation.driver import Pass, make_ready, stream
from mlbench.evaluation.options import Options
from mlbench.evaluation.pipeline import count_shards
from mlbench.evaluation.results import finish
from mlbench.models.registry import LoadedModel, load_adapter

LANGUAGES = ("en", "sw", "th", "de")
ROOT = Path(__file__).resolve().parent.parent
WORDS = ("sea", "land", "river", "hill", "bird", "fish", "tree", "moon", "rain", "fire", "door")
FILLER = " ".join(random.Random(0).choices(WORDS, k=90))
BATCH = 4096


def options(threads: int) -> Options:
    """What is measured uses this many threads, and no cache."""
    return Options(threads=threads, device="cpu", cache=None, progress=False)


def text_of(language: str, number: int) -> str:
    """A passage of about 300 characters that no other one equals."""
    start = number * 7 % 120
    return f"{language} {number} {FILLER[start : start + 280]}"


@dataclass(frozen=True)
class Generated(ShardSource):
    """A shard that is nowhere: made as it is read."""

    first: int
    count: int

    def passages(self) -> Iterator[list[Passage]]:
        last = self.first + self.count
        for start in range(self.first, last, BATCH):
            yield [
                Passage(f"{n}#0", text_of(self.language, n))
                for n in range(start, min(start + BATCH, last))
            ]

    def digest(self) -> str | None:
        return None


class Hashing:
    """One of 8,192 random vectors by a text's CRC: an encoder that costs next to nothing."""

    identity = "hashing benchmark"

    def __init__(self, dimensions: int = 64) -> None:
        draw = np.random.default_rng(0)
        self._rows = draw.standard_normal((8192, dimensions)).astype(np.float32)

    def encode_queries(self, texts: list[str], language: str) -> np.ndarray:
        return self._rows[[zlib.crc32(text.encode()) & 8191 for text in texts]]

    encode_passages = encode_queries


class Timed(Hashing):
    """Takes ``seconds`` a text, in batches of ``batch`` between which it needs the interpreter."""

    identity = "timed benchmark"
    language_free = True

    def __init__(self, seconds: float, batch: int = 64) -> None:
        super().__init__()
        self.seconds, self.batch, self.spent = seconds, batch, 0.0

    def canonical(self, role: str, texts: list[str]) -> list[bytes]:
        return [text.encode() for text in texts]

    def encode_forms(self, role: str, forms: list[bytes]) -> np.ndarray:
        began = time.perf_counter()
        due = began
        parts = []
        for start in range(0, len(forms), self.batch):
            part = forms[start : start + self.batch]
            parts.append(self._rows[[zlib.crc32(form) & 8191 for form in part]])
            due = max(due, time.perf_counter() - self.seconds * self.batch)  # one batch ahead
            due += self.seconds * len(part)
            time.sleep(max(0.0, due - time.perf_counter()))
        self.spent += time.perf_counter() - began
        return np.concatenate(parts)

    def encode_queries(self, texts: list[str], language: str) -> np.ndarray:
        return self.encode_forms("query", [text.encode() for text in texts])

    encode_passages = encode_queries


def task() -> Task:
    return Task(
        name="generated", version="1", title="Generated", languages=LANGUAGES, kinds=tuple(Kind),
        measures=("AP",), text="", licence="none", citation="none", source=Source("miracl", {}),
        path=Path("generated.toml"),
    )  # fmt: skip


def questions(queries: int, per_language: int) -> StreamedRecords:
    """Queries in each language with one relevant passage each, spread over the corpus."""
    found = StreamedRecords()
    for language in LANGUAGES:
        for i in range(queries):
            passage = f"{i * per_language // queries}#0"
            found.queries.append(TextRecord(f"q{i}", language, f"{language} question {i}", ""))
            found.judgements.append(Judgement(f"q{i}", language, passage, language, 1, ""))
    return found


def grow(passages: int, queries: int, dimensions: int, threads: int) -> None:
    """Count a generated corpus in this process, and print what it took as JSON."""
    per_language, shard = passages // len(LANGUAGES), min(500_000, passages // len(LANGUAGES) // 2)
    records = questions(queries, per_language)
    for language in LANGUAGES:
        for first in range(0, per_language, shard):
            count = min(shard, per_language - first)
            records.shards.append(Generated(language, f"{language}/{first}", None, first, count))
    model = LoadedModel(
        "hashing", "hashing", "made up", Hashing(dimensions), "cosine", "declared: h"
    )
    with tempfile.TemporaryDirectory() as folder:
        how = Pass(Path(folder, "work"), Path(folder, "scans"))
        began = time.perf_counter()
        partial = stream(task(), build_streamed(LANGUAGES, records), model, options(threads), how)
        took = time.perf_counter() - began
        report = finish(partial, quiet=True)
    here, scanners = (resource.getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN))
    found = {
        "peak": here.ru_maxrss * 1024,
        "scanner": scanners.ru_maxrss * 1024,
        "seconds": took,
        "processor": sum(use.ru_utime + use.ru_stime for use in (here, scanners)),
        "steps": report.run.seconds,
    }
    print(json.dumps(found))


def memory(sizes: list[int], queries: int, dimensions: int, threads: int) -> None:
    total = queries * len(LANGUAGES)
    print(f"memory and time as the corpus grows; {total:,} queries, {dimensions} dimensions")
    print("peak memory of the process and of one that scans; processor time of all of them")
    print(
        f"{'passages':>12} {'MB':>6} {'MB':>6} {'scan s':>8} {'pass s':>8} {'cpu us/passage':>15}"
    )
    for size in sizes:
        command = ["-m", "benchmarks.streaming_pass", "--grow", str(size)]
        command += ["--threads", str(threads), "--queries", str(queries)]
        command += ["--dimensions", str(dimensions)]
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        steps = found["steps"]
        print(
            f"{size:>12,} {found['peak'] / 1e6:>6.0f} {found['scanner'] / 1e6:>6.0f} "
            f"{steps['scanning']:>8.1f} {steps['streaming']:>8.1f} "
            f"{found['processor'] / size * 1e6:>15.1f}",
            flush=True,
        )


def packed_corpus(folder: Path, passages: int, queries: int) -> StreamedRecords:
    """Write a corpus as MIRACL's is written, a shard a language, and return its records."""
    records = questions(queries, passages // len(LANGUAGES))
    for language in LANGUAGES:
        path = folder / f"{language}.jsonl.gz"
        lines = (
            json.dumps({"docid": f"{n}#0", "title": "", "text": text_of(language, n)}) + "\n"
            for n in range(passages // len(LANGUAGES))
        )
        path.write_bytes(gzip.compress("".join(lines).encode(), 1))
        file = DataFile(language, path.name, path, size=path.stat().st_size)
        records.shards.append(TableShard.of(file, language, ("docid",), True))
    return records


def overlap(turns: int, threads: int, passages: int, queries: int) -> None:
    """The time of a pass over that of its encoder alone, for encoders of several speeds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collection = build_streamed(LANGUAGES, packed_corpus(folder, passages, queries))
        one_pass(folder / "warm", collection, 100_000, threads)
        print(f"{passages:,} passages in packed JSON lines, {queries * len(LANGUAGES)} queries")
        print(f"{'texts/s':>9} {'encoder s':>10} {'pass s':>8} {'ratio':>6}   (medians)")
        for speed in (3000, 10_000):
            rows = [one_pass(folder / f"{speed}-{turn}", collection, speed, threads)
                    for turn in range(turns)]  # fmt: skip
            alone, whole = (statistics.median(column) for column in zip(*rows, strict=True))
            ratio = statistics.median(b / a for a, b in rows)
            print(f"{speed:>9,} {alone:>10.2f} {whole:>8.2f} {ratio:>6.3f}", flush=True)


def one_pass(folder: Path, collection, speed: int, threads: int) -> tuple[float, float]:
    """Return the seconds of the encoder alone, on the same blocks, and those of the pass."""
    encoder = Timed(1 / speed)
    size = sum(1 for shard in collection.shards for batch in shard.passages() for _ in batch)
    forms = [b"x%d" % n for n in range(8192)]
    whole_blocks, rest = divmod(size, len(forms))
    began = time.perf_counter()
    for _ in range(whole_blocks):
        encoder.encode_forms("passage", forms)
    encoder.encode_forms("passage", forms[:rest])
    alone = time.perf_counter() - began
    model = LoadedModel("timed", "timed", "benchmark", encoder, "cosine", "declared: timed")
    how = Pass(folder / "work", folder / "scans")
    partial = stream(
        task(),
        collection,
        model,
        options(threads),
        how,
    )
    report = finish(partial, quiet=True)
    return alone, report.run.seconds["streaming"]


def minilm(turns: int, threads: int, passages: int) -> None:
    """The same with all-MiniLM-L6-v2 on this processor, which all must share."""
    from benchmarks.encoding import packaged_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collection = build_streamed(LANGUAGES, packed_corpus(folder, passages, 25))
        blocks = [[p.text for b in shard.passages() for p in b] for shard in collection.shards]
        print(f"{passages:,} passages; seconds and processor seconds, encoder alone and pass")
        model = load_adapter(str(packaged_model()))
        for turn in range(turns + 1):
            began, used = time.perf_counter(), time.process_time()
            for texts in blocks:
                model.adapter.encode_forms("passage", model.adapter.canonical("passage", texts))
            alone = time.perf_counter() - began, time.process_time() - used
            ready = make_ready(
                task(), collection, model, options(threads),
                Pass(folder / f"{turn}", folder / "scans"),
            )  # fmt: skip
            began, used = time.perf_counter(), time.process_time()
            list(count_shards(ready.prepared, model, collection.shards))
            whole = time.perf_counter() - began, time.process_time() - used
            if turn:  # the first warms up
                print(
                    f"{alone[0]:7.1f} {alone[1]:7.1f} {whole[0]:7.1f} {whole[1]:7.1f}", flush=True
                )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming_pass", description=__doc__
    )
    groups = ("memory", "overlap", "minilm")
    parser.add_argument("--only", choices=groups, action="append")
    parser.add_argument("--sizes", default="100000,1000000,10000000", metavar="N,N,N")
    parser.add_argument("--passages", type=int, default=200_000, help="of the overlap group")
    parser.add_argument("--queries", type=int, default=100, help="in each of four languages")
    parser.add_argument("--dimensions", type=int, default=64, help="of the memory group")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_processors())
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.grow:
        grow(args.grow, args.queries, args.dimensions, args.threads)
        return
    chosen = args.only or groups[:2]
    if "memory" in chosen:
        sizes = [int(size) for size in args.sizes.split(",")]
        memory(sizes, args.queries, args.dimensions, args.threads)
    if "overlap" in chosen:
        overlap(args.turns, args.threads, args.passages, args.queries)
    if "minilm" in chosen:
        minilm(args.turns, args.threads, 1200)


if __name__ == "__main__":
    main()
