"""How much of what a task evaluates stands in the text of a training set.

Whether a model was evaluated on data that it has never seen is counted here, not declared: each
evaluated question and passage is compared with every text of the training set, in all languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """The training text most similar to an evaluated one: role, language, text, similarity, and
    whether both are the same text, as texts are compared."""

    role: str
    language: str
    text: str
    similarity: float
    exact: bool

    @property
    def rank(self) -> tuple[float, bool]:
        """The higher, the more similar."""
        return self.similarity, self.exact


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
    (found,) = overlaps([training], task, options, threshold=threshold, **changes)
    return found


def overlaps(
    trainings: Sequence[TrainingSet],
    task: str | Path | Task,
    options: Options | None = None,
    *,
    threshold: float = THRESHOLD,
    **changes: Any,
) -> list[Overlap]:
    """Compare what a task evaluates with the text of each of several training sets, as ``overlap``
    does with one.

    The task is read once. A text that several sets have, such as parts of one set by languages, is
    compared once. Raises as ``overlap`` does.
    """
    if not 0 < threshold <= 1:
        raise UsageError(Fault("threshold", repr(threshold), "a number above 0, at most 1"))
    task, chosen = load_task(task), chosen_options(options, changes)
    if streams(task, chosen):
        left = stream_collection(task, locator_of(chosen))
        return _of_streamed(trainings, task, left, threshold, quiet=not chosen.progress)
    data = mlbench.load_collection(task, chosen)
    with Step(_title(task.name), 1, "task", quiet=not chosen.progress, brief=True):
        compared = _Compared((*data.queries.texts, *data.passages.texts), threshold)
        found = [compared.most_similar(training) for training in trainings]
    return [
        _of_held(best, data, _said(training, distinct, task, data.digest, threshold))
        for training, (best, distinct) in zip(trainings, found, strict=True)
    ]


def _of_held(best: Mapping[str, _Best], data: Collection, said: dict[str, Any]) -> Overlap:
    counts: list[Count] = []
    examples: list[Example] = []
    for role in ROLES:
        for language in data.languages:
            own = _of(data, role, language)
            found = [(text, best[key]) for text in own if (key := plain(text)) in best]
            exact = sum(one.exact for _, one in found)
            if own:
                counts.append(Count(role, language, len(own), exact, len(found) - exact))
            examples += _examples(role, language, found)
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
    trainings: Sequence[TrainingSet],
    task: Task,
    data: StreamedCollection,
    threshold: float,
    *,
    quiet: bool,
) -> list[Overlap]:
    from mlbench.training.overlap_streamed import Trained, count_streamed

    trained = Trained(trainings, threshold)
    title = _title(task.name)
    counted, digest = count_streamed(trained, data, title, EXAMPLES, quiet=quiet)
    found = []
    for number, (training, tallies) in enumerate(zip(trainings, counted, strict=True)):
        said = _said(training, trained.texts[number], task, digest, threshold)
        counts = tuple(tally.count for tally in tallies)
        examples = tuple(trained.examples(number, tallies))
        found.append(Overlap(**said, counts=counts, examples=examples))
    return found


def _of(data: Collection, role: str, language: str) -> Sequence[str]:
    entries = data.queries if role == "query" else data.passages
    return entries.texts[entries.slice(data.languages.index(language))]


class _Compared:
    """The texts of a task, and what is known of the training texts that were compared with them."""

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        self._texts = [*dict.fromkeys(map(plain, texts))]
        self._index = TextIndex(self._texts, threshold)
        self._known: set[int] = set()
        self._similar: dict[str, list[tuple[str, float]]] = {}

    def most_similar(self, training: TrainingSet) -> tuple[dict[str, _Best], int]:
        """Return, for each of the texts that has one, the training text that is most similar, and
        the number of distinct training texts. Of equally similar ones it is the text itself, or
        else the first."""
        best: dict[str, _Best] = {}
        seen: set[int] = set()
        for some in _parts(training.every_text(), AT_A_TIME):
            new: dict[str, tuple[str, str]] = {}
            for role, language, text in some:
                if hash(text) not in seen:
                    new.setdefault(text, (role, language))
            seen |= {*map(hash, new)}
            self._compare([text for text in new if hash(text) not in self._known])
            for text, where in new.items():
                for key, similarity in self._similar.get(text, ()):
                    one = _Best(*where, text, similarity, plain(text) == key)
                    if key not in best or best[key].rank < one.rank:
                        best[key] = one
        return best, len(seen)

    def _compare(self, texts: Sequence[str]) -> None:
        """Compare texts that are not known yet."""
        for indexed, other, similarity in zip(*self._index.similar(texts), strict=True):
            found = self._similar.setdefault(texts[other], [])
            found.append((self._texts[indexed], float(similarity)))
        self._known |= {*map(hash, texts)}


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
