"""What a run left behind: found again if it is this run's, refused by name if it is not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.errors import IntegrityError
from mlbench.common.files import alone, write_atomically
from mlbench.common.progress import Step
from mlbench.common.sealed import seal, unseal
from mlbench.evaluation.blocks import BLOCK
from mlbench.evaluation.partial import (
    SCHEMA,
    Part,
    Partial,
    ShardRow,
    changed_shards,
    check_identity,
    differing,
    read_partial,
)
from mlbench.evaluation.prepared import arrays
from mlbench.models.encoding import Count, Embedded, Encoding
from mlbench.models.inputs import Inputs

if TYPE_CHECKING:
    from mlbench.evaluation.core import Core
    from mlbench.evaluation.options import Options
    from mlbench.models.registry import LoadedModel
    from mlbench.reports.report import TaskInfo

CORE_FILE = "core.vectors"
CORE_SCHEMA = "mlbench/core/2"
VECTORS = "vectors of queries and relevant passages"


def identity_of(info: TaskInfo, shards: tuple[ShardRow, ...], model: LoadedModel) -> dict[str, str]:
    """Return the name and value of all that a run's counts depend on, but the core's vectors."""
    listed = json.dumps([astuple(shard) for shard in shards])
    source = Inputs(model).source("passage", "")
    return {
        "task": f"{info.name} {info.version}",
        "data": info.digest,
        "choice of settings": ", ".join(info.kinds),
        "list of shards": hashlib.sha256(listed.encode()).hexdigest(),
        "model": model.name,
        "model identity": model.identity,
        "similarity": model.similarity,
        "passage prompt": source.prompt,
        "model options": source.options,
        "block size": str(BLOCK),
        "format": SCHEMA,
    }


@dataclass(frozen=True)
class State:
    """The folder where a run's state is kept; the identity and the shards of what is to be run."""

    folder: Path
    identity: Mapping[str, str]
    shards: tuple[ShardRow, ...]
    overwrite: bool = False

    def partial(self, part: Part) -> Partial | None:
        """Return what a run of this part left; None if there is nothing.

        What another run left is not looked at if it may be overwritten. Raises UsageError if it
        may not, IntegrityError where it is damaged.
        """
        path = self.folder / part.file
        if not path.exists():
            return None
        try:
            found = read_partial(path)
        except IntegrityError:
            if self.overwrite:
                return None
            raise
        left = {name: value for name, value in found.identity.items() if name != VECTORS}
        if self.overwrite and differing(left, self.identity):
            return None
        check_identity(path, left, self.identity, changed_shards(found.shards, self.shards))
        return found

    def embedded(
        self, name: str, core: Core, model: LoadedModel, options: Options
    ) -> tuple[Embedded, float]:
        """Return the vectors of the core of the task called ``name``, and the seconds it took:
        those that were kept, else encode and keep them.

        All shards are counted with the same vectors, whichever machine counts them and whenever,
        as a model may round otherwise there. They are not kept for a model that does not declare
        its identity, as nothing would tell them from those of another.
        """
        path = self.folder / CORE_FILE
        lasting = model.identity.startswith("declared: ")
        if lasting and path.exists():
            kept = self._read(path)
            if kept is not None:
                return kept, 0.0
        work = Encoding(model, core.collection, options.cache)
        title = f"{name}: encoding queries and relevant passages"
        with Step(title, work.cost, work.unit, quiet=not options.progress) as step:
            embedded = work.encode(step.advance)
        return self._first(path, embedded) if lasting else embedded, step.seconds

    def _first(self, path: Path, embedded: Embedded) -> Embedded:
        """Keep vectors, and return those that are kept: another machine may have come first."""
        with alone(path):
            kept = self._read(path) if path.exists() else None
            if kept is None:
                write_atomically(path, self._to_bytes(embedded), "--work")
        return kept or embedded

    def _to_bytes(self, embedded: Embedded) -> bytes:
        sides = {"query": embedded.queries, "passage": embedded.passages}
        head = {
            "identity": dict(self.identity),
            "counts": {role: list(count) for role, count in embedded.counts.items()},
            "warnings": list(embedded.warnings),
            "shapes": {role: list(side.shape) for role, side in sides.items()},
        }
        parts = {
            f"{role} {number}": array
            for role, side in sides.items()
            for number, array in enumerate(arrays(side))
        }
        return seal(CORE_SCHEMA, head, **parts)

    def _read(self, path: Path) -> Embedded | None:
        try:
            head, parts = unseal(path, CORE_SCHEMA, "encode again: --overwrite")
        except IntegrityError:
            if self.overwrite:
                return None
            raise
        if self.overwrite and differing(head["identity"], self.identity):
            return None
        check_identity(path, head["identity"], self.identity)
        sides = {
            role: _vectors([parts[name] for name in parts if name.startswith(role)], shape)
            for role, shape in head["shapes"].items()
        }
        counts = {role: Count(*count) for role, count in head["counts"].items()}
        return Embedded(sides["query"], sides["passage"], tuple(head["warnings"]), counts)


def _vectors(parts: list[Any], shape: list[int]) -> Any:
    if len(parts) == 1:
        return parts[0]
    from scipy import sparse

    indptr, indices, data = parts
    return sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))
