"""Blocks to vectors: what a model has not read yet is encoded, and nothing is kept.

A passage that the model reads as it reads a relevant one is given that one's vector, so that the
two tie exactly, whatever a model's rounding owes to the batch. What a batch holds follows from its
block alone, so a shard's counts do not depend on the run that made them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlbench.evaluation.blocks import Block
from mlbench.evaluation.prepared import Prepared
from mlbench.models.boundary import Layout, Vectors, attribute, calling, check_vectors
from mlbench.models.encoding import BATCH, Distinct
from mlbench.models.inputs import Inputs
from mlbench.models.protocol import Bound, FormEncoding, Truncation
from mlbench.models.rows import Ints, Rows, normalise

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from mlbench.models.registry import LoadedModel
    from mlbench.ranking.products import Floats


@dataclass(frozen=True)
class Planned:
    """What is to be encoded of a block.

    ``group`` holds its distinct texts, ``forms`` what the model reads of each; ``known`` (texts,)
    is the row of the relevant passage that is read the same, or -1; ``order`` (missing,) are the
    others, as they are to be encoded. ``distinct`` is the number of different texts, ``cut`` what
    the maximum length costs them (None where unknown); for ``own`` see ``Prepared.own``.
    """

    block: Block
    group: Distinct
    forms: list[bytes]
    known: Ints
    order: Ints
    own: Ints
    distinct: int
    cut: Truncation | None


class Encoded(NamedTuple):
    """A planned block and the vectors of ``plan.order``, in parts, as the model gave them."""

    plan: Planned
    parts: list[Vectors]


class BlockEncoder:
    """Encodes the blocks of one pass with one model.

    If ``concurrent``, ``plan`` may run in another thread than ``encode``.
    """

    def __init__(self, prepared: Prepared, model: LoadedModel) -> None:
        self.prepared = prepared
        self.model = model
        self.concurrent = isinstance(model.adapter, FormEncoding)
        self._free = attribute(model.spec, model.adapter, "language_free", False)
        self._bound = isinstance(model.adapter, Bound)
        self._inputs = Inputs(model)
        self._layout = Layout.of(prepared.relevant, "the relevant passages")

    def plan(self, block: Block) -> Planned:
        """Find what is to be encoded of a block. Raises ModelError where the model fails."""
        code = block.shard.language
        if self._bound:
            with calling(self.model.spec, "bind"):
                self.model.adapter.bind("passage", code, block.ids, block.texts)
        index: dict[str, int] = {}
        size = len(block.texts)
        entry = np.fromiter((index.setdefault(t, len(index)) for t in block.texts), np.int64, size)
        first = np.unique(entry, return_index=True)[1]
        group = Distinct("passage", "" if self._free else code, [*index], first, entry)
        distinct, forms = len(index), self._inputs.forms("passage", group.texts) if size else []
        cut = self._inputs.truncation("passage", code, group.texts) if size else None
        if self._inputs.by_form:
            group, kept = group.merged(forms)
            forms = [forms[place] for place in kept]
        known = self.prepared.known[group.language]
        rows = np.fromiter((known.get(form, -1) for form in forms), np.int64, len(forms))
        order = np.flatnonzero(rows < 0)
        if self._inputs.by_form:
            order = np.array(sorted(order, key=lambda i: (-len(forms[i]), forms[i])), np.int64)
        own = self.prepared.own(block.ids, code)
        return Planned(block, group, forms, rows, order, own, distinct, cut)

    def encode(self, plan: Planned) -> Encoded:
        """Encode the missing texts. Raises ModelError where the model fails or breaks its word."""
        if self.concurrent:
            forms = [plan.forms[place] for place in plan.order]
            given = self._call(plan, "encode_forms", plan.order, "passage", forms)
            return Encoded(plan, [given] if len(plan.order) else [])
        parts = []
        for start in range(0, len(plan.order), BATCH):
            batch = plan.order[start : start + BATCH]
            texts = [plan.group.texts[place] for place in batch]
            parts.append(self._call(plan, "encode_passages", batch, texts, plan.group.language))
        return Encoded(plan, parts)

    def _call(self, plan: Planned, method: str, places: Ints, *given: Any) -> Vectors:
        if not len(places):
            return None
        with calling(self.model.spec, method):
            value = getattr(self.model.adapter, method)(*given)
        code = plan.block.shard.language

        def text_id(row: int) -> str:
            return f"passage {plan.block.ids[plan.group.first[places[row]]]!r} ({code})"

        where = f"model {self.model.spec}, {method} ({code})"
        return check_vectors(
            value, method=where, rows=len(places), text_id=text_id, layout=self._layout
        )

    def vectors(self, encoded: Encoded) -> Floats | csr_matrix:
        """Return the vectors of a block's passages, ready for scoring; it is not empty."""
        plan, start = encoded.plan, 0
        rows, read_before = Rows(len(plan.block.ids)), plan.known >= 0
        if read_before.any():
            rows.put(plan.group.first[read_before], self.prepared.relevant[plan.known[read_before]])
        for part in encoded.parts:
            places = plan.order[start : start + part.shape[0]]
            ready = normalise(part) if self.model.similarity == "cosine" else part
            rows.put(plan.group.first[places], ready)
            start += part.shape[0]
        return rows.spread(plan.group.first[plan.group.entry])
