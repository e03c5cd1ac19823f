"""Reports logged to MLflow, TensorBoard and Weights & Biases, read back and held against them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, UsageError
from mlbench.integrations.tracking import tools, track
from mlbench.integrations.tracking.runs import Step, figures_of, read_runs
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.report import Report
from tests.support.command_line import mlbench as run
from tests.support.reports import example, renamed
from tests.support.wandb_files import records

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true",
    "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOW_TRACKING_URI", "WANDB_API_KEY", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report, Report]:
    """Reports of two checkpoints, and the folder with both."""
    folder = tmp_path_factory.mktemp("reports")
    first, second = (example(noise=noise)[0] for noise in (3.0, 2.0))
    first, second = renamed(first, "My Model/1"), renamed(second, "My Model/2")
    with mock.patch("mlbench.reports.plots.PLOTS", {}):
        for name, report in (("a", first), ("b", second)):
            report.save(folder / name)
    return folder, first, second


def oracle(report: Report) -> dict[str, float]:
    """A report's figures by the slow way through report.json's keys; "@" is spelled "_at_"."""
    task, scores = report.task.name, report.scores
    main, made = report.measures[0], {}
    for kind, of_kind in scores.macro.items():
        for measure, score in of_kind.items():
            name = f"{kind}/{measure.replace('@', '_at_')}"
            made[f"{task}/{name}"] = score.value
            made[f"{task}_intervals/{name}/low"] = score.low
            made[f"{task}_intervals/{name}/high"] = score.high
        for language in report.task.languages:
            values = [
                s.measures[main]
                for s in scores.settings
                if s.kind == kind and s.query_language == language
            ]
            made[f"{task}_by_language/{kind}/{main}/{language}"] = sum(values) / len(values)
    distance = scores.bias.rank_distance
    assert distance is not None
    made[f"{task}/bias/rank_distance"] = distance.value
    made[f"{task}_intervals/bias/rank_distance/low"] = distance.low
    made[f"{task}_intervals/bias/rank_distance/high"] = distance.high
    made[f"{task}/bias/same_language_outranking"] = float(
        np.mean([scores.bias.outranking[code][code] for code in report.task.languages])
    )
    for language in report.task.languages:
        place = f"{task}_by_language/bias"
        made[f"{place}/rank_distance/{language}"] = scores.bias.by_language[language].value
        made[f"{place}/same_language_outranking/{language}"] = scores.bias.outranking[language][
            language
        ]
    return made


def test_the_figures_are_those_of_the_report(saved: tuple[Path, Report, Report]) -> None:
    folder, report, _ = saved
    ((step,),) = (each.steps for each in read_runs([folder / "a"], None, None))
    found = {"/".join(name).replace("@", "_at_"): v for name, v in figures_of(step).items()}
    assert found == pytest.approx(oracle(report), abs=1e-15)
    assert not any(RANK_DISTANCE in name for name in found)


def test_mlflow_has_the_figures_the_facts_and_the_files(
    saved: tuple[Path, Report, Report], tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    folder, *reports = saved
    at = (tmp_path / "store").as_uri()
    logged = track([folder / "a", folder / "b"], "mlflow", at=at, project="retrieval")
    client = mlflow.MlflowClient(tracking_uri=at)
    experiment = client.get_experiment_by_name("retrieval")
    runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    assert [*runs] == ["My Model/2 on parallel", "My Model/1 on parallel"]
    for report, name, each in zip(reports, "ab", logged, strict=True):
        found = runs[each.run.name]
        assert (found.info.status, each.new) == ("FINISHED", True)
        assert found.data.metrics == pytest.approx(oracle(report), abs=1e-15)
        assert found.data.params["task_digest"] == report.task.digest
        assert found.data.params["model"] == report.model.name
        for file in ("report.json", "report.html"):
            there = client.download_artifacts(found.info.run_id, file, str(tmp_path))
            assert Path(there).read_bytes() == (folder / name / file).read_bytes()
    again = track(folder, "mlflow", at=at, project="retrieval")
    assert [each.new for each in again] == [False, False]
    assert len(client.search_runs([experiment.experiment_id])) == 2
    # a run that failed half-way does not count
    client.set_terminated(runs[again[0].run.name].info.run_id, "FAILED")
    assert [e.new for e in track(folder, "mlflow", at=at, project="retrieval")] == [True, False]
    # and as the steps of one run
    (one,) = track([folder / "b", folder / "a"], "mlflow", at=at, steps=[200, 100], name="both")
    (whole,) = client.search_runs([client.get_experiment_by_name("mlbench").experiment_id])
    history = client.get_metric_history(whole.info.run_id, "parallel/multilingual/AP")
    assert [(m.step, m.value) for m in history] == [
        (step, report.macro["multilingual"]["AP"])
        for step, report in zip((100, 200), reports, strict=True)
    ]
    assert (one.run.name, whole.info.run_name) == ("both", "both")
    assert [f.path for f in client.list_artifacts(whole.info.run_id, "100")] == [
        "100/report.html", "100/report.json",
    ]  # fmt: skip


def test_a_failed_run_says_so_in_mlflow(saved: tuple[Path, Report, Report], tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    at = (tmp_path / "store").as_uri()
    broken = mock.patch.object(
        mlflow.MlflowClient, "log_artifact", side_effect=OSError("disk full at http://a:b@c/d")
    )
    with broken, pytest.raises(EnvironmentFault, match=r"disk full at http://\*\*\*@c/d") as caught:
        track(saved[0] / "a", "mlflow", at=at)
    assert "a:b" not in str(caught.value)
    client = mlflow.MlflowClient(tracking_uri=at)
    (made,) = client.search_runs([client.get_experiment_by_name("mlbench").experiment_id])
    assert made.info.status == "FAILED"


def test_tensorboard_has_the_figures_and_a_table(
    saved: tuple[Path, Report, Report], tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    folder, first, second = saved
    given = ("track", folder / "a", folder / "b", "--to", "tensorboard", "--at", "logs")
    printed = run(*given, "--steps", "100,200", "--name", "both", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    (place,) = (tmp_path / "logs").iterdir()
    assert f"logs/{place.name}" in printed.stdout
    read = EventAccumulator(str(place), size_guidance={"tensors": 0})
    read.Reload()
    figures: dict[int, dict[str, float]] = {100: {}, 200: {}}
    for tag in read.Tags()["tensors"]:
        for event in read.Tensors(tag):
            value = make_ndarray(event.tensor_proto)
            if tag == "parallel/report":
                assert b"mAP mono" in value.item()
            else:
                figures[event.step][tag.replace("@", "_at_")] = value.item()
    for step, report in ((100, first), (200, second)):
        assert figures[step] == {k: float(np.float32(v)) for k, v in oracle(report).items()}
    before = [path.stat().st_mtime_ns for path in place.iterdir()]
    again = run(*given, "--steps", "100,200", "--name", "both", cwd=tmp_path)
    assert "is there already" in again.stdout
    assert [path.stat().st_mtime_ns for path in place.iterdir()] == before
    assert [*(tmp_path / "logs").iterdir()] == [place]


def test_wandb_has_the_figures_the_facts_and_the_files(
    saved: tuple[Path, Report, Report], tmp_path: Path
) -> None:
    """In its offline mode, for real; its server is asked for nothing."""
    wandb = pytest.importorskip("wandb")
    folder, *reports = saved
    given = {"at": tmp_path, "steps": [1, 2], "project": "retrieval"}
    (logged,) = track([folder / "a", folder / "b"], "wandb", **given)
    wandb.teardown()  # its process writes what is left
    history, config, files = {}, {}, []
    for record in records(next(Path(logged.place).glob("*.wandb"))):
        if record.HasField("history"):
            values = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            history[values.pop("_step")] = {k: v for k, v in values.items() if k[0] != "_"}
        elif record.HasField("run"):
            assert (record.run.project, record.run.display_name) == ("retrieval", logged.run.name)
            config |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
        elif record.HasField("artifact"):
            files = [e.path for e in record.artifact.manifest.contents]
    for step, report in zip((1, 2), reports, strict=True):
        assert history[step] == pytest.approx(oracle(report), abs=1e-15)
    assert config["task_digest"] == reports[1].task.digest
    assert sorted(files) == [f"{s}/report.{end}" for s in "12" for end in ("html", "json")]
    (again,) = track([folder / "a", folder / "b"], "wandb", **given)
    assert (again.new, again.place) == (False, logged.place)


def test_what_does_not_fit_is_refused(saved: tuple[Path, Report, Report], tmp_path: Path) -> None:
    folder = saved[0]
    two = [folder / "a", folder / "b"]
    for tool in ("wandb", "mlflow", "tensorboard"):
        gone = mock.patch.object(tools, "find_spec", return_value=None)
        with gone, pytest.raises(EnvironmentFault, match=f"needs the package {tool}") as caught:
            track(two, tool)
        install = "pip install wandb" if tool == "wandb" else r"pip install '.[track]'"
        assert install in str(caught.value)
    there = mock.patch.object(tools, "find_spec", return_value=True)
    with there:
        for message, options in {
            "1 step for 2 reports": {"steps": [1]},
            "two reports on parallel at the step 1": {"steps": [1, 1]},
            "one name, and 2 reports": {"name": "x"},
            "TensorBoard has no projects": {"project": "x"},
        }.items():
            with pytest.raises(UsageError, match=message):
                track(two, "tensorboard", at=tmp_path, **options)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="mlflow, wandb or tensorboard"):
            track(two, "mlflw")
    refused = run("track", *two, "--to", "mlflow", "--steps", "1;2", cwd=tmp_path)
    assert refused.returncode == 2
    assert "such as 100,200,300" in refused.stderr
    assert [*tmp_path.iterdir()] == []


def test_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123abcd")
    told = tools.without_secrets("key 0123abcd\nat postgresql://ada:pw@db/x")
    assert told == "key *** at postgresql://***@db/x"


def test_a_part_of_a_task_has_names_of_its_own(saved: tuple[Path, Report, Report]) -> None:
    report = saved[1]
    part = replace(report, task=replace(report.task, sample=5))
    names = [{n[0] for n in figures_of(Step(r, Path(), 0))} for r in (report, part)]
    assert names[0].isdisjoint(names[1])
