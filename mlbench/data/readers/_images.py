"""Images that captions name: files in folders, or bytes in a column of a Parquet file."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, did_you_mean
from mlbench.common.files import reading
from mlbench.data.collection import TextRecord
from mlbench.data.images import MOST_BYTES, Images, Place, bytes_of, reference_of, size_of
from mlbench.data.input_files import Faults, describe
from mlbench.data.readers import Files, Locate, paths_of
from mlbench.data.readers._rows import Row
from mlbench.data.task import IMAGE, Task

BATCH = 64
"""Rows with images that are in memory at once."""
PATTERN = "{image}"
MOST_NAMES = 10
"""Missing images that are named."""


class ImageRow(NamedTuple):
    """A row of a Parquet file, and where it stands there: its row group and its place in it."""

    row: Row
    path: Path
    group: int
    place: int


def image_rows(path: Path, faults: Faults) -> Iterator[ImageRow]:
    """Yield the rows of a Parquet file, a few at a time; notes what is malformed."""
    import pyarrow
    from pyarrow import parquet

    try:
        with reading(path), parquet.ParquetFile(path) as file:
            number = 0
            for group in range(file.num_row_groups):
                place = 0
                for batch in file.iter_batches(BATCH, row_groups=[group]):
                    for fields in batch.to_pylist():
                        number += 1
                        row = Row(str(path), ", row ", number, fields)
                        yield ImageRow(row, path, group, place)
                        place += 1
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        faults.add(str(path), f"damaged Parquet file: {error}", "a whole Parquet file with images")


class FoundImages:
    """The images of a task by id: those in rows as they are noted, those in files when asked."""

    def __init__(self, task: Task, locate: Locate, faults: Faults) -> None:
        self._task, self._locate, self._faults = task, locate, faults
        self._options = task.source.options
        self._of: dict[str, tuple[str, str]] = {}
        self._places: dict[str, Place] = {}
        self._without: set[Path] = set()  # files that lack the column of images

    @property
    def within_captions(self) -> bool:
        """Whether the rows of captions hold the images, too."""
        apart = "images" in self._task.source.files
        return "image-bytes" in self._options and not apart and IMAGE in self._task.languages

    @property
    def images(self) -> Images:
        """The images that were found."""
        return Images(self._places)

    def record(self, image: str) -> TextRecord:
        """Return the entry of an image that was found."""
        reference, where = self._of[image]
        return TextRecord(image, IMAGE, reference, where)

    def find(self, wanted: Collection[str]) -> None:
        """Find all images that are wanted; those that are nowhere are one fault together."""
        if "images" in self._task.source.files:
            self._read_rows(frozenset(wanted))
        elif "image-files" in self._options:
            if wrong := [each for each in self._patterns() if PATTERN not in each]:
                where, expected = f"task {self._task.name!r}, image-files", f"a path with {PATTERN}"
                self._faults.add(where, f"no {PATTERN} in {wrong[0]}", expected)
                return
            self._read_files(wanted)
        missing = [image for image in wanted if image not in self._of]
        if self._faults:
            return
        if missing:
            names = "".join(f"\n    {image}" for image in missing[:MOST_NAMES])
            if len(missing) > MOST_NAMES:
                names += f"\n    and {len(missing) - MOST_NAMES:,} more"
            count = plural(len(missing), "image")
            found = f"{count} of {len(wanted):,} not found:{names}"
            self._faults.add(f"task {self._task.name!r}", found, self._expected(), self._mend())

    def note_row(self, each: ImageRow, image: str | None) -> None:
        """Note the image of a row under its id, if it has one."""
        if image is None:
            return
        column = self._options["image-bytes"]
        value = each.row.fields.get(column)
        raw = bytes_of(value)
        if raw is None:
            there = column in each.row.fields
            if not there and each.path in self._without:
                return
            mend = "" if there else did_you_mean(column, each.row.fields)
            found = f"{column!r} is {describe(value)}" if there else f"no {column!r}"
            if not there:
                self._without.add(each.path)
            expected = "the bytes of an image, or a struct whose 'bytes' they are"
            self._faults.add(each.row.where, found, expected, mend)
            return
        place = Place(each.path, (0, 0), column, each.group, each.place, each.row.number)
        self._note(image, raw, each.row.where, place)

    def _note(self, image: str, raw: bytes, where: str, place: Place) -> None:
        reference = reference_of(raw)
        first = self._of.setdefault(image, (reference, where))
        if first[0] != reference:
            found = f"image {image!r} has other bytes than at {first[1]}"
            self._faults.add(where, found, "one image for each id")
        if reference in self._places:
            return
        try:
            size = size_of(raw, where)
        except DataError as error:
            for fault in error.faults:
                self._faults.add(fault.where, fault.found, fault.expected, fault.mend)
            return
        self._places[reference] = replace(place, size=size)

    def _read_rows(self, wanted: Collection[str]) -> None:
        """Note the images of the file ``images`` that are wanted, by the field that names them."""
        name = self._options.get("image", "image")
        for _, path in paths_of(self._locate, "images"):
            for each in image_rows(path, self._faults):
                image = each.row.fields.get(name)
                if type(image) not in (int, str):
                    there = name in each.row.fields
                    found = f"{name!r} is {describe(image)}" if there else f"no {name!r}"
                    mend = did_you_mean(name, each.row.fields)
                    self._faults.add(each.row.where, found, "the name of an image", mend)
                    return
                if str(image) not in wanted:
                    continue
                if str(image) in self._of:
                    found = f"image {image!r} given again; first at {self._of[str(image)][1]}"
                    self._faults.add(each.row.where, found, "each image once")
                self.note_row(each, str(image))

    def _read_files(self, wanted: Iterable[str]) -> None:
        for image in wanted:
            path = self._file(image)
            if path is None:
                continue
            with reading(path), path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
            self._note(image, raw, str(path), Place(path, (0, 0)))

    def _file(self, image: str) -> Path | None:
        """Return the file of an image, None where there is none."""
        name = PurePosixPath(image)
        if name.is_absolute() or ".." in name.parts or "\\" in image or "\0" in image:
            self._faults.add(f"image {image!r}", "a name that leaves its folder", "a plain name")
            return None
        for folder in self._folders():
            for pattern in self._patterns():
                place = pattern.replace(PATTERN, glob.escape(image) if "*" in pattern else image)
                if "*" not in pattern:
                    if (folder / place).is_file():
                        return folder / place
                    continue
                found = sorted(folder.glob(place))
                if len(found) > 1:
                    several = " and ".join(each.name for each in found)
                    self._faults.add(f"image {image!r}", f"several files: {several}", "one file")
                if found:
                    return found[0]
        return None

    def _patterns(self) -> list[str]:
        return self._options["image-files"].split()

    def _folders(self) -> tuple[Path, ...]:
        own = self._task.path.parent
        return self._locate.folders if isinstance(self._locate, Files) else (own,)

    def _expected(self) -> str:
        files = self._task.source.files
        if "images" in files:
            return f"a row of {files['images']}"
        if "image-files" in self._options:
            places = " or ".join(self._patterns())
            return f"{places} in {' or '.join(map(str, self._folders()))}"
        return "its bytes in a field that image-bytes names, or files that image-files names"

    def _mend(self) -> str:
        if "image-files" not in self._options:
            return ""
        named = "name the folder that holds them with --data-dir or MLBENCH_DATA"
        obtain = self._task.source.obtain
        return f"{obtain}; then {named}" if obtain else f"put them there, or {named}"
