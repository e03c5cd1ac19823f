"""A tokenizer against the embeddings of its model: a vocabulary, and no token without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, ModelError
from mlbench.models.neural.forms import PROBES, Form, TextForm

SAVE_TOKENIZER = "save it again, with a tokenizer.json: tokenizer.save_pretrained(folder)"
_MEND = "save the tokenizer there that the model was trained with"
_FEWEST = 2
"""Tokens of a vocabulary: where transformers finds no file of one, it takes at most one."""


def check_vocabulary(folder: Path, model: Any) -> list[str]:
    """Return notes on tokens that the model has no embedding for.

    Raises ModelError for a tokenizer that has no vocabulary or cannot pad, and where such a token
    is in every batch or in plain words.
    """
    notes: list[str] = []
    for module in model.modules():
        tokenizer: Any = getattr(module, "tokenizer", None)
        rows = embeddings(module)
        if rows is None or not hasattr(tokenizer, "get_vocab"):
            continue
        where = f"model {folder}"
        vocabulary = tokenizer.get_vocab()
        if type(module).__name__ == "StaticEmbedding":
            used = {number for each in tokenizer.encode_batch([*PROBES]) for number in each.ids}
            known = {*vocabulary.values()}
        else:
            known = {*vocabulary.values()} - {*tokenizer.get_added_vocab().values()}
            _check_transformers(where, tokenizer, len(known))
            used = {
                number
                for each in tokenizer([*PROBES], verbose=False)["input_ids"]
                for number in each
            }
            used.add(tokenizer.pad_token_id)
        beyond = sorted(number for number in known | used if number >= rows)
        tokens = {number: token for token, number in vocabulary.items()}
        if beyond:
            found = (
                f"its tokenizer has {plural(len(beyond), 'token')} that its {rows:,} "
                "embeddings do not have, "
                f"such as {tokens.get(beyond[0])!r} ({beyond[0]})"
            )
            if not used.isdisjoint(beyond):
                raise ModelError(Fault(where, found, "an embedding for each token", _MEND))
            notes.append(f"{found}: a text with one of them cannot be encoded")
    return [*dict.fromkeys(notes)]


def _check_transformers(where: str, tokenizer: Any, known: int) -> None:
    """Check that a tokenizer of the transformers library can pad, and found its vocabulary."""
    if tokenizer.pad_token is None:
        found = "its tokenizer has no padding token"
        mend = "tokenizer.pad_token = tokenizer.eos_token, and save the tokenizer there"
        raise ModelError(Fault(where, found, "one, to encode batches", mend))
    if known < _FEWEST:
        found = f"its tokenizer ({type(tokenizer).__name__}) found no vocabulary in it"
        raise ModelError(Fault(where, found, "tokenizer.json", SAVE_TOKENIZER))


def embeddings(module: Any) -> int | None:
    """Return for how many tokens a module of the library has embeddings; None if it has none."""
    table = getattr(module, "embedding", None)
    if hasattr(module, "auto_model"):
        try:
            table = module.auto_model.get_input_embeddings()
        except (AttributeError, NotImplementedError):
            return None
    rows = getattr(table, "num_embeddings", None)
    return rows if isinstance(rows, int) else None


def known_rows(form: Form, model: Any, texts: Sequence[str], first: Any, where: str) -> list[bytes]:
    """Return the rows of texts; ``first`` is the module of the library that they go into.

    Raises ModelError that names the text for a token without an embedding.
    """
    rows = form.rows(model, texts)
    limit = None if isinstance(form, TextForm) else embeddings(first)
    if limit is None:
        return rows
    for text, row in zip(texts, rows, strict=True):
        most = int(np.frombuffer(row, np.int32).max(initial=0))
        if most >= limit:
            found = f"has token {most}, and the model's embeddings are of {plural(limit, 'token')}"
            raise ModelError(
                Fault(f"{where}, text {text[:60]!r}", found, f"tokens below {limit}", _MEND)
            )
    return rows
