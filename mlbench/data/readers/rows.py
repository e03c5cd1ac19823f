"""Tables whose rows hold a question and the passage that answers it: CSV, JSON lines or Parquet.

Each file is of one language (``{language}`` in its path), or a field of its rows names the
language. A question may stand in several languages, in a field of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
    """Read the task's ``rows``; the passage of each row is relevant to its question.

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
    if task.source.options.get("relevance") == "parallel":
        known = asked, pool = languages_of(queries), languages_of(passages)
        rows = [row for row, _ in table.judged if row.query_id in asked and row.passage_id in pool]
        judgements = list(across_languages(rows, *known))
    else:
        roles = task.roles
        judgements = [
            row.judgement(code, row.language)
            for row, code in table.judged
            if code in roles.queries and row.language in roles.passages
        ]
    judged = {(row.query_language, row.query_id) for row in judgements}
    kept = [query for query in queries if (query.language, query.id) in judged]
    left_out = [query for query in queries if (query.language, query.id) not in judged]
    return Records(kept, passages, judgements, left_out)


@dataclass
class _Texts:
    """The texts of a role by language and id, of the task's ``languages`` of that role."""

    role: str
    languages: tuple[str, ...]
    first_counts: bool
    records: dict[tuple[str, str], TextRecord] = field(default_factory=dict)
    numbers: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, record: TextRecord, faults: Faults) -> str:
        """Keep a text unless its id is there; return the id, a number of its own if it is ""."""
        language, text, id_ = record.language, record.text, record.id
        if not id_:
            id_ = self.numbers.setdefault((language, text), str(len(self.numbers) + 1))
            record = TextRecord(id_, language, text, record.where)
        if language not in self.languages:
            return id_
        first = self.records.setdefault((language, id_), record)
        if first.text != text and not self.first_counts:
            found = f"{self.role} {id_!r} ({language}) has another text than at {first.where}"
            expected = f"one text for each id of a {self.role}"
            mend = (
                f"name more fields in {self.role}-id, or let the first text count with "
                'repeated = "first"'
            )
            faults.add(record.where, found, expected, mend)
        return id_


class _Table:
    """What the rows hold: texts, and judgements with the language of the question of each."""

    def __init__(self, task: Task, faults: Faults) -> None:
        options, roles = task.source.options, task.roles
        self._task, self._options, self._faults = task, options, faults
        first_counts = options.get("repeated") == "first"
        self.queries = _Texts("query", roles.queries, first_counts)
        self.passages = _Texts("passage", roles.passages, first_counts)
        self.judged: list[tuple[Judged, str]] = []
        self._missed: set[tuple[str, str]] = set()
        self._fields: dict[tuple[str, str], str] = {}

    def add(self, row: Row, language: str) -> None:
        """Take the passage and the question of a row of a file of that language, "" if of all."""
        own = language or self._language(row, "passage-language")
        if own is None:
            return
        text, passage_id = self._text(row, self._options["passage"]), self._id(row, "passage-id")
        query_id = self._id(row, "query-id")
        if text is None or passage_id is None or query_id is None:
            return
        passage_id = self.passages.add(TextRecord(passage_id, own, text, row.where), self._faults)
        for code, question in self._questions(row, own):
            record = TextRecord(query_id, code, question, row.where)
            name = self.queries.add(record, self._faults)
            self.judged.append((Judged(name, passage_id, 1, own, row.where), code))

    def _questions(self, row: Row, own: str) -> Iterator[tuple[str, str]]:
        """Yield the languages and the texts of a row's question."""
        pattern = self._options["query"]
        if LANGUAGE in pattern:
            for code in self._task.roles.queries:
                name = self._field(row, pattern, code)
                if name not in row.fields:
                    self._miss(row, name)
                elif row.fields[name] not in (None, ""):
                    question = self._text(row, name)
                    if question is not None:
                        yield code, question
            return
        named = "query-language" in self._options
        language = self._language(row, "query-language") if named else own
        question = self._text(row, pattern)
        if language is not None and question is not None:
            yield language, question

    def _field(self, row: Row, pattern: str, code: str) -> str:
        """Return the field of a language, whatever letters of its code are capitals."""
        known = self._fields.get((row.file, code))
        if known is not None and known in row.fields:
            return known
        written = spellings(code, self._task.source.spelled.get(code, ""))
        names = [pattern.replace(LANGUAGE, spelling) for spelling in written]
        fields = {name.casefold(): name for name in row.fields}
        found = next((fields[n.casefold()] for n in names if n.casefold() in fields), names[0])
        return self._fields.setdefault((row.file, code), found)

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
