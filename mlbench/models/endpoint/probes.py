"""Which model answers behind a name: what it makes of fixed texts.

Weights change behind the names of endpoints. So the identity of a model is that of its address, its
settings and the vectors of PROBES, which are asked for before a run and again after it. A server
whose answers are not the same to the last digit has one identity still: the embedding cache keeps
the vectors of which each identity is made, and new ones that rounding may account for are theirs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.models.boundary import difference
from mlbench.models.cache_files import packed, question_digest
from mlbench.models.company import ROUNDING

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

Floats = npt.NDArray[np.float32]

PROBES = (
    "Swallows gather on the wires before they leave for the south.",
    "Which river flows through the old town?",
    "7 × 8 = 56",
    "Der Zug nach Norden hat heute zwölf Minuten Verspätung.",
    "الميناء مغلق بسبب الرياح.",
    "चावल के खेत पानी से भरे हैं।",
    "火山灰让土壤变得肥沃。",
    "ตลาดเปิดตอนเช้ามืด",
)
QUESTION = "probes of an endpoint"
MOST_KEPT = 16
TIMES_NOISE = 4.0
"""How many times the difference of two answers to the same texts another may be from a third."""


@dataclass(frozen=True)
class Seen:
    """The vectors that PROBES had, float32 (n, d), and how often the model behind them was found
    changed at the end of a run: what was stored of such runs may be of another model."""

    vectors: Floats
    changed: int = 0

    def identity(self, settings: str) -> str:
        """Return a digest (hex) of the settings and of these vectors."""
        raw = self.vectors.astype("<f4").tobytes()
        shape = repr(self.vectors.shape).encode()
        parts = [settings.encode(), shape, raw, str(self.changed).encode()]
        return hashlib.sha256(packed(parts)).hexdigest()


class Probing:
    """The probes of one model. ``ask`` returns their vectors, of both roles; asked for ``alone``,
    from one request a text. ``dtype`` is what the server computes in, as far as is known."""

    def __init__(
        self,
        settings: str,
        ask: Callable[[bool], Floats],
        cache: EmbeddingCache | None,
        dtype: str | None = None,
    ) -> None:
        self._settings, self._ask, self._cache = settings, ask, cache
        self._about = question_digest(QUESTION, (settings,), PROBES)
        self._allowed = ROUNDING[dtype or "float32"]
        self.noisy = False
        self.now = Seen(ask(False))
        known = self._recall()
        same = next((seen for seen in known if self._alike(seen.vectors, self.now.vectors)), None)
        if same is None:
            self._remember([*known, self.now])
        self.now = same or self.now

    @property
    def identity(self) -> str:
        """A digest (hex) that is another where the model is another."""
        return self.now.identity(self._settings)

    def apart(self) -> float:
        """Return how far the model's vectors are now from what they were, as a share of their
        length; 0 where rounding accounts for it. A model that has changed loses its identity."""
        vectors = self._ask(False)
        if self._alike(self.now.vectors, vectors):
            return 0.0
        others = [seen for seen in self._recall() if not _equal(seen, self.now)]
        self._remember([*others, replace(self.now, changed=self.now.changed + 1)])
        return _difference(self.now.vectors, vectors)

    def _alike(self, before: Floats, now: Floats) -> bool:
        """Say whether two answers are of one model, by how far it is from itself."""
        apart = _difference(before, now)
        if apart <= ROUNDING["float32"]:
            return True
        noise = TIMES_NOISE * _difference(now, self._ask(True))
        alike = apart <= max(self._allowed, min(noise, ROUNDING["bfloat16"]))
        self.noisy |= alike
        return alike

    def _recall(self) -> list[Seen]:
        known = self._cache.recall(self._about) if self._cache else None
        return [
            Seen(
                np.frombuffer(base64.b64decode(each["vectors"]), "<f4").reshape(each["shape"]),
                each["changed"],
            )
            for each in (json.loads(known) if known else ())
        ]

    def _remember(self, seen: list[Seen]) -> None:
        if self._cache is None:
            return
        table = [
            {
                "vectors": base64.b64encode(each.vectors.astype("<f4").tobytes()).decode(),
                "shape": each.vectors.shape,
                "changed": each.changed,
            }
            for each in seen[-MOST_KEPT:]
        ]
        self._cache.remember(self._about, json.dumps(table).encode())


def _equal(one: Seen, other: Seen) -> bool:
    return np.array_equal(one.vectors, other.vectors)


def _difference(before: Floats, now: Floats) -> float:
    """Return the greatest relative difference of a row; infinity for other dimensions."""
    return difference(before, now) if before.shape == now.shape else float("inf")
