from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.task import Kind, Roles
from mlbench.measures.bias import (
    MixedPool,
    complete,
    max_rank,
    own_target_removed,
    recall_by_language,
)
from mlbench.measures.bias_scores import PassageRecall, extremes
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import score_settings
from mlbench.measures.significance import Sample, macro_intervals
from mlbench.ranking.counting import rank_collection
from mlbench.reports.bias_tables import bias_table, counts_table, extremes_table
from mlbench.reports.bias_words import bias_lines
from mlbench.reports.definitions import definitions
from tests.measures.test_bias import several_a_language
from tests.ranking.test_ranks import random_table
from tests.support.reports import (
    collection_of,
    equal_vectors,
    example,
    languages,
    report_of,
    vectors,
)


def test_relevant_passages_of_different_grades_that_tie_open_an_interval():
    """No other passage ties with them, and still nDCG depends on which of the two comes first."""
    records = Records(
        [TextRecord("q", "en", "a query", "")],
        [TextRecord(id_, "en", f"passage {id_}", "") for id_ in "abc"],
        [Judgement("q", "en", "a", "en", 1, ""), Judgement("q", "en", "b", "en", 3, "")],
    )
    collection = build_collection(("en",), records)
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    ranks, _ = rank_collection(collection, np.array([[1, 0]], np.float32), vectors)
    assert not ranks.tied.any()
    ((_, row),) = score_settings(
        ranks, Roles(("en",), ("en",)).settings([Kind.MONOLINGUAL]), parse_measures(["nDCG", "AP"])
    )
    ideal = 3 + 1 / np.log2(3)
    assert np.isclose(row.measures["nDCG"], (1 + 3 / np.log2(3)) / ideal, atol=1e-15)
    assert row.optimistic == {"nDCG": 1.0, "AP": 1.0}
    assert row.measures["AP"] == 1.0


def test_a_setting_without_measures_has_its_queries_all_the_same():
    ranks = random_table(np.random.default_rng(3), 3, 7)
    settings = ranks.roles.settings(Kind)
    rows = [row for _, row in score_settings(ranks, settings, [])]
    assert [row.queries for row in rows] == [
        len(ranks.ranking(s.query_language, s.passage_languages).query) for s in settings
    ]
    assert all(row.measures == row.optimistic == {} for row in rows)


def test_a_figure_is_the_mean_over_languages_of_the_mean_over_queries():
    report, ranks = example(4)
    bias = report.scores.bias
    pools = [MixedPool.of(ranks, language) for language in ranks.languages]
    for name, each in {
        "Max@R": max_rank,
        "Complete@10": lambda pool: complete(pool, 10),
    }.items():
        found, means = bias.measures[name], [each(pool).mean() for pool in pools]
        assert found.score.value == pytest.approx(np.mean(means))
        assert found.by_language == pytest.approx(dict(zip(ranks.languages, means, strict=True)))
        assert found.score.low <= found.score.value <= found.score.high
        assert (found.queries, found.excluded) == (32, 0)
    removed = bias.target_removed
    own = [own_target_removed(pool).mean() for pool in pools]
    assert removed.own.value == pytest.approx(np.mean(own))
    diagonal = [removed.by_language[code][code] for code in ranks.languages]
    assert diagonal == pytest.approx(own)
    preference = [bias.outranking[code][code] for code in ranks.languages]
    assert bias.same_language == pytest.approx(np.mean([x for x in preference if x is not None]))


def test_scores_by_language_are_means_over_settings_with_their_own_intervals():
    report, ranks = example(3)
    scores = report.scores
    for kind, of_kind in scores.per_language.items():
        for name, by_language in of_kind.items():
            for code, score in by_language.items():
                rows = [
                    s.measures[name]
                    for s in scores.settings
                    if (s.kind, s.query_language) == (kind, code)
                ]
                assert score.value == pytest.approx(np.mean(rows))
                assert score.low - 1e-12 <= score.value <= score.high + 1e-12
            assert scores.macro[kind][name].value == pytest.approx(
                np.mean([score.value for score in by_language.values()])
            )
    ranking = ranks.ranking("de", ("de",))
    values = 1 / ranking.rank
    number = {id_: i for i, id_ in enumerate(sorted(set(ranks.query_ids)))}
    cluster = np.array([number[ranks.query_ids[q]] for q in ranking.query])
    (interval,) = macro_intervals([[Sample(cluster, values)]], len(number))
    score = scores.per_language["monolingual"]["AP"]["de"]
    assert (score.low, score.high) == pytest.approx((interval.low, interval.high))


def test_rank_distance_of_a_language_has_an_interval():
    report, _ = example(3)
    for entry in report.scores.bias.by_language.values():
        assert entry.low <= entry.value <= entry.high


def test_the_gap_is_between_the_best_and_the_worst():
    found = extremes({"ar": 0.5, "de": 0.75, "el": 0.25, "en": 0.75})
    assert (found.best_language, found.worst_language, found.gap) == ("de", "el", 0.5)
    report, ranks = example(3)
    recall = report.scores.bias.recall["R@10"]
    each = [recall_by_language(MixedPool.of(ranks, code), 10) for code in ranks.languages]
    assert recall.by_language == pytest.approx(
        dict(zip(ranks.languages, np.mean(each, axis=0), strict=True))
    )
    values = recall.by_language.values()
    assert recall.extremes.gap == pytest.approx(max(values) - min(values))
    worst = report.scores.bias.by_query_language["multilingual"]["AP"]
    assert worst.worst == min(
        score.value for score in report.scores.per_language["multilingual"]["AP"].values()
    )


def test_what_is_constant_is_not_there():
    bias = example(3)[0].scores.bias
    assert [*bias.measures] == ["Max@R", "Complete@10", "Complete@20"]
    assert [*bias.recall] == ["R@10", "R@20"]
    collection = several_a_language()
    several = report_of(collection, vectors(collection))[0].scores.bias
    assert [*several.measures] == ["Max@R", "Complete@10", "PEER"]
    assert 0 <= several.measures["PEER"].score.value <= 1
    twelve = collection_of(languages(12), questions=3)
    assert "Complete@10" not in report_of(twelve, vectors(twelve))[0].scores.bias.measures


def test_one_language_has_no_language_bias():
    bias = asdict(example(1)[0].scores.bias)
    removed = bias.pop("target_removed")
    assert (removed["own"], removed["other"], removed["by_language"]) == (None, None, {})
    assert all(not value for value in bias.values())
    assert bias_lines(example(1)[0]) == []


def test_a_collapsed_model_shows_what_ties_do():
    collection = collection_of(languages(3))
    bias = report_of(collection, equal_vectors(collection))[0].scores.bias
    best = bias.measures["Complete@10"].score
    assert (best.value, best.optimistic) == (0, 1)
    assert bias.measures["Max@R"].score.optimistic == 100


def test_tables_show_every_figure():
    report, _ = example(3)
    bias = report.scores.bias
    names = [row[0] for row in bias_table(report).rows]
    assert names == [*bias.measures, "own target\nremoved", "other target\nremoved"]
    assert len(extremes_table(report).rows) == 3 * 3 + len(bias.recall)
    rows = counts_table(report).rows
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert rows[-1][2].split()[0] == f"{report.scores.macro['multilingual']['AP'].value:.4f}"
    terms = {definition.term for definition in definitions(report)}
    assert {"Max@R", "Complete@10, Complete@20", "Target removed", "Number of languages"} <= terms
    assert "PEER" not in terms


def test_lines_name_the_numbers():
    report, _ = example(4)
    lines = " ".join(bias_lines(report))
    removed = report.scores.bias.target_removed
    assert f"{removed.own.value:+.4f}" in lines
    assert f"{removed.other.value:+.4f}" in lines
    assert "over 6 pairs" in lines


def test_languages_that_share_the_best_or_the_worst_score_are_all_named():
    report, _ = example(4)
    scores, bias = report.scores, report.scores.bias
    codes = [*scores.per_language["multilingual"]["AP"]]
    values = dict(zip(codes, (0.75, 0.5, 0.75, 0.5), strict=True))
    of = {code: replace(scores.per_language["multilingual"]["AP"][code], value=values[code])
          for code in codes}  # fmt: skip
    recall = PassageRecall(values | {codes[1]: 0.6}, extremes(values | {codes[1]: 0.6}))
    bias = replace(
        bias,
        by_query_language={"multilingual": {"AP": extremes(values)}},
        recall={"R@100": recall},
    )
    scores = replace(scores, per_language={"multilingual": {"AP": of}}, bias=bias)
    (said,) = [line for line in bias_lines(replace(report, scores=scores)) if "worst" in line]
    a, b, c, d = codes
    assert said == (
        f"In the multilingual pool, queries in {b} and {d} score worst (mAP 0.5000) and queries in "
        f"{a} and {c} best (0.7500); 75% of the relevant passages in {a} and {c} are in the top "
        f"100, and 50% of those in {d}."
    )
    equal = dict.fromkeys(codes, 1.0)
    bias = replace(bias, recall={"R@100": PassageRecall(equal, extremes(equal))})
    lines = " ".join(bias_lines(replace(report, scores=replace(scores, bias=bias))))
    assert f"100% of the relevant passages in {a}, {b}, {c} and {d} are in the top 100." in lines


@pytest.mark.parametrize("kind", [Kind.MONOLINGUAL, Kind.CROSSLINGUAL])
def test_a_task_without_multilingual_settings_has_no_figures_of_a_mixed_pool(kind):
    collection = collection_of(languages(3))
    report, _ = report_of(collection, vectors(collection), (kind,))
    bias = report.scores.bias
    assert bias.rank_distance is None
    found = (bias.measures, bias.by_language, bias.outranking, bias.recall, bias.language_counts)
    assert not any(found)
    assert set(bias.by_query_language) == {kind}
    unequal = bias.by_query_language[kind]["AP"].gap > 0
    lines = bias_lines(report)
    assert len(lines) == unequal
    assert all("score worst" in line for line in lines)
