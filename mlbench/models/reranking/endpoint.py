"""A reranker behind an endpoint: /v1/rerank as Cohere, Jina, vLLM and llama.cpp have it, or
/rerank of Text Embeddings Inference.

A request holds one query and some documents, and an answer has the index and the score of each
document. The address and the key are those of the endpoints of embeddings, OPENAI_BASE_URL and
OPENAI_API_KEY, or those of a model file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, IntegrityError, UsageError
from mlbench.common.trust import refuse_untrusted
from mlbench.models.endpoint.answers import in_order
from mlbench.models.endpoint.probes import PROBES, Probing
from mlbench.models.endpoint.served import Served
from mlbench.models.endpoint.server import Address, Rejected
from mlbench.models.reranking.options import KIND, TEI, RerankOptions, demands_of, read_file

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

VERSION = f"{KIND}/2"
OPENAI_PATH = "/v1"
CUT = "if it is too long, body = { truncate = true } in a model file cuts long pairs"
"""What Text Embeddings Inference can be told."""

Wide = npt.NDArray[np.float64]


class Endpoint(Served[RerankOptions]):
    """A reranker of a server."""

    def __init__(
        self,
        model: str,
        options: RerankOptions,
        cache: EmbeddingCache | None = None,
        *,
        of_file: bool = False,
    ) -> None:
        super().__init__(model, f"reranker {KIND}:{model}", options, cache, of_file)
        self._most = options.batch_size or options.wire.most

    @property
    def identity(self) -> str:
        """The server is asked for the scores of fixed texts where this is first needed."""
        return f"{VERSION}, sha256 {self._probing.identity}"

    def _address(self) -> Address:
        address = super()._address()
        if self._given.format == TEI:  # which has its embeddings below /v1, but not this
            return Address(address.url.removesuffix(OPENAI_PATH), address.key)
        return address

    @cached_property
    def _probing(self) -> Probing:
        about = [self._server.url, self._model, self._given.format, self._fields]
        said = json.dumps(about, sort_keys=True)
        return Probing(said, self._probes, self._cache, self._given.dtype)

    @property
    def _fields(self) -> dict[str, Any]:
        return self._given.fields(self._model)

    def _probes(self, alone: bool) -> npt.NDArray[np.float32]:
        query, documents = PROBES[1], [*PROBES]
        requests = [[each] for each in documents] if alone else [documents]
        scores = np.concatenate([self._rerank(query, each) for each in requests])
        return scores.astype(np.float32)[None]

    def score_pairs(self, queries: list[str], passages: list[str]) -> Wide:
        """Return the score of each pair, float64 (n,), as it is in the server's answers."""
        requests = list(_requests(queries, passages, self._most))
        return np.concatenate(
            self._server.ask_all(lambda request: self._rerank(*request), requests)
        )

    def confirm(self) -> None:
        """Raise IntegrityError where the model is no longer the one that it was at first."""
        apart = self._probing.apart()
        if apart:
            found = (
                f"has changed since the run began: its scores of fixed texts differ by {apart:.2g}"
            )
            expected = "the same model from the beginning of a run to its end"
            raise IntegrityError(Fault(self._place, found, expected))

    def describe(self) -> dict[str, Any]:
        """Return facts for the report."""
        sent = json.dumps(self._fields, ensure_ascii=False, sort_keys=True)
        notes = [f"scored by the server at {self._server.url}, which was sent {sent} for pairs"]
        if self._probing.noisy:
            notes.append("the server gives the same pair slightly different scores each time")
        return {"notes": notes, "dtype": self._given.dtype or "not known"}

    def _rerank(self, query: str, documents: list[str]) -> Wide:
        """Return the scores of documents from one request, or from halves of it where the server
        does not take so many at once."""
        wire = self._given.wire
        body = self._fields | {"query": query, wire.texts: documents}
        try:
            if wire.answer:
                answer = self._server.ask(wire.path, body | {"top_n": len(documents)})
            else:
                answer = {"": self._server.ask_for_list(wire.path, body)}
        except Rejected as refused:
            if len(documents) == 1:
                found = f"{refused.faults[0].found}\n  for the passage {documents[0][:60]!r}"
                mend = "" if self._given.format != TEI else CUT
                expected = "a pair that the server takes"
                raise Rejected(Fault(self._where, found, expected, mend)) from None
            half = (len(documents) + 1) // 2
            first = self._rerank(query, documents[:half])
            self._most = min(self._most, half)
            return np.concatenate([first, self._rerank(query, documents[half:])])
        return self._scores(answer, len(documents))

    def _scores(self, answer: Mapping[str, Any], count: int) -> Wide:
        """Return the scores of an answer in the order of the documents."""
        name = self._given.wire.answer
        items = in_order(answer, name, count, ("result", "document"), self._refuse)
        values = [item.get("relevance_score", item.get("score")) for item in items]
        odd = [value for value in values if type(value) not in (int, float)]
        if odd:
            self._refuse(f"the relevance score {str(odd[0])[:40]!r}", "numbers")
        return np.array(values, np.float64)


def _requests(
    queries: list[str], passages: list[str], most: int
) -> Iterator[tuple[str, list[str]]]:
    """Yield a query and ``most`` documents for each request, in the order of the pairs."""
    for query, pairs in groupby(zip(queries, passages, strict=True), key=lambda pair: pair[0]):
        documents = [passage for _, passage in pairs]
        for start in range(0, len(documents), most):
            yield query, documents[start : start + most]


def from_name(value: str, offline: bool = False, cache: EmbeddingCache | None = None) -> Endpoint:
    """Return the reranker that the server of OPENAI_BASE_URL has under a name."""
    if not value.strip():
        raise UsageError(Fault(f"reranker {KIND}:{value}", "no model named", f"{KIND}:MODEL"))
    return Endpoint(value, RerankOptions(offline=offline), cache)


def from_file(value: str, offline: bool = False, cache: EmbeddingCache | None = None) -> Endpoint:
    """Return the reranker that a model file describes.

    Raises UsageError, too, where the file asks for a secret to be sent that it does not hold.
    """
    path = Path(value)
    model, options = read_file(path)
    refuse_untrusted(demands_of(path))
    return Endpoint(model, replace(options, offline=offline or options.offline), cache,
                    of_file=True)  # fmt: skip
