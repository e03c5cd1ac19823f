"""The overlap of a training set with a task, counted exactly and estimated by MinHash.

MinHash is that of datasketch (https://ekzhu.com/datasketch/), over the same trigrams:

    python -m benchmarks.overlap_minhash my-data/xnli.toml xtreme-r-tatoeba
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import mlbench
from mlbench.training.overlap import THRESHOLD, overlap
from mlbench.training.similar_texts import TextIndex, plain
from mlbench.training.training_set import training_set

PERMUTATIONS = 128


def hashed(texts: Sequence[str], permutations: int) -> Iterator[Any]:
    """Yield the MinHash of the trigrams of each text, which is plain."""
    from datasketch import MinHash

    trigrams = ([t[i : i + 3].encode() for i in range(max(len(t) - 2, 1))] for t in texts)
    return MinHash.generator(trigrams, num_perm=permutations, seed=1, hashfunc=zlib.crc32)


def estimated_pairs(
    own: Sequence[str], other: Sequence[str], threshold: float, permutations: int = PERMUTATIONS
) -> dict[tuple[int, int], float]:
    """Return the pairs of two lists of plain texts that LSH proposes, with the estimates of their
    similarity."""
    from datasketch import MinHashLSH

    index, known = MinHashLSH(threshold=threshold, num_perm=permutations), []
    for number, each in enumerate(hashed(own, permutations)):
        known.append(each)
        index.insert(number, each)
    return {
        (number, place): float(known[number].jaccard(each))
        for place, each in enumerate(hashed(other, permutations))
        for number in index.query(each)
    }


def main() -> None:
    """Count both ways, and print the counts and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="the training set: a task's name or file")
    parser.add_argument("task", help="what is evaluated: a task's name or file")
    args = parser.parse_args()
    training = training_set(args.data)
    begin = time.perf_counter()
    found = overlap(training, args.task).total()
    seconds = time.perf_counter() - begin
    print(f"exactly: {found.exact} the same and {found.near} near of {found.texts:,} "
          f"({seconds:.1f} s, with reading the task)")  # fmt: skip
    data = mlbench.load_collection(args.task)
    often = Counter(map(plain, (*data.queries.texts, *data.passages.texts)))
    own = [*often]
    other = [*{plain(text) for _, _, text in training.every_text()}]
    begin = time.perf_counter()
    pairs = estimated_pairs(own, other, THRESHOLD)
    seconds = time.perf_counter() - begin
    reached = {number for (number, _), value in pairs.items() if value >= THRESHOLD}
    similar = {*TextIndex(own, THRESHOLD).similar(other).indexed.tolist()}
    for what, some in (
        ("estimated", reached), ("estimated, but not similar", reached - similar),
        ("similar, but not estimated", similar - reached),
    ):  # fmt: skip
        print(f"{what}: {sum(often[own[i]] for i in some)} texts, {len(some)} distinct ones")
    print(f"MinHash took {seconds:.1f} s")


if __name__ == "__main__":
    main()
