"""The view of a checkpoint folder: those of its files that were looked at and may be opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlbench.common.errors import Fault
from mlbench.models.neural.files import (
    BYTE_ORDER_MARK,
    CODE_MEND,
    begins_with_mark,
    config_faults,
    is_lfs_pointer,
    is_vocabulary,
    read_json,
    safetensors_fault,
)
from mlbench.models.neural.options import NeuralOptions


class View:
    """Files of the folder ``root`` that are taken in, by name, and what is wrong with them."""

    def __init__(self, root: Path, options: NeuralOptions) -> None:
        self.root = root
        self.options = options
        self.faults: list[Fault] = []
        self.files: list[str] = []

    def names_in(self, folder: str) -> list[str]:
        """Return the names of the files in a folder; links that lead out of it are faults."""
        names = []
        for entry in (self.root / folder).iterdir():
            if entry.is_symlink() and not self.stays_within(entry):
                fault = Fault(str(entry), "a link that points outside the folder", "a file in it")
                if fault not in self.faults:
                    self.faults.append(fault)
            elif entry.is_file():
                names.append(entry.name)
        return names

    def stays_within(self, entry: Path) -> bool:
        """Say whether a link stays in the folder, or in the hub's cache of this one model."""
        try:
            target = entry.resolve()
        except (OSError, RuntimeError):  # a loop
            return False
        blobs = self.root.parent.parent / "blobs"
        cached = self.root.parent.name == "snapshots" and target.is_relative_to(blobs.resolve())
        return cached or target.is_relative_to(self.root)

    def take(self, name: str) -> None:
        """Add a file to the view, and check what it says."""
        if name in self.files:
            return
        self.files.append(name)
        path = self.root / name
        if is_lfs_pointer(path):
            self.fault(
                name, "a Git LFS pointer: it was not downloaded", "the file itself", "git lfs pull"
            )
        elif name.endswith(".safetensors"):
            found = safetensors_fault(path)
            if found:
                self.fault(name, found, "safetensors weights", "save or download them again")
        elif name.endswith(".json") and is_vocabulary(path.name):
            if begins_with_mark(path):
                self.fault(name, BYTE_ORDER_MARK, "JSON in UTF-8 without it")
        elif name.endswith(".json"):
            trust = self.options.trust_remote_code or self.options.backend == "onnx"  # reads none
            for found in config_faults(self.json_of(name), path.name, trust):
                self.fault(name, found, "no code but the libraries' own", CODE_MEND)

    def json_of(self, name: str) -> Any:
        """Return what a JSON file says, None where it cannot be read, which is a fault."""
        value, found = read_json(self.root / name)
        if found:
            self.fault(name, found, "valid JSON, in UTF-8 without a byte order mark")
        return value

    def object_of(self, name: str) -> dict[str, Any]:
        """Return the object of a JSON file, empty where it holds none."""
        value = self.json_of(name)
        return value if isinstance(value, dict) else {}

    def fault(self, name: str, found: str, expected: str = "", mend: str = "") -> None:
        """Note what is wrong with a file, once."""
        fault = Fault(str(self.root / name), found, expected, mend)
        if fault not in self.faults:
            self.faults.append(fault)


def joined(folder: str, name: str) -> str:
    """Return the name of a file in a folder, "" for the checkpoint's own."""
    return f"{folder}/{name}" if folder else name
