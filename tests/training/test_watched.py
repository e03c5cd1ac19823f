"""The example of docs/tracking.md: a training whose curves are in TensorBoard, MLflow and W&B."""

from __future__ import annotations

import importlib
import json
import os
import re
import runpy
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import pytest

from tests.support.command_line import done
from tests.support.wandb_files import records

pytest.importorskip("tensorboard")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "tracking.md"
CURVES = (
    "monolingual_AP", "crosslingual_AP", "multilingual_AP",
    "rank_distance", "same_language_outranking",
)  # fmt: skip
EVERY = [4, 8, 12]
TOOLS = [name for name in ("tensorboard", "mlflow", "wandb") if find_spec(name)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The folder in which the page's commands and its script were run, with all tools there are;
    and what the evaluator returned."""
    folder = tmp_path_factory.mktemp("watched")
    text = PAGE.read_text(encoding="utf-8")
    (command,) = re.findall(r"^mlbench (train .*)$", text, re.M)
    done(*command.split(), cwd=folder)
    (script,) = re.findall(r"^`watch.py`:\n\n```python\n(.*?)^```$", text, re.M | re.S)
    every = script.replace('report_to=["tensorboard"]', f"report_to={TOOLS}")
    assert every != script
    (folder / "watch.py").write_text(every, encoding="utf-8")
    from mlbench.training.evaluator import RetrievalEvaluator

    figures, kept = [], RetrievalEvaluator.__call__

    def call(self, *given, **named):
        found = kept(self, *given, **named)
        figures.append(dict(found))  # the trainer gives the figures other names
        return found

    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_TRACKING_URI": (folder / "store").as_uri(), "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off",
    }  # fmt: skip
    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch.dict(os.environ, quiet),
            mock.patch.object(RetrievalEvaluator, "__call__", call),
        ):
            runpy.run_path("watch.py", run_name="__main__")
            if "wandb" in TOOLS:
                wandb = importlib.import_module("wandb")
                wandb.finish()
                wandb.teardown()  # its process writes what is left
    finally:
        os.chdir(before)
    assert len(figures) == len(EVERY)
    return folder, figures


def expected(figures, curve):
    return [each[f"sample_{curve}"] for each in figures]


def test_tensorboard_has_the_curves(watched):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, figures = watched
    (place,) = (folder / "models" / "watched" / "runs").iterdir()
    read = EventAccumulator(str(place))
    read.Reload()
    for curve in CURVES:
        points = read.Scalars(f"eval/sample_{curve}")
        assert [point.step for point in points] == EVERY
        assert [p.value for p in points] == pytest.approx(expected(figures, curve), rel=1e-6)


def test_mlflow_has_the_curves(watched):
    mlflow = pytest.importorskip("mlflow")
    folder, figures = watched
    with mock.patch.dict(os.environ, {"MLFLOW_ALLOW_FILE_STORE": "true"}):
        client = mlflow.MlflowClient(tracking_uri=(folder / "store").as_uri())
        (run,) = client.search_runs(["0"])
        for curve in CURVES:
            points = client.get_metric_history(run.info.run_id, f"eval_sample_{curve}")
            assert [point.step for point in points] == EVERY
            assert [point.value for point in points] == expected(figures, curve)


def test_wandb_has_the_curves(watched):
    """In its offline mode; a step of W&B is a record, and the trainer's step a figure of it."""
    pytest.importorskip("wandb")
    folder, figures = watched
    (place,) = folder.glob("wandb/offline-run-*/*.wandb")
    found = {curve: [] for curve in CURVES}
    for record in records(place):
        named = {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for curve in CURVES:
            if f"eval/sample_{curve}" in named:
                at = named["train/global_step"]
                found[curve].append((at, named[f"eval/sample_{curve}"]))
    for curve in CURVES:
        assert found[curve] == [*zip(EVERY, expected(figures, curve), strict=True)]
