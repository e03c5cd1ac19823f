"""Files that are small and would be enormous: refused in bounded memory and time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.common.errors import DataError, IntegrityError
from mlbench.common.files import slug
from mlbench.leaderboard.entries import unpacking
from mlbench.leaderboard.entries.entry import LeaderboardTask
from mlbench.leaderboard.entries.strict import MAX_JSON, parse_json
from mlbench.leaderboard.entries.tables import (
    MAX_TABLE,
    described,
    read_table,
    rows_digest,
    task_key,
)
from mlbench.ranking.ranks_file import TEXTS, ranks_to_bytes
from tests.leaderboard.boards import TASK, put_table, run_of

BETA = f"{TASK}/{slug('Beta/large')}"
ROOM = 192 * 2**20
"""Memory that a validation must do with, beside the program and its libraries."""


def honest_table() -> tuple[pa.Table, LeaderboardTask]:
    report, ranks = run_of(2)
    task = described(report, ranks)
    raw = ranks_to_bytes(ranks, task_key(task, task.digests[0]))
    return pq.read_table(io.BytesIO(raw)), task


def written(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    given = {"compression": "zstd", "use_dictionary": list(TEXTS)} | options
    pq.write_table(table, buffer, **given)
    return buffer.getvalue()


def with_column(name: str, values: Any) -> bytes:
    table, _ = honest_table()
    at = table.schema.get_field_index(name)
    return written(table.set_column(at, name, values))


def long_dictionary() -> bytes:
    """One text of a million and a half characters that stands in every row."""
    rows = honest_table()[0].num_rows
    return with_column("query_group", pa.array(["x" * 1_500_000] * rows))


def long_prefixes() -> bytes:
    """Texts that each repeat the one before: a byte a row, megabytes unpacked."""
    table, _ = honest_table()
    at = table.schema.get_field_index("query_group")
    texts = pa.array(["y" * 1_000_000 + str(i) for i in range(table.num_rows)])
    return written(
        table.set_column(at, "query_group", texts),
        use_dictionary=False,
        column_encoding={"query_group": "DELTA_BYTE_ARRAY"},
    )


def many_rows() -> bytes:
    """A hundred million rows that are all the same."""
    rows = 100_000_000
    zeros = pa.array(np.zeros(rows, np.int8))
    return written(pa.table({"query_id": zeros}), use_dictionary=["query_id"])


def many_groups() -> bytes:
    table, _ = honest_table()
    return written(table, row_group_size=3)


def large_pages() -> bytes:
    """Pages that unpack to far more than the rows of the task need."""
    table, _ = honest_table()
    texts = pa.array([str(i) * 100_000 for i in range(table.num_rows)])
    at = table.schema.get_field_index("passage_id")
    return written(table.set_column(at, "passage_id", texts), use_dictionary=False)


def lying_page() -> bytes:
    """A page whose header asks for two gigabytes, under a footer that says nothing of it."""
    raw = written(honest_table()[0])
    at = pq.ParquetFile(io.BytesIO(raw)).metadata.row_group(0).column(6).data_page_offset
    size = re.match(
        rb"\x15\x00\x15([\x80-\xff]*[\x00-\x7f])", raw[at:], re.S
    )  # of the page unpacked
    least = re.search(rb"\x18\x04.{4}", raw[at : at + 64], re.S)  # a bound that can be spared
    assert size is not None
    assert least is not None
    two_gigabytes = b"\xfe\xff\xff\xff\x0f"
    spared = len(two_gigabytes) - len(size[1])
    header = (
        b"\x15\x00\x15" + two_gigabytes + raw[at + size.end() : at + least.start()]
        + b"\x18" + bytes([4 - spared]) + raw[at + least.start() + 2 + spared : at + least.end()]
    )  # fmt: skip
    return raw[:at] + header + raw[at + least.end() :]


def long_footer() -> bytes:
    """A footer of megabytes, whose structures would take hundreds of times that."""
    footer = b"\x19\xf5\xff\xff\x7f" + b"\x00" * (7 * 2**20)
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def hidden_bytes() -> bytes:
    """Something between the last column and the footer, for another reader to find."""
    raw = written(honest_table()[0])
    end = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    return raw[:end] + b"#!/bin/sh\n" * 100 + raw[end:]


def without_counts() -> pa.Array:
    """Lists of the right length, with nothing in them."""
    return pa.FixedSizeListArray.from_arrays(pa.nulls(216 * 3, pa.int32()), 3)


BOMBS: list[tuple[Callable[[], bytes], str]] = [
    (long_dictionary, "a text of more than 512 characters"),
    (long_prefixes, "query_group is encoded as"),
    (many_rows, "100,000,000 rows, not the 216"),
    (many_groups, "72 groups of rows"),
    (large_pages, "passage_id is too large when unpacked"),
    (lying_page, "too large when unpacked"),
    (long_footer, "its footer has"),
    (hidden_bytes, "bytes between the last column and the footer"),
    (lambda: written(honest_table()[0], compression="gzip"), "not compressed with zstd"),
    (lambda: written(honest_table()[0], data_page_version="2.0"), "in pages of another type"),
    (lambda: written(honest_table()[0].drop(["tied"])), "columns"),
    (lambda: with_column("place", pa.array(["1"] * 216)), "not those of a table of ranks"),
    (lambda: with_column("place", pa.array([1.0] * 216)), "not those of a table of ranks"),
    (lambda: with_column("place", pa.nulls(216, pa.int32())), "a value is missing"),
    (lambda: with_column("above", without_counts()), "a value is missing"),
    (lambda: with_column("query_id", pa.nulls(216, pa.string())), ""),
    (lambda: written(honest_table()[0].replace_schema_metadata({})), "metadata"),
    (lambda: written(honest_table()[0].replace_schema_metadata({"mlbench": "{}"})), "metadata"),
    (lambda: written(honest_table()[0].replace_schema_metadata({"mlbench": "[" * 9999})), "deep"),
    (lambda: b"PAR1", "not a Parquet file"),
    (lambda: b"PARE" * 100, "not a Parquet file"),
]


@pytest.mark.parametrize(
    ("make", "named"), BOMBS, ids=[named[:30] or "nulls" for _, named in BOMBS]
)
def test_a_hostile_table_is_refused(tmp_path: Path, make: Callable[[], bytes], named: str) -> None:
    raw = make()
    assert len(raw) <= MAX_TABLE
    path = tmp_path / "ranks.parquet"
    path.write_bytes(raw)
    _, task = honest_table()
    with pytest.raises((DataError, IntegrityError)) as caught:
        read_table(path, task, hashlib.sha256(raw).hexdigest())
    assert named in str(caught.value)
    assert str(path) in str(caught.value)


LIMITED = """
import contextlib, io, resource, sys
from mlbench.commands.cli import main
room, honest, *boards = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()):
    main(["leaderboard", "validate", honest, "--quiet"])  # all that is imported is in memory now
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(room)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for board in boards:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main(["leaderboard", "validate", board, "--quiet"])
    print(code, said.getvalue().replace("\\n", " "), flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of a process on Linux")
def test_bombs_are_refused_by_a_process_with_little_memory_left(
    honest: Path, tmp_path: Path
) -> None:
    """One process for all: whatever it keeps of one would be missing at the next."""
    bombs = (long_dictionary, long_prefixes, many_rows, large_pages, lying_page, long_footer)
    folders = []
    for make in (*bombs, None):
        board = Path(shutil.copytree(honest, tmp_path / (make.__name__ if make else "honest")))
        folders.append(board / BETA)
        if make is not None:
            put_table(board / BETA, make())
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(ROOM), honest, *folders],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *refused, passed = done.stdout.splitlines()
    for line, folder in zip(refused, folders[:-1], strict=True):
        assert line[0] in "36"
        assert str(folder / "ranks.parquet") in line
    assert passed.split()[0] == "0", done.stdout


asked = unpacking._asked


def stopped(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Ask a reader that does nothing until it is killed."""
    process.send_signal(signal.SIGSTOP)
    return asked(process, request)


def late(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Ask a reader that is killed once it has answered."""
    reply = asked(process, request)
    time.sleep(0.2)
    return reply


@pytest.mark.parametrize("ask", [stopped, late])
def test_a_table_that_takes_too_long_is_named_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., bytes]
) -> None:
    _, task = honest_table()
    path, digest = tmp_path / "ranks.parquet", hashlib.sha256(RAW).hexdigest()
    path.write_bytes(RAW)
    read_table(path, task, digest)
    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "MOST_SECONDS", 0.1)
        patch.setattr(unpacking, "_asked", ask)
        with pytest.raises(DataError, match=f"{path}: takes more than 0.1 s"):
            read_table(path, task, digest)
    assert rows_digest(read_table(path, task, digest)) == task.rows_sha256


RAW = ranks_to_bytes(run_of(2)[1], task_key(honest_table()[1], honest_table()[1].digests[0]))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(RAW) - 1), st.integers(0, 255)), min_size=1))
def test_whatever_bytes_are_changed_there_is_no_other_error(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]]
) -> None:
    raw = bytearray(RAW)
    for at, byte in edits:
        raw[at] = byte
    path = tmp_path_factory.getbasetemp() / "ranks.parquet"
    path.write_bytes(raw)
    _, task = honest_table()
    with contextlib.suppress(DataError, IntegrityError):
        ranks = read_table(path, task, hashlib.sha256(raw).hexdigest())
        assert rows_digest(ranks) == task.rows_sha256


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b'"' + b'\\"' * (MAX_JSON // 2 - 1), "Unterminated string"),
        (b"{" + b",".join(b'"%d":1' % i for i in (*range(24_000), 23_999)) + b"}", "given twice"),
    ],
    ids=["quotes", "keys"],
)
def test_json_that_is_slow_to_read_by_halves_is_refused_at_once(raw: bytes, named: str) -> None:
    """Each of 130,000 quotes was read to the end of the file: five minutes."""
    assert len(raw) <= MAX_JSON
    begun = time.process_time()
    with pytest.raises(DataError, match=named):
        parse_json(raw, "entry.json")
    assert time.process_time() - begun < 60


def test_deep_json_is_refused_by_a_process_of_its_own(board: Path) -> None:
    """Python's own parser would run out of stack on some of its versions."""
    (board / BETA / "entry.json").write_bytes(b"[" * 100_000 + b"]" * 100_000)
    done = subprocess.run(
        [sys.executable, "-m", "mlbench", "leaderboard", "validate", board, "--quiet"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert f"{board / BETA / 'entry.json'}: 100,000 levels deep" in done.stderr
