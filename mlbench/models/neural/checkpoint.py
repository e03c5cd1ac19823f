"""What was found in a checkpoint folder, and the view of it that a library is given."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbench.models.neural.outputs import DENSE, Family

ADAPTER_FILE = "adapter_config.json"


@dataclass(frozen=True)
class Adapter:
    """A PEFT adapter: its ``folder``, its ``files`` there, and what adapter_config.json says.

    ``place`` is the folder of the module that it belongs to, relative to the checkpoint.
    """

    folder: Path
    files: tuple[str, ...]
    place: str
    config: Mapping[str, Any]

    def view(self) -> contextlib.AbstractContextManager[Path]:
        """Give a new folder that holds the files and nothing else."""
        return _view((file, self.folder / file) for file in self.files)


@dataclass(frozen=True)
class Checkpoint:
    """A folder that was checked. ``files`` are all that a library may open, relative to it.

    ``layout`` is "sentence-transformers" or "transformers", ``sha256`` is over the files'
    names and contents, ``settings`` is what config_sentence_transformers.json says, ``modules``
    are the name in MODULES of each module (None for a class that is not there) and its folder,
    ``graph`` is the ONNX file that is to be run, "" for none. An ``adapter`` is to be merged into
    the model; files that lie elsewhere, as those of its base, are in ``origins``. ``made`` are
    the texts of files that the folder does not have and a library needs, which follow from those
    that it has.
    """

    folder: Path
    layout: str
    files: tuple[str, ...]
    sha256: str
    settings: dict[str, Any]
    modules: tuple[tuple[str | None, str], ...] = ()
    graph: str = ""
    adapter: Adapter | None = None
    origins: Mapping[str, Path] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    family: Family = DENSE

    def path(self, file: str) -> Path:
        """Return where one of the files lies."""
        return self.origins.get(file, self.folder / file)

    def view(self) -> contextlib.AbstractContextManager[Path]:
        """Give a new folder that holds the files and nothing else."""
        return _view(((file, self.path(file)) for file in self.files), self.made)


@contextlib.contextmanager
def _view(
    files: Iterable[tuple[str, Path]], made: Mapping[str, str] | None = None
) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlbench-", ignore_cleanup_errors=True) as name:
        for file, source in files:
            target = Path(name, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.symlink_to(source.resolve())
            except OSError:  # a system or a user without links
                shutil.copyfile(source.resolve(), target)
        for file, text in (made or {}).items():
            Path(name, file).write_text(text, encoding="utf-8")
        yield Path(name)
