"""What a checkpoint is where it is no dense encoder in safetensors, and what to do with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PICKLES = re.compile(r".*\.(bin|pt|pth|ckpt|pkl|pickle|joblib)")
_OF_TRAINING = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state\w*)\.\w+")
_OBJECT = (
    "load it with sentence-transformers and give the object to mlbench.evaluate, or wrap it in a "
    "Python file: path/to/file.py:factory"
)
_RANKED = "rank with it in code of your own, and evaluate the run: mlbench score"
_RERANKED = "give it with --rerank, and another model with --model as the first stage"


@dataclass(frozen=True)
class Kind:
    """A kind of model that is not run from its folder: what it is, and what can be done."""

    what: str
    mend: str


SPARSE = Kind(
    "a sparse encoder",
    "return its vectors as scipy.sparse matrices from a Python file: path/to/file.py:factory",
)
RERANKER = Kind(
    "a cross-encoder (reranker), which reads a query and a passage together and gives no vectors",
    _RERANKED,
)
LATE = Kind("a late-interaction model (ColBERT), which gives one vector for each token", _RANKED)
SCORER = Kind(
    "a cross-encoder (reranker) or a classifier, which gives scores of texts and no vectors",
    _RERANKED,
)
CLASSIFIER = Kind(
    "a model that labels texts or tokens, or finds answers in them",
    "give the encoder that it was made from, or train an encoder",
)
WORDS = Kind("a model of single words (a bag of words, or word embeddings)", _OBJECT)
OUTDATED = Kind(
    "a class that sentence-transformers had before version 1",
    "name sentence_transformers.models.Transformer in its place, and save the model again",
)

MODEL_TYPES = {"CrossEncoder": RERANKER}
"""What ``model_type`` in config_sentence_transformers.json may say, of what is no encoder."""

_CLASSES = (
    (re.compile(r"sentence_transformers\.sparse_encoder\..*"), SPARSE),
    (re.compile(r"sentence_transformers\.cross_encoder\..*"), RERANKER),
    (re.compile(r"sentence_transformers\.multi_vector_encoder\..*|pylate\..*"), LATE),
    (re.compile(r"sentence_transformers\.(\w+\.)+(WordEmbeddings|BoW|WordWeights)"), WORDS),
    (
        re.compile(
            r"sentence_transformers\.models\."
            r"(ALBERT|BERT|CamemBERT|DistilBERT|RoBERTa|T5|XLMRoBERTa|XLNet)"
        ),
        OUTDATED,
    ),
)
"""Classes of modules.json that dense encoders of texts are not made of."""


OF_FAMILY = {"MultiVectorEncoder": LATE, "SparseEncoder": SPARSE}
"""The kind that classes of modules.json must be of where the library's class is this one."""


def kind_of_class(name: object) -> Kind | None:
    """Return which other kind of model a class of modules.json belongs to, if that is known."""
    if not isinstance(name, str):
        return None
    return next((kind for pattern, kind in _CLASSES if pattern.fullmatch(name)), None)


_FROM = "convert them with transformers 4: AutoModel.from_pretrained(FOLDER, {}=True), and save it"
_FORMATS = (
    (re.compile(r"(onnx/)?[^/]+\.onnx"), "ONNX", "give --backend onnx"),
    (re.compile(r"(openvino/)?[^/]+\.xml"), "OpenVINO", "give --backend openvino"),
    (
        re.compile(r"[^/]+\.gguf"),
        "GGUF",
        "use the checkpoint that the GGUF file was made from, in safetensors",
    ),
    (
        re.compile(r"tf_model.*\.h5|(saved_model/)?saved_model\.pb"),
        "TensorFlow",
        _FROM.format("from_tf"),
    ),
    (re.compile(r"flax_model.*\.msgpack"), "Flax", _FROM.format("from_flax")),
    (re.compile(r"rust_model\.ot"), "Rust", "use the checkpoint that they were made from"),
)
_BACKENDS = ("ONNX", "OpenVINO")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


def other_weights(names: Iterable[str], *, backends: bool = True) -> tuple[str, str] | None:
    """Return what weights there are beside those looked for, and what to do; None if none are.

    ``names`` are relative to the module's folder; ``backends``: whether these can run it.
    """
    names = sorted(names)
    found: list[tuple[str, str]] = []
    for pattern, what, mend in _FORMATS:
        if what in _BACKENDS and not backends:
            continue
        first = next((name for name in names if pattern.fullmatch(name)), None)
        if first is not None:
            found.append((f"{what} weights ({first})", mend))
    if found:
        return "only " + " and ".join(what for what, _ in found), found[0][1]
    safe = [name for name in names if re.fullmatch(r"[^/]+\.safetensors", name)]
    if any(map(_SHARD.fullmatch, safe)):
        index = "model.safetensors.index.json"
        return f"shards ({safe[0]}, ...) without {index}", f"download or save {index} too"
    if "adapter_model.safetensors" in safe:
        what, _ = adapter({})
        return f"only the weights of {what}", "save adapter_config.json beside them, too"
    if safe:
        mend = "name it model.safetensors, if it holds the model"
        return f"only weights of another name ({safe[0]})", mend
    return None


def pickled_weights(names: Iterable[str]) -> list[str]:
    """Return which files of a folder are pickles that may hold a model's weights, the library's
    own name for them first."""
    there = set(names)
    return [
        name
        for name in sorted(there, key=lambda name: (not name.startswith("pytorch_model"), name))
        if PICKLES.fullmatch(name)
        and not _OF_TRAINING.fullmatch(name)
        and f"{name.rpartition('.')[0]}.xml" not in there  # OpenVINO's
    ]


def adapter(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return what an adapter_config.json says that the folder is, and what to do."""
    base = config.get("base_model_name_or_path")
    of = f" for {base}" if isinstance(base, str) and base else ""
    return (
        f"a PEFT adapter, which loads another model{of}",
        "merge it into its base model (merge_and_unload) and save that",
    )


def says_reranker(config: Mapping[str, Any]) -> bool:
    """Say whether a config.json is one that the library's CrossEncoder wrote, and that no encoder
    was made from since."""
    said, classes = config.get("sentence_transformers"), config.get("architectures")
    now = isinstance(said, dict) and "activation_fn" in said
    encoder = isinstance(classes, list) and all(str(each).endswith("Model") for each in classes)
    return (now or "sbert_ce_default_activation_function" in config) and not encoder


def model2vec_modules(config: Mapping[str, Any]) -> str | None:
    """Return the modules.json that a folder of model2vec needs; None for any other config.json."""
    if config.get("model_type") != "model2vec" and config.get("architectures") != ["StaticModel"]:
        return None
    names = ["StaticEmbedding", *(["Normalize"] if config.get("normalize") else [])]
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": f"{place}_{name}" if place else ".",
            "type": f"sentence_transformers.models.{name}",
        }
        for place, name in enumerate(names)
    ]
    return json.dumps(modules)
