from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlbench.data.digests import (
    MODULUS,
    add,
    collection_digest,
    judged_records,
    sum_of_judged,
    sum_of_records,
)

RECORDS = st.lists(st.tuples(st.sampled_from(["de", "en"]), st.text(), st.text()), max_size=9)


@given(RECORDS, st.randoms(), st.integers(0, 9))
def test_sums_depend_on_no_order_and_parts_add_up(records, random, cut):
    whole = sum_of_records("passage", records)
    random.shuffle(records)
    parts = (sum_of_records("passage", part) for part in (records[:cut], records[cut:]))
    assert add(*parts) == whole
    assert 0 <= whole < MODULUS


@given(RECORDS, RECORDS)
def test_other_records_give_another_sum(one, other):
    same = sorted(one) == sorted(other)
    assert (sum_of_records("passage", one) == sum_of_records("passage", other)) == same


def test_neither_roles_nor_fields_can_be_mistaken_for_each_other():
    assert sum_of_records("query", [("de", "1", "a")]) != sum_of_records(
        "passage", [("de", "1", "a")]
    )
    assert sum_of_records("query", [("de", "1a", "")]) != sum_of_records(
        "query", [("de", "1", "a")]
    )


def test_the_order_of_judgements_is_not_of_the_digest_but_the_rest_is():
    rows = [
        ("de", "q", "de", "p1", "1"),
        ("de", "q", "en", "p2", "2"),
        ("en", "q", "de", "p1", "1"),
    ]
    one, other, less = (
        sum_of_records("qrels", judged_records(r)) for r in (rows, rows[::-1], rows[:2])
    )
    assert one == other != less


NAMES = st.lists(
    st.tuples(st.sampled_from(["de", "en", "zh-Hant"]), st.text(max_size=5)),
    min_size=1,
    unique=True,
)


@given(NAMES, NAMES, st.data())
def test_judgements_as_arrays_have_the_sum_of_their_records(queries, passages, data):
    pair = st.tuples(
        st.integers(0, len(queries) - 1), st.integers(0, len(passages) - 1), st.integers(-2, 12)
    )
    rows = sorted(data.draw(st.lists(pair, unique_by=lambda row: row[:2])))
    records = judged_records((*queries[q], *passages[p], str(grade)) for q, p, grade in rows)
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    assert sum_of_judged(queries, passages, *columns) == sum_of_records("qrels", records)


def test_the_digest_is_stable_and_sees_languages_counts_and_sums():
    sums = {"query": 5, "passage": 7}
    counts = {"query": [1], "passage": [2]}
    digest = collection_digest(["de"], counts, sums)
    assert digest == collection_digest(["de"], dict(reversed(counts.items())), sums)
    assert (
        len(
            {
                digest,
                collection_digest(["en"], counts, sums),
                collection_digest(["de"], {"query": [2], "passage": [1]}, sums),
                collection_digest(["de"], counts, {"query": 7, "passage": 5}),
            }
        )
        == 4
    )
