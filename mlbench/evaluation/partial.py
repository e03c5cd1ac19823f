"""A partial result: the table with the counts of some shards, in one file that proves itself; and
the folder where a run finds what it left, or refuses by name what another one did.

Its head says which run it belongs to (the identity: task, data, model, options, vectors), which
shards there are and which are counted, and all that a report says beside scores. Its body is the
table, as ``ranks.parquet`` holds it. So partial results add up without model or data.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, IntegrityError, UsageError
from mlbench.common.files import alone, write_atomically
from mlbench.common.names import both_shortened
from mlbench.common.sealed import seal, unseal
from mlbench.evaluation.scan import BLOCK
from mlbench.models.encoding import Count, Embedded, Encoding, encode_shown
from mlbench.models.inputs import Inputs
from mlbench.ranking.nearest import Nearest
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import ranks_from_table, ranks_to_bytes
from mlbench.ranking.vectors import arrays, of_arrays
from mlbench.reports.provenance import ModelInfo, RunInfo, TaskInfo

if TYPE_CHECKING:
    import cattrs

    from mlbench.evaluation.core import Core, ShardCounts
    from mlbench.evaluation.options import Options
    from mlbench.models.registry import LoadedModel
    from mlbench.reports.provenance import TaskInfo


SCHEMA = "mlbench/partial/2"
SUFFIX = ".partial"
ANEW = "begin again with --overwrite, or keep the partial results of this run elsewhere (--work)"
MOST_SHARDS = 5
LONGEST_VALUE = 100


@dataclass(frozen=True)
class ShardRow:
    """One shard of the task, as it was scanned."""

    name: str
    language: str
    passages: int
    content: str


@dataclass(frozen=True)
class Done:
    """What counting a shard took; see ``ShardCounts``. ``cut`` is texts, tokens lost, tokens."""

    encoded: int
    distinct: int
    recomputed: int
    seconds: float
    cut: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Draft:
    """What a report says beside scores and what follows from the shards."""

    task: TaskInfo
    model: ModelInfo
    run: RunInfo
    warnings: tuple[str, ...]
    measures: tuple[str, ...]


@dataclass
class Partial:
    """The counts of the shards in ``done``; ``ranks`` holds their sums and is added to in place.

    ``identity`` maps the name of what must not change to its value, both for people to read.
    ``shards`` are all of the task, whichever part of them is to be counted here. ``nearest`` maps a
    language to the first passages of each query, where a reranker is to score them.
    """

    identity: dict[str, str]
    shards: tuple[ShardRow, ...]
    done: dict[str, Done]
    draft: Draft
    ranks: Ranks
    nearest: dict[str, Nearest] = field(default_factory=dict)

    def add(self, counts: ShardCounts) -> None:
        """Add the counts of a shard. Raises IntegrityError if it is in already."""
        if counts.name in self.done:
            found = "counted twice"
            raise IntegrityError(Fault(f"shard {counts.name}", found, "every shard once"))
        column = self.ranks.languages.index(counts.language)
        self.ranks.above[:, column] += counts.above
        self.ranks.tied[:, column] += counts.tied
        if counts.nearest is not None:
            before = self.nearest.get(counts.language)
            both = before.and_also(counts.nearest) if before else counts.nearest
            self.nearest[counts.language] = both
        self.done[counts.name] = Done(
            encoded=counts.encoded,
            distinct=counts.distinct,
            recomputed=counts.recomputed,
            seconds=counts.seconds,
            cut=counts.cut and tuple(counts.cut),  # type: ignore[arg-type]
        )

    @property
    def left(self) -> tuple[ShardRow, ...]:
        """The shards that are not counted yet."""
        return tuple(shard for shard in self.shards if shard.name not in self.done)


class PartOfShards(NamedTuple):
    """Every n-th part of the shards, ``number`` from 1 to ``of``."""

    number: int
    of: int

    @property
    def file(self) -> str:
        """Name of the file of its partial result."""
        return f"{self.number}-of-{self.of}{SUFFIX}"

    def share(self, sizes: Mapping[str, int]) -> set[str]:
        """Return the names of the shards that are this part's, out of all.

        The largest first, each to the part that has least so far: parts are of like size, and the
        same whoever asks.
        """
        load = [0] * self.of
        mine = set()
        for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
            least = load.index(min(load))
            load[least] += sizes[name] + 1
            if least == self.number - 1:
                mine.add(name)
        return mine


WHOLE = PartOfShards(1, 1)


def empty_counts(ranks: Ranks) -> Ranks:
    """Return a table with counts of its own, all 0."""
    shape = ranks.above.shape
    return replace(ranks, above=np.zeros(shape, np.int32), tied=np.zeros(shape, np.int32))


def write_partial(path: Path, partial: Partial) -> None:
    """Write a partial result, atomically. Raises EnvironmentFault where it cannot be."""
    write_atomically(path, partial_to_bytes(partial), "--work")


def partial_to_bytes(partial: Partial) -> bytes:
    """Return the file of a partial result."""
    key = partial.draft.task.key
    head = {
        "identity": partial.identity,
        "shards": [asdict(shard) for shard in partial.shards],
        "done": {name: asdict(done) for name, done in partial.done.items()},
        "draft": asdict(partial.draft),
        "nearest": sorted(partial.nearest),
    }
    parts = {
        f"{language} {name}": part
        for language, found in sorted(partial.nearest.items())
        for name, part in _parts_of(found).items()
    }
    return seal(SCHEMA, head, ranks=ranks_to_bytes(partial.ranks, key), **parts)


def _parts_of(found: Nearest) -> dict[str, Any]:
    ids = json.dumps(found.ids).encode()
    lists = {"scores": found.scores, "relevance": found.relevance, "number": found.number}
    return {**lists, "ids": ids}


def _nearest(head: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Nearest]:
    return {
        language: Nearest(
            parts[f"{language} scores"],
            parts[f"{language} relevance"],
            parts[f"{language} number"],
            tuple(json.loads(parts[f"{language} ids"])),
        )
        for language in head.get("nearest", ())
    }


@cache
def _converter() -> cattrs.Converter:
    """Return what makes a partial result of JSON; what it learns of a class it learns once."""
    import cattrs

    return cattrs.Converter(forbid_extra_keys=False)


def read_partial(path: Path) -> Partial:
    """Read a partial result. Raises IntegrityError where it is damaged or is none."""
    import cattrs
    import pyarrow.parquet as pq

    mend = "count its shards again: the same `mlbench run` with --overwrite"
    head, parts = unseal(path, SCHEMA, mend)
    converter = _converter()
    try:
        shards = converter.structure(head["shards"], tuple[ShardRow, ...])
        done = converter.structure(head["done"], dict[str, Done])
        draft = converter.structure(head["draft"], Draft)
        identity = converter.structure(head["identity"], dict[str, str])
    except (cattrs.BaseValidationError, KeyError) as error:
        found = f"not written by mlbench, or damaged: {error}"
        raise IntegrityError(Fault(str(path), found, SCHEMA, mend)) from None
    ranks, _ = ranks_from_table(pq.read_table(io.BytesIO(parts["ranks"])), path)
    above, tied = ranks.above.copy(), ranks.tied.copy()
    ranks = replace(ranks, above=above, tied=tied)
    return Partial(identity, shards, done, draft, ranks, _nearest(head, parts))


def check_identity(
    path: Path,
    found: Mapping[str, str],
    now: Mapping[str, str],
    more: Iterable[Fault] = (),
) -> None:
    """Refuse to go on with what another run left, naming all that differs. Raises UsageError."""
    faults = [
        Fault(str(path), f"belongs to a run of another {what}: {before}", after, ANEW)
        for what, one, other in differing(found, now)
        for before, after in [both_shortened(repr(one), repr(other), LONGEST_VALUE)]
    ]
    if faults:
        raise UsageError(*faults, *more)


def changed_shards(before: Iterable[ShardRow], now: Iterable[ShardRow]) -> list[Fault]:
    """Return which shards are not what they were, the first few of them."""
    rows, others = ({row.name: row for row in side} for side in (before, now))
    faults = [
        Fault(f"shard {name}", _described(rows.get(name)), _described(others.get(name)) + ", now")
        for name in sorted({*rows, *others})
        if rows.get(name) != others.get(name)
    ]
    return faults[:MOST_SHARDS]


def _described(row: ShardRow | None) -> str:
    return (
        f"{plural(row.passages, 'passage')}, digest {row.content[:12]}" if row else "no such shard"
    )


def differing(
    first: Mapping[str, str], second: Mapping[str, str]
) -> list[tuple[str, str | None, str | None]]:
    """Return what differs in two identities: its name and both values."""
    names = dict.fromkeys([*first, *second])
    rows: list[tuple[str, Any, Any]] = [(n, first.get(n), second.get(n)) for n in names]
    return [row for row in rows if row[1] != row[2]]


CORE_FILE = "core.vectors"
CORE_SCHEMA = "mlbench/core/2"
VECTORS = "vectors of queries and relevant passages"


def identity_of(
    info: TaskInfo, shards: tuple[ShardRow, ...], model: LoadedModel, depth: int = 0
) -> dict[str, str]:
    """Return the name and value of all that a run's counts depend on, but the core's vectors;
    ``depth`` passages are found for a reranker."""
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
        **({"depth of reranking": str(depth)} if depth else {}),
    }


@dataclass(frozen=True)
class State:
    """The folder where a run's state is kept; the identity and the shards of what is to be run."""

    folder: Path
    identity: Mapping[str, str]
    shards: tuple[ShardRow, ...]
    overwrite: bool = False

    def partial(self, part: PartOfShards) -> Partial | None:
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
        work.try_company()
        title = f"{name}: encoding queries and relevant passages"
        embedded, step = encode_shown(work, title, quiet=not options.progress)
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
            role: of_arrays([parts[name] for name in parts if name.startswith(role)], shape)
            for role, shape in head["shapes"].items()
        }
        counts = {role: Count(*count) for role, count in head["counts"].items()}
        return Embedded(sides["query"], sides["passage"], tuple(head["warnings"]), counts)
