"""Generated vectors of XQuAD-R's shape, and vectors kept in a memory-mapped file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlbench.data.building import build_collection
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection, Judgement, Records, TextRecord
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Setting
from mlbench.models.cache import open_cache
from mlbench.models.encoding import Encoding
from mlbench.models.registry import load_adapter
from mlbench.ranking.vectors import Vectors

CODES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
XQUAD_R_PASSAGES = (1222, 1276, 1234, 1180, 1215, 1244, 1219, 852, 1167, 1209, 1196)
XQUAD_R_QUESTIONS = 1190


@dataclass(frozen=True)
class Problem:
    """A collection and its vectors, of any kind; dense ones are float32 and of length 1."""

    collection: Collection
    queries: Vectors
    passages: Vectors


def xquad_r_shape(
    dimension: int = 384, questions: int = XQUAD_R_QUESTIONS, scale: float = 1.0, seed: int = 0
) -> Problem:
    """Return a problem of XQuAD-R's shape: one relevant passage a language for every question.

    The vectors are those of a middling model: a question leans towards its answers, and all
    texts of a language towards each other. ``scale`` shrinks it all, for smoke tests.
    """
    questions = max(4, int(questions * scale))
    generator = np.random.default_rng(seed)
    sizes = [max(2, int(size * scale)) for size in XQUAD_R_PASSAGES]
    records = Records()
    answers = generator.integers(0, 2**31, (questions, len(CODES))) % sizes
    for code, size in zip(CODES, sizes, strict=True):
        records.passages += [TextRecord(f"p{i}", code, "text", "") for i in range(size)]
        for i in range(questions):
            records.queries.append(TextRecord(f"q{i:05d}", code, "text", ""))
            records.judgements += [
                Judgement(f"q{i:05d}", code, f"p{answers[i, other]}", name, 1, "")
                for other, name in enumerate(CODES)
            ]
    collection = build_collection(CODES, records)
    tongue = generator.standard_normal((len(CODES), dimension))
    topic = generator.standard_normal((questions, dimension))
    passages = generator.standard_normal((sum(sizes), dimension))
    starts = collection.passages.starts
    for column in range(len(CODES)):
        passages[starts[column] + answers[:, column]] += topic
    passages += 0.5 * tongue[collection.passages.language]
    queries = generator.standard_normal((len(collection.queries), dimension))
    queries += np.tile(topic, (len(CODES), 1)) + 0.5 * tongue[collection.queries.language]
    return Problem(collection, _unit(queries), _unit(passages))


def xquad_r(model: Path) -> Problem:
    """Return XQuAD-R itself with the vectors of a checkpoint; what is cached is not encoded."""
    task, cache = find_task("xquad-r"), open_cache()
    collection = read_collection(task, Locator().of(task))
    loaded = load_adapter(str(model.absolute()), {}, cache)
    found = Encoding(loaded, collection, cache).encode(lambda done: None)
    return Problem(collection, found.queries, found.passages)


@dataclass(frozen=True)
class Part:
    """A setting alone, as evaluation packages take it: ids, float32 vectors, and qrels by id."""

    setting: Setting
    query_ids: list[str]
    passage_ids: list[str]
    queries: npt.NDArray[np.float32]
    passages: npt.NDArray[np.float32]
    qrels: dict[str, dict[str, int]]


def parts(problem: Problem, settings: Sequence[Setting]) -> Iterator[Part]:
    """Cut a problem by setting; a passage's id names its language too."""
    collection = problem.collection
    number = {code: i for i, code in enumerate(collection.languages)}
    names = [
        f"{collection.languages[language]}-{id_}"
        for language, id_ in zip(collection.passages.language, collection.passages.ids, strict=True)
    ]
    judged: dict[int, list[int]] = {}
    for query, passage in zip(
        collection.qrels.query.tolist(), collection.qrels.passage.tolist(), strict=True
    ):
        judged.setdefault(query, []).append(passage)
    for setting in settings:
        own = collection.queries.slice(number[setting.query_language])
        inside = [number[code] for code in setting.passage_languages]
        pool = np.flatnonzero(np.isin(collection.passages.language, inside))
        members = set(pool.tolist())
        yield Part(
            setting,
            query_ids=list(collection.queries.ids[own]),
            passage_ids=[names[p] for p in pool],
            queries=problem.queries[own],
            passages=problem.passages[pool],
            qrels={
                collection.queries.ids[query]: {names[p]: 1 for p in judged[query] if p in members}
                for query in range(own.start, own.stop)
            },
        )


def mapped_corpus(path: Path, passages: int, dimension: int) -> npt.NDArray[np.float32]:
    """Write random unit vectors to ``path`` in blocks and return them memory-mapped."""
    generator = np.random.default_rng(1)
    shape = (passages, dimension)
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, passages, 50_000):
        stop = min(start + 50_000, passages)
        mapped[start:stop] = _unit(generator.standard_normal((stop - start, dimension), np.float32))
    mapped.flush()
    del mapped
    return np.load(path, mmap_mode="r")


def unit_vectors(size: int, dimension: int, seed: int) -> npt.NDArray[np.float32]:
    """Return random float32 unit vectors."""
    return _unit(np.random.default_rng(seed).standard_normal((size, dimension)))


def _unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
