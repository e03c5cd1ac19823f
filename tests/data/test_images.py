from __future__ import annotations

import io
import pickle
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from mlbench.common.errors import DataError, EnvironmentFault, IntegrityError
from mlbench.data import images as module
from mlbench.data.images import (
    Images,
    Place,
    bytes_of,
    decoded,
    is_reference,
    reference_of,
    size_of,
)
from tests.support.image_collections import picture, sha256


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


RED = Image.new("RGB", (4, 2), (255, 0, 0))


def test_a_reference_is_the_digest_of_the_bytes():
    raw = picture(1)
    assert reference_of(raw) == f"sha256:{sha256(raw)}"
    assert is_reference(reference_of(raw))
    assert not any(map(is_reference, ("sha256:abc", f"{reference_of(raw)}\n", "picture.png")))


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_formats_give_the_pixels_that_pillow_gives(form):
    raw = encoded(RED, form, **({"lossless": True} if form == "WEBP" else {}))
    image = decoded(raw, "x")
    assert image.size == size_of(raw, "x") == (4, 2)
    assert image.convert("RGB").getpixel((3, 1)) == (255, 0, 0)


def test_modes_stay_as_they_are_stored():
    sixteen = Image.fromarray(np.arange(6, dtype=np.uint16).reshape(2, 3) * 9000)
    for image, form, mode in (
        (RED.convert("CMYK"), "JPEG", "CMYK"),
        (RED.convert("CMYK"), "TIFF", "CMYK"),
        (sixteen, "PNG", "I;16"),
        (RED.convert("L"), "PNG", "L"),
        (RED.convert("RGBA"), "PNG", "RGBA"),
    ):
        again = decoded(encoded(image, form), "x")
        assert (again.mode, again.size) == (mode, image.size)
    assert np.asarray(decoded(encoded(sixteen, "PNG"), "x")).max() == 45000


def test_the_first_frame_of_an_animated_image_counts():
    blue = Image.new("RGB", (4, 2), (0, 0, 255))
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        raw = encoded(RED, form, save_all=True, append_images=[blue, blue])
        pixel = decoded(raw, "x").convert("RGB").getpixel((0, 0))
        assert np.abs(np.subtract(pixel, (255, 0, 0))).max() < 10


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_exif_turns_an_image_upright():
    image = Image.new("L", (3, 2))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    for form in ("TIFF", "PNG"):
        turned = decoded(encoded(image, form, exif=exif), "x")
        assert turned.size == (2, 3)
        assert turned.getpixel((1, 0)) == 255
    broken = encoded(image.convert("RGB"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert decoded(broken, "x").size == (3, 2)


def test_one_pixel_is_an_image():
    assert decoded(encoded(Image.new("L", (1, 1)), "PNG"), "x").size == (1, 1)


def of_size(width: int, height: int) -> bytes:
    """A PNG that says so of itself, and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 10)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((20_000, 20_000), "400,000,000"),
        ((10_000, 10_000), "10,000 x 10,000"),
        ((2**31 - 1, 1), "2,147,483,647"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_they_are_decoded(size, told):
    for read in (size_of, decoded):
        with pytest.raises(DataError, match=r"big\.png.*pixels") as error:
            read(of_size(*size), "big.png")
        assert f"has {told} pixels" in str(error.value)
        assert "at most 89,478,485 pixels" in str(error.value)
        assert "limit of" not in str(error.value)


def test_too_many_pixels_are_told_once():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match="10,000 x 10,000"):
            size_of(of_size(10_000, 10_000), "big.png")
    assert not told


def test_too_many_bytes_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"big\.png: has \d+ bytes"):
        size_of(picture(1), "big.png")


@pytest.mark.parametrize("raw", [b"", b"%PDF-1.7", b"<svg></svg>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_image_is_named(raw):
    for read in (decoded, size_of):
        with pytest.raises(DataError, match=r"a\.png: is (no image|empty)"):
            read(raw, "a.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_image_is_named(form):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    raw = encoded(Image.fromarray(noise), form)
    with pytest.raises(DataError, match=r"a\.img: is no (whole )?image"):
        decoded(raw[: len(raw) // 2], "a.img")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_no_damage_raises_anything_else():
    generator = np.random.default_rng(1)
    for form in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        raw = encoded(RED.resize((30, 30)), form)
        for _ in range(60):
            broken = bytearray(raw)
            for place in generator.integers(0, len(raw), 3):
                broken[place] = generator.integers(256)
            with suppress(DataError):
                decoded(bytes(broken), "x")


def write_parquet(path: Path, raws: list[bytes], column: str = "image", group: int = 2) -> None:
    values = [{"bytes": raw, "path": None} for raw in raws]
    parquet.write_table(
        pa.table({"id": range(len(raws)), column: values}), path, row_group_size=group
    )


def from_parquet(path: Path, raws: list[bytes], group: int = 2) -> Images:
    return Images(
        {
            reference_of(raw): Place(path, (8, 6), "image", i // group, i % group, i + 1)
            for i, raw in enumerate(raws)
        }
    )


def test_images_of_files_and_of_parquet_are_the_same(tmp_path):
    raws = [picture(i) for i in range(5)]
    write_parquet(tmp_path / "a.parquet", raws)
    for i, raw in enumerate(raws):
        (tmp_path / f"{i}.png").write_bytes(raw)
    files = Images(
        {reference_of(r): Place(tmp_path / f"{i}.png", (8, 6)) for i, r in enumerate(raws)}
    )
    rows = from_parquet(tmp_path / "a.parquet", raws)
    for raw in raws:
        reference = reference_of(raw)
        assert files.read(reference) == rows.read(reference) == raw
        assert files.size(reference) == rows.size(reference) == files.open(reference).size
        assert files.open(reference).tobytes() == rows.open(reference).tobytes()
    assert rows.where(reference_of(raws[3])) == f"{tmp_path / 'a.parquet'}, row 4"
    assert len(rows) == 5


def test_threads_and_processes_may_share_images(tmp_path):
    raws = [picture(i) for i in range(40)]
    write_parquet(tmp_path / "a.parquet", raws)
    rows = pickle.loads(pickle.dumps(from_parquet(tmp_path / "a.parquet", raws)))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(rows.read, map(reference_of, raws * 3))) == raws * 3


def test_images_that_have_changed_are_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(picture(1))
    images = Images({reference_of(picture(1)): Place(path, (8, 6))})
    path.write_bytes(picture(2))
    with pytest.raises(IntegrityError, match="has changed"):
        images.open(reference_of(picture(1)))
    path.unlink()
    with pytest.raises((DataError, EnvironmentFault), match=r"a\.png"):
        images.open(reference_of(picture(1)))


def test_a_parquet_file_that_has_changed_is_refused(tmp_path):
    path, raws = tmp_path / "a.parquet", [picture(i) for i in range(4)]
    write_parquet(path, raws)
    place = Place(path, (8, 6), "image", 9, 0, 19)
    with pytest.raises(DataError, match=r"a\.parquet"):
        place.read()
    with pytest.raises(DataError, match="no image there any more"):
        replace(place, group=1, row=5).read()


def test_bytes_of_a_column():
    assert bytes_of(b"a") == bytes_of({"bytes": b"a", "path": "x.png"}) == b"a"
    assert bytes_of("a") is bytes_of(None) is bytes_of({"bytes": None, "path": "x.png"}) is None
