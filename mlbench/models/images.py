"""Images for a model: whether it takes them, what is read at once, and decoding ahead in threads.

A model is given decoded images and never a reference, which is what stands for an image in a
collection. A model that looks its vectors up by ids is given no image: to it they are entries like
any other, of the language of images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, ModelError
from mlbench.common.threads import usable_processors
from mlbench.data.images import IMAGE
from mlbench.models.boundary import attribute
from mlbench.models.protocol import Bound, ImageEncoding

if TYPE_CHECKING:
    from PIL.Image import Image

    from mlbench.models.registry import LoadedModel

ROLE = "image"
"""What stands for the role of images, which have the same vector as queries and as passages."""
AT_ONCE = 256
PIXELS_AT_ONCE = 2**24
"""Pixels of the images that a model is given at once: 48 MiB in RGB."""
PIXELS_A_BYTE = 64
"""Pixels that are counted as one byte of text in what encoding costs."""


def takes_images(model: LoadedModel) -> bool:
    """Say whether a model encodes images."""
    able = isinstance(model.adapter, ImageEncoding)
    return able and attribute(model.spec, model.adapter, "takes_images", True) is True


def sees(model: LoadedModel, languages: Sequence[str]) -> bool:
    """Say whether a model is to be given images: whether these languages hold them, and it does
    not look its vectors up.

    Raises ModelError for a model that cannot encode the images that there are.
    """
    if IMAGE not in languages or isinstance(model.adapter, Bound):
        return False
    if not takes_images(model):
        why = attribute(model.spec, model.adapter, "no_images", "") or "it has no encode_images"
        found = f"encodes texts only, and the task has images: {why}"
        expected = "a model of images and texts, such as a CLIP or SigLIP checkpoint"
        mend = "give another --model; pixels and random come with mlbench and take images"
        raise ModelError(Fault(f"model {model.spec}", found, expected, mend))
    return True


def as_rgb(image: Image) -> Image:
    """Return an image of the mode "RGB", as networks read it.

    Where it is transparent, it is laid on white, as a page shows it: what lies beneath is left to
    chance. Grey of 16 bits, and of any range above 8, is brought to 8, which Pillow cuts off.
    """
    from PIL import Image as Pillow

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return Pillow.fromarray(_of_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Pillow.new("RGBA", image.size, "white")
        return Pillow.alpha_composite(white, seen).convert("RGB")
    return image.convert("RGB")


def _of_8_bits(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return grey of 16 bits, or of another range, as 0 to 255."""
    values = np.nan_to_num(grey.astype(np.float64))
    most = float(values.max(initial=0.0))
    full = max(most, 65535.0) if grey.dtype == np.uint16 or most > 255 else 255.0
    return np.clip(values * 255 / full, 0, 255).astype(np.uint8)


def made_image(number: int, size: tuple[int, int], mode: str = "RGB") -> Image:
    """Return an image that is made here, with slopes of three colours that differ by ``number``."""
    from PIL import Image as Pillow

    width, height = size
    across, down = np.arange(width)[None, :], np.arange(height)[:, None]
    colours = [
        (across * (3 + number) + down * (5 + 2 * number) + 60 * number) % 256,
        (across * down + 17 * number) % 256,
        (down * (7 + number) + across // 3 + 90 * number) % 256,
    ]
    image = Pillow.fromarray(np.stack(colours, axis=2).astype(np.uint8))
    return image.convert(mode)


def cost_of(size: tuple[int, int]) -> int:
    """Return what encoding an image of this width and height counts as, in bytes of text."""
    return 1 + size[0] * size[1] // PIXELS_A_BYTE


def ends_of_batches(pixels: Sequence[int]) -> list[int]:
    """Return where batches of images that have so many ``pixels`` end: each has AT_ONCE images and
    PIXELS_AT_ONCE pixels at most, but one image at least.

    >>> ends_of_batches([2**23, 2**23, 1, 2**30])
    [2, 3, 4]
    """
    ends, start, total = [], 0, 0
    for place, size in enumerate(pixels):
        if place > start and (place - start == AT_ONCE or total + size > PIXELS_AT_ONCE):
            ends.append(place)
            start, total = place, 0
        total += size
    return [*ends, len(pixels)] if pixels else []


def opened(
    open_image: Callable[[str], Image], batches: Iterable[Sequence[str]]
) -> Generator[list[Image], None, None]:
    """Yield the images of each batch of references; those of the next are decoded, in threads,
    while the caller works on one. Raises what ``open_image`` raises."""
    with ThreadPoolExecutor(usable_processors()) as pool:
        coming: deque[list[Future[Image]]] = deque()
        try:
            for batch in batches:
                coming.append([pool.submit(open_image, reference) for reference in batch])
                if len(coming) > 1:
                    yield [each.result() for each in coming.popleft()]
            while coming:
                yield [each.result() for each in coming.popleft()]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
