"""Measures against a slow oracle with ties, and against outside implementations without."""

from __future__ import annotations

import re
from functools import cache

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.common.errors import UsageError
from mlbench.data.building import build_collection
from mlbench.data.collection import Collection, Judgement, Records, TextRecord
from mlbench.data.task import Kind, Roles, Setting
from mlbench.measures.rank_measures import (
    MEASURES,
    is_rank_distance,
    parse_measure,
    parse_measures,
)
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranks
from mlbench.reports.words import mean_name
from tests.oracles import measures as oracle
from tests.oracles.scores import all_scores, pessimistic_order
from tests.support.strategies import CODES
from tests.support.uncompiled import uncompiled_ranx

LANGUAGES = CODES[:3]
MEASURED = {name: parse_measure(name) for name in oracle.BY_NAME}


def graded_collection(seed: int, sizes: tuple[int, ...], questions: int, rate: float) -> Collection:
    generator = np.random.default_rng(seed)
    records = Records()
    for code, size in zip(LANGUAGES, sizes, strict=True):
        records.passages += [TextRecord(f"{code}-p{i}", code, "text", "") for i in range(size)]
        records.queries += [TextRecord(f"q{i}", code, "text", "") for i in range(questions)]
    for query in records.queries:
        for passage in records.passages:
            if generator.random() < rate:
                grade = int(generator.integers(0, 4))
                records.judgements.append(
                    Judgement(query.id, query.language, passage.id, passage.language, grade, "")
                )
    return build_collection(LANGUAGES, records)


def grades_in_pool(
    collection: Collection, setting: Setting, scores: np.ndarray, *, optimistic: bool = False
) -> list[list[int]]:
    """Grades in ranked order for every query of the setting with a relevant passage."""
    judged = {
        (q, p): g
        for q, p, g in zip(
            collection.qrels.query.tolist(),
            collection.qrels.passage.tolist(),
            collection.qrels.relevance.tolist(),
            strict=True,
        )
    }
    pool = [
        p
        for p in range(len(collection.passages))
        if LANGUAGES[collection.passages.language[p]] in setting.passage_languages
    ]
    ranked = []
    own = collection.queries.slice(LANGUAGES.index(setting.query_language))
    for query in sorted(range(own.start, own.stop), key=lambda q: collection.queries.ids[q]):
        grades = np.array([judged.get((query, p), 0) for p in pool])
        if grades.max() > 0:
            order = pessimistic_order(scores[query, pool], grades, optimistic=optimistic)
            ranked.append(grades[order].tolist())
    return ranked


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), ties=st.booleans(), optimistic=st.booleans())
def test_every_measure_equals_the_slow_oracle_with_ties(seed, ties, optimistic):
    collection = graded_collection(seed, (9, 5, 12), questions=4, rate=0.25)
    generator = np.random.default_rng(seed)
    shape = (len(collection.queries) + len(collection.passages), 6)
    vectors = generator.integers(-1, 2, shape) if ties else generator.standard_normal(shape)
    queries, passages = np.split(vectors.astype(np.float32), [len(collection.queries)])
    scores = np.array(all_scores(queries, passages))
    ranks, _ = rank_collection(collection, queries, passages)
    for setting in Roles(LANGUAGES, LANGUAGES).settings(Kind):
        ranked = grades_in_pool(collection, setting, scores, optimistic=optimistic)
        ranking = ranks.ranking(
            setting.query_language, setting.passage_languages, optimistic=optimistic
        )
        assert len(ranking.query) == len(ranked)
        for name, expected in oracle.BY_NAME.items():
            values = MEASURED[name].per_query(ranking)
            assert values.tolist() == pytest.approx([expected(g) for g in ranked], abs=1e-12), name


OUTSIDE = ("AP", "RR", "nDCG@10", "R@1", "R@10", "R@100", "Success@1", "Rprec", "P@5")
PYTREC = {
    "AP": "map", "RR": "recip_rank", "nDCG@10": "ndcg_cut_10", "R@1": "recall_1",
    "R@10": "recall_10", "R@100": "recall_100", "Success@1": "success_1", "Rprec": "Rprec",
    "P@5": "P_5",
}  # fmt: skip
RANX = {
    "AP": "map", "RR": "mrr", "nDCG@10": "ndcg@10", "R@1": "recall@1", "R@10": "recall@10",
    "R@100": "recall@100", "Success@1": "hit_rate@1", "Rprec": "r-precision", "P@5": "precision@5",
}  # fmt: skip


@cache
def real_sized() -> tuple[Collection, np.ndarray, Ranks]:
    """384 dimensions, 600 passages, graded judgements of which many are adjacent in rank."""
    collection = graded_collection(11, (250, 150, 200), questions=25, rate=0.01)
    generator = np.random.default_rng(11)
    passages = generator.standard_normal((len(collection.passages), 384))
    queries = generator.standard_normal((len(collection.queries), 384))
    for q, p, g in zip(
        collection.qrels.query, collection.qrels.passage, collection.qrels.relevance, strict=True
    ):
        queries[q] += 0.3 * g * passages[p]
    queries, passages = queries.astype(np.float32), passages.astype(np.float32)
    scores = queries.astype(np.float64) @ passages.astype(np.float64).T
    return collection, scores, rank_collection(collection, queries, passages)[0]


def run_and_qrels(
    collection: Collection, scores: np.ndarray, setting: Setting
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """The setting's full ranking and qrels, for the queries with a relevant passage in it."""
    index = [LANGUAGES.index(language) for language in setting.passage_languages]
    pool = np.flatnonzero(np.isin(collection.passages.language, index))
    ids = collection.passages.ids
    own = collection.queries.slice(LANGUAGES.index(setting.query_language))
    inside = set(pool.tolist())
    qrels: dict[str, dict[str, int]] = {}
    for q, p, g in zip(
        collection.qrels.query.tolist(),
        collection.qrels.passage.tolist(),
        collection.qrels.relevance.tolist(),
        strict=True,
    ):
        if own.start <= q < own.stop and p in inside:
            qrels.setdefault(collection.queries.ids[q], {})[ids[p]] = g
    qrels = {q: judged for q, judged in qrels.items() if max(judged.values()) > 0}
    run = {
        collection.queries.ids[q]: {ids[p]: float(scores[q, p]) for p in pool}
        for q in range(own.start, own.stop)
        if collection.queries.ids[q] in qrels
    }
    return run, qrels


def outside_values(
    package: str, run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]
) -> dict[str, float]:
    if package == "pytrec_eval":
        found = pytrec_eval.RelevanceEvaluator(qrels, set(PYTREC.values())).evaluate(run)
        return {
            name: float(np.mean([values[key] for values in found.values()]))
            for name, key in PYTREC.items()
        }
    measures = [ir_measures.parse_measure(name) for name in OUTSIDE]
    found = ir_measures.calc_aggregate(measures, qrels, run)
    return {str(measure): value for measure, value in found.items()}


def by_ranx(asked: list[tuple[dict, dict]]) -> list[dict[str, float]]:
    """Evaluate (run, qrels) of several settings in one call by ranx, on arrays of passage numbers
    and scores.

    Rows that fill the arrays up are irrelevant, and rank last.
    """
    numbers: dict[str, int] = {}
    runs, judged = [], []
    for run, qrels in asked:
        for query, ranking in run.items():
            best = sorted(ranking.items(), key=lambda each: -each[1])
            runs.append([(numbers.setdefault(id_, len(numbers)), score) for id_, score in best])
            graded = sorted(qrels[query].items(), key=lambda each: -each[1])
            judged.append([(numbers[id_], grade) for id_, grade in graded])
    arrays = []
    for rows, filling in ((judged, (-1.0, 0.0)), (runs, (-2.0, -np.inf))):
        longest = max(map(len, rows))
        arrays.append(np.array([[*row, *[filling] * (longest - len(row))] for row in rows]))
    with uncompiled_ranx() as ranx:
        found = ranx.evaluate(*arrays, list(RANX.values()), return_mean=False)
    ends = np.cumsum([len(run) for run, _ in asked])
    return [
        {name: float(np.mean(found[key][start:end])) for name, key in RANX.items()}
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


@pytest.mark.parametrize("package", ["pytrec_eval", "ir_measures", "ranx"])
def test_measures_equal_outside_implementations_in_every_setting(package):
    collection, scores, ranks = real_sized()
    asked = list(Roles(LANGUAGES, LANGUAGES).settings(Kind))
    given = [run_and_qrels(collection, scores, setting) for setting in asked]
    found = by_ranx(given) if package == "ranx" else [outside_values(package, *of) for of in given]
    for setting, outside in zip(asked, found, strict=True):
        ranking = ranks.ranking(setting.query_language, setting.passage_languages)
        for name in OUTSIDE:
            ours = float(np.mean(parse_measure(name).per_query(ranking)))
            assert ours == pytest.approx(outside[name], abs=1e-9), (package, setting, name)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), ties=st.booleans())
def test_measures_lie_between_0_and_1_and_ties_only_cost(seed, ties):
    collection = graded_collection(seed, (6, 3, 8), questions=3, rate=0.4)
    generator = np.random.default_rng(seed)
    high = 2 if ties else 1000
    queries = generator.integers(-1, high, (len(collection.queries), 4)).astype(np.float32)
    passages = generator.integers(-1, high, (len(collection.passages), 4)).astype(np.float32)
    ranks, _ = rank_collection(collection, queries, passages)
    for setting in Roles(LANGUAGES, LANGUAGES).settings(Kind):
        pool = setting.passage_languages
        pessimistic = ranks.ranking(setting.query_language, pool)
        optimistic = ranks.ranking(setting.query_language, pool, optimistic=True)
        for measure in MEASURED.values():
            low = measure.per_query(pessimistic)
            high_values = measure.per_query(optimistic)
            assert (low >= 0).all()
            assert (high_values <= 1 + 1e-12).all()
            assert (low <= high_values + 1e-12).all()


@pytest.mark.parametrize(
    ("asked", "name"),
    [("MRR@10", "RR@10"), ("MAP", "AP"), ("nDCG@10", "nDCG@10"), ("Recall@5", "R@5"),
     ("AP(rel=2)@100", "AP(rel=2)@100"), ("NDCG@3", "nDCG@3")],
)  # fmt: skip
def test_names_and_aliases_are_those_of_ir_measures(asked, name):
    assert parse_measure(asked).name == name
    assert str(ir_measures.parse_measure(asked)) == name


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("AP", "mAP MAP map ap Average-Precision mean_average_precision"),
        ("AP(rel=2)@100", "mAP(rel=2)@100 map(rel=2)_at_100"),
        ("RR", "mrr MRR Mrr recip_rank reciprocal-rank"),
        ("RR@10", "MRR@10 mrr@10 mrr_at_10 rr@10"),
        ("nDCG", "ndcg NDCG nDCG"),
        ("nDCG@10", "NDCG@10 ndcg@10 ndcg_at_10 ndcg_cut_10 ndcg_cut.10 NDCG_10"),
        ("R@100", "Recall@100 recall@100 r@100 recall_100 recall_at_100 Rec@100"),
        ("P@5", "P@5 p@5 precision@5 Precision_at_5 P_5 prec@5"),
        (
            "Success@1",
            "hit@1 Hits@1 hits@1 Hit-Rate@1 hit_rate_at_1 HR@1 success@1 Success_1 accuracy@1 "
            "ACC@1 Accuracy accuracy acc",
        ),
        ("Success@10", "Hits@10 hit_rate@10 accuracy@10 success_10"),
        ("Rprec", "Rprec rprec R-Prec R-precision r_precision"),
    ],
)
def test_what_people_call_a_measure_in_any_case_is_answered_by_its_name(name, asked):
    assert {parse_measure(each).name for each in asked.split()} == {name}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_other_tools_and_the_tables_call_a_measure_is_understood(name):
    shown = [each[name] for each in (PYTREC, RANX) if name in each]
    for called in (*shown, mean_name(name), name.lower(), name.upper(), f" {name} "):
        assert parse_measure(called).name == name


@pytest.mark.parametrize("called", ["rank-distance", "Rank Distance", "RANK_DISTANCE", "PEER"])
def test_what_every_report_has_need_not_be_named(called):
    with pytest.raises(UsageError, match="need not be named"):
        parse_measure(called)
    assert is_rank_distance(called) == (called != "PEER")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("nDGC@10", "did you mean 'nDCG@10'?"),
        ("mapp", "did you mean 'AP'?"),
        ("MRR10", "did you mean 'RR@10'?"),
        ("R1", "did you mean 'R@1'?"),
        ("recal@5", "did you mean 'R@5'"),
        ("DCG@10", "did you mean 'nDCG@10'?"),
        ("hits", "Success@k, such as Success@1 or Success@10"),
        ("recall", "at the number of relevant passages, the measure is Rprec"),
        ("precision", "P@k, such as P@1"),
        ("R@k", "write a whole number after the @, such as R@10"),
        ("Bpref", "the table of ranks cannot give it"),
        ("R", "no cutoff"),
        ("R@0", "cutoff 0"),
        ("P@1.5", "cutoff 1.5"),
        ("R@ten", "not a measure"),
        ("AP(judged_only=True)", "parameter 'judged_only'"),
        ("", "not a measure"),
    ],
)
def test_bad_measures_are_refused_with_a_hint(asked, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_measure(asked)


def test_all_bad_measures_are_reported_at_once_and_repeats_count_once():
    with pytest.raises(UsageError) as caught:
        parse_measures(["AP", "foo", "R"])
    assert len(caught.value.faults) == 2
    assert [m.name for m in parse_measures(["AP", "MAP", "R@1", "AP"])] == ["AP", "R@1"]


def test_every_measure_has_a_citation():
    assert all(definition.citation for definition in MEASURES.values())
