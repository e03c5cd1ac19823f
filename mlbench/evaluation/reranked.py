"""A first stage ranked, and its first passages scored again by a reranker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbench.common.progress import Step
from mlbench.data.collection import Collection
from mlbench.evaluation.rerankers import reranker_of
from mlbench.models.encoding import Embedded
from mlbench.models.reranking.scoring import PairScores, PairScoring
from mlbench.ranking.counting import comparisons
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.reranking import FirstStage, Rescored

if TYPE_CHECKING:
    from mlbench.evaluation.options import Options


@dataclass(frozen=True)
class Stages:
    """The tables of the ``first`` stage and of both, what was scored, the candidates, and the
    steps, timed."""

    first: Ranks
    ranks: Ranks
    recomputed: int
    pairs: PairScores
    rescored: Rescored
    steps: list[Step]

    @property
    def tables(self) -> tuple[Ranks, Ranks]:
        """The table of both stages, and that of the first."""
        return self.ranks, self.first


def rank_and_rerank(
    title: str, collection: Collection, embedded: Embedded, options: Options
) -> Stages:
    """Rank a collection by its vectors, and let the reranker of ``options`` score the first
    passages again; ``title`` is the task's.

    Raises ModelError where the reranker fails, EnvironmentFault where memory does not suffice.
    """
    quiet, size = not options.progress, comparisons(collection)
    vectors = (embedded.queries, embedded.passages)
    with Step(f"{title}: ranking", 2 * size, "scores", quiet=quiet) as ranking:
        stage = FirstStage(collection, vectors, options.limits, ranking.advance)
        candidates = stage.candidates(options.reranked_to, ranking.advance)
    work = PairScoring(
        reranker_of(options),
        (collection.queries.texts, collection.passages.texts),
        (candidates.query, candidates.passage),
        options.cache,
    )
    with Step(f"{title}: reranking", work.missing, "pairs", quiet=quiet) as reranking:
        found = work.score(reranking.advance)
        ranks = stage.reranked(candidates, found.scores)
    rescored = Rescored(candidates, found.scores, options.reranked_to)
    steps = [ranking, reranking]
    return Stages(stage.ranks, ranks, stage.recomputed, found, rescored, steps)
