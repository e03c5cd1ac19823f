"""Collections of images and their captions made for tests; no file behind them unless asked for."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from mlbench.data.building import build_collection
from mlbench.data.collection import Collection, Judgement, Records, TextRecord
from mlbench.data.images import IMAGE, Images, Place, reference_of


def picture(seed: int, size: tuple[int, int] = (8, 6)) -> bytes:
    """Return a PNG of one colour with a spot."""
    generator = np.random.default_rng(seed)
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:] = generator.integers(0, 256, 3)
    pixels[: size[1] // 2, : size[0] // 2] = generator.integers(0, 256, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def image_records(
    captions: dict[str, list[int]], images: int, folder: Path | None = None
) -> Records:
    """Return images i0, i1, ... and captions by language; ``captions[code][n]`` is the image that
    caption n describes, the first of an image by the image's id. Images are written to ``folder``.
    """
    places: dict[str, Place] = {}
    records = Records()
    for number in range(images):
        raw = picture(number) if folder else str(number).encode()
        reference = reference_of(raw)
        path = (folder or Path("nowhere")) / f"i{number}.png"
        if folder:
            path.write_bytes(raw)
        places[reference] = Place(path, (8, 6))
        record = TextRecord(f"i{number}", IMAGE, reference, str(path))
        records.queries.append(record)
        records.passages.append(record)
    for code, described in captions.items():
        seen: dict[int, int] = {}
        for image in described:
            seen[image] = seen.get(image, 0) + 1
            id_ = f"i{image}" if seen[image] == 1 else f"i{image}#{seen[image]}"
            text = f"{code} caption {seen[image]} of {image}"
            caption = TextRecord(id_, code, text, "here", group=f"i{image}")
            records.queries.append(caption)
            records.passages.append(caption)
            records.judgements += [
                Judgement(id_, code, f"i{image}", IMAGE, 1, "here"),
                Judgement(f"i{image}", IMAGE, id_, code, 1, "here"),
            ]
    records.images = Images(places)
    return records


def image_collection(
    seed: int = 0, languages: tuple[str, ...] = ("de", "en", "zxx", "zh"), images: int = 7
) -> Collection:
    """Return a collection with one to three captions of most images in each language."""
    generator = np.random.default_rng(seed)
    captions = {
        code: sorted(np.repeat(np.arange(images), generator.integers(0, 4, images)).tolist()) or [0]
        for code in languages
        if code != IMAGE
    }
    return build_collection(languages, image_records(captions, images))


def sha256(raw: bytes) -> str:
    """Return the digest of bytes in hex."""
    return hashlib.sha256(raw).hexdigest()
