"""A model's inputs: texts to rows of bytes, one a text, and rows to the tensors of a batch.

The library makes the tensors once, with its own prompts, templates and truncation; they are cut
into rows of token ids, and a batch is put together from rows again. A form is used only if it
gives the library's own tensors back, bit by bit, for the texts of PROBES; TextForm, which asks
the library anew for every batch, always does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCK = 512
"""Texts that are tokenised at once."""
PROBES = ("a", "A few words in English, і трохи українською, 和一点中文。 12345", "?")

PLAIN, POSITIONS, EQUAL = "", "positions from the mask", "equal lengths"
"""How a batch is padded: as the library does it; with the position of each token counted from its
text's first token; not at all, as all its texts have one length."""

UNTYPED, TYPED, NAMED = "", "typed", "named"
"""How texts are given: as they are; each as one of typed parts; with a word for all of them."""

Features = dict[str, Any]


def cut(sizes: Sequence[int], budget: int, *, equal: bool = False) -> Iterator[slice]:
    """Cut texts, longest first, into batches of at most ``budget`` tokens, padding included.

    A longer text is a batch of its own. If ``equal``, the texts of a batch have one length.

    >>> list(cut([5, 4, 4, 2], budget=9))
    [slice(0, 1, None), slice(1, 3, None), slice(3, 4, None)]
    >>> list(cut([4, 4, 2], budget=99, equal=True))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    start = 0
    while start < len(sizes):
        stop = min(start + max(1, budget // max(1, sizes[start])), len(sizes))
        if equal:
            others = (i for i in range(start, stop) if sizes[i] != sizes[start])
            stop = next(others, stop)
        yield slice(start, stop)
        start = stop


@dataclass(frozen=True)
class Asked:
    """What the library is asked to do with the texts of a role: prompt, task, and the like.

    ``typed`` says how it is told that they are texts: a library that guesses would open a text that
    looks like the path or the address of an image.
    """

    prompt: str
    arguments: dict[str, Any] = field(default_factory=dict)
    typed: str = UNTYPED

    def features(self, model: Any, texts: Sequence[str]) -> Features:
        """Return the library's own tensors for a batch."""
        given: Sequence[Any] = [sound(text) for text in texts]
        said = {"modality": "text"} if self.typed == NAMED else {}
        if self.typed == TYPED:
            given = [{"text": text} for text in given]
        found: Features = model.preprocess(
            given, prompt=self.prompt or None, **self.arguments, **said
        )
        return found

    def pictures(self, model: Any, images: Sequence[Image]) -> Features:
        """Return the library's own tensors for a batch of images of the mode "RGB"."""
        given = [{"image": image} for image in images]
        found: Features = model.preprocess(given, prompt=self.prompt or None, **self.arguments)
        return found


def how_typed(model: Any, first: Any) -> str:
    """Return how a model is told that its inputs are texts; ``first`` is the module that reads
    them. A model of texts alone opens nothing."""
    if set(model.modalities) <= {"text"}:
        return UNTYPED
    return TYPED if hasattr(first, "modality_config") else NAMED


def sound(text: str) -> str:
    """Replace half surrogate pairs, which no tokenizer takes."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


@dataclass(frozen=True)
class Form(ABC):
    """A way to keep what the library makes of the texts of a role as rows, and how to pad them."""

    asked: Asked
    padding: str = field(default=PLAIN, kw_only=True)

    @abstractmethod
    def rows(self, model: Any, texts: Sequence[str]) -> list[bytes]:
        """Return one row a text."""

    @abstractmethod
    def features(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Return the tensors of a batch, as the library makes them."""

    def inputs(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Return what the model is given of a batch."""
        features = self.features(model, rows)
        if self.padding != POSITIONS:
            return features
        positions = features["attention_mask"].cumsum(1) - 1
        return features | {"position_ids": positions.clamp(min=0)}

    def batches(self, rows: Sequence[bytes], budget: int) -> Iterator[slice]:
        """Cut rows, longest first, into batches of at most ``budget`` tokens."""
        return cut([*map(self.size, rows)], budget, equal=self.padding == EQUAL)

    def size(self, row: bytes) -> int:
        """Return the length of a row in tokens, int32 each, or as near as is known."""
        return len(row) // 4

    def tokens(self, row: bytes) -> int:
        """Return how many of these are the text's own."""
        return self.size(row)


@dataclass(frozen=True)
class TokenForm(Form):
    """Rows are token ids, int32; batches are padded, to ``least`` tokens at least. ``same`` is
    equal for all batches."""

    pad: int
    left: bool
    keys: tuple[str, ...]
    same: dict[str, Any]
    least: int = field(default=1, kw_only=True)

    @classmethod
    def of(cls, asked: Asked, features: Features, least: int = 1) -> TokenForm:
        """Read off the tensors of PROBES how batches are padded."""
        ids, mask = (features[key].numpy() for key in ("input_ids", "attention_mask"))
        padded = ids[mask == 0]
        tensors = {key for key, value in features.items() if hasattr(value, "numpy")}
        return cls(
            asked,
            pad=int(padded[0]) if len(padded) else 0,
            left=bool(len(padded)) and not mask[:, 0].all(),
            keys=tuple(sorted(tensors)),
            same={key: value for key, value in features.items() if key not in tensors},
            least=least,
        )

    def size(self, row: bytes) -> int:
        """Return the length of a row in tokens, with those that all rows are filled up to."""
        return max(self.least, len(row) // 4)

    def tokens(self, row: bytes) -> int:
        """Return how many tokens are the text's own."""
        return len(row) // 4

    def rows(self, model: Any, texts: Sequence[str]) -> list[bytes]:
        """Return the ids of each text, without padding."""
        features = self.asked.features(model, texts)
        ids, mask = (features[key].numpy() for key in ("input_ids", "attention_mask"))
        ids, widths = ids.astype(np.int32), mask.sum(axis=1)
        if self.left:
            return [row[len(row) - n :].tobytes() for row, n in zip(ids, widths, strict=True)]
        return [row[:n].tobytes() for row, n in zip(ids, widths, strict=True)]

    def features(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Pad the rows to the longest."""
        import torch

        width = max(self.least, *map(self.size, rows))
        tensors = {key: np.zeros((len(rows), width), np.int64) for key in self.keys}
        ids, mask = tensors["input_ids"], tensors["attention_mask"]
        ids.fill(self.pad)
        for place, row in enumerate(rows):
            n = len(row) // 4
            span = slice(width - n, width) if self.left else slice(n)
            ids[place, span] = _ids(row)
            mask[place, span] = 1
        return {key: torch.from_numpy(value) for key, value in tensors.items()} | self.same


EXPANSION = "query_expansion_positions"


@dataclass(frozen=True)
class ExpandedForm(TokenForm):
    """Rows are token ids, int32, with those that queries of late interaction are filled up with:
    each of these as -1 - id. ``attend`` says whether the network attends to them."""

    attend: bool

    @classmethod
    def of(cls, asked: Asked, features: Features, least: int = 1) -> ExpandedForm:
        """Read off the tensors of PROBES how batches are padded and filled up."""
        plain = TokenForm.of(asked, features)
        filled = features[EXPANSION]
        padded = features["input_ids"][(features["attention_mask"] == 0) & ~filled]
        return cls(
            asked,
            pad=int(padded[0]) if len(padded) else 0,
            left=False,
            keys=plain.keys,
            same=plain.same,
            attend=bool(features["attention_mask"][filled].all()),
        )

    def rows(self, model: Any, texts: Sequence[str]) -> list[bytes]:
        """Return the ids of each text and what it is filled up with."""
        features = self.asked.features(model, texts)
        if EXPANSION not in features:  # it is not expanded now
            return super().rows(model, texts)
        ids, mask, filled = (
            features[key].numpy() for key in ("input_ids", "attention_mask", EXPANSION)
        )
        marked = np.where(filled, -1 - ids, ids).astype(np.int32)
        used = filled | (mask != 0)
        return [row[kept].tobytes() for row, kept in zip(marked, used, strict=True)]

    def features(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Pad the rows to the longest."""
        import torch

        features = super().features(model, rows)
        filled = features["input_ids"] < 0
        features["input_ids"] = torch.where(
            filled, -1 - features["input_ids"], features["input_ids"]
        )
        if not self.attend:
            features["attention_mask"] = features["attention_mask"].masked_fill(filled, 0)
        return features | {EXPANSION: filled}

    def tokens(self, row: bytes) -> int:
        """Return how many tokens are the text's own."""
        return int((_ids(row) >= 0).sum())


@dataclass(frozen=True)
class BagForm(Form):
    """Rows are token ids, int32; a batch is all of them in a row and where each text begins."""

    same: dict[str, Any]

    @classmethod
    def of(cls, asked: Asked, features: Features, least: int = 1) -> BagForm:
        """Keep what is no tensor."""
        same = {key: value for key, value in features.items() if not hasattr(value, "numpy")}
        return cls(asked, same)

    def rows(self, model: Any, texts: Sequence[str]) -> list[bytes]:
        """Return the ids of each text."""
        features = self.asked.features(model, texts)
        ids = features["input_ids"].numpy().astype(np.int32)
        return [part.tobytes() for part in np.split(ids, features["offsets"].numpy()[1:])]

    def features(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Put the rows one after the other."""
        import torch

        ids = np.concatenate([_ids(row) for row in rows]).astype(np.int64)
        starts = np.cumsum([0, *map(self.size, rows[:-1])]).astype(np.int64)
        return {
            "input_ids": torch.from_numpy(ids),
            "offsets": torch.from_numpy(starts),
            **self.same,
        }


class TextForm(Form):
    """Rows are texts in UTF-8: the library tokenises every batch itself.

    As lengths in tokens are not known, each text is a batch where these are to be equal.
    """

    def batches(self, rows: Sequence[bytes], budget: int) -> Iterator[slice]:
        """Cut rows into batches of at most ``budget`` tokens."""
        return super().batches(rows, 1 if self.padding == EQUAL else budget)

    def rows(self, model: Any, texts: Sequence[str]) -> list[bytes]:
        """Return each text."""
        return [sound(text).encode() for text in texts]

    def features(self, model: Any, rows: Sequence[bytes]) -> Features:
        """Return the library's own tensors."""
        return self.asked.features(model, [row.decode() for row in rows])

    def size(self, row: bytes) -> int:
        """Return a rough number of tokens."""
        return 1 + len(row) // 3


def find_form(model: Any, asked: Asked) -> Form:
    """Return the first form that gives the library's own tensors back."""
    features, single = asked.features(model, PROBES), asked.features(model, PROBES[:1])
    kinds = ((ExpandedForm, EXPANSION), (TokenForm, "attention_mask"), (BagForm, "offsets"))
    for kind, needed in kinds:
        if {"input_ids", needed} <= features.keys():
            form: Form = kind.of(asked, features, _least(single))
            rows = form.rows(model, PROBES)
            alike = same_features(form.features(model, rows), features)
            if alike and same_features(form.features(model, rows[:1]), single):
                return form
    return TextForm(asked)


def _least(single: Features) -> int:
    """Return how many tokens all batches are padded to, seen by one of a single short text; 1 if
    they are not."""
    mask = single.get("attention_mask")
    if mask is None or bool(mask.all()) or mask.ndim < 2:
        return 1
    return int(mask.shape[1])


def same_features(first: Features, second: Features) -> bool:
    """Say whether two batches are equal, bit by bit."""
    import torch

    if first.keys() != second.keys():
        return False
    for key, value in first.items():
        other = second[key]
        if torch.is_tensor(value) != torch.is_tensor(other):
            return False
        if torch.is_tensor(value):
            if value.dtype != other.dtype or not torch.equal(value, other):
                return False
        elif value != other:
            return False
    return True


def _ids(row: bytes) -> npt.NDArray[np.int32]:
    return np.frombuffer(row, np.int32)
