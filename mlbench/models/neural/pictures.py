"""Images as the library's model reads them: images to rows of bytes, rows to tensors of a batch.

The library's processor resizes, crops and scales an image. Where all images become tensors of one
shape, these are a row; a batch is then put together from rows made in other threads. This is used
only if it gives the library's own tensors back, bit by bit, for a few made images. Else the row is
the image, and the library reads each batch itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.threads import usable_processors
from mlbench.models.images import as_rgb
from mlbench.models.neural.forms import Asked, Features, Form, same_features
from mlbench.models.neural.routes import Route

if TYPE_CHECKING:
    from PIL.Image import Image

READ_AT_ONCE = 8
"""Images that a thread gives the library's processor at once."""
PATCH = 16
"""Pixels a side of what a network takes for a token, where its configuration does not say."""
_SIDE_BYTES = 4
_PROBES = ((40, 30), (7, 23), (64, 64))


class ImageForm(Form):
    """Rows are images: width and height, 4 bytes each, and the colours of all pixels."""

    def rows(self, model: Any, images: Sequence[Any]) -> list[bytes]:
        """Return one row an image."""
        return [_packed(as_rgb(image)) for image in images]

    def features(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Return the library's own tensors."""
        return self.asked.pictures(model, [*map(_unpacked, rows)])

    def size(self, row: bytes) -> int:
        """Return about how many tokens the network makes of an image."""
        return 1 + len(row) // (3 * PATCH**2)


@dataclass(frozen=True)
class PixelForm(ImageForm):
    """Rows are the tensors of an image, one after the other: ``parts`` are their names, dtypes and
    shapes, the same for all images; ``same`` is equal for all batches."""

    parts: tuple[tuple[str, str, tuple[int, ...]], ...]
    same: dict[str, Any]
    patches: int

    def rows(self, model: Any, images: Sequence[Any]) -> list[bytes]:
        """Return one row an image."""
        features = self.asked.pictures(model, [*map(as_rgb, images)])
        tensors = [features[name].numpy() for name, _, _ in self.parts]
        return [b"".join(each[row].tobytes() for each in tensors) for row in range(len(images))]

    def features(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Put the tensors of some images together."""
        import torch

        features, start = dict(self.same), 0
        for name, dtype, shape in self.parts:
            count = math.prod(shape)
            stop = start + count * np.dtype(dtype).itemsize
            each = [np.frombuffer(row[start:stop], dtype).reshape(shape) for row in rows]
            features[name] = torch.from_numpy(np.stack(each))
            start = stop
        return features

    def size(self, row: bytes) -> int:
        """Return how many tokens the network makes of an image."""
        return self.patches


def find_image_form(model: Any, route: Route) -> ImageForm:
    """Return the form in which a model gets images."""
    prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
    plain = ImageForm(Asked(prompt or "", route.arguments))
    images = [*map(_made, _PROBES)]
    features = plain.asked.pictures(model, images)
    tensors = {name: value for name, value in features.items() if hasattr(value, "numpy")}
    if not tensors or any(len(value) != len(images) for value in tensors.values()):
        return plain
    form = PixelForm(
        plain.asked,
        parts=tuple(
            (name, value.numpy().dtype.str, tuple(value.shape[1:]))
            for name, value in sorted(tensors.items())
        ),
        same={name: value for name, value in features.items() if name not in tensors},
        patches=_patches(route, tensors),
    )
    alone = [row for image in images for row in form.rows(model, [image])]
    return form if same_features(form.features(model, alone), features) else plain


def read_ahead(
    form: ImageForm, model: Any, images: Sequence[Image], budget: int
) -> Iterator[list[bytes]]:
    """Yield the rows of images in batches of about ``budget`` tokens, made in threads."""
    parts = [images[at : at + READ_AT_ONCE] for at in range(0, len(images), READ_AT_ONCE)]
    batch: list[bytes] = []
    tokens = 0
    with ThreadPoolExecutor(usable_processors()) as pool:
        for rows in pool.map(lambda part: form.rows(model, part), parts):
            for row in rows:
                if batch and tokens + form.size(row) > budget:
                    yield batch
                    batch, tokens = [], 0
                batch.append(row)
                tokens += form.size(row)
    if batch:
        yield batch


def _patches(route: Route, tensors: Features) -> int:
    """Return how many tokens the network makes of an image's tensors."""
    config: Any = getattr(getattr(route.modules[0], "auto_model", None), "config", None)
    config = getattr(config, "vision_config", config)
    said = getattr(config, "patch_size", PATCH)
    side = said if isinstance(said, int) else PATCH
    values = sum(math.prod(tensor.shape[1:]) for tensor in tensors.values())
    return int(1 + values // (3 * side**2))


def _made(size: tuple[int, int]) -> Image:
    """Return an image of this width and height, of many colours."""
    from PIL import Image as Pillow

    width, height = size
    values = np.arange(width * height * 3, dtype=np.int64) * 7919 % 256
    return Pillow.fromarray(values.astype(np.uint8).reshape(height, width, 3))


def _packed(image: Image) -> bytes:
    return b"".join(side.to_bytes(_SIDE_BYTES, "little") for side in image.size) + image.tobytes()


def _unpacked(row: bytes) -> Image:
    from PIL import Image as Pillow

    width, height = (
        int.from_bytes(row[at : at + _SIDE_BYTES], "little") for at in (0, _SIDE_BYTES)
    )
    return Pillow.frombytes("RGB", (width, height), row[2 * _SIDE_BYTES :])
