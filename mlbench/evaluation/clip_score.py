"""CLIPScore of a collection of images and captions, from the vectors that it was ranked by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlbench.data.collection import Collection
from mlbench.data.task import IMAGE
from mlbench.measures.clip_score import FORMULA, Ints, clip_scores_of
from mlbench.measures.significance import mean
from mlbench.models.encoding import Embedded
from mlbench.ranking.counting import chosen, parts_of
from mlbench.ranking.products import Limits
from mlbench.ranking.reranking import of_part
from mlbench.ranking.topk import Searched, query_rows, top_passages
from mlbench.reports.clip_score import ClipScore, LanguageScore
from mlbench.reports.report import ModelInfo


def clip_score(
    collection: Collection, embedded: Embedded, model: ModelInfo, limits: Limits
) -> ClipScore | None:
    """Return CLIPScore by language of captions; None for a task without images, and for vectors
    that are not dense."""
    queries, passages = embedded.queries, embedded.passages
    dense = isinstance(queries, np.ndarray) and isinstance(passages, np.ndarray)
    if IMAGE not in collection.languages or not dense or queries.dtype.kind != "f":
        return None
    qrels = collection.qrels
    relevant = qrels.relevance > 0
    judged = _by_caption(collection, qrels.query[relevant], qrels.passage[relevant])
    means, pairs = {}, {}
    for code, (query, passage) in judged.items():
        kept = _distinct(collection, query, passage)
        pairs[code] = len(kept)
        means[code] = mean(clip_scores_of(queries, passages, query[kept], passage[kept]))
    if not means:
        return None
    found: dict[bool, dict[str, float]] = {True: {}, False: {}}
    for query, passage in _first(collection, embedded, limits):
        images = collection.queries.language[query] == collection.languages.index(IMAGE)
        for asks in (True, False):
            own = images == asks
            for code, rows in _by_caption(collection, query[own], passage[own]).items():
                found[asks][code] = mean(clip_scores_of(queries, passages, *rows))
    scores = {
        code: LanguageScore(means[code], pairs[code], found[False].get(code), found[True].get(code))
        for code in collection.languages
        if code in means
    }
    prompts = {role: text for role, text in model.prompts.items() if role in ("query", "passage")}
    return ClipScore.of(FORMULA, (model.name, model.spec), prompts, scores)


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


def _first(
    collection: Collection, embedded: Embedded, limits: Limits
) -> Iterator[tuple[Ints, Ints]]:
    """Yield queries that have a judgement, of texts or of images, and the passage that each finds
    first in the passages of one language."""
    for part in parts_of(collection):
        own = of_part(collection, part)
        vectors = embedded.queries[chosen(part.queries)], embedded.passages[chosen(part.passages)]
        searched = Searched.of(own, *vectors)
        pools = np.flatnonzero(own.passages.counts).tolist()
        rows, size = query_rows(searched, 1, limits), len(own.queries)
        blocks = ((slice(at, min(at + rows, size)), pools) for at in range(0, size, rows))
        judged = collection.judged[part.queries]
        found: dict[int, list[tuple[Ints, Ints]]] = {pool: [] for pool in pools}
        for top in top_passages(searched, blocks, 1, limits):
            for pool, (passages, _) in top.pools.items():
                query = np.arange(top.queries.start, top.queries.stop)
                found[pool].append((query, passages[:, 0]))
        for each in found.values():
            query, passage = (np.concatenate(of) for of in zip(*each, strict=True))
            kept = judged[query] & (passage >= 0)
            if kept.any():
                yield part.queries[query[kept]], part.passages[passage[kept]]
