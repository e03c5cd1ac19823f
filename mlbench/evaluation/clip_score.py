"""CLIPScore of a collection of images and captions, from the vectors that it was ranked by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mlbench.data.collection import Collection
from mlbench.data.task import IMAGE, Kind
from mlbench.measures.clip_score import (
    CLIP_SCORE,
    CLIP_SCORES,
    FORMULA,
    JUDGED_CLIP_SCORE,
    Ints,
    Values,
    clip_scores_of,
)
from mlbench.measures.significance import mean
from mlbench.models.encoding import Embedded
from mlbench.ranking.counting import chosen, parts_of
from mlbench.ranking.products import Limits
from mlbench.ranking.reranking import of_part
from mlbench.ranking.topk import Searched, query_rows, top_passages
from mlbench.reports.clip_score import ClipScore, LanguageScore
from mlbench.reports.per_query import PerQuery, SettingValues
from mlbench.reports.provenance import ModelInfo


def clip_score(
    collection: Collection,
    embedded: Embedded,
    model: ModelInfo,
    kinds: Iterable[Kind],
    limits: Limits,
) -> tuple[ClipScore | None, PerQuery | None]:
    """Return CLIPScore by language of captions, and of each query in each setting of some kinds;
    None for a task without images, and for vectors that are not dense."""
    queries, passages = embedded.queries, embedded.passages
    dense = isinstance(queries, np.ndarray) and isinstance(passages, np.ndarray)
    if IMAGE not in collection.languages or not dense or queries.dtype.kind != "f":
        return None, None
    qrels = collection.qrels
    relevant = qrels.relevance > 0
    judged = _by_caption(collection, qrels.query[relevant], qrels.passage[relevant])
    means, pairs = {}, {}
    for code, (query, passage) in judged.items():
        kept = _distinct(collection, query, passage)
        pairs[code] = len(kept)
        means[code] = mean(clip_scores_of(queries, passages, query[kept], passage[kept]))
    if not means:
        return None, None
    values = _values(collection, embedded, _First.of(collection, embedded, limits))
    first = {
        (each.setting.query_language, each.setting.passage_languages): mean(each.values[CLIP_SCORE])
        for each in values
        if each.query_ids
    }
    scores = {
        code: LanguageScore(
            means[code], pairs[code], first.get((code, (IMAGE,))), first.get((IMAGE, (code,)))
        )
        for code in collection.languages
        if code in means
    }
    mixed = first.get((IMAGE, collection.roles.pool_of(IMAGE)))
    prompts = {role: text for role, text in model.prompts.items() if role in ("query", "passage")}
    found = ClipScore.of(FORMULA, (model.name, model.spec), prompts, scores, mixed)
    wanted = {*collection.roles.settings(kinds)}
    return found, PerQuery(tuple(e for e in values if e.setting in wanted), CLIP_SCORES)


@dataclass(frozen=True)
class _First:
    """What each query that has a judgement finds first in the passages of each language: its exact
    ``score`` and its ``clip`` score, float64 (queries, languages), NaN where it searches none."""

    score: Values
    clip: Values

    @classmethod
    def of(cls, collection: Collection, embedded: Embedded, limits: Limits) -> _First:
        """Search for it."""
        shape = len(collection.queries), len(collection.languages)
        score, clip = (np.full(shape, np.nan) for _ in range(2))
        for query, passage, scores in _found_first(collection, embedded, limits):
            language = collection.passages.language[passage]
            score[query, language] = scores
            clip[query, language] = clip_scores_of(
                embedded.queries, embedded.passages, query, passage
            )
        return cls(score, clip)

    def among(self, query: Ints, pool: Ints) -> Values:
        """Return the CLIPScore of what queries find first in the passages of some languages; of
        equal scores the lowest, as ties count against a model."""
        score, clip = self.score[np.ix_(query, pool)], self.clip[np.ix_(query, pool)]
        best = score == np.nanmax(score, axis=1, keepdims=True)
        found: Values = np.where(best, clip, np.inf).min(axis=1)
        return found


def _values(collection: Collection, embedded: Embedded, first: _First) -> list[SettingValues]:
    """Return what each query scores in each setting with images on one side."""
    entries, qrels = collection.queries, collection.qrels
    relevant = qrels.relevance > 0
    query, passage = qrels.query[relevant], qrels.passage[relevant]
    at = query, collection.passages.language[passage]
    shape = len(entries), len(collection.languages)
    counts, sums = np.zeros(shape, np.int64), np.zeros(shape)
    np.add.at(counts, at, 1)
    np.add.at(sums, at, clip_scores_of(embedded.queries, embedded.passages, query, passage))
    found = []
    for setting in collection.roles.settings(Kind):
        pool = np.array([collection.languages.index(c) for c in setting.passage_languages])
        if (setting.query_language == IMAGE) == (IMAGE in setting.passage_languages):
            continue
        asked = entries.language == collection.languages.index(setting.query_language)
        own = np.flatnonzero(asked & (counts[:, pool].sum(axis=1) > 0))
        own = own[np.argsort([entries.ids[q] for q in own.tolist()], kind="stable")]
        values = {
            CLIP_SCORE: first.among(own, pool),
            JUDGED_CLIP_SCORE: sums[np.ix_(own, pool)].sum(1) / counts[np.ix_(own, pool)].sum(1),
        }
        ids, groups = (tuple(of[q] for q in own.tolist()) for of in (entries.ids, entries.groups))
        excluded = int((asked & collection.judged).sum()) - len(own)
        found.append(SettingValues(setting, ids, groups, excluded, values))
    return found


def _by_caption(collection: Collection, query: Ints, passage: Ints) -> dict[str, tuple[Ints, Ints]]:
    """Return the pairs of a caption and an image by the caption's language."""
    asked = collection.queries.language[query]
    searched = collection.passages.language[passage]
    found = {}
    for number, code in enumerate(collection.languages):
        image = collection.languages.index(IMAGE)
        own = ((asked == number) & (searched == image)) | ((searched == number) & (asked == image))
        if code != IMAGE and own.any():
            found[code] = query[own], passage[own]
    return found


def _distinct(collection: Collection, query: Ints, passage: Ints) -> Ints:
    """Return one place of each caption and image, that with the caption as the query if there is
    one."""
    image = collection.languages.index(IMAGE)
    asks = collection.queries.language[query] == image
    names: dict[tuple[str, str], int] = {}
    for place in np.argsort(asks, kind="stable").tolist():
        asked, found = collection.queries.ids[query[place]], collection.passages.ids[passage[place]]
        names.setdefault((found, asked) if asks[place] else (asked, found), place)
    return np.array([*names.values()], np.int64)


def _found_first(
    collection: Collection, embedded: Embedded, limits: Limits
) -> Iterator[tuple[Ints, Ints, Values]]:
    """Yield queries that have a judgement, of texts or of images, the passage that each finds
    first in the passages of one language, and its score."""
    for part in parts_of(collection):
        own = of_part(collection, part)
        vectors = embedded.queries[chosen(part.queries)], embedded.passages[chosen(part.passages)]
        searched = Searched.of(own, *vectors)
        pools = np.flatnonzero(own.passages.counts).tolist()
        rows, size = query_rows(searched, 1, limits), len(own.queries)
        blocks = ((slice(at, min(at + rows, size)), pools) for at in range(0, size, rows))
        judged = collection.judged[part.queries]
        found: dict[int, list[tuple[Ints, Ints, Values]]] = {pool: [] for pool in pools}
        for top in top_passages(searched, blocks, 1, limits):
            for pool, (passages, scores) in top.pools.items():
                query = np.arange(top.queries.start, top.queries.stop)
                found[pool].append((query, passages[:, 0], scores[:, 0]))
        for each in found.values():
            query, passage, score = (np.concatenate(of) for of in zip(*each, strict=True))
            kept = judged[query] & (passage >= 0)
            if kept.any():
                yield part.queries[query[kept]], part.passages[passage[kept]], score[kept]
