"""How the batches of a model are padded, so that a text has the vector that it has alone.

Most models mask padding out. Some do not: absolute positions that are counted from the first token
of a batch padded on the left, convolutions and other layers that run over padding, models without
a mask. What a model does is seen by encoding a few texts alone and in company.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlbench.models.boundary import difference
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.forms import (
    EQUAL,
    PLAIN,
    POSITIONS,
    PROBES,
    BagForm,
    Form,
    TextForm,
)
from mlbench.models.neural.forward import Forward, is_out_of_memory
from mlbench.models.neural.outputs import Output
from mlbench.models.neural.routes import PLURALS, Route
from mlbench.ranking.vectors import Vectors, joined

ROUNDING = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Relative differences of vectors, by the number format, that rounding may account for."""
_LESS = 0.1
"""Another way to pad is taken only if it leaves no more than this share of the difference."""
_NOTES = {
    POSITIONS: "padding shifts the positions of tokens in it, so mlbench gives it positions that "
    "are counted from the first token of each text",
    EQUAL: "padding changes its vectors, so mlbench encodes only texts of equal length together",
}


def pad_well(
    model: Any, routes: Mapping[str, Route], forms: Mapping[str, Form], output: Output
) -> dict[str, Form]:
    """Return the forms of each role, padded in the way that changes its vectors least.

    Roles whose texts go through the same modules are padded in the same way.
    """
    result: dict[str, Form] = {}
    for role, form in forms.items():
        alike = [
            other
            for other, done in result.items()
            if routes[other].modules == routes[role].modules and type(done) is type(form)
        ]
        if alike:
            result[role] = replace(form, padding=result[alike[0]].padding)
        else:
            result[role] = _padded(model, routes[role], form, output)
    return result


def pad_as_trained(model: Any, checkpoint: Checkpoint, notes: list[str]) -> dict[str, str]:
    """Fill all texts of a transformers checkpoint of SigLIP up to one length, as in its training:
    it attends to padding, and the library would pad to the longest text of a batch.

    Adds to the ``notes``, and returns what was done, as it changes vectors.
    """
    config: Any = getattr(getattr(model[0], "auto_model", None), "config", None)
    if checkpoint.layout != "transformers" or config.model_type not in _FILLED_UP:
        return {}
    module = model[0]
    module.processing_kwargs = {**(module.processing_kwargs or {})}
    of_texts = {**(module.processing_kwargs.get("text") or {}), "padding": "max_length"}
    module.processing_kwargs["text"] = of_texts
    notes.append("all texts are filled up to the maximum length, as SigLIP is trained")
    return {"texts": "max_length"}


def padding_notes(forms: Mapping[str, Form]) -> list[str]:
    """Say how padding is kept from changing vectors."""
    return [
        f"{note} ({' and '.join(PLURALS[each] for each in roles)})"
        for padding, note in _NOTES.items()
        if (roles := [role for role, form in forms.items() if form.padding == padding])
    ]


_FILLED_UP = ("siglip", "siglip2")
"""Kinds of transformers models that are trained on texts of one length, padding included."""


def _padded(model: Any, route: Route, form: Form, output: Output) -> Form:
    """Return a form with the padding that suits the model. Raises what a model raises that takes
    no text at all."""
    rows = [*dict.fromkeys(form.rows(model, PROBES))]
    taken = [place for place, row in enumerate(rows) if _takes(model, form, row, output)]
    if not taken:
        _vectors(model, form, [[max(rows, key=len)]], output)
    if not taken or isinstance(form, BagForm):
        return form
    alone = _vectors(model, form, [[rows[place]] for place in taken], output)
    apart = difference(alone, _vectors(model, form, [rows], output)[taken])
    if apart <= ROUNDING[route.dtype if route.dtype in ROUNDING else "float32"]:
        return form
    if _takes_positions(route) and "attention_mask" in form.features(model, rows[:1]):
        counted = replace(form, padding=POSITIONS)
        shifted = _vectors(model, counted, [rows], output)[taken]
        if difference(alone, shifted) <= apart * _LESS:
            return counted
    single = isinstance(form, TextForm)
    batches = [[rows[each]] if single else [rows[each], _other(rows[each])] for each in taken]
    firsts = [_vectors(model, form, [batch], output)[:1] for batch in batches]
    equal = difference(alone, joined(firsts)) <= apart * _LESS
    return replace(form, padding=EQUAL if equal else PLAIN)


def _takes(model: Any, form: Form, row: bytes, output: Output) -> bool:
    """Say whether the model takes this text alone: CANINE takes none of under four characters."""
    try:
        Forward(model, {"": form}, output).vectors("", [row])
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return False
    return True


def _vectors(model: Any, form: Form, batches: Sequence[Sequence[bytes]], output: Output) -> Vectors:
    forward = Forward(model, {"": form}, output)
    return joined([forward.vectors("", batch) for batch in batches])


def _other(row: bytes) -> bytes:
    """Return another row of the same length: the same tokens, backwards."""
    return np.frombuffer(row, np.int32)[::-1].tobytes()


def _takes_positions(route: Route) -> bool:
    """Say whether the network that reads the tokens can be told their positions."""
    network = getattr(route.modules[0], "auto_model", None)
    return network is not None and "position_ids" in inspect.signature(network.forward).parameters
