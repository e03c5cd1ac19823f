"""BEIR's layout: a corpus, queries and judgements as JSON lines or Parquet, judgements as TSV too.

Corpus and queries hold ``_id`` (or ``id``), ``text`` and, in the corpus, ``title``. Their
language is that of the file (``{language}`` in its path) or stands in each record.

Format: Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information
Retrieval Models, https://arxiv.org/abs/2104.08663, and the project's wiki.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mlbench.common.errors import Fault, UsageError
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.corpus import BetweenAll, StreamedRecords
from mlbench.data.input_files import Faults
from mlbench.data.locations import SHARD, DataFile
from mlbench.data.readers import Files, Locate
from mlbench.data.readers._qrels import (
    Row,
    across_languages,
    across_unread,
    languages_of,
    read_qrels,
)
from mlbench.data.readers._rows import Row as TextRow
from mlbench.data.readers._rows import Texts, read_rows
from mlbench.data.readers._shards import table_shards
from mlbench.data.sources import text_choice
from mlbench.data.task import Task, language_among

ID_KEYS = ("_id", "id")


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``corpus``, ``queries`` and ``qrels``.

    Queries without a judgement are left out, as one queries file often serves several splits.

    Raises DataError for broken lines, missing fields and those of another type, scores that are not
    whole numbers, ids that cannot be resolved, and languages whose queries are all unjudged.
    """
    if isinstance(locate, Files) and SHARD.search(task.source.files["corpus"]):
        return stream(task, locate).read_all()
    faults = Faults()
    passages = _records(task, "corpus", locate, faults)
    queries, rows = _questions(task, locate, faults)
    parallel = task.source.options.get("relevance") == "parallel"
    rows = [row._replace(language=row.language or _single(task)) for row in rows]
    known = languages_of(queries), languages_of(passages)
    if parallel:
        judgements = list(across_languages(rows, *known))
    else:
        judgements = list(_join(rows, *known, faults, apart=_apart(task)))
    kept, left_out = _judged(queries, judgements, faults)
    faults.check()
    return Records(kept, passages, judgements, left_out)


def stream(task: Task, files: Files) -> StreamedRecords:
    """Read the task's ``queries`` and ``qrels``; each file of its ``corpus`` is a shard.

    Raises as ``read`` does, and UsageError where a judgement can only be resolved by one who knows
    all passages: where the corpus has one file of all languages, or the qrels have and records of
    one id are no translations.
    """
    single, parallel = _single(task), task.source.options.get("relevance") == "parallel"
    patterns = [task.source.files[role] for role in ("corpus", "qrels")[: 2 - parallel]]
    if not (single or all("{language}" in pattern for pattern in patterns)):
        raise UsageError(
            Fault(
                f"task {task.name!r}",
                "cannot be streamed: its judgements name passages of several languages",
                "a corpus of each language, and qrels of each or relevance 'parallel'",
            )
        )
    faults = Faults()
    queries, rows = _questions(task, files, faults)
    rows = [row._replace(language=row.language or single) for row in rows]
    judgements: list[Judgement] | BetweenAll
    if parallel:
        judgements = across_unread(rows, queries, task.roles.passages)
    else:
        passages = {row.passage_id: [row.language] for row in rows}
        known = languages_of(queries), passages
        judgements = list(_join(rows, *known, faults, apart=_apart(task)))
    kept, left_out = _judged(queries, judgements, faults)
    faults.check()
    shards = table_shards(task, files, ID_KEYS)
    return StreamedRecords(kept, judgements, shards, left_out, parallel)


def _apart(task: Task) -> bool:
    """Whether queries have other languages than passages, so that qrels by language are by that of
    the passages alone."""
    return task.roles.queries != task.roles.passages


def _single(task: Task) -> str:
    """Return the language of passages of a task that has one, else ""."""
    own = task.roles.passages
    return own[0] if len(own) == 1 else ""


def _questions(task: Task, locate: Locate, faults: Faults) -> tuple[list[TextRecord], list[Row]]:
    """Return all queries, and the judgements as they stand; raises if there was a fault."""
    queries = _records(task, "queries", locate, faults)
    rows = list(read_qrels(locate("qrels"), faults))
    faults.check()
    return queries, rows


def _judged(
    queries: Sequence[TextRecord], judgements: Iterable[Judgement], faults: Faults
) -> tuple[list[TextRecord], list[TextRecord]]:
    """Return the queries that are judged, and the others; every language must have a judged one."""
    if isinstance(judgements, BetweenAll):
        judged = judgements.queries()
    else:
        judged = {(row.query_id, row.query_language) for row in judgements}
    kept = [query for query in queries if (query.id, query.language) in judged]
    left_out = [query for query in queries if (query.id, query.language) not in judged]
    for language in sorted({q.language for q in queries} - {q.language for q in kept}):
        found = "the qrels judge none of its queries"
        faults.add(f"language {language!r}", found, "at least one query")
    return kept, left_out


def _records(task: Task, role: str, locate: Locate, faults: Faults) -> list[TextRecord]:
    """Read the files of a role; the language "" says that each record names its own."""
    corpus = role == "corpus"
    own = task.roles.passages if corpus else task.roles.queries
    texts = Texts(faults, ID_KEYS, corpus and text_choice(task) == "title-text")
    records = []
    for its_language, path in locate(role).items():
        for row in read_rows(DataFile(its_language, path.name, path), faults):
            passage = texts.passage(row)
            language = its_language or _language(task, own, row, texts)
            if passage is not None and language is not None:
                records.append(TextRecord(passage.id, language, passage.text, row.where))
    return records


def _language(task: Task, own: Sequence[str], row: TextRow, texts: Texts) -> str | None:
    field = task.source.options.get("language-field", "language")
    if len(own) == 1 and row.fields.get(field) is None:
        return own[0]
    mend = "put {language} into the file's path, or name the field in `language-field`"
    language = texts.string(row, field, mend if row.fields.get(field) is None else "")
    return None if language is None else language_among(language, task.languages)


def _join(
    rows: Iterable[Row],
    queries: Mapping[str, Sequence[str]],
    passages: Mapping[str, Sequence[str]],
    faults: Faults,
    *,
    apart: bool,
) -> Iterator[Judgement]:
    """Relate a query and a passage of the file's language or, where it has none, by id alone; a
    query by id alone, too, where queries and passages are ``apart`` in their languages.

    The language of an id that no record has is "".
    """
    for row in rows:
        spoken = "" if apart else row.language
        query = spoken or _sole_language(row, "query", row.query_id, queries, faults)
        passage = row.language or _sole_language(row, "passage", row.passage_id, passages, faults)
        if query is not None and passage is not None:
            yield row.judgement(query, passage)


def _sole_language(
    row: Row, role: str, id_: str, known: Mapping[str, Sequence[str]], faults: Faults
) -> str | None:
    languages = known.get(id_, ("",))
    if len(languages) == 1:
        return languages[0]
    faults.add(
        row.where,
        f"{role} {id_!r} exists in {', '.join(languages)}",
        f"a {role} id that is unique over languages",
        "give one qrels file a language ({language} in its path) or, if records of one id "
        "are translations, set relevance = 'parallel'",
    )
    return None
