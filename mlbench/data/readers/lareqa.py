"""LAReQA: SQuAD's JSON with sentence boundaries, one file a language.

Every sentence of every paragraph is a candidate; the relevant ones of a question are the
sentences that hold the answers of all its parallel versions, which share its id. Candidates may be
the paragraphs themselves instead.

Source: Roy et al., LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool,
https://arxiv.org/abs/2004.05484, section 3, and the data's own README.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlbench.common.counts import plural
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.input_files import Faults, describe, integer_of, read_json
from mlbench.data.readers import Locate
from mlbench.data.readers._fields import get, id_of, list_of, string_of
from mlbench.data.sources import text_choice
from mlbench.data.task import Task


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A checked paragraph; ``key`` is "{article}.{paragraph}", both counted from 0.

    Where passages are whole paragraphs, it has one "sentence": the paragraph.
    """

    key: str
    where: str
    context: str
    sentences: list[str]
    breaks: list[tuple[int, ...]]
    questions: list[Any]
    whole: bool

    def passage_id(self, sentence: int) -> str:
        """Return the id of the passage that is the sentence of that number, or the paragraph."""
        return self.key if self.whole else f"{self.key}.{sentence}"


@dataclass(frozen=True, slots=True)
class _Version:
    """A question in one language and the passage that answers it."""

    language: str
    passage_id: str
    where: str


def _joined(paragraph: _Paragraph, sentence: int) -> str:
    """Return a candidate's text as XTREME-R makes it (``evaluate_retrieval.py``)."""
    start, end = paragraph.breaks[sentence]
    return (paragraph.context[start:end] + paragraph.context).replace("\n", "")


PARAGRAPH = "paragraph"
_TEXTS: Mapping[str, Callable[[_Paragraph, int], str]] = {
    "sentence": lambda paragraph, sentence: paragraph.sentences[sentence],
    "sentence-context": lambda paragraph, sentence: (
        f"{paragraph.sentences[sentence]}\n{paragraph.context}"
    ),
    "sentence-context-joined": _joined,
    PARAGRAPH: lambda paragraph, sentence: paragraph.context,
}
"""The text of a passage, by the task's ``text``: of the sentence of a number."""


def read(task: Task, locate: Locate) -> Records:
    """Read the task's ``documents``.

    Passages are the entries of ``sentences`` as they stand (with ``text = "sentence-context"``:
    sentence, line feed, paragraph; with "sentence-context-joined": the paragraph's characters
    within the sentence's break, then the paragraph, all line feeds removed), with id
    "{article}.{paragraph}.{sentence}" counted from 0 and the paragraph as group. The relevant
    sentence of a question is the first whose span in ``sentence_breaks`` holds the start of the
    question's first answer (start <= answer_start < end).

    With ``text = "paragraph"``, passages are the paragraphs, with id "{article}.{paragraph}"; the
    relevant one of a question is its own, and a file needs no sentences. The option
    ``records = "distinct"`` makes one of equal texts (see ``_distinct``).

    Raises DataError for a SQuAD file without sentences, an answer in no sentence, bad JSON or a
    wrong structure.
    """
    choice, roles = text_choice(task), task.roles
    faults, records = Faults(), Records()
    versions: dict[str, list[_Version]] = {}
    for language, path in locate("documents").items():
        for paragraph in _paragraphs(path, read_json(path, faults), choice == PARAGRAPH, faults):
            records.passages += _passages(paragraph, language, _TEXTS[choice])
            for query, passage_id in _questions(paragraph, language, faults):
                records.queries.append(query)
                version = _Version(language, passage_id, query.where)
                versions.setdefault(query.id, []).append(version)
    faults.check()
    records.judgements = [
        Judgement(id_, query.language, passage.passage_id, passage.language, 1, query.where)
        for id_, parallel in versions.items()
        for query in parallel
        for passage in parallel
        if query.language in roles.queries and passage.language in roles.passages
    ]
    records.queries = [query for query in records.queries if query.language in roles.queries]
    records.passages = [each for each in records.passages if each.language in roles.passages]
    return _distinct(records) if task.source.options.get("records") == "distinct" else records


def _distinct(records: Records) -> Records:
    """Strip texts of white space at both ends, and make one record of those that a language has
    several times.

    A passage has the id of its first occurrence. A question has the id, and the place, of its last,
    and the relevant passages of all. An id given twice stays twice, as it is a fault.

    Source: XQuADRetrieval of MTEB, https://github.com/embeddings-benchmark/mteb, whose passages are
    the distinct paragraphs and whose queries are the distinct questions.
    """
    queries, query_id = _merged(reversed(records.queries))
    passages, passage_id = _merged(records.passages)
    judgements = {
        row._replace(
            query_id=query_id[row.query_language, row.query_id],
            passage_id=passage_id[row.passage_language, row.passage_id],
            where="",
        ): row.where
        for row in records.judgements
    }
    return Records(
        queries[::-1], passages, [row._replace(where=w) for row, w in judgements.items()]
    )


def _merged(
    records: Iterable[TextRecord],
) -> tuple[list[TextRecord], dict[tuple[str, str], str]]:
    """Return the first record of each text, stripped, and the id that stands for each language and
    id."""
    kept: list[TextRecord] = []
    first: dict[tuple[str, str], str] = {}
    stands_for: dict[tuple[str, str], str] = {}
    for record in records:
        text = record.text.strip()
        id_ = first.setdefault((record.language, text), record.id)
        if id_ == record.id:
            kept.append(replace(record, text=text))
        stands_for[record.language, record.id] = id_
    return kept, stands_for


def _passages(
    paragraph: _Paragraph, language: str, text: Callable[[_Paragraph, int], str]
) -> Iterator[TextRecord]:
    for index in range(len(paragraph.sentences)):
        part = "context" if paragraph.whole else f"sentences[{index}]"
        yield TextRecord(
            id=paragraph.passage_id(index),
            language=language,
            text=text(paragraph, index),
            where=f"{paragraph.where}.{part}",
            group=paragraph.key,
        )


def _questions(
    paragraph: _Paragraph, language: str, faults: Faults
) -> Iterator[tuple[TextRecord, str]]:
    """Yield each question and the id of the passage that answers it."""
    for index, question in enumerate(paragraph.questions):
        where = f"{paragraph.where}.qas[{index}]"
        id_ = get(question, "id", id_of, where, faults)
        text = get(question, "question", string_of, where, faults)
        answers = get(question, "answers", list_of, where, faults)
        if id_ is None or text is None or answers is None:
            continue
        if not answers:
            faults.add(where, f"question {id_!r} has no answer", "at least one answer")
            continue
        start = get(answers[0], "answer_start", integer_of, f"{where}.answers[0]", faults)
        if start is None:
            continue
        spans = enumerate(paragraph.breaks)
        sentence = next((i for i, (begin, end) in spans if begin <= start < end), None)
        if sentence is None:
            outside, expected = _OUTSIDE[paragraph.whole]
            found = f"the answer of question {id_!r}, at character {start}, is {outside}"
            faults.add(where, found, expected)
            continue
        query = TextRecord(id_, language, text, where, paragraph.key)
        yield query, paragraph.passage_id(sentence)


_OUTSIDE = {
    False: ("in none of the sentences", "a span of `sentence_breaks` that holds it"),
    True: ("not in the paragraph", "a place in `context`"),
}
"""What is said of an answer that no passage holds, by whether passages are whole paragraphs."""


def _paragraphs(path: Path, document: Any, whole: bool, faults: Faults) -> Iterator[_Paragraph]:
    if document is None:
        return
    articles = get(document, "data", list_of, str(path), faults) or []
    for a, article in enumerate(articles):
        where = f"{path}, data[{a}]"
        for p, paragraph in enumerate(get(article, "paragraphs", list_of, where, faults) or []):
            key, title = f"{a}.{p}", f" ({article['title']})" if "title" in article else ""
            place = f"{where}.paragraphs[{p}]"
            checked = (
                _whole_paragraph(paragraph, key, place, faults)
                if whole
                else _paragraph(paragraph, key, place, title, faults)
            )
            if checked is not None:
                yield checked


def _whole_paragraph(paragraph: Any, key: str, where: str, faults: Faults) -> _Paragraph | None:
    context = get(paragraph, "context", string_of, where, faults)
    questions = get(paragraph, "qas", list_of, where, faults)
    if context is None or questions is None:
        return None
    return _Paragraph(key, where, context, [context], [(0, len(context))], questions, whole=True)


def _paragraph(
    paragraph: Any, key: str, where: str, title: str, faults: Faults
) -> _Paragraph | None:
    if isinstance(paragraph, dict) and not paragraph.keys() >= {"sentences", "sentence_breaks"}:
        faults.add(
            where + title,
            "no `sentences` and `sentence_breaks`",
            "a LAReQA file, which is SQuAD's JSON with the sentences of each paragraph",
            "plain SQuAD does not say where sentences end; add both fields, search whole "
            "paragraphs (text = \"paragraph\"), or use reader 'beir'",
        )
        return None
    context = get(paragraph, "context", string_of, where, faults)
    sentences = get(paragraph, "sentences", list_of, where, faults)
    breaks = get(paragraph, "sentence_breaks", list_of, where, faults)
    questions = get(paragraph, "qas", list_of, where, faults)
    if context is None or sentences is None or breaks is None or questions is None:
        return None
    if len(sentences) != len(breaks):
        found = f"{plural(len(sentences), 'sentence')}, but {plural(len(breaks), 'sentence break')}"
        faults.add(where + title, found, "one break for each sentence")
        return None
    bad_sentences = [s for s in sentences if not isinstance(s, str)]
    spans = [_span(b) for b in breaks]
    bad_breaks = [b for b, span in zip(breaks, spans, strict=True) if None in span]
    for bad in bad_sentences:
        faults.add(f"{where}.sentences{title}", describe(bad), "strings")
    for bad in bad_breaks:
        faults.add(f"{where}.sentence_breaks{title}", f"{bad!r}", "pairs [start, end]")
    if bad_sentences or bad_breaks:
        return None
    return _Paragraph(key, where, context, sentences, spans, questions, whole=False)


def _span(value: Any) -> tuple[Any, ...]:
    """Return the two positions of a sentence break; None stands for what is none."""
    pair = isinstance(value, list) and len(value) == 2
    return tuple(map(integer_of, value)) if pair else (None,)
