"""MIRACL: a corpus of each language in shards of JSON lines, topics and qrels as TSV.

Format: Zhang et al., MIRACL: A Multilingual Retrieval Dataset Covering 18 Diverse Languages, TACL
2023, https://doi.org/10.1162/tacl_a_00595, and the data sets miracl/miracl and
miracl/miracl-corpus of the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.data.collection import TextRecord
from mlbench.data.corpus import StreamedRecords
from mlbench.data.input_files import Faults, read_lines
from mlbench.data.readers import Files
from mlbench.data.readers._qrels import add_query, read_qrels
from mlbench.data.readers._shards import table_shards
from mlbench.data.sources import asked_in
from mlbench.data.task import Task

FIELDS = "docid text"
"""The fields of a passage's id and text, where the task does not say others."""


def stream(task: Task, files: Files) -> StreamedRecords:
    """Read the task's ``topics`` and ``qrels``; each file of its ``corpus`` is a shard.

    A passage has ``docid``, ``title`` and ``text``, or an id and a text in the fields that the task
    names; the model is given title, line feed, text or, with ``text = "text"``, the text alone.
    Ids are strings, whatever they look like. A judgement holds within its file's language, or
    between it and that of its queries (``sources.asked_in``). Topics that the files of several
    passage languages ask are one; those without a judgement are kept.

    Raises DataError for broken lines.
    """
    faults = Faults()
    by_passages = "{passage-language}" in task.source.files["topics"]
    queries = [
        query
        for language, path in files("topics").items()
        for query in _topics(path, asked_in(task, language) if by_passages else language, faults)
    ]
    if by_passages:
        distinct: dict[tuple[str, str], TextRecord] = {}
        for query in queries:
            add_query(distinct, query, faults)
        queries = [*distinct.values()]
    rows = read_qrels(files("qrels"), faults)
    judgements = [row.judgement(asked_in(task, row.language), row.language) for row in rows]
    faults.check()
    id_key, text_key = task.source.options.get("fields", FIELDS).split()
    shards = table_shards(task, files, (id_key,), text_key)
    return StreamedRecords(queries, judgements, shards)


def _topics(path: Path, language: str, faults: Faults) -> Iterator[TextRecord]:
    """Yield the topics: an id, a tab, the query; quotation marks are text."""
    for line in read_lines(path, faults):
        if not line.text.strip():
            continue
        columns = line.text.split("\t")
        if len(columns) != 2 or not columns[0]:
            faults.add(
                line.where, f"{plural(len(columns), 'column')}", "an id, a tab and the query"
            )
            continue
        yield TextRecord(columns[0], language, columns[1], line.where)
