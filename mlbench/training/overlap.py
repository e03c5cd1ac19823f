"""How much of what a task evaluates stands in the text of a training set.

Whether a model was evaluated on data that it has never seen is counted here, not declared: each
evaluated question and passage is compared with every text of the training set, in all languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mlbench
from mlbench.common.errors import Fault, UsageError
from mlbench.common.progress import Step
from mlbench.data.collection import Collection
from mlbench.data.corpus import StreamedCollection
from mlbench.data.overlap_record import Count, Example, Overlap
from mlbench.data.readers import stream_collection
from mlbench.data.task import Task
from mlbench.evaluation.choices import locator_of, streams
from mlbench.evaluation.options import Options, chosen_options
from mlbench.evaluation.tasks import load_task
from mlbench.training.similar_texts import TextIndex, plain

if TYPE_CHECKING:
    from mlbench.training.judged_pairs import TrainingSet

THRESHOLD = 0.8
"""The similarity from which two texts are nearly equal."""
ROLES = ("query", "passage")
AT_A_TIME = 8192
"""Training texts that are compared at a time."""
EXAMPLES = 3
"""Examples of each role and language that are kept."""


class _Best(NamedTuple):
    """The training text most similar to an evaluated one: role, language, text, similarity."""

    role: str
    language: str
    text: str
    similarity: float


def overlap(
    training: TrainingSet,
    task: str | Path | Task,
    options: Options | None = None,
    *,
    threshold: float = THRESHOLD,
    **changes: Any,
) -> Overlap:
    """Compare what a task evaluates with the text of a training set.

    ``options`` and ``changes`` are those of ``mlbench.evaluate``. No similar text is missed; see
    ``similar_texts``. A text that is a part of a longer one is not similar to it.

    A task in shards is read once, and the training text is held (see ``overlap_streamed``). Raises
    UsageError for a threshold outside 0 to 1, DataError for faulty data.

    >>> from mlbench.training.training_set import training_set
    >>> seen = overlap(training_set("sample", progress=False), "sample", progress=False)
    >>> seen.total("query").share
    1.0
    """
    if not 0 < threshold <= 1:
        raise UsageError(Fault("threshold", repr(threshold), "a number above 0, at most 1"))
    task, chosen = load_task(task), chosen_options(options, changes)
    if streams(task, chosen):
        left = stream_collection(task, locator_of(chosen))
        return _of_streamed(training, task, left, threshold, quiet=not chosen.progress)
    data = mlbench.load_collection(task, chosen)
    texts = [*dict.fromkeys(map(plain, (*data.queries.texts, *data.passages.texts)))]
    with Step(_title(task.name), 1, "task", quiet=not chosen.progress, brief=True):
        best, distinct = _most_similar(TextIndex(texts, threshold), texts, training)
    counts: list[Count] = []
    examples: list[Example] = []
    for role in ROLES:
        for language in data.languages:
            own = _of(data, role, language)
            found = [(text, best[key]) for text in own if (key := plain(text)) in best]
            exact = sum(plain(one.text) == plain(text) for text, one in found)
            if own:
                count = Count(role, language, len(own), exact, len(found) - exact)
                counts.append(count)
            examples += _examples(role, language, found)
    said = _said(training, distinct, task, data.digest, threshold)
    return Overlap(**said, counts=tuple(counts), examples=tuple(examples))


def _title(task: str) -> str:
    return f"{task}: looking for its texts in the training text"


def _said(
    training: TrainingSet, distinct: int, task: Task, digest: str, threshold: float
) -> dict[str, Any]:
    """Return what was compared."""
    named = {"training": training.name, "training_digest": training.digest}
    named |= {"task": task.name, "version": task.version, "digest": digest}
    sizes = {"training_texts": distinct, "training_languages": tuple(training.languages)}
    return {**named, **sizes, "threshold": threshold}


def _of_streamed(
    training: TrainingSet, task: Task, data: StreamedCollection, threshold: float, *, quiet: bool
) -> Overlap:
    from mlbench.training.overlap_streamed import Trained, count_streamed

    trained = Trained(training, threshold)
    title = _title(task.name)
    tallies, digest = count_streamed(trained, data, title, EXAMPLES, quiet=quiet)
    said = _said(training, trained.texts, task, digest, threshold)
    counts = tuple(tally.count for tally in tallies)
    examples = tuple(each for tally in tallies for each in tally.longest.values())
    return Overlap(**said, counts=counts, examples=examples)


def _of(data: Collection, role: str, language: str) -> Sequence[str]:
    entries = data.queries if role == "query" else data.passages
    return entries.texts[entries.slice(data.languages.index(language))]


def _most_similar(
    index: TextIndex, texts: Sequence[str], training: TrainingSet
) -> tuple[dict[str, _Best], int]:
    """Return, for each of the indexed texts that has one, the training text that is most similar,
    and the number of distinct training texts."""
    best: dict[str, _Best] = {}
    seen: set[int] = set()
    for some in _parts(training.every_text(), AT_A_TIME):
        new = {text: (role, language) for role, language, text in some if hash(text) not in seen}
        seen |= {*map(hash, new)}
        given = [*new]
        for indexed, other, similarity in zip(*index.similar(given), strict=True):
            text = texts[indexed]
            if text not in best or best[text].similarity < similarity:
                best[text] = _Best(*new[given[other]], given[other], float(similarity))
    return best, len(seen)


def _parts(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rows = iter(rows)
    while part := list(islice(rows, size)):
        yield part


def _examples(role: str, language: str, found: Sequence[tuple[str, _Best]]) -> Iterator[Example]:
    """Yield the longest texts that were found, which are the least likely to be found by chance."""
    longest = sorted(dict(found).items(), key=lambda each: (-len(each[0]), each[0]))
    for text, one in longest[:EXAMPLES]:
        yield Example(
            role, language, text, one.role, one.language, one.text, round(one.similarity, 4)
        )
