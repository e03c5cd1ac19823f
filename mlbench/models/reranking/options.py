"""How a server of rerankers is to be asked: the options of a model file, or else.

    model = "rerank:BAAI/bge-reranker-v2-m3"
    base_url = "http://127.0.0.1:8080"
    format = "tei"

The address and the key are found as those of embeddings are (see ``models.endpoint.options``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from mlbench.common.errors import UsageError
from mlbench.common.forms import fields_of, fill_form, one_of, read_toml
from mlbench.common.trust import Demand
from mlbench.models.endpoint.options import (
    Count,
    ServerOptions,
    demands_of_options,
    fields_besides,
    read_endpoint_file,
    two_keys,
)

KIND = "rerank"
COHERE, TEI = "cohere", "tei"
OWN_FIELDS = ("model", "query", "documents", "texts", "top_n", "return_documents", "return_text")
"""What mlbench writes into a request itself, or what would change the form of the answer."""


class Wire(NamedTuple):
    """How servers of a format are asked: the ``path`` below the address, the field of the texts,
    ``most`` of which they take at once unless they are told otherwise, and the name of the list
    in the answer ("" where the answer is the list)."""

    path: str
    texts: str
    most: int
    answer: str


WIRES = {COHERE: Wire("rerank", "documents", 64, "results"), TEI: Wire("rerank", "texts", 32, "")}
"""/v1/rerank as Cohere, Jina, vLLM and llama.cpp have it
(https://docs.cohere.com/reference/rerank), and /rerank of Text Embeddings Inference
(https://huggingface.github.io/text-embeddings-inference)."""


@dataclass(frozen=True)
class RerankOptions(ServerOptions):
    """How a server of rerankers is asked. ``body`` are further fields of a request."""

    format: Annotated[str, one_of(*WIRES)] = COHERE
    body: Annotated[dict[str, Any], fields_besides(OWN_FIELDS)] | None = None
    batch_size: Count | None = None

    @property
    def wire(self) -> Wire:
        """What the format means."""
        return WIRES[self.format]

    def fields(self, model: str) -> dict[str, Any]:
        """Return what a request holds beside the query and the passages.

        Text Embeddings Inference serves one model, and is asked for scores before its sigmoid,
        which would make the highest ones equal.
        """
        own = {"model": model} if self.format == COHERE else {"raw_scores": True}
        return own | (self.body or {})


def names_a_server(path: Path) -> bool:
    """Say whether a model file names a reranker. Raises UsageError where it cannot be read."""
    named = read_toml(path, "a model file", UsageError).get("model")
    return isinstance(named, str) and named.partition(":")[0] == KIND


def read_file(path: Path) -> tuple[str, RerankOptions]:
    """Return the name that the server has for the model of a model file, and its options.

    Raises UsageError with every fault.
    """
    file = read_endpoint_file(path, KIND)
    return file.model, _parsed(file.values, path)


def _parsed(values: Mapping[str, Any], path: Path) -> RerankOptions:
    place = fields_of(path)
    return fill_form(RerankOptions, values, place, UsageError, two_keys(values, place))


def demands_of(path: Path) -> list[Demand]:
    """Return what a model file asks for that could do harm. Raises as ``read_file`` does."""
    return demands_of_options(path, read_file(path)[1])
