"""Vectors that a caller has, in place of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.data.collection import Collection, Entries
from mlbench.data.task import Task, language_among
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.loading import load_collection
from mlbench.evaluation.options import Options, chosen_options
from mlbench.evaluation.tasks import load_task
from mlbench.models.boundary import difference, is_of_tokens
from mlbench.models.registry import describe_adapter
from mlbench.ranking.vectors import TokenVectors

if TYPE_CHECKING:
    from mlbench.reports.report import Report

SAME = 1e-5
"""Vectors of equal texts may differ by this share: a model rounds."""


def evaluate_vectors(
    queries: object,
    passages: object,
    task: str | Path | Task,
    options: Options | None = None,
    *,
    name: str = "vectors",
    similarity: str = "cosine",
    **changes: Any,
) -> Report:
    """Evaluate vectors that were made elsewhere: see ``evaluate``.

    ``queries`` and ``passages`` are arrays of shape (n, d), dense or ``scipy.sparse``, with a row a
    text, or lists of arrays (tokens, d), one a text (late interaction), in the order of
    ``load_collection(task)``: one array for all languages, or a mapping of
    each language to its own. ``similarity`` is "cosine" or "dot".

    Raises DataError where there are other rows than texts, or where equal texts have different
    vectors, and as ``evaluate`` does.
    """
    chosen = chosen_options(options, {"cache": None, **changes})
    task = load_task(task)
    collection = load_collection(task, chosen)
    if chosen.model_options:
        found = f"take none of the options given: {', '.join(chosen.model_options)}"
        raise UsageError(Fault("vectors", found, "a model that is named, which takes them"))
    given = {"query": queries, "passage": passages}
    adapter = Given(name, similarity, collection, given)
    model = describe_adapter(name or "vectors", "vectors", adapter, name)
    return evaluate_held(task, collection, model, chosen)


class Given:
    """A model that gives the vectors it was given, by the ids of the texts."""

    def __init__(
        self, name: str, similarity: str, collection: Collection, given: Mapping[str, object]
    ) -> None:
        self.name, self.similarity = name, similarity
        sides = {"query": collection.queries, "passage": collection.passages}
        self._vectors = {
            role: _by_language(role, entries, given[role], collection.languages)
            for role, entries in sides.items()
        }
        self._row: dict[tuple[str, str], dict[str, int]] = {}

    def bind(self, role: str, language: str, ids: list[str], texts: list[str]) -> None:
        """Learn which row is that of which text. Raises DataError where equal texts differ."""
        rows: dict[str, int] = {}
        vectors = self._vectors[role][language]
        for row, (id_, text) in enumerate(zip(ids, texts, strict=True)):
            first = rows.setdefault(text, row)
            if first != row and difference(vectors[[first]], vectors[[row]]) > SAME:
                found = f"ids {ids[first]!r} and {id_!r} have the same text and different vectors"
                expected = "one vector for each text"
                raise DataError(Fault(f"{role} vectors, language {language!r}", found, expected))
        self._row[role, language] = rows

    def encode_queries(self, texts: list[str], language: str) -> Any:
        """Return the rows of queries."""
        return self._rows("query", texts, language)

    def encode_passages(self, texts: list[str], language: str) -> Any:
        """Return the rows of passages."""
        return self._rows("passage", texts, language)

    def _rows(self, role: str, texts: list[str], language: str) -> Any:
        rows = self._row[role, language]
        return self._vectors[role][language][[rows[text] for text in texts]]


def _by_language(
    role: str, entries: Entries, given: object, languages: tuple[str, ...]
) -> dict[str, Any]:
    """Cut what was given by language. Raises DataError where it has other rows than texts."""
    counts = dict(zip(languages, entries.counts.tolist(), strict=True))
    if not isinstance(given, Mapping):
        array, total = _array(role, given), sum(counts.values())
        if array.shape[0] != total:
            expected = (
                f"{plural(total, 'row')}, one for each {role} of {', '.join(languages)} in that "
                "order"
            )
            raise DataError(Fault(f"{role} vectors", f"{plural(array.shape[0], 'row')}", expected))
        starts = entries.starts.tolist()
        return {code: array[starts[i] : starts[i + 1]] for i, code in enumerate(languages)}
    spelled = {language_among(str(code), languages): code for code in given}
    arrays = {code: _array(role, given[spelled[code]]) for code in languages if code in spelled}
    faults = [
        Fault(f"{role} vectors, language {code!r}", "missing", f"{plural(counts[code], 'row')}")
        for code in languages
        if code not in arrays
    ]
    faults += [
        Fault(
            f"{role} vectors, language {code!r}",
            f"{plural(array.shape[0], 'row')}",
            f"{plural(counts[code], 'row')}, one for each text",
        )
        for code, array in arrays.items()
        if array.shape[0] != counts[code]
    ]
    if faults:
        raise DataError(*faults)
    return arrays


def _array(role: str, given: object) -> Any:
    from scipy import sparse

    if sparse.issparse(given):
        return given.tocsr()  # type: ignore[attr-defined]
    if is_of_tokens(given):
        return _of_tokens(role, given)
    where, expected = f"{role} vectors", "an array of shape (n, d)"
    try:
        array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors with gradients
        raise DataError(Fault(where, f"no array can be made of them: {error}", expected)) from None
    if array.ndim != 2:
        raise DataError(Fault(where, f"shape {array.shape}", expected))
    return array


def _of_tokens(role: str, given: Any) -> TokenVectors:
    """Join the arrays (tokens, d) of texts. Raises DataError where they are not of one form."""
    texts = [np.asarray(each) for each in given]
    shapes = sorted({each.shape[1:] for each in texts})
    if len(shapes) > 1:
        found = f"arrays of {shapes[0]} and {shapes[1]} after their first axis, in one list"
        expected = "arrays of shape (tokens, d), of one d for all texts"
        raise DataError(Fault(f"{role} vectors", found, expected))
    starts = np.append(0, np.cumsum([*map(len, texts)])).astype(np.int64)
    return TokenVectors(np.concatenate(texts), starts)
