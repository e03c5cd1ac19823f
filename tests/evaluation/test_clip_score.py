"""CLIPScore against its definition, in a loop."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from mlbench.common.errors import IntegrityError, UsageError
from mlbench.comparing.compare import compare
from mlbench.comparing.comparison import markdown_comparison
from mlbench.comparing.regression import check
from mlbench.data.building import build_collection
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE
from mlbench.data.task import Kind, Roles
from mlbench.evaluation.clip_score import clip_score
from mlbench.measures.clip_score import CLIP_SCORE, CLIP_SCORES, JUDGED_CLIP_SCORE, clip_scores
from mlbench.models.encoding import Embedded
from mlbench.ranking.products import Limits
from mlbench.reports.clip_score import ClipScore, clip_score_lines, clip_score_table
from mlbench.reports.page import report_pages
from mlbench.reports.report import (
    Report,
    parse_report,
    read_report,
    report_to_json,
    write_report,
)
from mlbench.reports.subset import cut_report
from mlbench.reports.tables import terminal_text
from tests.reports.test_image_reports import MEASURES
from tests.support.image_collections import image_collection, image_records
from tests.support.reports import report_of


def by_definition(caption: np.ndarray, image: np.ndarray) -> float:
    product = sum(float(a) * float(b) for a, b in zip(caption, image, strict=True))
    one, other = (math.sqrt(sum(float(x) ** 2 for x in each)) for each in (caption, image))
    return 2.5 * max(product / (one * other), 0) if one and other else 0.0


def test_the_formula():
    generator = np.random.default_rng(0)
    captions, images = generator.standard_normal((2, 50, 7)).astype(np.float32) * 3
    captions[3] = 0
    found = clip_scores(captions, images)
    assert found == pytest.approx([*map(by_definition, captions, images)], abs=1e-12)
    assert found.min() == 0
    assert clip_scores(images, images) == pytest.approx(2.5)


def made(seed: int) -> tuple[Collection, np.ndarray, np.ndarray]:
    collection = image_collection(seed)
    generator = np.random.default_rng(seed)
    sides = [
        generator.standard_normal((len(e), 5)).astype(np.float32)
        for e in (collection.queries, collection.passages)
    ]
    return collection, sides[0], sides[1]


def scored(collection: Collection, *sides: np.ndarray) -> ClipScore | None:
    report, _ = report_of(collection, sides, measures=MEASURES)
    embedded = Embedded(*sides, (), {})
    return clip_score(collection, embedded, report.model, Kind, Limits(threads=2))[0]


def slow(collection: Collection, queries: np.ndarray, passages: np.ndarray) -> dict[str, tuple]:
    """Every caption and image of a language, judged or found first, one by one."""
    tongue = [collection.languages[i] for i in collection.queries.language]
    of_passage = [collection.languages[i] for i in collection.passages.language]
    judged = set(
        zip(collection.qrels.query.tolist(), collection.qrels.passage.tolist(), strict=True)
    )
    found = {}
    for code in collection.languages:
        if code == IMAGE:
            continue
        pairs, first_image, first_caption = [], [], []
        for q in range(len(queries)):
            if tongue[q] == code:
                pairs += [(q, p) for p in range(len(passages)) if (q, p) in judged]
            pool = IMAGE if tongue[q] == code else code if tongue[q] == IMAGE else ""
            own = [p for p in range(len(passages)) if of_passage[p] == pool]
            if any((q, p) in judged for p in own):
                best = max(own, key=lambda p: float(np.dot(queries[q], passages[p])))
                (first_image if pool == IMAGE else first_caption).append((q, best))
        means = [
            np.mean([by_definition(queries[q], passages[p]) for q, p in of]) if of else None
            for of in (pairs, first_image, first_caption)
        ]
        found[code] = (*means, len(pairs))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_scores_by_language_equal_the_definition(seed):
    data, queries, passages = made(seed)
    found = scored(data, queries, passages)
    expected = slow(data, queries, passages)
    assert found is not None
    assert {*found.by_language} == {code for code, of in expected.items() if of[3]}
    for code, each in found.by_language.items():
        judged, first_image, first_caption, pairs = expected[code]
        assert each.pairs == pairs
        assert each.judged == pytest.approx(judged, abs=1e-9)
        assert each.first_image == pytest.approx(first_image, abs=1e-9)
        assert each.first_caption == pytest.approx(first_caption, abs=1e-9)
    assert found.judged == pytest.approx(np.mean([e.judged for e in found.by_language.values()]))


@pytest.mark.parametrize("seed", range(3))
def test_the_value_of_each_query_equals_the_definition(seed):
    data, queries, passages = made(seed)
    report, _ = report_of(data, (queries, passages), measures=MEASURES)
    embedded = Embedded(queries, passages, (), {})
    values = clip_score(data, embedded, report.model, Kind, Limits())[1]
    assert values is not None
    assert [each.setting for each in values.settings] == [*data.roles.settings(Kind)]
    judged = set(zip(data.qrels.query.tolist(), data.qrels.passage.tolist(), strict=True))
    for each in values.settings:
        expected = {}
        for q in range(len(queries)):
            pool = [
                p
                for p in range(len(passages))
                if data.languages[data.passages.language[p]] in each.setting.passage_languages
            ]
            right = [p for p in pool if (q, p) in judged]
            if data.languages[data.queries.language[q]] == each.setting.query_language and right:
                score = {p: float(np.dot(queries[q], passages[p])) for p in pool}
                fits = {p: by_definition(queries[q], passages[p]) for p in pool}
                first = fits[max(pool, key=score.__getitem__)]
                expected[data.queries.ids[q]] = first, np.mean([fits[p] for p in right])
        assert [*each.query_ids] == sorted(expected)
        of = [expected[id_] for id_ in each.query_ids]
        assert each.values[CLIP_SCORE] == pytest.approx([one for one, _ in of], abs=1e-9)
        assert each.values[JUDGED_CLIP_SCORE] == pytest.approx([two for _, two in of], abs=1e-9)


def test_captions_of_two_languages_that_tie_count_against_the_model():
    data = build_collection(("de", "en", IMAGE), image_records({"de": [0], "en": [0]}, 1))
    image = [e == data.languages.index(IMAGE) for e in data.queries.language]
    queries = np.where(np.array(image)[:, None], [[1, 0]], [[1, 1]]).astype(np.float32)
    passages = queries.copy()  # captions have the same product with the image and other lengths
    passages[data.languages.index("en")] = [1, 7]
    report, _ = report_of(data, (queries, passages), measures=MEASURES)
    embedded = Embedded(queries, passages, (), {})
    found, values = clip_score(data, embedded, report.model, Kind, Limits())
    assert found is not None
    assert values is not None
    assert values.settings[-1].values[CLIP_SCORE].tolist() == pytest.approx([2.5 / math.sqrt(50)])
    assert found.first_mixed == pytest.approx(2.5 / math.sqrt(50))


def test_values_are_a_file_of_the_report(report, tmp_path):
    write_report(tmp_path, report, report.ranks, {})
    found = read_report(tmp_path)
    assert found.clip_values is not None
    for one, other in zip(found.clip_values.settings, report.clip_values.settings, strict=True):
        assert (one.setting, one.query_ids) == (other.setting, other.query_ids)
        assert all(np.array_equal(one.values[name], other.values[name]) for name in CLIP_SCORES)
    path = tmp_path / "clip-score.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(IntegrityError, match=r"clip-score\.parquet: SHA-256"):
        read_report(tmp_path)
    path.unlink()
    assert read_report(tmp_path).clip_values is None
    path.write_bytes(whole)
    write_report(tmp_path, replace(report, clip_values=None), report.ranks, {})
    assert not path.exists()
    assert read_report(tmp_path).clip_score.values_sha256 is None


def test_reports_are_compared_by_it_query_by_query(report):
    data, queries, passages = made(4)
    nearer = passages + 1
    other, _ = report_of(data, (queries, nearer), measures=MEASURES)
    score, values = clip_score(data, Embedded(queries, nearer, (), {}), other.model, Kind, Limits())
    other = replace(other, clip_score=score, clip_values=values)
    found = compare([report, other], [CLIP_SCORE, JUDGED_CLIP_SCORE], draws=200)
    macro = {
        (d.quantity.kind, d.quantity.measure): d for d in found.differences if not d.quantity.level
    }
    for direction, name in (("text-to-image", "first_image"), ("image-to-text", "first_caption")):
        means = [getattr(each.clip_score, name) for each in (report, other)]
        difference = macro[direction, CLIP_SCORE]
        assert difference.difference == pytest.approx(means[1] - means[0], abs=1e-9)
        assert difference.low <= difference.difference <= difference.high
    assert {d.verdict for d in found.differences} <= {"higher", "lower", "no difference shown"}
    assert "a higher one is not better" in " ".join(str(found).split())
    assert CLIP_SCORE in compare([report, other], draws=20).measures
    several = compare([report, other, report], draws=20)
    assert "image to text CLIPScore" in markdown_comparison(several)
    with pytest.raises(UsageError, match="clip-score"):
        check(report, other, measures=[CLIP_SCORE])
    assert CLIP_SCORE not in compare([report, replace(other, clip_values=None)], draws=20).measures


def test_vectors_of_both_roles_may_differ_and_one_way_has_one_direction():
    records = image_records({"de": [0, 1, 1]}, 2)
    records.queries = [each for each in records.queries if each.language != IMAGE]
    records.passages = [each for each in records.passages if each.language == IMAGE]
    records.judgements = [each for each in records.judgements if each.query_language != IMAGE]
    data = build_collection(("de", IMAGE), records, Roles(("de",), (IMAGE,)))
    queries = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    found = scored(data, queries, np.array([[1, 0], [0, 1]], np.float32))
    assert found is not None
    assert found.by_language["de"].first_caption is None
    assert found.by_language["de"].judged == pytest.approx((2.5 + 2.5 + 2.5 / math.sqrt(2)) / 3)
    assert clip_score_table(with_score(data, found)).rows[0][-1] == "-"


def with_score(data: Collection, found: ClipScore) -> Report:
    side = [np.eye(len(e), 8, dtype=np.float32) for e in (data.queries, data.passages)]
    report, _ = report_of(data, (side[0], side[1]), measures=MEASURES)
    return replace(report, clip_score=found)


def test_texts_alone_and_other_vectors_have_none():
    from scipy import sparse

    from tests.support.strategies import parallel_collection, vectors_for

    data = parallel_collection()
    assert scored(data, *vectors_for(data)) is None
    images, queries, passages = made(1)
    side = Embedded(sparse.csr_array(queries), sparse.csr_array(passages), (), {})
    report, _ = report_of(images, (queries, passages), measures=MEASURES)
    assert clip_score(images, side, report.model, Kind, Limits()) == (None, None)


@pytest.fixture(scope="module")
def report() -> Report:
    data, queries, passages = made(4)
    found, _ = report_of(data, (queries, passages), measures=MEASURES)
    embedded = Embedded(queries, passages, (), {})
    score, values = clip_score(data, embedded, found.model, Kind, Limits())
    return replace(found, clip_score=score, clip_values=values)


def test_where_it_is_shown(report, tmp_path):
    said = " ".join(terminal_text(report, verbose=True).split())
    assert "CLIPScore is 2.5 max(cos, 0)" in said
    assert "compare with no published ones" in said
    pages = report_pages(report, report.ranks)
    assert "CLIPScore" in pages["report.html"].decode()
    assert [row[0] for row in clip_score_table(report).rows] == ["de", "en", "zh", "mixed"]
    path = tmp_path / "report.json"
    path.write_text(report_to_json(report, None))
    assert json.loads(path.read_text())["clip_score"]["prefixes"] == {"query": "ask: "}
    assert parse_report(path)[0].clip_score == report.clip_score


def test_the_prefix_and_the_model_are_told(report):
    assert "'ask: ...'" in " ".join(clip_score_lines(report))
    names = ("openai/clip-vit-base-patch32", "models/clip-ViT-B-32/", "other")
    for name, comparable in zip(names, (True, True, False), strict=True):
        found = ClipScore.of("f", (name, ""), {}, report.clip_score.by_language)
        assert found.comparable is comparable
        said = " ".join(clip_score_lines(replace(report, clip_score=found)))
        assert ("A photo depicts" in said) is comparable


def test_a_cut_report_keeps_its_languages(report):
    cut = cut_report(report, ("de", "en", IMAGE), "cut")
    assert [*cut.clip_score.by_language] == ["de", "en"]
    assert cut.clip_score.by_language["en"] == report.clip_score.by_language["en"]
    assert cut.clip_score.first_mixed is None
    assert {s.setting.query_language for s in cut.clip_values.settings} == {"de", "en", IMAGE}
    assert cut.clip_score.judged == pytest.approx(
        np.mean([each.judged for each in cut.clip_score.by_language.values()])
    )
