"""Tables of ranks from strangers: read with bounded memory and time, and held against their task,
against themselves and against the scores of their entry.

A validator has no data at hand. ``task.json`` therefore names a digest over all of a table that
does not depend on the model: its queries, their relevant passages, their relevance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import DataError, Fault, IntegrityError, UsageError
from mlbench.common.names import both_shortened
from mlbench.data.task import Kind
from mlbench.leaderboard.entries.entry import (
    RANKS_FILE,
    BiasSummary,
    Entry,
    Found,
    LeaderboardTask,
    table_of,
)
from mlbench.leaderboard.entries.strict import parse_json, read_bounded, shown, visible
from mlbench.leaderboard.entries.unpacking import Malformed, unpacked
from mlbench.measures.bias_scores import BiasScores
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import SCHEMA, TaskKey, ranks_from_table
from mlbench.reports.report import Report
from mlbench.reports.values import differences, finite

if TYPE_CHECKING:
    import pyarrow as pa

    from mlbench.leaderboard.entries.board import BoardEntry


HEADLINE = ("AP", "R@10")
"""Measures that every entry must have, beside rank distance and the task's first."""


def rows_digest(ranks: Ranks) -> str:
    """Return the SHA-256 (hex) of the rows of a table, in canonical order, without their counts.

    A row is query language, query id, group, passage language, passage id, relevance; languages,
    pool sizes and judged queries go before them.
    """
    codes = ranks.languages
    query = ranks.query.tolist()
    rows = sorted(
        (
            codes[ranks.query_language[q]],
            ranks.query_ids[q],
            ranks.query_groups[q],
            code,
            id_,
            grade,
        )
        for q, code, id_, grade in zip(
            query,
            map(codes.__getitem__, ranks.passage_language.tolist()),
            ranks.passage_ids,
            ranks.relevance.tolist(),
            strict=True,
        )
    )
    head = [list(codes), ranks.pool_sizes.tolist(), ranks.judged.tolist()]
    text = json.dumps([head, rows], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def described(report: Report, ranks: Ranks) -> LeaderboardTask:
    """Return the task of a report, as the leaderboard keeps it."""
    info = report.task
    return LeaderboardTask(
        name=info.name,
        version=info.version,
        title=info.title,
        digests=(info.digest,),
        languages=info.languages,
        kinds=info.kinds,
        headline=tuple(dict.fromkeys((*report.measures[:1], *HEADLINE))),
        queries=info.queries,
        passages=info.passages,
        rows=len(ranks.passage_ids),
        rows_sha256=rows_digest(ranks),
        licence=info.licence,
        citation=info.citation,
        pairs=info.pairs,
    )


def task_metadata(task: LeaderboardTask) -> dict[str, Any]:
    """Return what the metadata of a table of this task says, but for the collection's digest."""
    return {
        "schema": SCHEMA,
        "task": {"name": task.name, "version": task.version},
        "kinds": list(task.kinds),
        "languages": list(task.languages),
        "pool_sizes": [task.passages[code] for code in task.languages],
        "judged": [task.queries[code] for code in task.languages],
    } | ({"pairs": finite([asdict(pair) for pair in task.pairs])} if task.pairs else {})


def task_key(task: LeaderboardTask, digest: str) -> TaskKey:
    """Return which task a table made from the collection of that digest belongs to."""
    return TaskKey(task.name, task.version, digest, task.kinds)


def refuse_part_of_a_task(report: Report) -> None:
    """Raise UsageError for a report on a sample of a task, or on some of its languages."""
    info = report.task
    cut = info.sampled or "some of its languages"
    if info.sampled or info.subset_of is not None:
        mend = "run the whole task"
        raise UsageError(Fault(f"report on {info.name}", f"of {cut} only", "the whole task", mend))


def refuse_made_vectors(report: Report) -> None:
    """Raise UsageError for a report whose order is not that of the model's own vectors alone."""
    where = f"report on {report.task.name}"
    if report.model.variant:
        found = f"of {report.model.variant} vectors, which no model gives by itself"
        mend = "take the report in the folder above, which is that of the model's own vectors"
        raise UsageError(Fault(where, found, "the model's own vectors", mend))
    if report.reranking:
        found = f"reranked by {report.reranking.name}, which verification cannot run again"
        mend = "take a report on the first stage alone, of `mlbench run` without --rerank"
        raise UsageError(Fault(where, found, "a first stage", mend))


MAX_TABLE = 8 * 2**20
EXPECTED = "a table of ranks as mlbench writes it"


def entry_table(entry: BoardEntry, where: str = "") -> Ranks | None:
    """Read the table of an entry, None for a reported one. Raises as ``read_table``."""
    if entry.entry.ranks_sha256 is None:
        return None
    return read_table(entry.path / RANKS_FILE, entry.task, entry.entry.ranks_sha256, where)


def read_table(path: Path, task: LeaderboardTask, sha256: str, where: str = "") -> Ranks:
    """Read the table of an entry of ``task``; it must have the given digest.

    Memory and time are bounded by the task's number of rows, whatever the file says of itself.
    Raises DataError where it is no such table, IntegrityError where it is not the one that the
    entry names, or of other queries and passages than the task's.
    """
    where = where or str(path)
    raw = read_bounded(path, MAX_TABLE, where)
    if (found := hashlib.sha256(raw).hexdigest()) != sha256:
        expected = f"{shown(sha256)}, as the entry says"
        raise IntegrityError(Fault(where, f"SHA-256 {found}", expected))
    try:
        table = unpacked(raw, task.rows, len(task.languages))
    except Malformed as error:
        raise DataError(Fault(where, visible(str(error))[:300], EXPECTED)) from None
    _refuse_other_task(table, task, where)
    try:
        ranks, _ = ranks_from_table(table, path)
    except IntegrityError as error:
        raise DataError(*(Fault(where, f.found, f.expected) for f in error.faults)) from None
    if (found := rows_digest(ranks)) != task.rows_sha256:
        expected = f"the queries and relevant passages of the task, {task.rows_sha256}"
        raise IntegrityError(Fault(f"{where}, rows", f"digest {found}", expected))
    return ranks


def _refuse_other_task(table: pa.Table, task: LeaderboardTask, where: str) -> None:
    """Compare all that a table says of its task with what the leaderboard knows of it."""
    metadata = table.schema.metadata or {}
    if set(metadata) != {b"mlbench"}:
        raise DataError(Fault(f"{where}, metadata", f"keys {shown(sorted(metadata))}", "mlbench"))
    said = parse_json(metadata[b"mlbench"], f"{where}, metadata")
    known = task_metadata(task)
    if not isinstance(said, dict) or not isinstance(said.get("task"), dict):
        raise DataError(Fault(f"{where}, metadata", "it names no task", EXPECTED))
    digest = said["task"].pop("digest", None)
    faults = [
        Fault(f"{where}, metadata, {key}", shown(said.get(key)), shown(known.get(key)))
        for key in sorted(said.keys() | known.keys())
        if said.get(key) != known.get(key)
    ]
    if digest not in task.digests:
        expected = " or ".join(task.digests)
        faults.append(Fault(f"{where}, metadata, task.digest", shown(digest), expected))
    if faults:
        raise IntegrityError(*faults)
    said["task"]["digest"] = digest


Bools = npt.NDArray[np.bool_]
MOST_SHOWN = 3


def table_faults(ranks: Ranks) -> Iterator[Found]:
    """Yield where, found and expected of what in a table no scores can have given; some of a kind.

    Any scores give a table with these properties, and a table with them comes from some scores of
    each query, language by language:

    - places are those of a competition: 1, and after n passages n + 1, or that of the one before;
    - passages in equal places have equal scores, so equal counts in every language;
    - all that scores at least as r1 scores more than an r2 below it, so ``above + tied`` of r1 is
      at most ``above`` of r2, in every language;
    - no more non-relevant passages outrank than the language has.
    """
    above, tied = ranks.above.astype(np.int64), ranks.tied.astype(np.int64)
    query = ranks.query
    at_hand = ranks.sizes() - _relevant(ranks)
    same_query = np.append(False, query[1:] == query[:-1])
    before = np.arange(len(query)) - 1
    same_place = same_query & (ranks.place == ranks.place[before])
    index = np.arange(len(query)) - ranks.starts[query]
    lower = (same_query & ~same_place)[:, None]
    for name, wrong, expected in (
        ("above", above < 0, "counts from 0"),
        ("tied", tied < 0, "counts from 0"),
        ("above + tied", above + tied > at_hand[query], "at most the non-relevant passages"),
        ("above", same_place[:, None] & (above != above[before]), "those of its equal in place"),
        ("tied", same_place[:, None] & (tied != tied[before]), "those of its equal in place"),
        (
            "above",
            lower & (above[before] + tied[before] > above),
            "at least above + tied of the passage before it",
        ),
    ):
        for row, column in np.argwhere(wrong)[:MOST_SHOWN]:
            found = f"above {above[row, column]}, tied {tied[row, column]}"
            yield f"{_row(ranks, row)}, {name}, {ranks.languages[column]}", found, expected
    for row in np.flatnonzero(~same_place & (ranks.place != index + 1))[:MOST_SHOWN]:
        yield f"{_row(ranks, row)}, place", f"{ranks.place[row]}", f"{index[row] + 1}"
    for row in _out_of_order(ranks, same_place)[:MOST_SHOWN]:
        yield _row(ranks, row), "out of order", "equal places by relevance, language, passage id"


def _relevant(ranks: Ranks) -> npt.NDArray[np.int64]:
    """Return the number of relevant passages of each query in each language."""
    size = len(ranks.languages)
    cells = ranks.query * size + ranks.passage_language
    return np.bincount(cells, minlength=len(ranks.query_ids) * size).reshape(-1, size)


def _out_of_order(ranks: Ranks, same_place: Bools) -> list[int]:
    """Return rows that stand after one of equal place that they should stand before."""

    def key(row: int) -> tuple[int, int, str]:
        language = int(ranks.passage_language[row])
        return int(ranks.relevance[row]), language, ranks.passage_ids[row]

    return [row for row in np.flatnonzero(same_place).tolist() if key(row) <= key(row - 1)]


def _row(ranks: Ranks, row: int) -> str:
    query = ranks.query[row]
    language = ranks.languages[ranks.query_language[query]]
    return visible(f"row {row} (query {language} {ranks.query_ids[query]})")


def bias_summary(bias: BiasScores) -> BiasSummary:
    """Return what an entry holds of a report's language bias."""
    return BiasSummary(
        rank_distance=bias.rank_distance,
        floor=bias.floor,
        random=bias.random,
        same_language=bias.same_language,
        measures={name: found.score for name, found in bias.measures.items()},
    )


def score_faults(entry: Entry, ranks: Ranks, kinds: Sequence[str]) -> Iterator[Found]:
    """Yield key, found and expected of each score that does not follow from the table.

    ``kinds`` are those of the task. Scores agree where they differ by at most 1e-9, or 1e-9 of
    their size where they are above 1. Old entries state no scores by direction.
    """
    settings = ranks.roles.settings([Kind(kind) for kind in kinds])
    scores = compute_scores(ranks, settings, parse_measures(entry.measures))
    true = replace(
        entry,
        macro=scores.macro,
        directions=scores.directions if entry.directions else {},
        bias=bias_summary(scores.bias),
    )
    said, found = table_of(entry), table_of(true)
    for key in ("macro", "directions", "bias"):
        for where, one, other in differences(said.get(key, {}), found.get(key, {}), key):
            claimed, true_value = both_shortened(repr(one), repr(other), 180)
            yield where, claimed, f"{true_value}, from the table"
