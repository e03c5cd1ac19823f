from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.models.notes import note_to_bytes, read_note, subject
from mlbench.models.shards import Unusable

TEXT = st.text(max_size=8)
PARTS = st.lists(st.lists(TEXT, max_size=3), max_size=3)


@given(TEXT, PARTS, TEXT, PARTS)
def test_no_other_question_has_the_same_subject(one, parts, other, others):
    same = (one, parts) == (other, others)
    assert (subject(one, *parts) == subject(other, *others)) == same


def test_where_a_part_ends_matters():
    cut = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""]]
    subjects = {subject("q", part) for part in cut}
    subjects |= {subject("q", ["ab"], ["c"]), subject("qabc"), subject("q", ["\ud800"])}
    assert len(subjects) == len(cut) + 3


@given(TEXT, st.binary(max_size=80))
def test_an_answer_is_read_as_it_was_noted(question, answer):
    about = subject(question)
    assert read_note(about, note_to_bytes(about, answer)) == answer


@pytest.mark.parametrize("answer", [b"", b"some bytes"])
def test_a_note_that_was_changed_cut_or_moved_is_not_read(answer):
    about, other = subject("one"), subject("two")
    content = note_to_bytes(about, answer)
    flipped = (
        content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        for place in range(len(content))
    )
    cut = (content[:size] for size in range(len(content)))
    for damaged in itertools.chain(flipped, cut, [content + b"x"]):
        with pytest.raises(Unusable, match="damaged"):
            read_note(about, damaged)
    with pytest.raises(Unusable, match="damaged"):
        read_note(other, content)
