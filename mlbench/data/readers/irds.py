"""Data sets of ``ir_datasets``, one id a language.

Source: MacAvaney et al., Simplified Data Wrangling with ir_datasets, SIGIR 2021,
https://arxiv.org/abs/2103.02280. The package downloads what it lacks to its own folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mlbench.common.counts import plural
from mlbench.common.errors import (
    DataError,
    EnvironmentFault,
    Fault,
    UsageError,
    install_extra,
    nearest,
)
from mlbench.common.files import alone, slug
from mlbench.data.collection import Judgement, TextRecord
from mlbench.data.corpus import BATCH, Passage, ShardSource, StreamedRecords
from mlbench.data.input_files import Faults
from mlbench.data.readers import Files
from mlbench.data.readers._qrels import Row, across_unread, add_query
from mlbench.data.sources import LANGUAGE, ids_of, text_choice
from mlbench.data.task import Kind, Source, Task, code_of

PREFIX = "ir_datasets:"
DOCUMENTS_IN_A_SHARD = 500_000
LONGEST_REASON = 160
"""Characters of what ``ir_datasets`` says that are shown."""


def make_task(spec: str, languages: Sequence[str] | None = None) -> Task:
    """Return the task of one or more ids, as in ``ir_datasets:mr-tydi/ar/test,mr-tydi/bn/test``.

    Each id is a language of its own. ``{language}`` in one of them, as in
    ``ir_datasets:mmarco/v2/{language}/train,msmarco-passage/train``, stands for each of
    ``languages`` that has no other id. Then records of one id are translations, and a judgement
    holds between all languages. Raises UsageError for an unknown id, for one whose language
    ``ir_datasets`` does not tell or that is in another, and for ``{language}`` without languages.
    """
    where, given = f"task {spec!r}", spec.removeprefix(PREFIX).split(",")
    patterns = [id_ for id_ in given if LANGUAGE in id_]
    ids: dict[str, str] = {}
    for id_ in given:
        if id_ in patterns:
            continue
        language = _load(id_, where).docs_lang()
        if language is None or language in ids:
            found = "has no known language" if language is None else f"is also in {language}"
            expected = "one id for each language"
            mend = "write a task file with reader 'ir_datasets', which names the languages"
            raise UsageError(Fault(where, f"{id_} {found}", expected, mend))
        ids[language] = id_
    if patterns:
        ids = _for_each(where, patterns, languages, ids)
    several = (Kind.MONOLINGUAL, Kind.MULTILINGUAL)
    kinds = tuple(Kind) if patterns else several
    title = spec.removeprefix(PREFIX).replace(",", ", ")
    return Task(
        name=slug(re.sub("[:/,{}]+", "-", spec)),
        version="1",
        title=f"{title} of ir_datasets",
        languages=tuple(ids),
        kinds=kinds if len(ids) > 1 else several[:1],
        measures=("nDCG@10", "AP", "RR", "R@100"),
        text="",
        licence="see https://ir-datasets.com",
        citation=f"https://ir-datasets.com: {title}",
        source=Source(
            reader="ir_datasets",
            files={},
            ids=ids,
            options={"relevance": "parallel"} if patterns and len(ids) > 1 else {},
        ),
        path=Path(spec),
    )


def _for_each(
    where: str, patterns: Sequence[str], languages: Sequence[str] | None, ids: Mapping[str, str]
) -> dict[str, str]:
    """Return the id of each of ``languages``, of which ``ids`` has some. Raises UsageError."""
    if len(patterns) > 1:
        expected = f"one id with {LANGUAGE}"
        raise UsageError(Fault(where, f"{plural(len(patterns), 'id')} with {LANGUAGE}", expected))
    if not languages:
        found = f"{LANGUAGE} in it, and no languages are given"
        mend = "give a training its `languages`, such as de,fr; for anything else write a task file"
        raise UsageError(Fault(where, found, f"the languages that {LANGUAGE} stands for", mend))
    each = languages.split(",") if isinstance(languages, str) else languages
    found_ids: dict[str, str] = {}
    for spelling in map(str.strip, each):
        code = code_of(spelling)
        found_ids[code] = ids.get(code) or patterns[0].replace(LANGUAGE, spelling)
        told = _load(found_ids[code], f"{where}, language {code!r}").docs_lang()
        if told not in (None, code):
            found = f"{found_ids[code]} is in {told!r}"
            mend = f"for {told} name the id itself, after a comma"
            raise UsageError(Fault(where, found, f"a data set in {code!r}", mend))
    return found_ids


def stream(task: Task, files: Files) -> StreamedRecords:
    """Read the queries and judgements of the task's ids; documents come in shards of 500,000.

    A judgement holds between the languages of its id's queries and documents (``sources.ids_of``)
    or, with ``relevance = "parallel"``, between all languages that have its query and its passage.
    A query that several ids ask is one. Queries without a judgement are left out.

    Raises UsageError for an unknown id, DataError for one without documents, queries or
    judgements, or with queries of another language, EnvironmentFault where ``ir_datasets`` is not
    installed or cannot get the data.
    """
    faults = Faults()
    parallel = task.source.options.get("relevance") == "parallel"
    judgements: list[Judgement] = []
    records, rows = StreamedRecords(parallel=parallel), dict[tuple[str, str, int], Row]()
    queries: dict[tuple[str, str], TextRecord] = {}
    alike: set[str] = set()  # languages with a judgement that another one has, too
    for language in task.roles.passages:
        for number, (id_, asked) in enumerate(ids_of(task, language)):
            part = _Part(task, id_, language, asked)
            dataset, asking = part.open(faults)
            if dataset is None:
                continue
            with _getting(id_):
                for row in _judgements(dataset, id_, language):
                    if parallel:
                        name = (row.query_id, row.passage_id, row.relevance)
                        first = rows.setdefault(name, row).language
                        alike |= {first, language} if first != language else set()
                    else:
                        judgements.append(row.judgement(asked, language))
                for query in part.queries(asking, faults):
                    add_query(queries, query, faults)
                if not number:
                    records.shards += _shards(dataset, id_, language, text_choice(task))
    faults.check()
    if parallel:
        _refuse_unlike(task, alike)
        between = across_unread(rows.values(), queries.values(), task.roles.passages)
        records.judgements, judged = between, {(code, id_) for id_, code in between.queries()}
    else:
        records.judgements = judgements
        judged = {(row.query_language, row.query_id) for row in judgements}
    records.queries = [query for name, query in queries.items() if name in judged]
    records.unjudged = [query for name, query in queries.items() if name not in judged]
    return records


def _refuse_unlike(task: Task, alike: Container[str]) -> None:
    """Raise DataError for languages that are not ``alike``: that judge nothing another one does,
    so that questions and passages of the same ids are no translations."""
    several = len(task.roles.passages) > 1
    mend = "name one id for each language, with commas, and there are no pairs across languages"
    faults = [
        Fault(
            f"{task.path}, {task.source.ids[code]}",
            "none of its judgements is one of another language's, too",
            "questions and passages that have the same ids in all languages",
            mend,
        )
        for code in task.roles.passages
        if several and code not in alike
    ]
    if faults:
        raise DataError(*faults)


def fetch(task: Task) -> Path:
    """Have ``ir_datasets`` download what it lacks of a task; return the folder where it keeps it.

    Raises as ``stream`` does.
    """
    where = f"{task.path}, table source"
    for language in task.roles.passages:
        for id_, _ in ids_of(task, language):
            dataset = _load(id_, where)
            asking = _load(task.source.options.get("queries", id_), where)
            with _getting(id_):
                for part in (dataset.docs_iter, asking.queries_iter, dataset.qrels_iter):
                    next(iter(part()), None)
    import ir_datasets

    return Path(ir_datasets.util.home_path())


@dataclass(frozen=True)
class _Part:
    """An id of a task: documents of ``language``, and queries in ``asked``."""

    task: Task
    id: str
    language: str
    asked: str

    def open(self, faults: Faults) -> tuple[Any, Any]:
        """Return the data set and the one that has its queries, or None after noting a fault."""
        options = self.task.source.options
        where = f"{self.task.path}, field source.ids.{self.language}"
        dataset, asking = _load(self.id, where), None
        if other := options.get("queries"):
            asking = _load(other, f"{self.task.path}, field source.options.queries")
        lacking = [w for w in ("docs", "queries", "qrels") if not dataset.has(w)]
        if lacking:
            found = f"{self.id} has no {', '.join(lacking)}"
            faults.add(where, found, "documents, queries and qrels")
            return None, None
        asking = asking or dataset
        own = (dataset.docs_lang(),) if self.asked == self.language else ()
        spoken = asking.queries_lang()
        if spoken not in (None, self.asked, *own) and "query-field" not in options:
            found = f"the queries of {other or self.id} are in {spoken!r}"
            fields = ", ".join(asking.queries_cls()._fields)
            faults.add(
                where, found, f"queries in {self.asked!r}", f"`query-field` is one of {fields}"
            )
            return None, None
        return dataset, asking

    def queries(self, asking: Any, faults: Faults) -> Iterator[TextRecord]:
        """Yield the queries, as the task's ``query-field`` has them."""
        options = self.task.source.options
        field, id_ = options.get("query-field", ""), options.get("queries", self.id)
        for number, query in enumerate(asking.queries_iter(), 1):
            where = f"{id_}, query {number}"
            text = getattr(query, field, None) if field else _default_text(query)
            if isinstance(text, str):
                yield TextRecord(query.query_id, self.asked, text, where)
            else:
                known = ", ".join(query._fields)
                faults.add(where, f"no text in the field {field or 'text'!r}", f"one of {known}")


def _load(id_: str, where: str) -> Any:
    try:
        import ir_datasets
    except ImportError:
        mend = install_extra("ir-datasets")
        fault = Fault(where, "the package ir_datasets is not installed", mend=mend)
        raise EnvironmentFault(fault) from None
    try:
        with _getting(id_):
            return ir_datasets.load(id_)
    except KeyError:
        near = nearest(id_, ir_datasets.registry) or "see https://ir-datasets.com"
        fault = Fault(where, f"ir_datasets has no {id_!r}", "the id of a data set", near)
        raise UsageError(fault) from None


@contextmanager
def _getting(id_: str) -> Iterator[None]:
    """Turn what goes wrong in ``ir_datasets`` while it gets or reads data into our errors."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(Fault(id_, f"not UTF-8: {error}", "text in UTF-8")) from None
    except (OSError, RuntimeError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        first = first if len(first) <= LONGEST_REASON else f"{first[:LONGEST_REASON]}..."
        mend = f"see what `ir_datasets export {id_} docs --out /dev/null` says"
        found = f"ir_datasets cannot get it: {first}"
        raise EnvironmentFault(Fault(id_, found, "its data", mend)) from None


def _judgements(dataset: Any, id_: str, language: str) -> Iterator[Row]:
    for i, row in enumerate(dataset.qrels_iter(), 1):
        yield Row(row.query_id, row.doc_id, row.relevance, language, f"{id_}, judgement {i}")


def _shards(dataset: Any, id_: str, language: str, text: str) -> Iterator[DocumentShard]:
    count = dataset.docs_metadata().get("count", 0)
    for start in range(0, max(count, 1), DOCUMENTS_IN_A_SHARD):
        stop = start + DOCUMENTS_IN_A_SHARD
        last = stop >= count
        name = id_ if count <= DOCUMENTS_IN_A_SHARD else f"{id_}, documents from {start + 1:,}"
        yield DocumentShard(language, name, None, id_, start, None if last else stop, text)


@dataclass(frozen=True)
class DocumentShard(ShardSource):
    """The documents ``start`` to ``stop`` (not included; None: the last) of an id."""

    id: str
    start: int
    stop: int | None
    text: str

    def passages(self) -> Iterator[list[Passage]]:
        """See ``ShardSource``."""
        faults = Faults()
        with _getting(self.id):
            found = self._passages(self._documents(), faults)
            while batch := list(islice(found, BATCH)):
                if not faults:
                    yield batch
        faults.check()

    def _documents(self) -> Iterator[Any]:
        """Return the documents, of which the first is at hand.

        ``ir_datasets`` downloads on first use, and copies documents into a store to read a part of
        them. Two processes that do so at the same time would spoil the store.
        """
        dataset = _load(self.id, self.name)
        with alone(_lock_of(dataset)):
            documents = dataset.docs_iter()
            if self.start or self.stop is not None:
                documents = _part(documents, self.start, self.stop)
            documents = iter(documents)
            first = [*islice(documents, 1)]
        return chain(first, documents)

    def _passages(self, documents: Iterator[Any], faults: Faults) -> Iterator[Passage]:
        for index, document in enumerate(documents):
            text = _TEXTS[self.text](document)
            if isinstance(text, str) and text.strip():
                yield Passage(document.doc_id, text)
            else:
                faults.add(self.where(index), f"passage {document.doc_id!r} has no text", "text")

    def digest(self) -> None:
        """Return None: ``ir_datasets`` checks its downloads itself."""

    def where(self, index: int) -> str:
        """See ``ShardSource``."""
        return f"{self.id}, document {self.start + index + 1}"


def _lock_of(dataset: Any) -> Path:
    """Return the path by which processes keep each other from the documents of a data set."""
    import ir_datasets

    name = f"{dataset.docs_namespace()}-{dataset.docs_lang()}"
    return Path(ir_datasets.util.home_path()) / slug(name.replace("/", "-"))


def _part(documents: Any, start: int, stop: int | None) -> Iterator[Any]:
    if hasattr(documents, "__getitem__"):
        return iter(documents[start:stop])
    return islice(documents, start, stop)


def _default_text(record: Any) -> Any:
    if hasattr(record, "default_text"):
        return record.default_text()
    return _title_text(record)


def _title_text(record: Any) -> Any:
    title, text = getattr(record, "title", ""), getattr(record, "text", None)
    return f"{title}\n{text}" if title and text else title or text


_TEXTS: Mapping[str, Callable[[Any], Any]] = {
    "default": _default_text,
    "title-text": _title_text,
    "text": lambda record: getattr(record, "text", None),
}
