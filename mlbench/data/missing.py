"""Collections without the judgements that name passages which the corpus does not have.

They are left out, kept count of and told in the report; a query that has no other relevant passage
is excluded, as any judged query without one is.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mlbench.common.errors import Fault
from mlbench.data.absent import Absent, Lost
from mlbench.data.collection import (
    Collection,
    Judgement,
    Questions,
    Records,
    build_collection,
    contradiction,
    raise_faults,
)
from mlbench.data.corpus import Judged, StreamedCollection


def without_absent(
    collection: StreamedCollection, present: Mapping[str, Container[str]]
) -> StreamedCollection:
    """Leave out the judgements that name passages which no shard holds, and keep count of them.

    ``present`` maps each language to ids that were found, all judged ones among them. Raises
    DataError, as ``Absent.refuse``, if no relevant passage is left.
    """
    judged, languages = collection.judgements, collection.languages
    ids, query = judged.passage_ids, judged.query.tolist()
    codes = [languages[number] for number in judged.passage_language.tolist()]
    here = np.array([id_ in present[code] for code, id_ in zip(codes, ids, strict=True)], bool)
    if here.all():
        return collection
    absent = Absent.of(
        [
            Lost(query[i], codes[i], ids[i], int(judged.relevance[i]))
            for i in np.flatnonzero(~here).tolist()
        ]
    )
    if not (judged.relevance[here] > 0).any():
        absent.refuse()
    kept = Judged(
        judged.query[here],
        judged.passage_language[here],
        tuple(ids[i] for i in np.flatnonzero(here).tolist()),
        judged.relevance[here],
    )
    return replace(collection, judgements=kept, absent=absent)


def build_present(languages: Sequence[str], records: Records) -> Collection:
    """Build a collection, with judgements left out as by ``without_absent``.

    Raises DataError as ``build_collection`` does, and where no relevant passage is left.
    """
    here = {(passage.language, passage.id) for passage in records.passages}
    asked = {(query.language, query.id) for query in records.queries}
    kept: list[Judgement] = []
    lost: dict[tuple[tuple[str, str], int, str], Judgement] = {}
    faults: list[Fault] = []
    for row in records.judgements:
        query, language = (row.query_language, row.query_id), row.passage_language
        known = query in asked and language in languages
        if not known or (language, row.passage_id) in here:
            kept.append(row)
            continue
        key = (query, languages.index(language), row.passage_id)
        if (first := lost.setdefault(key, row)).relevance != row.relevance:
            faults.append(contradiction(first, row))
    raise_faults(faults)
    if not lost or not any(row.relevance > 0 for row in kept):
        return build_collection(languages, records)
    collection = build_collection(languages, replace(records, judgements=kept))
    codes = [languages[number] for number in collection.queries.language.tolist()]
    index = {name: i for i, name in enumerate(zip(codes, collection.queries.ids, strict=True))}
    rows = sorted((index[q], n, id_, row.relevance) for (q, n, id_), row in lost.items())
    absent = Absent.of([Lost(q, languages[n], id_, relevance) for q, n, id_, relevance in rows])
    return replace(collection, absent=absent)


def absent_warnings(collection: Questions) -> tuple[str, ...]:
    """Return what a reader of the scores must know of judgements that were left out."""
    absent = collection.absent
    if absent is None:
        return ()
    has_relevant = np.asarray(collection.relevant_by_language.any(axis=1))
    return (absent.warning(absent.unanswered(has_relevant)),)
