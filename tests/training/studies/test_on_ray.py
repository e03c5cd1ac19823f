from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.training.studies.on_ray import carry_out_on_ray
from mlbench.training.studies.plan import load_study
from mlbench.training.studies.run import Work, done_of, jobs, open_folder
from tests.training.studies.made import MADE, evaluate_made, train_made, write_study

ray = pytest.importorskip("ray")
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def two_slots() -> Iterator[None]:
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    environment = {"env_vars": {"PYTHONPATH": str(REPOSITORY)}}
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error",
        runtime_env=environment,
    )  # fmt: skip
    yield
    ray.shutdown()


def opened(tmp_path, work=MADE):
    study = load_study(write_study(tmp_path))
    folder = tmp_path / "done"
    open_folder(study, folder)
    return list(jobs(study, folder, work))


def on_ray(todo, workers=None):
    carry_out_on_ray(todo, "made", address=None, workers=workers, quiet=True)


def test_all_models_are_trained_on_the_cluster_and_none_twice(tmp_path):
    todo = opened(tmp_path)
    on_ray(todo)
    assert done_of(todo) == (10, 10)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cell.json")}
    on_ray(todo)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cell.json")} == before


def fail_at_1_6(config, folder):
    from mlbench.common.errors import Fault

    if config["noise"] == 1.6:
        raise ModelError(Fault("training", "the loss is nan"))
    return train_made(config, folder)


def test_a_model_that_fails_ends_the_study_and_what_is_done_is_kept(tmp_path):
    todo = opened(tmp_path, Work(fail_at_1_6, train_made, evaluate_made))
    with pytest.raises(ModelError, match="the loss is nan") as error:
        on_ray(todo)
    assert "is kept" in error.value.__notes__[0]
    done, count = done_of(todo)
    assert 1 <= done < count


def test_more_workers_than_there_is_room_for_are_refused(tmp_path):
    with pytest.raises(UsageError, match="at most 2"):
        on_ray(opened(tmp_path), workers=3)
