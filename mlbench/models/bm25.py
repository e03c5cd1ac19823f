"""BM25 with statistics of each language's own passages, by the bm25s library.

The variant is Lucene's (Kamphuis et al. 2020) with bm25s' defaults k1 = 1.5 and b = 0.75. A
passage is a sparse row of impacts, one a distinct token, computed with the statistics of its
own language; a query is a sparse row of token counts. Their dot product is the BM25 score. All
languages share one vocabulary, so that passages of any language can be scored for a query.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, ModelError
from mlbench.models.tokens import tokens

K1 = 1.5
B = 0.75


@dataclass(frozen=True)
class _Index:
    """The impacts of one language: row of each text, its tokens in order, CSR (texts, tokens)."""

    row: dict[str, int]
    vocabulary: list[str]
    impacts: Any


class BM25:
    """Sparse float32 (n, size of the vocabulary of all fitted languages); similarity dot."""

    name = "bm25"
    similarity = "dot"

    def __init__(self) -> None:
        self.identity = f"bm25/1, lucene, k1 {K1}, b {B}, bm25s {version('bm25s')}"
        self._indexes: dict[str, _Index] = {}
        self._columns: dict[str, int] = {}

    def fit(self, texts: list[str], language: str) -> None:
        """Index the passages of ``language``; a second call for it replaces the first."""
        self._indexes[language] = _index(texts)
        self._columns = {}

    def encode_queries(self, texts: list[str], language: str) -> Any:
        """Return token counts, CSR float32; tokens of no passage at all are left out."""
        from scipy import sparse

        columns = self._vocabulary()
        counts = [
            sorted(Counter(columns[t] for t in tokens(text) if t in columns).items())
            for text in texts
        ]
        pairs = np.array([*chain.from_iterable(counts)], np.int32).reshape(-1, 2)
        starts = np.cumsum([0, *map(len, counts)])
        return sparse.csr_matrix(
            (pairs[:, 1].astype(np.float32), pairs[:, 0], starts), (len(texts), len(columns))
        )

    def encode_passages(self, texts: list[str], language: str) -> Any:
        """Return the impacts of passages that ``fit`` was given, CSR float32."""
        from scipy import sparse

        columns, index = self._vocabulary(), self._indexes.get(language)
        unknown = [text for text in texts if index is None or text not in index.row]
        if unknown or index is None:
            raise ModelError(
                Fault(
                    f"model bm25, language {language!r}",
                    f"asked for a passage it was not fitted on: {unknown[:1]}",
                    "passages given to fit() for that language",
                )
            )
        rows = index.impacts[[index.row[text] for text in texts]]
        column = np.array([columns[token] for token in index.vocabulary], np.int32)
        return sparse.csr_matrix(
            (rows.data, column[rows.indices], rows.indptr), (len(texts), len(columns))
        )

    def describe(self) -> dict[str, Any]:
        """Return facts for the report: nothing in it was trained."""
        return {"parameters": 0}

    def _vocabulary(self) -> dict[str, int]:
        """Return the column of every token, in the order of the tokens' code points."""
        if not self._indexes:
            raise ModelError(Fault("model bm25", "used before fit()", "fit() for each language"))
        if not self._columns:
            vocabularies = (index.vocabulary for index in self._indexes.values())
            distinct = sorted(set(chain.from_iterable(vocabularies))) or [""]
            self._columns = {token: column for column, token in enumerate(distinct)}
        return self._columns


def _index(texts: list[str]) -> _Index:
    import bm25s
    from scipy import sparse

    found = [tokens(text) for text in texts]
    vocabulary = sorted(set(chain.from_iterable(found)))
    column = {token: i for i, token in enumerate(vocabulary)}
    shape = (len(texts), len(vocabulary))
    row = {text: i for i, text in enumerate(texts)}
    if not vocabulary:
        return _Index(row, vocabulary, sparse.csr_matrix(shape, dtype=np.float32))
    model = bm25s.BM25(k1=K1, b=B, method="lucene", dtype="float32")
    ids = [[column[token] for token in words] for words in found]
    model.index((ids, column), create_empty_token=False, show_progress=False)
    scores = model.scores
    parts: tuple[npt.NDArray[Any], ...] = (scores["data"], scores["indices"], scores["indptr"])
    impacts = sparse.csc_matrix(parts, shape).tocsr()
    impacts.sort_indices()
    return _Index(row, vocabulary, impacts)


def make() -> BM25:
    """Return an unfitted model."""
    return BM25()
