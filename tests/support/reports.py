"""Reports and their tables of ranks, made for tests of what shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from mlbench.data.building import build_collection
from mlbench.data.collection import Collection, Judgement, Records, TextRecord
from mlbench.data.task import Kind, Setting
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranks
from mlbench.reports.provenance import Encoded, ModelInfo, RunInfo, TaskInfo
from mlbench.reports.report import Report
from tests.support.strategies import CODES

MEASURES = ("AP", "RR", "nDCG@10", "R@1", "R@10", "Success@1")
ALL_KINDS = tuple(Kind)

Vectors = npt.NDArray[np.float32]


def languages(count: int) -> tuple[str, ...]:
    """The usual codes, then as many made-up ones as are asked for."""
    return (*CODES, *(f"x{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(count)))[:count]


def collection_of(codes: Sequence[str], questions: int = 8, apart: bool = False) -> Collection:
    """q_i is answered by p_i, in all languages, or if ``apart`` in its own and the next one."""
    records = Records()
    for at, code in enumerate(codes):
        for i in range(questions):
            records.queries.append(TextRecord(f"q{i}", code, f"question {i} {code}", "here"))
            answered = {code, codes[(at + 1) % len(codes)]} if apart else codes
            records.judgements += [
                Judgement(f"q{i}", code, f"p{i}", other, 1, "here") for other in sorted(answered)
            ]
        for i in range(questions + 4):
            records.passages.append(TextRecord(f"p{i}", code, f"passage {i} {code}", "here"))
    return build_collection(codes, records)


def vectors(
    collection: Collection, noise: float = 1.0, pull: float = 0.5, seed: int = 3
) -> tuple[Vectors, Vectors]:
    """Meaning + ``pull`` times language + ``noise``; without either the model is perfect."""
    generator = np.random.default_rng(seed)
    meaning = {id_[1:]: generator.standard_normal(64) for id_ in collection.passages.ids}
    tongue = generator.standard_normal((len(collection.languages), 64))
    sides = []
    for entries in (collection.queries, collection.passages):
        side = np.array([meaning[id_[1:]] for id_ in entries.ids]) + pull * tongue[entries.language]
        side += noise * generator.standard_normal(side.shape)
        sides.append((side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32))
    return sides[0], sides[1]


def equal_vectors(collection: Collection) -> tuple[Vectors, Vectors]:
    """The same vector for every text: a model that has collapsed."""
    return tuple(  # type: ignore[return-value]
        np.full((len(entries), 4), 0.5, np.float32)
        for entries in (collection.queries, collection.passages)
    )


def report_of(
    collection: Collection,
    encoded: tuple[Vectors, Vectors],
    kinds: Sequence[Kind] = ALL_KINDS,
    measures: Sequence[str] = MEASURES,
) -> tuple[Report, Ranks]:
    """The report on a collection, and its table of ranks."""
    ranks, recomputed = rank_collection(collection, *encoded)
    codes = collection.languages
    parsed = parse_measures(measures)
    between = collection.roles.between_modalities
    settings = collection.roles.settings(kinds) if between else _settings(codes, kinds)
    scores = compute_scores(ranks, settings, parsed)
    task = TaskInfo(
        name="parallel",
        version="1",
        title="Parallel questions",
        digest=collection.digest,
        languages=codes,
        kinds=tuple(kind.value for kind in kinds),
        text="sentence",
        licence="CC-BY-4.0",
        citation="Somebody, Some Title, 2020",
        queries=dict(zip(codes, collection.queries.counts.tolist(), strict=True)),
        passages=dict(zip(codes, collection.passages.counts.tolist(), strict=True)),
        relevant_pairs=len(collection.qrels.query),
    )
    model = ModelInfo(
        "some-model", "module:factory", "module", "ab" * 32, "cosine", 64, "float32",
        parameters=1_234_567, prompts={"query": "ask: "},
    )  # fmt: skip
    run = RunInfo(
        command="mlbench run parallel --model module:factory",
        date="2025-01-31T12:00:00+00:00",
        versions={"mlbench": "0.1.0", "numpy": "2.1.0"},
        platform="Linux",
        processor="some processor",
        threads=2,
        seconds={"encoding": 12.34, "ranking": 5.6},
        peak_memory=3 * 2**29,
        encoded={"query": Encoded(88, 80), "passage": Encoded(132, 130)},
        recomputed=recomputed,
    )
    return Report(task, model, tuple(m.name for m in parsed), scores, run, ranks=ranks), ranks


def _settings(codes: Sequence[str], kinds: Sequence[Kind]) -> list[Setting]:
    pools = {
        Kind.MONOLINGUAL: lambda query: [(query,)],
        Kind.CROSSLINGUAL: lambda query: [(other,) for other in codes if other != query],
        Kind.MULTILINGUAL: lambda query: [tuple(codes)] if len(codes) > 1 else [],
    }
    return [Setting(k, query, pool) for k in kinds for query in codes for pool in pools[k](query)]


@cache
def example(count: int = 3, noise: float = 1.0, pull: float = 0.5) -> tuple[Report, Ranks]:
    """A report on ``count`` languages of a model neither perfect nor unbiased."""
    collection = collection_of(languages(count))
    return report_of(collection, vectors(collection, noise, pull))


def pair(report: Report) -> tuple[Report, Ranks]:
    """A report and its table."""
    return report, report.table


def renamed(report: Report, name: str) -> Report:
    """The same report of a model called ``name``, and with a warning that names it."""
    return replace(report, model=replace(report.model, name=name), warnings=(f"beware: {name}",))
