"""Whether a text's vector depends on what stands beside it in a batch.

Where it does, scores depend on how texts happen to be batched. A run encodes a few of its own texts
alone and together before all others, and warns; ``mlbench models check`` does so with texts of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mlbench.models.boundary import Vectors, calling, difference
from mlbench.models.images import ROLE as IMAGES
from mlbench.models.protocol import Described

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel

ROUNDING = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 3e-2}
"""Greatest relative difference of a vector between two calls, by the number format of the weights:
batched networks round differently with the batch, by less than this."""
ENOUGH = 8
"""Texts of a role from which some are tried: of fewer, a batch may hold all anyway."""
LOOKED_AT = 64


def rounding(model: LoadedModel) -> float:
    """Return the relative difference that rounding may account for in a model's vectors.

    Raises ModelError where the model fails to describe itself.
    """
    said: object = None
    if isinstance(model.adapter, Described):
        with calling(model.spec, "describe"):
            said = model.adapter.describe()
    dtype = str(said.get("dtype")) if isinstance(said, Mapping) else ""
    least = ROUNDING["float32"]
    return max((allowed for name, allowed in ROUNDING.items() if name in dtype), default=least)


def some_of(texts: Sequence[str], places: Sequence[int]) -> list[int]:
    """Return which of the first texts at ``places`` to try: a short, a middling and a long one."""
    by_length = sorted(places[:LOOKED_AT], key=lambda place: len(texts[place]))
    return [by_length[0], by_length[len(by_length) // 2], by_length[-1]]


def apart(encode: Callable[[list[int]], Vectors], places: list[int]) -> float:
    """Return by how much a vector differs alone from in company: the greatest relative difference.

    ``encode`` returns the vectors of the texts at some places, from one call of the model.
    """
    together = encode(places)
    return max(difference(encode([place]), together[[row]]) for row, place in enumerate(places))


def warning(kind: str, found: float) -> str:
    """Say that the vectors of a role's texts, or of images, depend on their batch, and by how
    much."""
    what = "an image" if kind == IMAGES else f"a {kind} text"
    return (
        f"the model gives {what} another vector alone than beside others in a batch: they "
        f"differ by {found:.2g} of their length, so its scores depend on how texts are batched; "
        "`mlbench models check` tests this further"
    )
