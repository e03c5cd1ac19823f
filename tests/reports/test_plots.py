"""Plots: the same bytes each time, self-contained, and none where there is nothing to show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from functools import cache

import numpy as np
import pytest

from mlbench.common.errors import UsageError
from mlbench.data.task import Kind
from mlbench.reports.plots import plot_png, plots
from tests.conftest import REPOSITORY
from tests.support.reports import (
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
    assert set(plots(*monolingual)) == {*ALL} - {"heatmap.svg"}
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
        with pytest.raises(UsageError, match="heatmap, outranking, targets, distance"):
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
