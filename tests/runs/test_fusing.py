"""Fused runs: reciprocal ranks and weighted sums by hand; what does not fit is refused.

ranx compiles its code for a minute where it never ran; here it runs uncompiled.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlbench.commands.fuse import METHODS, NORMS
from mlbench.common.errors import DataError, UsageError
from mlbench.runs.fusing import ON_RANKS, PARAMETERS, WEIGHTED, Fusion, fuse_runs, fused_lines
from mlbench.runs.rank_fusion import BY_VOTE
from mlbench.runs.reading import read_run
from tests.oracles.ranx_on_ties import beside_ranx
from tests.runs.building import lines, trec
from tests.support.command_line import mlbench
from tests.support.uncompiled import uncompiled_ranx

ONE = {"q1": {"a": 3.0, "b": 2.0, "c": 2.0, "d": -1.0}, "q2": {"a": 0.5, "x": 0.25}}
OTHER = {"q1": {"b": 90.0, "e": 20.0, "a": 15.0}, "q2": {"y": 5.0, "a": 4.0, "x": 1.0}}


PATTERN = "{query_language}.trec"
PATTERNS = [f"x/{PATTERN}", f"y/{PATTERN}", "--output", f"z/{PATTERN}"]
COMMANDS = {
    "rrf": ["one", "other", "--param", "k=10", "--output", "fused.trec"],
    "wsum": ["one", "other", "--method", "wsum", "--weights", "0.3,0.7", "--output", "fused"],
    "json": ["one", "other", "--depth", "2", "--tag", "both", "--output", "f.gz", "--json"],
    "again": ["one", "other", "--depth", "2", "--tag", "both", "--output", "g.gz"],
    "patterns": PATTERNS,
    "columns": ["e", "f", "--output", "g"],
    "itself": ["one", "other", "--output", "other"],
    "no file": [f"x/{PATTERN}", f"w/{PATTERN}", "--output", f"z/{PATTERN}"],
    "no pattern": [f"x/{PATTERN}", "other", "--output", f"z/{PATTERN}"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, run in (("one", ONE), ("other", OTHER)):
        (folder / name).write_text(trec(run))
    for name, code in (("x", "de"), ("x", "zh-Hans"), ("y", "de"), ("y", "zh-Hans"), ("w", "de")):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{code}.trec").write_text(trec(ONE if name == "x" else OTHER))
    for name in ("e", "f"):
        (folder / name).write_text(lines("q Q0 p 1 2 t de en", "q Q0 p 1 1 t de fr"))
    return folder


@pytest.fixture(scope="module")
def done(runs):
    """Name of a command -> its exit code, standard output and standard error."""
    with uncompiled_ranx():
        return {name: mlbench("fuse", *given, cwd=runs) for name, given in COMMANDS.items()}


def ranking(path):
    """Query -> passages in order of their lines, whose scores fall strictly."""
    found = {}
    for row in path.read_text().splitlines():
        query, _, passage, rank, score, _ = row.split()
        found.setdefault(query, []).append((passage, float(score)))
        assert int(rank) == len(found[query])
    for rows in found.values():
        assert (np.diff(np.float32([score for _, score in rows])) < 0).all()
    return {query: [passage for passage, _ in rows] for query, rows in found.items()}


def order(run, query):
    """A run's passages, best first; of equal scores the higher id first."""
    return sorted(run[query], key=lambda p: (run[query][p], p), reverse=True)


def by_hand(score, runs=(ONE, OTHER)):
    found = {}
    for query in ONE:
        passages = {p for run in runs for p in run[query]}
        found[query] = sorted(passages, key=lambda p: (score(query, p), p), reverse=True)
    return found


def test_reciprocal_rank_fusion_is_the_sum_over_runs_of_one_over_k_plus_rank(runs, done):
    def score(query, passage):
        ranks = [order(run, query).index(passage) + 1 for run in (ONE, OTHER)
                 if passage in run[query]]  # fmt: skip
        return round(sum(1 / (10 + rank) for rank in ranks), 12)

    assert done["rrf"][:2] == (0, "fused.trec: 2 queries, 8 lines, rrf of 2 runs\n")
    assert ranking(runs / "fused.trec") == by_hand(score)


def test_a_weighted_sum_is_of_scores_from_0_to_1(runs, done):
    def scaled(run, query, passage):
        low, high = min(run[query].values()), max(run[query].values())
        return (run[query].get(passage, low) - low) / (high - low)

    def score(query, passage):
        return round(0.3 * scaled(ONE, query, passage) + 0.7 * scaled(OTHER, query, passage), 12)

    assert done["wsum"][0] == 0
    assert ranking(runs / "fused") == by_hand(score)


def test_depth_and_tag_and_json(runs, done):
    assert json.loads(done["json"][1]) == [{"file": "f.gz", "queries": 2, "passages": 4}]
    fused = read_run(runs / "f.gz")
    assert len(fused) == 4
    assert fused.tag == "both"
    assert (runs / "f.gz").read_bytes() == (runs / "g.gz").read_bytes()


def test_files_of_several_languages_are_fused_one_by_one(runs, done):
    assert done["patterns"][0] == 0
    assert {path.name for path in (runs / "z").iterdir()} == {"de.trec", "zh-Hans.trec"}
    code, _, said = done["no file"]
    assert code == 3
    assert "w/{query_language}.trec: no file for zh-Hans" in said
    code, _, said = done["no pattern"]
    assert code == 2
    assert "other has other placeholders" in said


def test_ids_with_a_column_of_languages_keep_them(runs, done):
    assert ranking(runs / "g") == {"de:q": ["en:p", "fr:p"]}


def test_an_output_that_is_an_input_is_refused(runs, done):
    code, _, said = done["itself"]
    assert code == 2
    assert "one of the runs" in said
    assert (runs / "other").read_text() == trec(OTHER)


def test_runs_of_other_queries_are_refused_and_the_queries_named(runs):
    (runs / "third").write_text(lines("q2 Q0 a 1 1 t", *(f"r{i} Q0 a 1 1 t" for i in range(5))))
    files = [read_run(runs / name) for name in ("one", "third")]
    with pytest.raises(DataError) as error:
        fuse_runs(files, Fusion("rrf"), 10)
    one, third = map(str, error.value.faults)
    assert "lacks 5 of 7 queries: 'r0', 'r1', 'r2' and 2 more" in one
    assert f"{runs / 'third'}: lacks 1 of 7 queries: 'q1'" in third


def test_ids_that_no_column_can_hold_are_refused(runs):
    (runs / "ids.json").write_text('{"q 1": {"a\\nb": 1, "c": 2, "": 3}, "q2": {"\\ud800": 1}}')
    with pytest.raises(DataError) as error:
        fuse_runs([read_run(runs / "ids.json")] * 2, Fusion("rrf"), 10)
    of_one = list(map(str, error.value.faults))[: len(error.value.faults) // 2]
    assert [fault.splitlines()[0].partition(", ")[2] for fault in of_one] == [
        "query 'q 1': its id holds a blank",
        "passage 'a\\nb': its id holds a blank",
        "passage '': its id is empty",
        "passage '\\ud800': its id is not UTF-8",
    ]


@pytest.mark.parametrize(
    ("fusion", "runs", "found"),
    [
        (Fusion("rrf"), 1, "two or more"),
        (Fusion("rrf", parameters={"phi": 1.0}), 2, "rrf has no phi"),
        (Fusion("rrf", parameters={"k": 1.5}), 2, "a whole number"),
        (Fusion("rrf", parameters={"k": float("nan")}), 2, "k=nan"),
        (Fusion("rbc"), 2, "rbc needs phi"),
        (Fusion("rrf", norm="max"), 2, "takes ranks, not scores"),
        (Fusion("wsum"), 2, "0 given\n  expected: 2 for wsum"),
        (Fusion("wsum", weights=(1.0,)), 2, "1 given\n  expected: 2 for wsum"),
        (Fusion("sum", weights=(1.0, 1.0)), 2, "sum takes none"),
    ],
)
def test_options_that_do_not_fit_are_named(fusion, runs, found):
    with pytest.raises(UsageError) as error:
        fusion.check(runs)
    assert found in str(error.value)


def test_every_method_and_norm_that_is_offered_works(runs, done):
    assert {*ON_RANKS, *WEIGHTED, *PARAMETERS} <= set(METHODS)
    files = [read_run(runs / name) for name in ("one", "other")]
    given = {"gmnz": {"gamma": 0.5}, "rbc": {"phi": 0.8}}
    for method in METHODS:
        weights = (0.3, 0.7) if method in WEIGHTED else None
        for norm in [None] if method in ON_RANKS else NORMS:
            with uncompiled_ranx():
                fused = fuse_runs(files, Fusion(method, norm, given.get(method, {}), weights), 3)
            assert {query: len(ranking) for query, ranking in fused.items()} == {"q1": 3, "q2": 3}


TIED = {"p0": 1e8, "p1": 1e8, "p2": 1e8, "p3": 1e8}
FALLING = {"p0": 0.9, "p1": 0.8, "p2": 0.7, "p3": 0.6}
ON_TIES = [
    [TIED, FALLING],
    [FALLING, dict(reversed(TIED.items()))],
    [{"b": 3e37, "c": 3e37, "a": 3e37, "d": -1.0}, {"d": 2.0, "e": 2.0, "a": 0.5}],
    [{"a": 0.0}, {"a": 0.0}],
    [{"a": 7.0}, {"b": -7.0, "a": -7.0}, {"c": 0.25}],
    [{"a": 2.0, "b": 2.0, "c": 1.0}, {"c": 5.0, "b": 5.0}, {"a": 1.0, "b": 1.0, "c": 1.0}],
]
"""Sets of runs, as passage -> score: all tied, ties at the top, in the middle, single passages."""


def test_every_method_and_norm_is_ranx_s_on_runs_with_ties(tmp_path):
    rows = beside_ranx(ON_TIES, tmp_path)
    assert {method for method, *_ in rows} == set(METHODS) - set(BY_VOTE)
    assert {norm for _, norm, *_ in rows} == {None, *NORMS}
    for method, norm, right, ours in rows:
        assert ours == pytest.approx(right, rel=1e-9, abs=1e-12), (method, norm)


@pytest.mark.parametrize("method", ON_RANKS)
def test_the_files_say_nothing_but_their_scores(tmp_path, method):
    """Another order of lines, text or single precision, TREC or Parquet: the same fused run."""
    (tmp_path / "a.trec").write_text(trec({"q": {"x": 0.5, "y": 0.25, "z": 0.5, "w": 0.25}}))
    (tmp_path / "b.trec").write_text(lines("q Q0 w 9 .25 t", "q Q0 z 1 5e-1 t", "q Q0 y 1 0.250 t",
                                           "q Q0 x 4 0.50 t"))  # fmt: skip
    table = {"q_id": ["q"] * 4, "doc_id": list("zyxw"), "score": np.float32([0.5, 0.25, 0.5, 0.25])}
    pq.write_table(pa.table(table), tmp_path / "c.parquet")
    (tmp_path / "d.trec").write_text(trec({"q": {"x": 1, "y": 4, "v": 3}}))
    fusion = Fusion(method, None, {"phi": 0.8} if method == "rbc" else {},
                    (0.5, 0.5) if method in WEIGHTED else None)  # fmt: skip
    other = read_run(tmp_path / "d.trec")
    found = [
        fuse_runs([read_run(tmp_path / name), other], fusion, 10)
        for name in ("a.trec", "b.trec", "c.parquet")
    ]
    assert found[0] == found[1] == found[2]


def test_fused_scores_that_are_equal_fall_in_the_order_of_the_list():
    rows = list(fused_lines({"q": [("b", 0.5), ("a", 0.5), ("c", 0.1)]}, "tag"))
    scores = [np.float32(row.split()[4]) for row in rows]
    assert [row.split()[2] for row in rows] == ["b", "a", "c"]
    assert scores[0] > scores[1] > scores[2]


def test_scores_beyond_single_precision_are_refused(tmp_path, monkeypatch):
    fused = SimpleNamespace(to_dict=lambda: {"q": {"0000000000": 6e38}})
    monkeypatch.setattr("ranx.Run", lambda run: run)
    monkeypatch.setattr("ranx.fuse", lambda runs, **options: fused)
    path = tmp_path / "run.trec"
    path.write_text("q Q0 a 1 3e38 t\nq Q0 b 2 -3e38 t\n")
    with pytest.raises(DataError, match="no number that float32 can hold for query 'q'"):
        fuse_runs([read_run(path), read_run(path)], Fusion("sum", "none"), 10)
