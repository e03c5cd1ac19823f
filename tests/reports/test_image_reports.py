"""Reports on images and texts that search each other: directions, and the gap between them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mlbench.comparing.compare import compare
from mlbench.comparing.comparison_tables import kinds_of
from mlbench.data.building import build_collection
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE
from mlbench.data.task import Kind
from mlbench.ranking.ranks import Ranks
from mlbench.reports.explain import explain_query, most_biased, outranking_languages
from mlbench.reports.page import report_pages
from mlbench.reports.pairs import directions
from mlbench.reports.plots import plots
from mlbench.reports.report import Report, read_report
from mlbench.reports.subset import cut_report
from mlbench.reports.tables import macro_table, paper_table, terminal_text
from tests.support.image_collections import image_records
from tests.support.reports import report_of

TEXTS = ("de", "en", "zh")
MEASURES = ("Success@1", "Success@5", "AP")
IMAGES = 30


def collection() -> Collection:
    described = {code: [*range(IMAGES), 0, 5] for code in TEXTS}
    return build_collection((*TEXTS, IMAGE), image_records(described, IMAGES))


def made(seed: int = 0) -> tuple[Report, Ranks]:
    """German captions are understood best, Chinese ones worst; images are searched with noise."""
    data, generator = collection(), np.random.default_rng(seed)
    meaning = np.random.default_rng(1).standard_normal((IMAGES, 16))
    sides = []
    for role, entries in enumerate((data.queries, data.passages)):
        noise = np.array([0.3, 0.8, 1.5, 0.2 + 0.6 * (role == 0)])[entries.language]
        image = [int(id_[1:].partition("#")[0]) for id_ in entries.ids]
        side = meaning[image] + noise[:, np.newaxis] * generator.standard_normal((len(entries), 16))
        sides.append((side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32))
    return report_of(data, (sides[0], sides[1]), measures=MEASURES)


@pytest.fixture(scope="module")
def report() -> Report:
    return made()[0]


@pytest.fixture(scope="module")
def ranks() -> Ranks:
    return made()[1]


def test_directions_and_the_gap_between_them(report):
    of = directions(report)
    assert [each.name for each in of] == ["text to image", "image to text"]
    assert [*of[0].rows] == [*TEXTS]
    table = paper_table(report)
    assert table.headers[0] == "texts in"
    assert [row[0] for row in table.rows] == [*TEXTS]
    for row in (*table.rows, table.footer):
        assert float(row[-1]) == pytest.approx(float(row[1]) - float(row[2]), abs=2e-4)
    by_setting = {
        (s.query_language, s.passage_languages): s.measures["Success@1"] for s in report.settings
    }
    assert float(table.rows[1][1]) == pytest.approx(by_setting["en", (IMAGE,)], abs=1e-4)
    assert float(table.rows[1][2]) == pytest.approx(by_setting[IMAGE, ("en",)], abs=1e-4)


def test_macro_scores_are_those_of_directions_and_of_mixed_texts(report):
    headers = " ".join(macro_table(report).headers)
    assert "text to image" in headers
    assert "image to text" in headers
    assert "image to mixed text" in headers
    assert "cross" not in headers


def test_the_terminal_says_both_directions_in_80_columns(report):
    text = terminal_text(report, verbose=True)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert re.search(r"Over texts in 3 languages it has Success@1 0\.\d+ text to image and", flat)
    assert "Images in the texts of all languages mixed: it reaches Success@1" in flat
    assert "cross" not in flat


def test_pages_and_plots(report, ranks):
    drawn = plots(report, ranks)
    assert {"macro.svg", "pairs.svg", "outranking.svg", "ranks.svg", "distance.svg"} <= {*drawn}
    assert not {"heatmap.svg", "languages.svg", "counts.svg"} & {*drawn}
    pages = report_pages(report, ranks)
    html, markdown = pages["report.html"].decode(), pages["report.md"].decode()
    for page in (html, markdown):
        assert "Scores by language of texts" in page
        assert "image to mixed text" in page
        assert "nothing searches its own kind" in page
        assert "Across languages" not in page


def test_images_are_read_and_written_and_cut(report, tmp_path):
    report.save(tmp_path)
    again = read_report(tmp_path)
    assert again.scores.directions == report.scores.directions
    cut = cut_report(again, ("en", "zh", IMAGE), "cut")
    assert [each.name for each in directions(cut)] == ["text to image", "image to text"]
    assert [*cut.scores.bias.outranking[IMAGE]] == ["en", "zh"]


def test_comparisons_are_by_direction(report):
    other, _ = made(7)
    compared = compare([report, other], draws=200)
    assert kinds_of(compared) == (
        *("monolingual", "multilingual", "image-to-text", "text-to-image"),
    )
    text = str(compared)
    assert "to text" in text
    assert max(map(len, text.splitlines())) <= 80


def test_explain_searches_the_other_kind(report, ranks):
    images = explain_query(ranks, "i5", IMAGE)
    assert images[0].pool_size == len(TEXTS) * (IMAGES + 2)
    assert {*images[0].passages[0].above} == {*TEXTS}
    assert len(images[0].passages) == 6
    texts = explain_query(ranks, "i5", "en")
    assert texts[0].pool_size == IMAGES
    assert [p.language for p in texts[0].passages] == [IMAGE]
    assert {each.language for each in most_biased(ranks, 5)} == {IMAGE}
    assert most_biased(ranks, 5, "en") == []
    found = outranking_languages(ranks, report.scores.bias.outranking)
    assert {each.language for each in found} == {*TEXTS}
    chosen = ranks.query_language[ranks.query] == ranks.languages.index(IMAGE)
    assert sum(each.passages for each in found) == int((ranks.above + ranks.tied)[chosen].sum())


def test_one_language_of_texts_has_both_directions_and_no_mixed_pool():
    records = image_records({"de": [0, 1, 2]}, 3)
    data = build_collection(("de", IMAGE), records)
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    report, ranks = report_of(data, (vectors, vectors), measures=MEASURES)
    assert [len(each.rows) for each in directions(report)] == [1, 1]
    assert not ranks.roles.mixed
    assert report.scores.bias.outranking == {}
    assert "Success@1 1.0000" in " ".join(terminal_text(report).split())
    assert report_pages(report, ranks)
    assert Kind.MULTILINGUAL.value not in report.macro
