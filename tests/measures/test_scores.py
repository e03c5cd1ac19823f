from __future__ import annotations

import numpy as np

from mlbench.data.collection import Judgement, Records, TextRecord, build_collection
from mlbench.data.task import Kind, all_settings
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import score_settings
from mlbench.ranking.counting import rank_collection
from tests.ranking.test_ranks import random_table


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
        ranks, all_settings(("en",), [Kind.MONOLINGUAL]), parse_measures(["nDCG", "AP"])
    )
    ideal = 3 + 1 / np.log2(3)
    assert np.isclose(row.measures["nDCG"], (1 + 3 / np.log2(3)) / ideal, atol=1e-15)
    assert row.optimistic == {"nDCG": 1.0, "AP": 1.0}
    assert row.measures["AP"] == 1.0


def test_a_setting_without_measures_has_its_queries_all_the_same():
    ranks = random_table(np.random.default_rng(3), 3, 7)
    settings = all_settings(ranks.languages, Kind)
    rows = [row for _, row in score_settings(ranks, settings, [])]
    assert [row.queries for row in rows] == [
        len(ranks.ranking(s.query_language, s.passage_languages).query) for s in settings
    ]
    assert all(row.measures == row.optimistic == {} for row in rows)
