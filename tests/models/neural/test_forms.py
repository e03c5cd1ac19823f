from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.models.neural.forms import Asked, TextForm, TokenForm, cut, find_form
from tests.models.neural.conftest import MAX_LENGTH

torch = pytest.importorskip("torch")
library = pytest.importorskip("sentence_transformers")
TEXTS = ["short", "", "a longer text, with more words in it than fit", "b c"]


@pytest.fixture
def model(full_folder: Path) -> Any:
    return library.SentenceTransformer(str(full_folder), device="cpu")


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_give_the_librarys_tensors_back(model: Any, side: str) -> None:
    model.tokenizer.padding_side = side
    asked = Asked("q: ", {"task": "query"})
    form = find_form(model, asked)
    assert isinstance(form, TokenForm)
    assert form.left == (side == "left")
    assert form.same == {"modality": "text", "prompt_length": 3}
    rows = form.rows(model, TEXTS)
    ours, theirs = form.features(model, rows), asked.features(model, TEXTS)
    assert ours.keys() == theirs.keys()
    for key in ("input_ids", "attention_mask", "token_type_ids"):
        assert torch.equal(ours[key], theirs[key])
    assert [form.size(row) for row in rows] == [9, 4, MAX_LENGTH, 6]


def test_tensors_that_are_more_than_ids_are_left_to_the_library(model: Any) -> None:
    preprocess = model.preprocess

    def with_positions(texts: list[str], **arguments: Any) -> dict[str, Any]:
        features: dict[str, Any] = preprocess(texts, **arguments)
        width = features["input_ids"].shape[1]
        return features | {"position_ids": torch.arange(width).expand(len(texts), -1)}

    model.preprocess = with_positions
    asked = Asked("q: ")
    form = find_form(model, asked)
    assert isinstance(form, TextForm)
    rows = form.rows(model, TEXTS)
    assert torch.equal(
        form.features(model, rows)["input_ids"], asked.features(model, TEXTS)["input_ids"]
    )


def test_rows_are_int32(model: Any) -> None:
    asked = Asked("")
    row = find_form(model, asked).rows(model, ["a"])[0]
    assert np.frombuffer(row, np.int32).tolist() == model.tokenizer("a")["input_ids"]


@given(st.lists(st.integers(0, 300)), st.integers(1, 2000))
def test_batches_hold_every_text_once_within_the_budget(sizes: list[int], budget: int) -> None:
    sizes = sorted(sizes, reverse=True)
    parts = list(cut(sizes, budget))
    assert [place for part in parts for place in range(len(sizes))[part]] == [*range(len(sizes))]
    for part in parts:
        batch = sizes[part]
        assert len(batch) == 1 or len(batch) * max(batch[0], 1) <= budget
    for part, following in itertools.pairwise(parts):
        assert (len(sizes[part]) + 1) * max(sizes[part][0], 1) > budget or following.start == 0


@given(st.lists(st.integers(0, 9)), st.integers(1, 40))
def test_batches_of_equal_length_need_no_padding(sizes: list[int], budget: int) -> None:
    sizes = sorted(sizes, reverse=True)
    parts = [sizes[part] for part in cut(sizes, budget, equal=True)]
    assert [size for part in parts for size in part] == sizes
    assert all(len(set(part)) == 1 for part in parts)
    for part, following in itertools.pairwise(parts):
        assert part[0] != following[0] or (len(part) + 1) * max(part[0], 1) > budget
