"""Parallel plain text: one file a language; line n of each translates line n of the others.

Every line is a query and a passage, as far as the task has queries and passages of its language;
its translations and the line itself are its relevant passages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, permutations
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.input_files import Faults, read_lines
from mlbench.data.readers import Files, Locate
from mlbench.data.task import Task


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``text`` files; ids are line numbers, counted from 1.

    Where the task has pairs, ids are the pair's name and the line number: "af-en/1". Each pair has
    files of its own, or where paths do not name the pair, all have lines of the same files; line n
    of these is one question.

    Raises DataError for empty lines, files of different length, and text that is not UTF-8.
    """
    if task.pairs:
        return _read_pairs(task, locate)
    faults = Faults()
    texts = _read_parallel(locate("text"), None, faults)
    faults.check()
    asked, pool = ([texts[code] for code in of] for of in (task.roles.queries, task.roles.passages))
    judgements = [
        Judgement(query.id, query.language, passage.id, passage.language, 1, query.where)
        for queries, passages in zip(zip(*asked, strict=True), zip(*pool, strict=True), strict=True)
        for query in queries
        for passage in passages
    ]
    return Records([*chain(*asked)], [*chain(*pool)], judgements)


def _read_pairs(task: Task, locate: Locate) -> Records:
    """Read the lines of each pair, which find each other in the pair's other file alone."""
    faults, records = Faults(), Records()
    for texts in _texts_of_pairs(task, locate, faults):
        for asked, searched in permutations(texts, 2):
            if asked not in task.roles.queries or searched not in task.roles.passages:
                continue
            records.queries += texts[asked]
            records.passages += texts[searched]
            records.judgements += [
                Judgement(query.id, asked, query.id, searched, 1, query.where)
                for query in texts[asked]
            ]
    faults.check()
    return records


def _texts_of_pairs(
    task: Task, locate: Locate, faults: Faults
) -> Iterator[dict[str, list[TextRecord]]]:
    """Yield the lines of each pair by language."""
    if isinstance(locate, Files) and (paths := locate.pairs("text")):
        for pair, of in paths.items():
            yield _read_parallel(of, pair, faults)
        return
    shared = _read_parallel(locate("text"), None, faults)
    for pair in task.pairs:
        yield {
            code: [
                replace(line, id=f"{'-'.join(pair)}/{line.id}", pair=pair, group=line.id)
                for line in shared[code]
            ]
            for code in pair
        }


def _read_parallel(
    paths: Mapping[str, Path], pair: tuple[str, str] | None, faults: Faults
) -> dict[str, list[TextRecord]]:
    """Return the lines of files that translate each other, by language."""
    own = Faults()
    texts = {code: _read_language(code, path, pair, own) for code, path in paths.items()}
    if not own:
        _check_lengths(paths, texts, own)
    faults.include(own)
    return texts


def _read_language(
    language: str, path: Path, pair: tuple[str, str] | None, faults: Faults
) -> list[TextRecord]:
    records, before = [], "" if pair is None else f"{'-'.join(pair)}/"
    for number, line in enumerate(read_lines(path, faults), 1):
        if not line.text.strip():
            faults.add(line.where, "an empty line", "a sentence, in every line of every file")
        records.append(TextRecord(f"{before}{number}", language, line.text, line.where, pair=pair))
    return records


def _check_lengths(
    paths: Mapping[str, Path], texts: Mapping[str, list[TextRecord]], faults: Faults
) -> None:
    first, *others = texts
    for language in others:
        if len(texts[language]) != len(texts[first]):
            faults.add(
                str(paths[language]),
                f"{plural(len(texts[language]), 'line')}, but {len(texts[first])} in "
                f"{paths[first]}",
                "as many lines in each file: line n of each translates line n of the others",
            )
