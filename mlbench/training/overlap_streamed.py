"""The overlap of a training set with a task that is streamed: its passages are read once.

Here the training text is indexed and held, not what is evaluated; similarity is the same either
way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mlbench.common.progress import Step
from mlbench.data.corpus import ShardSource, StreamedCollection, without_absent
from mlbench.data.digests import add, sum_of_records
from mlbench.data.overlap_record import Count, Example
from mlbench.evaluation.scan import Scan, ShardScan, wanted_passages
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.similar_texts import TextIndex, plain

AT_A_TIME = 8192
"""Questions that are compared at a time."""


class Trained:
    """The distinct texts of a training set, indexed; ``texts`` is how many there are."""

    def __init__(self, training: TrainingSet, threshold: float) -> None:
        known: dict[str, tuple[str, str, str]] = {}
        seen: set[int] = set()
        for role, language, text in training.every_text():
            seen.add(hash(text))
            known.setdefault(plain(text), (role, language, text))
        self.texts = len(seen)
        self._keys, self._known = [*known], [*known.values()]
        self._index = TextIndex(self._keys, threshold)

    def most_similar(self, texts: Sequence[str]) -> Iterator[tuple[str, int, float]]:
        """Yield each of these texts that is similar to a training text: with the number of the most
        similar one, and their similarity."""
        best: dict[int, tuple[int, float]] = {}
        for indexed, other, similarity in zip(*self._index.similar(texts), strict=True):
            if other not in best or best[other][1] < similarity:
                best[other] = (int(indexed), float(similarity))
        for other, found in best.items():
            yield texts[other], *found

    def is_exact(self, text: str, number: int) -> bool:
        """Whether a text is the training text of that number, as texts are compared."""
        return self._keys[number] == plain(text)

    def example(self, role: str, language: str, text: str, number: int, value: float) -> Example:
        """Return what was found as it is shown."""
        return Example(role, language, text, *self._known[number], round(value, 4))


@dataclass
class Tally:
    """What was counted so far of a role and language, and the longest texts that were found."""

    trained: Trained
    role: str
    language: str
    most: int
    texts: int = 0
    exact: int = 0
    near: int = 0
    longest: dict[str, Example] = field(default_factory=dict)

    def take(self, texts: Sequence[str]) -> None:
        """Compare some more texts."""
        self.texts += len(texts)
        for text, number, similarity in self.trained.most_similar(texts):
            exact = self.trained.is_exact(text, number)
            self.exact += exact
            self.near += not exact
            example = self.trained.example(self.role, self.language, text, number, similarity)
            self.longest.setdefault(text, example)
        first = sorted(self.longest.items(), key=lambda each: (-len(each[0]), each[0]))
        self.longest = dict(first[: self.most])

    @property
    def count(self) -> Count:
        """The counts."""
        return Count(self.role, self.language, self.texts, self.exact, self.near)


def count_streamed(
    trained: Trained, data: StreamedCollection, title: str, most: int, *, quiet: bool
) -> tuple[list[Tally], str]:
    """Return what is counted of each role and language that has texts, and the digest of the
    collection, which is made in passing; ``most`` examples of each are kept."""
    asked, searched = (
        {language: Tally(trained, role, language, most) for language in data.languages}
        for role in ("query", "passage")
    )
    for number, language in enumerate(data.languages):
        own = data.queries.texts[data.queries.slice(number)]
        for start in range(0, len(own), AT_A_TIME):
            asked[language].take(own[start : start + AT_A_TIME])
    wanted, scans = wanted_passages(data), []
    with Step(title, len(data.shards), "shards", quiet=quiet) as step:
        for shard in data.shards:
            scans.append(_count_shard(shard, searched[shard.language], wanted[shard.language]))
            step.advance(1)
    scan = Scan(data.languages, tuple(scans))
    tallies = [each for each in (*asked.values(), *searched.values()) if each.texts]
    return tallies, scan.digest(without_absent(data, scan.present))


def _count_shard(shard: ShardSource, tally: Tally, wanted: dict[str, bool]) -> ShardScan:
    total, count = 0, 0
    judged: dict[str, int] = {}
    for batch in shard.passages():
        tally.take([passage.text for passage in batch])
        total += sum_of_records("passage", ((shard.language, *passage) for passage in batch))
        judged |= {p.id: place for place, p in enumerate(batch, count) if p.id in wanted}
        count += len(batch)
    return ShardScan(shard.name, shard.language, count, "", f"{add(total):x}", judged, {}, {})
