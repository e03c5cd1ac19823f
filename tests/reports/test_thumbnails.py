"""Thumbnails on the page of a report on images, and what queries find first."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlbench.data.building import build_collection
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE, Images, Place, reference_of
from mlbench.data.texts import Texts
from mlbench.evaluation.examples import examples_of
from mlbench.models.encoding import Embedded
from mlbench.ranking.products import Limits
from mlbench.reports.page import report_pages
from mlbench.reports.report import Report, parse_report, report_to_json
from mlbench.reports.texts import shown_texts
from mlbench.reports.thumbnails import SIDE, flattened, thumbnail
from tests.data.test_images import encoded
from tests.support.image_collections import image_records
from tests.support.reports import report_of

TEXTS = ("de", "en")
IMAGES = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collection, np.ndarray, np.ndarray]:
    folder = tmp_path_factory.mktemp("pictures")
    records = image_records({code: [*range(IMAGES)] for code in TEXTS}, IMAGES, folder)
    collection = build_collection((*TEXTS, IMAGE), records)
    generator = np.random.default_rng(2)
    sides = [
        generator.standard_normal((len(e), 4)).astype(np.float32)
        for e in (collection.queries, collection.passages)
    ]
    return collection, sides[0], sides[1]


@pytest.fixture(scope="module")
def report(made: tuple[Collection, np.ndarray, np.ndarray]) -> Report:
    collection, queries, passages = made
    report, ranks = report_of(collection, (queries, passages))
    found = examples_of(collection, Embedded(queries, passages, (), {}), ranks, Limits(threads=2))
    return replace(report, examples=found, texts=shown_texts(ranks, collection, found))


def test_what_is_found_first_equals_a_search_of_everything(made, report):
    collection, queries, passages = made
    codes = collection.languages
    scores = queries.astype(np.float64) @ passages.T.astype(np.float64)
    assert {each.query_language for each in report.examples} == {*TEXTS, IMAGE}
    for each in report.examples:
        code = codes.index(each.query_language)
        query = collection.queries.index[code, each.query_id]
        image = each.query_language == IMAGE
        pool = [
            p
            for p in range(len(passages))
            if (codes[collection.passages.language[p]] == IMAGE) is not image
        ]
        best = max(pool, key=lambda p: scores[query, p])
        found = codes[collection.passages.language[best]], collection.passages.ids[best]
        assert (each.found_language, each.found_id) == found
        right = collection.passages.index[codes.index(each.relevant_language), each.relevant_id]
        own = {p for p in pool if collection.passages.ids[p] == each.query_id} - {right}
        above = [p for p in pool if scores[query, p] > scores[query, right] and p not in own]
        assert each.rank == len(above) + 1
        assert each.pool_size == len(pool)
        assert each.rank > 1


def test_the_page_shows_pictures_and_the_file_keeps_ids(report, tmp_path):
    html = report_pages(report, report.ranks)["report.html"].decode()
    assert "Found first" in html
    shown = html.count('<img class="thumbnail" src="data:image/jpeg;base64,')
    texts = sum(each.query_language != IMAGE for each in report.examples)
    images = len(report.examples) - texts
    assert shown == 2 * texts + images + min(10, IMAGES)
    assert "sha256:" not in html.partition("Found first")[2].partition("<h2>Settings")[0]
    assert "img-src data:" in html
    path = tmp_path / "report.json"
    path.write_text(report_to_json(report, None))
    assert parse_report(path)[0].examples == report.examples
    assert len(json.loads(path.read_text())["examples"]) == len(report.examples)


def test_without_the_images_the_page_has_ids(report):
    html = report_pages(replace(report, texts=Texts({}, {}, "no data")), report.ranks)
    page = html["report.html"].decode()
    assert 'class="thumbnail"' not in page
    assert report.examples[0].query_id in page
    assert "Pictures and texts are not shown: no data." in page


def test_references_are_no_texts(made):
    collection, _, _ = made
    texts = Texts.of(collection)
    assert not any(text.startswith("sha256:") for text in texts.passages.values())
    assert texts.place((IMAGE, "i3")).endswith("i3.png")
    assert texts.place(("de", "i3")) == ""
    assert len(texts.references) == IMAGES


def small(raw: bytes, tmp_path: Path) -> Image.Image:
    (tmp_path / "x").write_bytes(raw)
    reference = reference_of(raw)
    images = Images({reference: Place(tmp_path / "x", (1, 1))})
    texts = Texts({}, {}, images=images, references={(IMAGE, "x"): reference})
    uri = thumbnail(texts, (IMAGE, "x"))
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA", "I;16", "I"])
def test_every_mode_has_a_thumbnail(mode, tmp_path):
    if mode in ("I;16", "I"):
        kind = np.uint16 if mode == "I;16" else np.int32
        image = Image.fromarray(np.full((300, 500), 40_000, kind))
    else:
        image = Image.new("RGB", (500, 300), (200, 100, 50)).convert(mode)
    form = "JPEG" if mode == "CMYK" else "TIFF" if mode == "I" else "PNG"
    found = small(encoded(image, form), tmp_path)
    assert found.size == (SIDE, round(SIDE * 3 / 5))
    assert found.mode == "RGB"
    if mode in ("I;16", "I"):
        assert abs(found.getpixel((5, 5))[0] - (40_000 >> 8)) < 4


def test_what_is_transparent_is_white(tmp_path):
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert flattened(clear).getpixel((3, 3)) == (255, 255, 255)
    assert min(small(encoded(clear, "PNG"), tmp_path).getpixel((3, 3))) > 250
    assert small(encoded(clear, "PNG"), tmp_path).size == (20, 20)


def test_what_cannot_be_decoded_has_none(tmp_path):
    raw = encoded(Image.new("RGB", (60, 60)), "PNG")[:60]
    (tmp_path / "x").write_bytes(raw)
    references = {(IMAGE, "x"): reference_of(raw)}
    images = Images({reference_of(raw): Place(tmp_path / "x", (60, 60))})
    texts = Texts({}, {}, images=images, references=references)
    assert thumbnail(texts, (IMAGE, "x")) == ""
    assert thumbnail(texts, ("de", "x")) == ""
    (tmp_path / "x").unlink()
    assert thumbnail(texts, (IMAGE, "x")) == ""
