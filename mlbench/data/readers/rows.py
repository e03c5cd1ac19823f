"""Tables whose rows hold a question and the passage that answers it: CSV, JSON lines or Parquet.

Each file is of one language (``{language}`` in its path), or a field of its rows names the
language. A question or a passage may stand in several languages, in a field of each. A row may also
hold passages that look like an answer and are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mlbench.common.errors import did_you_mean
from mlbench.data.collection import Records, TextRecord
from mlbench.data.input_files import Faults, describe
from mlbench.data.locations import DataFile
from mlbench.data.readers import Locate
from mlbench.data.readers._qrels import Row as Judged
from mlbench.data.readers._qrels import across_languages, languages_of
from mlbench.data.readers._rows import Row, read_rows
from mlbench.data.task import Task, language_among, spellings

LANGUAGE = "{language}"


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``rows``; the passage of each row is relevant to its question, and its
    ``negatives`` are not, unless another row says that they are.

    Questions and passages are told apart by the fields that the options name or, where none are
    named, by their text. With ``relevance = "parallel"``, what a row says holds between all
    languages that have its question and its passage. Rows of languages that the task does not have
    are left out, and so are questions that no passage answers.

    Raises DataError for damaged files and rows, fields that are missing, empty (unless
    ``incomplete = "skip"``) or of another type, and an id with several texts (unless
    ``repeated = "first"``).
    """
    faults = Faults()
    table = _Table(task, faults)
    for language, path in locate("rows").items():
        for row in read_rows(DataFile(language, path.name, path), faults):
            table.add(row, language)
    faults.check()
    queries, passages = [*table.queries.records.values()], [*table.passages.records.values()]
    rows = table.rows()
    if task.source.options.get("relevance") == "parallel":
        known = asked, pool = languages_of(queries), languages_of(passages)
        held = (r.row for r in rows if r.row.query_id in asked and r.row.passage_id in pool)
        judgements = list(across_languages(held, *known))
    else:
        judgements = [
            judged.row.judgement(code, own)
            for judged in rows
            for code in judged.asked
            for own in judged.answered
            if code in task.roles.queries and own in task.roles.passages
        ]
    names = {(row.query_language, row.query_id) for row in judgements}
    kept = [query for query in queries if (query.language, query.id) in names]
    left_out = [query for query in queries if (query.language, query.id) not in names]
    return Records(kept, passages, judgements, left_out)


Versions = Sequence[tuple[str, str]]
"""The languages of a text, and what it is in each."""


class _Judged(NamedTuple):
    """A judgement, and in which languages its row has the question and the passage."""

    row: Judged
    asked: tuple[str, ...]
    answered: tuple[str, ...]


@dataclass
class _Texts:
    """The texts of a role by language and id, of the task's ``languages`` of that role."""

    role: str
    languages: tuple[str, ...]
    first_counts: bool
    records: dict[tuple[str, str], TextRecord] = field(default_factory=dict)
    numbers: dict[tuple[tuple[str, str], ...], str] = field(default_factory=dict)

    def add(self, id_: str, versions: Versions, where: str, faults: Faults) -> str:
        """Keep a text unless its id is there; return the id, a number of its own if it is ""."""
        id_ = id_ or self.numbers.setdefault(tuple(versions), str(len(self.numbers) + 1))
        for language, text in versions:
            if language not in self.languages:
                continue
            record = TextRecord(id_, language, text, where)
            first = self.records.setdefault((language, id_), record)
            if first.text != text and not self.first_counts:
                found = f"{self.role} {id_!r} ({language}) has another text than at {first.where}"
                expected = f"one text for each id of a {self.role}"
                mend = (
                    f"name more fields in {self.role}-id, or let the first text count with "
                    'repeated = "first"'
                )
                faults.add(where, found, expected, mend)
        return id_


class _Table:
    """What the rows hold: texts, and judgements."""

    def __init__(self, task: Task, faults: Faults) -> None:
        options, roles = task.source.options, task.roles
        self._task, self._options, self._faults = task, options, faults
        first_counts = options.get("repeated") == "first"
        self.queries = _Texts("query", roles.queries, first_counts)
        self.passages = _Texts("passage", roles.passages, first_counts)
        self._judged: list[_Judged] = []
        self._missed: set[tuple[str, str]] = set()
        self._fields: dict[tuple[str, str, str], str] = {}

    def rows(self) -> list[_Judged]:
        """Return the judgements, without those of negatives that another row calls relevant."""
        relevant = {judged.row[:2] for judged in self._judged if judged.row.relevance}
        return [r for r in self._judged if r.row.relevance or r.row[:2] not in relevant]

    def add(self, row: Row, language: str) -> None:
        """Take the passage and the question of a row of a file of that language, "" if of all."""
        in_columns = LANGUAGE in self._options["passage"]
        own = language if language or in_columns else self._language(row, "passage-language")
        if own is None:
            return
        passages = self._versions(row, "passage", own)
        passage_id, query_id = self._id(row, "passage-id"), self._id(row, "query-id")
        if not passages or passage_id is None or query_id is None:
            return
        passage = self.passages.add(passage_id, passages, row.where, self._faults)
        questions = self._versions(row, "query", self._asked(row, own))
        if not questions:
            return
        query = self.queries.add(query_id, questions, row.where, self._faults)
        self._judge(row, (query, questions), (passage, passages), 1)
        for number, versions in enumerate(self._negatives(row, own), 1):
            name = passage_id and f"negative {number} of {passage} for {query}"
            name = self.passages.add(name, versions, row.where, self._faults)
            self._judge(row, (query, questions), (name, versions), 0)

    def _judge(
        self, row: Row, query: tuple[str, Versions], passage: tuple[str, Versions], grade: int
    ) -> None:
        asked, answered = (tuple(code for code, _ in each) for _, each in (query, passage))
        judged = Judged(query[0], passage[0], grade, "", row.where)
        self._judged.append(_Judged(judged, asked, answered))

    def _asked(self, row: Row, own: str) -> str | None:
        """Return the language of a row's question that is in one field, which may be that of the
        passage; None if the task does not have it."""
        if LANGUAGE in self._options["query"]:
            return ""
        named = "query-language" in self._options or not own
        return self._language(row, "query-language") if named else own

    def _versions(self, row: Row, role: str, own: str | None) -> Versions:
        """Return the languages and the texts of a row's question or passage, none if it has none;
        ``own`` is the language of one that is in one field."""
        pattern = self._options[role]
        if LANGUAGE not in pattern:
            text = self._text(row, pattern)
            return [(own, text)] if own is not None and text is not None else []
        roles = self._task.roles
        codes = roles.queries if role == "query" else roles.passages
        texts = [(code, self._version(row, pattern, code)) for code in codes]
        return [(code, text) for code, text in texts if text is not None]

    def _version(self, row: Row, pattern: str, code: str) -> str | None:
        name = self._field(row, pattern, code)
        if name not in row.fields:
            self._miss(row, name)
            return None
        return None if row.fields[name] in (None, "") else self._text(row, name)

    def _negatives(self, row: Row, own: str) -> list[Versions]:
        """Return the negatives of a row: what a field holds is one, or a list of them."""
        found: list[Versions] = []
        for pattern in self._options.get("negatives", "").split():
            codes = self._task.roles.passages if LANGUAGE in pattern else (own,)
            lists = [(code, self._list(row, self._field(row, pattern, code))) for code in codes]
            for place in range(max(len(texts) for _, texts in lists)):
                texts = [(code, texts[place]) for code, texts in lists if place < len(texts)]
                found.append([(code, text) for code, text in texts if text.strip()])
        return [versions for versions in found if versions]

    def _list(self, row: Row, name: str) -> list[str]:
        value = row.fields.get(name)
        if name not in row.fields:
            self._miss(row, name)
        elif not isinstance(value, list):
            text = None if value in (None, "") else self._text(row, name)
            return [] if text is None else [text]
        elif all(isinstance(text, str) for text in value):
            return value
        else:
            self._faults.add(row.where, f"{name!r} is a list, and not of texts", "a list of texts")
        return []

    def _field(self, row: Row, pattern: str, code: str) -> str:
        """Return the field of a language, whatever letters of its code are capitals."""
        known = self._fields.get((row.file, pattern, code))
        if known is not None and known in row.fields:
            return known
        written = spellings(code, self._task.source.spelled.get(code, ""))
        names = [pattern.replace(LANGUAGE, spelling) for spelling in written]
        fields = {name.casefold(): name for name in row.fields}
        found = next((fields[n.casefold()] for n in names if n.casefold() in fields), names[0])
        return self._fields.setdefault((row.file, pattern, code), found)

    def _language(self, row: Row, option: str) -> str | None:
        """Return the language that a field of the row names, None if the task does not have it."""
        languages = self._task.languages
        if option not in self._options and len(languages) == 1:
            return languages[0]
        said = self._text(row, self._options.get(option, "language"))
        found = None if said is None else language_among(said, languages)
        return found if found in languages else None

    def _id(self, row: Row, option: str) -> str | None:
        """Return what the fields of an option hold, None if one has nothing, "" without option."""
        parts = [self._text(row, name) for name in self._options.get(option, "").split()]
        return None if None in parts else "#".join(map(str, parts))

    def _text(self, row: Row, name: str) -> str | None:
        """Return what a field holds, or None; what is wrong with it is noted."""
        value = row.fields.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if type(value) is int:
            return str(value)
        empty = value is None or isinstance(value, str)
        if name not in row.fields:
            self._miss(row, name)
        elif not empty or self._options.get("incomplete") != "skip":
            found = "is empty" if isinstance(value, str) else f"is {describe(value)}"
            mend = 'incomplete = "skip" leaves such rows out' if empty else ""
            self._faults.add(row.where, f"{name!r} {found}", f"text in {name!r}", mend)
        return None

    def _miss(self, row: Row, name: str) -> None:
        """Note a field that is not there, once for each file."""
        if (row.file, name) in self._missed:
            return
        self._missed.add((row.file, name))
        mend = did_you_mean(name, row.fields)
        self._faults.add(row.where, f"no {name!r}", f"the field {name!r}", mend)
