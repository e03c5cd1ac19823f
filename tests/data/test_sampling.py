from __future__ import annotations

import numpy as np
import pytest

from mlbench.common.errors import UsageError
from mlbench.data.building import build_collection
from mlbench.data.sampling import (
    Draw,
    cut_to_languages,
    sample_passages,
    sample_questions,
    sample_warnings,
)
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes
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


def test_passages_are_drawn_beside_the_judged_ones_in_each_language():
    whole = sample_questions(parallel_collection(3, 30, 60), 5)
    part = sample_passages(whole, 8)
    assert part.sample_passages == 8
    assert part.passages.counts.tolist() == [5 + 8] * 3
    assert part.queries == whole.queries
    judged = {(code, whole.passages.ids[p]) for p, code in _judged(whole)}
    assert judged == {(code, part.passages.ids[p]) for p, code in _judged(part)}
    assert part.digest != whole.digest
    assert "no estimate" in sample_warnings(part)[-1]
    more = sample_passages(whole, 9)
    assert set(part.passages.index) < set(more.passages.index)
    assert sample_passages(whole, 1000) is whole
    assert sample_passages(whole, None) is whole


def _judged(collection):
    for passage in collection.qrels.passage.tolist():
        yield passage, collection.passages.language[passage]


def test_the_table_of_a_draw_counts_the_passages_that_are_left():
    whole = parallel_collection(3, 20, 40)
    queries, passages = vectors_for(whole)
    part = Draw(6, 10).of(whole)
    rows = [
        [entries.index[name] for name in some.index]
        for entries, some in ((whole.queries, part.queries), (whole.passages, part.passages))
    ]
    ranks, _ = rank_collection(part, queries[rows[0]], passages[rows[1]])
    scores = queries.astype(np.float64) @ passages.astype(np.float64).T
    for row, query in enumerate(ranks.query.tolist()):
        name = (int(ranks.query_language[query]), ranks.query_ids[query])
        q = whole.queries.index[name]
        passage = (int(ranks.passage_language[row]), ranks.passage_ids[row])
        relevant = {
            whole.passages.index[int(ranks.passage_language[i]), ranks.passage_ids[i]]
            for i in np.flatnonzero(ranks.query == query).tolist()
        }
        others = [p for p in rows[1] if p not in relevant]
        higher = [p for p in others if scores[q, p] > scores[q, whole.passages.index[passage]]]
        of_language = np.bincount(whole.passages.language[higher], minlength=3)
        assert ranks.above[row].tolist() == of_language.tolist()


@pytest.mark.parametrize("chosen", [(0, 2), (1,), (0, 1, 2)])
def test_a_collection_cut_to_languages_has_the_table_of_the_whole_one_cut(chosen):
    whole = parallel_collection(4, 20, 30)
    queries, passages = vectors_for(whole)
    codes = [whole.languages[number] for number in chosen]
    part = cut_to_languages(whole, codes)
    assert part.languages == tuple(codes)
    assert part.judged.all()
    kept = [
        np.flatnonzero(np.isin(entries.language, chosen))
        for entries in (whole.queries, whole.passages)
    ]
    own, _ = rank_collection(part, queries[kept[0]], passages[kept[1]])
    ranks, _ = rank_collection(whole, queries, passages)
    key = TaskKey("t", "1", "d" * 64, ("monolingual",))
    assert ranks_to_bytes(own, key) == ranks_to_bytes(ranks.subset(codes), key)
    assert cut_to_languages(whole, whole.languages) is whole


def test_a_query_that_is_judged_in_another_language_alone_stays_judged():
    records = parallel_records(2, 5, 6)
    first = records.queries[0]
    records.judgements = [
        row
        for row in records.judgements
        if (row.query_id, row.query_language) != (first.id, first.language)
        or row.passage_language != CODES[0]
    ]
    whole = build_collection(CODES[:2], records)
    part = cut_to_languages(whole, CODES[:1])
    assert part.judged.tolist() == [True] * 5
    assert part.relevant_by_language.sum() == 4
