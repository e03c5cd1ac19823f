"""What the queries that are examples of a report find first."""

from __future__ import annotations

import numpy as np

from mlbench.data.collection import Collection
from mlbench.models.encoding import Embedded
from mlbench.ranking.counting import chosen, parts_of
from mlbench.ranking.products import Limits
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.reranking import of_part
from mlbench.ranking.topk import Searched, top_passages
from mlbench.reports.examples import worst_queries
from mlbench.reports.found_first import Example


def examples_of(
    collection: Collection, embedded: Embedded, ranks: Ranks, limits: Limits
) -> tuple[Example, ...]:
    """Return the examples of a report on images, with what each finds first; none without images.

    Of equal scores what is not relevant is first, as in the table of ranks.
    """
    wanted = [*worst_queries(ranks)]
    found: dict[int, Example] = {}
    for part in parts_of(collection) if wanted else ():
        own = of_part(collection, part)
        vectors = embedded.queries[chosen(part.queries)], embedded.passages[chosen(part.passages)]
        searched = Searched.of(own, *vectors)
        for number, (each, pool) in enumerate(wanted):
            code = collection.languages.index(each.language)
            place = own.queries.index.get((code, each.query_id))
            if place is None:
                continue
            several = len(pool) > 1
            column = len(own.languages) if several else own.languages.index(pool[0])
            block = (slice(place, place + 1), [column])
            (top,) = top_passages(searched, [block], 1, limits)
            passage = int(top.pools[column][0][0, 0])
            best = each.passages[0]
            found[number] = Example(
                query_language=each.language,
                query_id=each.query_id,
                found_language=own.languages[own.passages.language[passage]],
                found_id=own.passages.ids[passage],
                relevant_language=best.language,
                relevant_id=best.passage_id,
                rank=best.rank,
                pool_size=each.pool_size,
            )
    return tuple(found[number] for number in np.sort([*found]).tolist())
