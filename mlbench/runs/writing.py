"""Runs in TREC's format for other tools, and the top of a model's rankings as such runs.

One file a query language and pool, ``runs/<query language>-<passage language>.trec.gz`` with
``multilingual`` for the pool of all languages, where passages are called ``<language>:<id>``, and
beside each a ``.qrels`` with the relevant passages by the same names.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import DataError, Fault, ModelError, first_faults
from mlbench.common.files import write_atomically
from mlbench.data.collection import Collection
from mlbench.data.task import Kind, Setting
from mlbench.ranking.counting import chosen, parts_of
from mlbench.ranking.products import Limits
from mlbench.ranking.reranking import Rescored, of_part
from mlbench.ranking.topk import Doubles, Progress, Searched, Top, query_rows, top_passages
from mlbench.ranking.vectors import Vectors
from mlbench.runs.patterns import ALL_LANGUAGES, EXAMPLE, PASSAGE, QUERY, filled
from mlbench.runs.rankings import pool_number
from mlbench.runs.reading import Ints

FOLDER = Path(EXAMPLE).parts[0]
SUFFIX = ".trec.gz"
GZIP_LEVEL = 4
LARGEST = float(np.finfo(np.float32).max) / 2


@dataclass(frozen=True)
class Saving:
    """What `run --save-run` asks for: ``depth`` passages a query, in ``folder`` under ``runs``;
    ``tag`` is the last column of every line."""

    folder: Path
    depth: int
    tag: str


def discard_runs(folder: Path) -> None:
    """Remove the runs that an earlier report in ``folder`` was saved with."""
    for path in (folder / FOLDER).glob("*"):
        if path.name.endswith((SUFFIX, ".qrels")):
            path.unlink()


def save_runs(
    saving: Saving,
    settings: Sequence[Setting],
    collection: Collection,
    vectors: tuple[Vectors, Vectors],
    limits: Limits,
    progress: Progress = lambda done: None,
    reranked: Rescored | None = None,
) -> None:
    """Write the top of each query's ranking in each setting, from query and passage vectors.

    The order is that of the exact scores; of equal ones, passages that are not relevant go first,
    then the less relevant, so that a relevant passage has the rank that mlbench gives it; then by
    language and id, descending. ``reranked`` candidates stand above all others, by their second
    scores; queries without candidates are left out then. Raises DataError for ids that cannot stand
    in a column.
    """
    check_names(collection)
    discard_runs(saving.folder)
    for part in parts_of(collection):
        one = of_part(collection, part)
        own = vectors[0][chosen(part.queries)], vectors[1][chosen(part.passages)]
        again = reranked and reranked.of_part(part)
        _save(saving, _settings_of(one, settings), one, own, limits, progress, again)


def _settings_of(part: Collection, settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings that are of the queries and passages of a part of a collection."""
    asked, pool = (
        {code for code, count in zip(part.languages, entries.counts, strict=True) if count}
        for entries in (part.queries, part.passages)
    )
    return [
        s for s in settings if s.query_language in asked and pool.issuperset(s.passage_languages)
    ]


def _save(
    saving: Saving,
    settings: Sequence[Setting],
    collection: Collection,
    vectors: tuple[Vectors, Vectors],
    limits: Limits,
    progress: Progress,
    reranked: Rescored | None,
) -> None:
    searched = Searched.of(collection, *vectors)
    depth = max(saving.depth, reranked.depth) if reranked else saving.depth
    rows = query_rows(searched, depth, limits)
    for language, code in enumerate(collection.languages):
        pools = [s for s in settings if s.query_language == code]
        numbers = {pool_number(setting, collection.languages): setting for setting in pools}
        if not numbers:
            continue
        asked = collection.queries.slice(language)
        wanted = list(numbers)
        if reranked and searched.languages in wanted:
            wanted = [*range(searched.languages)]
        blocks = [
            (slice(start, min(start + rows, asked.stop)), wanted)
            for start in range(asked.start, asked.stop, rows)
        ]
        files = {number: _Compressed() for number in numbers}
        for found in top_passages(searched, blocks, depth, limits, progress):
            top = found
            if reranked:
                top = reranked.top(searched, found, [*numbers], saving.depth)
            for number, (passages, scores) in top.pools.items():
                lines = _lines(collection, top, passages, scores, number, saving.tag)
                files[number].write("".join(lines).encode())
        for number, setting in numbers.items():
            path = saving.folder / run_path(setting)
            write_atomically(path, files[number].close())
            content = "".join(_qrels_lines(collection, asked, setting))
            name = path.name.removesuffix(SUFFIX) + ".qrels"
            write_atomically(path.with_name(name), content.encode())


def run_path(setting: Setting) -> Path:
    """Return where a setting's run goes, below the report's folder."""
    multilingual = setting.kind is Kind.MULTILINGUAL
    pool = ALL_LANGUAGES if multilingual else setting.passage_languages[0]
    return Path(filled(EXAMPLE, {QUERY: setting.query_language, PASSAGE: pool}))


def check_names(collection: Collection) -> None:
    """Raise DataError where an id holds a blank, which ends a column."""
    refuse_unfit(
        (f"{role} {id_!r}", id_)
        for role, entries in (("query", collection.queries), ("passage", collection.passages))
        for id_ in entries.ids
    )


def refuse_unfit(names: Iterable[tuple[str, str]]) -> None:
    """Raise DataError for the names, each with where it is, that no column of a run can hold."""
    expected = "ids without blanks, for the columns of a TREC file"
    faults = [Fault(where, found, expected) for where, name in names if (found := _unfit(name))]
    if faults:
        raise DataError(*first_faults(faults))


def _unfit(name: str) -> str:
    if len(name.split()) != 1 or name != name.strip():
        return "its id holds a blank" if name else "its id is empty"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its id is not UTF-8"
    return ""


def _lines(
    collection: Collection, top: Top, passages: Ints, scores: Doubles, pool: int, tag: str
) -> Iterator[str]:
    """Yield the lines of some queries."""
    if np.abs(scores).max(initial=0.0) > LARGEST:
        found = f"a score of {np.abs(scores).max():.3g}"
        raise ModelError(
            Fault("--save-run", found, "scores that fit into float32, which trec_eval uses")
        )
    written = falling(scores)
    prefixed = pool == len(collection.languages)
    queries = collection.queries.ids[top.queries]
    for query, row, values in zip(queries, passages.tolist(), written.tolist(), strict=True):
        size = row.index(-1) if row[-1] < 0 else len(row)
        names = [_name(collection, passage, prefixed) for passage in row[:size]]
        yield from trec_lines(query, zip(names, values[:size], strict=True), tag)


def _name(collection: Collection, passage: int, prefixed: bool) -> str:
    id_ = collection.passages.ids[passage]
    if not prefixed:
        return id_
    return f"{collection.languages[collection.passages.language[passage]]}:{id_}"


def falling(scores: Doubles) -> npt.NDArray[np.float32]:
    """Return sorted scores (..., k) as float32, made to fall strictly.

    A score that as float32 is not below the one before becomes the next smaller number.
    """
    single = scores.astype(np.float32)
    bits = single.view(np.int32).astype(np.int64)
    order = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)  # neighbours differ by one
    steps = np.arange(scores.shape[-1])
    fallen = np.minimum.accumulate(order + steps, axis=-1) - steps
    signed = np.where(fallen < 0, -fallen - 2**31, fallen).astype(np.int32)
    return np.where(fallen == order, single, signed.view(np.float32))


def trec_lines(query: str, ranking: Iterable[tuple[str, float]], tag: str) -> Iterator[str]:
    """Yield the lines of a query; nine digits tell any two float32 numbers apart."""
    for rank, (passage, score) in enumerate(ranking, 1):
        yield f"{query} Q0 {passage} {rank} {score:.9g} {tag}\n"


def _qrels_lines(collection: Collection, asked: slice, setting: Setting) -> Iterator[str]:
    """Yield the judgements of a setting's queries by the names that its run has."""
    qrels = collection.qrels
    languages = [collection.languages.index(code) for code in setting.passage_languages]
    prefixed = setting.kind is Kind.MULTILINGUAL
    mine = (qrels.query >= asked.start) & (qrels.query < asked.stop)
    mine &= np.isin(collection.passages.language[qrels.passage], languages)
    rows = np.flatnonzero(mine)
    for query, passage, relevance in zip(
        qrels.query[rows].tolist(), qrels.passage[rows].tolist(), qrels.relevance[rows].tolist(),
        strict=True,
    ):  # fmt: skip
        name = _name(collection, passage, prefixed)
        yield f"{collection.queries.ids[query]} 0 {name} {relevance}\n"


class _Compressed:
    """A gzip file in memory; the same content has the same bytes."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._file = gzip.GzipFile(
            filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=self._buffer, mtime=0
        )

    def write(self, content: bytes) -> None:
        self._file.write(content)

    def close(self) -> bytes:
        self._file.close()
        return self._buffer.getvalue()
