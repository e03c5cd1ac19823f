from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlbench.digests import MODULUS, add, collection_digest, judged_records, sum_of_records

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
