"""Blocks hold a shard, in its order, and end where the shard alone says."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlbench.data.corpus import Passage
from mlbench.evaluation.scan import Content, blocks_of
from tests.evaluation.building import ListShard

passages = st.lists(
    st.builds(Passage, st.text("ab#1", min_size=1, max_size=4), st.text("xyé漢 ", max_size=5)),
    max_size=30,
)


def shard(held, batch=4):
    return ListShard("en", "en/0", None, tuple(held), batch)


@given(passages, st.integers(1, 9), st.integers(1, 9))
def test_blocks_are_full_but_the_last_and_together_the_shard(held, size, batch):
    blocks = list(blocks_of(shard(held, batch), size))
    assert [Passage(*pair) for b in blocks for pair in zip(b.ids, b.texts, strict=True)] == held
    assert [len(block.ids) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert [block.start for block in blocks] == [size * i for i in range(len(blocks))]
    assert len(blocks) == max(1, -(-len(held) // size))
    assert [block.content is None for block in blocks] == [True] * (len(blocks) - 1) + [False]


@given(passages, st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_the_content_does_not_depend_on_the_cuts(held, size, batch, other):
    first, second = (
        list(blocks_of(shard(held, b), s))[-1].content for b, s in ((batch, size), (other, other))
    )
    assert first == second


@given(passages, passages)
def test_the_content_tells_any_two_shards_apart(first, second):
    contents = [list(blocks_of(shard(held), 5))[-1].content for held in (first, second)]
    assert (contents[0] == contents[1]) == (first == second)


def test_the_content_is_the_digest_that_its_text_says():
    content = Content()
    content.update(["a", "bb"], ["é", "漢字"])
    parts = [
        np.array([1, 2], "<i8").tobytes(),
        b"abb",
        np.array([1, 2], "<i8").tobytes(),
        "é漢字".encode(),
    ]
    joined = b"".join(hashlib.sha256(part).digest() for part in parts)
    assert content.hexdigest() == hashlib.sha256(joined).hexdigest()
