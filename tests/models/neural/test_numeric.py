from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import ModelError
from mlbench.models.neural.files import MODULES
from mlbench.models.neural.folder import inspect_folder
from mlbench.models.neural.numeric import (
    ACTIVATIONS,
    MASK,
    READERS,
    TOKENS,
    VECTOR,
    Pooling,
    pooled,
    steps_of,
)
from mlbench.models.neural.options import POOLINGS, NeuralOptions
from tests.models.neural.conftest import edit

DRAW = np.random.default_rng(3)
LENGTHS = (5, 1, 3)
BATCH = DRAW.standard_normal((3, 5, 8)).astype(np.float32)
MASKED = (np.arange(5) < np.array(LENGTHS)[:, None]).astype(np.int64)


def _slowly(mode: str, rows: list[np.ndarray]) -> np.ndarray:
    n = len(rows)
    if mode == "cls":
        return rows[0]
    if mode == "lasttoken":
        return rows[-1]
    if mode == "max":
        return np.array([max(column) for column in zip(*rows, strict=True)])
    weights = [place + 1 if mode == "weightedmean" else 1 for place in range(n)]
    total = sum(weight * row for weight, row in zip(weights, rows, strict=True))
    return total / (n**0.5 if mode == "mean_sqrt_len_tokens" else sum(weights))


@pytest.mark.parametrize("mode", POOLINGS)
def test_pooling_is_what_a_slow_loop_makes(mode: str) -> None:
    found = pooled(mode, BATCH, MASKED)
    for row, length, vectors in zip(found, LENGTHS, BATCH, strict=True):
        assert row == pytest.approx(_slowly(mode, list(vectors[:length])), rel=1e-5, abs=1e-6)


def _library(modules: list[Any], folder: Path) -> Path:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(modules=modules, device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


def test_modules_give_what_the_librarys_give(bare_folder: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from sentence_transformers import models

    torch.manual_seed(1)
    classes = [getattr(torch.nn, name) for name in ACTIVATIONS]
    layers = [models.Dense(64, 8, activation_function=torch.nn.Tanh(), use_residual=True)]
    layers += [models.Dense(8, 8, bias=False, activation_function=c()) for c in classes]
    layers += [models.LayerNorm(8), models.Dropout(0.5), models.Normalize()]
    layers[-3].norm.weight.data.uniform_(0.5, 2)
    before = models.Dense(32, 32, module_input_name=TOKENS, use_residual=True)
    pooling = models.Pooling(32, pooling_mode=("mean", "cls"), include_prompt=False)
    modules = [models.Transformer(str(bare_folder)), before, pooling, *layers]
    folder = _library(modules, tmp_path / "all")
    steps = [*steps_of(inspect_folder(folder, NeuralOptions()))]
    assert len(steps) == len(modules) - 1
    tokens = np.random.default_rng(0).standard_normal((3, 5, 32)).astype(np.float32)
    ours = {TOKENS: tokens, MASK: MASKED, "prompt": np.array(0)}
    theirs = {TOKENS: torch.tensor(tokens), MASK: torch.tensor(MASKED)}
    for step, module in zip(steps, modules[1:], strict=True):
        step(ours)
        theirs = module.eval()(theirs)
    np.testing.assert_allclose(ours[VECTOR], theirs[VECTOR].detach().numpy(), atol=1e-6)


def test_a_prompt_can_be_left_out() -> None:
    features = {TOKENS: BATCH, MASK: np.ones((3, 5), np.int64), "prompt": np.array(2)}
    Pooling(["mean"], with_prompt=False)(features)
    np.testing.assert_allclose(features[VECTOR], BATCH[:, 2:].mean(axis=1), atol=1e-6)
    Pooling(["mean"])(features)
    np.testing.assert_allclose(features[VECTOR], BATCH.mean(axis=1), atol=1e-6)


def test_old_settings_of_pooling_are_read(tmp_path: Path) -> None:
    edit(tmp_path / "config.json", pooling_mode_mean_tokens=True, pooling_mode_cls_token=True)
    assert Pooling.read(tmp_path).modes == ("cls", "mean")
    edit(tmp_path / "config.json", pooling_mode="strange")
    with pytest.raises(ModelError, match=r"'strange'(.|\n)*--backend torch"):
        Pooling.read(tmp_path)


def test_modules_that_need_torch_are_refused(full_folder: Path) -> None:
    checkpoint = inspect_folder(full_folder, NeuralOptions())
    other = replace(checkpoint, modules=(("Transformer", ""), ("CNN", "1_CNN")))
    with pytest.raises(ModelError, match="its module 'CNN', which runs with torch alone"):
        list(steps_of(other))
    assert READERS.keys() < MODULES.keys()
