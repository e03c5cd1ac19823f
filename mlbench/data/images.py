"""Images of a collection: what stands for one, where its bytes lie, and how it is decoded.

An image is an entry of the language ``zxx`` (BCP 47: no linguistic content). What stands for it in
place of a text is a *reference*, "sha256:" and the digest of its file's bytes in hex: equal images
tie, and a collection's digest covers them. Bytes stay where they are until they are asked for.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, IntegrityError
from mlbench.common.files import reading
from mlbench.data.task import IMAGE

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["IMAGE", "Images", "Place", "decoded", "is_reference", "reference_of", "size_of"]
REFERENCE = re.compile(r"sha256:[0-9a-f]{64}")
MOST_BYTES = 64 << 20
"""Bytes that an image's file may have."""
MOST_PIXELS = 89_478_485
"""Pixels that an image may have: Pillow's own limit, a quarter of a GiB of RGB."""
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are decoded; formats that run programs, such as EPS, are not."""
GROUPS = 4
"""Row groups of Parquet files whose images are kept in memory."""
BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError,
          struct.error, zlib.error, OverflowError, ZeroDivisionError)  # fmt: skip
"""What Pillow raises for damaged files."""


def reference_of(raw: bytes) -> str:
    """Return what stands for an image: "sha256:" and the digest of its file's bytes."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference to an image."""
    return REFERENCE.fullmatch(text) is not None


@dataclass(frozen=True)
class Place:
    """Where an image lies: a file, or ``row`` of row group ``group`` of a Parquet file's column.

    ``size`` is its width and height in pixels, as they are stored.
    """

    path: Path
    size: tuple[int, int]
    column: str = ""
    group: int = 0
    row: int = 0
    number: int = 0
    """The row of the whole Parquet file, from 1."""

    @property
    def where(self) -> str:
        """The place in words."""
        return f"{self.path}, row {self.number}" if self.column else str(self.path)

    def read(self) -> bytes:
        """Return the bytes. Raises EnvironmentFault where they cannot be read, DataError for a
        Parquet file that is damaged or has changed."""
        if not self.column:
            with reading(self.path):
                return self.path.read_bytes()
        values = _column(self.path, self.column, self.group)
        raw = bytes_of(values[self.row].as_py()) if self.row < len(values) else None
        if raw is None:
            raise DataError(Fault(self.where, "no image there any more", "the file that was read"))
        return raw


def bytes_of(value: Any) -> bytes | None:
    """Return the bytes of an image as a Parquet column gives it: bytes, or the hub's struct of
    ``bytes`` and ``path``; None for anything else."""
    if isinstance(value, Mapping):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else None


_one_at_a_time = Lock()


def _column(path: Path, column: str, group: int) -> Any:
    """Return a column of a row group, read once for the images that follow each other."""
    with _one_at_a_time:
        return _read_column(path, column, group)


@lru_cache(GROUPS)
def _read_column(path: Path, column: str, group: int) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        with reading(path), parquet.ParquetFile(path) as file:
            return file.read_row_group(group, columns=[column]).column(0)
    except (pyarrow.ArrowException, OSError) as error:
        expected = "the Parquet file that was read"
        raise DataError(Fault(str(path), f"cannot be read: {error}", expected)) from None


@dataclass(frozen=True)
class Images:
    """The images of a collection by reference; safe for use by several threads at once."""

    places: Mapping[str, Place] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, reference: object) -> bool:
        return reference in self.places

    def __repr__(self) -> str:
        return f"<Images: {len(self):,}>"

    def where(self, reference: str) -> str:
        """Return where an image lies, in words: its file, or the file and the row."""
        return self.places[reference].where

    def size(self, reference: str) -> tuple[int, int]:
        """Return width and height in pixels as they are stored; nothing is decoded."""
        return self.places[reference].size

    def read(self, reference: str) -> bytes:
        """Return the bytes of an image's file.

        Raises KeyError for a reference that is none of the collection's, IntegrityError where the
        bytes are not those that were read, and as ``Place.read`` does.
        """
        place = self.places[reference]
        raw = place.read()
        if (found := reference_of(raw)) != reference:
            fault = Fault(place.where, f"the image has changed: {found}", reference)
            raise IntegrityError(fault)
        return raw

    def open(self, reference: str) -> Image:
        """Return an image, decoded whole: see ``decoded``. Raises as it and ``read`` do."""
        return decoded(self.read(reference), self.places[reference].where)


def decoded(raw: bytes, where: str) -> Image:
    """Decode an image's file, turned upright as its EXIF data says; of an animated one, the first
    frame. Its mode is as stored ("RGB", "L", "P", "CMYK", "I;16", ...).

    Raises DataError, naming ``where``, for what is no image, truncated, or too large.
    """
    from PIL import ImageOps

    image = _opened(raw, where)
    try:
        image.load()
    except BROKEN as error:
        found = f"is no whole image: {error or type(error).__name__}"
        raise DataError(Fault(where, found, "an image that can be decoded", MEND)) from None
    try:
        return ImageOps.exif_transpose(image)
    except BROKEN:  # EXIF data that is damaged says nothing; the pixels are sound
        return image.copy()


MEND = "get the file anew: it may have been cut while it was downloaded"


def size_of(raw: bytes, where: str) -> tuple[int, int]:
    """Return width and height that an image's header tells; nothing is decoded.

    Raises DataError, naming ``where``, for what is no image, or too large.
    """
    from PIL import Image as Pillow

    with warnings.catch_warnings():  # the limit below is told once, as an error
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        return _opened(raw, where).size


def _opened(raw: bytes, where: str) -> Image:
    """Read the header of an image. Raises DataError for what is none, or too large."""
    from PIL import Image as Pillow

    limits = f"an image of at most {MOST_PIXELS:,} pixels and {MOST_BYTES >> 20} MiB"
    smaller = "make it smaller: models see a few hundred pixels a side"
    if len(raw) > MOST_BYTES:
        raise DataError(Fault(where, f"has {plural(len(raw), 'byte')}", limits, smaller))
    try:
        image = Pillow.open(io.BytesIO(raw), formats=FORMATS)
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        pixels = re.search(r"[0-9]{2,}", str(error))
        found = f"has {plural(int(pixels[0]), 'pixel')}" if pixels else "has too many pixels"
        raise DataError(Fault(where, found, limits, smaller)) from None
    except BROKEN:
        found = "is empty" if not raw else f"is no image: it begins with {raw[:8]!r}"
        raise DataError(Fault(where, found, f"an image in one of {', '.join(FORMATS)}")) from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        found = f"has {width:,} x {plural(height, 'pixel')}"
        raise DataError(Fault(where, found, limits, smaller))
    return image
