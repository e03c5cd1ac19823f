from __future__ import annotations

from typing import Any, NoReturn

import pytest

from mlbench.models.endpoint.answers import in_order


def refuse(found: str, expected: str) -> NoReturn:
    raise ValueError(f"{found}; expected {expected}")


def ordered(answer: dict[str, Any], count: int = 2) -> list[dict[str, Any]]:
    return in_order(answer, "data", count, ("vector", "text"), refuse)


def test_items_stand_in_the_order_of_the_texts() -> None:
    found = ordered({"data": [{"index": 1, "v": "b"}, {"index": 0, "v": "a"}]})
    assert [item["v"] for item in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (None, 'no list of objects under "data"'),
        ([1, 2], 'no list of objects under "data"'),
        ([{"index": 0}], r"1 vector, of index \[0\]; expected 2 vectors, each with the index of"),
        ([{"index": 0}, {"index": 0}], r"of index \[0, 0\]"),
        ([{"index": 0}, {}], r"of index \[0, None\]"),
        ([{"index": 0}, {"index": [1]}], r"of index \[0, \[1\]\]"),
        ([{"index": 0}, {"index": True}], r"of index \[0, True\]"),
    ],
)
def test_other_answers_are_refused(items: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ordered({"data": items})
