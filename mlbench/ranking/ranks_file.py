"""``ranks.parquet``: the table of ranks on disk.

One row a relevant passage: query_id, query_language, query_group, passage_id, passage_language,
relevance, place, above and tied (fixed-size lists of int32, one a language). The file's metadata
(key ``mlbench``, JSON) holds the schema, the task's name, version and digest, the languages in
the order of the lists, pool sizes, judged queries, and the settings' kinds. A baseline is such a
file that says more in its metadata (see ``comparing.baseline``).
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, EnvironmentFault, Fault, IntegrityError
from mlbench.data.task import IMAGE, PairSizes
from mlbench.ranking.ranks import Ranks, pair_totals

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "mlbench/ranks/1"
TEXTS = ("query_id", "query_language", "query_group", "passage_id", "passage_language")

MOST_TEXT = 2**31 - 1
"""Bytes that a column of strings can have."""


@dataclass(frozen=True)
class TaskKey:
    """Which task a table belongs to."""

    name: str
    version: str
    digest: str
    kinds: tuple[str, ...]


def ranks_to_bytes(ranks: Ranks, task: TaskKey, said: Mapping[str, str] | None = None) -> bytes:
    """Return the Parquet file of a table: the same bytes for the same table.

    ``said`` is what else its metadata say, by other keys.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {
        "schema": SCHEMA,
        "task": {"name": task.name, "version": task.version, "digest": task.digest},
        "kinds": list(task.kinds),
        "languages": list(ranks.languages),
        "pool_sizes": ranks.pool_sizes.tolist(),
        "judged": ranks.judged.tolist(),
    }
    if ranks.pairs:
        metadata["pairs"] = [asdict(pair) for pair in ranks.pairs]
    schema = table_schema(len(ranks.languages)).with_metadata(
        {"mlbench": json.dumps(metadata, sort_keys=True, ensure_ascii=False), **(said or {})}
    )
    query = ranks.query
    arrays = [
        _texts(ranks.query_ids, query),
        _texts(ranks.languages, ranks.query_language[query]),
        _texts(ranks.query_groups, query),
        _texts(ranks.passage_ids, np.arange(len(query))),
        _texts(ranks.languages, ranks.passage_language),
        _numbers(ranks.relevance),
        _numbers(ranks.place),
    ]
    size = len(ranks.languages)
    for counts in (ranks.above, ranks.tied):
        arrays.append(pa.FixedSizeListArray.from_arrays(_numbers(counts.ravel()), size))
    buffer = io.BytesIO()
    table = pa.Table.from_arrays(arrays, schema=schema)
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=9,
        use_dictionary=list(TEXTS),
        column_encoding={"above.list.element": "BYTE_STREAM_SPLIT"},
    )
    return buffer.getvalue()


def _texts(values: Sequence[str], which: npt.NDArray[np.integer]) -> pa.Array:
    """Return ``values[i]`` for each i of ``which``.

    Made of buffers: ``pa.array`` would import pandas, if that is installed, to look at its types.
    """
    import pyarrow as pa

    raw = [value.encode() for value in values]
    starts = np.zeros(len(which) + 1, np.int64)
    np.cumsum(np.array([*map(len, raw)], np.int64)[which], out=starts[1:])
    if starts[-1] > MOST_TEXT:
        found = f"{plural(starts[-1], 'byte')} of ids in a column"
        raise EnvironmentFault(Fault("table of ranks", found, f"at most {MOST_TEXT:,}"))
    texts = b"".join([raw[i] for i in which.tolist()])
    return pa.StringArray.from_buffers(
        len(which), pa.py_buffer(starts.astype(np.int32)), pa.py_buffer(texts)
    )


def _numbers(values: npt.NDArray[np.int32]) -> pa.Array:
    """Return a column of int32; see ``_texts``."""
    import pyarrow as pa

    buffer = pa.py_buffer(np.ascontiguousarray(values, np.int32))
    return pa.Array.from_buffers(pa.int32(), len(values), [None, buffer])


def table_schema(languages: int) -> pa.Schema:
    """Return the columns of the table of a task of so many languages."""
    import pyarrow as pa

    counts = pa.list_(pa.int32(), languages)
    return pa.schema(
        [
            ("query_id", pa.string()),
            ("query_language", pa.string()),
            ("query_group", pa.string()),
            ("passage_id", pa.string()),
            ("passage_language", pa.string()),
            ("relevance", pa.int32()),
            ("place", pa.int32()),
            ("above", counts),
            ("tied", counts),
        ]
    )


def read_ranks(path: str | Path) -> tuple[Ranks, TaskKey]:
    """Read a table and the task it belongs to.

    Raises DataError where there is no such file, or a folder, IntegrityError where it is damaged
    or is no table of ranks.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if path.is_dir():
        expected = "the file with the table of ranks of a run, such as ranks.parquet in it"
        raise DataError(Fault(str(path), "a folder", expected))
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(Fault(str(path), "no such file", "the table of ranks of a run")) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, f"not readable as Parquet: {error}") from error
    return ranks_from_table(table, path)


def ranks_from_table(table: pa.Table, path: Path) -> tuple[Ranks, TaskKey]:
    """Return what an unpacked file holds. Raises IntegrityError where it is no table of ranks."""
    try:
        metadata = json.loads(table.schema.metadata[b"mlbench"])
        if metadata["schema"] != SCHEMA:
            raise _damaged(path, f"schema {metadata['schema']!r}", SCHEMA)
        task = TaskKey(**metadata["task"], kinds=tuple(metadata["kinds"]))
        languages = tuple(metadata["languages"])
        pool_sizes = np.array(metadata["pool_sizes"], np.int64)
        judged = np.array(metadata["judged"], np.int64)
        pairs = tuple(
            PairSizes(**{name: tuple(value) for name, value in pair.items()})
            for pair in metadata.get("pairs", ())
        )
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, "its metadata is missing or incomplete") from error
    if not table.schema.equals(table_schema(len(languages))):
        raise _damaged(path, "its columns are not those of a table of ranks")
    if pool_sizes.shape != judged.shape or len(pool_sizes) != len(languages):
        raise _damaged(path, "pool sizes, judged queries and languages differ in number")
    ranks = replace(_from_table(path, table, languages, (pool_sizes, judged)), pairs=pairs)
    if pairs and not _is_of_pairs(ranks):
        raise _damaged(path, "its rows and its pairs of languages contradict each other")
    if ranks.roles.between_modalities and not _is_between_modalities(ranks):
        raise _damaged(path, "it counts texts against texts, or images against images")
    return ranks, task


def _is_between_modalities(ranks: Ranks) -> bool:
    """Whether texts are counted against images alone, and images against texts."""
    images = ranks.columns([IMAGE])
    asks = np.isin(ranks.query_language[ranks.query], images)
    found = np.isin(ranks.passage_language, images)
    own = np.isin(np.arange(len(ranks.languages)), images) == asks[:, np.newaxis]
    return not (
        (asks == found).any() or (ranks.above > 0)[own].any() or (ranks.tied > 0)[own].any()
    )


def _is_of_pairs(ranks: Ranks) -> bool:
    """Whether the numbers of the pairs are those of the table, each row is of a pair, and it counts
    passages of its own language alone."""
    known = {code for pair in ranks.pairs for code in pair.languages}
    if not known <= {*ranks.languages} or any(
        len({*pair.languages}) != 2 or not len(pair.queries) == len(pair.passages) == 2
        for pair in ranks.pairs
    ):
        return False
    totals = pair_totals(ranks.languages, ranks.pairs)
    size = len(ranks.languages)
    paired = np.zeros((size, size), bool)
    for pair in ranks.pairs:
        one, other = ranks.columns(pair.languages)
        paired[one, other] = paired[other, one] = True
    foreign = np.ones(ranks.above.shape, bool)
    foreign[np.arange(len(foreign)), ranks.passage_language] = False
    return (
        np.array_equal(totals[0], ranks.judged)
        and np.array_equal(totals[1], ranks.pool_sizes)
        and bool(paired[ranks.query_language[ranks.query], ranks.passage_language].all())
        and not (ranks.above[foreign].any() or ranks.tied[foreign].any())
    )


def _from_table(
    path: Path, table: Any, languages: tuple[str, ...], sizes: tuple[Any, Any]
) -> Ranks:
    column = {name: table.column(name).combine_chunks() for name in table.column_names}
    counts = [column[name].flatten() for name in ("above", "tied")]
    if any(array.null_count for array in (*column.values(), *counts)):
        raise _damaged(path, "a value is missing")
    number = {language: i for i, language in enumerate(languages)}
    try:
        query_language = [number[code] for code in column["query_language"].to_pylist()]
        passage_language = [number[code] for code in column["passage_language"].to_pylist()]
    except KeyError as error:
        raise _damaged(path, f"language {error} is not one of {', '.join(languages)}") from None
    ids, groups = column["query_id"].to_pylist(), column["query_group"].to_pylist()
    keys = list(zip(query_language, ids, strict=True))
    if any(after < before for before, after in itertools.pairwise(keys)):
        raise _damaged(path, "its rows are not sorted by query language and id")
    begin = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    shape = (len(keys), len(languages))
    return Ranks(
        languages=languages,
        pool_sizes=sizes[0],
        judged=sizes[1],
        query_ids=tuple(ids[i] for i in begin),
        query_groups=tuple(groups[i] for i in begin),
        query_language=np.array([query_language[i] for i in begin], np.int16),
        starts=np.array([*begin, len(keys)], np.int64),
        passage_ids=tuple(column["passage_id"].to_pylist()),
        passage_language=np.array(passage_language, np.int16),
        relevance=column["relevance"].to_numpy(),
        place=column["place"].to_numpy(),
        above=counts[0].to_numpy().reshape(shape),
        tied=counts[1].to_numpy().reshape(shape),
    )


def _damaged(
    path: Path, found: str, expected: str = "a table of ranks as mlbench writes it"
) -> IntegrityError:
    return IntegrityError(Fault(str(path), found, expected, "run the evaluation again"))
