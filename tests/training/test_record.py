"""The record of a training: read as it was written, and the card that tells of it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError
from mlbench.training.record import (
    MOST_POINTS,
    LossPoint,
    TrainingRecord,
    loss_curve,
    model_card,
    read_training,
)


def record(folder):
    return TrainingRecord(
        folder=folder,
        fingerprint="f",
        config={"scale": 20.0, "learning_rate": 0.02, "seed": 3},
        base={"name": "org/base", "hub": True, "prompts": {"query": "Query: ", "passage": ""}},
        data={"name": "sample", "digest": 64 * "d"},
        plan={"languages": ["de", "no"], "size": 8, "proportions": {"mono": 0.25, "mixed": 0.75}},
        kinds={"mono": 1},
        steps=2,
        pairs=16,
        seconds=0.5,
        pairs_per_second=32.0,
        peak_memory=None,
        loss=(LossPoint(1, 2.5), LossPoint(2, 1.25)),
        evaluations=({"step": 2.0, "sample_multilingual_AP": 0.5},),
        resumed_at=(1,),
    )


def test_it_is_read_as_it_was_written(tmp_path):
    record(tmp_path).save()
    assert read_training(tmp_path) == record(tmp_path)


def test_a_damaged_or_missing_record_is_told(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        read_training(tmp_path)
    record(tmp_path).save()
    path = tmp_path / "training.json"
    values = json.loads(path.read_text())
    for broken in ("{", "[]", json.dumps(values | {"schema": "x"}), json.dumps(values | {"a": 1})):
        path.write_text(broken)
        with pytest.raises(IntegrityError, match="not as mlbench writes it"):
            read_training(tmp_path)


def test_the_card_tells_what_was_trained(tmp_path):
    card = model_card(record(tmp_path / "my-model"))
    head, _, text = card.removeprefix("---\n").partition("---\n")
    yaml = pytest.importorskip("yaml").safe_load(head)
    assert yaml["language"] == ["de", "no"]
    assert yaml["base_model"] == "org/base"
    for part in ("# my-model", "8 rows: 25% mono, 75% mixed", '"Query: "', "1.2500 at the end"):
        assert part in text
    nothing = dataclasses.replace(record(tmp_path), loss=())
    assert "nan at the end" in model_card(nothing)


def test_the_card_of_a_model_of_images_tells_how_to_give_it_one(tmp_path):
    text = record(tmp_path / "my-model")
    made = dataclasses.replace(
        text,
        plan=text.plan | {"languages": ["de", "zxx"]},
        text_data={"name": "pairs", "digest": 64 * "e"},
        config=text.config | {"loss": "symmetric", "text_share": 0.25},
    )
    card = model_card(made)
    assert "zxx" not in card
    for part in (
        "| languages | de, and images |",
        "| text pairs | pairs (digest eeeeeeeeeeeeeeee), 25% of the batches |",
        "InfoNCE, both ways, scale 20",
        'model.encode([{"image": ',
    ):
        assert part in card
        assert part not in model_card(text)


def test_a_loss_curve_is_made_of_means():
    losses = np.random.default_rng(0).random(1234).tolist()
    curve = loss_curve(losses)
    assert len(curve) == MOST_POINTS
    assert curve[-1].step == 1234
    begin, end = curve[40].step, curve[41].step
    assert curve[41].loss == pytest.approx(np.mean(losses[begin:end]), abs=1e-6)
    assert loss_curve([]) == ()
