from __future__ import annotations

import itertools
import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.training.studies.paper_figures import study_figures
from mlbench.training.studies.plots import spread, study_plots
from mlbench.training.studies.report import study_report
from mlbench.training.studies.trade_off import front
from mlbench.training.studies.triangle import proportions_of
from tests.training.studies.made import STUDY, done_study

NAMES = ("mono 1, noise 1", "pair 1, noise 1", "mixed 1, noise 1")
HEAD = STUDY[: STUDY.index("[claims")]


def plots_of(folder, text):
    study, place = done_study(folder, text)
    return {plot.file: plot for plot in study_plots(study_report(study, place, draws=50))}


def test_curves_and_the_trade_off_are_drawn_and_the_same_bytes_again(tmp_path):
    first = plots_of(tmp_path / "a", STUDY)
    assert set(first) == {"plots/curves-parallel.svg", "plots/trade-off-parallel.svg"}
    again = plots_of(tmp_path / "b", STUDY)
    assert all(plot.svg == again[file].svg for file, plot in first.items())
    for plot in first.values():
        ElementTree.fromstring(plot.svg)
        assert b"<image" not in plot.svg
        assert plot.alt
        assert plot.how


def test_proportions_have_triangles(tmp_path):
    grid = (
        "proportions = [{mono = 1}, {pair = 1}, {mixed = 1}, {mono = 0.5, mixed = 0.5}]\n"
        "noise = [1.0]"
    )
    plots = plots_of(tmp_path, HEAD.replace("noise = [0.8, 1.0, 1.6]", grid))
    assert "plots/proportions-parallel.svg" in plots
    key = plots["plots/trade-off-parallel.svg"].svg.decode()
    assert all(f"{letter}: {label}" in key for letter, label in zip("abc", NAMES, strict=True))


def test_arms_with_a_fourth_kind_or_without_proportions_are_in_no_triangle(tmp_path):
    grid = "proportions = [{mono = 1}, {mono = 0.5, multi = 0.5}]\nnoise = [1.0]"
    study, _ = done_study(tmp_path, HEAD.replace("noise = [0.8, 1.0, 1.6]", grid))
    assert list(proportions_of(study)) == ["mono 1, noise 1"]


def test_several_series_and_recorded_seconds_are_drawn(tmp_path):
    grid = "size = [32, 1024]\nnoise = [0.8, 1.0]"
    study, place = done_study(tmp_path, HEAD.replace("noise = [0.8, 1.0, 1.6]", grid))
    for number, path in enumerate(place.glob("cells/*/seed-*")):
        (path / "training.json").write_text(json.dumps({"seconds": 1.0 + number}))
    files = {plot.file for plot in study_plots(study_report(study, place, draws=50))}
    assert "plots/cost-parallel.svg" in files


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([(1, 1), (2, 2)], {1}),
        ([(1, 2), (2, 1)], {0, 1}),
        ([(1, 1), (1, 1)], {0, 1}),
        ([(1, 2), (2, 2), (0, 3)], {1, 2}),
        ([], set()),
    ],
)
def test_the_front_is_what_no_other_point_is_better_than(points, best):
    assert front(points) == best


@given(st.lists(st.integers(0, 40).map(lambda n: n / 40), max_size=6), st.sampled_from([0.08, 0.2]))
def test_labels_are_moved_apart_and_no_further_than_they_must(heights, least):
    moved = spread(heights, least)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = [moved[i] for i in order]
    assert all(b - a >= least - 1e-9 for a, b in itertools.pairwise(placed))
    assert sum(moved) == pytest.approx(sum(heights))
    for i, height in enumerate(heights):
        if all(
            abs(height - other) >= len(heights) * least for other in heights[:i] + heights[i + 1 :]
        ):
            assert moved[i] == pytest.approx(height)


def test_figures_for_papers_are_curves_or_rows_of_arms(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "mlbench.training.studies.paper_figures.figure_bytes",
        lambda figure, form: drawn.append(figure) or b"",
    )
    study, place = done_study(tmp_path, STUDY)
    report = study_report(study, place, draws=50)
    files = study_figures(report, ["pdf"])
    assert next(iter(files)) == "parallel-mAP-monolingual.pdf"
    (task,) = report.tasks
    figure = task.figures[0]
    trained = [each for each in task.entrants if each.role == "trained"]
    values = [task.value(each.label, figure).value for each in trained]
    of_title = {each.axes[0].get_ylabel(): each.axes[0] for each in drawn}
    (line,) = of_title[figure.title].lines
    assert sorted(line.get_ydata()) == pytest.approx(sorted(values))
    assert list(line.get_xdata()) == sorted(each.x for each in trained)
