"""CrossEncoders of sentence-transformers: a folder, a name of the hub, or an object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, ModelError
from mlbench.common.files import sha256_of_all

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

VERSION = "cross-encoder/1"
BATCH = 32
_EXPECTED = "a cross-encoder with one label, whose score says how relevant a passage is"
_CODE = "auto_map"
_CLASS = "ForSequenceClassification"


class CrossEncoderReranker:
    """A CrossEncoder; ``cacheable`` where its files are known. The score is what ``predict`` gives:
    its own activation of the one label's logit."""

    def __init__(self, model: Any, name: str = "", identity: str | None = None) -> None:
        self._model = model
        self.name = name or _name_of(model)
        self.identity = identity
        self.cacheable = identity is not None
        labels = getattr(model, "num_labels", 1)
        if labels != 1:
            found = f"gives {plural(labels, 'score')} to a pair"
            raise ModelError(Fault(f"reranker {self.name}", found, _EXPECTED))

    def score_pairs(self, queries: list[str], passages: list[str]) -> Any:
        """Return the score of each pair, float32 (n,); the library sorts pairs by length."""
        pairs: list[Any] = list(zip(queries, passages, strict=True))
        if {*(getattr(self._model, "modalities", None) or ["text"])} > {"text"}:
            # else it would open a text that looks like the path or the address of an image
            pairs = [({"text": query}, {"text": passage}) for query, passage in pairs]
        scores = self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False)
        return np.asarray(scores, np.float32).reshape(len(queries))

    def describe(self) -> dict[str, Any]:
        """Return facts for the report."""
        return {
            "parameters": sum(each.numel() for each in self._model.parameters()),
            "max_length": getattr(self._model, "max_seq_length", None),
            "device": str(self._model.device),
            "dtype": str(next(self._model.parameters()).dtype).removeprefix("torch."),
            "prompts": dict(getattr(self._model, "prompts", None) or {}),
        }


def from_spec(
    value: str, offline: bool = False, cache: EmbeddingCache | None = None
) -> CrossEncoderReranker:
    """Return the CrossEncoder of a folder, else of the hub by its name.

    Its files are part of the identity. No code that comes with it is run, and only safetensors are
    read. Raises ModelError for another kind of folder, EnvironmentFault where
    sentence-transformers is not installed, and as ``neural.hub.fetch``.
    """
    try:
        import sentence_transformers
    except ImportError:
        raise EnvironmentFault(
            Fault(
                f"reranker {value}",
                "sentence-transformers is not installed",
                mend="pip install 'mlbench-retrieval[sentence-transformers]'",
            )
        ) from None
    folder = Path(value)
    if not folder.is_dir():
        from mlbench.models.neural.hub import fetch
        from mlbench.models.neural.options import NeuralOptions

        folder = fetch(value, NeuralOptions(offline=offline))
    _refuse_other(folder, value)
    model = sentence_transformers.CrossEncoder(
        str(folder), local_files_only=True, model_kwargs={"use_safetensors": True}
    )
    identity = f"{VERSION}, sha256 {_digest(folder)}"
    name = value if "/" in value and not Path(value).is_dir() else folder.resolve().name
    return CrossEncoderReranker(model, name, identity)


def is_folder_of_one(folder: Path) -> bool:
    """Say whether a folder's config.json is that of a model that gives scores to pairs."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    classes = config.get("architectures") if isinstance(config, dict) else None
    return isinstance(classes, list) and any(_CLASS in str(name) for name in classes)


def _refuse_other(folder: Path, value: str) -> None:
    """Raise ModelError where a folder is that of no cross-encoder with one label."""
    where = f"reranker {value}"
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = "its config.json is missing or is not JSON"
        raise ModelError(Fault(where, found, "the folder of a CrossEncoder")) from None
    if not isinstance(config, Mapping):
        raise ModelError(Fault(where, "its config.json is no table", "a CrossEncoder"))
    if config.get(_CODE):
        found = "asks for Python code of its own to be run"
        raise ModelError(Fault(where, found, "a model of the libraries' own classes"))
    architectures = [str(name) for name in config.get("architectures") or []]
    if architectures and not any(_CLASS in name for name in architectures):
        found = f"is a {architectures[0]}, which gives no score to a pair"
        mend = "give it with --model if it is an encoder"
        raise ModelError(Fault(where, found, _EXPECTED, mend))
    labels = config.get("id2label")
    count = len(labels) if isinstance(labels, Mapping) else 2
    if count != 1:
        raise ModelError(Fault(where, f"has {plural(count, 'label')}", _EXPECTED))


def _digest(folder: Path) -> str:
    """Return a digest (hex) of the names and contents of a checkpoint's files."""
    inside = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    names = [
        path.as_posix()
        for path in inside
        if path.suffix.lower() != ".md" and not any(part.startswith(".") for part in path.parts)
    ]
    return sha256_of_all(folder, names)


def _name_of(model: Any) -> str:
    card = getattr(model, "model_card_data", None)
    named = getattr(card, "model_id", None) or getattr(card, "base_model", None)
    return str(named or type(model).__name__)
