"""A reranker behind an endpoint: /v1/rerank as Cohere, Jina, vLLM and llama.cpp have it.

A request holds one query and some documents, and an answer has, under "results", the index and the
relevance score of each document (https://docs.cohere.com/reference/rerank). The address and the key
are those of the endpoints of embeddings: OPENAI_BASE_URL and OPENAI_API_KEY.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import EnvironmentFault, Fault, IntegrityError, ModelError, UsageError
from mlbench.models.endpoint.answers import in_order
from mlbench.models.endpoint.options import EndpointOptions, address_of
from mlbench.models.endpoint.probes import PROBES, Probing
from mlbench.models.endpoint.server import Rejected, Server

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

KIND = "rerank"
VERSION = f"{KIND}/1"
PATH = "rerank"
MOST_DOCUMENTS = 64
"""Documents of one request, at most."""

Wide = npt.NDArray[np.float64]


class Endpoint:
    """A reranker of a server; nothing is sent before something asks for its identity or scores."""

    cacheable = True

    def __init__(
        self, model: str, options: EndpointOptions, cache: EmbeddingCache | None = None
    ) -> None:
        self.name = model
        self._given, self._cache = options, cache
        self._where = f"reranker {KIND}:{model}"

    @property
    def identity(self) -> str:
        """The server is asked for the scores of fixed texts where this is first needed."""
        return f"{VERSION}, sha256 {self._probing.identity}"

    @cached_property
    def _server(self) -> Server:
        if self._given.offline:
            found = "is behind an endpoint, and the network may not be used"
            raise EnvironmentFault(Fault(self._where, found, mend="leave --offline out"))
        return Server(
            address_of(self._given), self._where, self._given.concurrency, self._given.timeout
        )

    @cached_property
    def _probing(self) -> Probing:
        return Probing(f"{self._server.url}\n{self.name}", self._probes, self._cache)

    def _probes(self, alone: bool) -> npt.NDArray[np.float32]:
        query, documents = PROBES[1], [*PROBES]
        requests = [[each] for each in documents] if alone else [documents]
        scores = np.concatenate([self._rerank(query, each) for each in requests])
        return scores.astype(np.float32)[None]

    def score_pairs(self, queries: list[str], passages: list[str]) -> Wide:
        """Return the score of each pair, float64 (n,), as it is in the server's answers."""
        requests = list(_requests(queries, passages))
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
            raise IntegrityError(Fault(f"{self._where} at {self._server.url}", found, expected))

    def describe(self) -> dict[str, Any]:
        """Return facts for the report."""
        notes = [f"scored by the server at {self._server.url}"]
        if self._probing.noisy:
            notes.append("the server gives the same pair slightly different scores each time")
        return {"notes": notes}

    def _rerank(self, query: str, documents: list[str]) -> Wide:
        """Return the scores of documents from one request, or from halves of it where the server
        does not take so many at once."""
        body = {"model": self.name, "query": query, "documents": documents}
        try:
            answer = self._server.ask(PATH, body | {"top_n": len(documents)})
        except Rejected as refused:
            if len(documents) == 1:
                found = f"{refused.faults[0].found}\n  for the passage {documents[0][:60]!r}"
                raise Rejected(Fault(self._where, found, "a pair that the server takes")) from None
            half = (len(documents) + 1) // 2
            parts = documents[:half], documents[half:]
            return np.concatenate([self._rerank(query, part) for part in parts])
        return self._scores(answer, len(documents))

    def _scores(self, answer: Mapping[str, Any], count: int) -> Wide:
        """Return the scores of an answer in the order of the documents."""
        items = in_order(answer, "results", count, ("result", "document"), self._refuse)
        values = [item.get("relevance_score", item.get("score")) for item in items]
        odd = [value for value in values if type(value) not in (int, float)]
        if odd:
            self._refuse(f"the relevance score {str(odd[0])[:40]!r}", "numbers")
        return np.array(values, np.float64)

    def _refuse(self, found: str, expected: str = "") -> NoReturn:
        where = f"{self._where} at {self._server.url}"
        raise ModelError(Fault(where, f"returned {found}", expected))


def _requests(queries: list[str], passages: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield a query and documents for each request, in the order of the pairs."""
    for query, pairs in groupby(zip(queries, passages, strict=True), key=lambda pair: pair[0]):
        documents = [passage for _, passage in pairs]
        for start in range(0, len(documents), MOST_DOCUMENTS):
            yield query, documents[start : start + MOST_DOCUMENTS]


def from_name(value: str, offline: bool = False, cache: EmbeddingCache | None = None) -> Endpoint:
    """Return the reranker that the server of OPENAI_BASE_URL has under a name."""
    if not value.strip():
        raise UsageError(Fault(f"reranker {KIND}:{value}", "no model named", f"{KIND}:MODEL"))
    return Endpoint(value, EndpointOptions(offline=offline), cache)
