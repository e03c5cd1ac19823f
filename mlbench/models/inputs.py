"""What a model reads of texts: its own form of each, the keys of the cache, what is cut off.

The answers of a model that may be cached are kept in the embedding cache, so that a run that
finds all vectors there need not ask: a neural model is then not even loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, ModelError
from mlbench.models.boundary import attribute, calling
from mlbench.models.cache_files import KEY_BYTES, SCHEMA, Source, question_digest
from mlbench.models.images import ROLE as IMAGES
from mlbench.models.pace import Pace
from mlbench.models.protocol import Batching, Bound, Canonical, Fitted, Truncating, Truncation

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache
    from mlbench.models.registry import LoadedModel


def learns(adapter: object) -> bool:
    """Say whether an adapter keeps something of a collection, so that each needs a new one."""
    return isinstance(adapter, Fitted | Bound)


def is_cacheable(model: LoadedModel) -> bool:
    """Say whether a model's vectors may be cached.

    It must ask for it (``cacheable = True``) and declare its identity: one derived from its
    source says nothing of weights. Nor may its vectors depend on the collection.
    """
    return not _lacking(model) and not learns(model.adapter)


def _lacking(model: LoadedModel) -> list[str]:
    """Return what a model does not say that it must, so that its vectors may be cached."""
    asks = attribute(model.spec, model.adapter, "cacheable", False) is True
    identity = [] if model.identity.startswith("declared: ") else [IDENTITY]
    return identity + ([] if asks else [CACHEABLE])


IDENTITY = '`identity = "..."`, a text that changes whenever a vector would'
CACHEABLE = "`cacheable = True`"


def about_keeping(model: LoadedModel) -> str:
    """Say in a sentence whether a model's vectors are kept for later runs, or what that takes."""
    if learns(model.adapter):
        return "its vectors are not kept: it has fit or bind, so they depend on the collection"
    if lacking := _lacking(model):
        return f"its vectors are not kept for later runs; for that give it {' and '.join(lacking)}"
    return "its vectors are kept in the embedding cache for later runs"


class Read(NamedTuple):
    """How a model reads some texts: two of equal ``keys`` are one to it.

    ``forms`` are what it reads of each; None where the keys were recalled.
    """

    keys: list[bytes]
    forms: list[bytes] | None


class Inputs:
    """Asks one model about texts, or recalls what it said. ``cache`` is None if it is not used.

    ``by_form`` says whether the model has forms of its own (``canonical``).
    """

    def __init__(self, model: LoadedModel, cache: EmbeddingCache | None = None) -> None:
        self.model = model
        self.cache = cache if is_cacheable(model) else None
        self.by_form = isinstance(model.adapter, Canonical)
        self._prompts = attribute(model.spec, model.adapter, "prompts", {})
        self._options = attribute(model.spec, model.adapter, "options", {})
        self._new: dict[str, bytes] = {}

    def source(self, role: str, language: str) -> Source:
        """Say what vectors depend on beside the texts, or beside the images."""
        form = "canonical" if self.by_form else "text"
        if role == IMAGES:
            form = f"image/1, decoded by Pillow {metadata.version('pillow')}"
        with calling(self.model.spec, "attributes prompts and options"):
            prompt = self._prompts.get(role, "")
            options = json.dumps(self._options, sort_keys=True)
        return Source(
            identity=self.model.identity,
            role=role,
            prompt=prompt,
            language=language,
            options=options,
            form=form,
        )

    def read(self, source: Source, texts: Sequence[str]) -> Read:
        """Return how the model reads distinct texts. Raises ModelError where it fails."""
        if self.cache is None:
            forms = self.forms(source.role, texts)
            return Read(forms, forms)
        about = _about("keys", source, texts) if self.by_form else ""
        known = self.cache.recall(about) if about else None
        if known is not None:
            return Read([known[i : i + KEY_BYTES] for i in range(0, len(known), KEY_BYTES)], None)
        forms = self.forms(source.role, texts)
        keys = source.keys(forms)
        if about:
            self._new[about] = b"".join(keys)
        return Read(keys, forms)

    def forms(self, role: str, texts: Sequence[str]) -> list[bytes]:
        """Return the model's own form of each text, else the text in UTF-8."""
        if not self.by_form or not texts:
            return [text.encode() for text in texts]
        with calling(self.model.spec, "canonical"):
            forms = self.model.adapter.canonical(role, list(texts))
        if not isinstance(forms, list) or {type(form) for form in forms} != {bytes}:
            found = f"returned {type(forms).__name__}"
        elif len(forms) != len(texts):
            found = f"returned {plural(len(forms), 'value')} for {plural(len(texts), 'text')}"
        else:
            return forms
        raise ModelError(Fault(f"model {self.model.spec}, canonical", found, "a list of bytes"))

    def batch_sizes(self, role: str, forms: Sequence[bytes]) -> Sequence[int]:
        """Return how many forms, longest first, belong together in a batch, a number a batch."""
        if not isinstance(self.model.adapter, Batching):
            return [1] * len(forms)
        with calling(self.model.spec, "batch_sizes"):
            counts = [int(count) for count in self.model.adapter.batch_sizes(role, forms)]
        if sum(counts) != len(forms) or min(counts, default=1) < 1:
            found = f"returned batches of {plural(sum(counts), 'text')} in all"
            raise ModelError(
                Fault(
                    f"model {self.model.spec}, batch_sizes", found, f"{plural(len(forms), 'text')}"
                )
            )
        return counts

    def remember(self) -> None:
        """Keep what ``read`` had to ask, now that the vectors are stored."""
        while self.cache and self._new:
            self.cache.remember(*self._new.popitem())

    def pace(self) -> Pace:
        """Return how much to give the model at once, as far as it is known from earlier runs."""
        if self.cache is None:
            return Pace()
        cache, about = self.cache, _about("pace", self.source("", ""), ())
        known = cache.recall(about)
        return Pace(
            None if known is None else int(known),
            lambda doublings: cache.remember(about, str(doublings).encode()),
        )

    def truncation(self, role: str, language: str, texts: Sequence[str]) -> Truncation | None:
        """Return what the maximum length costs some texts; None where that is unknown."""
        if not isinstance(self.model.adapter, Truncating):
            return None
        about = _about("truncation", self.source(role, language), texts) if self.cache else ""
        known = self.cache.recall(about) if self.cache else None
        if known is not None:
            said = json.loads(known)
            return None if said is None else Truncation(*said)
        with calling(self.model.spec, "truncation"):
            cut = self.model.adapter.truncation(role, list(texts))
            cut = cut and Truncation(int(cut.texts), int(cut.lost), int(cut.tokens))
        if self.cache:
            self.cache.remember(about, json.dumps(cut).encode())
        return cut

    def measured(
        self,
        question: str,
        source: Source,
        texts: Sequence[str],
        measure: Callable[[], float] | None,
    ) -> float | None:
        """Return a measure of some texts, or recall what it was; None where neither can be."""
        about = _about(question, source, texts) if self.cache else ""
        known = self.cache.recall(about) if self.cache else None
        if known is not None or measure is None:
            return None if known is None else float(known)
        found = measure()
        if self.cache:
            self.cache.remember(about, repr(found).encode())
        return found


def _about(question: str, source: Source, texts: Sequence[str]) -> str:
    return question_digest(question, (SCHEMA, *astuple(source)), texts)
