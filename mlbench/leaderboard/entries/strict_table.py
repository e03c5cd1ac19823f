"""``ranks.parquet`` from strangers, read with bounded memory and time."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.common.errors import DataError, Fault, IntegrityError
from mlbench.leaderboard.entries.entry import LeaderboardTask
from mlbench.leaderboard.entries.names import shown, visible
from mlbench.leaderboard.entries.parquet_pages import MAGIC, MalformedPages, read_chunk, read_footer
from mlbench.leaderboard.entries.strict import parse_json, read_bounded
from mlbench.leaderboard.entries.tasks_known import rows_digest, task_metadata
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import TEXTS, ranks_from_table, table_schema

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TABLE = 8 * 2**20
MAX_ID = 512
MAX_GROUPS = 64
MAX_STRUCTURES = 2**16
ROOM_FOR_TEXTS = 16 * 2**20
COLUMNS = (*TEXTS, "relevance", "place", "above.list.element", "tied.list.element")
SCHEMA = (*COLUMNS[:-2], "above", "list", "element", "tied", "list", "element")
EXPECTED = "a table of ranks as mlbench writes it"


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
    table = _decode(raw, task, where)
    _refuse_other_task(table, task, where)
    try:
        ranks, _ = ranks_from_table(table, path)
    except IntegrityError as error:
        raise DataError(*(Fault(where, f.found, f.expected) for f in error.faults)) from None
    if (found := rows_digest(ranks)) != task.rows_sha256:
        expected = f"the queries and relevant passages of the task, {task.rows_sha256}"
        raise IntegrityError(Fault(f"{where}, rows", f"digest {found}", expected))
    return ranks


def _decode(raw: bytes, task: LeaderboardTask, where: str) -> pa.Table:
    """Unpack a file after a look at all that says how large it is unpacked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = table_schema(len(task.languages))
    for name in TEXTS:  # kept as numbers: a text of a million characters may stand in every row
        at = columns.get_field_index(name)
        columns = columns.set(at, pa.field(name, pa.dictionary(pa.int32(), pa.string())))
    try:
        _check_sizes(raw, task)
        file = pq.ParquetFile(
            io.BytesIO(raw),
            read_dictionary=list(TEXTS),
            thrift_string_size_limit=MAX_STRUCTURES,
            thrift_container_size_limit=MAX_STRUCTURES,
        )
        if not file.schema_arrow.equals(columns):
            raise MalformedPages("its columns are not those of a table of ranks of this task")
        table = file.read(use_threads=False)
        for name in TEXTS:
            table = _with_short_texts(table, name)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(Fault(where, visible(str(error))[:300], EXPECTED)) from None
    return table


def _check_sizes(raw: bytes, task: LeaderboardTask) -> None:
    """Raise MalformedPages unless the file holds the task's rows, and nothing else."""
    footer = read_footer(raw)
    if footer.rows != task.rows:
        raise MalformedPages(f"{footer.rows:,} rows, not the {task.rows:,} of the task")
    if len(footer.groups) > MAX_GROUPS:
        raise MalformedPages(f"{len(footer.groups)} groups of rows: at most {MAX_GROUPS}")
    if not footer.created_by.startswith("parquet-cpp-arrow"):
        raise MalformedPages(f"written by {shown(footer.created_by)}, not by pyarrow")
    if footer.schema != SCHEMA:
        raise MalformedPages(f"columns {shown(footer.schema)}")
    widths = [1] * (len(TEXTS) + 2) + [len(task.languages)] * 2
    room = 4 * task.rows * (sum(widths) + 2 * len(TEXTS)) + ROOM_FOR_TEXTS
    at = len(MAGIC)
    for group in footer.groups:
        if tuple(column.path for column in group.columns) != COLUMNS:
            raise MalformedPages(f"columns {shown([column.path for column in group.columns])}")
        for width, column in zip(widths, group.columns, strict=True):
            if not column.start == at < column.end <= footer.start:
                raise MalformedPages(f"{column.path} is not where it should be")
            at = column.end
            chunk = read_chunk(raw, column.start, column.end)
            if chunk.values != group.rows * width or chunk.dictionary > group.rows:
                raise MalformedPages(f"{column.path} has {chunk.values:,} values")
            if (room := room - chunk.unpacked) < 0:
                raise MalformedPages(f"{column.path} is too large when unpacked")
    if at != footer.start or sum(group.rows for group in footer.groups) != task.rows:
        raise MalformedPages(f"{footer.start - at:,} bytes between the last column and the footer")


def _with_short_texts(table: pa.Table, name: str) -> pa.Table:
    """Return the table with a column of numbers for texts unpacked, if no text is long."""
    import pyarrow as pa

    column = table.column(name)
    for chunk in column.chunks:
        texts = chunk.dictionary.to_pylist()
        if any(text is None or len(text) > MAX_ID for text in texts):
            raise MalformedPages(f"{name} holds a text of more than {MAX_ID} characters, or none")
    at = table.schema.get_field_index(name)
    return table.set_column(at, name, column.cast(pa.string()))


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
