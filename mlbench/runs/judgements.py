"""What a report on run files says of a task whose passages were not read."""

from __future__ import annotations

import hashlib

from mlbench.data.corpus import StreamedCollection
from mlbench.data.task import Task
from mlbench.reports.provenance import TaskInfo

MARK = "mlbench/judgements/1"


def describe_judgements(task: Task, streamed: StreamedCollection) -> TaskInfo:
    """Return what a report says of a task whose passages were not read.

    Its digest is over the languages, the queries' ids and the judgements.
    """
    languages, queries = streamed.languages, streamed.queries
    hasher, relevant_pairs = hashlib.sha256("\n".join([MARK, *languages]).encode()), 0
    for asked in sorted(languages):
        judged = streamed.judged_in(languages.index(asked))
        rows = (
            (asked, queries.ids[query], languages[language], id_, str(relevance))
            for query, language, id_, relevance in judged.rows()
        )
        for row in sorted(rows):
            hasher.update(("\n" + "\t".join(row)).encode())
        relevant_pairs += int((judged.relevance > 0).sum())
    return TaskInfo(
        name=task.name,
        version=task.version,
        title=task.title,
        digest=hasher.hexdigest(),
        languages=languages,
        kinds=tuple(kind.value for kind in task.kinds),
        text=task.text,
        licence=task.licence,
        citation=task.citation,
        queries=dict(zip(languages, queries.counts.tolist(), strict=True)),
        passages={},
        passage_languages=task.roles.passages,
        relevant_pairs=relevant_pairs,
        language_sets=dict(task.language_sets),
        notes=task.notes,
    )
