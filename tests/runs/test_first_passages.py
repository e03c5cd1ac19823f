"""Reranked runs: as a slow program orders them, and as a run with a reranker ranks."""

from __future__ import annotations

import numpy as np
import pytest

from mlbench.data.input_files import Faults
from mlbench.data.task import Kind
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.ranking.products import Limits
from mlbench.ranking.reranking import FirstStage
from mlbench.runs.first_passages import FirstPassages
from mlbench.runs.matching import Matching, Targets
from mlbench.runs.patterns import EXAMPLE, find_runs
from mlbench.runs.rankings import Rankings
from mlbench.runs.reading import read_run
from mlbench.runs.scoring import score_runs
from tests.runs.building import trec
from tests.runs.test_writing import MODELS, few_second_scores, graded, save

MEASURES = ("AP", "RR", "nDCG@5", "R@1", "R@7", "P@30")


def read(collection, pattern, depth, pools=()):
    targets = Targets.of(collection)
    first = FirstPassages(depth, targets)
    rankings = Rankings(targets, np.ones(len(targets.languages), bool), shown=first)
    matching = Matching(targets)
    for each in find_runs([str(pattern)], pools, collection.roles):
        rankings.add(matching.place(read_run(each.path), each), each, Faults())
    matching.faults.check()
    return rankings, first


def second_scores(first):
    return few_second_scores(first.all)


@pytest.mark.parametrize("depth", [1, 3, 9, 50])
@pytest.mark.parametrize("model", sorted(MODELS))
def test_whole_rankings_score_as_a_run_with_the_reranker(model, depth, tmp_path):
    collection = graded()
    vectors = MODELS[model](collection)
    settings = save(tmp_path, collection, vectors, depth=1000)
    stage = FirstStage(collection, vectors, Limits(1))
    candidates = stage.candidates(depth)
    ranks = stage.reranked(candidates, few_second_scores(candidates))
    expected = compute_scores(ranks, settings, parse_measures(MEASURES))
    rankings, first = read(collection, tmp_path / EXAMPLE, depth)
    new = first.reranked(rankings, second_scores(first))
    found = score_runs(new, settings, parse_measures(MEASURES)).scores
    for one, other in zip(expected.settings, found.settings, strict=True):
        assert (one.queries, one.excluded) == (other.queries, other.excluded)
        assert other.measures == pytest.approx(one.measures, abs=1e-9)
    assert [count for _, count in first.short(rankings, settings)] == [0] * len(settings)


def slow_ranks(ranking, depth, relevance, again):
    """Ranks of relevant passages: ``ranking`` names passages as <language>:<id>, the best first."""
    seen, chosen = {}, []
    for passage in ranking:
        language = passage.partition(":")[0]
        seen[language] = seen.get(language, 0) + 1
        if seen[language] <= depth:
            chosen.append(passage)
    first = sorted(chosen, key=lambda p: (-again[p], relevance.get(p, 0)))
    order = first + [p for p in ranking if p not in chosen]
    return sorted(order.index(p) + 1 for p in relevance if p in order), len(chosen)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_short_run_of_a_mixed_pool_is_ordered_as_a_slow_program_does(depth, tmp_path):
    collection = graded()
    generator = np.random.default_rng(depth)
    passages = collection.passages
    codes = [collection.languages[i] for i in passages.language.tolist()]
    names = [f"{code}:{id_}" for code, id_ in zip(codes, passages.ids, strict=True)]
    asked = range(*collection.queries.slice(0).indices(1000))
    run = {
        collection.queries.ids[query]: {
            names[p]: float(10 - rank)
            for rank, p in enumerate(generator.permutation(len(names))[:9])
        }
        for query in asked
    }
    path = tmp_path / "ar.trec"
    path.write_text(trec(run))
    rankings, first = read(
        collection, tmp_path / "{query_language}.trec", depth, [Kind.MULTILINGUAL.value]
    )
    scores = second_scores(first)
    new = first.reranked(rankings, scores)
    again = {}
    pairs = zip(first.all.query.tolist(), first.all.passage.tolist(), scores.tolist(), strict=True)
    for query, passage, score in pairs:
        again.setdefault(query, {})[names[passage]] = score
    short, total = 0, 0
    for query in asked:
        mine = collection.qrels.query == query
        rows = zip(collection.qrels.passage[mine], collection.qrels.relevance[mine], strict=True)
        relevance = {names[p]: int(grade) for p, grade in rows if grade > 0}
        ranking = [*run[collection.queries.ids[query]]]
        expected, taken = slow_ranks(ranking, depth, relevance, again[query])
        assert new.hits.rank[new.hits.query == query].tolist() == expected
        short += taken < 3 * depth
        total += len(expected)
    assert total
    settings = list(collection.roles.settings([Kind.MULTILINGUAL]))
    assert [count for _, count in first.short(rankings, settings)] == [short]
