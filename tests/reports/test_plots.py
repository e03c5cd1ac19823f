"""Plots: the same bytes each time, self-contained, and none where there is nothing to show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from mlbench.common.errors import UsageError
from mlbench.data.task import Kind
from mlbench.measures.significance import Score
from mlbench.reports.matrices import MatrixPlot, Scale, draw_matrix
from mlbench.reports.plots import plot_png, plots
from tests.conftest import REPOSITORY
from tests.support.reports import (
    MEASURES,
    collection_of,
    equal_vectors,
    example,
    languages,
    report_of,
    vectors,
)

ALL = sorted(
    f"{name}.svg"
    for name in (
        *("heatmap", "macro", "outranking", "ranks"),
        *("languages", "targets", "distance", "counts"),
    )
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _no_warnings() -> None:
    """A glyph that a font lacks, or a layout that does not fit, is only ever a warning."""
    warnings.simplefilter("error")


@cache
def drawn(count: int) -> dict[str, bytes]:
    """The plots of a report on so many languages."""
    return plots(*example(count))


@pytest.mark.parametrize("count", [2, 11, 26])
def test_every_plot_is_svg_that_needs_nothing_else(count: int) -> None:
    assert sorted(drawn(count)) == ALL
    for content in drawn(count).values():
        root = ET.fromstring(content)
        assert root.tag == f"{SVG}svg"
        assert float(root.attrib["width"].removesuffix("pt")) <= 600
        text = content.decode()
        assert b"<image" not in content
        assert "<script" not in text
        references = re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', text)
        assert all((a or b).startswith("#") for a, b in references)


def test_the_same_report_gives_the_same_bytes() -> None:
    report, ranks = example(2)
    assert plots(report, ranks) == drawn(2)
    assert plot_png("macro", report, ranks) == plot_png("macro", report, ranks)


def test_a_users_matplotlib_settings_change_nothing_and_stay() -> None:
    import matplotlib

    report, ranks = example(2)
    expected = drawn(2)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "none"}):
        assert plots(report, ranks) == expected
        assert matplotlib.rcParams["font.size"] == 30
        assert matplotlib.rcParams["svg.fonttype"] == "none"


@pytest.mark.parametrize("backend", ["module://not_installed.backend", "nonsense"])
def test_a_broken_backend_in_the_environment_changes_nothing_and_stays(backend: str) -> None:
    code = (
        "import os; from mlbench.reports.drawing import canvas, plain_style, to_svg\n"
        "with plain_style(): to_svg(canvas(3, 2, 'a', 'b'))\n"
        "print(os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "MPLBACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, backend), done.stderr


def test_no_date_is_written() -> None:
    content = drawn(2)["macro.svg"]
    assert b"<dc:date" not in content
    assert b"Matplotlib v" not in content


def test_one_language_has_only_macro_scores() -> None:
    assert list(plots(*example(1))) == ["macro.svg"]


def test_what_cannot_be_shown_is_left_out() -> None:
    collection = collection_of(languages(3))
    monolingual = report_of(collection, vectors(collection), (Kind.MONOLINGUAL,))
    assert set(plots(*monolingual)) == {"macro.svg", "languages.svg"}
    cross = report_of(collection, vectors(collection), (Kind.CROSSLINGUAL,))
    assert set(plots(*cross)) == {"macro.svg", "languages.svg", "heatmap.svg"}
    mixed = report_of(collection, vectors(collection), (Kind.MULTILINGUAL,))
    assert set(plots(*mixed)) == {*ALL} - {"heatmap.svg"}
    perfect = example(3, noise=0, pull=0)
    assert set(plots(*perfect)) == {*ALL} - {"outranking.svg"}


def test_models_at_the_ends_are_drawn() -> None:
    collection = collection_of(languages(3))
    collapsed = report_of(collection, equal_vectors(collection))
    assert sorted(plots(*collapsed)) == ALL
    apart = collection_of(languages(4), apart=True)
    assert sorted(plots(*report_of(apart, vectors(apart)))) == ALL


def test_png_on_request() -> None:
    report, ranks = example(2)
    content = plot_png("heatmap", report, ranks, dpi=96)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Software" not in content
    width, height = np.frombuffer(content[16:24], ">u4")
    assert 500 < width <= 800
    assert height > 100
    for name in ("heatmaps", "heatmap.svg"):
        with pytest.raises(UsageError, match="heatmap, pairs, outranking, targets, distance"):
            plot_png(name, report, ranks)
    with pytest.raises(UsageError):
        plot_png("ranks", *example(1))


def test_dark_mode_follows_the_reader() -> None:
    content = drawn(2)["ranks.svg"].decode()
    assert "prefers-color-scheme:dark" in content
    assert content.index("<style") < content.index("<defs>")


def test_pyplot_is_not_used() -> None:
    """Another test may have imported it, so a new process is asked."""
    code = (
        "import sys; from tests.support.reports import example;"
        "from mlbench.reports.plots import plots;"
        "plots(*example(2)); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


@pytest.mark.parametrize(
    ("noise", "tied"), [(0.0, False), (1.0, False), (3.0, False), (1.0, True), (3.0, True)]
)
def test_labels_of_bars_are_on_no_bar_and_no_interval(
    monkeypatch, noise: float, tied: bool
) -> None:
    figures = []
    monkeypatch.setattr(
        "mlbench.reports.plots.to_svg", lambda figure: figures.append(figure) or b""
    )
    collection = collection_of(languages(4))
    queries, passages = vectors(collection, noise)
    if tied:
        queries, passages = np.round(queries * 4), np.round(passages * 4)
    plots(*report_of(collection, (queries, passages)))
    axes = figures[0].axes[0]
    lines = [each.get_datalim(axes.transData) for each in axes.collections]
    boxes = [bar.get_window_extent() for bar in axes.patches]
    boxes += [line.transformed(axes.transData) for line in lines]
    texts = [text for text in axes.texts if text.get_text()]
    assert len(texts) == len(MEASURES) * 3
    for text in texts:
        extent = text.get_window_extent()
        assert not [box for box in boxes if extent.overlaps(box)]
        assert extent.x1 < figures[0].bbox.x1
        first, _, last = text.get_text().partition(" to ")
        assert first != last
    assert any(" to " in text.get_text() for text in texts) is tied


def test_ties_that_change_no_digit_are_one_number(monkeypatch) -> None:
    figures = []
    monkeypatch.setattr(
        "mlbench.reports.plots.to_svg", lambda figure: figures.append(figure) or b""
    )
    report, ranks = example(2)
    score = Score(0.64798, 0.6, 0.7, 0.64849)
    assert score.ties_matter
    macro = {"monolingual": {"AP": score}}
    report = replace(report, measures=("AP",), scores=replace(report.scores, macro=macro))
    plots(report, ranks)
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["0.648"]


def test_a_single_row_of_many_columns_is_drawn_as_a_column():
    codes = [f"x{a}{b}" for a in "abcde" for b in "fghijk"]
    scale = Scale("YlGnBu", 0, 1, {0: "0", 1: "1"}, lambda value: f"{value:.2f}")
    row = MatrixPlot(codes[:1], codes, np.linspace(0, 1, 30)[np.newaxis], "Title", "", scale)
    assert row.is_turned
    assert not replace(row, columns=codes[:24], values=row.values[:, :24]).is_turned
    figure = draw_matrix(row)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*codes, "mean"]
    assert [label.get_text() for label in axes.get_xticklabels()] == codes[:1]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("passages in", "queries in")
    names = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(names))
