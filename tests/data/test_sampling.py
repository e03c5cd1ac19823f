from __future__ import annotations

import numpy as np
import pytest

from mlbench.common.errors import UsageError
from mlbench.data.collection import build_collection
from mlbench.data.sampling import sample_questions, sample_warnings
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranks
from tests.support.strategies import CODES, parallel_collection, parallel_records, vectors_for


def test_questions_are_drawn_with_all_their_languages_and_all_passages_stay():
    whole = parallel_collection(4, 40, 60)
    part = sample_questions(whole, 10)
    assert part.sample == 10
    assert part.passages == whole.passages
    assert part.queries.counts.tolist() == [10] * 4
    ids = [part.queries.ids[part.queries.slice(i)] for i in range(4)]
    assert all(set(each) == set(ids[0]) for each in ids)
    assert part.digest != whole.digest
    assert "leaderboard" in sample_warnings(part)[0]
    assert sample_warnings(whole) == ()


def test_the_sample_does_not_depend_on_order_and_grows_by_adding():
    whole = parallel_collection(2, 40, 60)
    records = parallel_records(2, 40, 60)
    records.queries.reverse()
    turned = build_collection(CODES[:2], records)
    samples = [set(sample_questions(whole, n).queries.ids) for n in (5, 10, 39)]
    assert samples[0] < samples[1] < samples[2]
    assert set(sample_questions(turned, 10).queries.ids) == samples[1]


@pytest.mark.parametrize("count", [None, 40, 41, 10_000])
def test_all_questions_are_no_sample(count):
    whole = parallel_collection(2, 40, 60)
    assert sample_questions(whole, count) is whole


def test_the_table_of_a_sample_is_the_rows_of_the_whole_one():
    whole = parallel_collection(3, 30, 40)
    queries, passages = vectors_for(whole)
    part = sample_questions(whole, 7)
    keys = list(zip(whole.queries.language, whole.queries.ids, strict=True))
    kept = [keys.index(k) for k in zip(part.queries.language, part.queries.ids, strict=True)]
    ranks, _ = rank_collection(whole, queries, passages)
    sampled, _ = rank_collection(part, queries[kept], passages)

    def rows(table: Ranks):
        return {
            (table.query_language[q], table.query_ids[q], table.passage_ids[i],
             table.passage_language[i]): table.above[i].tolist()
            for i, q in enumerate(table.query)
        }  # fmt: skip

    found, all_rows = rows(sampled), rows(ranks)
    assert len(found) == 7 * 3 * 3
    assert found == {key: all_rows[key] for key in found}
    assert np.array_equal(sampled.pool_sizes, ranks.pool_sizes)


def test_a_sample_that_leaves_a_language_without_questions_is_refused():
    records = parallel_records(2, 30, 40)
    kept = {q.id for q in records.queries[:30]} - {"q3"}
    records.queries = [q for q in records.queries if q.language == "ar" or q.id == "q3"]
    pairs = {(q.language, q.id) for q in records.queries}
    records.judgements = [j for j in records.judgements if (j.query_language, j.query_id) in pairs]
    assert kept
    with pytest.raises(UsageError, match="no question left in de"):
        sample_questions(build_collection(CODES[:2], records), 2)
