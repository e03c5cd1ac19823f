"""Shards read in blocks, and the scan: every shard read once, before anything is encoded.

Where a block ends depends on its shard alone, never on a run.

It counts the passages, adds up their digests, finds the texts of the relevant ones, and finds what
is wrong with the corpus before hours are spent on it. What it learns of a shard is kept in a small
file, named after the shard's own content, so that no run scans that shard again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, IntegrityError
from mlbench.common.files import discard_abandoned, write_atomically
from mlbench.common.sealed import seal, unseal
from mlbench.data.building import is_unicode, none_of, raise_faults, wrong_text
from mlbench.data.corpus import Passage, ShardSource, StreamedCollection
from mlbench.data.digests import add, collection_digest, judged_records, sum_of_records
from mlbench.evaluation.processes import in_processes

BLOCK = 8192
"""Passages in a block; the last one of a shard has fewer."""
TOKEN_BLOCK = 1024
"""The same where a passage has one vector for each token."""


class Block(NamedTuple):
    """Some passages of a shard, in its order. ``content`` comes with the last block of a shard
    (an empty shard has one empty block), None before: it tells all that the shard holds."""

    shard: ShardSource
    start: int
    ids: list[str]
    texts: list[str]
    content: str | None


class Content:
    """SHA-256 over the ids and texts of a shard in their order, however they are cut.

    Cheaper by far than the digests that add (see ``digests``): it shows in passing that a shard
    holds what it held when it was scanned.
    """

    def __init__(self) -> None:
        self._ids = hashlib.sha256(), hashlib.sha256()
        self._texts = hashlib.sha256(), hashlib.sha256()

    def update(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Take in the next passages."""
        for strings, (lengths, joined) in ((ids, self._ids), (texts, self._texts)):
            lengths.update(np.fromiter(map(len, strings), "<i8", len(strings)).tobytes())
            joined.update("".join(strings).encode())

    def hexdigest(self) -> str:
        """Return the digest of all that was taken in."""
        parts = (*self._ids, *self._texts)
        return hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()


def blocks_of(shard: ShardSource, size: int) -> Iterator[Block]:
    """Read a shard in blocks of ``size`` passages; at least one block, the last with ``content``.

    Raises what reading it raises.
    """
    content, start = Content(), 0
    ids: list[str] = []
    texts: list[str] = []
    for batch in shard.passages():
        more, texts_of_more = map(list, zip(*batch, strict=True))
        content.update(more, texts_of_more)
        ids += more
        texts += texts_of_more
        while len(ids) > size:
            yield Block(shard, start, ids[:size], texts[:size], None)
            ids, texts, start = ids[size:], texts[size:], start + size
    yield Block(shard, start, ids, texts, content.hexdigest())


SCHEMA = "mlbench/scan/2"
SMALL = 1 << 14
"""Passages up to which a scan keeps all ids of a shard, to find those that another has too, ..."""
SAMPLED = 64
"""... and one in how many ids, chosen by their CRC, it keeps of a larger one."""

QUICKLY_READ = 32 * 2**20
"""Bytes of shards that one process scans in seconds."""

Wanted = Mapping[str, bool]
"""Ids of the judged passages of a language -> whether one is relevant to some query."""


@dataclass(frozen=True)
class ShardScan:
    """What a scan learned of a shard.

    ``content`` is that of its last block (see ``blocks``), ``total`` the sum of the digests of its
    passages (hex, see ``digests``). ``judged`` maps the ids of judged passages to their places in
    the shard, ``texts`` those of the relevant ones to their texts, ``sample`` some or all ids to
    their places.
    """

    name: str
    language: str
    passages: int
    content: str
    total: str
    judged: dict[str, int]
    texts: dict[str, str]
    sample: dict[str, int]


@dataclass(frozen=True)
class Scan:
    """What a scan learned of a collection: one entry a shard, in its order."""

    languages: tuple[str, ...]
    shards: tuple[ShardScan, ...]

    @cached_property
    def passages(self) -> npt.NDArray[np.int64]:
        """Number of passages of each language, int64 of shape (languages,)."""
        counts = np.zeros(len(self.languages), np.int64)
        for shard in self.shards:
            counts[self.languages.index(shard.language)] += shard.passages
        return counts

    @property
    def present(self) -> dict[str, set[str]]:
        """Language -> the ids of its judged passages that some shard holds."""
        found: dict[str, set[str]] = {language: set() for language in self.languages}
        for shard in self.shards:
            found[shard.language].update(shard.judged)
        return found

    def digest(self, collection: StreamedCollection) -> str:
        """Return the digest of the collection: that of ``Collection.digest``, read at once."""
        languages, queries = collection.languages, collection.queries
        codes = [languages[number] for number in queries.language.tolist()]
        parts = (
            ((languages[asked], queries.ids[query], languages[language], id_, str(relevance))
             for query, language, id_, relevance in judged.rows())
            for asked, judged in enumerate(collection.judged_parts())
        )  # fmt: skip
        return collection_digest(
            languages,
            {"query": queries.counts.tolist(), "passage": self.passages.tolist()},
            {
                "query": sum_of_records(
                    "query", zip(codes, queries.ids, queries.texts, strict=True)
                ),
                "passage": add(*(int(shard.total, 16) for shard in self.shards)),
                "qrels": add(*(sum_of_records("qrels", judged_records(part)) for part in parts)),
            },
        )


def wanted_passages(collection: StreamedCollection) -> dict[str, dict[str, bool]]:
    """Return language -> the ids of its judged passages -> whether one is relevant."""
    wanted: dict[str, dict[str, bool]] = {language: {} for language in collection.languages}
    for judged in collection.judged_parts():
        for _, language, id_, relevance in judged.rows():
            of_language = wanted[collection.languages[language]]
            of_language[id_] = of_language.get(id_, False) or relevance > 0
    return wanted


def scan(
    collection: StreamedCollection,
    folder: Path,
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> Scan:
    """Scan what was not scanned before, in ``workers`` processes; ``folder`` keeps what is learned.

    ``progress`` is told how many of ``sum(map(cost, shards))`` are done. Raises DataError for what
    is malformed, for passages given twice and for languages without passages; EnvironmentFault and
    IntegrityError as reading does.
    """
    discard_abandoned(folder, "*.scan")
    wanted = wanted_passages(collection)
    found: dict[str, ShardScan] = {}
    paths: dict[str, Path | None] = {}
    for shard in collection.shards:
        paths[shard.name] = _record(folder, shard, wanted[shard.language])
        known = _recall(paths[shard.name])
        if known is not None:
            found[shard.name] = known
            progress(cost(shard))
    todo = [shard for shard in collection.shards if shard.name not in found]
    jobs = [(shard, wanted[shard.language]) for shard in todo]
    many = workers if worth_processes(todo) else 1
    for number, learned in in_processes(_scan_job, jobs, many):
        found[learned.name] = learned
        path = paths[learned.name]
        if path is not None:
            write_atomically(path, seal(SCHEMA, asdict(learned)), "--work or MLBENCH_CACHE")
        progress(cost(todo[number]))
    result = Scan(collection.languages, tuple(found[shard.name] for shard in collection.shards))
    raise_faults([*_without_passages(collection, result), *_given_twice(collection.shards, result)])
    return result


def cost(shard: ShardSource) -> int:
    """Return what scanning a shard costs: its bytes, 1 where they are unknown."""
    return shard.size or 1


def worth_processes(shards: Sequence[ShardSource]) -> bool:
    """Say whether scanning takes so long that starting processes pays."""
    return any(s.size is None for s in shards) or sum(map(cost, shards)) > QUICKLY_READ


def _record(folder: Path, shard: ShardSource, wanted: Wanted) -> Path | None:
    """Return where the scan of a shard is kept; None where nothing tells its content."""
    digest = shard.digest()
    if digest is None:
        return None
    parts = [SCHEMA, shard.name, shard.language, digest, shard.choice]
    parts += map(str, sorted(wanted.items()))
    return folder / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}.scan"


def _recall(path: Path | None) -> ShardScan | None:
    """Return what was kept; None where there is nothing, or something damaged: it is replaced."""
    if path is None or not path.exists():
        return None
    try:
        return ShardScan(**unseal(path, SCHEMA, "scan again")[0])
    except IntegrityError:
        return None


def _scan_job(job: tuple[ShardSource, Wanted]) -> ShardScan:
    return scan_shard(*job)


def scan_shard(shard: ShardSource, wanted: Wanted) -> ShardScan:
    """Read one shard. Raises DataError for passages without text and ids given twice."""
    content, total, count = Content(), 0, 0
    judged: dict[str, int] = {}
    texts: dict[str, str] = {}
    ids: dict[str, int] = {}
    hashes: list[npt.NDArray[np.int64]] = []
    for batch in shard.passages():
        _check(shard, batch, count)
        names, read = zip(*batch, strict=True)
        content.update(names, read)
        total += sum_of_records("passage", ((shard.language, *passage) for passage in batch))
        hashes.append(np.fromiter(map(hash, names), np.int64, len(names)))
        ids |= {name: count + i for i, name in enumerate(names) if count < SMALL or _drawn(name)}
        for place, (name, text) in enumerate(batch, count):
            if name in wanted:
                judged[name] = place
                if wanted[name]:
                    texts[name] = text
        count += len(batch)
    _refuse_twice(shard, hashes)
    sample = ids if count <= SMALL else {name: ids[name] for name in ids if _drawn(name)}
    sealed = content.hexdigest()
    return ShardScan(
        shard.name, shard.language, count, sealed, f"{add(total):x}", judged, texts, sample
    )


def _drawn(id_: str) -> bool:
    return zlib.crc32(id_.encode()) % SAMPLED == 0


def _check(shard: ShardSource, batch: Sequence[Passage], start: int) -> None:
    """Refuse texts that a collection in memory would refuse; a batch without fault at once."""
    if all(text.strip() for _, text in batch) and is_unicode("".join(map("".join, batch))):
        return
    wrong = ((place, wrong_text("passage", *each)) for place, each in enumerate(batch, start))
    raise_faults([Fault(shard.where(place), *found) for place, found in wrong if found])


def _refuse_twice(shard: ShardSource, hashes: list[npt.NDArray[np.int64]]) -> None:
    """Refuse ids that a shard gives twice; where hashes are equal, read it again to make sure."""
    ordered = np.sort(np.concatenate(hashes)) if hashes else np.empty(0, np.int64)
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not suspects:
        return
    first: dict[str, int] = {}
    faults = []
    names = (passage.id for batch in shard.passages() for passage in batch)
    for place, name in enumerate(names):
        if hash(name) in suspects and first.setdefault(name, place) != place:
            faults.append(_twice(shard, name, place, shard.where(first[name])))
    raise_faults(faults)


def _twice(shard: ShardSource, id_: str, place: int, first: str) -> Fault:
    found = f"passage {id_!r} ({shard.language}) given again; first at {first}"
    return Fault(shard.where(place), found, "each passage id once in a language")


def _given_twice(shards: Sequence[ShardSource], scanned: Scan) -> Iterator[Fault]:
    """Find ids in two shards of a language: all judged ones, others as far as they were kept."""
    seen: dict[tuple[str, str], tuple[ShardSource, int]] = {}
    for shard, learned in zip(shards, scanned.shards, strict=True):
        for id_, place in (learned.sample | learned.judged).items():
            first, at = seen.setdefault((shard.language, id_), (shard, place))
            if first is not shard:
                yield _twice(shard, id_, place, first.where(at))


def _without_passages(collection: StreamedCollection, scanned: Scan) -> Iterator[Fault]:
    for language, count in zip(scanned.languages, scanned.passages.tolist(), strict=True):
        if not count and language in collection.roles.passages:
            yield none_of("passage", language)
