"""A text has one vector, whatever stands beside it in a batch and however large batches are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.evaluation.evaluate import evaluate
from mlbench.models.boundary import difference
from mlbench.models.contract import check_adapter
from mlbench.models.neural.forms import EQUAL, PLAIN, POSITIONS
from mlbench.models.registry import load_adapter
from tests.models.neural import padded
from tests.models.neural.conftest import Copy, edit

pytest.importorskip("torch")
library = pytest.importorskip("sentence_transformers")

TEXTS = ["a", "b c d", "x" * 15, "the river runs", "к" * 20, "a b c", "z y", "中文问答"]
EXACT = 1e-6
Make = Callable[..., Path]


def _padding(folder: Path, **options: Any) -> dict[str, str]:
    adapter = load_adapter(str(folder), options).adapter
    one, many = (
        load_adapter(str(folder), options | {"batch_tokens": budget}).adapter
        for budget in (1, 5000)
    )
    for encode in ("encode_queries", "encode_passages"):
        alone, together = (getattr(each, encode)(TEXTS, "") for each in (one, many))
        assert difference(alone, together) < EXACT
    padding: dict[str, str] = adapter.options.get("padding", {})
    return padding


@pytest.mark.parametrize(
    ("make", "padding"),
    [
        (padded.bert, POSITIONS),
        (padded.gpt2, POSITIONS),
        (padded.opt, PLAIN),
        (padded.bloom, PLAIN),
        (padded.llama, PLAIN),
        (padded.xlnet, PLAIN),
        (padded.fnet, EQUAL),
        (padded.convolved, EQUAL),
    ],
)
def test_vectors_are_those_of_each_text_alone(
    bare_folder: Path, tmp_path: Path, make: Make, padding: str
) -> None:
    folder = make(bare_folder, tmp_path / "model")
    expected = {"query": padding, "passage": padding} if padding else {}
    assert _padding(folder) == expected
    ours = load_adapter(str(folder)).adapter
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    alone = np.concatenate([theirs.encode_query([text]) for text in TEXTS])
    assert difference(alone, ours.encode_queries(TEXTS, "")) < EXACT
    company = difference(alone, theirs.encode_query(TEXTS))
    assert (company > 0.01) == bool(padding)
    said = [note for note in ours.describe()["notes"] if "padding" in note]
    assert len(said) == bool(padding)
    assert all(note.endswith("(queries and passages)") for note in said)


@pytest.mark.parametrize("pooling", ["cls", "lasttoken"])
@pytest.mark.parametrize("make", [padded.gpt2, padded.opt])
def test_checkpoints_padded_left_are_pooled_as_they_are_alone(
    bare_folder: Path, tmp_path: Path, make: Make, pooling: str
) -> None:
    _padding(make(bare_folder, tmp_path / "model"), pooling=pooling)


@pytest.mark.parametrize(
    "sizes", [{"kernel_sizes": [2]}, {"kernel_sizes": [3], "stride_sizes": [2]}]
)
def test_convolutions_that_change_the_number_of_tokens(
    bare_folder: Path, tmp_path: Path, sizes: dict[str, Any]
) -> None:
    assert _padding(padded.convolved(bare_folder, tmp_path / "model", **sizes))["query"] == EQUAL


def test_only_the_route_that_needs_it_is_padded_otherwise(
    bare_folder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import models as modules

    encoders = [
        library.SentenceTransformer(str(made(bare_folder, tmp_path / name)), device="cpu")
        for name, made in (("bert", padded.bert), ("llama", padded.llama))
    ]
    router = modules.Router.for_query_document(*map(list, encoders))
    model = library.SentenceTransformer(modules=[router], device="cpu")
    model.save(str(tmp_path / "routed"), create_model_card=False)
    assert _padding(tmp_path / "routed") == {"query": POSITIONS}


def test_what_needs_no_care_keeps_its_identity(full_folder: Path, copy: Copy) -> None:
    assert "padding" not in load_adapter(str(full_folder)).adapter.options
    left = copy(full_folder)
    edit(left / "tokenizer_config.json", padding_side="left")
    changed = load_adapter(str(left)).adapter
    assert changed.options["padding"] == {"query": POSITIONS, "passage": POSITIONS}
    vectors = load_adapter(str(full_folder)).adapter.encode_queries(TEXTS, "")
    assert difference(vectors, changed.encode_queries(TEXTS, "")) < EXACT


def test_half_precision_is_no_reason_to_pad_otherwise(full_folder: Path) -> None:
    for dtype in ("bfloat16", "float16"):
        adapter = load_adapter(str(full_folder), {"dtype": dtype}).adapter
        assert "padding" not in adapter.options


@pytest.mark.parametrize("make", [padded.gpt2, padded.convolved])
def test_scores_are_the_same_under_any_budget(
    bare_folder: Path, tmp_path: Path, make: Make
) -> None:
    folder = make(bare_folder, tmp_path / "model")
    reports = [
        evaluate(
            str(folder), "sample", progress=False, cache=None,
            model_options={"batch_tokens": budget},
        )
        for budget in (100, 4000)
    ]  # fmt: skip
    for kind, scores in reports[0].macro.items():
        assert scores == pytest.approx(reports[1].macro[kind], abs=1e-5)
    assert reports[0].model.identity == reports[1].model.identity
    results = {result.name: result for result in check_adapter(load_adapter(str(folder)))}
    assert results["batch-free"].passed
