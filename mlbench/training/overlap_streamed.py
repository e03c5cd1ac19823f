"""The overlap of a training set with a task that is streamed: its passages are read once.

Here the training text is indexed and held, not what is evaluated; similarity is the same either
way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mlbench.common.progress import Step
from mlbench.data.corpus import ShardSource, StreamedCollection, without_absent
from mlbench.data.digests import add, sum_of_records
from mlbench.data.overlap_record import Count, Example
from mlbench.evaluation.scan import Scan, ShardScan, wanted_passages
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.similar_texts import TextIndex, plain

AT_A_TIME = 8192
"""Questions that are compared at a time."""


class Found(NamedTuple):
    """An evaluated text, the number of the training text most similar to it, their similarity, and
    whether both are the same text, as texts are compared."""

    text: str
    number: int
    similarity: float
    exact: bool


class Trained:
    """The distinct texts of several training sets, indexed together; ``texts`` is how many each of
    them has."""

    def __init__(self, trainings: Sequence[TrainingSet], threshold: float) -> None:
        self._trainings = trainings
        number_of: dict[str, int] = {}
        numbers: dict[str, int] = {}
        first: list[dict[int, int]] = []
        self.texts: list[int] = []
        for training in trainings:
            seen: set[int] = set()
            places: dict[int, int] = {}
            for place, (_, _, text) in enumerate(training.every_text()):
                seen.add(hash(text))
                if text not in number_of:
                    number_of[text] = numbers.setdefault(plain(text), len(numbers))
                places.setdefault(number_of[text], place)
            self.texts.append(len(seen))
            first.append(places)
        self._keys = [*numbers]
        self._places = np.full((len(trainings), len(numbers)), -1, np.int64)
        for row, places in zip(self._places, first, strict=True):
            row[[*places]] = [*places.values()]
        self._index = TextIndex(self._keys, threshold)

    def most_similar(self, texts: Sequence[str]) -> list[list[Found]]:
        """Return, for each training set, those of these texts that are similar to a training text,
        each with the most similar one: of equally similar ones the text itself, or the first."""
        best: list[dict[int, tuple[tuple[float, bool, int], Found]]]
        best = [{} for _ in self._trainings]
        for indexed, other, similarity in zip(*self._index.similar(texts), strict=True):
            exact = self._keys[indexed] == plain(texts[other])
            one = Found(texts[other], int(indexed), float(similarity), exact)
            for of, place in zip(best, self._places[:, indexed].tolist(), strict=True):
                rank = one.similarity, exact, -place
                if place >= 0 and (other not in of or of[other][0] < rank):
                    of[other] = rank, one
        return [[one for _, one in of.values()] for of in best]

    def examples(self, training: int, tallies: Sequence[Tally]) -> Iterator[Example]:
        """Yield the longest texts that were found of one training set, as they are shown."""
        places = self._places[training]
        wanted = {int(places[one.number]) for tally in tallies for one in tally.longest.values()}
        texts = enumerate(self._trainings[training].every_text()) if wanted else ()
        known = {place: told for place, told in texts if place in wanted}
        for tally in tallies:
            for one in tally.longest.values():
                told = known[int(places[one.number])]
                yield Example(tally.role, tally.language, one.text, *told, round(one.similarity, 4))


@dataclass
class Tally:
    """What was counted so far of a role and language, and the longest texts that were found."""

    role: str
    language: str
    most: int
    texts: int = 0
    exact: int = 0
    near: int = 0
    longest: dict[str, Found] = field(default_factory=dict)

    def take(self, texts: int, found: Sequence[Found]) -> None:
        """Count some more texts, and those of them that were found."""
        self.texts += texts
        for one in found:
            self.exact += one.exact
            self.near += not one.exact
            self.longest.setdefault(one.text, one)
        first = sorted(self.longest.items(), key=lambda each: (-len(each[0]), each[0]))
        self.longest = dict(first[: self.most])

    @property
    def count(self) -> Count:
        """The counts."""
        return Count(self.role, self.language, self.texts, self.exact, self.near)


class _Tallies:
    """The tallies of a role and language, one for each training set."""

    def __init__(self, trained: Trained, role: str, language: str, most: int) -> None:
        self._trained = trained
        self.each = [Tally(role, language, most) for _ in trained.texts]

    def take(self, texts: Sequence[str]) -> None:
        """Compare some more texts."""
        for tally, found in zip(self.each, self._trained.most_similar(texts), strict=True):
            tally.take(len(texts), found)


def count_streamed(
    trained: Trained, data: StreamedCollection, title: str, most: int, *, quiet: bool
) -> tuple[list[list[Tally]], str]:
    """Return, for each training set, what is counted of each role and language that has texts, and
    the digest of the collection, which is made in passing; ``most`` examples of each are kept."""
    asked, searched = (
        {language: _Tallies(trained, role, language, most) for language in data.languages}
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
    of_training = zip(*(of.each for of in (*asked.values(), *searched.values())), strict=True)
    tallies = [[each for each in of if each.texts] for of in of_training]
    return tallies, scan.digest(without_absent(data, scan.present))


def _count_shard(shard: ShardSource, tally: _Tallies, wanted: dict[str, bool]) -> ShardScan:
    total, count = 0, 0
    judged: dict[str, int] = {}
    for batch in shard.passages():
        tally.take([passage.text for passage in batch])
        total += sum_of_records("passage", ((shard.language, *passage) for passage in batch))
        judged |= {p.id: place for place, p in enumerate(batch, count) if p.id in wanted}
        count += len(batch)
    return ShardScan(shard.name, shard.language, count, "", f"{add(total):x}", judged, {}, {})
