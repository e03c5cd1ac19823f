"""Parts of a collection, for a quick look or a quick gate: some questions, passages or languages.

A part is the same for every model: what is drawn has the least SHA-256 of its id, so that a smaller
draw is a part of every larger one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.data.collection import Collection, Cut, Entries, Qrels

Ints = npt.NDArray[np.int64]


class Draw(NamedTuple):
    """How many question ids, and how many passages of each language beside the judged ones, are
    drawn; None for all."""

    questions: int | None = None
    passages: int | None = None

    def of(self, collection: Collection) -> Collection:
        """Return the part of a collection that is drawn. Raises as ``sample_questions`` does."""
        return sample_passages(sample_questions(collection, self.questions), self.passages)


def sample_questions(collection: Collection, count: int | None) -> Collection:
    """Return the collection with ``count`` of its judged question ids, in every language they have.

    Of pairs, so many are drawn of each. All passages stay. None, or as many as there are, is the
    whole collection. Raises UsageError where a language of queries would be left without one.
    """
    ids, of_pair = collection.queries.ids, collection.queries.pair
    families: dict[int, set[str]] = {}
    for query in np.flatnonzero(collection.judged).tolist():
        families.setdefault(0 if of_pair is None else int(of_pair[query]), set()).add(ids[query])
    if count is None or all(count >= len(judged) for judged in families.values()):
        return collection
    chosen = {id_ for judged in families.values() for id_ in sorted(judged, key=_place)[:count]}
    kept = np.array([i for i, id_ in enumerate(ids) if id_ in chosen], np.int64)
    part = _part(collection, kept, np.arange(len(collection.passages)))
    counts = zip(collection.languages, part.queries.counts, strict=True)
    asked = collection.roles.queries
    empty = [code for code, size in counts if code in asked and not size]
    if empty:
        raise UsageError(
            Fault(
                f"--sample-questions {count}",
                f"no question left in {', '.join(empty)}",
                "at least one in every language of the queries",
                "ask for more questions",
            )
        )
    return replace(part, sample=count)


def sample_passages(collection: Collection, count: int | None) -> Collection:
    """Return the collection with the passages that are judged for one of its queries and ``count``
    others of each language, of pairs so many of each side.

    None, or as many as there are, is the whole collection.
    """
    if count is None:
        return collection
    entries = collection.passages
    judged = np.zeros(len(entries), bool)
    judged[collection.qrels.passage] = True
    chosen = [np.flatnonzero(judged)]
    for part in _pools(entries):
        others = [i for i in range(part.start, part.stop) if not judged[i]]
        others.sort(key=lambda i: _place(entries.ids[i]))
        chosen.append(np.array(others[:count], np.int64))
    kept = np.sort(np.concatenate(chosen))
    if len(kept) == len(entries):
        return collection
    part_of = _part(collection, np.arange(len(collection.queries)), kept)
    return replace(part_of, sample_passages=count)


def _pools(entries: Entries) -> list[slice]:
    """Return the entries of each language, or of each side of each pair."""
    numbers = range(len(entries.counts))
    if entries.pair is None:
        return [entries.slice(number) for number in numbers]
    pairs = np.unique(entries.pair).tolist()
    return [entries.of_pair(number, pair) for number in numbers for pair in pairs]


def cut_to_languages(collection: Collection, languages: Sequence[str]) -> Collection:
    """Return the collection with the queries and passages of some of its languages.

    Its digest is made from that of the whole collection and the languages, and a query stays judged
    whose judgements name passages of other languages alone.
    """
    numbers = [collection.languages.index(language) for language in languages]
    if len(numbers) == len(collection.languages):
        return collection
    pairs = collection.roles.only(languages).pairs
    kept = np.array([pair in pairs for pair in collection.pairs], bool)
    queries, passages = (_of(e, numbers, kept) for e in (collection.queries, collection.passages))
    cut = Cut(collection.digest, collection.languages, collection.judged[queries])
    part = _part(collection, queries, passages)
    return replace(
        part,
        languages=tuple(languages),
        queries=_only(part.queries, numbers, kept),
        passages=_only(part.passages, numbers, kept),
        cut=cut,
        pairs=pairs,
    )


def _of(entries: Entries, numbers: Sequence[int], pairs: npt.NDArray[np.bool_]) -> Ints:
    """Return the entries of some languages and of the pairs that are kept."""
    parts = [entries.slice(number) for number in sorted(numbers)]
    chosen = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    return chosen if entries.pair is None else chosen[pairs[entries.pair[chosen]]]


def _only(entries: Entries, numbers: Sequence[int], pairs: npt.NDArray[np.bool_]) -> Entries:
    """Leave languages and pairs out that have no entry any more."""
    counts = entries.counts[sorted(numbers)]
    pair = None if entries.pair is None else (np.cumsum(pairs) - 1)[entries.pair].astype(np.int16)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(entries, starts=starts, pair=pair)


def _part(collection: Collection, queries: Ints, passages: Ints) -> Collection:
    """Return a collection of some queries and passages, ascending, and their judgements."""
    new_query, new_passage = (
        _renumbered(len(entries), kept)
        for entries, kept in ((collection.queries, queries), (collection.passages, passages))
    )
    qrels, absent = collection.qrels, collection.absent
    inside = (new_query[qrels.query] >= 0) & (new_passage[qrels.passage] >= 0)
    return replace(
        collection,
        queries=_taken(collection.queries, queries),
        passages=_taken(collection.passages, passages),
        qrels=Qrels(
            new_query[qrels.query[inside]],
            new_passage[qrels.passage[inside]],
            qrels.relevance[inside],
        ),
        absent=None if absent is None else absent.of_queries(new_query),
    )


def _taken(entries: Entries, kept: Ints) -> Entries:
    return entries if len(kept) == len(entries) else entries.take(kept)


def _renumbered(size: int, kept: Ints) -> Ints:
    number = np.full(size, -1, np.int64)
    number[kept] = np.arange(len(kept))
    return number


def sample_warnings(collection: Collection) -> tuple[str, ...]:
    """Return what a reader of a part's scores must know; nothing for a whole collection."""
    warnings = []
    if collection.sample is not None:
        warnings.append(
            f"scores of a sample of {plural(collection.sample, 'question')}"
            f"{' of each pair' * bool(collection.pairs)}, for a quick check: they "
            "cannot be compared with scores of the whole task, and cannot enter a leaderboard"
        )
    if collection.sample_passages is not None:
        warnings.append(
            f"only the judged passages and {plural(collection.sample_passages, 'other')} of "
            "each language "
            "are searched, so every score is better than on the whole collection, and no estimate "
            "of it; compare it with scores of the same sample alone"
        )
    if collection.cut is not None:
        warnings.append(cut_warning(collection.languages, len(collection.cut.languages)))
    return tuple(warnings)


def cut_warning(languages: Sequence[str], whole: int, name: str = "") -> str:
    """Say that a task is cut to some of its ``whole`` languages, which may have a ``name``."""
    named = f"{name}: " if name else ""
    return (
        f"cut to {len(languages)} of {plural(whole, 'language')} "
        f"({named}{', '.join(languages)}): its scores "
        "cannot be compared with those of the whole task"
    )


def _place(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()
