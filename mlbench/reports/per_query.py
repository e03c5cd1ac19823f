"""Per-query values: what every query scores in every setting, from the table of ranks.

As one table of all settings, and in the shapes in which ranx and ir-measures return such values.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import (
    DataError,
    EnvironmentFault,
    Fault,
    IntegrityError,
    UsageError,
    did_you_mean,
)
from mlbench.common.files import write_atomically
from mlbench.data.task import Kind, Setting, language_among
from mlbench.measures.bias import Values, rank_distance
from mlbench.measures.rank_measures import RANK_DISTANCE, is_rank_distance, parse_measures
from mlbench.ranking.ranks import Ints, Ranks
from mlbench.ranking.shared_pools import shared_pools

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = ("kind", "query_language", "passage_languages", "query_id", "query_group")
"""Columns of the table beside the measures."""
TOGETHER = "multilingual"
"""What the pool of all languages is called in the name of a query, as in the names of run files."""


@dataclass(frozen=True)
class SettingValues:
    """What the queries of one setting score: measure -> float64 (n,), in the order of the ids.

    NaN stands where a measure says nothing about a query. ``excluded`` judged queries have no
    relevant passage in the pool, hence no value.
    """

    setting: Setting
    query_ids: tuple[str, ...]
    query_groups: tuple[str, ...]
    excluded: int
    values: dict[str, Values]

    @property
    def name(self) -> str:
        """Query language and pool, such as ``de-en`` or ``de-multilingual``."""
        several = self.setting.kind is Kind.MULTILINGUAL
        pool = TOGETHER if several else self.setting.passage_languages[0]
        return f"{self.setting.query_language}-{pool}"


@dataclass(frozen=True, repr=False)
class PerQuery:
    """The values of a measure for each query of some settings: n rows, setting by setting, the
    queries of each by id. Ties count against the model, as everywhere.

    ``measures`` are the names of the columns, in the order asked for.
    """

    settings: tuple[SettingValues, ...]
    measures: tuple[str, ...]

    def __len__(self) -> int:
        return sum(len(each.query_ids) for each in self.settings)

    def __repr__(self) -> str:
        rows = f"{plural(len(self), 'row')} of {plural(len(self.settings), 'setting')}"
        return f"<PerQuery: {rows}: {', '.join(self.measures)}>"

    @property
    def excluded(self) -> int:
        """Judged queries, over all settings, that the pool has no relevant passage for."""
        return sum(each.excluded for each in self.settings)

    @cached_property
    def queries(self) -> tuple[str, ...]:
        """(n,) the name of the query of each row: its id, and where there is more than one setting
        ``<query language>-<pool>:<id>``, since parallel questions share their ids."""
        if len(self.settings) == 1:
            return self.settings[0].query_ids
        return tuple(f"{each.name}:{id_}" for each in self.settings for id_ in each.query_ids)

    def arrays(self) -> dict[str, Values]:
        """Return measure -> float64 (n,), as ``ranx.evaluate(..., return_mean=False)`` does; NaN
        where a measure says nothing about a query."""
        return {name: self._column(name) for name in self.measures}

    def scores(self) -> dict[str, dict[str, float]]:
        """Return measure -> query -> value, as ``scores`` of a ``ranx.Run``; without queries that
        a measure says nothing about."""
        return {
            name: {
                query: value
                for query, value in zip(self.queries, column.tolist(), strict=True)
                if not math.isnan(value)
            }
            for name, column in self.arrays().items()
        }

    def metrics(self) -> Iterator[Any]:
        """Yield ``ir_measures.Metric(query_id, measure, value)``, as ``ir_measures.iter_calc``
        does; rank distance, which is no measure of ir-measures, is left out."""
        import ir_measures

        columns = self.arrays()
        for name in self.measures:
            if name != RANK_DISTANCE:
                measure = ir_measures.parse_measure(name)
                for query, value in zip(self.queries, columns[name].tolist(), strict=True):
                    yield ir_measures.Metric(query, measure, value)

    def to_arrow(self, **constants: str) -> pa.Table:
        """Return a pyarrow Table: a row a query and setting; null where a measure says nothing.

        Its columns are the ``constants`` (name -> the same text in each row), ``kind``,
        ``query_language``, ``passage_languages`` (with blanks between them), ``query_id``,
        ``query_group`` ("" where unknown) and the measures.
        """
        import pyarrow as pa

        sizes = [len(each.query_ids) for each in self.settings]
        of_setting = {
            "kind": [each.setting.kind.value for each in self.settings],
            "query_language": [each.setting.query_language for each in self.settings],
            "passage_languages": [" ".join(s.setting.passage_languages) for s in self.settings],
        }
        which = pa.array(np.repeat(np.arange(len(sizes)), sizes), pa.int32())
        columns: dict[str, Any] = {
            name: pa.repeat(pa.scalar(text), len(self)) for name, text in constants.items()
        }
        columns |= {name: pa.array(c, pa.string()).take(which) for name, c in of_setting.items()}
        texts = {
            "query_id": [id_ for each in self.settings for id_ in each.query_ids],
            "query_group": [group for each in self.settings for group in each.query_groups],
        }
        columns |= {name: pa.array(column, pa.string()) for name, column in texts.items()}
        for name, values in self.arrays().items():
            columns[name] = pa.array(values, from_pandas=True)
        return pa.table(columns)

    def to_frame(self) -> Any:
        """Return ``to_arrow`` as a pandas DataFrame. Raises EnvironmentFault without pandas."""
        require_pandas()
        return self.to_arrow().to_pandas()

    def chosen(self, settings: Iterable[Setting], measures: str | Iterable[str] | None) -> PerQuery:
        """Return the values of some settings and measures (default: all).

        Raises UsageError for a measure that has none here.
        """
        names = self.measures if measures is None else measure_names(measures)
        faults = [
            Fault(f"measure {name!r}", "has no values here", ", ".join(self.measures))
            for name in names
            if name not in self.measures
        ]
        if faults:
            raise UsageError(*faults)
        inside = set(settings)
        return PerQuery(tuple(s for s in self.settings if s.setting in inside), tuple(names))

    def save(self, path: str | Path) -> Path:
        """Write ``to_arrow`` as ``.csv`` or ``.parquet``, values in full precision; return where.

        Raises UsageError for another ending, EnvironmentFault where it cannot be written.
        """
        return save_table(Path(path), self.to_arrow())

    def _column(self, name: str) -> Values:
        parts = [
            each.values.get(name, np.full(len(each.query_ids), np.nan)) for each in self.settings
        ]
        return np.concatenate(parts) if parts else np.zeros(0)


def per_query(
    ranks: Ranks,
    settings: Sequence[Setting],
    measures: str | Iterable[str] | None,
    usual: Sequence[str],
) -> PerQuery:
    """Take every measure of every query of the settings. Their means, over a setting's rows in
    order, are the report's scores.

    ``measures`` are names, ``rank-distance`` among them; where there are none, they are the
    ``usual`` ones, with rank distance if any of the settings has it. Raises UsageError for a name
    that is no measure.
    """
    if measures is None:
        several = any(setting.kind is Kind.MULTILINGUAL for setting in settings)
        measures = (*usual, *([RANK_DISTANCE] if several else []))
    names = measure_names(measures)
    parsed = parse_measures(name for name in names if name != RANK_DISTANCE)
    taken: dict[int, tuple[Ints, dict[str, Values]]] = {}
    for pool in shared_pools(ranks, settings):
        measured = {measure.name: measure.per_query(pool.ranking) for measure in parsed}
        for i, own in pool.queries.items():
            query = pool.ranking.query[own]
            values = {name: column[own] for name, column in measured.items()}
            if RANK_DISTANCE in names and settings[i].kind is Kind.MULTILINGUAL:
                values[RANK_DISTANCE] = _distances(ranks, settings[i].query_language, query)
            taken[i] = query, values
    rows = []
    for i, setting in enumerate(settings):
        query, values = taken[i]
        judged = ranks.judged_in(setting.query_language, setting.passage_languages)
        excluded = judged - len(query)
        ids = tuple(ranks.query_ids[q] for q in query.tolist())
        groups = tuple(ranks.query_groups[q] for q in query.tolist())
        rows.append(SettingValues(setting, ids, groups, excluded, values))
    last = [RANK_DISTANCE] if RANK_DISTANCE in names else []
    return PerQuery(tuple(rows), (*(measure.name for measure in parsed), *last))


def measure_names(names: str | Iterable[str]) -> list[str]:
    """Return names of measures, ``rank-distance`` among them, as the columns are called.

    Raises UsageError for a name that is no measure.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    parsed = parse_measures(name for name in wanted if not is_rank_distance(name))
    last = [RANK_DISTANCE] if any(map(is_rank_distance, wanted)) else []
    return [*(measure.name for measure in parsed), *last]


def read_values(path: Path) -> PerQuery:
    """Read what ``PerQuery.save`` has written as Parquet.

    Raises DataError where there is no such file, IntegrityError where it is another one.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        columns = {name: table.column(name).to_pylist() for name in LABELS}
        settings = [
            Setting(Kind(kind), language, tuple(pool.split(" ")))
            for kind, language, pool in zip(*(columns[n] for n in LABELS[:3]), strict=True)
        ]
        measures = tuple(name for name in table.column_names if name not in LABELS)
        values = {
            name: table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
            for name in measures
        }
    except FileNotFoundError:
        raise DataError(Fault(str(path), "no such file", "per-query values")) from None
    except (OSError, pa.ArrowException, ValueError, LookupError, AttributeError) as error:
        found = f"not per-query values: {str(error).partition(chr(10))[0]}"
        raise IntegrityError(Fault(str(path), found, "a file that mlbench wrote")) from None
    begins = [i for i, s in enumerate(settings) if i == 0 or s != settings[i - 1]]
    parts = itertools.pairwise([*begins, len(settings)])
    return PerQuery(
        tuple(
            SettingValues(
                settings[begin],
                tuple(columns["query_id"][begin:end]),
                tuple(columns["query_group"][begin:end]),
                0,
                {name: column[begin:end] for name, column in values.items()},
            )
            for begin, end in parts
        ),
        measures,
    )


def _distances(ranks: Ranks, language: str, query: Ints) -> Values:
    """Return the rank distance of each of the queries, NaN where it has one relevant passage."""
    found = rank_distance(ranks, language)
    values = np.full(len(query), np.nan)
    values[np.searchsorted(query, found.query)] = found.distance
    return values


def choose_settings(
    settings: Iterable[Setting],
    kind: str | None = None,
    query_language: str | None = None,
    passage_language: str | None = None,
) -> list[Setting]:
    """Return the settings of a kind, of a query language and of a pool of one language.

    Raises UsageError, with near names, where there is none.
    """
    left = list(settings)
    said = []
    for name, value, of in (
        ("kind", kind, lambda s: s.kind.value),
        ("query_language", query_language, lambda s: s.query_language),
        ("passage_language", passage_language, _alone),
    ):
        if value is None:
            continue
        known = list(dict.fromkeys(found for setting in left if (found := of(setting))))
        wanted = value if name == "kind" else language_among(value, known)
        left = [setting for setting in left if of(setting) == wanted]
        said.append(f"{name} {value!r}")
        if not left:
            expected = f"{name} {', '.join(known)}" if known else f"no {name}"
            mend = did_you_mean(value, known)
            raise UsageError(Fault(", ".join(said), "there is no such setting", expected, mend))
    return left


def _alone(setting: Setting) -> str | None:
    return None if setting.kind is Kind.MULTILINGUAL else setting.passage_languages[0]


def require_pandas() -> None:
    """Raise EnvironmentFault where pandas is not installed."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        found, mend = "is not installed", "pip install pandas"
        raise EnvironmentFault(Fault("pandas", found, "pandas", mend)) from None


def check_table_name(path: Path, where: str = "per-query values") -> None:
    """Raise UsageError unless the name ends in one of the formats that are written."""
    if path.suffix.lower() not in WRITERS:
        expected = f"a name that ends in {' or '.join(WRITERS)}"
        raise UsageError(Fault(where, f"the file's name is {path.name!r}", expected))


def save_table(path: Path, table: pa.Table) -> Path:
    """Write a table in the format that the name's ending says; return where."""
    check_table_name(path)
    buffer = io.BytesIO()
    WRITERS[path.suffix.lower()](table, buffer)
    write_atomically(path, buffer.getvalue(), "another name")
    return path


def _write_csv(table: pa.Table, file: io.BytesIO) -> None:
    from pyarrow import csv

    csv.write_csv(table, file, csv.WriteOptions(quoting_style="needed"))


def _write_parquet(table: pa.Table, file: io.BytesIO) -> None:
    from pyarrow import parquet

    parquet.write_table(table, file, compression="zstd")


WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}
