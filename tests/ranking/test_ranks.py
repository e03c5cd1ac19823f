from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.data.building import build_collection
from mlbench.data.collection import Records
from mlbench.data.task import Kind
from mlbench.measures.rank_measures import parse_measures
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.kernels import sum_runs
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes
from mlbench.ranking.shared_pools import shared_pools
from tests.support.strategies import CODES, parallel_collection, parallel_records, vectors_for

KEY = TaskKey("t", "1", "d" * 64, ("monolingual",))


def same(a: Ranks, b: Ranks) -> bool:
    return ranks_to_bytes(a, KEY) == ranks_to_bytes(b, KEY)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), ties=st.booleans())
def test_the_order_of_queries_and_passages_does_not_matter(seed, ties):
    generator = np.random.default_rng(seed)
    records = parallel_records(3, 6, 8)
    collection = build_collection(CODES[:3], records)
    queries, passages = vectors_for(collection, seed, dimension=6)
    if ties:
        queries, passages = np.round(queries), np.round(passages)
    shuffled = Records(
        [records.queries[i] for i in generator.permutation(len(records.queries))],
        [records.passages[i] for i in generator.permutation(len(records.passages))],
        [records.judgements[i] for i in generator.permutation(len(records.judgements))],
    )
    other = build_collection(CODES[:3], shuffled)
    position = {(t, i): n for n, (t, i) in enumerate(named(collection.queries))}
    q = queries[[position[key] for key in named(other.queries)]]
    position = {(t, i): n for n, (t, i) in enumerate(named(collection.passages))}
    p = passages[[position[key] for key in named(other.passages)]]
    assert same(rank_collection(collection, queries, passages)[0], rank_collection(other, q, p)[0])
    assert collection.digest == other.digest


def named(entries) -> list[tuple[int, str]]:
    return list(zip(entries.language.tolist(), entries.ids, strict=True))


def test_relabelled_languages_change_names_only():
    collection = parallel_collection(3, 6, 8)
    vectors = vectors_for(collection)
    ranks, _ = rank_collection(collection, *vectors)
    renamed = dict(zip(CODES[:3], ("xx", "yy", "zz"), strict=True))
    records = parallel_records(3, 6, 8)
    records = Records(
        [type(r)(r.id, renamed[r.language], r.text, r.where, r.group) for r in records.queries],
        [type(r)(r.id, renamed[r.language], r.text, r.where, r.group) for r in records.passages],
        [
            type(j)(j.query_id, renamed[j.query_language], j.passage_id,
                    renamed[j.passage_language], j.relevance, j.where)
            for j in records.judgements
        ],
    )  # fmt: skip
    other, _ = rank_collection(build_collection(("xx", "yy", "zz"), records), *vectors)
    assert other.languages == ("xx", "yy", "zz")
    for old, new in renamed.items():
        a, b = ranks.ranking(old, CODES[:3]), other.ranking(new, ("xx", "yy", "zz"))
        assert a.rank.tolist() == b.rank.tolist()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), keep=st.sets(st.sampled_from(CODES[:4]), min_size=1))
def test_a_subset_of_languages_equals_scoring_only_those(seed, keep):
    languages = tuple(code for code in CODES[:4] if code in keep)
    collection = parallel_collection(4, 5, 7)
    queries, passages = vectors_for(collection, seed, dimension=6)
    ranks, _ = rank_collection(collection, queries, passages)
    whole = parallel_records(4, 5, 7)
    part = Records(
        [r for r in whole.queries if r.language in keep],
        [r for r in whole.passages if r.language in keep],
        [j for j in whole.judgements if {j.query_language, j.passage_language} <= keep],
    )
    kept = [CODES.index(code) for code in languages]
    direct, _ = rank_collection(
        build_collection(languages, part),
        queries[np.isin(collection.queries.language, kept)],
        passages[np.isin(collection.passages.language, kept)],
    )
    cut = ranks.subset(languages)
    for language in languages:
        a, b = cut.ranking(language, languages), direct.ranking(language, languages)
        assert a.rank.tolist() == b.rank.tolist()
        assert (a.pool_size, a.excluded) == (b.pool_size, b.excluded)


def test_a_collapsed_encoder_comes_last():
    collection = parallel_collection(3, 6, 8)
    queries = np.ones((len(collection.queries), 4), np.float32)
    passages = np.ones((len(collection.passages), 4), np.float32)
    ranks, _ = rank_collection(collection, queries, passages)
    assert ranks.ranking("ar", ("ar",)).rank.tolist() == [8] * 6
    assert ranks.ranking("ar", CODES[:3]).rank.tolist() == [22, 23, 24] * 6
    assert ranks.ranking("ar", CODES[:3], optimistic=True).rank.tolist() == [1, 2, 3] * 6


def random_table(generator: np.random.Generator, languages: int, queries: int) -> Ranks:
    """A table of any counts, in the order of tables: some languages of passages may be missing."""
    counts = generator.integers(1, 6, queries)
    starts = np.append(0, np.cumsum(counts)).astype(np.int64)
    query, rows = np.repeat(np.arange(queries), counts), int(starts[-1])
    language, grade = generator.integers(0, languages, rows), generator.integers(1, 4, rows)
    place = generator.integers(1, 4, rows)
    order = np.lexsort((language, grade, place, query))
    above, tied = generator.integers(0, 4, (2, rows, languages)).astype(np.int32)
    return Ranks(
        languages=CODES[:languages],
        pool_sizes=generator.integers(20, 30, languages),
        judged=np.full(languages, 20),
        query_ids=tuple(f"q{i}" for i in range(queries)),
        query_groups=("",) * queries,
        query_language=np.sort(generator.integers(0, languages, queries)).astype(np.int16),
        starts=starts,
        passage_ids=tuple(f"p{i}" for i in range(rows)),
        passage_language=language[order].astype(np.int16),
        relevance=grade[order].astype(np.int32),
        place=place[order].astype(np.int32),
        above=above,
        tied=tied * np.int32(generator.integers(0, 2)),
    )


@given(
    seed=st.integers(0, 2**16),
    languages=st.integers(1, 4),
    queries=st.integers(0, 7),
    optimistic=st.booleans(),
)
def test_a_ranking_is_that_of_a_loop_over_the_rows(seed, languages, queries, optimistic):
    ranks = random_table(np.random.default_rng(seed), languages, queries)
    for asked, code in enumerate(ranks.languages):
        for size in range(1, languages + 1):
            for pool in itertools.combinations(range(languages), size):
                found = ranks.ranking(
                    code, [ranks.languages[i] for i in pool], optimistic=optimistic
                )
                expected = []
                for query in np.flatnonzero(ranks.query_language == asked):
                    rows = [
                        row
                        for row in range(ranks.starts[query], ranks.starts[query + 1])
                        if ranks.passage_language[row] in pool
                    ]
                    sign = -1 if optimistic else 1
                    rows.sort(key=lambda row: (ranks.place[row], sign * ranks.relevance[row]))
                    for position, row in enumerate(rows, 1):
                        ahead = sum(int(ranks.above[row, i]) for i in pool)
                        level = sum(int(ranks.tied[row, i]) for i in pool)
                        rank = position + ahead + (0 if optimistic else level)
                        expected.append((query, row, rank, ranks.relevance[row]))
                columns = (found.query[found.owner], found.row, found.rank, found.grade)
                assert list(zip(*columns, strict=True)) == expected
                assert found.pool_size == sum(ranks.pool_sizes[i] for i in pool)
                assert found.excluded == 20 - len({row[0] for row in expected})


MEASURES = parse_measures(["AP", "AP(rel=2)", "RR@5", "nDCG", "nDCG@10", "R@10", "Rprec"])


@given(
    seed=st.integers(0, 2**16),
    languages=st.integers(1, 4),
    queries=st.integers(0, 7),
    optimistic=st.booleans(),
)
def test_a_measure_over_a_shared_pool_is_that_of_each_setting(seed, languages, queries, optimistic):
    generator = np.random.default_rng(seed)
    ranks = random_table(generator, languages, queries)
    every = ranks.roles.settings(Kind)
    chosen = [every[i] for i in generator.permutation(len(every))[: generator.integers(1, 99)]]
    seen = set()
    for pool in shared_pools(ranks, chosen, optimistic=optimistic):
        for measure in MEASURES:
            values = measure.per_query(pool.ranking)
            sums = sum_runs(values, pool.cuts)
            for i, own in pool.queries.items():
                seen.add(i)
                alone = ranks.ranking(
                    chosen[i].query_language, chosen[i].passage_languages, optimistic=optimistic
                )
                expected = measure.per_query(alone)
                assert pool.ranking.query[own].tolist() == alone.query.tolist()
                assert values[own].tolist() == expected.tolist()
                assert sums[pool.language[i]] == sum(expected.tolist())
    assert seen == set(range(len(chosen)))


def test_sums_are_taken_from_left_to_right():
    values = np.array([1.0, 1e100, 1.0, -1e100, 0.1, 0.2, 0.3])
    assert sum_runs(values, np.array([0, 4, 4, 7])).tolist() == [0.0, 0.0, 0.1 + 0.2 + 0.3]


@pytest.mark.parametrize("pool", [("ar",), ("ar", "de")])
def test_a_language_named_twice_counts_once(pool):
    ranks = random_table(np.random.default_rng(1), 3, 7)
    for language in ranks.languages:
        once = ranks.ranking(language, pool)
        twice = ranks.ranking(language, (*pool, pool[0]))
        assert once.rank.tolist() == twice.rank.tolist()
        assert once.pool_size == twice.pool_size
