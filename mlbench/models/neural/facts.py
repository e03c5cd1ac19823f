"""What a checkpoint turns out to be when it is loaded, kept so that it can be known without.

Loading takes seconds, most of them for importing the libraries. What they make of a checkpoint
follows from its files, the options and their versions, all of which the note is named after.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from typing import Any

from mlbench import __version__
from mlbench.models.neural.folder import Checkpoint
from mlbench.models.neural.load import ROLES, Loaded
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.notes import subject
from mlbench.models.shards import packed

LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers")
_OF_THE_RUN = ("name", "revision", "offline", "batch_tokens")
"""Options that change nothing of a loaded model."""


@dataclass(frozen=True)
class Facts:
    """What is known of a loaded model; ``prompts`` and ``lengths`` (see ``Loaded``) by role."""

    prompts: dict[str, str]
    pooling: str
    lengths: dict[str, int | None]
    truncate_dim: int | None
    dtype: str
    parameters: int
    device: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, loaded: Loaded) -> Facts:
        """Ask a loaded model."""
        weights = list(loaded.model.parameters())
        return cls(
            prompts={role: loaded.asked[role].prompt for role in ROLES},
            pooling=loaded.pooling,
            lengths=loaded.lengths,
            truncate_dim=loaded.truncate_dim,
            dtype=str(weights[0].dtype).removeprefix("torch.") if weights else "float32",
            parameters=sum(weight.numel() for weight in weights),
            device=str(loaded.model.device),
            notes=loaded.notes,
        )

    def chosen(self, similarity: str, backend: str) -> dict[str, Any]:
        """Return all that a vector depends on beside the files and prompts."""
        return {
            "similarity": similarity,
            "pooling": self.pooling.removesuffix(" (assumed)"),
            "max_length": self.lengths,
            "truncate_dim": self.truncate_dim,
            "dtype": self.dtype,
            "backend": backend,
        }

    def to_bytes(self) -> bytes:
        """Return them as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Facts:
        """Read what ``to_bytes`` wrote."""
        table: dict[str, Any] = json.loads(raw)
        return cls(**table | {"notes": tuple(table["notes"])})

    def differing(self, other: Facts) -> list[str]:
        """Return the names of the fields that differ; the device may."""
        names = [field.name for field in fields(self) if field.name != "device"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def versions() -> dict[str, str]:
    """Return the versions of the libraries that run a model."""
    return {name: metadata.version(name) for name in LIBRARIES}


def digest(checkpoint: Checkpoint, prompts: dict[str, str], chosen: dict[str, Any]) -> str:
    """SHA-256 (hex) over files, prompts and what was chosen; not over path, name or device."""
    said = (checkpoint.layout, checkpoint.sha256, json.dumps([prompts, chosen], sort_keys=True))
    raw = packed(field.encode("utf-8", "surrogatepass") for field in said)
    return hashlib.sha256(raw).hexdigest()


def facts_subject(checkpoint: Checkpoint, options: NeuralOptions) -> str:
    """Return the subject of the note that holds a model's facts."""
    given = {name: value for name, value in asdict(options).items() if name not in _OF_THE_RUN}
    said = json.dumps([__version__, versions(), given], sort_keys=True)
    return subject("facts", [checkpoint.layout, checkpoint.sha256, said])
