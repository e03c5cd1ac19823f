from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models.neural.forms import Asked, TextForm, TokenForm
from mlbench.models.neural.forward import Forward, Workers, ahead, default_budget, run_here
from mlbench.models.neural.outputs import Output
from mlbench.models.registry import LoadedModel, load_adapter

torch = pytest.importorskip("torch")
ROLE = "query"


def test_default_budgets() -> None:
    assert default_budget("cpu") < default_budget("cuda:1") == default_budget("cuda")


def test_ahead_keeps_the_order_and_works_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    seen = []
    for number in ahead(items()):
        seen.append(number)
        deadline = time.monotonic() + 60
        while len(made) < min(5, number + 2) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(made) >= min(5, number + 2)
    assert seen == made == [*range(5)]


def test_ahead_raises_where_the_item_is_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(KeyError, match="two"):
        next(found)


def test_ahead_ends_its_thread_when_left() -> None:
    before = threading.active_count()
    found = ahead(iter(range(1000)))
    next(found)
    found.close()
    assert threading.active_count() == before


class Small:
    """A model with a memory of ``room`` tokens; a text's vector is the sum of its ids."""

    device = torch.device("cpu")

    def __init__(self, room: int, error: Exception | None = None) -> None:
        self.room = room
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        self.tried: list[int] = []

    def __call__(self, features: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        ids = features["input_ids"]
        self.tried.append(ids.numel())
        if ids.numel() > self.room:
            raise self.error
        total = (ids * features["attention_mask"]).sum(dim=1, keepdim=True)
        return {"sentence_embedding": total.to(torch.float16).expand(-1, 3)}


def _forward(model: Small) -> Forward:
    form = TokenForm(Asked(""), pad=9, left=False, keys=("attention_mask", "input_ids"), same={})
    return Forward(model, {ROLE: form}, Output(truncate_dim=2))


def _rows(*texts: Sequence[int]) -> list[bytes]:
    return [np.array(text, np.int32).tobytes() for text in texts]


def test_vectors_of_padded_batches() -> None:
    rows = _rows([1, 2, 3], [4], [])
    vectors = _forward(Small(100)).vectors(ROLE, rows)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[6, 6], [4, 4], [0, 0]]


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_halves_the_budget_and_goes_on(error: Exception | None) -> None:
    model = Small(room=10, error=error)
    forward = _forward(model)
    batches = [_rows(*[[n, n] for n in range(16)])] * 2
    results = list(run_here(forward, ROLE, batches))
    for vectors in results:
        assert vectors[:, 0].tolist() == [2 * n for n in range(16)]
    assert model.tried[:3] == [32, 16, 8]
    assert set(model.tried[3:]) == {8}, "what did not fit is not tried again"
    assert forward.limit == 8


def test_one_text_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ModelError, match="out of memory on a text of 7 tokens"):
        _forward(Small(room=4)).vectors(ROLE, _rows([1] * 7, [1] * 6))


def test_other_errors_are_the_models() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        _forward(Small(room=4, error=RuntimeError("shapes differ"))).vectors(ROLE, _rows([1] * 7))


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
    forward = Forward(Broken(), {"query": TextForm(Asked(""))})
    workers = Workers("some-model", forward, ("cpu",))
    with pytest.raises(ModelError, match=r"model some-model, encode on cpu: .*cannot read \['x'\]"):
        list(workers.run("query", [[b"x"]]))
    assert set(multiprocessing.active_children()) <= set(others)


def test_a_device_that_is_not_here(full_folder: Path) -> None:
    with pytest.raises(EnvironmentFault, match="--device cuda:99"):
        load_adapter(str(full_folder), {"device": "cuda:99"})
    with pytest.raises(UsageError, match="'gpu'"):
        load_adapter(str(full_folder), {"device": "gpu"})
