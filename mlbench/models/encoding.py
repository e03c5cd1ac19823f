"""Encoding: each distinct text of a role and language once, checked and normalised.

A model that is not told the language (``language_free``) is given each text of a role once,
whatever languages it stands in; texts that it reads as the same bytes (``canonical``) are one
text. So all these tie exactly. What the embedding cache holds is not encoded again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.collector import uncollected
from mlbench.common.progress import Step
from mlbench.data.collection import Collection, Entries
from mlbench.models import company
from mlbench.models.boundary import Layout, Vectors, attribute, calling, check_vectors
from mlbench.models.cache import Source
from mlbench.models.inputs import Inputs
from mlbench.models.protocol import Bound, Changeable, Fitted
from mlbench.ranking.vectors import Floats, TokenVectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from mlbench.models.cache import EmbeddingCache
    from mlbench.models.registry import LoadedModel


COMPARED_AT_ONCE = 1024

Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


class Rows:
    """The vectors of one role, a row an entry, filled in any order and copied once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.dense: Floats | None = None
        self.parts: list[csr_matrix | TokenVectors] = []
        self.places: list[Ints] = []

    def put(self, places: Ints, vectors: Vectors) -> None:
        """Fill the rows ``places``."""
        if isinstance(vectors, np.ndarray):
            if self.dense is None:
                self.dense = np.empty((self.size, vectors.shape[1]), np.float32)
            self.dense[places] = vectors
        else:
            self.parts.append(vectors)
            self.places.append(places)

    def spread(self, same: Ints) -> Vectors:
        """Return all rows; row i is the one that was put at ``same[i]``."""
        if self.dense is not None:
            others = np.flatnonzero(same != np.arange(self.size))
            self.dense[others] = self.dense[same[others]]
            return self.dense
        row = np.empty(self.size, np.int64)
        places = np.concatenate(self.places)
        row[places] = np.arange(len(places))
        if isinstance(self.parts[0], TokenVectors):
            return TokenVectors.gathered(self.parts, row[same])
        from scipy import sparse

        return sparse.vstack(self.parts, format="csr", dtype=np.float32)[row[same]]


@uncollected()
def normalise(vectors: Vectors) -> Vectors:
    """Divide each row, or each token's vector, by its Euclidean norm, in float64, and round to
    float32; zero rows stay.

    The norm is added in the fixed order of ``kernels.dot`` (sparse: of the columns), so that the
    result is the same on every machine. The first call imports numba, which makes many objects.
    """
    from mlbench.ranking import kernels

    if isinstance(vectors, TokenVectors):
        return replace(vectors, vectors=normalise(vectors.vectors))
    if isinstance(vectors, np.ndarray):
        norms = kernels.norms(vectors)[:, None]
        divided = np.divide(vectors, norms, where=norms > 0, out=vectors.astype(np.float64))
        return divided.astype(np.float32)
    rows = np.arange(vectors.shape[0])
    csr = (vectors.indptr, vectors.indices, vectors.data)
    norms = np.repeat(np.sqrt(kernels.sparse_pair_scores(*csr, *csr, rows, rows)), np.diff(csr[0]))
    result = vectors.copy()
    result.data = np.divide(
        vectors.data, norms, where=norms > 0, out=vectors.data.astype(np.float64)
    ).astype(np.float32)
    return result


def mean_cosine(vectors: Vectors, rows: Ints) -> float:
    """Return the mean cosine of two different ones of ``rows``; 0 for fewer than two. What stands
    for a text of several vectors is their sum.

    Two zero rows count as alike (1), a zero row and another as unlike (0). From the length of
    the sum of the n unit vectors, |sum|^2 = n + the cosines of all ordered pairs, with one more
    dimension in which all zero rows, and they alone, are 1.
    """
    size, zeros = len(rows), 0
    if size < 2:
        return 0.0
    total = np.zeros(vectors.shape[1])
    for start in range(0, size, COMPARED_AT_ONCE):
        part = vectors[rows[start : start + COMPARED_AT_ONCE]]
        if isinstance(part, TokenVectors):
            part = part.sums(part.vectors.astype(np.float64)).astype(np.float32)
        part = normalise(part)
        total += np.asarray(part.sum(0, dtype=np.float64)).ravel()
        zeros += int((np.asarray(abs(part).sum(1)) == 0).sum())
    return float((total @ total + zeros**2 - size) / (size * (size - 1)))


COLLAPSED = 0.9999
ENOUGH = 8
"""Distinct texts from which a model that gives them one vector is said to have collapsed."""


@dataclass(frozen=True)
class Distinct:
    """The distinct texts of one role and language; ``language`` "" stands for all together."""

    role: str
    language: str
    texts: list[str]
    first: Ints
    """(texts,) the first entry of the role that has each text."""
    entry: Ints
    """(entries,) index into ``texts`` of each entry of that language."""

    @classmethod
    def of(cls, role: str, language: str, texts: Sequence[str], start: int = 0) -> Distinct:
        """Find the distinct texts in the order they first appear; ``start`` is the first entry."""
        index: dict[str, int] = {}
        size = len(texts)
        entry = np.fromiter((index.setdefault(t, len(index)) for t in texts), np.int64, size)
        first = np.unique(entry, return_index=True)[1] + start
        return cls(role, language, list(index), first, entry)

    def merged(self, keys: list[bytes]) -> tuple[Distinct, Ints]:
        """Take texts of equal key (``keys`` has one a text) as one; return also the places of
        the texts that stand for them."""
        index = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        same = np.array([index[key] for key in keys], np.int64)
        keep = np.unique(same, return_index=True)[1]
        texts = [self.texts[place] for place in keep]
        return replace(self, texts=texts, first=self.first[keep], entry=same[self.entry]), keep


def distinct_texts(
    role: str, entries: Entries, languages: tuple[str, ...], *, by_language: bool = True
) -> Iterator[Distinct]:
    """Yield the distinct texts of each language that has any, in the order they first appear."""
    parts = {"": slice(0, len(entries))}
    if by_language:
        parts = {language: entries.slice(number) for number, language in enumerate(languages)}
    for language, part in parts.items():
        if entries.texts[part]:
            yield Distinct.of(role, language, entries.texts[part], part.start)


def longest_first(forms: Sequence[bytes], places: Iterable[int]) -> Ints:
    """Return places of forms in the order of encoding: as little padding as can be, and the same
    batches whatever order the texts came in."""
    return np.array(sorted(places, key=lambda i: (-len(forms[i]), forms[i])), np.int64)


def confirm(model: LoadedModel) -> None:
    """Let a model that may have changed meanwhile say so. Raises what it raises."""
    if isinstance(model.adapter, Changeable):
        with calling(model.spec, "confirm"):
            model.adapter.confirm()


def ready_to_score(model: LoadedModel, vectors: Vectors) -> Vectors:
    """Return vectors as they are scored: of length 1 where the similarity is the cosine."""
    return normalise(vectors) if model.similarity == "cosine" else vectors


@dataclass(frozen=True)
class Plan:
    """All that is to be encoded for a collection, by role."""

    queries: tuple[Distinct, ...]
    passages: tuple[Distinct, ...]

    @classmethod
    def of(cls, collection: Collection, *, by_language: bool = True) -> Plan:
        """Find the distinct texts of a collection, of each language or of all together."""

        def find(role: str, entries: Entries) -> tuple[Distinct, ...]:
            return tuple(
                distinct_texts(role, entries, collection.languages, by_language=by_language)
            )

        return cls(find("query", collection.queries), find("passage", collection.passages))


class Count(NamedTuple):
    """How many distinct texts were encoded now, and how many came from the cache."""

    encoded: int
    cached: int


@dataclass(frozen=True)
class Embedded:
    """The vectors of a collection, one row an entry, ready for scoring.

    ``counts`` says by role ("query", "passage") where the vectors are from, ``seconds`` how long
    encoding took, where that is known.
    """

    queries: Vectors
    passages: Vectors
    warnings: tuple[str, ...]
    counts: dict[str, Count]
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """What one group of texts needs; ``keys`` and all arrays but ``order`` have one element a
    text.

    ``sizes`` are the bytes of what the model reads; ``order`` is that of encoding, empty if all
    are cached, and ``ends`` are the places in it where a batch may end.
    """

    group: Distinct
    source: Source
    keys: list[bytes]
    missing: npt.NDArray[np.bool_]
    sizes: Ints
    order: Ints
    ends: Ints


class Encoding:
    """The encoding of one collection with one model.

    Making one lets a model that asks for it read the passages or learn the ids, and takes from
    ``cache`` what is there: ``cached`` of all ``texts``. ``encode`` does the rest, which is
    ``cost`` bytes of what the model reads of them. Where ``collection`` is part of a larger one,
    ``whole`` is what the model reads and learns of.
    Raises ModelError where the model raises or breaks the adapter's contract.
    """

    def __init__(
        self,
        model: LoadedModel,
        collection: Collection,
        cache: EmbeddingCache | None = None,
        whole: Collection | None = None,
    ) -> None:
        self.model = model
        self.collection = collection
        self._inputs = Inputs(model, cache)
        self.cache = self._inputs.cache
        self._layout: Layout | None = None
        self._rows = {
            "passage": Rows(len(collection.passages)),
            "query": Rows(len(collection.queries)),
        }
        self._apart: dict[str, float] = {}
        self._seconds = dict.fromkeys(self._rows, 0.0)
        self._teach(whole or collection)
        free = attribute(model.spec, model.adapter, "language_free", False)
        plan = Plan.of(collection, by_language=not free)
        self._jobs = [self._prepare(group) for group in (*plan.passages, *plan.queries)]
        self.cost = sum(int(job.sizes[job.missing].sum()) for job in self._jobs)
        self.texts = sum(len(job.keys) for job in self._jobs)
        self.cached = self.texts - sum(int(job.missing.sum()) for job in self._jobs)

    def encode(self, progress: Progress = lambda cost, texts: None) -> Embedded:
        """Encode what is missing, and return all vectors.

        ``progress`` is told of each batch what it cost and how many texts it had. An exception that
        ends the work, such as Ctrl-C, gets a note of what the cache holds by then.
        """
        pace, kept = self._inputs.pace(), self.cached
        try:
            for job in self._jobs:
                for part in pace.cut(job.sizes[job.order], job.ends):
                    batch = job.order[part]
                    batch = batch[job.missing[batch]]
                    if not len(batch):
                        continue
                    began = time.perf_counter()
                    kept += self._encode(job, batch)
                    took = time.perf_counter() - began
                    self._seconds[job.group.role] += took
                    pace.took(took)
                    progress(int(job.sizes[batch].sum()), len(batch))
        except BaseException as error:
            if self.cache:
                error.add_note(
                    f"{kept:,} of {self.texts:,} texts are in the embedding cache; the same "
                    "command goes on from there"
                )
            raise
        if self.cost:
            confirm(self.model)
        self._inputs.remember()
        parts = {role: self._entries(role) for role in self._rows}
        warnings = tuple(
            f"the model gives all {role} texts nearly the same vector (mean cosine of two is "
            f"{cosine:.5f}): it has collapsed, and ties count against it"
            for role, vectors in parts.items()
            if (cosine := mean_cosine(vectors, self._distinct(role))) > COLLAPSED
        )
        warnings += self._company_warnings()
        counts = {role: self._count(role) for role in self._rows}
        return Embedded(parts["query"], parts["passage"], warnings, counts, self._seconds)

    @property
    def layout(self) -> Layout | None:
        """What all vectors of the model share, None before any was seen."""
        return self._layout

    def try_company(self) -> None:
        """Find out whether vectors depend on what is in a batch, by a few texts of each role.

        If so, ``encode`` warns. What an earlier run found is recalled; it alone tells where all
        vectors are in the cache. Raises ModelError as ``encode`` does.
        """
        if isinstance(self.model.adapter, Bound):
            return
        for role in self._rows:
            jobs = [job for job in self._jobs if job.group.role == role]
            job = max(jobs, key=lambda job: len(job.keys))
            if len(job.keys) < company.ENOUGH:
                continue
            texts = job.group.texts
            places = company.some_of(texts, range(len(texts)))
            measure = partial(company.apart, partial(self._given, job), places)
            chosen = [texts[place] for place in places]
            size = self._inputs.measured(
                "company", job.source, chosen, measure if job.missing.any() else None
            )
            if size is not None:
                self._apart[role] = size

    def _company_warnings(self) -> tuple[str, ...]:
        if not any(self._apart.values()):
            return ()
        allowed = company.rounding(self.model)
        return tuple(
            company.warning(role, size) for role, size in self._apart.items() if size > allowed
        )

    def _distinct(self, role: str) -> Ints:
        """Return an entry of each distinct text of all languages; none if they are few."""
        groups = [job.group for job in self._jobs if job.group.role == role]
        entry = {text: at for g in groups for text, at in zip(g.texts, g.first, strict=True)}
        return np.array([*entry.values()] if len(entry) >= ENOUGH else [], np.int64)

    def _count(self, role: str) -> Count:
        missing = np.concatenate([job.missing for job in self._jobs if job.group.role == role])
        return Count(int(missing.sum()), int((~missing).sum()))

    def _teach(self, collection: Collection) -> None:
        """Let a model that asks for it read the passages, or learn the ids of the texts."""
        adapter = self.model.adapter
        if isinstance(adapter, Fitted):
            for group in distinct_texts("passage", collection.passages, collection.languages):
                with calling(self.model.spec, "fit"):
                    adapter.fit(group.texts, group.language)
        if isinstance(adapter, Bound):
            for role, entries in (("query", collection.queries), ("passage", collection.passages)):
                for number, language in enumerate(collection.languages):
                    part = entries.slice(number)
                    with calling(self.model.spec, "bind"):
                        adapter.bind(
                            role, language, list(entries.ids[part]), list(entries.texts[part])
                        )

    def _prepare(self, group: Distinct) -> _Job:
        """Merge the texts that are one to the model, and take from the cache what is there.

        The order of encoding, hence the batches, depends on the texts alone and not on what is
        cached: a model whose rounding varies with the batch gives a resumed run the same bytes.
        """
        source = self._inputs.source(group.role, group.language)
        read = self._inputs.read(source, group.texts)
        group, chosen = group.merged(read.keys)
        keys, nothing = [read.keys[place] for place in chosen], np.zeros(len(chosen), np.int64)
        none = nothing[:0]
        job = _Job(group, source, keys, np.ones(len(keys), bool), nothing, none, none)
        for places, vectors in self.cache.find(source, keys) if self.cache else ():
            self._keep(job, places, self._checked(vectors, "the embedding cache", group, places))
            job.missing[places] = False
        if not job.missing.any():
            return job
        if read.forms is None:
            forms = self._inputs.forms(group.role, group.texts)
        else:
            forms = [read.forms[place] for place in chosen]
        order = np.arange(len(keys))
        if self._inputs.by_form:
            order = longest_first(forms, order)
        return replace(
            job,
            sizes=np.array([len(form) for form in forms]),
            order=order,
            ends=np.cumsum(self._inputs.batch_sizes(group.role, [forms[place] for place in order])),
        )

    def _encode(self, job: _Job, batch: Ints) -> int:
        """Encode, store and keep some texts of a job; return how many are in the cache now."""
        vectors = self._given(job, batch)
        stored = 0
        if self.cache:
            keys = [job.keys[place] for place in batch]
            stored = self.cache.store(job.source, keys, vectors, self.model.name)
        self._keep(job, batch, vectors)
        return stored

    def _given(self, job: _Job, places: Ints | list[int]) -> Vectors:
        """Return what the model gives for some texts of a job, from one call, checked."""
        group, adapter = job.group, self.model.adapter
        name = "encode_queries" if group.role == "query" else "encode_passages"
        encode = adapter.encode_queries if group.role == "query" else adapter.encode_passages
        with calling(self.model.spec, name):
            value = encode([group.texts[place] for place in places], group.language)
        where = f"model {self.model.spec}, {name} ({group.language or 'all languages'})"
        return self._checked(value, where, group, places)

    def _checked(
        self, value: Any, where: str, group: Distinct, places: Ints | list[int]
    ) -> Vectors:
        """Return the vectors of some texts of a group, in float32, as the model gave them."""

        def text_id(row: int) -> str:
            entry = group.first[places[row]]
            language = self.collection.languages[entries.language[entry]]
            return f"{group.role} {entries.ids[entry]!r} ({language})"

        entries = self.collection.queries if group.role == "query" else self.collection.passages
        vectors = check_vectors(
            value, method=where, rows=len(places), text_id=text_id, layout=self._layout
        )
        self._layout = self._layout or Layout.of(vectors, where)
        return vectors

    def _keep(self, job: _Job, places: Ints, vectors: Vectors) -> None:
        ready = ready_to_score(self.model, vectors)
        self._rows[job.group.role].put(job.group.first[places], ready)

    def _entries(self, role: str) -> Vectors:
        groups = [job.group for job in self._jobs if job.group.role == role]
        return self._rows[role].spread(np.concatenate([g.first[g.entry] for g in groups]))


def encode_shown(work: Encoding, title: str, *, quiet: bool) -> tuple[Embedded, Step]:
    """Encode what is missing, and show how far that is; return also the step, timed.

    Raises as ``Encoding.encode`` does.
    """
    done = work.cached
    if done and not quiet:
        print(f"{title}: {done:,} of {work.texts:,} texts are in the cache", file=sys.stderr)
    with Step(title, work.cost, "", quiet=quiet) as step:

        def progress(cost: int, texts: int) -> None:
            nonlocal done
            done += texts
            step.advance(cost)
            step.say(f"{done:,} of {work.texts:,} texts")

        return work.encode(progress), step
