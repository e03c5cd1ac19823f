"""What the library's kinds of encoders give for a text, from its tensors to vectors of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlbench.models.protocol import SIMILARITY_NAMES
from mlbench.ranking.vectors import Floats, TokenVectors, Vectors

Tensors = tuple[Any, ...]
"""Tensors of a batch on the device; those of several batches are joined one by one."""


@dataclass(frozen=True)
class Output:
    """One vector a text, of which the first ``truncate_dim`` dimensions are kept."""

    truncate_dim: int | None = None

    def taken(self, model: Any, features: dict[str, Any]) -> Tensors:
        """Return what is wanted of what a model made of a batch, on its device."""
        return (features["sentence_embedding"][:, : self.truncate_dim].float(),)

    def vectors(self, tensors: Tensors) -> Vectors:
        """Return the vectors of what was ``taken``, from any device."""
        result: Floats = tensors[0].cpu().numpy()
        return result

    def nothing(self, dimension: int) -> Vectors:
        """Return the vectors of no text at all."""
        return np.empty((0, self.truncate_dim or dimension), np.float32)


WHOLE = Output()


@dataclass(frozen=True)
class TokenOutput(Output):
    """One vector for each token that is scored: the library's mask says which these are."""

    def taken(self, model: Any, features: dict[str, Any]) -> Tensors:
        """Return the vectors of all texts, one after the other, and how many each has."""
        mask = features["attention_mask"].bool()
        return features["token_embeddings"][mask].float(), mask.sum(1)

    def vectors(self, tensors: Tensors) -> TokenVectors:
        """Return the vectors of what was ``taken``."""
        vectors, counts = (tensor.cpu().numpy() for tensor in tensors)
        return TokenVectors(vectors, np.append(0, np.cumsum(counts)).astype(np.int64))

    def nothing(self, dimension: int) -> TokenVectors:
        """Return the vectors of no text at all."""
        return TokenVectors(np.empty((0, dimension), np.float32), np.zeros(1, np.int64))


@dataclass(frozen=True)
class SparseOutput(Output):
    """One vector a text, most of whose coordinates are 0."""

    def taken(self, model: Any, features: dict[str, Any]) -> Tensors:
        """Return the coordinates that are not 0: how many each text has, their numbers and values;
        and the number of all."""
        import torch
        from sentence_transformers.util import select_max_active_dims

        found = features["sentence_embedding"].float()
        if model.max_active_dims is not None:
            found = select_max_active_dims(found, max_active_dims=model.max_active_dims)
        rows, columns = torch.nonzero(found, as_tuple=True)
        width = torch.tensor([found.shape[1]])
        return (found != 0).sum(1), columns, found[rows, columns], width

    def vectors(self, tensors: Tensors) -> Any:
        """Return the vectors of what was ``taken``, as a CSR matrix."""
        from scipy import sparse

        counts, columns, values, width = (tensor.cpu().numpy() for tensor in tensors)
        starts = np.append(0, np.cumsum(counts))
        shape = (len(counts), int(width[0]))
        return sparse.csr_matrix((values, columns, starts), shape=shape)

    def nothing(self, dimension: int) -> Any:
        """Return the vectors of no text at all."""
        from scipy import sparse

        return sparse.csr_matrix((0, dimension), dtype=np.float32)


@dataclass(frozen=True)
class Family:
    """A kind of encoder of the library: ``library`` is its class there, ``model_types`` are its
    names in config_sentence_transformers.json.

    ``what`` it is, for people; ``made_by`` are the modules of which one makes its vectors;
    ``similarities`` what its own names of similarities mean, None for none given.
    """

    library: str
    model_types: tuple[str, ...]
    what: str
    made_by: tuple[str, ...]
    similarities: Mapping[Any, str]
    output: type[Output] = Output

    @property
    def dense(self) -> bool:
        """Whether a text has one vector, all of whose coordinates matter."""
        return self.output is Output


DENSE = Family(
    "SentenceTransformer",
    ("SentenceTransformer",),
    "a dense encoder",
    ("Pooling", "StaticEmbedding"),
    {None: "cosine", **SIMILARITY_NAMES},
)
LATE = Family(
    "MultiVectorEncoder",
    ("MultiVectorEncoder", "ColBERT"),
    "a late-interaction model (ColBERT)",
    ("Transformer",),
    dict.fromkeys((None, "maxsim", "meanmaxsim", "MaxSim", *SIMILARITY_NAMES), "dot"),
    TokenOutput,
)
"""Its library scores by dot products of vectors as they are, whatever the name; that a mean is
taken over a query's tokens changes no order of passages."""
SPARSE = Family(
    "SparseEncoder",
    ("SparseEncoder",),
    "a sparse encoder",
    ("SpladePooling", "SparseStaticEmbedding", "SparseAutoEncoder"),
    {None: "dot", **SIMILARITY_NAMES},
    SparseOutput,
)
FAMILIES = {name: family for family in (DENSE, LATE, SPARSE) for name in family.model_types}
"""The last of LATE's names is PyLate's."""


_ADD_POOLING = (
    'add {"idx": 1, "name": "1", "path": "1_Pooling", "type": '
    '"sentence_transformers.models.Pooling"} to it, and 1_Pooling/config.json; or take '
    "modules.json out of the folder, and choose with --pooling"
)


def without_vectors(family: Family) -> tuple[str, ...]:
    """Say that no module of a checkpoint makes vectors: what was found and expected, how to mend
    it."""
    if not family.dense:
        return (
            f"nothing makes the vectors of {family.what}",
            f"a module {' or '.join(family.made_by)}",
        )
    found = "no pooling: nothing makes one vector of a text's token vectors"
    return found, "a module Pooling after the Transformer", _ADD_POOLING
