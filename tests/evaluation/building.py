"""Collections to stream, made here, and the same read at once."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlbench.data.building import build_collection
from mlbench.data.building_streamed import build_streamed
from mlbench.data.collection import Collection, Judgement, TextRecord
from mlbench.data.corpus import BATCH, Passage, ShardSource, StreamedCollection, StreamedRecords
from mlbench.data.task import Kind, Source, Task
from mlbench.evaluation.driver import Pass
from mlbench.evaluation.options import Options
from mlbench.models.registry import LoadedModel, load_adapter

LANGUAGES = ("sw", "en", "th")
WORDS = ("sea", "land", "river", "hill", "bird", "fish", "tree", "moon", "rain", "fire", "door")


@dataclass(frozen=True)
class ListShard(ShardSource):
    """A shard in memory; ``batch`` passages are read at a time."""

    held: tuple[Passage, ...]
    batch: int = BATCH

    def passages(self) -> Iterator[list[Passage]]:
        for start in range(0, len(self.held), self.batch):
            yield list(self.held[start : start + self.batch])

    def digest(self) -> str | None:
        return hashlib.sha256(repr(self.held).encode()).hexdigest()


def records(
    seed: int = 0,
    queries: int = 12,
    passages: int = 60,
    shards: int = 3,
    languages: tuple[str, ...] = LANGUAGES,
) -> StreamedRecords:
    """Queries with 1 to 4 relevant passages in some languages, and judged ones that are not.

    Many texts are given several times, so that ties abound.
    """
    draw = random.Random(seed)
    found = StreamedRecords()

    def text(language: str) -> str:
        return " ".join([language, *draw.choices(WORDS, k=draw.randint(1, 3))])

    for language in languages:
        held = [Passage(f"{language}#{i}", text(language)) for i in range(passages)]
        edges = sorted(draw.sample(range(1, passages), shards - 1))
        for number, (first, last) in enumerate(zip([0, *edges], [*edges, passages], strict=True)):
            shard = ListShard(language, f"{language}/docs-{number}", None, tuple(held[first:last]))
            found.shards.append(shard)
        for i in range(queries):
            found.queries.append(TextRecord(f"q{i}", language, text(language), "here"))
            for code in dict.fromkeys([language, draw.choice(languages)]):
                for number in draw.sample(range(passages), draw.randint(1, 4)):
                    grade = draw.choice([0, 1, 1, 2])
                    found.judgements.append(
                        Judgement(f"q{i}", language, f"{code}#{number}", code, grade, "here")
                    )
            found.judgements.append(
                Judgement(f"q{i}", language, f"{language}#{i}", language, 1, "here")
            )
    seen: dict[tuple[str, str, str], Judgement] = {}
    for judgement in found.judgements:
        key = (judgement.query_id, judgement.query_language, judgement.passage_id)
        seen.setdefault(key, judgement)
    found.judgements = list(seen.values())
    return found


def streamed(found: StreamedRecords, languages: tuple[str, ...] = LANGUAGES) -> StreamedCollection:
    return build_streamed(languages, found)


def at_once(found: StreamedRecords, languages: tuple[str, ...] = LANGUAGES) -> Collection:
    return build_collection(languages, found.read_all())


def task_of(languages: tuple[str, ...] = LANGUAGES, name: str = "made-up") -> Task:
    return Task(
        name=name,
        version="1",
        title="Made up",
        languages=languages,
        kinds=tuple(Kind),
        measures=("AP", "nDCG@10", "R@100"),
        text="",
        licence="none",
        citation="none",
        source=Source("miracl", {}),
        path=Path("made-up.toml"),
    )


def model_of(spec: str = "char-ngram") -> LoadedModel:
    return load_adapter(spec)


def pass_in(folder: Path, **given: object) -> Pass:
    return Pass(work=folder / "work", scans=folder / "scans", **given)  # type: ignore[arg-type]


QUIET = Options(progress=False, cache=None, threads=1, device="cpu")
