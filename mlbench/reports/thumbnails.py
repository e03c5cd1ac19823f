"""Small pictures for the page of a report, which holds them itself."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from mlbench.common.errors import MlbenchError
from mlbench.data.texts import Name, Texts

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 112
"""Pixels of a thumbnail's longer side."""
QUALITY = 80


def thumbnail(texts: Texts, name: Name) -> str:
    """Return a thumbnail of an image as an address that holds it; "" for a text, and where the
    image is not at hand or cannot be decoded: a page is shown without it."""
    reference = texts.references.get(name)
    if reference is None or texts.images is None:
        return ""
    try:
        image = texts.images.open(reference)
    except MlbenchError:
        return ""
    small = flattened(image)
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def flattened(image: Image) -> Image:
    """Return an image as RGB, whatever its mode: on white where it is transparent, and of 16 bits
    the upper 8."""
    from PIL import Image as Pillow

    if image.mode.startswith("I"):
        import numpy as np

        pixels = np.asarray(image).astype(np.int64)
        return Pillow.fromarray((pixels.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        on_white = Pillow.new("RGBA", image.size, "white")
        on_white.alpha_composite(image.convert("RGBA"))
        return on_white.convert("RGB")
    return image.convert("RGB")
