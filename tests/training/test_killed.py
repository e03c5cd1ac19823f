"""Trainings killed with SIGKILL go on to the model of one that was never interrupted.

Processes that train take long to start, so one is started that forks a child for each training.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mlbench.common.sealed import unseal
from mlbench.evaluation.options import Options
from mlbench.training.config import train_config
from mlbench.training.record import read_training
from mlbench.training.trainer import train

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
from mlbench.training import static  # noqa: E402
from mlbench.training.transformer import last_checkpoint  # noqa: E402
from tests.training.made_model import save_tiny  # noqa: E402

QUIET = Options(progress=False)
SCRIPT = """
import os, sys, time
import torch
from mlbench.evaluation.options import Options
from mlbench.training import static, transformer
from mlbench.training.config import train_config
from mlbench.training.job import Job
from mlbench.training.trainer import train

true = Job.texts
Job.texts = lambda job, batch, number: (
    true(job, batch, number) if 3 * number < 2 * job.schedule.steps else time.sleep(600)
)
for file in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        train(train_config(file), Options(progress=False))
        os._exit(0)
    print(child, flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
TRAINING = """
data = "sample"
languages = ["de", "en", "es"]
batch-size = 8
steps = {steps}
output = "{output}"
checkpoint-seconds = 0
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def reached_by_static(folder):
    state = folder / static.STATE_FILE
    return unseal(state, static.SCHEMA, "")[0]["step"] if state.is_file() else 0


def reached_by_transformer(folder):
    last = last_checkpoint(folder)
    return int(last.name.rpartition("-")[2]) if last else 0


def weights(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def test_they_go_on_to_the_same_model(tmp_path):
    tiny = save_tiny(tmp_path / "tiny", dropout=0.2)
    kinds = {
        "static": ("dimension = 32\nvocabulary = 2000\n", 60, reached_by_static),
        "transformer": (f'base = "{tiny}"\nlearning-rate = 0.003\n', 12, reached_by_transformer),
    }
    files, left = [], {}
    for name, (more, steps, reached) in kinds.items():
        files.append(tmp_path / f"{name}.toml")
        files[-1].write_text(more + TRAINING.format(steps=steps, output=name))
        left[name] = (steps // 3, reached)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, files)], stdout=subprocess.PIPE, text=True
    ) as process:
        children = {name: int(process.stdout.readline()) for name in kinds}
        deadline = time.monotonic() + 300
        while left and time.monotonic() < deadline:
            for name, (enough, reached) in [*left.items()]:
                if reached(tmp_path / name) >= enough:
                    os.kill(children[name], signal.SIGKILL)
                    del left[name]
            time.sleep(0.01)
        process.kill()
    assert not left
    for name, (_, steps, reached) in kinds.items():
        check(tmp_path / f"{name}.toml", steps, reached(tmp_path / name))


def check(file, steps, reached):
    """Go on with what was killed after ``reached`` steps; hold it against a whole training."""
    assert steps // 3 <= reached < steps
    killed = train(train_config(file), QUIET)
    assert killed.resumed_at == (reached,)
    whole = train(train_config(file, output=file.with_suffix(".whole")), QUIET)
    found, wanted = weights(killed.folder), weights(whole.folder)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)
    assert (killed.loss, killed.kinds) == (whole.loss, whole.kinds)
    assert killed.fingerprint == whole.fingerprint
    assert killed == read_training(killed.folder)
