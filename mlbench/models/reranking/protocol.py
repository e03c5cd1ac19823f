"""What mlbench asks of a reranker.

    class MyReranker:
        name = "my-reranker"          # optional; shown in reports
        identity = "my-reranker v3"   # optional; changes whenever a score would change
        cacheable = True              # optional; scores may be kept: identity covers all they need

        def score_pairs(self, queries, passages): ...   # -> (n,) array, higher is better

``queries`` and ``passages`` are lists of n strings, and pair i is ``queries[i]`` with
``passages[i]``; pairs of one query stand together. The result is a floating-point array of shape
(n,); scores are compared as float32. Each distinct pair of texts is given once, in batches of any
size and order, and must have the same score whichever pairs are in the batch. A reranker is told
neither the task nor the languages. ``describe`` may return facts for the report as JSON, such as
"parameters", "max_length" and "device", and ``confirm`` raises where the model behind it has
changed meanwhile. Without ``identity``, a reranker is known by its source and by the scores that it
gives to a few fixed pairs, which it is asked for when it is loaded; its scores are not kept then.
``mlbench models check SPEC --reranker`` tests whether a reranker keeps this contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class ScoresPairs(Protocol):
    """What a reranker must offer."""

    def score_pairs(self, queries: list[str], passages: list[str]) -> Any:
        """Return one score a pair, (len(queries),)."""


@dataclass(frozen=True)
class Reranker:
    """A reranker ready to score; ``identity`` changes when a score would, and ``kind`` is that of
    the registry, "file", "python" or "object". ``cacheable`` says whether scores may be kept."""

    spec: str
    name: str
    kind: str
    adapter: Any
    identity: str
    cacheable: bool
