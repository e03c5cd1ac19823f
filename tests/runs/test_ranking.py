"""The order is trec_eval's, whatever ties, and whatever float32 makes of the scores."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import DataError
from tests.runs.building import lines, messages, rankings_of, scored, trec
from tests.support.strategies import parallel_collection

COLLECTION = parallel_collection(2, 3, 9)
MEASURES = {"AP": "map", "RR": "recip_rank", "nDCG@3": "ndcg_cut_3", "R@2": "recall_2"}

close = st.sampled_from([0.5, 0.5 + 1e-9, 0.5 + 1e-7, 1.0, -1.0, 1e300, 2e300, 0.0, -0.0])
ranking = st.dictionaries(st.sampled_from([f"p{i}" for i in range(9)]), close, max_size=9)
runs = st.dictionaries(st.sampled_from(["q0", "q1", "q2"]), ranking, min_size=1, max_size=3).filter(
    lambda run: any(run.values())
)


def by_pytrec_eval(run, qrels, measures):
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(measures.values()))
    found = evaluator.evaluate({q: dict(r) for q, r in run.items()})
    return {
        ours: sum(of[theirs] for of in found.values()) / len(qrels)
        for ours, theirs in measures.items()
    }


@given(runs)
def test_scores_are_those_of_trec_eval_with_ties_and_scores_beyond_float32(tmp_path_factory, run):
    path = tmp_path_factory.mktemp("runs") / "ar-ar.trec"
    path.write_text(trec(run))
    pattern = path.with_name("{query_language}-{passage_language}.trec")
    found = scored(COLLECTION, [pattern], MEASURES)
    expected = by_pytrec_eval(run, {f"q{i}": {f"p{i}": 1} for i in range(3)}, MEASURES)
    (row,) = found.scores.settings
    assert row.measures == pytest.approx(expected, abs=1e-12)
    assert row.queries == 3


def test_equal_scores_are_ordered_by_id_as_written_descending(tmp_path):
    path = tmp_path / "run"
    path.write_text(lines(*(f"ar:q0 Q0 {p} 1 0.5 t" for p in ("ar:p1", "de:p0", "ar:p0", "de:p2"))))
    rankings, _ = rankings_of(COLLECTION, [path], ["multilingual"])
    hits = rankings.hits
    names = [rankings.targets.passage[pair] for pair in hits.pair]
    languages = COLLECTION.passages.language[names]
    assert [
        (int(language), int(rank)) for language, rank in zip(languages, hits.rank, strict=True)
    ] == [
        (1, 2),  # de:p2, de:p0, ar:p1, ar:p0
        (0, 4),
    ]
    assert rankings.tied == 1


def test_the_order_of_lines_and_their_ranks_say_nothing(tmp_path):
    rows = [
        f"ar:q{i % 3} Q0 {'ar' if i % 2 else 'de'}:p{i} {99 - i} {i * 7 % 5} t" for i in range(9)
    ]
    depths = []
    for name, order in (("a", rows), ("b", rows[::-1])):
        (tmp_path / name).write_text(lines(*order))
        rankings, _ = rankings_of(COLLECTION, [tmp_path / name], ["multilingual"])
        hits = rankings.hits
        depths.append((hits.rank.tolist(), hits.pair.tolist(), rankings.depth.tolist()))
    assert depths[0] == depths[1]
    assert sum(map(sum, depths[0][2])) == 9


def test_a_query_may_be_in_one_file_of_a_pool_only(tmp_path):
    (tmp_path / "a").write_text(lines("ar:q0 Q0 p0 1 1 t", "ar:q1 Q0 p0 1 1 t"))
    (tmp_path / "b").write_text(lines("ar:q2 Q0 p0 1 1 t", "ar:q1 Q0 p1 1 1 t"))
    _, matching = rankings_of(COLLECTION, [tmp_path / "a", tmp_path / "b"], ["monolingual"])
    (fault,) = messages(matching.faults)
    assert fault.startswith(f"{tmp_path / 'b'}:2: query 'q1' is also in {tmp_path / 'a'}")
    with pytest.raises(DataError):
        matching.faults.check()


def test_files_of_other_queries_of_a_pool_add_up(tmp_path):
    (tmp_path / "a").write_text(lines("ar:q0 Q0 p0 1 1 t"))
    (tmp_path / "b").write_text(lines("ar:q2 Q0 p2 1 1 t"))
    rankings, matching = rankings_of(COLLECTION, [tmp_path / "a", tmp_path / "b"], ["monolingual"])
    matching.faults.check()
    assert rankings.hits.rank.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "pool", "expected"),
    [
        ("run", "monolingual", {("ar", "ar"), ("de", "de")}),
        ("run", "multilingual", {("ar", "all"), ("de", "all")}),
        ("run", "crosslingual", {("ar", "de"), ("de", "ar"), ("ar", "ar")}),
        ("run", "de", {("ar", "de"), ("de", "de")}),
        ("{query_language}", "multilingual", {("ar", "all")}),
        ("{query_language}", "crosslingual", {("ar", "de"), ("ar", "ar")}),
    ],
)
def test_a_file_is_about_all_settings_of_its_pool(name, pool, expected, tmp_path):
    passage = {"de": "de:p0", "multilingual": "ar:p0"}.get(pool, "ar:p0")
    for file in ("run", "ar"):
        (tmp_path / file).write_text(lines(f"ar:q0 Q0 {passage} 1 1 t"))
    rankings, matching = rankings_of(COLLECTION, [tmp_path / name], [pool])
    matching.faults.check()
    codes, pools = ("ar", "de"), ("ar", "de", "all")
    claimed = {(codes[q], pools[p]) for q, p in np.argwhere(rankings.claimed)}
    assert claimed == expected
