"""The adapter protocol: all that mlbench asks of a model.

    class MyModel:
        name = "my-model"            # optional; shown in reports
        similarity = "cosine"        # optional; "cosine" (the default) or "dot"
        identity = "my-model v3"     # optional; changes whenever a vector would change

        def encode_queries(self, texts, language): ...   # -> (n, d) array
        def encode_passages(self, texts, language): ...  # -> (n, d) array

A factory that takes no required argument returns such an object. ``texts`` is a list of n
strings and ``language`` a language code; the result is a floating-point numpy array of shape
(n, d) or a ``scipy.sparse`` matrix of that shape, row i for text i, with the same d for both
roles and all languages. An encoder is never told which task or setting it is tested on, gets
each distinct text of a role and language once, in batches of any size and order, and must give
a text the same vector whatever stands beside it. Without ``identity`` the source of the
factory's module stands for the model: declare one if weights or other modules matter.

Two optional methods are called, once a role or language, before anything is encoded:

        def fit(self, texts, language): ...
        def bind(self, role, language, ids, texts): ...

``fit`` gives a model that needs statistics of the collection it searches (as BM25 does) all
distinct passages of a language. ``bind`` gives a model that looks its vectors up by id all ids
of a role ("query" or "passage") and language, and their texts; text i has id i, and texts may
repeat.

A model that is slow may also have any of these:

        language_free = True         # no vector depends on the language; it is called with ""
        cacheable = True             # vectors may be kept: ``identity`` covers all they depend on
        prompts = {"query": "", "passage": ""}   # what it puts before a text of each role
        options = {}                 # what else vectors depend on, as JSON; part of the cache's key

        def canonical(self, role, texts): ...    # -> list of bytes
        def encode_forms(self, role, forms): ... # -> (n, d) array, from what canonical gave
        def truncation(self, role, texts): ...   # -> (texts cut, tokens lost, tokens), or None
        def describe(self): ...                  # -> dict of facts for the report, as JSON

``canonical`` gives what the model reads of each text (a neural model: its token ids). Texts of
equal bytes are encoded as one; the more bytes, the more work, and the longest are encoded first.
``encode_forms`` is for collections larger than memory: it encodes those bytes themselves while
``canonical`` and ``truncation`` run in another thread, so that an encoder need not wait for them.
``mlbench models check SPEC`` tests a model against all this.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

SIMILARITIES = ("cosine", "dot")


@runtime_checkable
class Adapter(Protocol):
    """What a model must offer; see the module's text for the optional attributes."""

    def encode_queries(self, texts: list[str], language: str) -> Any:
        """Return one vector a query, an array of shape (len(texts), d)."""

    def encode_passages(self, texts: list[str], language: str) -> Any:
        """Return one vector a passage, an array of shape (len(texts), d)."""


@runtime_checkable
class Fitted(Protocol):
    """An adapter that reads the collection's passages before it encodes."""

    def fit(self, texts: list[str], language: str) -> None:
        """Take in all distinct passages of one language."""


@runtime_checkable
class Bound(Protocol):
    """An adapter that looks vectors up by the ids of texts."""

    def bind(self, role: str, language: str, ids: list[str], texts: list[str]) -> None:
        """Learn which text has which id; ``role`` is "query" or "passage"."""


@runtime_checkable
class Canonical(Protocol):
    """An adapter that says which texts are one to it."""

    def canonical(self, role: str, texts: list[str]) -> list[bytes]:
        """Return what the model reads of each text, as bytes."""


@runtime_checkable
class FormEncoding(Canonical, Protocol):
    """An adapter that encodes its own forms, whatever else it is asked meanwhile."""

    def encode_forms(self, role: str, forms: list[bytes]) -> Any:
        """Return one vector a form that ``canonical`` gave for the role: (len(forms), d)."""


@runtime_checkable
class Described(Protocol):
    """An adapter that has facts for the report; asked after all texts were encoded."""

    def describe(self) -> dict[str, Any]:
        """Return facts such as "parameters", "max_length" and "device"; values as in JSON."""


class Truncation(NamedTuple):
    """How many of some texts were cut to the model's maximum length, and what that lost.

    ``tokens`` counts all tokens that the texts have uncut, prompts and special tokens included.
    """

    texts: int
    lost: int
    tokens: int


@runtime_checkable
class Truncating(Protocol):
    """An adapter that cuts long texts and can say so."""

    def truncation(self, role: str, texts: list[str]) -> Truncation | None:
        """Count what the maximum length costs these texts; None where that is unknown."""
