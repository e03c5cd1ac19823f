"""Batches of mixed languages: how often, how evenly, never twice, and the same again."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from mlbench.common.errors import DataError, UsageError
from mlbench.training.batches import HybridBatches, Kind, Proportions, _matching
from tests.training.made_set import MadeRows, MadeSet

LANGUAGES = ("ar", "de", "en", "th")


def plan(proportions, *, languages=LANGUAGES, size=8, seed=0, made=None, weights=None):
    made = made or MadeSet(languages, 60, 2)
    return HybridBatches(made.rows, languages, size, proportions, seed, weights)


def same(one, other):
    return (
        one.kind == other.kind
        and np.array_equal(one.row, other.row)
        and np.array_equal(one.query_language, other.query_language)
        and np.array_equal(one.passage_language, other.passage_language)
    )


shares = st.lists(st.integers(0, 4), min_size=4, max_size=4).filter(any)


@given(shares, st.integers(2, 60), st.integers(0, 2**32), st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_no_question_or_passage_comes_twice_and_every_batch_is_full(counts, size, seed, number):
    proportions = Proportions(*(count / sum(counts) for count in counts))
    made = MadeSet(LANGUAGES, 60, 2)
    batch = plan(proportions, size=size, seed=seed, made=made)[number]
    rows = made.rows("de", "en")
    assert len(batch) == size
    assert len(set(rows.query[batch.row])) == size
    assert len(set(rows.passage[batch.row])) == size
    assert proportions.of(batch.kind) > 0
    pairs = set(zip(batch.query_language, batch.passage_language, strict=True))
    if batch.kind in (Kind.MONO, Kind.PAIR):
        assert len(pairs) == 1
    alike = {query == passage for query, passage in pairs}
    assert alike <= {Kind.MONO: {True}, Kind.MULTI: {True, False}}.get(batch.kind, {False})


@given(st.integers(0, 2**32), st.lists(st.integers(0, 500), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_batch_depends_on_the_seed_and_its_number_alone(seed, numbers):
    whole = plan(Proportions.hybrid(0.5), seed=seed)
    for number in numbers:  # in any order, each from a plan of its own: a resumed training
        assert same(plan(Proportions.hybrid(0.5), seed=seed)[number], whole[number])


def test_other_numbers_and_other_seeds_give_other_batches():
    one, other = plan(Proportions(mixed=1)), plan(Proportions(mixed=1), seed=1)
    assert len({tuple(one[k].row) for k in range(200)}) == 200
    assert not any(same(one[k], other[k]) for k in range(200))


def test_kinds_come_as_often_as_planned():
    wanted = {Kind.MONO: 0.4, Kind.PAIR: 0.1, Kind.MIXED: 0.2, Kind.MULTI: 0.3}
    batches = plan(Proportions(**wanted), size=2, seed=5)
    seen = Counter(batches[k].kind for k in range(4000))
    assert chisquare([seen[k] for k in wanted], [4000 * p for p in wanted.values()]).pvalue > 0.01


@pytest.mark.parametrize("kind", list(Kind))
def test_languages_are_uniform(kind):
    batches = plan(Proportions(**{kind: 1.0}), size=4, seed=11)
    seen = Counter()
    for number in range(3000):
        batch = batches[number]
        rows = 1 if kind in (Kind.MONO, Kind.PAIR) else len(batch)
        seen.update(zip(batch.query_language[:rows], batch.passage_language[:rows], strict=True))
    pairs = {Kind.MONO: 4, Kind.PAIR: 12, Kind.MIXED: 12, Kind.MULTI: 16}[kind]
    assert len(seen) == pairs
    assert chisquare(list(seen.values())).pvalue > 0.01


def test_rows_are_uniform():
    made = MadeSet(("de",), 50)
    batches = plan(Proportions(mono=1), languages=("de",), size=5, seed=2, made=made)
    seen = np.bincount(np.concatenate([batches[k].row for k in range(4000)]), minlength=50)
    assert chisquare(seen).pvalue > 0.01


def test_weights_make_languages_more_frequent():
    batches = plan(Proportions(multi=1), size=10, seed=3, weights={"en": 3})
    drawn = np.concatenate([batches[k].query_language for k in range(1000)])
    seen = np.bincount(drawn, minlength=4)
    assert chisquare(seen, np.array([1, 1, 3, 1]) / 6 * len(drawn)).pvalue > 0.01


def test_with_images_a_batch_is_of_one_caption_language_or_of_several():
    languages = ("de", "en", "ru", "zxx")
    texts = {(query, passage) for query in languages for passage in languages[:3]}
    made = MadeSet(languages, without=texts)  # captions and images are judged both ways
    drawn = plan(Proportions.hybrid(0.5), languages=languages, size=12, seed=3, made=made)
    seen = {kind: [] for kind in (Kind.MONO, Kind.MIXED)}
    for number in range(200):
        batch = drawn[number]
        assert 3 not in batch.query_language
        assert {*batch.passage_language.tolist()} == {3}
        seen[batch.kind].append(len({*batch.query_language.tolist()}))
    assert {*seen[Kind.MONO]} == {1}
    assert max(seen[Kind.MIXED]) == 3
    assert 70 < len(seen[Kind.MONO]) < 130
    with pytest.raises(DataError, match="pair batches: all passages are images"):
        plan(Proportions(pair=1), languages=languages, made=made)


def test_processes_share_a_batch_in_equal_parts():
    batch = plan(Proportions.hybrid(0.5), size=8)[3]
    parts = [batch.part(rank, 2) for rank in range(2)]
    assert [part.kind for part in parts] == [batch.kind] * 2
    assert np.array_equal(np.concatenate([part.row for part in parts]), batch.row)


def test_rows_are_found_again_by_their_pair_of_languages():
    batch = plan(Proportions(mixed=1), size=30)[0]
    found = np.full(30, -1)
    for query, passage, places, rows in batch.by_pair():
        assert {LANGUAGES[n] for n in batch.query_language[places]} == {query}
        assert {LANGUAGES[n] for n in batch.passage_language[places]} == {passage}
        found[places] = rows
    assert np.array_equal(found, batch.row)


def a_chain(count):
    """Each question has two passages and shares one with the next: 2, 3, ... single draws often
    leave a question without a passage, and only a matching holds ``count`` rows."""
    numbers = np.arange(count, dtype=np.int64)
    return MadeRows(np.repeat(numbers, 2)[:-1], np.repeat(numbers, 2)[1:])


@pytest.mark.parametrize("kind", list(Kind))
def test_a_batch_of_everything_there_is_can_be_drawn(kind):
    rows = a_chain(12)
    batches = HybridBatches(lambda q, p: rows, ("de", "en"), 12, Proportions(**{kind: 1.0}))
    for number in range(20):
        batch = batches[number]
        assert sorted(rows.query[batch.row]) == list(range(12))
        assert sorted(set(rows.passage[batch.row])) == sorted(rows.passage[batch.row])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_a_matching_is_as_large_as_networkx_finds(edges):
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph()
    graph.add_edges_from((("q", query), ("p", passage)) for query, passage in edges)
    tops = {node for node in graph if node[0] == "q"}
    best = len(networkx.bipartite.maximum_matching(graph, tops)) // 2
    query, passage = (np.array(side, np.int64) for side in zip(*edges, strict=True))
    found = _matching(query, passage, np.random.default_rng(0))
    assert len(found) == best
    assert len(set(query[found])) == len(set(passage[found])) == best


@pytest.mark.parametrize(
    ("proportions", "says"),
    [
        (Proportions.hybrid(1.5), "mono: 1.5\n  expected: a number from 0 to 1"),
        (Proportions(mono=0.5, mixed=0.4), "they add up to 0.9 (mono 0.5 + mixed 0.4)"),
        (Proportions(), "they add up to 0"),
        (Proportions(mono=float("nan")), "mono: nan"),
    ],
)
def test_proportions_that_cannot_be_are_refused(proportions, says):
    with pytest.raises(UsageError) as error:
        plan(proportions)
    assert says in str(error.value)


def test_a_language_without_pairs_is_named():
    made = MadeSet(LANGUAGES, without=[("th", "th")])
    with pytest.raises(DataError) as error:
        plan(Proportions.hybrid(0.5), made=made)
    assert "language th: the training set has no judged pairs of it within it" in str(error.value)
    across = {(a, b) for a in LANGUAGES for b in LANGUAGES if "ar" in (a, b) and a != b}
    with pytest.raises(DataError, match=r"language ar: .* with any other language"):
        plan(Proportions(mixed=1), made=MadeSet(LANGUAGES, without=across))


def test_pairs_of_languages_without_rows_are_not_drawn():
    made = MadeSet(LANGUAGES, without=[("th", "ar"), ("ar", "th")])
    batches = plan(Proportions(mixed=1), size=20, made=made)
    drawn = {(q, p) for k in range(50) for q, p, *_ in batches[k].by_pair()}
    assert len(drawn) == 10
    assert ("th", "ar") not in drawn


def test_a_batch_larger_than_the_distinct_positives_is_refused():
    with pytest.raises(DataError) as error:
        plan(Proportions(mono=0.5, mixed=0.5), size=61)
    text = str(error.value)
    assert "mono batches of ar: 60 rows at most" in text
    assert "mixed batches: 60 rows at most" in text
    assert "expected: 61 rows, the batch size" in text


def test_other_faults_of_a_plan_are_told_together():
    with pytest.raises(UsageError) as error:
        plan(Proportions(mixed=1), languages=("de",), size=1, weights={"xx": 1, "de": -1})
    text = str(error.value)
    for part in (
        "batch size: 1",
        "'xx' is no language of the plan",
        "weights, de: -1",
        "languages: 1",
    ):
        assert part in text
