from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlbench.measures.significance import paragraph_clusters, question_clusters
from mlbench.ranking.counting import rank_collection
from tests.support.strategies import parallel_collection, vectors_for


def table(**sizes: int):
    collection = parallel_collection(**sizes)
    return rank_collection(collection, *vectors_for(collection))[0]


def test_a_question_is_one_cluster_in_all_its_languages():
    ranks = table(languages=3, questions=8)
    clusters = question_clusters(ranks)
    assert clusters.count == 8
    of = {}
    for id_, cluster in zip(ranks.query_ids, clusters.of, strict=True):
        assert of.setdefault(id_, cluster) == cluster
    assert len(set(of.values())) == 8


def test_questions_on_one_paragraph_are_one_cluster():
    ranks = table(languages=3, questions=8)
    clusters = paragraph_clusters(ranks)
    assert clusters.count == 2
    groups = {int(id_[1:]) // 4: c for id_, c in zip(ranks.query_ids, clusters.of, strict=True)}
    assert len(set(groups.values())) == 2


def test_a_paragraph_shared_in_one_language_joins_and_names_of_others_do_not():
    """q0 and q1 share a paragraph in ar alone; the same name in another language is another."""
    ranks = table(languages=2, questions=3)
    named = {("ar", "q0"): "p", ("ar", "q1"): "p", ("de", "q2"): "p"}
    groups = tuple(
        named.get((ranks.languages[language], id_), f"{language}{id_}")
        for id_, language in zip(ranks.query_ids, ranks.query_language, strict=True)
    )
    clusters = paragraph_clusters(replace(ranks, query_groups=groups))
    of = dict(zip(ranks.query_ids, clusters.of.tolist(), strict=True))
    assert of["q0"] == of["q1"] != of["q2"]
    assert clusters.count == 2


def test_unknown_paragraphs_give_no_clusters_and_one_unknown_stands_alone():
    ranks = table(languages=2, questions=8)
    assert paragraph_clusters(replace(ranks, query_groups=("",) * len(ranks.query_ids))) is None
    groups = tuple("" if id_ == "q0" else g for id_, g in
                   zip(ranks.query_ids, ranks.query_groups, strict=True))  # fmt: skip
    clusters = paragraph_clusters(replace(ranks, query_groups=groups))
    assert clusters.count == 3
    assert len(np.unique(clusters.of)) == 3
