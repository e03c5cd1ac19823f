"""MIRACL: a corpus of each language in shards of JSON lines, topics and qrels as TSV.

Format: Zhang et al., MIRACL: A Multilingual Retrieval Dataset Covering 18 Diverse Languages, TACL
2023, https://doi.org/10.1162/tacl_a_00595, and the data sets miracl/miracl and
miracl/miracl-corpus of the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlbench.data.collection import TextRecord
from mlbench.data.corpus import StreamedRecords
from mlbench.data.input_files import Faults, read_lines
from mlbench.data.readers import Files
from mlbench.data.readers._qrels import read_qrels
from mlbench.data.readers._shards import table_shards
from mlbench.data.task import Task


def stream(task: Task, files: Files) -> StreamedRecords:
    """Read the task's ``topics`` and ``qrels``; each file of its ``corpus`` is a shard.

    A passage has ``docid``, ``title`` and ``text``; the model is given title, line feed, text or,
    with ``text = "text"``, the text alone. Ids are strings, whatever they look like. A judgement
    holds within its file's language. Topics without a judgement are kept.

    Raises DataError for broken lines.
    """
    faults = Faults()
    topics = files("topics")
    queries = [q for language, path in topics.items() for q in _topics(path, language, faults)]
    rows = read_qrels(files("qrels"), faults)
    judgements = [row.judgement(row.language, row.language) for row in rows]
    faults.check()
    return StreamedRecords(queries, judgements, table_shards(task, files, ("docid",)))


def _topics(path: Path, language: str, faults: Faults) -> Iterator[TextRecord]:
    """Yield the topics: an id, a tab, the query; quotation marks are text."""
    for line in read_lines(path, faults):
        if not line.text.strip():
            continue
        columns = line.text.split("\t")
        if len(columns) != 2 or not columns[0]:
            faults.add(line.where, f"{len(columns)} columns", "an id, a tab and the query")
            continue
        yield TextRecord(columns[0], language, columns[1], line.where)
