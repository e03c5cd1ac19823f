"""What a report on run files says of a task whose passages were not read."""

from __future__ import annotations

import hashlib

from mlbench.data.corpus import StreamedCollection
from mlbench.data.task import Task
from mlbench.reports.report import TaskInfo

MARK = "mlbench/judgements/1"


def describe_judgements(task: Task, streamed: StreamedCollection) -> TaskInfo:
    """Return what a report says of a task whose passages were not read.

    Its digest is over the languages, the queries' ids and the judgements.
    """
    judged, languages, queries = streamed.judgements, streamed.languages, streamed.queries
    rows = zip(
        (languages[i] for i in queries.language[judged.query].tolist()),
        (queries.ids[i] for i in judged.query.tolist()),
        (languages[i] for i in judged.passage_language.tolist()),
        judged.passage_ids,
        map(str, judged.relevance.tolist()),
        strict=True,
    )
    hasher = hashlib.sha256("\n".join([MARK, *languages]).encode())
    for row in sorted(rows):
        hasher.update(("\n" + "\t".join(row)).encode())
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
        relevant_pairs=int((judged.relevance > 0).sum()),
        language_sets=dict(task.language_sets),
        notes=task.notes,
    )
