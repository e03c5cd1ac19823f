"""Images and texts that search each other: against a program that looks at every score by itself,
and against pytrec_eval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.common.errors import DataError, IntegrityError, UsageError
from mlbench.data.building import build_collection
from mlbench.data.collection import Collection, Judgement, Records, TextRecord
from mlbench.data.images import IMAGE, Images, Place
from mlbench.data.sampling import cut_to_languages, sample_questions
from mlbench.data.task import Kind, Roles, Setting
from mlbench.measures.outranking import outranking_matrix
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.measures.significance import question_clusters
from mlbench.ranking.counting import comparisons, rank_collection
from mlbench.ranking.products import Limits
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes, read_ranks
from mlbench.reports.subset import choose_languages
from tests.support.image_collections import image_collection, image_records

NAMES = ("AP", "Success@1", "Success@5", "RR", "nDCG@10")
TEXTS = ("de", "en", "zh")


def made(seed: int, dimension: int = 3) -> tuple[Collection, np.ndarray, np.ndarray]:
    """A collection and vectors of few distinct values, so that ties abound."""
    collection = image_collection(seed)
    generator = np.random.default_rng(seed)
    queries, passages = (
        generator.integers(-1, 2, (len(e), dimension)).astype(np.float32)
        for e in (collection.queries, collection.passages)
    )
    return collection, queries, passages


def brute(collection: Collection, scores: np.ndarray, asked: str, pool: list[str]):
    """Yield what each query of a language scores in a pool: its relevant passages' ranks."""
    judged = set(
        zip(collection.qrels.query.tolist(), collection.qrels.passage.tolist(), strict=True)
    )
    for query in range(len(collection.queries)):
        if collection.languages[collection.queries.language[query]] != asked:
            continue
        inside = [
            p
            for p in range(len(collection.passages))
            if collection.languages[collection.passages.language[p]] in pool
        ]
        order = sorted(inside, key=lambda p: (-scores[query, p], (query, p) in judged))
        found = [rank for rank, p in enumerate(order, 1) if (query, p) in judged]
        if found:
            yield found


def average_precision(ranks: list[int]) -> float:
    return sum(i / rank for i, rank in enumerate(ranks, 1)) / len(ranks)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_settings_and_scores_equal_the_brute_force_program(seed):
    collection, queries, passages = made(seed)
    ranks, _ = rank_collection(collection, queries, passages)
    of = Roles.settings(collection.roles, Kind)
    expected = [Setting(Kind.CROSSLINGUAL, code, (IMAGE,)) for code in ("de", "en")]
    expected += [Setting(Kind.CROSSLINGUAL, IMAGE, (code,)) for code in TEXTS]
    expected += [Setting(Kind.CROSSLINGUAL, "zh", (IMAGE,))]
    expected += [Setting(Kind.MULTILINGUAL, IMAGE, TEXTS)]
    assert list(of) == expected
    scores = compute_scores(ranks, of, parse_measures(NAMES))
    products = queries.astype(np.float64) @ passages.T.astype(np.float64)
    directions: dict[str, list[float]] = {}
    for setting in scores.settings:
        found = [
            *brute(collection, products, setting.query_language, list(setting.passage_languages))
        ]
        assert setting.queries == len(found)
        if not found:
            continue
        ap = float(np.mean([*map(average_precision, found)]))
        assert setting.measures["AP"] == pytest.approx(ap, abs=1e-12)
        for k in (1, 5):
            hit = float(np.mean([ranks[0] <= k for ranks in found]))
            assert setting.measures[f"Success@{k}"] == pytest.approx(hit, abs=1e-12)
        if len(setting.passage_languages) == 1:
            way = "image-to-text" if setting.query_language == IMAGE else "text-to-image"
            directions.setdefault(way, []).append(ap)
    assert {way: of["AP"].value for way, of in scores.directions.items()} == {
        way: pytest.approx(float(np.mean(of)), abs=1e-12) for way, of in directions.items()
    }


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_scores_equal_those_of_pytrec_eval(seed):
    collection, queries, passages = made(seed)
    ranks, _ = rank_collection(collection, queries, passages)
    scores = compute_scores(ranks, collection.roles.settings(Kind), parse_measures(NAMES))
    products = queries.astype(np.float64) @ passages.T.astype(np.float64)
    judged = set(
        zip(collection.qrels.query.tolist(), collection.qrels.passage.tolist(), strict=True)
    )
    for setting in scores.settings:
        asked = collection.queries.slice(collection.languages.index(setting.query_language))
        pool = [
            p
            for p, code in enumerate(collection.passages.language.tolist())
            if collection.languages[code] in setting.passage_languages
        ]
        qrels: dict[str, dict[str, int]] = {}
        run: dict[str, dict[str, float]] = {}
        for query in range(asked.start, asked.stop):
            # of equal scores trec_eval puts the last name first, so relevant ones come last here
            names = {p: f"{'a' if (query, p) in judged else 'z'}{p}" for p in pool}
            relevant = {names[p]: 1 for p in pool if (query, p) in judged}
            if relevant:
                qrels[str(query)] = relevant
                run[str(query)] = {names[p]: float(products[query, p]) for p in pool}
        if not qrels:
            continue
        found = pytrec_eval.RelevanceEvaluator(qrels, {"map", "success"}).evaluate(run)
        for name, theirs in (("AP", "map"), ("Success@1", "success_1"), ("Success@5", "success_5")):
            mean = np.mean([each[theirs] for each in found.values()])
            assert setting.measures[name] == pytest.approx(mean, abs=1e-9)


def test_nothing_is_counted_within_a_modality():
    collection, queries, passages = made(3)
    ranks, _ = rank_collection(collection, queries, passages)
    image = ranks.languages.index(IMAGE)
    asks = ranks.query_language[ranks.query] == image
    counts = ranks.above + ranks.tied
    assert not counts[asks, image].any()
    assert not np.delete(counts[~asks], image, axis=1).any()
    images = int(collection.passages.counts[image])
    texts = len(collection.passages) - images
    assert comparisons(collection) == 2 * images * texts
    assert ranks.sizes()[asks[ranks.starts[:-1]]].sum(axis=1).tolist() == [texts] * int(
        (ranks.query_language == image).sum()
    )


@pytest.mark.parametrize("limits", [Limits(threads=3), Limits(memory=1 << 22)])
def test_tables_do_not_depend_on_threads_or_memory(limits):
    collection, queries, passages = made(5, dimension=8)
    tables = [
        ranks_to_bytes(rank_collection(collection, queries, passages, each)[0], key(collection))
        for each in (Limits(threads=1), limits)
    ]
    assert tables[0] == tables[1]


def key(collection: Collection) -> TaskKey:
    return TaskKey("made", "1", collection.digest, tuple(Kind))


def test_a_table_is_read_as_written_and_cut_to_languages_keeps_images(tmp_path):
    collection, queries, passages = made(8)
    ranks, _ = rank_collection(collection, queries, passages)
    (tmp_path / "ranks.parquet").write_bytes(ranks_to_bytes(ranks, key(collection)))
    again, _ = read_ranks(tmp_path / "ranks.parquet")
    assert again.roles == ranks.roles == collection.roles
    chosen = choose_languages("en", collection.languages, "--languages", roles=collection.roles)
    assert chosen == ("en", IMAGE)
    cut = cut_to_languages(collection, chosen)
    assert cut.images is collection.images
    assert [s.query_language for s in cut.roles.settings(Kind)] == ["en", IMAGE]
    same = [
        ranks.subset(chosen),
        rank_collection(cut, *vectors_of(collection, cut, queries, passages))[0],
    ]
    tables = [ranks_to_bytes(each, key(cut)) for each in same]
    assert tables[0] == tables[1]


def test_a_table_that_counts_within_a_modality_is_damaged(tmp_path):
    collection, queries, passages = made(8)
    ranks, _ = rank_collection(collection, queries, passages)
    above = ranks.above.copy()
    above[:, ranks.languages.index("de")] = 1
    forged = replace(ranks, above=above)
    (tmp_path / "ranks.parquet").write_bytes(ranks_to_bytes(forged, key(collection)))
    with pytest.raises(IntegrityError, match="texts against texts"):
        read_ranks(tmp_path / "ranks.parquet")


def vectors_of(whole: Collection, part: Collection, queries: np.ndarray, passages: np.ndarray):
    for entries, of, vectors in (
        (part.queries, whole.queries, queries),
        (part.passages, whole.passages, passages),
    ):
        codes = [part.languages[code] for code in entries.language]
        rows = [
            of.index[whole.languages.index(code), id_]
            for code, id_ in zip(codes, entries.ids, strict=True)
        ]
        yield vectors[rows]


def test_languages_that_leave_images_alone_are_refused():
    with pytest.raises(UsageError, match="no setting"):
        choose_languages(IMAGE, ("en", IMAGE), "--languages", roles=Roles(*[("en", IMAGE)] * 2))


def test_an_image_and_its_captions_are_one_question():
    collection, queries, passages = made(4)
    ranks, _ = rank_collection(collection, queries, passages)
    assert question_clusters(ranks).count == len({id_.partition("#")[0] for id_ in ranks.query_ids})
    sampled = sample_questions(collection, 3)
    assert sampled.images is collection.images


def test_outranking_is_of_captions_alone():
    collection, queries, passages = made(11)
    ranks, _ = rank_collection(collection, queries, passages)
    scores = compute_scores(ranks, ranks.roles.settings(Kind), parse_measures(["AP"]))
    assert list(scores.bias.outranking) == [IMAGE]
    assert list(scores.bias.outranking[IMAGE]) == list(TEXTS)
    assert scores.bias.same_language is None
    matrix = outranking_matrix(ranks)
    image, columns = ranks.languages.index(IMAGE), ranks.columns(TEXTS)
    rows = ranks.query_language[ranks.query] == image
    outranking = (ranks.above + ranks.tied)[rows][:, columns].sum(0)
    left = np.zeros(len(TEXTS))
    for row in np.flatnonzero(rows):
        same = ranks.query == ranks.query[row]
        for i, column in enumerate(columns):
            left[i] += ranks.pool_sizes[column] - (ranks.passage_language[same] == column).sum()
    expected = (outranking / outranking.sum()) / (left / left.sum())
    assert matrix[image, columns] == pytest.approx(expected)
    assert scores.bias.language_counts == ()


def with_judgement(row: Judgement) -> Records:
    records = image_records({"de": [0, 1], "en": [0, 1]}, 2)
    records.judgements.append(row)
    return records


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (Judgement("i0", "de", "i0", "en", 1, "qrels:9"), "are both texts"),
        (Judgement("i0", IMAGE, "i1", IMAGE, 0, "qrels:9"), "are both images"),
    ],
)
def test_judgements_within_a_modality_are_refused(row, found):
    with pytest.raises(DataError, match=found):
        build_collection(("de", "en", IMAGE), with_judgement(row))


def test_a_text_is_never_taken_for_an_image():
    records = image_records({"de": [0]}, 1)
    records.passages[0] = replace(records.passages[0], text="/etc/passwd")
    with pytest.raises(DataError, match="has language 'zxx' and is no image"):
        build_collection(("de", IMAGE), records)
    records = image_records({"de": [0]}, 1)
    records.images = None
    with pytest.raises(DataError, match="is no image"):
        build_collection(("de", IMAGE), records)


def test_one_way_is_an_ordinary_task():
    roles = Roles(("de", "en"), (IMAGE,))
    assert not roles.between_modalities
    assert [s.query_language for s in roles.settings(Kind)] == ["de", "en"]
    assert roles.direction(roles.settings(Kind)[0]) is None
    records = image_records({"de": [0, 1]}, 2)
    records.queries = [each for each in records.queries if each.language != IMAGE]
    records.passages = [each for each in records.passages if each.language == IMAGE]
    records.judgements = [each for each in records.judgements if each.query_language != IMAGE]
    collection = build_collection(("de", IMAGE), records, Roles(("de",), (IMAGE,)))
    vectors = np.eye(2, dtype=np.float32)
    ranks, _ = rank_collection(collection, vectors, vectors)
    assert isinstance(ranks, Ranks)
    assert ranks.above.sum() == ranks.tied.sum() == 0


def test_images_are_asked_for_by_reference():
    images = Images({"sha256:" + "0" * 64: Place(__file__, (1, 1))})
    assert "sha256:" + "0" * 64 in images
    assert TextRecord("a", "en", "sha256:" + "0" * 64, "here").language != IMAGE
