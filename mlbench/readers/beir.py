"""BEIR's folder layout: a corpus and queries as JSON lines or Parquet, judgements as TSV.

Corpus and queries hold ``_id``, ``text`` and, in the corpus, ``title``. Their language is that
of the file (``{language}`` in its path) or stands in each record.

Format: Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information
Retrieval Models, https://arxiv.org/abs/2104.08663, and the project's wiki.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlbench.collection import Judgement, Records, TextRecord
from mlbench.errors import did_you_mean
from mlbench.readers import Locate, text_choice
from mlbench.readers._io import Faults, describe, parse_object, read_lines
from mlbench.readers._qrels import Row, read_qrels
from mlbench.task import Task


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``corpus``, ``queries`` and ``qrels``.

    Queries without a judgement are left out, as one queries file often serves several splits.

    Raises DataError for broken lines, missing or non-string fields, scores that are not whole
    numbers, ids that cannot be resolved, and languages whose queries are all unjudged.
    """
    faults = Faults()
    passages = _Texts(task, text_choice(task) == "title-text", faults).read(locate("corpus"))
    queries = _Texts(task, False, faults).read(locate("queries"))
    rows = [
        row
        for language, path in locate("qrels").items()
        for row in read_qrels(path, language, faults)
    ]
    faults.check()
    parallel = task.source.options.get("relevance") == "parallel"
    join = _join_parallel if parallel else _join
    judgements = list(join(rows, _languages(queries), _languages(passages), faults))
    judged = {(row.query_id, row.query_language) for row in judgements}
    kept = [query for query in queries if (query.id, query.language) in judged]
    with_queries = {query.language for query in queries}
    for language in sorted(with_queries - {query.language for query in kept}):
        faults.add(
            f"language {language!r}", "the qrels judge none of its queries", "at least one query"
        )
    faults.check()
    return Records(queries=kept, passages=passages, judgements=judgements)


class _Row(NamedTuple):
    """A row of a corpus or queries file as it stands, and where."""

    where: str
    fields: Mapping[str, Any]


class _Texts:
    """Reads the files of one role into text records."""

    def __init__(self, task: Task, with_title: bool, faults: Faults) -> None:
        self.language_field = task.source.options.get("language-field", "language")
        self.only_language = task.languages[0] if len(task.languages) == 1 else None
        self.with_title = with_title
        self.faults = faults

    def read(self, paths: Mapping[str, Path]) -> list[TextRecord]:
        """Read every file; the key "" says that each record names its own language."""
        records = (
            self._record(row, language)
            for language, path in paths.items()
            for row in self._rows(path)
        )
        return [record for record in records if record is not None]

    def _rows(self, path: Path) -> Iterator[_Row]:
        if path.suffix == ".parquet":
            yield from _read_parquet(path, self.faults)
            return
        for line in read_lines(path, self.faults):
            if line.text.strip():
                fields = parse_object(line, self.faults)
                if fields is not None:
                    yield _Row(line.where, fields)

    def _record(self, row: _Row, language: str) -> TextRecord | None:
        id_ = self._string(row, "_id")
        text = self._string(row, "text")
        language_found = language or self._language(row)
        title = ""
        if self.with_title and row.fields.get("title") is not None:
            title = self._string(row, "title") or ""
        if id_ is None or text is None or language_found is None:
            return None
        if not id_:
            self.faults.add(row.where, "'_id' is empty", "a string that names the record")
        whole = "\n".join(part for part in (title, text) if part) if title else text
        return TextRecord(id_, language_found, whole, row.where)

    def _language(self, row: _Row) -> str | None:
        if self.only_language and row.fields.get(self.language_field) is None:
            return self.only_language
        return self._string(row, self.language_field)

    def _string(self, row: _Row, key: str) -> str | None:
        value = row.fields.get(key)
        if isinstance(value, str):
            return value
        if key not in row.fields:
            found, mend = f"no {key!r}", did_you_mean(key, row.fields)
        else:
            found, mend = f"{key!r} is {describe(value)}", ""
        if key == "_id" and type(value) is int:
            mend = f'write it as a string: "_id": "{value}"'
        elif value is None and key == self.language_field:
            mend = "put {language} into the file's path, or name the field in `language-field`"
        self.faults.add(row.where, found, f"{key!r} as a string", mend)
        return None


def _read_parquet(path: Path, faults: Faults) -> Iterator[_Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            start = 1
            for batch in file.iter_batches():
                for number, fields in enumerate(batch.to_pylist(), start):
                    yield _Row(f"{path}, row {number}", fields)
                start += batch.num_rows
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        faults.add(str(path), f"damaged Parquet file: {error}", "a whole Parquet file")


def _languages(records: Iterable[TextRecord]) -> dict[str, list[str]]:
    """Return id -> the languages it exists in, in the order of the records."""
    languages: dict[str, list[str]] = {}
    for record in records:
        found = languages.setdefault(record.id, [])
        if record.language not in found:
            found.append(record.language)
    return languages


def _join(
    rows: Iterable[Row],
    queries: Mapping[str, Sequence[str]],
    passages: Mapping[str, Sequence[str]],
    faults: Faults,
) -> Iterator[Judgement]:
    """Relate a query and a passage of the file's language or, where it has none, by id alone."""
    for row in rows:
        query = row.language or _sole_language(row, "query", row.query_id, queries, faults)
        passage = row.language or _sole_language(row, "passage", row.passage_id, passages, faults)
        if query and passage:
            yield _judgement(row, query, passage)


def _sole_language(
    row: Row, role: str, id_: str, known: Mapping[str, Sequence[str]], faults: Faults
) -> str | None:
    languages = known.get(id_, ())
    if len(languages) == 1:
        return languages[0]
    if not languages:
        faults.add(row.where, f"{role} {id_!r} does not exist", f"the id of a {role}")
    else:
        faults.add(
            row.where,
            f"{role} {id_!r} exists in {', '.join(languages)}",
            f"a {role} id that is unique over languages",
            "give one qrels file a language ({language} in its path) or, if records of one id "
            "are translations, set relevance = 'parallel'",
        )
    return None


def _join_parallel(
    rows: Iterable[Row],
    queries: Mapping[str, Sequence[str]],
    passages: Mapping[str, Sequence[str]],
    faults: Faults,
) -> Iterator[Judgement]:
    """Relate every language version of a query with every language version of a passage."""
    for row in rows:
        if row.query_id not in queries:
            found = f"query {row.query_id!r} does not exist in any language"
            faults.add(row.where, found, "the id of a query")
        if row.passage_id not in passages:
            found = f"passage {row.passage_id!r} does not exist in any language"
            faults.add(row.where, found, "the id of a passage")
        for query_language in queries.get(row.query_id, ()):
            for passage_language in passages.get(row.passage_id, ()):
                yield _judgement(row, query_language, passage_language)


def _judgement(row: Row, query_language: str, passage_language: str) -> Judgement:
    return Judgement(
        row.query_id, query_language, row.passage_id, passage_language, row.relevance, row.where
    )
