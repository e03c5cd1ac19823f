"""Figures for papers: they fit a column, their letters can be read, and they show the scores."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest

from mlbench.comparing.compare import compare
from mlbench.comparing.comparison_figures import comparison_figures
from mlbench.comparing.differences import NOT_SHOWN
from mlbench.comparing.quantities import Quantity
from mlbench.reports.paper import (
    SMALLEST,
    WIDTHS,
    Matrix,
    figure_bytes,
    fitted_map,
    heat_map,
    paper_style,
)
from mlbench.reports.paper_figures import paper_figures
from tests.comparing.test_comparison import model
from tests.comparing.test_comparison_page import renamed, saved_report
from tests.reports.test_image_reports import report as image_report  # noqa: F401
from tests.support.image_collections import image_collection
from tests.support.reports import collection_of, languages, report_of, vectors


@pytest.fixture(scope="module")
def report():
    collection = collection_of(languages(11), 6)
    return report_of(collection, vectors(collection), measures=("AP", "nDCG@10", "R@1"))[0]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, by their file."""
    drawn = []

    def kept(figure, form):
        drawn.append(figure)
        return str(len(drawn) - 1).encode()

    def of(draw, *given):
        for module in ("reports.paper_figures", "comparing.comparison_figures"):
            monkeypatch.setattr(f"mlbench.{module}.figure_bytes", kept)
        return {name: drawn[int(number)] for name, number in draw(*given).items()}

    return of


def check_letters(figure):
    """No letter is below 7 points, and none reaches out of the figure."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= SMALLEST
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert -0.01 <= drawn.x0 < drawn.x1 <= width + 0.01
    assert -0.01 <= drawn.y0 < drawn.y1 <= height + 0.01


@pytest.mark.parametrize("columns", [1, 2])
def test_a_report_s_figures_are_as_wide_as_asked_for_and_readable(report, figures, columns):
    drawn = figures(paper_figures, report, ["pdf"], columns)
    names = ("macro", "languages", "heatmap", "outranking", "distance")
    assert list(drawn) == [f"{name}.pdf" for name in names]
    for figure in drawn.values():
        assert figure.get_size_inches()[0] == WIDTHS[columns]
        check_letters(figure)
    assert len(drawn["heatmap.pdf"].axes[0].texts) == 11 * 11


def test_the_points_are_the_scores(report, figures):
    axes = figures(paper_figures, report, ["pdf"])["languages.pdf"].axes[0]
    found = {}
    for line in axes.lines:
        if len(line.get_xdata()) == 1 and line.get_marker() != "None":
            row = round(float(line.get_ydata()[0]))
            found.setdefault(line.get_marker(), {})[row] = float(line.get_xdata()[0])
    kinds = ("monolingual", "crosslingual", "multilingual")
    assert len(found) == len(kinds)  # a marker each, so that grey tells them apart
    for points, kind in zip(found.values(), kinds, strict=True):
        scores = report.scores.per_language[kind]["AP"]
        assert points == {i: scores[code].value for i, code in enumerate(report.task.roles.queries)}


def test_formats_have_no_dates_and_the_same_bytes_again(report):
    values = np.array([[0.1, np.nan], [-0.2, 0.3]])

    def drawn():
        with paper_style():
            of = Matrix(("de", "en"), ("de", "en"), values, (-0.3, 0.3), True, marked=[(1, 0)])
            figure = heat_map(of, "passages in", "queries in")
            return {form: figure_bytes(figure, form) for form in ("pdf", "png", "svg")}

    first = drawn()
    assert first == drawn()
    pdf = first["pdf"]
    parts = [zlib.decompress(raw) for raw in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.S)
             if raw[:1] == b"x"]  # fmt: skip
    whole = pdf + b"".join(parts)
    assert b"/FontFile2" in whole
    assert b"/Type3" not in whole
    assert not re.search(rb"CreationDate|/ModDate", whole)
    box = [float(each) for each in re.search(rb"/MediaBox \[([^\]]*)\]", pdf)[1].split()]
    assert box[2] == pytest.approx(72 * WIDTHS[1])
    assert first["png"][:4] == b"\x89PNG"
    assert b"prefers-color-scheme" not in first["svg"]


@pytest.fixture(scope="module")
def of_images():
    """A comparison of three models on images and captions, and the models' reports."""
    collection = image_collection(1, ("de", "en", "th", "zxx"), 12)
    reports = [
        renamed(report_of(collection, vectors(collection, noise), measures=("RR",))[0], name)
        for noise, name in ((0.9, "one"), (1.4, "other"), (1.4, "a model with a long name"))
    ]
    return compare([saved_report(each, "") for each in reports], draws=50), reports


@pytest.mark.parametrize("columns", [1, 2])
def test_a_comparison_on_images_has_heat_maps_of_each_direction(figures, of_images, columns):
    comparison, reports = of_images
    drawn = figures(comparison_figures, comparison, ["png"], columns)
    pairs = {
        "image-to-text": [("zxx", code) for code in ("de", "en", "th")],
        "text-to-image": [(code, "zxx") for code in ("de", "en", "th")],
    }
    maps = {name for name in drawn if name.startswith("heatmap")}
    kinds = ("", "differences-")
    assert maps == {f"heatmap-{kind}{direction}.png" for kind in kinds for direction in pairs}
    scores = [
        {(s.query_language, *s.passage_languages): s.measures["RR"] for s in each.scores.settings}
        for each in reports
    ]
    for direction, places in pairs.items():
        wanted = np.array([[of[place] for place in places] for of in scores])
        for kind, values in (("", wanted), ("differences-", wanted[1:] - wanted[0])):
            figure = drawn[f"heatmap-{kind}{direction}.png"]
            check_letters(figure)
            assert figure.get_size_inches()[0] == WIDTHS[columns]
            (axes,) = figure.axes
            assert (axes.get_xlabel(), axes.get_ylabel()) == ("texts in", "")
            assert [each.get_text() for each in axes.get_xticklabels()] == ["de", "en", "th"]
            names = [each.get_text() for each in axes.get_yticklabels()]
            assert names == ["one", "other", "a model wi…long name"][-len(values) :]
            shown = {
                (int(text.get_position()[1]), int(text.get_position()[0])): float(text.get_text())
                for text in axes.texts
            }
            assert shown == {
                place: pytest.approx(value, abs=0.005 + 1e-9)
                for place, value in np.ndenumerate(values)
            }
            marks = {(int(m.get_ydata()[0]), int(m.get_xdata()[0])) for m in axes.lines}
            unclear = {
                ("BC".index(d.model), [*places].index(place))
                for d in comparison.differences
                if d.against == "A" and d.verdict == NOT_SHOWN
                and (place := (d.quantity.query_language, d.quantity.passage_language)) in places
            }  # fmt: skip
            assert marks == (unclear if kind else set())


def test_heat_maps_of_a_comparison_on_images_have_the_same_bytes_each_time(of_images):
    comparison, _ = of_images
    first, again = (comparison_figures(comparison, ["pdf", "png", "svg"]) for _ in range(2))
    assert first == again
    assert sum(name.startswith("heatmap") for name in first) == 4 * 3
    box = re.search(rb"/MediaBox \[([^\]]*)\]", first["heatmap-image-to-text.pdf"])
    assert float(box[1].split()[2]) == pytest.approx(72 * WIDTHS[1])


@pytest.mark.parametrize(
    ("value", "models", "turned"), [(0.5, 3, False), (0.0051, 3, True), (0.0051, 40, False)]
)
def test_languages_become_rows_where_only_so_the_numbers_fit(value, models, turned):
    values = np.full((models, 11), value)
    names, codes = [f"model {n}" for n in range(models)], languages(11)
    decimals = 2 if value > 0.1 else 4
    with paper_style():
        of = Matrix(names, codes, values, (0, 1), decimals=decimals, marked=[(1, 2)])
        figure = fitted_map(of, "texts in")
        (axes,) = figure.axes
        check_letters(figure)
    rows = [each.get_text() for each in axes.get_yticklabels()]
    assert rows == ([*codes] if turned else names)
    named = axes.get_ylabel() if turned else axes.get_xlabel()
    assert named == "texts in"
    assert bool(axes.texts) == (models < 40)
    (mark,) = axes.lines
    assert (int(mark.get_ydata()[0]), int(mark.get_xdata()[0])) == ((2, 1) if turned else (1, 2))


def test_a_comparison_s_figures_mark_what_is_not_shown(figures):
    comparison = compare([model(noise) for noise in (0.6, 1.2, 1.2)], ["AP"], draws=200)
    drawn = figures(comparison_figures, comparison, ["svg"])
    assert {"scores.svg", "trade-off-crosslingual.svg", "heatmap-B.svg"} <= set(drawn)
    for figure in drawn.values():
        check_letters(figure)
    of = {(d.model, d.against): d for d in comparison.differences
          if d.quantity == Quantity("multilingual", "AP")}  # fmt: skip
    axes = drawn["differences-multilingual-mAP.svg"].axes[0]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    hollow = {round(float(p.get_xdata()[0]), 9): p.get_markerfacecolor() == "white" for p in points}
    assert hollow == {round(d.difference, 9): d.verdict == NOT_SHOWN for d in of.values()}
    assert len(set(hollow.values())) == 2


def test_images_and_texts_have_the_figures_that_they_can_fill(image_report, figures):  # noqa: F811
    drawn = figures(paper_figures, image_report, ["pdf"])
    assert "heatmap.pdf" not in drawn
    labels = [text.get_text() for text in drawn["macro.pdf"].legends[0].get_texts()]
    assert labels[:2] == ["text to image", "image to text"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", ["pdf", "png", "svg"])
def test_a_name_that_the_font_lacks_is_drawn_without_a_word(form):
    with paper_style():
        figure = heat_map(Matrix(["模型"], ["de"], np.ones((1, 1)), (0, 1)), "", "")
        assert len(figure_bytes(figure, form)) > 1000
