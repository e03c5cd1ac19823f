"""Training sets of tasks whose passages are streamed: only what is judged is held.

What is held are the questions and the judged passages of the languages that are trained on, and
each judged pair once, whatever the number of languages it holds between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault
from mlbench.common.progress import Step
from mlbench.data.absent import add_pair, check_relevant
from mlbench.data.building import Spoken, build_collection, build_entries, raise_faults
from mlbench.data.collection import Collection, Entries, Judgement, Qrels, TextRecord
from mlbench.data.corpus import BetweenAll, StreamedRecords
from mlbench.data.digests import collection_digest, sum_of_judged, sum_of_records
from mlbench.data.locator import Locator
from mlbench.data.readers import stream_records
from mlbench.data.task import Task
from mlbench.training.judged_pairs import IntArray, TrainingSet


def read_streamed(
    task: Task, languages: Sequence[str], locator: Locator, *, quiet: bool = True
) -> TrainingSet:
    """Read the training set of a task in shards, cut to some of its languages.

    Every shard of these languages is read once, and of its passages those that are judged are kept.
    ``digest`` is that of what is kept. Raises UsageError for a task that cannot be streamed,
    DataError for faulty data and where nothing relevant is left.
    """
    part = _cut(task, languages)
    records = stream_records(part, locator)
    passages = [*_judged(part, records, quiet)]
    _refuse_unjudged(part, {passage.language for passage in passages})
    if isinstance(records.judgements, BetweenAll):
        return _parallel(part, records, records.judgements, passages)
    whole = records.with_passages(passages)
    return TrainingSet.of(task.name, build_collection(languages, whole, part.roles, lenient=True))


def _cut(task: Task, languages: Sequence[str]) -> Task:
    roles = task.roles.only(languages)
    return replace(
        task,
        languages=tuple(languages),
        query_languages=roles.queries if task.query_languages else (),
        passage_languages=roles.passages if task.passage_languages else (),
    )


def _judged(task: Task, records: StreamedRecords, quiet: bool) -> Iterator[TextRecord]:
    """Read all shards, and yield their judged passages."""
    wanted = _wanted(records)
    shards = records.shards
    title = f"{task.name}: looking for its judged passages"
    with Step(title, len(shards), "shards", quiet=quiet) as step:
        for shard in shards:
            ids = wanted.get("") or wanted.get(shard.language, set())
            index = 0
            for batch in shard.passages():
                for number, passage in enumerate(batch, index):
                    if passage.id in ids:
                        where = f"{shard.name}, passage {number + 1}"
                        yield TextRecord(passage.id, shard.language, passage.text, where)
                index += len(batch)
            step.advance(1)


def _refuse_unjudged(task: Task, judged: set[str]) -> None:
    mend = "train on the other languages: name them in `languages`"
    faults = [
        Fault(f"task {task.name!r}, language {code!r}", "no passage that its judgements name",
              "at least one in every language", mend if judged else "")
        for code in task.roles.passages
        if code not in judged
    ]  # fmt: skip
    raise_faults(faults)


def _wanted(records: StreamedRecords) -> Mapping[str, set[str]]:
    """Return the ids of judged passages by their language, "" for all languages."""
    if isinstance(records.judgements, BetweenAll):
        return {"": {row.passage_id for row in records.judgements.rows}}
    wanted: dict[str, set[str]] = {}
    for row in records.judgements:
        wanted.setdefault(row.passage_language, set()).add(row.passage_id)
    return wanted


@dataclass(frozen=True, eq=False)
class ParallelSet(TrainingSet):
    """A training set whose judgements hold between all languages that have both texts.

    ``places`` are, for queries and for passages, int64 (languages, ids): which entry of the
    collection each id is in a language, -1 where the language lacks it. ``judged`` are the
    judgements, by the numbers of these ids.
    """

    places: tuple[IntArray, IntArray] = field(repr=False)
    judged: Qrels = field(repr=False)

    def every_text(self) -> Iterator[tuple[str, str, str]]:
        """See ``TrainingSet``."""
        data = self.collection
        for role, entries in (("query", data.queries), ("passage", data.passages)):
            for language, text in zip(entries.language.tolist(), entries.texts, strict=True):
                yield role, self.languages[language], text

    def _judgements(self, query_language: int, passage_language: int) -> tuple[IntArray, IntArray]:
        asked, found = self._of(query_language, passage_language, self.judged.relevance > 0)
        query, passage = self._numbers
        order = np.lexsort((found, asked, passage[found], query[asked]))
        return asked[order], found[order]

    def _of(
        self, query_language: int, passage_language: int, which: npt.NDArray[np.bool_]
    ) -> tuple[IntArray, IntArray]:
        """Return the query and the passage of some judgements, where two languages have both."""
        asked = self.places[0][query_language][self.judged.query[which]]
        found = self.places[1][passage_language][self.judged.passage[which]]
        both = (asked >= 0) & (found >= 0)
        return asked[both], found[both]

    @cached_property
    def _known_refused(self) -> dict[tuple[str, str], dict[int, list[int]]]:
        return {}

    def _refused_of(
        self, query_language: str, passage_language: str
    ) -> Mapping[int, Sequence[int]] | None:
        name = (query_language, passage_language)
        if name not in self._known_refused:
            refused: dict[int, list[int]] = {}
            first, second = map(self.languages.index, name)
            asked, found = self._of(first, second, self.judged.relevance <= 0)
            order = np.lexsort((found, asked))
            pairs = zip(asked[order].tolist(), found[order].tolist(), strict=True)
            for query, passage in pairs:
                refused.setdefault(query, []).append(passage)
            self._known_refused[name] = refused
        return self._known_refused[name] or None


def _parallel(
    task: Task, records: StreamedRecords, judgements: BetweenAll, passages: Sequence[TextRecord]
) -> ParallelSet:
    languages, roles, faults = task.languages, task.roles, list[Fault]()
    queries, asked = build_entries(
        Spoken("query", languages, roles.queries), records.queries, faults
    )
    found_in = Spoken("passage", languages, roles.passages)
    texts, found = build_entries(found_in, passages, faults)
    seen: dict[tuple[str, str], Judgement] = {}
    for row in judgements.rows:
        add_pair(seen, (row.query_id, row.passage_id), row, faults)
    check_relevant(seen.values(), faults)
    raise_faults(faults)
    numbers = _numbered(queries), _numbered(texts)
    kept = [row for (q, p), row in seen.items() if q in numbers[0] and p in numbers[1]]
    check_relevant(kept, faults)
    raise_faults(faults)
    judged = _qrels(kept, *numbers)
    none = np.zeros(0, np.int64)
    held = Collection(languages, queries, texts, Qrels(none, none, none.astype(np.int32)))
    places = _places(asked, languages, numbers[0]), _places(found, languages, numbers[1])
    digest = _digest(languages, (queries, texts), numbers, judged)
    return ParallelSet(task.name, languages, digest, held, places, judged)


def _numbered(entries: Entries) -> dict[str, int]:
    return {id_: number for number, id_ in enumerate(dict.fromkeys(entries.ids))}


def _qrels(
    rows: Sequence[Judgement], queries: Mapping[str, int], passages: Mapping[str, int]
) -> Qrels:
    count = len(rows)
    query = np.fromiter((queries[row.query_id] for row in rows), np.int64, count)
    passage = np.fromiter((passages[row.passage_id] for row in rows), np.int64, count)
    relevance = np.fromiter((row.relevance for row in rows), np.int32, count)
    order = np.lexsort((passage, query))
    return Qrels(query[order], passage[order], relevance[order])


def _places(
    index: Mapping[tuple[str, str], int], languages: Sequence[str], numbers: Mapping[str, int]
) -> IntArray:
    places = np.full((len(languages), len(numbers)), -1, np.int64)
    of_language = {language: i for i, language in enumerate(languages)}
    for (language, id_), entry in index.items():
        places[of_language[language], numbers[id_]] = entry
    return places


def _digest(
    languages: Sequence[str],
    entries: tuple[Entries, Entries],
    numbers: Sequence[Mapping[str, int]],
    judged: Qrels,
) -> str:
    """Return the digest of what is held, made as that of a collection."""
    sums, counts = {}, {}
    for role, each in zip(("query", "passage"), entries, strict=True):
        codes = [languages[code] for code in each.language.tolist()]
        sums[role] = sum_of_records(role, zip(codes, each.ids, each.texts, strict=True))
        counts[role] = each.counts.tolist()
    names = [[("", id_) for id_ in of] for of in numbers]
    sums["qrels"] = sum_of_judged(
        names[0], names[1], judged.query, judged.passage, judged.relevance
    )
    return collection_digest(languages, counts, sums)
