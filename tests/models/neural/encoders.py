"""Small encoders of the library's other classes, made of the tiny BERT of ``conftest``: late
interaction as the library, PyLate and Stanford's ColBERT save it, and sparse ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

LENGTH, EXPANDED, DIMENSION = 20, 12, 16


def save_late(bare: Path, folder: Path, expansion: dict[str, Any] | None) -> Path:
    """Save a MultiVectorEncoder whose queries are filled up as ``expansion`` says."""
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.base import modules
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(5)
    transformer = modules.Transformer(str(bare), query_expansion=expansion, document_length=LENGTH)
    projection = modules.Dense(
        32, DIMENSION, bias=False, activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    )  # fmt: skip
    model = library.MultiVectorEncoder(
        modules=[
            transformer, projection, MultiVectorMask(skiplist_words=[".", ","]),
            modules.Normalize(module_input_name="token_embeddings"),
        ],
        prompts={"query": "q: ", "document": "d: "},
        device="cpu",
    )  # fmt: skip
    model.save(str(folder), create_model_card=False)
    return folder


def as_pylate(late: Path, folder: Path) -> Path:
    """Save the same as PyLate 1 does: two modules, all else in its own settings."""
    shutil.copytree(late, folder)
    kinds = ("sentence_transformers.models.Transformer", "pylate.models.Dense.Dense")
    modules = json.loads((folder / "modules.json").read_text())[:2]
    named = [module | {"type": kind} for module, kind in zip(modules, kinds, strict=True)]
    dense = {
        "in_features": 32, "out_features": DIMENSION, "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }  # fmt: skip
    settings = {
        "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim",
        "model_type": "ColBERT", "query_prefix": "q ", "document_prefix": "d ",
        "query_length": EXPANDED, "document_length": LENGTH, "attend_to_expansion_tokens": True,
        "skiplist_words": [".", ","],
    }  # fmt: skip
    files = {
        "modules.json": named,
        "sentence_bert_config.json": {"max_seq_length": LENGTH, "do_lower_case": False},
        "1_Dense/config.json": dense,
        "config_sentence_transformers.json": settings,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def as_stanford(bare: Path, folder: Path) -> Path:
    """Save a checkpoint as Stanford's ColBERT does: the projection beside the encoder's weights."""
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    shutil.copytree(bare, folder)
    weights = safetensors.load_file(folder / "model.safetensors")
    weights = {f"bert.{name}": tensor for name, tensor in weights.items()}
    torch.manual_seed(5)
    weights["linear.weight"] = torch.randn(DIMENSION, 32)
    safetensors.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    settings = {
        "query_token_id": "a", "doc_token_id": "b", "doc_maxlen": LENGTH,
        "query_maxlen": EXPANDED, "mask_punctuation": True, "attend_to_mask_tokens": False,
    }  # fmt: skip
    (folder / "artifact.metadata").write_text(json.dumps(settings))
    return folder


def save_sparse(
    bare: Path, folder: Path, *, inference_free: bool = False, most: int | None = None
) -> Path:
    """Save a SPLADE model; if ``inference_free``, queries are a table of weights of tokens."""
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("sentence_transformers")
    import transformers
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    torch.manual_seed(3)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bare)
    masked = folder.with_name(f"{folder.name}-masked")
    config = transformers.AutoConfig.from_pretrained(bare)
    transformers.BertForMaskedLM(config).save_pretrained(masked)
    tokenizer.save_pretrained(masked)
    modules: list[Any] = [Transformer(str(masked), transformer_task="fill-mask")]
    modules.append(SpladePooling("max"))
    if inference_free:
        weights = torch.rand(len(tokenizer.get_vocab()))
        table = SparseStaticEmbedding(tokenizer=tokenizer, weight=weights)
        modules = [Router.for_query_document(query_modules=[table], document_modules=modules)]
    model = library.SparseEncoder(modules=modules, device="cpu", max_active_dims=most)
    model.save(str(folder), create_model_card=False)
    return folder
