"""What counting a shard needs: the vectors of the core, and how to know its passages again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlbench.common.sealed import raw_bytes
from mlbench.evaluation.scan import Scan
from mlbench.models.boundary import attribute
from mlbench.models.inputs import Inputs
from mlbench.ranking.counting import DEFAULT_LIMITS, Counter
from mlbench.ranking.products import Floats, Ints, Limits, Pairs

if TYPE_CHECKING:
    from pathlib import Path

    from scipy.sparse import csr_matrix

    from mlbench.evaluation.core import Core
    from mlbench.models.registry import LoadedModel
    from mlbench.ranking.ranks import Ranks


class CoreVectors(NamedTuple):
    """The vectors of the core's queries and relevant passages, a row an entry, float32 or CSR."""

    queries: Floats | csr_matrix
    relevant: Floats | csr_matrix

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over both."""
        total = hashlib.sha256()
        for array in (*arrays(self.queries), *arrays(self.relevant)):
            total.update(f"{array.dtype} {array.shape}\n".encode())
            total.update(raw_bytes(array))
        return total.hexdigest()


def arrays(vectors: Floats | csr_matrix) -> list[np.ndarray[Any, Any]]:
    """Return what vectors are made of: one array, or the three of a CSR matrix."""
    if isinstance(vectors, np.ndarray):
        return [vectors]
    return [vectors.indptr, vectors.indices, vectors.data]


class Expected(NamedTuple):
    """What the scan found a shard to hold: how many passages, and their digest."""

    passages: int
    content: str


@dataclass(frozen=True)
class Prepared:
    """All that a worker needs to count shards, beside the model; can be pickled.

    ``pairs`` are those of the table's rows. ``rows`` maps, for each language code, the ids of
    relevant passages to their rows of ``relevant``; ``known`` does so for what the model reads of
    them ("" stands for all languages where it is not told them). ``spec`` and ``options`` load the
    model (see ``registry.load_adapter``). ``keep`` is the folder for vectors, if they are wanted.
    """

    languages: tuple[str, ...]
    queries: Floats | csr_matrix
    relevant: Floats | csr_matrix
    pairs: Pairs
    rows: Mapping[str, Mapping[str, int]]
    known: Mapping[str, Mapping[bytes, int]]
    expected: Mapping[str, Expected]
    spec: str
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = DEFAULT_LIMITS
    keep: Path | None = None

    def counter(self) -> Counter:
        """Return a counter of passages against the table's rows."""
        return Counter(self.queries, self.relevant, self.pairs, self.limits)

    def own(self, ids: list[str], language: str) -> Ints:
        """Return where among ``ids`` the passage of each row stands, -1 where it does not."""
        rows = self.rows[language]
        place = np.full(self.relevant.shape[0], -1, np.int64)
        for number, id_ in enumerate(ids):
            if id_ in rows:
                place[rows[id_]] = number
        own: Ints = place[self.pairs.passage]
        return own


def prepare(
    core: Core,
    scanned: Scan,
    vectors: CoreVectors,
    model: LoadedModel,
    limits: Limits = DEFAULT_LIMITS,
    options: Mapping[str, Any] | None = None,
) -> tuple[Ranks, Prepared]:
    """Return the table that awaits its counts, and what is needed to count.

    Raises ModelError where the model fails to say what it reads of a text.
    """
    from mlbench.ranking.counting import relevant_pairs

    first = Counter(*vectors, relevant_pairs(core.collection)[0], limits)
    ranks, pairs = core.table(first.place)
    passages, languages = core.collection.passages, core.collection.languages
    codes = [languages[number] for number in passages.language.tolist()]
    rows: dict[str, dict[str, int]] = {language: {} for language in languages}
    for row, (code, id_) in enumerate(zip(codes, passages.ids, strict=True)):
        rows[code][id_] = row
    free = attribute(model.spec, model.adapter, "language_free", False)
    known: dict[str, dict[bytes, int]] = {"": {}} if free else {code: {} for code in languages}
    forms = Inputs(model).forms("passage", passages.texts)
    for row, (code, form) in enumerate(zip(codes, forms, strict=True)):
        known["" if free else code].setdefault(form, row)
    return ranks, Prepared(
        languages=languages,
        queries=vectors.queries,
        relevant=vectors.relevant,
        pairs=pairs,
        rows=rows,
        known=known,
        expected={s.name: Expected(s.passages, s.content) for s in scanned.shards},
        spec=model.spec,
        options=options or {},
        limits=limits,
    )
