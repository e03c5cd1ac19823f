"""Collections and vectors made for tests."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from mlbench.data.building import build_collection
from mlbench.data.collection import Collection, Judgement, Records, TextRecord
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes
from mlbench.ranking.vectors import TokenVectors

CODES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")


def parallel_records(languages: int = 3, questions: int = 8, passages: int = 12) -> Records:
    """Questions q0, q1, ... and passages p0, p1, ... in every language; p_i answers q_i."""
    records = Records()
    for code in CODES[:languages]:
        for i in range(passages):
            records.passages.append(
                TextRecord(
                    f"p{i}", code, f"passage {i} in {code}", f"{code}.json:{i}", f"g{i // 4}"
                )
            )
        for i in range(questions):
            records.queries.append(
                TextRecord(
                    f"q{i}", code, f"question {i} in {code}", f"{code}.json:{i}", f"g{i // 4}"
                )
            )
            records.judgements += [
                Judgement(f"q{i}", code, f"p{i}", other, 1, f"{code}.json:{i}")
                for other in CODES[:languages]
            ]
    return records


def parallel_collection(languages: int = 3, questions: int = 8, passages: int = 12) -> Collection:
    """Return the collection of ``parallel_records``."""
    return build_collection(CODES[:languages], parallel_records(languages, questions, passages))


def vectors_for(
    collection: Collection,
    seed: int = 0,
    dimension: int = 32,
    strength: float = 1.0,
    language_pull: float = 0.5,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return unit query and passage vectors: meaning + language + noise.

    A larger ``strength`` makes a better model, a larger ``language_pull`` a more biased one.
    """
    generator = np.random.default_rng(seed)
    meaning = generator.standard_normal((len(collection.passages), dimension))
    tongue = generator.standard_normal((len(collection.languages), dimension))
    shared = {id_: meaning[i] for i, id_ in enumerate(collection.passages.ids)}
    passages = np.array([shared[id_] for id_ in collection.passages.ids])
    passages = passages + language_pull * tongue[collection.passages.language]
    queries = generator.standard_normal((len(collection.queries), dimension))
    queries += language_pull * tongue[collection.queries.language]
    for query, passage in zip(collection.qrels.query, collection.qrels.passage, strict=True):
        answer = shared[collection.passages.ids[passage]]
        queries[query] += strength * answer / len(collection.languages)
    passages += 0.5 * generator.standard_normal(passages.shape)
    return _unit(queries), _unit(passages)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def token_vectors_for(
    collection: Collection, seed: int = 0, dimension: int = 32, tokens: int = 12
) -> tuple[TokenVectors, TokenVectors]:
    """Return unit vectors of the tokens of queries and passages: the text's own and noise."""
    generator = np.random.default_rng(seed)
    sides = []
    for rows in vectors_for(collection, seed, dimension):
        counts = generator.integers(1, tokens + 1, len(rows))
        spread = np.repeat(rows, counts, 0)
        noise = generator.standard_normal(spread.shape) / np.sqrt(dimension)
        ends = np.append(0, np.cumsum(counts)).astype(np.int64)
        sides.append(TokenVectors(_unit(spread + noise), ends))
    return sides[0], sides[1]


def table_digest(*, tokens: bool = False) -> str:
    """Return the SHA-256 (hex) of the file of a table that takes thousands of scores."""
    if tokens:
        collection = parallel_collection(3, 60, 90)
        ranks, _ = rank_collection(collection, *token_vectors_for(collection, dimension=97))
    else:
        collection = parallel_collection(4, 200, 300)
        ranks, _ = rank_collection(collection, *vectors_for(collection, dimension=97))
    return hashlib.sha256(ranks_to_bytes(ranks, TaskKey("t", "1", "d", ()))).hexdigest()
