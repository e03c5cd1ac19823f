"""Tables and vectors of a parallel task, and a sample of them, for tests of verification."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.leaderboard.verifying.agreement import Agreement, compare
from mlbench.leaderboard.verifying.claims import Tolerance
from mlbench.leaderboard.verifying.samples import draw, part_of
from mlbench.leaderboard.verifying.verification import VerifiedEntry, VerifiedTask
from mlbench.leaderboard.verifying.verify import Request, Subject, verify
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.models.encoding import Embedded
from mlbench.models.registry import LoadedModel
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranks
from tests.support.reports import collection_of, languages, vectors

FLOAT32 = Tolerance(1e-5)
Floats = npt.NDArray[np.float32]


@cache
def problem(seed: int = 0, noise: float = 4.0, questions: int = 150):
    """A collection of three languages, vectors of a middling model, and its table."""
    collection = collection_of(languages(3), questions)
    sides = vectors(collection, noise=noise, seed=seed)
    return collection, sides, rank_collection(collection, *sides)[0]


def sampled(
    collection: Collection,
    sides,
    ranks: Ranks,
    seed: int = 0,
    size: tuple[int, int] = (60, 60),
    tolerance: Tolerance = FLOAT32,
    rounding: float = 1e-6,
) -> Agreement:
    """Hold a table against a sample of vectors that are rounded otherwise."""
    generator = np.random.default_rng(seed)
    part = part_of(ranks, collection, draw(ranks, collection, *size, seed))
    other = [
        (side * (1 + rounding * generator.standard_normal(side.shape))).astype(np.float32)
        for side in (sides[0][part.queries], sides[1][part.passages])
    ]
    return compare(part.claims, part.vectors(Embedded(*other, (), {})), tolerance)


def lowered(ranks: Ranks, share: float, where: object = True) -> Ranks:
    """The table with counts lower by a share, rounded to the nearest."""
    counts = np.rint(ranks.above * (1 - share)).astype(np.int32)
    return replace(ranks, above=np.where(where, counts, ranks.above))


IDENTITY = "declared: known v1"


class Known:
    """Gives texts the vectors it is made with, and counts what it is asked for."""

    similarity = "cosine"

    def __init__(self, collection, sides, dtype="float32"):
        self.asked = Counter()
        self.dtype = dtype
        self.of = {
            role: dict(zip(entries.texts, side, strict=True))
            for role, entries, side in (
                ("query", collection.queries, sides[0]),
                ("passage", collection.passages, sides[1]),
            )
        }

    def encode_queries(self, texts, language):
        return self._encode("query", texts)

    def encode_passages(self, texts, language):
        return self._encode("passage", texts)

    def _encode(self, role, texts):
        self.asked[role] += len(texts)
        return np.array([self.of[role][text] for text in texts])

    def describe(self):
        return {"dtype": self.dtype, "versions": {"known": "1"}}


TASK = replace(find_task("sample"), name="parallel", version="1", languages=("ar", "de", "el"))


def subject_of(ranks, collection, **entry) -> Subject:
    named = {"kind": "entry", "sha256": "a" * 64, "ranks_sha256": "b" * 64, "model": "known"}
    return Subject(
        VerifiedEntry(**named | {"identity": IDENTITY} | entry),
        VerifiedTask("parallel", "1", collection.digest),
        64,
        "float32",
        ("AP", "R@1"),
        ranks,
    )


def loaded(adapter, identity=IDENTITY) -> LoadedModel:
    return LoadedModel("known.py:make", "known", "file", adapter, "cosine", identity)


def verified(ranks=None, adapter=None, identity=IDENTITY, noise=4.0, seed=3, **request):
    collection, sides, honest = problem(noise=noise)
    subject = subject_of(honest if ranks is None else ranks, collection)
    model = loaded(adapter or Known(collection, sides), identity)
    asked = {"queries": 90, "passages": 60, "seed": seed} | request
    return verify(subject, TASK, collection, model, Request(**asked))


def unit(vectors) -> Floats:
    """Each row divided by its norm, as float32."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def favourable(collection: Collection, sides, share: float) -> Ranks:
    """The best table that no certain comparison contradicts: whatever is too close to call, where
    each score may be off by ``share``, is claimed to be below the relevant passage."""
    ranks = rank_collection(collection, *sides)[0]
    queries, passages = collection.queries.index, collection.passages.index
    scores = sides[0].astype(np.float64) @ sides[1].astype(np.float64).T
    above = np.zeros_like(ranks.above)
    asked = zip(ranks.query_language.tolist(), ranks.query_ids, strict=True)
    for number, query in enumerate(map(queries.__getitem__, asked)):
        rows = range(*ranks.starts[number : number + 2])
        own = [passages[int(ranks.passage_language[row]), ranks.passage_ids[row]] for row in rows]
        others = np.ones(len(passages), bool)
        others[own] = False
        for row, passage in zip(rows, own, strict=True):
            sure = others & (scores[query] > scores[query, passage] + 1.98 * share)
            above[row] = np.add.reduceat(sure, collection.passages.starts[:-1], dtype=np.int32)
    return replace(ranks, above=above, tied=np.zeros_like(ranks.tied))


def average_precision(ranks: Ranks) -> float:
    """The macro AP of the multilingual settings."""
    measures = parse_measures(["AP"])
    return compute_scores(ranks, TASK.settings(), measures).macro["multilingual"]["AP"].value
