"""Parallel plain text: one file a language; line n of each translates line n of the others.

Every line is a query and a passage, as far as the task has queries and passages of its language;
its translations and the line itself are its relevant passages.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.input_files import Faults, read_lines
from mlbench.data.readers import Locate
from mlbench.data.task import Task


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``text`` files; ids are line numbers, counted from 1.

    Raises DataError for empty lines, files of different length, and text that is not UTF-8.
    """
    paths = locate("text")
    faults = Faults()
    texts = {language: _read_language(language, path, faults) for language, path in paths.items()}
    faults.check()
    _check_lengths(paths, texts, faults)
    faults.check()
    asked, pool = ([texts[code] for code in of] for of in (task.roles.queries, task.roles.passages))
    judgements = [
        Judgement(query.id, query.language, passage.id, passage.language, 1, query.where)
        for queries, passages in zip(zip(*asked, strict=True), zip(*pool, strict=True), strict=True)
        for query in queries
        for passage in passages
    ]
    return Records([*chain(*asked)], [*chain(*pool)], judgements)


def _read_language(language: str, path: Path, faults: Faults) -> list[TextRecord]:
    records = []
    for number, line in enumerate(read_lines(path, faults), 1):
        if not line.text.strip():
            faults.add(line.where, "an empty line", "a sentence, in every line of every file")
        records.append(TextRecord(str(number), language, line.text, line.where))
    return records


def _check_lengths(
    paths: Mapping[str, Path], texts: Mapping[str, list[TextRecord]], faults: Faults
) -> None:
    first, *others = texts
    for language in others:
        if len(texts[language]) != len(texts[first]):
            faults.add(
                str(paths[language]),
                f"{len(texts[language])} lines, but {len(texts[first])} in {paths[first]}",
                "as many lines in each file: line n of each translates line n of the others",
            )
