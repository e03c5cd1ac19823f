"""Captions of images in several languages, and the images: rows of tables, or lines of text.

Captions search images and images search captions, as far as the task has queries and passages of
each. In a task without images, captions of the same image are relevant to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mlbench.common.counts import plural
from mlbench.common.errors import did_you_mean
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.input_files import Faults, describe, read_lines
from mlbench.data.locations import DataFile
from mlbench.data.readers import Locate, paths_of
from mlbench.data.readers._images import FoundImages, image_rows
from mlbench.data.readers._rows import Row, read_rows
from mlbench.data.task import IMAGE, Task, language_among, spellings

LANGUAGE = "{language}"
ROLES = ("captions", "more-captions")
"""Whose rows are captions."""


class Caption(NamedTuple):
    """A caption as a file has it."""

    language: str
    image: str
    text: str
    where: str


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``captions``, and the images that they name.

    Captions of one image have its id, with "#2", "#3", ... after the first of a language. An image
    is read as far as its header, and its bytes stay where they are.

    Raises DataError for damaged files, empty captions (unless ``incomplete = "skip"``), lines that
    are not as many as images, images that are missing, damaged or too large, and an image id whose
    bytes differ.
    """
    faults = Faults()
    table = _Table(task, faults)
    found = FoundImages(task, locate, faults)
    captions = _lines(task, locate, table, faults)
    if captions is None:
        files = [(code, path) for role in ROLES if role in task.source.files
                 for code, path in paths_of(locate, role)]  # fmt: skip
        captions = _rows(files, table, found, faults)
    if IMAGE in task.languages and not faults:
        found.find(dict.fromkeys(caption.image for caption in captions))
    faults.check()
    return _records(task, captions, found)


def _records(task: Task, captions: Iterable[Caption], found: FoundImages) -> Records:
    """Return captions and images in their roles, and who is relevant to whom."""
    records, of_image = Records(), dict[str, list[TextRecord]]()
    ordered: list[TextRecord] = []
    counts: dict[tuple[str, str], int] = {}
    for each in captions:
        number = counts[each.language, each.image] = counts.get((each.language, each.image), 0) + 1
        id_ = each.image if number == 1 else f"{each.image}#{number}"
        caption = TextRecord(id_, each.language, each.text, each.where, each.image)
        ordered.append(caption)
        of_image.setdefault(each.image, []).append(caption)
    pictures = [found.record(image) for image in of_image if IMAGE in task.languages]
    every = [*ordered, *pictures]
    records.queries = [entry for entry in every if entry.language in task.roles.queries]
    records.passages = [entry for entry in every if entry.language in task.roles.passages]
    for picture in pictures:
        of_image[picture.id].append(picture)
    for entries in of_image.values():
        records.judgements += [
            Judgement(query.id, query.language, passage.id, passage.language, 1, query.where)
            for query in entries
            for passage in entries
            if query.language in task.roles.queries and passage.language in task.roles.passages
            if not pictures or (query.language == IMAGE) is not (passage.language == IMAGE)
        ]
    records.images = found.images if IMAGE in task.languages else None
    return records


def _lines(task: Task, locate: Locate, table: _Table, faults: Faults) -> list[Caption] | None:
    """Return captions that are lines of files, of the images that the file ``names`` names line by
    line; None where there is no such file."""
    if "names" not in task.source.files:
        return None
    if "more-captions" in task.source.files:
        where, found = f"task {task.name!r}, files.more-captions", "given beside names"
        faults.add(where, found, "rows of captions, which say themselves what they describe")
    path = locate("names")[""]
    names = [line.text.strip().partition("#")[0] for line in read_lines(path, faults)]
    captions: list[Caption] = []
    for language, file in locate("captions").items():
        lines = list(read_lines(file, faults))
        if len(lines) != len(names):
            found = f"{plural(len(lines), 'line')}, but {len(names):,} in {path}"
            expected = "as many lines in each file: line n is a caption of the image that is named"
            faults.add(str(file), found, f"{expected} in line n")
        for line, image in zip(lines, names, strict=False):
            if table.left_out(image):
                continue
            captions += table.captions(language, image, line.text, line.where)
    return captions


def _rows(
    files: Iterable[tuple[str, Path]], table: _Table, found: FoundImages, faults: Faults
) -> list[Caption]:
    """Return captions that are in rows of files, each of a language or of all, and note images that
    are in them."""
    captions: list[Caption] = []
    for language, path in files:
        if found.within_captions:
            for each in image_rows(path, faults):
                image = table.image(each.row)
                if image is not None and not table.left_out(image):
                    found.note_row(each, image)
                captions += table.of_row(each.row, language, image)
            continue
        for row in read_rows(DataFile(language, path.name, path), faults):
            captions += table.of_row(row, language, table.image(row))
    return captions


@dataclass
class _Table:
    """Makes captions of rows and lines, and notes what is wrong with them."""

    task: Task
    faults: Faults
    missed: set[tuple[str, str]] = field(default_factory=set)

    @cached_property
    def without(self) -> list[str]:
        """Patterns of the names of images that are left out."""
        return self.task.source.options.get("leave-out", "").split()

    def of_row(self, row: Row, language: str, image: str | None) -> Iterator[Caption]:
        """Yield the captions of a row of a file of that language, "" where it is of all."""
        pattern = self.task.source.options.get("caption", "caption")
        if image is None or self.left_out(image):
            return
        if LANGUAGE in pattern:
            for code in self.task.languages:
                if code != IMAGE:
                    value = self._get(row, self._field(row, pattern, code))
                    yield from self.captions(code, image, value, row.where, absent=True)
            return
        own = language or self._language(row)
        if own:
            yield from self.captions(own, image, self._get(row, pattern), row.where)

    def left_out(self, image: str) -> bool:
        """Whether the task is without this image."""
        return any(fnmatchcase(image, pattern) for pattern in self.without)

    def image(self, row: Row) -> str | None:
        """Return the id of a row's image, or None after noting that it has none."""
        name = self.task.source.options.get("image", "image")
        value = self._get(row, name)
        if type(value) is int:
            return str(value)
        if isinstance(value, str) and value.strip():
            return value
        if value is not MISSED:
            found = f"{name!r} is {describe(value)}" if value != "" else f"{name!r} is empty"
            self.faults.add(row.where, found, "the name of an image")
        return None

    def captions(
        self, language: str, image: str, value: Any, where: str, *, absent: bool = False
    ) -> Iterator[Caption]:
        """Yield the captions that a field holds: a text, or a list of texts; with ``absent`` it may
        be empty, where the image has none in that language."""
        if value is MISSED or (absent and value in (None, "", [])):
            return
        skipped = self.task.source.options.get("incomplete") == "skip"
        for text in value if isinstance(value, list) and value else [value]:
            if isinstance(text, str) and text.strip():
                yield Caption(language, image, text, where)
            elif text is not None and not isinstance(text, str):
                expected = "a text, or a list of texts"
                self.faults.add(where, f"a caption is {describe(text)}", expected)
            elif not skipped:
                found = f"the caption of {image!r} ({language}) is empty"
                mend = 'incomplete = "skip" leaves such captions out'
                self.faults.add(where, found, "some text", mend)

    def _language(self, row: Row) -> str | None:
        languages = [code for code in self.task.languages if code != IMAGE]
        options = self.task.source.options
        if "caption-language" not in options and len(languages) == 1:
            return languages[0]
        name = options.get("caption-language", "language")
        said = self._get(row, name)
        if said is MISSED:
            return None
        if not isinstance(said, str):
            self.faults.add(row.where, f"{name!r} is {describe(said)}", "the code of a language")
            return None
        found = language_among(said, languages)
        return found if found in languages else None

    def _field(self, row: Row, pattern: str, code: str) -> str:
        written = spellings(code, self.task.source.spelled.get(code, ""))
        names = [pattern.replace(LANGUAGE, spelling) for spelling in written]
        return next((name for name in names if value_of(row.fields, name) is not MISSED), names[0])

    def _get(self, row: Row, name: str) -> Any:
        """Return a field, or MISSED after noting, once for each file, that it is not there."""
        value = value_of(row.fields, name)
        if value is MISSED and (row.file, name) not in self.missed:
            self.missed.add((row.file, name))
            mend = did_you_mean(name, row.fields)
            self.faults.add(row.where, f"no {name!r}", f"the field {name!r}", mend)
        return value


MISSED: Any = object()
"""Stands for a field that is not there."""


def value_of(fields: Mapping[str, Any], name: str) -> Any:
    """Return the field of that name or, for "a.b", the field "b" of the object in "a"; MISSED where
    there is none.

    >>> value_of({"de": {"caption": "ein Hund"}}, "de.caption")
    'ein Hund'
    """
    if name in fields:
        return fields[name]
    for place, character in enumerate(name):
        inner = fields.get(name[:place]) if character == "." else None
        if isinstance(inner, Mapping):
            return value_of(inner, name[place + 1 :])
    return MISSED
