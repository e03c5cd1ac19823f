"""What the script is given: figures that survive packing, JSON that cannot leave its element."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlbench.leaderboard.page.export import (
    board_data,
    figures_data,
    standings_json,
)
from mlbench.leaderboard.page.packing import UNIT, packed, script_json
from tests.leaderboard.synthetic import entries, standings, unpacked

SCORES = st.one_of(st.just(math.nan), st.floats(0, 1))


@given(arrays.arrays(np.float64, st.integers(0, 40), elements=SCORES))
def test_packed_scores_come_back_to_five_decimals(values: np.ndarray) -> None:
    text = packed(values)
    assert len(text) == 3 * len(values)
    back = unpacked(text)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    np.testing.assert_allclose(back, values, rtol=0, atol=0.5 / UNIT + 1e-12)


@given(st.text())
def test_script_json_cannot_end_its_element(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    written = script_json({text: [text, "</script><!--", "\u2028\u2029&"]})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {text: [text, "</script><!--", "\u2028\u2029&"]}


SUITE = ("suite", "tasks", "headlines")
LANGUAGES = ("languages", "query_languages", "passage_languages")


def test_the_board_is_the_json_beside_the_page_but_for_what_strangers_wrote() -> None:
    written = json.loads(standings_json(standings(), ""))["standings"]
    found = json.loads(script_json(board_data(standings())))
    assert [table["name"] for table in found] == ["Overall", "apart", "parallel"]
    for table, expected in zip(found, written, strict=True):
        for row in expected["rows"]:
            del row["model"], row["by_language"], row["entries"]
        assert table == {key: expected[key] for key in table}
        assert set(table) == {"name", "main", "columns", "rows", *SUITE, *LANGUAGES}
    assert board_data(standings())[0]["headlines"] == {"apart": "multi", "parallel": "multi"}


def test_figures_are_those_of_the_tables() -> None:
    figures = figures_data(standings())
    assert set(figures) == {"apart", "parallel"}
    for each in entries():
        of = figures[each.entry.place.task].get(each.entry.slug)
        current = each.entry.withdrawn is None and (
            each.entry.place.run or each.entry.slug != "strong" or each.entry.place.task == "apart"
        )
        if each.measured is None or not current:
            continue
        for key, values in each.measured.figures.items():
            if key == "distance":
                np.testing.assert_allclose(of[key], values, atol=0.00005 + 1e-9)
            else:
                near = 0.5 / UNIT + 1e-9
                np.testing.assert_allclose(unpacked(of[key]), values.ravel(), atol=near)
