"""The adapter protocol: all that mlbench asks of a model.

    class MyModel:
        name = "my-model"            # optional; shown in reports
        similarity = "cosine"        # optional; "cosine" (the default) or "dot"
        identity = "my-model v3"     # optional; changes whenever a vector would change

        def encode_queries(self, texts, language): ...   # -> (n, d) array
        def encode_passages(self, texts, language): ...  # -> (n, d) array

A factory without required arguments returns such an object. ``texts`` is a list of n strings and
``language`` a language code. The result is a floating-point numpy array of shape (n, d) or a
``scipy.sparse`` matrix of that shape. Row i is the vector of text i, and d is the same for both
roles and all languages. A model of late interaction returns a list of n arrays instead, of shape
(tokens, d) each, with one row for each token of text i, and is scored by MaxSim: each token of the
query takes the highest of its dot products (or cosines) with tokens of the passage, and these are
added. An encoder does not know on which task or setting it is evaluated. It
receives each distinct text of a role and language once, in batches of any size and order, and must
give a text the same vector whichever texts are in the batch. To see whether it does, three texts of
each role are encoded alone and together before all others. Without ``identity``, the source code
of the factory's module identifies the model, so declare one if weights or other modules matter.

A model of images has one method more:

        def encode_images(self, images): ...     # -> (n, d) array

``images`` is a list of decoded images, ``PIL.Image.Image``, turned upright, of the mode and size
that they are stored with ("RGB", "L", "P", "CMYK", ...). Row i is the vector of image i, and d is
that of its texts. Each distinct image is given once, whether it is a query, a passage or both. A
task with images refuses a model without this method before anything is encoded.

Two optional methods are called before anything is encoded, ``fit`` once for each language and
``bind`` once for each role and language:

        def fit(self, texts, language): ...
        def bind(self, role, language, ids, texts): ...

``fit`` receives all distinct passages of a language. It is for models that need statistics of the
collection, such as BM25. ``bind`` receives all ids of a role ("query" or "passage") and language,
and their texts. It is for models that look up their vectors by id. Text i has id i, and texts may
be repeated. Such a model is given no images: they are texts of the language ``zxx`` to it, and each
text is "sha256:" and the digest of an image's file. ``fit`` never receives these.

A slow model may also have any of these:

        takes_images = False         # it has encode_images, and cannot use it
        language_free = True         # no vector depends on the language; it is called with ""
        cacheable = True             # vectors may be cached: ``identity`` covers all they depend on
        prompts = {"query": "", "passage": ""}   # the text it puts before a text of each role
        options = {}                 # what else vectors depend on, as JSON; part of the cache's key

        def canonical(self, role, texts): ...    # -> list of bytes
        def encode_forms(self, role, forms): ... # -> (n, d) array, from what canonical gave
        def batch_sizes(self, role, forms): ...  # -> list of ints, how many it encodes at once
        def truncation(self, role, texts): ...   # -> (texts cut, tokens lost, tokens), or None
        def describe(self): ...                  # -> dict of facts for the report, as JSON
        def confirm(self): ...                   # raises if the model has changed meanwhile
        def tokens(self, role, texts): ...       # -> (least, most) that a server would be sent

``canonical`` returns what the model reads of each text, such as the token ids of a neural model.
Texts with equal bytes are encoded as one text. More bytes mean more work, and the longest texts are
encoded first. ``encode_forms`` is for collections larger than memory: it encodes these bytes
while ``canonical`` and ``truncation`` run in another thread, so that the encoder does not wait.
``batch_sizes`` is for a model that cuts batches itself: it is given all forms, longest first, and
says how many stand in each of its batches, one number a batch. mlbench then gives it whole ones.
``describe`` may return "parameters", "max_length", "dtype", "device", "pooling", "prompts", "notes"
and "versions" (see docs/models.md), and "languages", the codes of those that the model is for.
``confirm`` is for a model that can change without our doing, such as one on a server; it is called
once texts were encoded. ``tokens`` is an estimate for ``mlbench run --dry-run``.
``mlbench models check SPEC`` tests whether a model keeps this contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image

SIMILARITIES = ("cosine", "dot")
SIMILARITY_NAMES = {
    "cosine": "cosine", "cos_sim": "cosine",
    "dot": "dot", "dot_product": "dot", "dot_score": "dot",
}  # fmt: skip
"""What sentence-transformers calls the similarities, and has called them."""


@runtime_checkable
class Adapter(Protocol):
    """What a model must offer; see the module's text for the optional attributes."""

    def encode_queries(self, texts: list[str], language: str) -> Any:
        """Return one vector a query, (len(texts), d), or a list of one array (tokens, d) each."""

    def encode_passages(self, texts: list[str], language: str) -> Any:
        """Return one vector a passage, (len(texts), d), or a list of one array (tokens, d) each."""


@runtime_checkable
class ImageEncoding(Protocol):
    """An adapter that takes images, unless its ``takes_images`` is False."""

    def encode_images(self, images: list[Image]) -> Any:
        """Return one vector an image, (len(images), d), with the dimensions of its texts."""


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
class Batching(Canonical, Protocol):
    """An adapter that cuts what it is given into batches of its own."""

    def batch_sizes(self, role: str, forms: Sequence[bytes]) -> Sequence[int]:
        """Return how many of the forms, longest first, are in each batch, one after the other."""


@runtime_checkable
class Changeable(Protocol):
    """An adapter whose model may become another while it is used."""

    def confirm(self) -> None:
        """Raise, best an IntegrityError, where the model is not the one that it was at first."""


class Tokens(NamedTuple):
    """About how many tokens some texts have, by the server's vocabulary."""

    least: int
    most: int


@runtime_checkable
class Metered(Protocol):
    """An adapter whose use is paid for by the token."""

    def tokens(self, role: str, texts: list[str]) -> Tokens:
        """Estimate how many tokens the texts of a role are, without using the model."""


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
