from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models.neural.forward import Forward, Workers
from mlbench.models.neural.inputs import Asked, TextForm
from mlbench.models.registry import LoadedModel, load_adapter

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

TEXTS = [f"text {n} {'long ' * (n % 7)}" for n in range(200)]


def test_two_devices_give_the_vectors_of_one(full_folder: Path, two_devices: LoadedModel) -> None:
    one, two = load_adapter(str(full_folder), {"batch_tokens": 100}).adapter, two_devices.adapter
    for encode in ("encode_queries", "encode_passages"):
        expected = getattr(one, encode)(TEXTS, "")
        np.testing.assert_allclose(getattr(two, encode)(TEXTS, ""), expected, atol=1e-6)
    assert two.describe()["device"] == "cpu, cpu"
    processes = multiprocessing.active_children()
    assert len(processes) == 2
    for process in processes:
        process.terminate()
        process.join()
    with pytest.raises(ModelError, match="2 ended with code -15"):
        two.encode_queries(TEXTS, "")
    two.close()  # what encodes next starts others
    assert not multiprocessing.active_children()


def test_a_fault_in_a_worker_is_the_models() -> None:
    from tests.models.neural.broken import Broken

    others = multiprocessing.active_children()
    forward = Forward(Broken(), {"query": TextForm()}, {"query": Asked("")})
    workers = Workers("some-model", forward, ("cpu",))
    with pytest.raises(ModelError, match=r"model some-model, encode on cpu: .*cannot read \['x'\]"):
        list(workers.run("query", [[b"x"]]))
    assert set(multiprocessing.active_children()) <= set(others)


def test_a_device_that_is_not_here(full_folder: Path) -> None:
    with pytest.raises(EnvironmentFault, match="--device cuda:99"):
        load_adapter(str(full_folder), {"device": "cuda:99"})
    with pytest.raises(UsageError, match="'gpu'"):
        load_adapter(str(full_folder), {"device": "gpu"})
