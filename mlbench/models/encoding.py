"""Encoding: each distinct text of a role and language and each image once, checked, normalised.

A model that is not told the language (``language_free``) is given each text of a role once,
whatever languages it stands in; texts that it reads as the same bytes (``canonical``) are one
text. So all these tie exactly. What the embedding cache holds is not encoded again. Images are
decoded in threads while those before them are encoded.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import agreeing
from mlbench.common.progress import Step
from mlbench.data.collection import Collection, Entries
from mlbench.data.images import Images
from mlbench.models import company
from mlbench.models.boundary import Layout, Vectors, attribute, calling, check_vectors
from mlbench.models.cache_files import Source
from mlbench.models.images import ROLE as IMAGES
from mlbench.models.images import cost_of, ends_of_batches, opened, sees
from mlbench.models.inputs import Inputs
from mlbench.models.pace import Pace
from mlbench.models.plan import Distinct, Plan, distinct_texts, longest_first
from mlbench.models.protocol import Bound, Changeable, Fitted
from mlbench.models.rows import Rows, mean_cosine, normalise

if TYPE_CHECKING:
    from PIL.Image import Image

    from mlbench.models.cache import EmbeddingCache
    from mlbench.models.registry import LoadedModel


METHODS = {"query": "encode_queries", "passage": "encode_passages", IMAGES: "encode_images"}
KINDS = {"query": "query texts", "passage": "passage texts", IMAGES: "images"}
"""What is encoded: the method that does so, and what it is in words."""

Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
COLLAPSED = 0.9999
ENOUGH = 8
"""Distinct texts from which a model that gives them one vector is said to have collapsed."""


def confirm(model: LoadedModel) -> None:
    """Let a model that may have changed meanwhile say so. Raises what it raises."""
    if isinstance(model.adapter, Changeable):
        with calling(model.spec, "confirm"):
            model.adapter.confirm()


def plan_for(model: LoadedModel, collection: Collection) -> Plan:
    """Return what a model is to encode of a collection.

    Raises ModelError for images and a model that takes none.
    """
    free = attribute(model.spec, model.adapter, "language_free", False)
    apart = sees(model, collection.languages)
    return Plan.of(collection, by_language=not free, images_as_texts=not apart)


def ready_to_score(model: LoadedModel, vectors: Vectors) -> Vectors:
    """Return vectors as they are scored: of length 1 where the similarity is the cosine."""
    return normalise(vectors) if model.similarity == "cosine" else vectors


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
    """What one group of texts, or the images of all roles, need; ``keys`` and all arrays but
    ``order`` have one element a text.

    ``sizes`` are the bytes of what the model reads; ``order`` is that of encoding, empty if all
    are cached, and ``ends`` are the places in it where a batch may end. ``others`` are the groups
    of the same images in the other role.
    """

    group: Distinct
    source: Source
    keys: list[bytes]
    missing: npt.NDArray[np.bool_]
    sizes: Ints
    order: Ints
    ends: Ints
    others: tuple[Distinct, ...] = ()

    @classmethod
    def of(
        cls, source: Source, keys: list[bytes], group: Distinct, others: tuple[Distinct, ...] = ()
    ) -> _Job:
        """Return a job of which all is missing, and no order is known yet."""
        nothing = np.zeros(len(keys), np.int64)
        none, missing = nothing[:0], np.ones(len(keys), bool)
        return cls(group, source, keys, missing, nothing, none, none, others)

    @property
    def kind(self) -> str:
        """What is encoded: the texts of a role, "query" or "passage", or images, "image"."""
        return self.source.role

    @property
    def sides(self) -> tuple[Distinct, ...]:
        """All groups."""
        return (self.group, *self.others)


class Encoding:
    """The encoding of one collection with one model.

    Making one lets a model that asks for it read the passages or learn the ids, and takes from
    ``cache`` what is there: ``cached`` of all ``texts``. ``encode`` does the rest, which is
    ``cost`` bytes of what the model reads of them. Where ``collection`` is part of a larger one,
    ``whole`` is what the model reads and learns of.
    Raises ModelError where the model raises or breaks the adapter's contract, and for images and a
    model that takes none.
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
        self._images = collection.images or Images()
        plan = plan_for(model, collection)
        self._seconds = dict.fromkeys([*self._rows, *([IMAGES] if plan.images else [])], 0.0)
        self._teach(whole or collection)
        self._jobs = [self._prepare_images(plan.images)] if plan.images else []
        self._jobs += [self._prepare(group) for group in plan.texts]
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
                began = time.perf_counter()
                for batch, images in self._batches(job, pace):
                    kept += self._encode(job, batch, images)
                    took = time.perf_counter() - began
                    self._seconds[job.kind] += took
                    if images is None:
                        pace.took(took)
                    progress(int(job.sizes[batch].sum()), len(batch))
                    began = time.perf_counter()
        except BaseException as error:
            if self.cache:
                error.add_note(
                    f"{kept:,} of {self.texts:,} {self.what} {agreeing(kept, 'is', 'are')} in the "
                    "embedding cache; the same command goes on from there"
                )
            raise
        if self.cost:
            confirm(self.model)
        self._inputs.remember()
        parts = {role: self._entries(role) for role in self._rows}
        warnings = (*self._collapse_warnings(parts), *self._company_warnings())
        counts = {kind: self._count(kind) for kind in self._seconds}
        return Embedded(parts["query"], parts["passage"], warnings, counts, self._seconds)

    @property
    def what(self) -> str:
        """What is encoded, in words."""
        return "texts and images" if IMAGES in self._seconds else "texts"

    def _batches(self, job: _Job, pace: Pace) -> Iterator[tuple[Ints, list[Image] | None]]:
        """Yield what is missing of a job, and the images where it is of images."""
        if job.kind == IMAGES:
            yield from self._batches_of_images(job)
            return
        for part in pace.cut(job.sizes[job.order], job.ends):
            batch = job.order[part]
            batch = batch[job.missing[batch]]
            if len(batch):
                yield batch, None

    def _batches_of_images(self, job: _Job) -> Iterator[tuple[Ints, list[Image]]]:
        parts = np.split(job.order, job.ends[:-1])
        batches = [left for part in parts if len(left := part[job.missing[part]])]
        names = ([job.group.texts[place] for place in batch] for batch in batches)
        with contextlib.closing(opened(self._images.open, names)) as images:
            yield from zip(batches, images, strict=True)

    @property
    def layout(self) -> Layout | None:
        """What all vectors of the model share, None before any was seen."""
        return self._layout

    def try_company(self) -> None:
        """Find out whether vectors depend on what is in a batch, by a few texts of each role, and a
        few images; these are also seen to have the dimensions of texts before all are encoded.

        If so, ``encode`` warns. What an earlier run found is recalled; it alone tells where all
        vectors are in the cache. Raises ModelError as ``encode`` does.
        """
        if isinstance(self.model.adapter, Bound):
            return
        self._try_layout()
        for kind in self._seconds:
            jobs = [job for job in self._jobs if job.kind == kind]
            job = max(jobs, key=lambda job: len(job.keys), default=None)
            if job is None or len(job.keys) < company.ENOUGH:
                continue
            texts = job.group.texts
            places = company.some_of(texts, range(len(texts)))
            measure = partial(company.apart, partial(self._given, job), places)
            chosen = [texts[place] for place in places]
            size = self._inputs.measured(
                "company", job.source, chosen, measure if job.missing.any() else None
            )
            if size is not None:
                self._apart[kind] = size

    def _try_layout(self) -> None:
        """Encode an image and a text, so that vectors of another form are known at once."""
        of_images = [job for job in self._jobs if job.kind == IMAGES]
        others = [job for job in self._jobs if job.kind != IMAGES]
        for job in (*others[:1], *of_images) if of_images else ():
            if job.missing.any():
                self._given(job, [int(np.flatnonzero(job.missing)[0])])

    def _collapse_warnings(self, parts: Mapping[str, Vectors]) -> Iterator[str]:
        """Yield which texts, or images, have all nearly one vector; ``parts`` are by role."""
        for kind in self._seconds:
            role, entries = self._distinct(kind)
            cosine = mean_cosine(parts[role], entries)
            if cosine > COLLAPSED:
                yield (
                    f"the model gives all {KINDS[kind]} nearly the same vector (mean cosine of two "
                    f"is {cosine:.5f}): it has collapsed, and ties count against it"
                )

    def _company_warnings(self) -> tuple[str, ...]:
        if not any(self._apart.values()):
            return ()
        allowed = company.rounding(self.model)
        return tuple(
            company.warning(kind, size) for kind, size in self._apart.items() if size > allowed
        )

    def _distinct(self, kind: str) -> tuple[str, Ints]:
        """Return a role and an entry in it of each distinct text of all languages, or each image;
        no entry if they are few."""
        groups = [job.group for job in self._jobs if job.kind == kind]
        entry = {text: at for g in groups for text, at in zip(g.texts, g.first, strict=True)}
        found = [at for at in entry.values() if at >= 0]
        role = groups[0].role if groups else "query"
        return role, np.array(found if len(found) >= ENOUGH else [], np.int64)

    def _count(self, kind: str) -> Count:
        missing = np.array([*chain(*(job.missing for job in self._jobs if job.kind == kind))], bool)
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
        job = self._recalled(_Job.of(source, [read.keys[place] for place in chosen], group))
        if not job.missing.any():
            return job
        if read.forms is None:
            forms = self._inputs.forms(group.role, group.texts)
        else:
            forms = [read.forms[place] for place in chosen]
        order = np.arange(len(forms))
        if self._inputs.by_form:
            order = longest_first(forms, order)
        return replace(
            job,
            sizes=np.array([len(form) for form in forms]),
            order=order,
            ends=np.cumsum(self._inputs.batch_sizes(group.role, [forms[place] for place in order])),
        )

    def _prepare_images(self, groups: tuple[Distinct, ...]) -> _Job:
        """Take from the cache the images that are there; the rest are encoded in their order."""
        source, (group, *others) = self._inputs.source(IMAGES, ""), groups
        keys = source.keys(text.encode() for text in group.texts)
        job = self._recalled(_Job.of(source, keys, group, tuple(others)))
        sizes = [*map(self._images.size, group.texts)]
        return replace(
            job,
            sizes=np.array([*map(cost_of, sizes)]),
            order=np.arange(len(sizes)),
            ends=np.array(ends_of_batches([width * height for width, height in sizes])),
        )

    def _recalled(self, job: _Job) -> _Job:
        """Take what the cache holds of a job, which is then not missing."""
        for places, vectors in self.cache.find(job.source, job.keys) if self.cache else ():
            self._keep(job, places, self._checked(vectors, "the embedding cache", job, places))
            job.missing[places] = False
        return job

    def _encode(self, job: _Job, batch: Ints, images: list[Image] | None) -> int:
        """Encode, store and keep some texts of a job; return how many are in the cache now."""
        vectors = self._given(job, batch, images)
        stored = 0
        if self.cache:
            keys = [job.keys[place] for place in batch]
            stored = self.cache.store(job.source, keys, vectors, self.model.name)
        self._keep(job, batch, vectors)
        return stored

    def _given(
        self, job: _Job, places: Ints | list[int], images: list[Image] | None = None
    ) -> Vectors:
        """Return what the model gives for some texts of a job, from one call, checked."""
        texts = [job.group.texts[place] for place in places]
        given: tuple[Any, ...] = (texts, job.group.language)
        if job.kind == IMAGES:
            given = (images or [self._images.open(each) for each in texts],)
        name = METHODS[job.kind]
        with calling(self.model.spec, name):
            value = getattr(self.model.adapter, name)(*given)
        of = "" if job.kind == IMAGES else f" ({job.group.language or 'all languages'})"
        return self._checked(value, f"model {self.model.spec}, {name}{of}", job, places)

    def _checked(self, value: Any, where: str, job: _Job, places: Ints | list[int]) -> Vectors:
        """Return the vectors of some texts of a job, in float32, as the model gave them."""

        def text_id(row: int) -> str:
            side = next(each for each in job.sides if each.first[places[row]] >= 0)
            entries, entry = self._sides[side.role], side.first[places[row]]
            language = self.collection.languages[entries.language[entry]]
            return f"{job.kind} {entries.ids[entry]!r} ({language})"

        vectors = check_vectors(
            value, method=where, rows=len(places), text_id=text_id, layout=self._layout
        )
        self._layout = self._layout or Layout.of(vectors, where)
        return vectors

    @property
    def _sides(self) -> dict[str, Entries]:
        return {"passage": self.collection.passages, "query": self.collection.queries}

    def _keep(self, job: _Job, places: Ints, vectors: Vectors) -> None:
        ready = ready_to_score(self.model, vectors)
        for side in job.sides:
            at = side.first[places]
            there = np.flatnonzero(at >= 0)
            if len(there) == len(at):
                self._rows[side.role].put(at, ready)
            elif len(there):
                self._rows[side.role].put(at[there], ready[there])

    def _entries(self, role: str) -> Vectors:
        same = np.empty(self._rows[role].size, np.int64)
        for side in (each for job in self._jobs for each in job.sides if each.role == role):
            same[side.entries] = side.first[side.entry]
        return self._rows[role].spread(same)


def encode_shown(work: Encoding, title: str, *, quiet: bool) -> tuple[Embedded, Step]:
    """Encode what is missing, and show how far that is; return also the step, timed.

    Raises as ``Encoding.encode`` does.
    """
    done = work.cached
    if done and not quiet:
        print(f"{title}: {done:,} of {work.texts:,} {work.what} are in the cache", file=sys.stderr)
    with Step(title, work.cost, "", quiet=quiet) as step:

        def progress(cost: int, texts: int) -> None:
            nonlocal done
            done += texts
            step.advance(cost)
            step.say(f"{done:,} of {work.texts:,} {work.what}")

        return work.encode(progress), step
