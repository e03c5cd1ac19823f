"""Vectors made smaller: fewer dimensions, and fewer bits for each.

A variant of a model's vectors is made of the vectors that were encoded once. The first dimensions
are kept (Matryoshka) and, where the model's vectors have length 1, brought to length 1 again. Each
coordinate is then kept as it is (float32), as one of 256 steps between the least and the greatest
value that its dimension has among the passages (int8), or as its sign (binary). Queries and
passages are treated alike. The score is the dot product of what the codes stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.models.encoding import Embedded
from mlbench.models.registry import LoadedModel
from mlbench.models.rows import normalise
from mlbench.ranking import kernels
from mlbench.ranking.vectors import Floats, TextSize, TokenVectors, Vectors, text_size

FULL = "float32"
BITS = {FULL: 32, "int8": 8, "binary": 1}
"""Bits that a coordinate takes, by number format."""
STEPS = 256
UNIT = 1e-3
"""Vectors whose lengths are no further from 1 have length 1."""
ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Variant:
    """Smaller vectors: their first ``dimension`` coordinates, None for all, in a number format."""

    format: str = FULL
    dimension: int | None = None

    @property
    def name(self) -> str:
        """How it is called, such as "int8" or "int8-256"."""
        return self.format if self.dimension is None else f"{self.format}-{self.dimension}"

    @property
    def note(self) -> str:
        """What was done to the vectors, as a report notes it."""
        cut = f"cut to their first {plural(self.dimension, 'dimension')}" if self.dimension else ""
        return f"the model's vectors were {' and '.join(filter(None, (cut, SAID[self.format])))}"


SAID = {
    FULL: "",
    "int8": "rounded to 256 steps in each dimension, from its least to its greatest value among "
    "the passages",
    "binary": "reduced to the signs of their coordinates",
}
"""What a number format does to vectors."""


def variants_of(formats: tuple[str, ...], dimensions: tuple[int, ...]) -> tuple[Variant, ...]:
    """Return the grid of variants, larger ones first, without the whole vectors as they are.

    >>> [each.name for each in variants_of(("int8",), (64, 128))]
    ['float32-128', 'float32-64', 'int8', 'int8-128', 'int8-64']
    """
    chosen = [name for name in BITS if name == FULL or name in formats]
    cuts = [None, *sorted(set(dimensions), reverse=True)]
    grid = [Variant(name, cut) for name in chosen for cut in cuts]
    return tuple(grid[1:])


def refuse_unfit(
    model: LoadedModel, kind: str, dimension: int, variants: tuple[Variant, ...]
) -> None:
    """Raise UsageError where vectors of this kind and dimension have no such variants."""
    faults = []
    if variants and kind == "sparse":
        mend = "leave --quantize and --truncate-dim out"
        faults.append(Fault("--quantize and --truncate-dim", f"model {model.spec} gives sparse "
                            "vectors", "dense vectors, or those of tokens", mend))  # fmt: skip
    else:
        found = f"model {model.spec} gives vectors of {plural(dimension, 'dimension')}"
        asked = {each.dimension for each in variants if (each.dimension or 0) >= dimension}
        faults += [
            Fault(f"--truncate-dim {number}", found, f"fewer than {dimension:,}")
            for number in sorted(filter(None, asked))
        ]
    if faults:
        raise UsageError(*faults)


def size_of(variant: Variant, vectors: Vectors) -> TextSize:
    """Return what a text takes whose vectors, before they were made smaller, are these."""
    whole, dimension = text_size(vectors), variant.dimension or vectors.shape[1]
    taken = whole.vectors * -(-dimension * BITS[variant.format] // 8)
    return TextSize(whole.vectors, round(whole.vectors * dimension, 2), round(taken, 2))


def compressed(embedded: Embedded, variant: Variant, similarity: str) -> Embedded:
    """Return a variant of vectors as they are scored; those of tokens are treated one by one.

    Where the similarity is the dot product, vectors are brought to length 1 again only if all of
    them had it.
    """
    sides = [embedded.queries, embedded.passages]
    if variant.dimension is not None:
        unit = similarity == "cosine" or all(map(_all_of_length_one, sides))
        cut = [_on_rows(side, lambda rows: _cut(rows, variant.dimension)) for side in sides]
        sides = [normalise(side) for side in cut] if unit else cut
    if variant.format == "int8":
        ranges = Ranges.of(_rows(sides[1]))
        sides = [_on_rows(side, ranges.rounded) for side in sides]
    elif variant.format == "binary":
        sides = [_on_rows(side, signs) for side in sides]
    return replace(embedded, queries=sides[0], passages=sides[1])


def _rows(vectors: Vectors) -> Floats:
    rows: Floats = vectors.vectors if isinstance(vectors, TokenVectors) else vectors
    return rows


def _on_rows(vectors: Vectors, change: Callable[[Floats], Floats]) -> Vectors:
    if isinstance(vectors, TokenVectors):
        return replace(vectors, vectors=change(vectors.vectors))
    return change(vectors)


def _cut(rows: Floats, dimension: int | None) -> Floats:
    return np.ascontiguousarray(rows[:, :dimension])


def _all_of_length_one(vectors: Vectors) -> bool:
    norms = kernels.norms(_rows(vectors))
    return bool((abs(norms - 1) <= UNIT).all())


def signs(rows: Floats) -> Floats:
    """Return 1 where a coordinate is above 0, else -1: what a bit stands for. The dot product of
    two such vectors of d dimensions is d less twice their Hamming distance."""
    return np.where(rows > 0, np.float32(1), np.float32(-1))


@dataclass(frozen=True)
class Ranges:
    """``least`` (d,) and ``step`` (d,): a dimension's least value, and 1/255 of the way from there
    to its greatest; the step is 0 where all are one."""

    least: Floats
    step: Floats

    @classmethod
    def of(cls, rows: Floats) -> Ranges:
        """Return the ranges of vectors (n, d)."""
        least = rows.min(axis=0)
        return cls(least, (rows.max(axis=0) - least) / np.float32(STEPS - 1))

    def codes(self, rows: Floats) -> Floats:
        """Return the step, 0 to 255, that each coordinate falls into, as
        ``sentence_transformers.quantize_embeddings`` does; what is beyond the range takes the last
        one. An int8 is this less 128."""
        width = np.where(self.step == 0, np.float32(1), self.step)
        steps: Floats = np.clip(np.floor((rows - self.least) / width), 0, STEPS - 1)
        return steps

    def rounded(self, rows: Floats) -> Floats:
        """Return what the codes of vectors stand for: the middle of their steps."""
        found = np.empty_like(rows)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            found[part] = self.least + (self.codes(rows[part]) + np.float32(0.5)) * self.step
        return found
