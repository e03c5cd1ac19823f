"""On a local cluster of two workers, one of which is lost: the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError, ModelError, UsageError
from mlbench.evaluation.driver import stream
from mlbench.evaluation.ray_engine import RayEngine, Worker
from mlbench.evaluation.ray_engine import cluster as joined
from mlbench.evaluation.results import finish
from mlbench.models.registry import load_adapter
from tests.evaluation.building import QUIET, pass_in, records, streamed, task_of
from tests.evaluation.test_driver import streamed_result, table_bytes
from tests.support.command_line import mlbench_process
from tests.support.reports import pair

ray = pytest.importorskip("ray")

MODEL = """
import os, pathlib, sys
from mlbench.models.char_ngram import CharNgram

HERE = pathlib.Path(__file__).parent

class Model(CharNgram):
    name = "fragile"
    identity = {identity}

    def encode_passages(self, texts, language):
        driver = int((HERE / "driver").read_text())
        if os.getpid() != driver:
            (HERE / f"worker-{{os.getpid()}}").touch()
            {mishap}
        return super().encode_passages(texts, language)

def make():
    return Model()
"""
ONCE = """
            try:
                (HERE / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), 9)
"""


def model_file(folder: Path, mishap: str = "", identity: str = "'fragile 1'") -> str:
    (folder / "driver").write_text(str(os.getpid()))
    path = folder / "fragile.py"
    path.write_text(MODEL.format(mishap=mishap.strip() or "pass", identity=identity))
    return f"{path}:make"


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Two slots, whatever this machine has; the engine joins what is there."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local", num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False,
        logging_level="error", object_store_memory=100 * 2**20,
    )  # fmt: skip
    yield
    ray.shutdown()


def on_ray(folder: Path, spec: str, found=None, **given: object):
    model = load_adapter(spec)
    engine = RayEngine(model, **given)
    how = pass_in(folder, engine=engine)
    partial = stream(task_of(), streamed(found or records(4)), model, QUIET, how)
    return partial, engine


def test_two_workers_one_of_which_is_lost_give_the_same_bytes(tmp_path, capfd):
    found = records(4, passages=90, shards=4)
    expected = streamed_result(tmp_path / "here", found)
    spec = model_file(tmp_path, ONCE)
    partial, engine = on_ray(tmp_path / "ray", spec, found)
    report, ranks = pair(finish(partial, quiet=True))
    assert table_bytes(report, ranks) == table_bytes(*expected)
    assert report.scores == expected[0].scores
    assert engine.losses.total() == 1
    assert "its worker was lost" in capfd.readouterr().err
    assert len([*tmp_path.glob("worker-*")]) >= 2


class Shrinking(RayEngine):
    """Where a machine is lost: the place of its worker stays empty."""

    def _count(self, ray, start, slots, shards, progress):
        nowhere = ray.remote(num_cpus=99)(Worker)
        starts = iter([start] * slots)

        def start_some() -> object:
            return next(starts, lambda: nowhere.remote(None))()

        yield from super()._count(ray, start_some, slots, shards, progress)


def test_a_lost_machine_leaves_its_shards_to_the_others(tmp_path):
    found = records(4, passages=90, shards=4)
    expected = streamed_result(tmp_path / "here", found)
    model = load_adapter(model_file(tmp_path, ONCE))
    engine = Shrinking(model)
    how = pass_in(tmp_path / "ray", engine=engine)
    partial = stream(task_of(), streamed(found), model, QUIET, how)
    assert table_bytes(*pair(finish(partial, quiet=True))) == table_bytes(*expected)
    assert engine.losses.total() == 1


def test_a_shard_that_takes_its_workers_along_is_named(tmp_path):
    spec = model_file(tmp_path, "os.kill(os.getpid(), 9)")
    with pytest.raises(EnvironmentFault, match="lost its worker 3 times"):
        on_ray(tmp_path, spec, workers=1)


COUNTING = """
            calls = len([*HERE.glob(f"{name}-*")])
            if calls == {most}: raise ValueError("no more")
            (HERE / f"{name}-{calls}").touch()
"""


def test_what_is_done_before_a_failure_is_not_done_again(tmp_path):
    found = records(4, shards=4)
    counting = COUNTING.replace("{name}", "first").replace("{most}", "5")
    spec = model_file(tmp_path, counting)
    with pytest.raises(ModelError, match="no more"):
        on_ray(tmp_path, spec, found, workers=1)
    model_file(tmp_path, COUNTING.replace("{name}", "again").replace("{most}", "-1"))
    partial, _ = on_ray(tmp_path, spec, found, workers=1)
    assert 0 < len([*tmp_path.glob("again-*")]) <= len(partial.shards) - 5
    expected = streamed_result(tmp_path / "here", found)
    assert table_bytes(*pair(finish(partial, quiet=True))) == table_bytes(*expected)


def test_a_worker_with_another_model_is_refused(tmp_path):
    driver = "'one' if os.getpid() == int((HERE / 'driver').read_text()) else 'other'"
    with pytest.raises(IntegrityError, match="declared: other"):
        on_ray(tmp_path, model_file(tmp_path, identity=driver))


def test_more_workers_than_the_cluster_has_are_refused(tmp_path):
    with pytest.raises(UsageError, match="at most 2"):
        on_ray(tmp_path, model_file(tmp_path), workers=3)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://[::1]:1"])
def test_a_cluster_that_is_not_there_is_said(address, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with (
        pytest.raises(EnvironmentFault, match=r"cannot be reached(.|\n)*ray start --head"),
        joined(ray, address),
    ):
        pass


TASK = """
name = "mine"
version = "1"
title = "Mine"
languages = ["en"]
licence = "CC0-1.0"
citation = "none"
[source]
reader = "beir"
[source.files]
corpus = "{language}.jsonl"
queries = "queries.{language}.jsonl"
qrels = "qrels.{language}.tsv"
"""
VISIBLE = """
import numpy as np

class Model:
    name = "lengths"

    def encode_queries(self, texts, language):
        return np.array([[len(text), 1.0] for text in texts], np.float32)

    encode_passages = encode_queries

def make():
    return Model()
"""


def test_workers_import_nothing_from_the_current_folder_and_find_the_model_there(tmp_path):
    for name in ("numpy", "numba", "scipy", "pyarrow"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n")
    (tmp_path / "mine.toml").write_text(TASK)
    (tmp_path / "en.jsonl").write_text(
        '{"_id": "p", "text": "one"}\n{"_id": "r", "text": "two "}\n'
    )
    (tmp_path / "queries.en.jsonl").write_text('{"_id": "q", "text": "which"}\n')
    (tmp_path / "qrels.en.tsv").write_text("query-id\tcorpus-id\tscore\nq\tp\t1\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.py").write_text(VISIBLE)
    done = mlbench_process(
        *("run", "--model", "models/model.py:make", "--task", "mine.toml", "--quiet"),
        *("--stream", "--engine", "ray", "--workers", "1", "--overwrite"),
        cwd=tmp_path,
        RAY_ADDRESS="local",
    )
    assert done.returncode == 0, done.stderr
    assert "lengths on mine" in done.stdout
    assert not (tmp_path / "ran").exists()
