from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models.neural.forward import Forward, Workers
from mlbench.models.neural.inputs import Asked, TextForm
from mlbench.models.registry import load_adapter

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")


def test_two_devices_give_the_vectors_of_one(full_folder: Path) -> None:
    texts = [f"text {n} {'long ' * (n % 7)}" for n in range(200)]
    one = load_adapter(str(full_folder), {"batch_tokens": 200}).adapter
    two = load_adapter(str(full_folder), {"batch_tokens": 200, "device": "cpu,cpu"}).adapter
    try:
        for encode in ("encode_queries", "encode_passages"):
            expected = getattr(one, encode)(texts, "")
            np.testing.assert_allclose(getattr(two, encode)(texts, ""), expected, atol=1e-6)
        assert two.describe()["device"] == "cpu, cpu"
        processes = two._workers._processes
        assert len(processes) == 2
        processes[0].terminate()
        processes[0].join()
        processes[1].terminate()
        processes[1].join()
        with pytest.raises(ModelError, match="2 ended with code -15"):
            two.encode_queries(texts, "")
    finally:
        two.close()
    assert not any(process.is_alive() for process in processes)


class Broken(torch.nn.Module):
    """A model that fails on a device."""

    def preprocess(self, texts: list[str], **arguments: object) -> dict[str, object]:
        raise ValueError(f"cannot read {texts}")


def test_a_fault_in_a_worker_is_the_models() -> None:
    forward = Forward(Broken(), {"query": TextForm()}, {"query": Asked("")})
    workers = Workers("some-model", forward, ("cpu",))
    with pytest.raises(ModelError, match=r"model some-model, encode on cpu: .*cannot read \['x'\]"):
        list(workers.run("query", [[b"x"]]))
    assert not workers._processes[0].is_alive()


def test_a_device_that_is_not_here(full_folder: Path) -> None:
    with pytest.raises(EnvironmentFault, match="--device cuda:99"):
        load_adapter(str(full_folder), {"device": "cuda:99"})
    with pytest.raises(UsageError, match="'gpu'"):
        load_adapter(str(full_folder), {"device": "gpu"})
