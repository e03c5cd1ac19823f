"""Shards of passages in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mlbench.data.collection import TextRecord
from mlbench.data.corpus import BATCH, Passage, ShardSource
from mlbench.data.input_files import Faults
from mlbench.data.locations import DataFile
from mlbench.data.readers import Files
from mlbench.data.readers._rows import Row, Texts, read_rows
from mlbench.data.sources import text_choice
from mlbench.data.task import Task


@dataclass(frozen=True)
class TableShard(ShardSource):
    """A shard of JSON lines or Parquet with an id, ``text`` and maybe ``title``."""

    file: DataFile
    id_keys: tuple[str, ...]
    with_title: bool
    text_key: str = "text"

    @classmethod
    def of(
        cls,
        file: DataFile,
        language: str,
        id_keys: tuple[str, ...],
        with_title: bool,
        text_key: str = "text",
    ) -> TableShard:
        """Return the shard that a file of one language is."""
        return cls(language, file.name, file.size, file, id_keys, with_title, text_key)

    def passages(self) -> Iterator[list[Passage]]:
        """See ``ShardSource``; also refuses passages without text."""
        self.digest()
        faults = Faults()
        found = (passage for _, passage in self._sound(faults))
        while batch := list(islice(found, BATCH)):
            if not faults:
                yield batch
        faults.check()

    def records(self) -> Iterator[TextRecord]:
        """See ``ShardSource``."""
        self.digest()
        faults = Faults()
        for row, passage in self._sound(faults):
            yield TextRecord(passage.id, self.language, passage.text, row.where)
        faults.check()

    def _sound(self, faults: Faults) -> Iterator[tuple[Row, Passage]]:
        texts = Texts(faults, self.id_keys, self.with_title, self.text_key)
        for row in read_rows(self.file, faults):
            passage = texts.passage(row)
            if passage is not None and _is_sound(passage, row, faults):
                yield row, passage

    def digest(self) -> str | None:
        """See ``ShardSource``."""
        return self.file.digest()

    @property
    def choice(self) -> str:
        """See ``ShardSource``."""
        return " ".join([*self.id_keys, *["title"] * self.with_title, self.text_key])

    def where(self, index: int) -> str:
        """See ``ShardSource``; reads the file again."""
        found = next(islice(self._sound(Faults()), index, None), None)
        return found[0].where if found else super().where(index)


def _is_sound(passage: Passage, row: Row, faults: Faults) -> bool:
    if not passage.text or passage.text.isspace():
        faults.add(row.where, f"passage {passage.id!r} has no text", "some text")
        return False
    try:
        passage.text.encode()
        passage.id.encode()
    except UnicodeEncodeError:
        found = f"passage {passage.id!r} holds half of a surrogate pair"
        faults.add(row.where, found, "Unicode text")
        return False
    return True


def table_shards(
    task: Task, files: Files, id_keys: tuple[str, ...], text_key: str = "text"
) -> list[ShardSource]:
    """Return the shards that the files of a task's ``corpus`` are, each of one language.

    Passages have their title, if the task's text is "title-text".
    """
    with_title = text_choice(task) == "title-text"
    own = task.roles.passages
    single = own[0] if len(own) == 1 else ""
    return [
        TableShard.of(file, file.language or single, id_keys, with_title, text_key)
        for file in files.corpus("corpus")
    ]
