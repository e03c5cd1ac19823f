from __future__ import annotations

import pytest

from mlbench.training.studies.estimate import STATIC_PAIRS, estimate, planned_steps
from mlbench.training.studies.plan import load_study
from tests.training.studies.made import STUDY, write_study


def study(folder, train: str, seeds: str = "[1, 2]"):
    text = STUDY[: STUDY.index("[claims")].replace('data = "made-data"', f"{train}")
    return load_study(write_study(folder, text.replace("seeds = [1, 2, 3]", f"seeds = {seeds}")))


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ({"steps": 50}, 50),
        ({"pairs": 101, "batch_size": 50}, 3),
        ({"pairs": 1000}, 10),
        ({"seconds": 5}, None),
    ],
)
def test_the_steps_of_a_training(config, steps):
    assert planned_steps(config) == steps


def test_before_any_model_a_rule_of_thumb_is_used(tmp_path):
    left = estimate(study(tmp_path, "steps = 80\nbatch_size = 50"), {})
    assert left.seconds == pytest.approx(3 * 2 * 80 * 50 / STATIC_PAIRS)
    assert "without the evaluations" in left.words
    assert estimate(study(tmp_path, "seconds = 9"), {}).seconds == 3 * 2 * 9


def test_another_base_is_not_guessed_at(tmp_path):
    left = estimate(study(tmp_path, 'steps = 80\nbase = "org/big"'), {})
    assert left.seconds is None
    assert "when the first model is done" in left.words


def test_models_that_are_done_say_how_long_the_others_take(tmp_path):
    of = study(tmp_path, "steps = 80")

    def done(*seconds: float):
        return [{"cell": {"seconds": {"training": each, "task": 1.0}}} for each in seconds]

    known = {"noise 0.8": done(9.0, 11.0), "noise 1": done(19.0)}
    left = estimate(of, known)
    mean = (10 + 12 + 20) / 3
    assert left.seconds == pytest.approx(0 + 20 + 2 * mean)
    assert left.words.startswith("That takes about 48 s, as the models that are done took")
