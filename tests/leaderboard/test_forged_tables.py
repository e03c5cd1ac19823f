"""Tables that were altered and signed again: the counts themselves show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.files import slug
from mlbench.data.task import Kind
from mlbench.leaderboard.entries.entry import Entry, read_document, to_json
from mlbench.leaderboard.entries.tables import bias_summary
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import ranks_to_bytes, read_ranks
from tests.leaderboard.boards import TASK, check, edit, exit_code, put_table

BETA = f"{TASK}/{slug('Beta/large')}"


QUERIES = ("query_ids", "query_groups", "query_language", "starts")
ROWS = ("passage_ids", "passage_language", "relevance", "place", "above", "tied")


def put(column: str, at: Any, value: Any) -> Callable[[Ranks], Ranks]:
    """Set something in a column of a table."""

    def change(ranks: Ranks) -> Ranks:
        new = np.array(getattr(ranks, column))
        new[at] = value
        return replace(ranks, **{column: new})

    return change


def equal_places(ranks: Ranks) -> Ranks:
    """Say that the first two relevant passages of every query stand at one place."""
    place = ranks.place.copy()
    place[ranks.starts[:-1] + 1] = 1
    return replace(ranks, place=place)


def swapped(ranks: Ranks) -> Ranks:
    """Give the first query's best and worst passage each other's counts."""
    above = ranks.above.copy()
    first, last = ranks.starts[0], ranks.starts[1] - 1
    above[[first, last]] = above[[last, first]]
    return replace(ranks, above=above)


def other_passage(ranks: Ranks) -> Ranks:
    ids = ("p99", *ranks.passage_ids[1:])
    return replace(ranks, passage_ids=ids)


def other_query(ranks: Ranks) -> Ranks:
    return replace(ranks, query_ids=(*ranks.query_ids[:-1], "zzz"))


def other_group(ranks: Ranks) -> Ranks:
    return replace(ranks, query_groups=("elsewhere", *ranks.query_groups[1:]))


def without_the_last_query(ranks: Ranks) -> Ranks:
    """Leave a query out, as if it had never been asked."""
    rows = int(ranks.starts[-2])
    queries = {name: getattr(ranks, name)[:-1] for name in QUERIES}
    return replace(ranks, **queries, **{name: getattr(ranks, name)[:rows] for name in ROWS})


def asked_twice(ranks: Ranks) -> Ranks:
    """Put the first query's rows in place of the second's."""
    ids = (ranks.query_ids[0], ranks.query_ids[0], *ranks.query_ids[2:])
    return replace(ranks, query_ids=ids)


FORGERIES: list[tuple[Callable[[Ranks], Ranks], int, str]] = [
    # how the table is altered; the exit code; what the message names
    (put("above", (0, 0), -1), 6, "above, ar"),
    (put("tied", (5, 1), -3), 6, "tied, de"),
    (put("above", (0, 0), 10_000), 6, "above + tied, ar"),
    (put("tied", (0, 2), 28), 6, "above + tied, el"),
    (put("tied", (0, 2), 2**31 - 1), 6, "above + tied, el"),
    (put("place", 0, 2), 6, "row 0 (query ar q0), place: 2"),
    (put("place", 1, 7), 6, "place: 7"),
    (put("place", slice(None), 1), 6, "those of its equal in place"),
    (equal_places, 6, "those of its equal in place"),
    (swapped, 6, "at least above + tied of the passage before it"),
    (put("above", slice(None), 0), 6, "macro.monolingual.AP.value"),
    (put("relevance", 0, 3), 6, "rows: digest"),
    (put("passage_language", 0, 2), 6, "rows: digest"),
    (put("judged", 0, 3), 6, "metadata, judged"),
    (put("pool_sizes", 0, 10_000), 6, "metadata, pool_sizes"),
    (other_passage, 6, "rows: digest"),
    (other_query, 6, "rows: digest"),
    (other_group, 6, "rows: digest"),
    (lambda ranks: replace(ranks, query_ids=ranks.query_ids[::-1]), 3, "not sorted"),
    (asked_twice, 6, "rows: digest"),
    (without_the_last_query, 3, "213 rows, not the 216 of the task"),
    (lambda ranks: replace(ranks, languages=("ar", "de", "fr")), 6, "metadata, languages"),
    (lambda ranks: ranks.subset(("ar", "de")), 3, "96 rows"),
]


@pytest.mark.parametrize(
    ("change", "code", "named"), FORGERIES, ids=[named[:40] for _, _, named in FORGERIES]
)
def test_an_altered_table_is_found(
    board: Path, change: Callable[[Ranks], Ranks], code: int, named: str
) -> None:
    folder = board / BETA
    ranks, key = read_ranks(folder / "ranks.parquet")
    put_table(folder, ranks_to_bytes(change(ranks), key))
    error = check(board, BETA).error()
    assert error is not None
    assert named in str(error)
    assert all(str(folder) in fault.where for fault in error.faults)
    assert error.exit_code == code


KEYS = [
    ({"name": "other"}, "metadata, task"),
    ({"version": "2"}, "metadata, task"),
    ({"digest": "0" * 64}, "metadata, task.digest"),
    ({"kinds": ("monolingual",)}, "metadata, kinds"),
]


@pytest.mark.parametrize(("change", "named"), KEYS, ids=[named for _, named in KEYS])
def test_a_table_of_another_task_is_found(board: Path, change: dict[str, Any], named: str) -> None:
    folder = board / BETA
    ranks, key = read_ranks(folder / "ranks.parquet")
    put_table(folder, ranks_to_bytes(ranks, replace(key, **change)))
    error = check(board, BETA).error()
    assert error is not None
    assert f"{folder / 'ranks.parquet'}, {named}" in str(error)


def test_a_consistent_forgery_passes_as_recomputed_only(board: Path) -> None:
    """A table made up to fit, with scores computed from it, is what verifying is for: the entry
    says "recomputed", and no more."""
    folder = board / BETA
    ranks, key = read_ranks(folder / "ranks.parquet")
    rank = np.arange(len(ranks.query)) - ranks.starts[ranks.query]
    perfect = replace(
        ranks, above=np.zeros_like(ranks.above), tied=np.zeros_like(ranks.tied),
        place=(rank + 1).astype(np.int32),
    )  # fmt: skip
    put_table(folder, ranks_to_bytes(perfect, key))
    entry = read_document(folder / "entry.json", Entry)
    settings = ranks.roles.settings(list(Kind))
    scores = compute_scores(perfect, settings, parse_measures(entry.measures))
    forged = replace(entry, macro=scores.macro, bias=bias_summary(scores.bias))
    (folder / "entry.json").write_bytes(to_json(forged))
    findings = check(board, BETA)
    assert exit_code(findings) == 0
    assert any("macro.monolingual.AP" in flag.where for flag in findings.flags)


def test_scores_may_differ_by_a_billionth(board: Path) -> None:
    path = board / BETA / "entry.json"
    keys = ("macro", "monolingual", "AP", "value")
    value = read_document(path, Entry).macro["monolingual"]["AP"].value
    edit(path, keys, value + 5e-10)
    assert exit_code(check(board, BETA)) == 0
    edit(path, keys, value + 2e-9)
    assert exit_code(check(board, BETA)) == 6
