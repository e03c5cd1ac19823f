"""How far a model's scores move when its texts are encoded on another machine or in other batches.

    python -m benchmarks.rounding [--model FOLDER] [--queries N] [--passages N]

Encodes texts of XQuAD-R with each type of weights, in a process of its own for each way: other
batches, other numbers of threads, and the instructions that an older processor has. Prints how far
apart the scores of a pair are from those of the first way, as a share of |query| |passage|: this
is what the tolerances of `mlbench verify` are made of (``claims.TOLERANCES``).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from benchmarks.encoding import packaged_model
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.leaderboard.verifying.claims import TOLERANCES
from mlbench.models.encoding import Encoding
from mlbench.models.registry import load_adapter

OLDER = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
}
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
WAYS: dict[str, tuple[int, dict[str, str]]] = {
    "as it is": (4096, {}),
    "the same again": (4096, {}),
    "batches of 256 tokens": (256, {}),
    "batches of 16,384 tokens": (16384, {}),
    "one text at a time": (1, {}),
    "one thread": (4096, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}),
    "AVX2": (4096, AVX2),
    "SSE": (4096, OLDER),
    "SSE, one thread, one text at a time": (1, OLDER | {"OMP_NUM_THREADS": "1"}),
}
"""Name -> the budget of tokens of a batch, and what the environment says."""

Floats = npt.NDArray[np.float64]


def encode(model: str, dtype: str, tokens: int, sizes: tuple[int, int], to: str) -> None:
    """Encode some queries and passages of XQuAD-R, evenly spaced, and keep their vectors."""
    task = find_task("xquad-r")
    collection = read_collection(task, Locator(offline=True).of(task))
    parts = [
        entries.take(np.unique(np.linspace(0, len(entries) - 1, size).astype(np.int64)))
        for entries, size in zip((collection.queries, collection.passages), sizes, strict=True)
    ]
    loaded = load_adapter(model, {"dtype": dtype, "batch_tokens": tokens, "device": "cpu"})
    chosen = replace(collection, queries=parts[0], passages=parts[1])
    vectors = Encoding(loaded, chosen, None).encode()
    np.savez(to, queries=vectors.queries, passages=vectors.passages)


def scores(path: Path) -> Floats:
    """Return the cosines of all queries and passages, in float64."""
    found = np.load(path)
    sides = [found[name].astype(np.float64) for name in ("queries", "passages")]
    query, passage = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    cosines: Floats = query @ passage.T
    return cosines


def undecided(cosines: Floats, share: float) -> float:
    """Return how many comparisons of two passages of a query are within a tolerance."""
    size = cosines.shape[1]
    others = (np.roll(cosines, shift, 1) for shift in range(1, min(size, 50)))
    return float(np.mean([(abs(cosines - other) <= 2 * share).mean() for other in others]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print. ``arguments`` are sys.argv's if None."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rounding", description=__doc__)
    parser.add_argument("--model", help="a checkpoint folder")
    parser.add_argument("--queries", type=int, default=200, help="queries (200)")
    parser.add_argument("--passages", type=int, default=600, help="passages (600)")
    parser.add_argument("--dtype", action="append", help="a type of weights; may be repeated")
    parser.add_argument("--way", choices=WAYS, action="append", help="beside the first; repeatable")
    args = parser.parse_args(arguments)
    model, sizes = str(args.model or packaged_model()), (args.queries, args.passages)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in args.dtype or TOLERANCES:
            first = None
            for name in [next(iter(WAYS)), *(args.way or list(WAYS)[1:])]:
                tokens, said = WAYS[name]
                to = Path(folder, "vectors.npz")
                given = (model, dtype, tokens, sizes, str(to))
                program = f"from benchmarks.rounding import encode; encode{given!r}"
                subprocess.run([sys.executable, "-c", program], env=os.environ | said, check=True)
                found = scores(to)
                first = found if first is None else first
                apart = abs(found - first)
                share = f"{undecided(found, TOLERANCES[dtype].share):.2%}"
                rows.append([dtype, name, f"{apart.max():.1e}", f"{np.median(apart):.1e}", share])
                print(*rows[-1], sep=", ", flush=True)
    header = ["weights", "encoded", "furthest apart", "median", "undecided"]
    print("\n" + tabulate(rows, header, "github", disable_numparse=True))


if __name__ == "__main__":
    main()
