"""Verification of a task whose texts search images and whose images search texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbench.common.errors import DataError
from mlbench.data.building import build_collection
from mlbench.data.images import IMAGE
from mlbench.data.task_file import parse_task
from mlbench.leaderboard.verifying.samples import draw, part_of, spans_of
from mlbench.ranking.counting import rank_collection
from tests.conftest import REPOSITORY
from tests.leaderboard.sampled import sampled
from tests.support.image_collections import image_records
from tests.support.reports import vectors

IMAGES = 300


@pytest.fixture(scope="module")
def problem():
    """A collection, vectors of a middling model, and its table."""
    records = image_records({code: [*range(IMAGES)] for code in ("de", "en")}, IMAGES)
    collection = build_collection(("de", "en", IMAGE), records)
    sides = vectors(collection, noise=3.0, seed=1)
    return collection, sides, rank_collection(collection, *sides)[0]


@pytest.mark.parametrize("seed", range(4))
def test_an_honest_table_agrees(problem, seed):
    found = sampled(*problem, seed, (120, 60))
    assert found.agrees
    assert not found.disorder.any()
    assert not found.exceeded.any()
    assert found.resolution.understated <= 0.1


@pytest.mark.parametrize("asked", ["de", IMAGE])
def test_a_forged_table_does_not(problem, asked):
    collection, sides, ranks = problem
    own = ranks.query_language[ranks.query] == ranks.languages.index(asked)
    forged = replace(ranks, above=np.where(own[:, None], ranks.above // 3, ranks.above))
    assert not sampled(collection, sides, forged, 1, (120, 60)).agrees


def test_what_is_searched(problem):
    collection, _, ranks = problem
    spans = spans_of(ranks, np.arange(len(ranks.query_ids)))
    asks = ranks.query_language == ranks.languages.index(IMAGE)
    assert {*map(tuple, spans[asks].tolist())} == {(0, 2)}
    assert {*map(tuple, spans[~asks].tolist())} == {(2, 3)}
    part = part_of(ranks, collection, draw(ranks, collection, 60, 30, 1))
    assert part.collection.images is collection.images


def test_images_are_the_last_language_of_a_task(tmp_path):
    text = (REPOSITORY / "tasks/emoji-images.toml").read_text("utf-8")
    path = tmp_path / "emoji-images.toml"
    path.write_text(text.replace('"zh", "zxx"]', '"zxx", "zh"]'), encoding="utf-8")
    with pytest.raises(DataError, match="the language of images, as the last one"):
        parse_task(path)
