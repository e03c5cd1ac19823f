"""The modules of sentence-transformers that follow a Transformer, in numpy alone.

Each takes the features of a batch and adds to them, under the library's names: "token_embeddings"
(n, tokens, d), "attention_mask" (n, tokens), "sentence_embedding" (n, d), all padded on the right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, ModelError
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.files import read_json
from mlbench.models.neural.folder import CONFIG_FILE
from mlbench.models.neural.options import POOLINGS

Array = npt.NDArray[Any]
Features = dict[str, Array]
Step = Callable[[Features], None]
WEIGHTS = "model.safetensors"
TOKENS, MASK, VECTOR = "token_embeddings", "attention_mask", "sentence_embedding"
_LEAST = 1e-9
_OLD_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""What older versions of the library wrote for each way to pool, in the order of the result."""


def _gelu(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(x * 0.5 * (1 + erf(x / np.sqrt(2))))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "GELU": _gelu,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "SiLU": lambda x: x / (1 + np.exp(-x)),
}
"""Activation functions, by their class in torch.nn."""


def pooled(mode: str, tokens: Array, mask: Array) -> Array:
    """Return one vector a text, float32 (n, d), of the tokens in ``mask``, by one of POOLINGS.

    >>> pooled("mean", np.array([[[1.0], [3.0], [9.0]]], np.float32), np.array([[1, 1, 0]]))
    array([[2.]], dtype=float32)
    """
    rows, width = np.arange(len(tokens)), tokens.shape[1]
    if mode == "cls":
        return np.asarray(tokens[rows, mask.argmax(axis=1)])
    if mode == "lasttoken":
        return np.asarray(tokens[rows, width - 1 - mask[:, ::-1].argmax(axis=1)])
    if mode == "max":
        return np.asarray(np.where(mask[..., None] > 0, tokens, -np.inf).max(axis=1))
    weights = mask.astype(np.float32)
    if mode == "weightedmean":
        weights = weights * np.arange(1, width + 1, dtype=np.float32)
    total = np.einsum("ntd,nt->nd", tokens, weights)
    size = np.maximum(weights.sum(axis=1, keepdims=True), np.float32(_LEAST))
    return np.asarray(total / (np.sqrt(size) if mode == "mean_sqrt_len_tokens" else size))


class Pooling:
    """Makes one vector of a text's token vectors; with several ``modes``, one after the other."""

    def __init__(self, modes: Sequence[str], *, with_prompt: bool = True) -> None:
        self.modes, self.with_prompt = tuple(modes), with_prompt

    @classmethod
    def read(cls, folder: Path) -> Pooling:
        """Read a module's folder. Raises ModelError for a way to pool that is unknown."""
        said = _config(folder)
        given = said.get("pooling_mode")
        if given is None:
            given = [name for key, name in _OLD_POOLING.items() if said.get(key)] or "mean"
        modes = [given] if isinstance(given, str) else [*given]
        if unknown := [mode for mode in modes if mode not in POOLINGS]:
            raise _refused(folder, f"pooling_mode = {unknown[0]!r}", ", ".join(POOLINGS))
        return cls(modes, with_prompt=said.get("include_prompt") is not False)

    def __call__(self, features: Features) -> None:
        """Add the vectors. ``prompt`` tokens at the start of each text may be left out."""
        tokens, mask = features[TOKENS], features[MASK]
        if not self.with_prompt:
            mask = np.where(np.arange(mask.shape[1]) < features["prompt"], 0, mask)
        features[VECTOR] = np.concatenate([pooled(m, tokens, mask) for m in self.modes], axis=1)


class Dense:
    """A linear layer, an activation, and perhaps the input added to them."""

    def __init__(self, folder: Path) -> None:
        said, weights = _config(folder), _tensors(folder)
        name = str(said.get("activation_function") or "torch.nn.Identity").rpartition(".")[2]
        if "activation_function" not in said:
            name = "Tanh"
        if name not in ACTIVATIONS:
            raise _refused(folder, f"activation_function {name!r}", ", ".join(ACTIVATIONS))
        self._activation = ACTIVATIONS[name]
        self._weight, self._bias = weights["linear.weight"], weights.get("linear.bias")
        self._residual = weights.get("residual.weight")
        self._adds = bool(said.get("use_residual"))
        self._from = str(said.get("module_input_name") or VECTOR)
        self._to = str(said.get("module_output_name") or self._from)

    def __call__(self, features: Features) -> None:
        """Apply it to what it reads."""
        given = features[self._from]
        found = given @ self._weight.T
        found = self._activation(found if self._bias is None else found + self._bias)
        if self._adds:
            found = found + (given if self._residual is None else given @ self._residual.T)
        features[self._to] = found


class LayerNorm:
    """Makes each vector of mean 0 and variance 1, then scales and shifts it."""

    def __init__(self, folder: Path) -> None:
        weights = _tensors(folder)
        self._weight, self._bias = weights["norm.weight"], weights["norm.bias"]

    def __call__(self, features: Features) -> None:
        """Apply it to the vectors."""
        given = features[VECTOR]
        mean, variance = (f(axis=1, keepdims=True) for f in (given.mean, given.var))
        features[VECTOR] = (given - mean) / np.sqrt(variance + 1e-5) * self._weight + self._bias


class Normalize:
    """Divides each vector by its length."""

    def __init__(self, folder: Path) -> None:
        said = _config(folder) if (folder / CONFIG_FILE).is_file() else {}
        self._from = str(said.get("module_input_name") or VECTOR)
        self._to = str(said.get("module_output_name") or self._from)

    def __call__(self, features: Features) -> None:
        """Apply it to what it reads, if that is there."""
        if self._from in features:
            given = features[self._from]
            norms = np.linalg.norm(given, axis=-1, keepdims=True)
            features[self._to] = given / np.maximum(norms, 1e-12)


def _nothing(folder: Path) -> Step:
    return lambda features: None


READERS: Mapping[str, Callable[[Path], Step]] = {
    "Pooling": Pooling.read,
    "Dense": Dense,
    "LayerNorm": LayerNorm,
    "Normalize": Normalize,
    "Dropout": _nothing,
}
"""What reads the folder of each module that can follow."""


def steps_of(checkpoint: Checkpoint) -> Iterator[Step]:
    """Yield the modules after the first. Raises ModelError for one that is not in READERS."""
    for name, place in checkpoint.modules[1:]:
        if name is None or name not in READERS:
            found = f"its module {name or place!r}, which runs with torch alone"
            raise _refused(checkpoint.folder, found, f"after the Transformer: {', '.join(READERS)}")
        yield READERS[name](checkpoint.folder / place)


def _config(folder: Path) -> dict[str, Any]:
    said, _ = read_json(folder / CONFIG_FILE)
    return said if isinstance(said, dict) else {}


def _tensors(folder: Path) -> dict[str, Array]:
    """Return a module's weights in float32."""
    from safetensors.numpy import load_file

    return {name: each.astype(np.float32) for name, each in load_file(folder / WEIGHTS).items()}


def _refused(folder: Path, found: str, expected: str) -> ModelError:
    mend = "run it with --backend torch"
    return ModelError(
        Fault(f"model {folder}", f"onnxruntime alone cannot run {found}", expected, mend)
    )
