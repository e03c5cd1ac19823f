"""What a training begins with: static embeddings made anew, a checkpoint's folder, or a name on
the hub."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.errors import EnvironmentFault, Fault, UsageError, install_extra
from mlbench.models.built_in import BUILT_IN
from mlbench.models.neural.folder import inspect_folder
from mlbench.models.neural.load import load_model
from mlbench.models.neural.merging import with_base
from mlbench.models.neural.options import NeuralOptions
from mlbench.training.config import STATIC, TOWERS, TrainConfig
from mlbench.training.tokenizer import make_tokenizer

if TYPE_CHECKING:
    from mlbench.training.judged_pairs import TrainingSet

NEEDED = ("sentence_transformers", "tokenizers")
_TRAINABLE = ("sentence-transformers", "hub")
"""The kinds of models, as `mlbench models list` has them, that can be trained."""
_EXPECTED = (
    "`static`, `clip`, the folder of a checkpoint of sentence-transformers or transformers, or "
    "ORG/NAME of the hub"
)
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PROMPTS = {"query": "query", "passage": "document"}
"""What the library calls the prompt of a role."""


@dataclass(frozen=True)
class BaseKind:
    """A kind of base: what it is called, and its highest learning rate unless told."""

    name: str
    rate: float


STATIC_KIND = BaseKind("static embeddings", 0.02)
TRANSFORMER_KIND = BaseKind("a transformer", 3e-5)
TOWERS_KIND = BaseKind("an image tower and a text tower", 1e-3)


@dataclass(frozen=True)
class Base:
    """A model of sentence-transformers before and, as it is changed in place, after its training.

    ``digest`` is a SHA-256 of what it begins as; ``prompts`` are those of queries and passages.
    """

    name: str
    kind: BaseKind
    model: Any
    digest: str
    prompts: Mapping[str, str]
    hub: bool = False
    notes: Sequence[str] = field(default=())

    @property
    def takes_images(self) -> bool:
        """Whether the model has a tower for images."""
        return "image" in getattr(self.model, "modalities", ())

    def save(self, folder: Path) -> None:
        """Write the model as it is now, with its prompts. Raises EnvironmentFault on a full
        disk."""
        for role, name in _PROMPTS.items():
            self.model.prompts[name] = self.prompts[role]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with without_bars():
                self.model.save(str(folder), create_model_card=False)
        except OSError as error:
            found = f"cannot be written: {error.strerror or error}"
            raise EnvironmentFault(Fault(str(folder), found, "a disk with room")) from error

    def describe(self) -> dict[str, Any]:
        """Return what a record says of it."""
        described = {"name": self.name, "kind": self.kind.name, "digest": self.digest}
        return described | {"hub": self.hub, "prompts": dict(self.prompts)}


def open_base(
    config: TrainConfig, data: TrainingSet, languages: Sequence[str], offline: bool = False
) -> Base:
    """Return what a training begins with.

    Raises UsageError for what cannot be trained, ModelError for a broken checkpoint,
    EnvironmentFault where a library or the network is missing.
    """
    check_libraries()
    if config.base == STATIC:
        return _new(config, data, languages)
    if config.base == TOWERS:
        return _new_towers(config, data, languages)
    folder, hub = _folder(config.base, offline)
    if not any(folder.rglob("*.safetensors")) and any(folder.rglob("*.onnx")):
        found = "holds an ONNX export only, whose weights are frozen"
        mend = "name the checkpoint that it was exported from"
        raise UsageError(Fault(f"base {config.base}", found, "weights that can be trained", mend))
    given: dict[str, Any] = {"max_length": config.max_length}
    given |= {"query_prompt": config.query_prompt, "passage_prompt": config.passage_prompt}
    options = NeuralOptions(**given, offline=offline)
    checkpoint = with_base(inspect_folder(folder, options), options)
    if not checkpoint.family.dense:
        found = f"is {checkpoint.family.what}"
        raise UsageError(Fault(f"base {config.base}", found, "a dense encoder"))
    loaded = load_model(checkpoint, options, "cosine")
    model, prompts = loaded.model, loaded.facts.prompts
    static = _is_static(model)
    if static:
        model.to("cpu")
    kind = STATIC_KIND if static else TRANSFORMER_KIND
    name = config.base if hub else folder.resolve().name
    return Base(name, kind, model, checkpoint.sha256, prompts, hub, loaded.facts.notes)


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Let transformers show no progress bars of its own meanwhile."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def check_libraries(names: Sequence[str] = NEEDED) -> None:
    """Raise EnvironmentFault where a library that training needs is not installed."""
    lacking = [name for name in names if importlib.util.find_spec(name) is None]
    if lacking:
        libraries = ", ".join(name.replace("_", "-") for name in lacking)
        found = f"not installed: {libraries}"
        raise EnvironmentFault(Fault("training", found, mend=install_extra("train")))


def table_of(model: Any) -> Any:
    """Return the vectors of a static model's tokens as float32 (vocabulary, d): what is changed in
    them is changed in the model."""
    import torch

    embedding = model[0].embedding
    if embedding.weight.dtype != torch.float32:
        embedding.float()
    return embedding.weight.data


def _is_static(model: Any) -> bool:
    kinds = [type(module).__name__ for module in model]
    return kinds[0] == "StaticEmbedding" and set(kinds[1:]) <= {"Normalize"}


def _new(config: TrainConfig, data: TrainingSet, languages: Sequence[str]) -> Base:
    """Return static embeddings with random vectors."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = make_tokenizer(data, languages, config.vocabulary)
    chance = np.random.default_rng((config.seed, config.dimension))
    size = (tokenizer.get_vocab_size(), config.dimension)
    vectors = torch.from_numpy(chance.standard_normal(size, np.float32))
    module = StaticEmbedding(tokenizer, embedding_weights=vectors)
    model = SentenceTransformer(modules=[module], device="cpu", similarity_fn_name="cosine")
    total = hashlib.sha256(tokenizer.to_str().encode() + b"\n" + vectors.numpy().tobytes())
    prompts = {"query": config.query_prompt or "", "passage": config.passage_prompt or ""}
    return Base(STATIC, STATIC_KIND, model, total.hexdigest(), prompts)


def _new_towers(config: TrainConfig, data: TrainingSet, languages: Sequence[str]) -> Base:
    """Return an image tower and a text tower with random weights."""
    from mlbench.training.towers import new_towers

    words = make_tokenizer(data, languages, config.vocabulary)
    with without_bars():
        model, digest = new_towers(config, words)
    prompts = {"query": config.query_prompt or "", "passage": config.passage_prompt or ""}
    return Base(TOWERS, TOWERS_KIND, model, digest, prompts)


def _folder(spec: str, offline: bool) -> tuple[Path, bool]:
    """Return the folder of a base, and whether it is from the hub."""
    kind, colon, value = spec.partition(":")
    rows = {row.name: row for row in BUILT_IN}
    if kind in rows and kind not in _TRAINABLE:
        found = f"{rows[kind].help}: mlbench cannot train it"
        raise UsageError(Fault(f"base {spec}", found, _EXPECTED))
    name = value if colon and kind in _TRAINABLE else spec
    if Path(name).is_dir():
        return Path(name), False
    if _HUB.fullmatch(name) and Path(name).suffix not in (".py", ".toml"):
        from mlbench.models.neural.hub import fetch

        return fetch(name, NeuralOptions(offline=offline)), True
    found = "no such folder" if re.search(r"[\\/]", name) else "nothing that can be trained"
    raise UsageError(Fault(f"base {spec}", found, _EXPECTED))
