"""The check behind ``mlbench models check``: does a model keep the adapter contract?

Small texts in many scripts go through a model in several orders and batches; each row of
CHECKS says whether one clause of ``mlbench.models.protocol`` holds, and what was seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, ModelError
from mlbench.models.boundary import (
    Layout,
    Vectors,
    calling,
    check_vectors,
    difference,
    kind_of,
)
from mlbench.models.company import rounding
from mlbench.models.images import made_image, takes_images
from mlbench.models.protocol import Bound, Fitted
from mlbench.models.registry import LoadedModel
from mlbench.ranking.vectors import TokenVectors, joined

if TYPE_CHECKING:
    from PIL.Image import Image

METHODS = {"query": "encode_queries", "passage": "encode_passages"}

TEXTS = {
    "en": (
        "The lake freezes over in most winters.",
        "Bees dance to tell where the flowers are.",
        "A short text.",
        "Copper, tin and zinc were traded along the coast long before written records began.",
    ),
    "ar": ("تتجمد البحيرة في معظم فصول الشتاء.", "يرقص النحل ليدل على مكان الزهور.", "نص قصير."),
    "hi": ("अधिकांश सर्दियों में झील जम जाती है।", "मधुमक्खियाँ नाचकर फूलों का पता बताती हैं।", "छोटा पाठ।"),
    "th": ("ทะเลสาบกลายเป็นน้ำแข็งเกือบทุกฤดูหนาว", "ผึ้งเต้นรำเพื่อบอกที่อยู่ของดอกไม้", "ข้อความสั้น"),
    "zh": ("湖面在大多数冬天都会结冰。", "蜜蜂用舞蹈告诉同伴花在哪里。", "短文。"),
}
ODD = (
    "👩‍🔬🧪",
    "?!… —",
    "e\u0301\u0323\u0302",
    " padded\twith\nspace ",
    "\u202eright to left\u202c",
    "x",
)
SENTENCE = "The lake freezes over in most winters, and bees dance. "
LONGEST, SHORTEST = 110_000, 5_500
LONG_SECONDS = 5.0
"""A long text has so many characters: what the model encodes in that time, within these bounds."""
FIRST = "en"
IMAGES = (
    ((64, 48), "RGB"), ((48, 64), "RGB"), ((40, 40), "RGBA"), ((32, 32), "L"), ((50, 20), "P"),
    ((30, 30), "CMYK"), ((16, 16), "1"), ((300, 5), "RGB"), ((1, 1), "RGB"),
)  # fmt: skip
"""Sizes and modes of the images that are encoded."""
SHORT_TEXTS = 162
"""How many texts the checks encode, beside a long one in each role."""


class CheckResult(NamedTuple):
    """One clause of the contract: its name, whether it holds, and what was seen."""

    name: str
    passed: bool
    detail: str


class Broken(Exception):
    """A clause does not hold; the message says why."""


@dataclass
class _Trial:
    """One model under test."""

    model: LoadedModel
    layout: Layout | None = None
    rate: float = float("inf")
    """Characters encoded in a second, as far as is known."""

    @property
    def long_text(self) -> str:
        """A text that takes the model some seconds at most; the one it was fitted on if it was."""
        rate = float("inf") if isinstance(self.model.adapter, Fitted) else self.rate
        size = min(LONGEST, max(SHORTEST, rate * LONG_SECONDS))
        return SENTENCE * int(size / len(SENTENCE))

    def raw(self, role: str, texts: list[str], language: str) -> Any:
        """Return what the model returns, unchecked."""
        method = METHODS[role]
        with calling(self.model.spec, method):
            return getattr(self.model.adapter, method)(texts, language)

    def checked(self, value: Any, role: str, texts: list[str], language: str) -> Vectors:
        """Return ``value`` as Vectors, or raise what ``check_vectors`` does."""
        where = f"{METHODS[role]} ({language}, {plural(len(texts), 'text')})"
        return self._as_vectors(value, where, [f"{role} {text[:40]!r}" for text in texts])

    def see(self, images: list[Image]) -> Vectors:
        """Return the vectors of images."""
        where = f"encode_images ({plural(len(images), 'image')})"
        with calling(self.model.spec, "encode_images"):
            value = self.model.adapter.encode_images(list(images))
        names = [f"an image of the mode {image.mode} and {image.size}" for image in images]
        return self._as_vectors(value, where, names)

    def _as_vectors(self, value: Any, where: str, names: list[str]) -> Vectors:
        """Return ``value`` as the vectors of what has these names, of the same layout as all
        before. Raises what ``check_vectors`` does."""
        vectors = check_vectors(
            value, method=where, rows=len(names), text_id=names.__getitem__, layout=self.layout
        )
        self.layout = self.layout or Layout.of(vectors, where)
        return vectors

    @cached_property
    def seen(self) -> Vectors:
        """The vectors of all images, from one call."""
        return self.see(_images())

    def encode(self, role: str, texts: list[str], language: str = FIRST) -> Vectors:
        """Return the vectors of ``texts``."""
        return self.checked(self.raw(role, [*texts], language), role, texts, language)

    @cached_property
    def rounding(self) -> float:
        """The relative difference of two vectors that rounding may account for."""
        return rounding(self.model)

    @cached_property
    def together(self) -> dict[tuple[str, str], Vectors]:
        """The vectors of the texts of every role and language, each language in one call."""
        return {
            (role, language): self.encode(role, [*texts], language)
            for role in METHODS
            for language, texts in TEXTS.items()
        }

    def compare(self, encode: Callable[[str, list[str], str], Vectors]) -> str:
        """Compare ``together`` with the vectors of another way to encode the same texts."""
        worst, at = 0.0, ""
        for (role, language), vectors in self.together.items():
            apart = difference(vectors, encode(role, [*TEXTS[language]], language))
            if apart > worst:
                worst, at = apart, f"{METHODS[role]} ({language})"
        if worst > self.rounding:
            raise Broken(f"{at}: vectors differ by {worst:.2g}, allowed {self.rounding:.0e}")
        return f"within {worst:.1g}" if worst else "bit-identical"


def check_adapter(model: LoadedModel) -> Iterator[CheckResult]:
    """Test ``model`` against the adapter contract, and yield each result as soon as it is known.

    A fault is a failed check, never raised. Where the first fails, no other can be tested.
    """
    if isinstance(model.adapter, Bound):
        detail = (
            "not tested: it only has vectors for the ids of a task, so it cannot encode other texts"
        )
        yield CheckResult("bind", True, detail)
        return
    trial = _Trial(model)
    for name, check in (*CHECKS, *(IMAGE_CHECKS if takes_images(model) else ())):
        result = _result(trial, name, check)
        yield result
        if not result.passed and check is _returns_vectors:
            return


def _result(trial: _Trial, name: str, check: Callable[[_Trial], str]) -> CheckResult:
    try:
        return CheckResult(name, True, check(trial))
    except Broken as broken:
        return CheckResult(name, False, str(broken))
    except (ModelError, EnvironmentFault) as error:
        return CheckResult(name, False, str(error))


def _returns_vectors(trial: _Trial) -> str:
    """Fit the model if it asks for it, and encode every text."""
    adapter = trial.model.adapter
    fitted = isinstance(adapter, Fitted)
    if fitted:
        for language, texts in TEXTS.items():
            more = [*ODD, trial.long_text] if language == FIRST else []
            with calling(trial.model.spec, "fit"):
                adapter.fit([*texts, *more], language)
    vectors = next(iter(trial.together.values()))
    after = ", after fit" if fitted else ""
    form = kind_of(vectors)
    if isinstance(vectors, TokenVectors):
        form = "one vector a token (late interaction)"
    return (
        f"{form}, {plural(vectors.shape[1], 'dimension')} in both roles and "
        f"{plural(len(TEXTS), 'language')}{after}"
    )


def _repeatable(trial: _Trial) -> str:
    began = time.perf_counter()
    seen = trial.compare(trial.encode)
    characters = sum(len(text) for texts in TEXTS.values() for text in texts) * len(METHODS)
    trial.rate = characters / max(time.perf_counter() - began, 1e-9)
    return seen


def _order_free(trial: _Trial) -> str:
    return trial.compare(lambda role, texts, lang: trial.encode(role, texts[::-1], lang)[::-1])


def _batch_free(trial: _Trial) -> str:
    def one_by_one(role: str, texts: list[str], language: str) -> Vectors:
        rows = [trial.encode(role, [text], language) for text in texts]
        return joined(rows)

    return trial.compare(one_by_one)


def _duplicates(trial: _Trial) -> str:
    first, other = TEXTS[FIRST][:2]
    for role, method in METHODS.items():
        vectors = trial.encode(role, [first, other, first])
        apart = difference(vectors[:1], vectors[2:])
        if apart > trial.rounding:
            raise Broken(f"{method}: two equal texts in one call differ by {apart:.2g}")
    return "equal texts in one call have equal vectors"


def _lists_untouched(trial: _Trial) -> str:
    for role, method in METHODS.items():
        texts = [*TEXTS[FIRST]]
        trial.raw(role, texts, FIRST)
        if texts != [*TEXTS[FIRST]]:
            raise Broken(f"{method} changed the list of texts it was given")
    return "the lists of texts are left as they were"


def _buffers(trial: _Trial) -> str:
    first, *others = TEXTS[FIRST]
    for role, method in METHODS.items():
        value = trial.raw(role, [first], FIRST)
        before = trial.checked(value, role, [first], FIRST)
        for other in others:
            trial.raw(role, [other], FIRST)
        if difference(before, trial.checked(value, role, [first], FIRST)) > 0:
            raise Broken(f"what {method} returned was changed by a later call: return a copy")
    return "a later call leaves earlier results alone"


def _odd_texts(trial: _Trial) -> str:
    for role in METHODS:
        trial.encode(role, [*ODD])
    return "emoji, marks, punctuation alone, control characters"


def _long_text(trial: _Trial) -> str:
    text = trial.long_text
    for role in METHODS:
        trial.encode(role, [text])
    return f"one text of {plural(len(text), 'character')}"


def _roles(trial: _Trial) -> str:
    if isinstance(trial.model.adapter, Fitted):
        return "not compared: a fitted model weighs queries and passages differently"
    apart = max(
        difference(trial.together["query", language], trial.together["passage", language])
        for language in TEXTS
    )
    alike = "the same vector" if apart <= trial.rounding else "different vectors"
    return f"information: a text has {alike} as query and as passage"


def _distinct(trial: _Trial) -> str:
    pairs = (difference(v[:1], v[1:2]) for v in trial.together.values())
    alike = sum(apart == 0 for apart in pairs)
    return (
        f"information: {alike} of {plural(len(trial.together), 'pair')} of texts have equal vectors"
    )


def _empty_list(trial: _Trial) -> str:
    try:
        for role in METHODS:
            shape = np.shape(trial.raw(role, [], FIRST))
    except ModelError as error:
        return f"information: refused, but mlbench never asks for it ({_first_line(error)})"
    return f"information: tolerated (shape {shape})"


def _first_line(error: ModelError) -> str:
    fault: Fault = error.faults[0]
    return fault.found.splitlines()[0]


CHECKS: tuple[tuple[str, Callable[[_Trial], str]], ...] = (
    ("vectors", _returns_vectors),
    ("repeatable", _repeatable),
    ("order-free", _order_free),
    ("batch-free", _batch_free),
    ("duplicate texts", _duplicates),
    ("distinct texts", _distinct),
    ("lists untouched", _lists_untouched),
    ("buffers not reused", _buffers),
    ("odd texts", _odd_texts),
    ("long text", _long_text),
    ("roles", _roles),
    ("empty list", _empty_list),
)


def _images() -> list[Image]:
    return [made_image(number, *each) for number, each in enumerate(IMAGES)]


def _apart(trial: _Trial, what: str, vectors: Vectors) -> str:
    """Compare the vectors of all images, got in another way, with those of one call."""
    found = difference(trial.seen, vectors)
    if found > trial.rounding:
        raise Broken(f"{what}: vectors differ by {found:.2g}, allowed {trial.rounding:.0e}")
    return f"within {found:.1g}" if found else "bit-identical"


def _sees(trial: _Trial) -> str:
    modes = ", ".join(dict.fromkeys(mode for _, mode in IMAGES))
    return f"{plural(trial.seen.shape[1], 'dimension')} as texts have, images of the modes {modes}"


def _sees_in_order(trial: _Trial) -> str:
    return _apart(trial, "in another order", trial.see(_images()[::-1])[::-1])


def _sees_alone(trial: _Trial) -> str:
    return _apart(trial, "one by one", joined([trial.see([image]) for image in _images()]))


def _images_untouched(trial: _Trial) -> str:
    images, before = _images(), [image.tobytes() for image in _images()]
    trial.see(images)
    if [image.tobytes() for image in images] != before:
        raise Broken("encode_images changed an image that it was given")
    return "images are left as they were"


def _distinct_images(trial: _Trial) -> str:
    alike = sum(
        difference(trial.seen[[one]], trial.seen[[other]]) == 0
        for one in range(len(IMAGES))
        for other in range(one)
    )
    pairs = len(IMAGES) * (len(IMAGES) - 1) // 2
    return f"information: {alike} of {plural(pairs, 'pair')} of images have equal vectors"


IMAGE_CHECKS: tuple[tuple[str, Callable[[_Trial], str]], ...] = (
    ("images", _sees),
    ("images in order", _sees_in_order),
    ("images alone", _sees_alone),
    ("images untouched", _images_untouched),
    ("distinct images", _distinct_images),
)
"""Further checks, of a model that takes images."""
