"""Scores of runs: against pytrec_eval, against mlbench's own of the whole ranking, and MIRACL's."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import pytrec_eval

from mlbench.data.building import build_collection
from mlbench.data.corpus import Judged, StreamedCollection
from mlbench.data.task import Kind, Roles
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.ranking.counting import rank_collection
from mlbench.runs.matching import Matching, Targets
from mlbench.runs.patterns import find_runs
from mlbench.runs.rankings import Rankings
from mlbench.runs.reading import read_run
from mlbench.runs.scoring import score_runs
from tests.runs.building import rankings_of, scored, trec
from tests.support.strategies import CODES, parallel_collection, parallel_records, vectors_for

MEASURES = {"AP": "map", "RR": "recip_rank", "nDCG@10": "ndcg_cut_10", "R@3": "recall_3",
            "P@5": "P_5", "Success@1": "success_1", "Rprec": "Rprec", "AP@4": "map_cut_4",
            "nDCG": "ndcg"}  # fmt: skip


def graded_collection():
    """Three languages; a query has answers of grades 1 to 3, not in every language."""
    records = parallel_records(3, 8, 12)
    records.judgements = [
        j._replace(relevance=(i * 7) % 5 - 1) for i, j in enumerate(records.judgements)
    ]
    return build_collection(CODES[:3], records)


COLLECTION = graded_collection()


def name_of(entries, index, prefixed):
    code = COLLECTION.languages[entries.language[index]]
    return f"{code}:{entries.ids[index]}" if prefixed else entries.ids[index]


def qrels_of(language, pool):
    """The judgements of a language's queries in a pool, as pytrec_eval takes them, without the
    queries that nothing there is relevant to."""
    found = {}
    for q, p, grade in zip(*vars(COLLECTION.qrels).values(), strict=True):
        if COLLECTION.queries.language[q] == language and COLLECTION.passages.language[p] in pool:
            name = name_of(COLLECTION.passages, p, len(pool) > 1)
            found.setdefault(COLLECTION.queries.ids[q], {})[name] = max(int(grade), 0)
    return {q: judged for q, judged in found.items() if any(judged.values())}


def random_run(generator, language, pool, depth):
    """Up to ``depth`` passages of each query, with many ties; some queries are missing."""
    passages = np.flatnonzero(np.isin(COLLECTION.passages.language, pool))
    run = {}
    for q in range(*COLLECTION.queries.starts[language : language + 2]):
        chosen = generator.permutation(passages)[: generator.integers(0, depth + 1)]
        if generator.random() < 0.8 and len(chosen):
            run[COLLECTION.queries.ids[q]] = {
                name_of(COLLECTION.passages, p, len(pool) > 1): float(generator.integers(0, 5)) / 3
                for p in chosen
            }
    return run


@pytest.mark.parametrize("seed", range(4))
def test_every_setting_is_what_pytrec_eval_makes_of_the_same_run(seed, tmp_path):
    generator = np.random.default_rng(seed)
    expected = {}
    for language, code in enumerate(COLLECTION.languages):
        for pool, name in ((0,), "ar"), ((1,), "de"), ((2,), "el"), ((0, 1, 2), "multilingual"):
            run = random_run(generator, language, pool, 9)
            if run:
                (tmp_path / f"{code}-{name}").write_text(trec(run))
                qrels = qrels_of(language, pool)
                evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES.values()))
                of = evaluator.evaluate(run).values()
                expected[code, name] = {
                    m: math.fsum(each[theirs] for each in of) / max(len(qrels), 1)
                    for m, theirs in MEASURES.items()
                }
    found = scored(COLLECTION, [tmp_path / "{query_language}-{passage_language}"], MEASURES)
    rows = {
        (row.query_language, row.passage_languages[0] if row.kind != "multilingual" else row.kind):
        row for row in found.scores.settings
    }  # fmt: skip
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        assert row.measures == pytest.approx(expected[key], abs=1e-12), key
    for kind, means in found.scores.macro.items():
        of_kind = [row for row in rows.values() if row.kind == kind]
        for name, score in means.items():
            values = [row.measures[name] for row in of_kind]
            assert score.value == pytest.approx(math.fsum(values) / len(values), abs=1e-12)
            assert score.low <= score.value <= score.high


def full_run(tmp_path, collection, scores, depth):
    """Write the first ``depth`` of the multilingual rankings, without ties."""
    for language, code in enumerate(collection.languages):
        run = {}
        for q in range(*collection.queries.starts[language : language + 2]):
            order = np.argsort(-scores[q])[:depth]
            run[collection.queries.ids[q]] = {
                f"{collection.languages[collection.passages.language[p]]}:"
                f"{collection.passages.ids[p]}": float(scores[q, p])
                for p in order
            }
        (tmp_path / code).write_text(trec(run))
    return [tmp_path / "{query_language}"]


@pytest.fixture(scope="module")
def model():
    collection = parallel_collection(3, 8, 12)
    vectors = vectors_for(collection)
    ranks, _ = rank_collection(collection, *vectors)
    settings = collection.roles.settings(list(Kind))
    names = (*MEASURES, "R@100")
    return collection, vectors, compute_scores(ranks, settings, parse_measures(names)), names


def test_a_run_of_the_whole_pool_has_the_scores_of_the_model(model, tmp_path):
    collection, (queries, passages), expected, names = model
    paths = full_run(tmp_path, collection, queries @ passages.T, 36)
    found = scored(collection, paths, names, ["multilingual"])
    for name, score in expected.macro["multilingual"].items():
        mine = found.scores.macro["multilingual"][name]
        for part in ("value", "low", "high", "optimistic"):
            assert getattr(mine, part) == pytest.approx(getattr(score, part), abs=1e-9), name
    assert found.rank_distance_at_least == pytest.approx(expected.bias.rank_distance.value)
    assert found.depths["multilingual"].lower_bounds == ()
    assert found.scores.statistics == expected.statistics


@pytest.mark.parametrize("depth", [1, 2, 5, 20])
def test_a_truncated_run_bounds_the_whole_one_from_below(model, depth, tmp_path):
    collection, (queries, passages), expected, names = model
    paths = full_run(tmp_path, collection, queries @ passages.T, depth)
    found = scored(collection, paths, names, ["multilingual"])
    depths = found.depths["multilingual"]
    assert depths.truncated_at == depth
    assert found.rank_distance_at_least <= expected.bias.rank_distance.value + 1e-12
    for name, score in found.scores.macro["multilingual"].items():
        whole = expected.macro["multilingual"][name].value
        if name in depths.lower_bounds:
            assert score.value <= whole + 1e-12
        else:
            assert score.value == pytest.approx(whole, abs=1e-9), name
    assert depths.passages_relevant == 72
    assert 72 - depths.passages_beyond <= 24 * depth
    if depth < 20:
        assert {"AP", "nDCG", "R@100"} <= set(depths.lower_bounds)
        assert ("nDCG@10" in depths.lower_bounds) == (depth < 10)


def test_what_a_run_lacks_is_counted(tmp_path):
    collection = parallel_collection(2, 4, 9)
    run = {"q0": {"p0": 2.0, "p5": 1.0, "p6": 0.5}, "q2": {"p5": 1.0}}
    (tmp_path / "ar-ar").write_text(trec(run))
    names = ("R@1", "RR", "AP@3")
    found = scored(collection, [tmp_path / "{query_language}-{passage_language}"], names)
    (row,) = found.scores.settings
    assert row.measures == {"R@1": 0.25, "RR": 0.25, "AP@3": 0.25}
    assert (row.queries, row.excluded) == (4, 0)
    (depth,) = found.depths.values()
    assert (depth.truncated_at, depth.settings, depth.settings_missing) == (3, 1, 1)
    assert (depth.queries_missing, depth.queries_short) == (2, 1)
    assert (depth.passages_relevant, depth.passages_beyond) == (4, 3)
    assert depth.lower_bounds == ("RR",)
    assert found.rank_distance_at_least is None


def test_rank_distance_counts_a_missing_passage_below_all_that_are_there(tmp_path):
    collection = parallel_collection(3, 2, 4)
    run = {"ar:q0": {"ar:p0": 9.0, "ar:p1": 8.0, "de:p1": 7.0}, "ar:q1": {"ar:p0": 1.0}}
    (tmp_path / "run").write_text(trec(run))
    found = scored(collection, [tmp_path / "run"], ["RR"], ["multilingual"])
    # ar: q0 spans from 1 to 3 + 2 lacking, 4; q1 at least 2; of the others nothing: 2
    assert found.rank_distance_at_least == pytest.approx((3 + 2 + 2) / 3)


def test_a_task_cut_to_some_languages_is_scored_as_that_smaller_task(model, tmp_path):
    collection, (queries, passages), _, names = model
    paths = full_run(tmp_path, collection, queries @ passages.T, 36)
    targets = Targets.of(collection)
    rankings, matching = Rankings(targets, np.array([True, False, True])), Matching(targets)
    for each in find_runs(
        [str(path) for path in paths],
        ["multilingual"],
        Roles(collection.languages, collection.languages),
    ):
        rankings.add(matching.place(read_run(each.path), each), each, matching.faults)
    matching.faults.check()
    settings = Roles(("ar", "el"), ("ar", "el")).settings(list(Kind))
    found = score_runs(rankings, settings, parse_measures(names))
    ranks, _ = rank_collection(collection, queries, passages)
    expected = compute_scores(ranks.subset(("ar", "el")), settings, parse_measures(names))
    for name, score in expected.macro["multilingual"].items():
        mine = found.scores.macro["multilingual"][name]
        assert (mine.value, mine.low) == pytest.approx((score.value, score.low), abs=1e-9), name


def test_judged_queries_that_have_no_relevant_passage_in_the_pool_are_excluded(tmp_path):
    rankings, _ = rankings_of(COLLECTION, [_write(tmp_path)], ["monolingual"])
    settings = COLLECTION.roles.settings([Kind.MONOLINGUAL])
    for row in score_runs(rankings, settings, parse_measures(["RR"])).scores.settings:
        (setting,) = (s for s in settings if s.query_language == row.query_language)
        assert (row.queries, row.excluded) == COLLECTION.query_counts(setting)
        assert row.excluded


def _write(folder):
    (folder / "run").write_text(trec({"ar:q0": {"p0": 1.0}}))
    return folder / "run"


def test_miracl_dev_runs_score_as_trec_eval_with_the_official_flags(data_dir, tmp_path):
    """-c -M 100 -m ndcg_cut.10 and -c -m recall.100, on the judgements of three languages."""
    folder, generator = data_dir / "miracl" / "qrels", np.random.default_rng(5)
    codes = ("bn", "sw", "yo")
    official = {}
    for code in codes:
        rows = (folder / f"qrels.miracl-v1.0-{code}-dev.tsv").read_text("utf-8").splitlines()
        for query, _, passage, grade in (row.split("\t") for row in rows):
            official.setdefault(code, {}).setdefault(query, {})[passage] = int(grade)
    collection = judgements_alone(codes, official)
    expected = {}
    for code in codes:
        run = {}
        for query, judged in official[code].items():
            names = [*judged, *(f"{i}#{i % 7}" for i in generator.integers(0, 10**6, 150))]
            if generator.random() < 0.95:
                kept = generator.permutation(list(dict.fromkeys(names)))[:100].tolist()
                run[query] = {name: round(float(generator.random()), 2) for name in kept}
        (tmp_path / code).write_text(trec(run))
        evaluator = pytrec_eval.RelevanceEvaluator(official[code], {"ndcg_cut_10", "recall_100"})
        of = evaluator.evaluate(run).values()
        expected[code] = {
            "nDCG@10": math.fsum(each["ndcg_cut_10"] for each in of) / len(official[code]),
            "R@100": math.fsum(each["recall_100"] for each in of) / len(official[code]),
        }
    targets = Targets.of_judgements(collection)
    rankings, matching = Rankings(targets, np.ones(3, bool)), Matching(targets)
    for each in find_runs(
        [str(tmp_path / "{query_language}")], ["monolingual"], Roles(codes, codes)
    ):
        rankings.add(matching.place(read_run(each.path), each), each, matching.faults)
    matching.faults.check()
    settings = Roles(codes, codes).settings([Kind.MONOLINGUAL])
    found = score_runs(rankings, settings, parse_measures(["nDCG@10", "R@100"]))
    assert [row.queries for row in found.scores.settings] == [411, 482, 119]
    for row in found.scores.settings:
        assert row.measures == pytest.approx(expected[row.query_language], abs=1e-12)
    assert found.depths["monolingual"].queries_missing > 10


def judgements_alone(codes, official):
    """A collection of which the queries and judgements are known, and no passage."""
    records = parallel_records(1, 1, 1)
    records.queries = [
        replace(records.queries[0], id=query, language=code)
        for code in codes
        for query in official[code]
    ]
    records.passages = [replace(records.passages[0], language=code) for code in codes]
    records.judgements = [records.judgements[0]._replace(query_id=records.queries[0].id,
                                  query_language=codes[0], passage_language=codes[0])]  # fmt: skip
    queries = build_collection(codes, records).queries
    number = {}
    for language in range(len(codes)):
        of = queries.slice(language)
        number |= {(language, queries.ids[i]): i for i in range(of.start, of.stop)}
    rows = sorted(
        (number[language, query], language, passage, grade)
        for language, code in enumerate(codes)
        for query, judged in official[code].items()
        for passage, grade in judged.items()
    )
    query, language, passage, grade = zip(*rows, strict=True)
    judged = Judged(
        np.array(query), np.array(language, np.int16), passage, np.array(grade, np.int32)
    )
    return StreamedCollection(codes, queries, judged, ())
