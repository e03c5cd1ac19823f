"""Mewsli-X: mentions of entities in news, and one description of each entity, as JSON lines.

A query is a mention in its sentence. A passage is the description of an entity, in one of many
languages; the one that describes a mention's entity is relevant to it.

Source: Ruder et al., XTREME-R: Towards More Challenging and Nuanced Multilingual Evaluation,
https://arxiv.org/abs/2104.07412. The files are those of ``mel/mewsli-x.md`` in
google-research/google-research, the texts those of ``utils_mewslix.py`` in google-research/xtreme.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import Fault, IntegrityError, UsageError
from mlbench.common.files import reading
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.corpus import BATCH, Passage, ShardSource, StreamedRecords
from mlbench.data.input_files import Faults, Line, describe, parse_object, read_lines
from mlbench.data.readers import Files, Locate
from mlbench.data.readers._fields import get, list_of, object_of, string_of
from mlbench.data.task import Task, language_among

BRACED = re.compile(r"\{(.*?)\}")
"""What stands in the braces that mark a mention, in an article's own text."""

Span = tuple[int, int]
"""The first character of a part of a text, and the first after it."""


class _Mention(NamedTuple):
    """A mention as a query, and the id of the entity it means."""

    query: TextRecord
    entity: str


class _Article(NamedTuple):
    """An article and the spans of its sentences."""

    id: str
    language: str
    text: str
    sentences: list[Span]


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``mentions`` and ``candidates``.

    A query is "mention: left { mention } right": the sentence that holds the mention, which is
    marked in it and put before it. A passage is the sentences of a description, with spaces between
    them. Both are one line.

    Raises DataError for articles without text, spans that do not fit their text, mentions in no
    sentence, entities described in two languages, and broken lines.
    """
    faults = Faults()
    mentions = _mentions(task, locate("mentions"), faults)
    homes = _Homes({mention.entity for mention in mentions}, faults)
    passages = []
    for _, candidate in _candidates(task, _sole(locate("candidates")), faults):
        homes.note(candidate)
        passages.append(candidate)
    faults.check()
    judgements = _judgements(mentions, homes, of_no_language="")
    return Records([mention.query for mention in mentions], passages, judgements)


def stream(task: Task, files: Files) -> StreamedRecords:
    """Read the task's ``mentions``, and find the ``candidates``: those of a language are a shard.

    Their file is read once to learn where the lines of each language are. Raises as ``read`` does,
    and UsageError for a packed file.
    """
    path = _sole(files("candidates"))
    if path.suffix.lower() == ".gz":
        found = "is packed, so that no line of it can be read alone"
        raise UsageError(Fault(str(path), found, "plain JSON lines", "unpack it"))
    faults = Faults()
    mentions = _mentions(task, files("mentions"), faults)
    homes = _Homes({mention.entity for mention in mentions}, faults)
    of_language = {language: _Lines() for language in task.roles.passages}
    for line, candidate in _candidates(task, path, faults):
        homes.note(candidate)
        of_language[candidate.language].add(line)
    faults.check()
    return StreamedRecords(
        [mention.query for mention in mentions],
        _judgements(mentions, homes, of_no_language=task.roles.passages[0]),
        [lines.shard(path, code) for code, lines in of_language.items() if lines.starts],
        parallel=True,
    )


def _sole(paths: Mapping[str, Path]) -> Path:
    (path,) = paths.values()
    return path


@dataclass
class _Homes:
    """The languages in which the ``wanted`` entities are described, as candidates are read."""

    wanted: set[str]
    faults: Faults
    first: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Entity -> the language and the place of its description."""

    def note(self, candidate: TextRecord) -> None:
        """Take in a candidate; a second language of an entity is a fault."""
        if candidate.id not in self.wanted:
            return
        here = candidate.language, candidate.where
        language, where = self.first.setdefault(candidate.id, here)
        if language != candidate.language:
            found = f"entity {candidate.id!r} in {candidate.language!r}; in {language!r} at {where}"
            self.faults.add(candidate.where, found, "each entity in one language")


def _judgements(
    mentions: Sequence[_Mention], homes: _Homes, *, of_no_language: str
) -> list[Judgement]:
    """Return the judgement of each mention; what is no candidate is ``of_no_language``."""
    nowhere = of_no_language, ""
    return [
        Judgement(
            query.id, query.language, entity, homes.first.get(entity, nowhere)[0], 1, query.where
        )
        for query, entity in mentions
    ]


def _mentions(task: Task, paths: Mapping[str, Path], faults: Faults) -> list[_Mention]:
    """Return the mentions of all articles."""
    mentions: list[_Mention] = []
    for path in paths.values():
        articles = without_text = 0
        for line, row in _rows(path, faults):
            articles += 1
            context = get(row, "context", object_of, line.where, faults)
            listed = get(row, "mentions", list_of, line.where, faults)
            if context is None or listed is None:
                continue
            if context.get("text") == "":
                without_text += 1
                continue
            article = _article(context, task.roles.queries, line.where, faults)
            if article is not None:
                found = [
                    _mention(each, article, f"{line.where}, mentions[{number}]", faults)
                    for number, each in enumerate(listed)
                ]
                mentions += [mention for mention in found if mention is not None]
        if without_text:
            faults.add(
                str(path),
                f"{without_text:,} of {plural(articles, 'article')} "
                f"{agreeing(without_text, 'has', 'have')} no text",
                "the text of each article",
                "the released files come without; get-mewsli-x.sh, which belongs to them, writes "
                "wikinews_mentions-dev.jsonl and wikinews_mentions-test.jsonl with the text",
            )
    return mentions


def _rows(path: Path, faults: Faults) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the objects of JSON lines; empty lines are skipped."""
    for line in read_lines(path, faults):
        if line.text.strip():
            row = parse_object(line, faults)
            if row is not None:
                yield line, row


def _article(
    context: Mapping[str, Any], languages: Sequence[str], where: str, faults: Faults
) -> _Article | None:
    """Return an article, or None after noting what is wrong with it."""
    spelling = get(context, "language", string_of, where, faults)
    id_ = get(context, "document_id", string_of, where, faults)
    text = get(context, "text", string_of, where, faults)
    sentences = _sentences(context, text, where, faults)
    if spelling is None or id_ is None or text is None or sentences is None:
        return None
    return _Article(id_, language_among(spelling, languages), text, sentences)


def _mention(mention: Any, article: _Article, where: str, faults: Faults) -> _Mention | None:
    """Return a mention in an article, or None after noting what is wrong with it."""
    if object_of(mention) is None:
        faults.add(where, describe(mention), "an object")
        return None
    id_ = get(mention, "example_id", string_of, where, faults)
    entity = get(mention, "entity_id", string_of, where, faults)
    named = get(mention, "mention_span", object_of, where, faults)
    if named is None:
        return None
    name, span = get(named, "text", string_of, where, faults), _span(named, article.text)
    if span is None:
        _note_span(named, article.text, f"{where}.mention_span", faults)
    if id_ is None or entity is None or name is None or span is None:
        return None
    start, end = span
    there = article.text[start:end]
    if name != there:
        found = f"mention {id_!r} is {name!r}, but there the text has {there!r}"
        faults.add(where, found, f"the characters {start} to {end} of the article's text")
        return None
    holding = next((s for s in article.sentences if s[0] <= start and end <= s[1]), None)
    if holding is None:
        found = f"mention {id_!r}, at characters {start} to {end}, is in none of the sentences"
        faults.add(where, found, "one of `sentence_spans` that holds it")
        return None
    text = _marked(article.text, span, holding)
    return _Mention(TextRecord(id_, article.language, text, where, article.id), entity)


def _marked(text: str, mention: Span, sentence: Span) -> str:
    """Return a mention and its sentence as XTREME-R gives them to a model."""
    name = text[slice(*mention)]
    left = BRACED.sub(r"(\1)", text[sentence[0] : mention[0]])
    right = BRACED.sub(r"(\1)", text[mention[1] : sentence[1]])
    return _one_line(f"{name}: {left} {{ {name} }} {right}")


def _one_line(text: str) -> str:
    """Return a text on one line, two spaces made one, as XTREME-R does it: in one pass."""
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _candidates(task: Task, path: Path, faults: Faults) -> Iterator[tuple[Line, TextRecord]]:
    """Yield the candidates of a file."""
    languages = task.roles.passages
    for line, row in _rows(path, faults):
        candidate = _candidate(line, row, languages, faults)
        if candidate is not None:
            yield line, candidate


def _candidate(
    line: Line, row: Mapping[str, Any], languages: Sequence[str], faults: Faults
) -> TextRecord | None:
    """Return the description of an entity, or None after noting what is wrong with it."""
    where = line.where
    id_ = get(row, "entity_id", string_of, where, faults)
    spelling = get(row, "description_language", string_of, where, faults)
    text = get(row, "description", string_of, where, faults)
    sentences = _sentences(row, text, where, faults)
    if id_ is None or spelling is None or text is None or sentences is None:
        return None
    language = language_among(spelling, languages)
    if language not in languages:
        found = f"entity {id_!r} is described in {language!r}"
        faults.add(where, found, "one of " + ", ".join(languages))
        return None
    whole = _one_line(" ".join(text[start:end] for start, end in sentences))
    return TextRecord(id_, language, whole, where)


def _sentences(table: Any, text: str | None, where: str, faults: Faults) -> list[Span] | None:
    """Return the spans of sentences, or None after noting what is wrong with them."""
    listed = get(table, "sentence_spans", list_of, where, faults)
    if listed is None or text is None:
        return None
    spans = [_span(value, text) for value in listed]
    for number, (value, span) in enumerate(zip(listed, spans, strict=True)):
        if span is None:
            _note_span(value, text, f"{where}, sentence_spans[{number}]", faults)
    sound = [span for span in spans if span is not None]
    return sound if len(sound) == len(spans) else None


def _ends(value: Any) -> tuple[Any, Any]:
    return (value.get("start"), value.get("end")) if isinstance(value, Mapping) else (None, None)


def _span(value: Any, text: str) -> Span | None:
    """Return a part of a text that is not empty, or None where a value says none."""
    start, end = _ends(value)
    if type(start) is int and type(end) is int and 0 <= start < end <= len(text):
        return start, end
    return None


def _note_span(value: Any, text: str, where: str, faults: Faults) -> None:
    """Note that a value says no part of a text."""
    start, end = _ends(value)
    found = f"start {start!r} and end {end!r} in a text of {plural(len(text), 'character')}"
    faults.add(where, found, "whole numbers, 0 <= start < end <= the text's length")


class _Lines:
    """Where the lines of a language are, as they are read."""

    def __init__(self) -> None:
        self.starts, self.numbers = array("q"), array("q")
        self._size, self._content = 0, hashlib.sha256()

    def add(self, line: Line) -> None:
        """Take in the next line."""
        raw = line.text.encode()
        self.starts.append(line.start)
        self.numbers.append(line.number)
        self._size += len(raw) + 1
        self._content.update(raw + b"\n")

    def shard(self, path: Path, language: str) -> CandidateShard:
        """Return the shard that the lines are."""
        starts, numbers = (np.array(places, np.int64) for places in (self.starts, self.numbers))
        content = self._content.hexdigest()
        name = f"{path.name}, {language}"
        return CandidateShard(language, name, self._size, path, content, starts, numbers)


@dataclass(frozen=True)
class CandidateShard(ShardSource):
    """The candidates of one language: lines of the file of all.

    ``content`` is the SHA-256 of the lines; ``starts`` are the bytes at which they start and
    ``numbers`` their numbers from 1, int64 of shape (lines,).
    """

    path: Path
    content: str
    starts: npt.NDArray[np.int64] = field(compare=False)
    numbers: npt.NDArray[np.int64] = field(compare=False)

    def passages(self) -> Iterator[list[Passage]]:
        """See ``ShardSource``."""
        faults = Faults()
        found = self._passages(faults)
        while batch := list(islice(found, BATCH)):
            if not faults:
                yield batch
        faults.check()

    def _passages(self, faults: Faults) -> Iterator[Passage]:
        content = hashlib.sha256()
        places = zip(self.starts.tolist(), self.numbers.tolist(), strict=True)
        with reading(self.path), self.path.open("rb") as file:
            for start, number in places:
                file.seek(start)
                raw = file.readline().removesuffix(b"\n").removesuffix(b"\r")
                content.update(raw + b"\n")
                line = Line(str(self.path), number, raw.decode("utf-8", "replace"))
                row = parse_object(line, faults)
                if row is None:
                    continue
                candidate = _candidate(line, row, (self.language,), faults)
                if candidate is not None:
                    yield Passage(candidate.id, candidate.text)
        if content.hexdigest() != self.content:
            found, mend = "has changed since this run began", "run again; leave the file alone"
            raise IntegrityError(Fault(str(self.path), found, "the same lines", mend))

    def digest(self) -> str:
        """See ``ShardSource``: that of the lines of this language."""
        return self.content

    def where(self, index: int) -> str:
        """See ``ShardSource``."""
        return f"{self.path}:{self.numbers[index]}"
