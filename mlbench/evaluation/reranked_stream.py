"""A collection that was read shard by shard, and its first passages scored again by a reranker.

While shards are counted, the first passages of each query and language are found. Their texts are
read from the shards again, so that nothing but these is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, IntegrityError
from mlbench.common.progress import Step
from mlbench.data.corpus import ShardSource, StreamedCollection
from mlbench.data.task import Kind
from mlbench.evaluation.options import Options
from mlbench.evaluation.partial import ShardRow
from mlbench.evaluation.processes import in_processes
from mlbench.evaluation.rerankers import described, reranker_of, with_second_stage
from mlbench.evaluation.scan import BLOCK, blocks_of, worth_processes
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.models.reranking.scoring import PairScoring
from mlbench.ranking.counting import Counts
from mlbench.ranking.nearest import Nearest
from mlbench.ranking.reranking import Candidates, Ranked
from mlbench.ranking.tiles import Ints
from mlbench.reports.report import Report

if TYPE_CHECKING:
    from mlbench.evaluation.driver import Ready

Names = tuple[int, str]
"""A passage: the number of its language, and its id."""


@dataclass(frozen=True)
class _Found:
    """Candidates by query; ``text`` (n,) is the place of each among the distinct ``names`` of
    passages, and ``language`` (n,) its column."""

    candidates: Candidates
    language: Ints
    text: Ints
    names: tuple[Names, ...]


class _Wanted(NamedTuple):
    """A shard, what it held when it was scanned, and the ids of passages to be read of it."""

    shard: ShardSource
    row: ShardRow
    ids: frozenset[str]


def rerank_streamed(
    report: Report, ready: Ready, collection: StreamedCollection, options: Options
) -> Report:
    """Return the report after reranking; ``report`` is that of the first stage, and ``ready`` the
    pass, which is over.

    Raises ModelError where the reranker fails, IntegrityError where a shard has changed.
    """
    reranker, depth = reranker_of(options), options.reranked_to
    quiet, title = not options.progress, report.task.name
    found = _candidates(ready)
    with Step(f"{title}: reading passages", 1, "task", quiet=quiet, brief=True) as reading:
        texts = _texts(ready, collection, found.names, options.limits.threads)
    core = ready.core.collection
    work = PairScoring(
        reranker, (core.queries.texts, texts), (found.candidates.query, found.text), options.cache
    )
    with Step(f"{title}: reranking", work.missing, "pairs", quiet=quiet) as reranking:
        pairs = work.score(reranking.advance)
        ranks = _ranked(ready, options).reranked(found.candidates, pairs.scores, found.language)
        ranks = replace(ranks, pool_sizes=ready.core.pool_sizes, judged=ready.core.judged)
    settings = report.task.roles.settings([Kind(kind) for kind in report.task.kinds])
    with Step(f"{title}: measuring", 1, "report", quiet=quiet) as measuring:
        scores = compute_scores(ranks, settings, parse_measures(report.measures))
    seconds = dict(report.run.seconds)
    for name, step in (("reading passages", reading), ("reranking", reranking)):
        seconds[name] = round(step.seconds, 3)
    seconds["measuring"] = round(seconds.get("measuring", 0) + measuring.seconds, 3)
    model = report.model
    return replace(
        report,
        model=with_second_stage(model, reranker, depth),
        run=replace(report.run, seconds=seconds),
        scores=scores,
        ranks=ranks,
        reranking=described(reranker, depth, pairs, (model.name, report.scores)),
    )


def _candidates(ready: Ready) -> _Found:
    """Return the candidates of all languages, by query and language, the best first."""
    core, asked = ready.core.collection, ready.prepared.asked
    parts: list[tuple[Ints, Ints, Ints, npt.NDArray[np.float64]]] = []
    names: list[Names] = []
    for language, code in enumerate(core.languages):
        found = ready.partial.nearest.get(code, Nearest.nothing(len(asked), 1))
        row, place = np.nonzero(found.scores > -np.inf)
        text = found.number[row, place] + len(names)
        names += [(language, id_) for id_ in found.ids]
        column = np.full(len(row), language)
        parts.append((asked[row], column, text, found.scores[row, place]))
    query, column, text, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    index = core.passages.index
    known = np.array([index.get(name, -1) for name in names], np.int64)
    order = np.argsort(query, kind="stable")
    candidates = Candidates(query[order], known[text[order]], scores[order])
    return _Found(candidates, column[order].astype(np.int64), text[order], tuple(names))


def _ranked(ready: Ready, options: Options) -> Ranked:
    """Return the first stage, whose table is in another order than its relevant pairs."""
    pairs, table = ready.prepared.pairs, ready.partial.ranks
    order = np.lexsort((pairs.passage, pairs.query))
    recomputed = sum(done.recomputed for done in ready.partial.done.values())
    counts = Counts(table.place[order], table.above[order], table.tied[order], recomputed)
    vectors = ready.embedded.queries, ready.embedded.passages
    return Ranked(ready.core.collection, vectors, counts, options.limits)


def _texts(
    ready: Ready, collection: StreamedCollection, names: tuple[Names, ...], workers: int
) -> list[str]:
    """Return the texts of passages, from the core and from the shards."""
    core = ready.core.collection
    texts = {name: core.passages.texts[core.passages.index[name]]
             for name in names if name in core.passages.index}  # fmt: skip
    rows = {row.name: row for row in ready.partial.shards}
    wanted: dict[str, set[str]] = {code: set() for code in core.languages}
    for language, id_ in names:
        if (language, id_) not in texts:
            wanted[core.languages[language]].add(id_)
    jobs = [
        _Wanted(shard, rows[shard.name], frozenset(wanted[shard.language]))
        for shard in collection.shards
        if wanted[shard.language]
    ]
    many = workers if worth_processes([job.shard for job in jobs]) else 1
    for number, read in in_processes(_read, jobs, many):
        language = core.languages.index(jobs[number].shard.language)
        texts |= {(language, id_): text for id_, text in read.items()}
    return [texts[name] for name in names]


def _read(job: _Wanted) -> Mapping[str, str]:
    """Read the wanted texts of a shard."""
    found: dict[str, str] = {}
    for block in blocks_of(job.shard, BLOCK):
        pairs = zip(block.ids, block.texts, strict=True)
        found |= {id_: text for id_, text in pairs if id_ in job.ids}
        if block.content is not None and block.content != job.row.content:
            raise IntegrityError(
                Fault(
                    job.shard.name,
                    f"has changed since it was counted: digest {block.content[:12]}",
                    f"digest {job.row.content[:12]}",
                    "restore the file, or begin again with --overwrite",
                )
            )
    return found
