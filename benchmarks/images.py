"""Encoding of images: mlbench, the library that it uses, and the bare model, side by side.

    python -m benchmarks.images [--model FOLDER] [--images N] [--turns N] [--processor-time]

Encodes JPEG files of 500 x 375 pixels, made here, with a CLIP of random weights in the shape of
ViT-S/32 unless a checkpoint is given: by mlbench as a run does it, from files to vectors, with
``SentenceTransformer.encode`` on files that are opened for it, and by the forward passes alone over
tensors that are there already. These take turns; prints the medians, the ratios and how far the
vectors are apart.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import side_by_side
from mlbench.models.images import AT_ONCE, ends_of_batches, made_image, opened
from mlbench.models.registry import load_adapter

SIZE = (500, 375)
"""About the mean of Flickr30k's photographs."""
LIBRARYS_BATCH = 32


def make_model(folder: Path) -> Path:
    """Save a CLIP of random weights: an image tower like ViT-S/32 and a small text tower."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<end>", *letters])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", model_max_length=64
    )
    towers: dict[str, dict[str, Any]] = {
        "vision_config": {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6},
        "text_config": {
            "vocab_size": len(vocabulary),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "max_position_embeddings": 64,
            "bos_token_id": 1,
            "eos_token_id": 1,
            "pad_token_id": 0,
        },
    }
    CLIPModel(CLIPConfig(**towers)).save_pretrained(folder)
    CLIPProcessor(CLIPImageProcessorPil(), tokenizer).save_pretrained(folder)
    return folder


def write_images(folder: Path, count: int) -> list[Path]:
    """Write JPEG files, and return where they are."""
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        made_image(number, SIZE).save(path, "jpeg", quality=90)
    return paths


def open_image(path: str) -> Any:
    """Open and decode a file."""
    from PIL import Image

    image = Image.open(path)
    image.load()
    return image


def as_a_run(adapter: Any, paths: Sequence[Path]) -> Any:
    """Encode files as a run does: in batches, the next of which is decoded meanwhile."""
    ends = ends_of_batches([SIZE[0] * SIZE[1]] * len(paths))
    names = [*map(str, paths)]
    batches = [names[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return np.concatenate([adapter.encode_images(each) for each in opened(open_image, batches)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a checkpoint folder")
    parser.add_argument("--images", type=int, default=AT_ONCE, help="(default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="turns of the comparison (default 5)")
    parser.add_argument(
        "--processor-time", action="store_true",
        help="compare processor time, which other programs change less",
    )  # fmt: skip
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = args.model or make_model(Path(name, "clip"))
        paths = write_images(Path(name), args.images)
        _compare(folder, paths, args)


def _compare(folder: Path, paths: Sequence[Path], args: argparse.Namespace) -> None:
    from sentence_transformers import SentenceTransformer

    ours = load_adapter(str(folder)).adapter
    theirs = SentenceTransformer(str(folder))
    images = [open_image(str(path)) for path in paths]
    gap = np.abs(ours.encode_images(images) - theirs.encode(images)).max()
    bare = [
        theirs.preprocess(images[start : start + LIBRARYS_BATCH])
        for start in range(0, len(images), LIBRARYS_BATCH)
    ]
    timings = side_by_side(
        {
            "mlbench, from files": lambda: as_a_run(ours, paths),
            "SentenceTransformer.encode": lambda: theirs.encode(
                [open_image(str(path)) for path in paths], batch_size=LIBRARYS_BATCH
            ),
            "bare forward passes": lambda: _forward(theirs, bare),
        },
        "mlbench, from files",
        args.turns,
        time.process_time if args.processor_time else time.perf_counter,
    )
    facts = ours.describe()
    print(f"{len(paths):,} images, {facts['parameters']:,} parameters, {facts['device']}")
    for name, timing in timings.items():
        speed = len(paths) / timing.seconds
        print(f"{name:<28}{timing.seconds:9.2f} s {speed:9.1f} images/s {timing.ratio:6.2f} x time")
    print(f"largest difference of a coordinate: {gap:.1e}")


def _forward(model: Any, batches: Sequence[dict[str, Any]]) -> None:
    """Let the model read batches, and keep nothing."""
    import torch

    with torch.inference_mode():
        for batch in batches:
            model(dict(batch))


if __name__ == "__main__":
    main()
