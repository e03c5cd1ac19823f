"""Figures: well-formed, where values belong, the same bytes, and nothing hostile in them."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from mlbench.common.sizes import short_number
from mlbench.data.task import Roles
from mlbench.leaderboard.page.plots import (
    LETTER,
    CostAxis,
    Point,
    cost_plot,
    heat_map,
    level_of,
)
from tests.leaderboard.synthetic import HOSTILE


def point(name: str, x: float | None, y: float, *, ranked: bool = True) -> Point:
    spread = 0.02 if ranked else None
    return Point(name, x, y, y - spread if spread else None, y + spread if spread else None, ranked)


POINTS = [
    point("big", 1e9, 0.8),
    point("small", 2e7, 0.5),
    point("worse", 5e8, 0.4),
    point("unknown", None, 0.3),
    point("paper", 4e8, 0.9, ranked=False),
]


PARAMETERS = CostAxis("parameters", "parameters")


def test_of_speed_more_is_better() -> None:
    root = ET.fromstring(cost_plot(POINTS, CostAxis("speed", "speed", more_is_better=True), "mAP"))
    dots = {
        dot.find("title").text.partition(":")[0]: (float(dot.get("cx")), float(dot.get("cy")))
        for dot in root.iter("circle")
    }
    fronts = [path for path in root.iter("path") if path.get("class") == "front"]
    assert fronts == []  # the fastest is the best
    points = [*POINTS, point("fastest", 3e9, 0.6)]
    root = ET.fromstring(cost_plot(points, CostAxis("speed", "speed", more_is_better=True), "mAP"))
    (front,) = [path.get("d") for path in root.iter("path") if path.get("class") == "front"]
    assert front.count("L") == 1
    assert len(dots) == 4


def test_plot_places_values() -> None:
    root = ET.fromstring(cost_plot(POINTS, PARAMETERS, "mAP"))
    dots = {
        dot.find("title").text.partition(":")[0]: (float(dot.get("cx")), float(dot.get("cy")))
        for dot in root.iter("circle")
    }
    assert set(dots) == {"big", "small", "worse", "unknown"}
    assert dots["unknown"][0] < dots["small"][0] < dots["worse"][0] < dots["big"][0]
    assert dots["big"][1] < dots["small"][1] < dots["worse"][1] < dots["unknown"][1]
    per_decade = (dots["big"][0] - dots["small"][0]) / math.log10(50)
    assert dots["worse"][0] - dots["small"][0] == pytest.approx(
        per_decade * math.log10(25), abs=0.2
    )
    texts = [text.text for text in root.iter("text")]
    assert {"not known", "10M", "100M", "1B", "parameters (log scale)", "mAP"} <= set(texts)
    kinds = [path.get("class") for path in root.iter("path")]
    assert kinds.count("open") == 1
    assert kinds.count("whisker") == 4
    (front,) = [path.get("d") for path in root.iter("path") if path.get("class") == "front"]
    ends = [tuple(map(float, corner.split())) for corner in front[1:].split("L")]
    assert ends == [dots["small"], dots["big"]]


def test_labels_do_not_overlap() -> None:
    points = [point(f"model number {i}", 1e8 * (1 + i % 3), 0.5 + 0.004 * i) for i in range(40)]
    root = ET.fromstring(cost_plot(points, PARAMETERS, "mAP"))
    boxes = [
        (float(t.get("x")), float(t.get("y")), LETTER * len(t.text))
        for t in root.iter("text")
        if t.get("class") == "name"
    ]
    assert 3 <= len(boxes) <= 40
    for i, (x, y, wide) in enumerate(boxes):
        assert x >= 0
        assert x + wide <= 600
        for other_x, other_y, other_wide in boxes[:i]:
            apart = x > other_x + other_wide or other_x > x + wide or abs(y - other_y) >= 11
            assert apart


def test_where_names_have_no_room_the_ranked_models_are_named() -> None:
    crowd = [point(f"reported {n}", None, 0.5 + n / 1000, ranked=False) for n in range(9)]
    points = [*crowd, point("ranked", None, 0.4995), point("other", 1e7, 0.1)]
    drawing = cost_plot(points, PARAMETERS, "y")
    assert ">ranked</text>" in drawing
    assert drawing.count('class="name"') < 11


def test_labels_stay_clear_of_the_axis_and_of_the_models_whose_cost_is_known() -> None:
    unknown = [point(f"a published model {i}", None, 0.2 * i, ranked=False) for i in range(5)]
    root = ET.fromstring(cost_plot([*unknown, point("small", 1e7, 0.5)], PARAMETERS, "mAP"))
    texts = list(root.iter("text"))
    ticks = max(float(t.get("x")) for t in texts if t.text in {"0", "0.2", "0.4", "0.6", "0.8"})
    (axis,) = [path.get("d") for path in root.iter("path") if path.get("class") == "axis"]
    labels = [t for t in texts if (t.text or "").startswith("a published")]
    assert len(labels) == 5
    for label in labels:
        x = float(label.get("x"))
        assert ticks < x
        assert x + LETTER * len(label.text) < float(axis[1:].split()[0])


def test_nothing_to_plot_is_no_plot() -> None:
    assert cost_plot([], PARAMETERS, "mAP") == ""
    assert cost_plot([point("a", None, 0.5)], PARAMETERS, "mAP") == ""
    assert "not known" not in cost_plot([point("a", 10.0, 0.0)], PARAMETERS, "mAP")


def test_plots_repeat_whatever_the_order() -> None:
    assert cost_plot(POINTS, PARAMETERS, "q") == cost_plot(POINTS[::-1], PARAMETERS, "q")


def test_hostile_names_stay_text() -> None:
    drawn = cost_plot([point(HOSTILE, 1e6, 0.5)], PARAMETERS, "mAP")
    root = ET.fromstring(drawn)
    assert {e.tag for e in root.iter()} <= {"svg", "path", "text", "circle", "title"}
    assert "\u202e" not in drawn
    assert "\\u202e" in drawn
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]


@pytest.mark.parametrize("count", [1, 3, 11, 18, 50])
def test_heat_map_has_a_cell_a_pair(count: int) -> None:
    names = [f"l{i}" for i in range(count)]
    values = np.linspace(0, 1, count * count).reshape(count, count)
    values[0, -1] = math.nan
    mixed = np.full(count, 0.25)
    roles = Roles(tuple(names), tuple(names))
    drawn = heat_map(roles, values, mixed)
    assert drawn == heat_map(roles, values, mixed)
    root = ET.fromstring(drawn)
    cells = {p.get("class"): p.get("d").count("M") for p in root.iter("path")}
    assert cells.pop("own") == count
    assert cells.pop("none") == 1
    assert sum(cells.values()) == count * count - 1 + count
    expected: dict[str, int] = {}
    for value in [*values.ravel(), *mixed]:
        if not math.isnan(value):
            name = f"h{level_of(value)}"
            expected[name] = expected.get(name, 0) + 1
    assert cells == expected
    numbers = [t.text for t in root.iter("text") if re.fullmatch(r"\.\d\d|1\.00", t.text or "")]
    assert len(numbers) == (count * count - 1 + count if count <= 24 else 0)
    wide, high = (float(root.get(key)) for key in ("width", "height"))
    for path in root.iter("path"):
        for x, y in re.findall(r"M(\d+) (\d+)", path.get("d")):
            assert float(x) < wide
            assert float(y) < high


def test_heat_map_of_other_queries_than_passages() -> None:
    roles = Roles(("de", "en"), ("en", "fr", "sw"))
    root = ET.fromstring(heat_map(roles, np.full((2, 3), 0.5), np.full(2, 0.25)))
    cells = {p.get("class"): p.get("d").count("M") for p in root.iter("path")}
    assert cells == {"own": 1, "h8": 6, "h4": 2}
    names = [t.text for t in root.iter("text") if not (t.text or "").startswith(".")]
    assert names == ["passages in", "en", "fr", "sw", "mixed", "de", "en"]
    own = next(p.get("d") for p in root.iter("path") if p.get("class") == "own")
    assert own in next(p.get("d") for p in root.iter("path") if p.get("class") == "h8")
    apart = ET.fromstring(heat_map(Roles(("de",), ("en", "fr")), np.full((1, 2), 0.5)))
    assert "own" not in {p.get("class") for p in apart.iter("path")}


def test_levels_of_colour() -> None:
    values = (-1.0, 0.0, 0.031, 0.032, 0.5, 1.0, 2.0)
    assert [level_of(value) for value in values] == [0, 0, 0, 1, 8, 16, 16]


def test_heat_map_without_a_mixed_pool_and_with_long_names() -> None:
    names = ("zh-Hans-CN-x", "de")
    root = ET.fromstring(heat_map(Roles(names, names), np.full((2, 2), 0.5)))
    texts = [text.text for text in root.iter("text")]
    assert "mixed" not in texts
    assert "zh-H…CN-x" in texts


def test_short_numbers() -> None:
    assert [short_number(v) for v in (0.1, 1, 10, 999, 1000, 999_600, 22_713_216, 7e9, 1.8e12)] == [
        "0.1", "1", "10", "999", "1k", "1M", "22.7M", "7B", "1.8T",
    ]  # fmt: skip
