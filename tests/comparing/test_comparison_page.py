"""The page of a comparison: its numbers, what names cannot do, and its charts in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from mlbench.comparing.baseline import Saved, saved_report
from mlbench.comparing.charts import Point, plane_chart, row_chart, steps
from mlbench.comparing.compare import compare
from mlbench.comparing.comparison import Comparison
from mlbench.comparing.comparison_maps import _brief
from mlbench.comparing.comparison_page import comparison_page, reading
from mlbench.comparing.differences import shown
from tests.comparing.test_comparison import model
from tests.support.browser import NAMES, Browser, find_browser, running_browser
from tests.support.image_collections import image_collection
from tests.support.reports import collection_of, languages, renamed, report_of, vectors

LONG = "an-organisation-with-a-long-name/a_model_whose_name_has_no_break_at_all_in_it"
HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)> "\'&'


def tips(page: str) -> list[str]:
    return [unescape(text) for text in re.findall(r'data-tip="([^"]*)"', page)]


@pytest.fixture(scope="module")
def three() -> tuple[Comparison, Sequence[Saved]]:
    saved = [model(noise) for noise in (0.6, 1.2, 1.25)]
    wild = replace(saved[1], model=replace(saved[1].model, name=HOSTILE), where=HOSTILE)
    long = replace(saved[2], model=replace(saved[2].model, name=LONG))
    saved = [saved[0], wild, long]
    return compare(saved, draws=500), saved


@pytest.fixture(scope="module")
def page(three) -> str:
    return comparison_page(*three)


def test_every_main_figure_difference_and_cell_is_on_it_with_its_interval(three, page):
    comparison, _ = three
    said = tips(page)
    for value in comparison.scores:
        q = value.quantity
        if q.measure in (comparison.headline, "rank-distance"):
            own = [tip for tip in said if tip.startswith(f"{value.model} ")]
            number = shown(value.value, q.measure)
            ends = " to ".join(shown(end, q.measure) for end in (value.low, value.high))
            assert any(f"{number}, 95% interval {ends}" in tip for tip in own), value
    for d in comparison.differences:
        q = d.quantity
        if q.measure == comparison.headline and q.level == 0:
            number = shown(d.difference, q.measure, sign=True)
            (tip,) = {tip for tip in said if tip.startswith(f"{d.model} - {d.against}: {number},")}
            assert (d.better == "") == ("no difference shown" in tip)


def test_the_summary_says_what_is_shown_and_what_is_not(three):
    first, *_, last = reading(three[0])
    best = max(
        (v for v in three[0].scores if (v.quantity.kind, v.quantity.level) == ("monolingual", 0)),
        key=lambda v: v.value,
    )
    assert first == (
        f"Monolingual mAP is highest for A (noise-0.6), at {best.value:.4f}, and it is shown to be "
        "better than all others."
    )
    assert last.startswith("Rank distance is lowest for A (noise-0.6)")
    same = compare([model(1.2), model(1.2)], draws=200)
    value = same.scores[0].value
    assert reading(same)[0] == (
        f"Monolingual mAP is highest for A (noise-1.2) and B (noise-1.2), at {value:.4f}, which "
        "they share."
    )
    first, *_ = reading(compare([model(1.2), model(1.2), model(2.4)], draws=200))
    assert first.endswith(
        f"A (noise-1.2) and B (noise-1.2), at {value:.4f}, and each of them is shown to be better "
        "than C."
    )


def test_it_holds_one_script_and_asks_for_nothing(page):
    assert page.count("<script") == 1
    assert "onerror=alert(1)>" not in page
    assert not re.search(r'\b(?:src|srcset|href)="(?!#)|url\(|@import|https?://', page)


@pytest.mark.parametrize(
    ("value", "most", "sign", "text"),
    [
        (0.7941, 0.82, False, ".79"), (1.0, 1.0, False, "1.00"), (0.0314, 0.095, False, ".03"),
        (0.0314, 0.0314, False, ".031"), (0.0014, 0.0028, False, ".0014"),
        (-0.0014, 0.0028, True, "-.0014"), (0.05, 0.2, True, "+.05"),
    ],
)  # fmt: skip
def test_cells_of_small_scores_have_more_decimals(
    value: float, most: float, sign: bool, text: str
) -> None:
    assert _brief(value, most, sign=sign) == text


def test_its_size_for_five_models_on_eleven_languages_stays_small(monkeypatch):
    collection = collection_of(languages(11), 6)
    saved = [
        saved_report(renamed(report_of(collection, vectors(collection, noise))[0], f"m{noise}"), "")
        for noise in (0.9, 1.1, 1.3, 1.5, 1.7)
    ]
    comparison = compare(saved, ["AP", "rank-distance"], draws=50)
    text = comparison_page(comparison, saved)
    # Scores, differences to the first, and outranking.
    assert text.count('<figure class="map') == 5 + 4 + 5
    assert 200_000 < len(text.encode()) < 2_000_000
    monkeypatch.setattr("mlbench.comparing.comparison_maps.MOST_CELLS", 10 * 121)
    text = comparison_page(comparison, saved)
    assert text.count('<figure class="map') == 10
    assert "no room for 4 more heat maps" in text


def test_images_have_a_map_for_each_direction_with_a_row_a_model():
    collection = image_collection(1, ("de", "en", "th", "zxx"), 12)
    reports = [
        renamed(report_of(collection, vectors(collection, noise), measures=("RR",))[0], name)
        for noise, name in ((0.9, "one"), (1.4, "other"))
    ]
    comparison = compare([saved_report(report, "") for report in reports], draws=50)
    page = comparison_page(comparison, [saved_report(report, "") for report in reports])
    maps = re.findall(
        r'<figure class="map by-model".*?aria-label="([^"]*)">(.*?)</figure>', page, re.S
    )
    assert [title for title, _ in maps] == [
        "Image to text: RR", "Text to image: RR", "Image to text: RR minus A",
        "Text to image: RR minus A", "Texts that images find: outranking",
    ]  # fmt: skip
    assert page.count('<figure class="map') == 5
    assert "There is a map for each direction." in page
    scores = [
        {(s.query_language, *s.passage_languages): s.measures["RR"] for s in report.scores.settings}
        for report in reports
    ]
    for (_, text), asks_with_images in zip(maps[:4], [True, False] * 2, strict=True):
        names = re.findall(r'scope="col">(\w+)', text)
        assert names == ["de", "en", "th"]
        rows = [unescape(row) for row in re.findall(r'scope="row">(.*?)</tr>', text)]
        for row in rows:
            model = "AB".index(row[0])
            pairs = [("zxx", code) if asks_with_images else (code, "zxx") for code in names]
            wanted = [scores[model][pair] for pair in pairs]
            if len(rows) == 1:
                first = [scores[0][pair] for pair in pairs]
                wanted = [one - other for one, other in zip(wanted, first, strict=True)]
            shown_ = [float(cell) for cell in re.findall(r">([+-]?\d?\.\d\d)<", row)]
            assert shown_ == pytest.approx(wanted, abs=0.005 + 1e-9)
    said = tips(page)
    assert any(tip.startswith("A one, texts in de searched with images: RR 0.") for tip in said)
    assert any(tip.startswith("B - A, images searched with texts in de: ") for tip in said)


def test_a_series_is_drawn_along_its_axis():
    saved = [model(noise) for noise in (0.6, 1.2)]
    text = comparison_page(compare(saved, ["AP"], xs=[1, 0.5], axis="share <b>", draws=50))
    assert 'id="series"' in text
    assert any(", share <b> 0.5: mAP" in tip for tip in tips(text))
    assert "share <b>" not in text
    assert 'id="bias"' not in text


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.031, 0.0362), (-2789.0, 80.0), (0.5, 0.5)])
def test_steps_are_round_and_hold_the_ends(low, high):
    at = np.array(steps(low, high))
    assert at[0] <= low
    assert at[-1] >= high
    assert 2 <= len(at) <= 7
    assert np.allclose(np.diff(at), at[1] - at[0])


def test_places_are_linear_in_the_values():
    points = [
        Point(i, v, v - 0.1, v + 0.1, "", up=(v, v, v)) for i, v in enumerate((0.2, 0.4, 0.8))
    ]
    chart = row_chart("t", [("row", points)], str)
    (row,) = chart.rows
    left, _, right, _ = chart.inner
    ends = [float(text) for _, text in chart.ticks]
    for mark, point in zip(row, points, strict=True):
        share = (point.value - ends[0]) / (ends[-1] - ends[0])
        assert mark.x == pytest.approx(left + share * (right - left), abs=0.06)
    (row,) = plane_chart("t", "x", points, "ABC").rows
    assert [mark.text for mark in row] == ["A", "B", "C"]
    assert [mark.y for mark in row] == sorted((mark.y for mark in row), reverse=True)


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip(f"no browser found ({', '.join(NAMES)}): apt-get install chromium")
    file = tmp_path_factory.mktemp("page") / "comparison.html"
    file.write_text(page, encoding="utf-8")
    with running_browser(program, tmp_path_factory.mktemp("profile")) as running:
        running.view(390, 800)
        running.open(file)
        yield running
        assert running.complaints() == []
        assert set(running.requests()) <= {file.as_uri(), "data:,"}


TIP = "(tip => tip.hidden ? null : tip.textContent)(document.querySelector('.tip'))"
FOCUSED = "document.activeElement.getAttribute('aria-label')"


def test_names_stay_text_and_a_phone_scrolls_no_page_sideways(browser):
    assert browser.run("document.title") == "3 models on parallel - mlbench"
    assert (
        browser.run("[...document.querySelectorAll('.models bdi')].map(e => e.textContent)")[2]
        == HOSTILE
    )
    assert browser.run("document.documentElement.scrollWidth") == 390
    wide = (
        "[...document.querySelectorAll('.named tbody th')].filter(e => e.offsetParent)"
        ".map(e => e.getBoundingClientRect().width)"
    )
    assert 0 < max(browser.run(wide)) < 195  # half of the width is left for figures


def test_a_mark_answers_to_the_mouse(browser):
    x, y, said = browser.run(
        "(mark => { mark.scrollIntoView({block: 'center'});"
        "const at = mark.querySelector('.reach').getBoundingClientRect();"
        "return [at.x + at.width / 2, at.y + at.height / 2, mark.dataset.tip] })"
        "(document.querySelector('#scores .mark'))"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.wait(lambda: browser.run(TIP) == said)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    browser.wait(lambda: browser.run(TIP) is None)


def test_a_chart_is_one_stop_of_the_tab_key_and_arrows_walk_it(browser):
    plots = browser.run("document.querySelectorAll('[data-plot]').length")
    assert browser.run("document.querySelectorAll('[data-plot] [tabindex=\"0\"]').length") == plots
    browser.run("document.querySelector('.mark').focus()")
    walked = []
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft"):
        browser.press(key)
        walked.append(browser.run(FOCUSED)[:2])
        assert browser.run(TIP) == browser.run(FOCUSED)
    assert walked == ["A ", "B ", "C ", "C ", "B ", "A "]
    browser.press("Escape")
    assert browser.run(TIP) is None
    browser.run("document.querySelector('.map td[data-tip]').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowDown")
    columns = browser.run("[...document.querySelector('.map').querySelectorAll('thead th')].length")
    assert columns == 3
    cell = browser.run(
        "[document.activeElement.cellIndex, document.activeElement.parentNode.rowIndex]"
    )
    assert cell == [2, 2]
    at = browser.run(
        "(t => [t.left, t.right])(document.querySelector('.tip').getBoundingClientRect())"
    )
    assert 0 <= at[0] < at[1] <= 390
