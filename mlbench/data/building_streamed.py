"""A streamed collection from what a reader yields, with all checked that needs no passage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mlbench.common.errors import Fault
from mlbench.data.absent import add_pair, check_relevant, dangling
from mlbench.data.building import Spoken, build_entries, names_of, none_of, raise_faults
from mlbench.data.collection import Judgement
from mlbench.data.corpus import BetweenAll, Judged, JudgedOnce, StreamedCollection, StreamedRecords
from mlbench.data.task import IMAGE, Roles


def build_streamed(
    languages: Sequence[str], records: StreamedRecords, roles: Roles | None = None
) -> StreamedCollection:
    """Check what can be checked without a passage, and lay it out by language.

    ``roles`` say which languages queries and passages have, where it is not all.

    Raises DataError with every fault found (the first 20 of many).
    """
    faults: list[Fault] = []
    if IMAGE in languages:
        found = "images cannot be read shard by shard"
        faults.append(Fault(f"language {IMAGE!r}", found, "a reader that holds all texts"))
    roles = roles or Roles(tuple(languages), tuple(languages))
    queries, index = build_entries(
        Spoken("query", languages, roles.queries), records.queries, faults
    )
    for language in roles.passages:
        if not any(shard.language == language for shard in records.shards):
            faults.append(none_of("passage", language, "shard of passages"))
    judged: Judged | JudgedOnce
    if isinstance(records.judgements, BetweenAll):
        judged = _judged_once(languages, index, records.judgements, faults)
    else:
        judged = _judged(languages, index, records.judgements, faults)
    raise_faults(faults)
    number = {language: i for i, language in enumerate(languages)}
    shards = sorted(records.shards, key=lambda shard: number[shard.language])
    left_out = names_of(records.unjudged)
    return StreamedCollection(
        tuple(languages),
        queries,
        judged,
        tuple(shards),
        unjudged=left_out,
        parallel=records.parallel,
    )


def _judged(
    languages: Sequence[str],
    index: dict[tuple[str, str], int],
    judgements: Iterable[Judgement],
    faults: list[Fault],
) -> Judged:
    number = {language: i for i, language in enumerate(languages)}
    seen: dict[tuple[int, int, str], Judgement] = {}
    for judgement in judgements:
        query = index.get((judgement.query_language, judgement.query_id))
        language = number.get(judgement.passage_language)
        if query is None:
            faults.append(dangling(judgement, "query"))
        if language is None:
            found = f"a judgement names a passage of language {judgement.passage_language!r}"
            faults.append(Fault(judgement.where, found, "one of " + ", ".join(languages)))
        if query is None or language is None:
            continue
        add_pair(seen, (query, language, judgement.passage_id), judgement, faults)
    check_relevant(seen.values(), faults)
    rows = sorted(seen)
    return Judged(
        query=np.array([query for query, _, _ in rows], np.int64),
        passage_language=np.array([language for _, language, _ in rows], np.int16),
        passage_ids=tuple(id_ for _, _, id_ in rows),
        relevance=np.array([seen[row].relevance for row in rows], np.int32),
    )


def _judged_once(
    languages: Sequence[str],
    index: Mapping[tuple[str, str], int],
    between: BetweenAll,
    faults: list[Fault],
) -> JudgedOnce:
    seen: dict[tuple[str, str], Judgement] = {}
    for judgement in between.rows:
        if between.asked.get(judgement.query_id):
            add_pair(seen, (judgement.query_id, judgement.passage_id), judgement, faults)
        else:
            faults.append(dangling(judgement, "query"))
    check_relevant(seen.values(), faults)
    queries = {id_: i for i, id_ in enumerate(dict.fromkeys(query for query, _ in seen))}
    ids = sorted({passage for _, passage in seen})
    passages = {id_: i for i, id_ in enumerate(ids)}
    entries = np.full((len(languages), len(queries)), -1, np.int64)
    for number, language in enumerate(languages):
        entries[number] = [index.get((language, id_), -1) for id_ in queries]
    searched = np.array([language in between.languages for language in languages], bool)
    return JudgedOnce(
        np.fromiter((queries[query] for query, _ in seen), np.int64, len(seen)),
        np.fromiter((passages[passage] for _, passage in seen), np.int64, len(seen)),
        np.fromiter((row.relevance for row in seen.values()), np.int32, len(seen)),
        tuple(ids),
        entries,
        np.repeat(searched[:, np.newaxis], len(ids), axis=1),
    )
