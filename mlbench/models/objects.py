"""Models that are given as objects of a running program, and the one way to get a LoadedModel."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlbench.common.errors import Fault, UsageError
from mlbench.models.images import as_rgb
from mlbench.models.neural.kinds import MODEL_TYPES
from mlbench.models.neural.outputs import DENSE, LATE, SPARSE
from mlbench.models.plugin import refuse_other_signatures
from mlbench.models.protocol import Adapter
from mlbench.models.registry import LoadedModel, describe_adapter, load_adapter

if TYPE_CHECKING:
    from PIL.Image import Image

    from mlbench.models.cache import EmbeddingCache

EXPECTED = (
    "a name or a path, an object with encode_queries and encode_passages, a SentenceTransformer, "
    "or a pair of functions (texts, language) -> array"
)


class Encode(Protocol):
    """A function that encodes texts of a language: an array of shape (len(texts), d)."""

    def __call__(self, texts: list[str], language: str) -> Any:
        """Return one vector a text."""


def load_model(
    model: object,
    options: Mapping[str, Any] | None = None,
    cache: EmbeddingCache | None = None,
) -> LoadedModel:
    """Return a model ready to encode, from whatever names or is one.

    ``model`` is a name or a path (see ``registry.load_adapter``, which takes ``options`` and
    ``cache``), an object with ``encode_queries`` and ``encode_passages``, a SentenceTransformer, a
    pair of functions for queries and passages, or a LoadedModel, which is returned as it is. The
    vectors of an object are kept in the embedding cache only if it says ``cacheable = True`` and
    declares its ``identity``.

    Raises UsageError for what is no model or takes no options, ModelError for methods that do not
    take texts and a language, and as ``load_adapter``.
    """
    if isinstance(model, LoadedModel):
        return model
    if isinstance(model, (str, os.PathLike)):
        return load_adapter(os.fspath(model), options, cache)
    kind = type(model).__name__
    given = [name for name, value in (options or {}).items() if value not in (None, False)]
    if given:
        found = f"takes none of the options given: {', '.join(given)}"
        raise UsageError(Fault(f"model {kind}", found, "a model given by name, which takes them"))
    if isinstance(model, type):
        mend = f"create an object of it: {model.__name__}(...)"
        raise UsageError(Fault("model", f"the class {model.__name__}", EXPECTED, mend))
    if isinstance(model, Adapter):
        refuse_other_signatures(model, f"model {kind}", EXPECTED)
        return describe_adapter(kind, "object", model)
    if isinstance(model, tuple) and len(model) == 2 and all(map(callable, model)):
        functions = Functions(*model)
        refuse_other_signatures(functions, "model functions", EXPECTED)
        return describe_adapter("functions", "object", functions)
    names = [each.__name__ for each in type(model).__mro__]
    for name in names:
        if other := MODEL_TYPES.get(name):
            found = f"an object of type {kind}: {other.what}"
            raise UsageError(Fault("model", found, EXPECTED, other.mend))
    if _is_sentence_transformer(model):
        encoder = next((ENCODERS[name] for name in names if name in ENCODERS), Encoder)
        return describe_adapter(kind, "object", encoder(model))
    raise UsageError(Fault("model", f"an object of type {kind}", EXPECTED))


class Functions:
    """A model made of two functions, for queries and for passages."""

    def __init__(self, queries: Encode, passages: Encode) -> None:
        self.encode_queries = queries
        self.encode_passages = passages
        names = [getattr(each, "__name__", type(each).__name__) for each in (queries, passages)]
        self.name = "-".join(dict.fromkeys(name.strip("<>") for name in names))


class Encoder:
    """A SentenceTransformer of the running program, with its own prompts and similarity."""

    language_free = True
    family = DENSE

    def __init__(self, model: Any) -> None:
        self._model = model
        card = getattr(model, "model_card_data", None)
        self.name = str(getattr(card, "model_id", None) or getattr(card, "base_model", None) or "")
        self.name = self.name or type(model).__name__
        given = getattr(model, "similarity_fn_name", None)
        given = None if given is None else str(given)
        if given not in self.family.similarities:
            where = f"model {self.name}, similarity_fn_name"
            raise UsageError(Fault(where, repr(given), "cosine or dot"))
        self.similarity = self.family.similarities[given]

    def encode_queries(self, texts: list[str], language: str) -> Any:
        """Return the vectors of queries, float32 (n, d); the language is not looked at."""
        return self._encode(self._model.encode_query, self._typed(texts))

    def encode_passages(self, texts: list[str], language: str) -> Any:
        """Return the vectors of passages, float32 (n, d); the language is not looked at."""
        return self._encode(self._model.encode_document, self._typed(texts))

    @property
    def takes_images(self) -> bool:
        """Whether the model encodes images, too."""
        return self.family is DENSE and "image" in _modalities(self._model)

    def encode_images(self, images: list[Image]) -> Any:
        """Return the vectors of images, float32 (n, d), with which no role or prompt has to do."""
        given = [{"image": as_rgb(image)} for image in images]
        return self._encode(self._model.encode, given)

    def _typed(self, texts: list[str]) -> list[Any]:
        """Return texts as the library takes them: a model of images, too, would open a text that
        looks like the path or the address of one, unless it is said to be a text."""
        if _modalities(self._model) <= {"text"}:
            return texts
        return [{"text": text} for text in texts]

    def _encode(self, method: Any, inputs: list[Any]) -> Any:
        with _training_as_before(self._model):
            return self._vectors(method, inputs)

    def _vectors(self, method: Any, inputs: list[Any]) -> Any:
        return np.asarray(method(inputs, show_progress_bar=False), np.float32)

    def describe(self) -> dict[str, Any]:
        """Return facts for the report; a model that wraps another may not have all of them."""
        facts: dict[str, Any] = {}
        if hasattr(self._model, "parameters"):
            facts["parameters"] = sum(each.numel() for each in self._model.parameters())
        if hasattr(self._model, "device"):
            facts["device"] = str(self._model.device)
        if listed := getattr(getattr(self._model, "model_card_data", None), "language", None):
            facts["languages"] = [listed] if isinstance(listed, str) else [*map(str, listed)]
        if hasattr(self._model, "prompts"):
            roles = {"query": "query", "passage": "document"}
            prompts = self._model.prompts
            facts["prompts"] = {role: prompts.get(name) or "" for role, name in roles.items()}
        return facts | self._ways()

    def _ways(self) -> dict[str, Any]:
        """Return what a model of modules says of the way of each role's texts through them."""
        if not _is_the_librarys_own(self._model):
            length = getattr(self._model, "max_seq_length", None)
            return {"max_length": length if isinstance(length, int) else None}
        from mlbench.models.neural.prompts import ROLES, what_is_asked
        from mlbench.models.neural.routes import both, differences, find_route

        where = f"model {self.name}"
        ways = {
            role: find_route(self._model, role, what_is_asked(self._model, role), where)
            for role in ROLES
        }
        return {
            "max_length": max((way.length for way in ways.values() if way.length), default=None),
            "pooling": both({role: way.pooling for role, way in ways.items()}),
            "routes": differences([*ways.values()]),
        }


class LateEncoder(Encoder):
    """A MultiVectorEncoder of the running program: it gives a vector for each token."""

    family = LATE

    def _vectors(self, method: Any, inputs: list[Any]) -> Any:
        found = method(inputs, show_progress_bar=False, convert_to_numpy=True)
        return [np.asarray(each, np.float32) for each in found]


class SparseEncoder(Encoder):
    """A SparseEncoder of the running program."""

    family = SPARSE

    def _vectors(self, method: Any, inputs: list[Any]) -> Any:
        from scipy import sparse

        found = method(inputs, show_progress_bar=False, convert_to_sparse_tensor=False)
        return sparse.csr_matrix(found.float().cpu().numpy())


ENCODERS: dict[str, type[Encoder]] = {
    "MultiVectorEncoder": LateEncoder,
    "SparseEncoder": SparseEncoder,
}
"""How encoders of the library's other classes are asked."""


def _modalities(model: object) -> set[Any]:
    """Return what kinds of input a model takes, "text" alone where it does not say."""
    said = getattr(model, "modalities", None)
    return {*said} if isinstance(said, list | tuple) else {"text"}


def _is_the_librarys_own(model: object) -> bool:
    """Say whether a model is a SentenceTransformer that encodes as that class does."""
    library = sys.modules.get("sentence_transformers")
    return (
        library is not None
        and isinstance(model, library.SentenceTransformer)
        and all(
            getattr(type(model), name) is getattr(library.SentenceTransformer, name)
            for name in ("encode_query", "encode_document")
        )
    )


@contextmanager
def _training_as_before(model: Any) -> Iterator[None]:
    """Leave every module in the mode it was in: the library's ``encode`` ends a training mode."""
    modules = list(model.modules()) if hasattr(model, "modules") else []
    before = [module.training for module in modules]
    try:
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


def _is_sentence_transformer(model: object) -> bool:
    return all(callable(getattr(model, name, None)) for name in ("encode_query", "encode_document"))
