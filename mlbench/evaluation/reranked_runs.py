"""Saved rankings as a first stage: their first passages scored again by a reranker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlbench.common.counts import plural
from mlbench.common.progress import Step
from mlbench.data.collection import Collection
from mlbench.data.task import Setting
from mlbench.evaluation.rerankers import described, refuse_images, with_second_stage
from mlbench.models.reranking.protocol import Reranker
from mlbench.models.reranking.scoring import PairScores, PairScoring
from mlbench.reports.report import Report
from mlbench.reports.words import kind_name
from mlbench.runs.first_passages import FirstPassages
from mlbench.runs.run_reports import Read
from mlbench.runs.scoring import Scored

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache


@dataclass(frozen=True)
class RerankedRuns:
    """What was read of runs after reranking, what was scored, and the step, timed."""

    read: Read
    pairs: PairScores
    step: Step
    reranker: Reranker
    first: FirstPassages

    def report(self, report: Report, first: Scored, settings: Sequence[Setting]) -> Report:
        """Return the report of reranked runs, which ``report`` is but for what it says of the
        reranker; ``first`` is what the runs scored before."""
        reranker, depth, model = self.reranker, self.first.depth, report.model
        seconds = report.run.seconds | {"reranking": round(self.step.seconds, 3)}
        return replace(
            report,
            model=with_second_stage(model, reranker, depth),
            run=replace(report.run, seconds=seconds),
            warnings=(*self._warnings(settings), *report.warnings),
            reranking=described(reranker, depth, self.pairs, (model.name, first.scores)),
        )

    def _warnings(self, settings: Sequence[Setting]) -> list[str]:
        """Say how many rankings end before they have all candidates."""
        short: dict[str, int] = {}
        for kind, count in self.first.short(self.read.rankings, settings):
            short[kind] = short.get(kind, 0) + count
        depth = self.first.depth
        return [
            f"{kind_name(kind)}: "
            + plural(count, "ranking ends before it has ", "rankings end before they have ")
            + f"{plural(depth, 'passage')} of every language searched; in these, fewer passages "
            "were reranked than if the whole ranking were there"
            for kind, count in short.items()
            if count
        ]


def rerank_runs(
    title: str,
    read: Read,
    first: FirstPassages,
    collection: Collection,
    reranker: Reranker,
    cache: EmbeddingCache | None = None,
    *,
    quiet: bool = False,
) -> RerankedRuns:
    """Score the candidates of runs that were read again; ``title`` is the task's.

    Raises UsageError for a task with images, ModelError where the reranker fails.
    """
    refuse_images(title, collection)
    found = first.all
    texts = collection.queries.texts, collection.passages.texts
    work = PairScoring(reranker, texts, (found.query, found.passage), cache)
    with Step(f"{title}: reranking", work.missing, "pairs", quiet=quiet) as step:
        pairs = work.score(step.advance)
        rankings = first.reranked(read.rankings, pairs.scores)
    return RerankedRuns(replace(read, rankings=rankings), pairs, step, reranker, first)
