"""What an option may be: what stands for a value is taken, what cannot be one is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, UsageError
from mlbench.evaluation.options import Options, Streaming, chosen_options


def test_a_string_is_a_path_and_a_measure():
    options = Options(measures="nDCG@10", data_dir="data", folder="out")
    assert options.measures == ("nDCG@10",)
    assert (options.data_dir, options.folder) == (Path("data"), Path("out"))
    assert chosen_options(options, {"measures": ["AP"], "folder": None}).measures == ("AP",)
    assert Options(measures=None).measures == ()
    assert Streaming(work="work").work == Path("work")
    assert Options(threads=np.int64(2)).threads == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", 0),
        ("threads", "2"),
        ("memory", "256M"),
        ("sample_questions", -1),
        ("sample_questions", 2.5),
        ("save_run", 0),
        ("save_run", True),
        ("streaming", True),
        ("cache", "a/folder"),
        ("approve", None),
        ("model_options", ["pooling"]),
        ("data_dir", 3),
        ("device", "gpu"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_refused(name, value):
    if name == "device":
        pytest.importorskip("torch")
    with pytest.raises(UsageError, match=f"option {name}"):
        chosen_options(None, {name: value})


def test_all_wrong_values_are_told_at_once():
    with pytest.raises(UsageError) as error:
        Options(threads=0, memory=0)
    assert [fault.where for fault in error.value.faults] == ["option threads", "option memory"]
    with pytest.raises(UsageError, match=r"option streaming\.engine"):
        Streaming(engine="spark")
    with pytest.raises(UsageError, match="dict"):
        chosen_options({"threads": 2}, {})


def test_a_device_that_this_machine_lacks_is_told_before_anything_is_encoded():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(EnvironmentFault, match="'cuda'"):
        Options(device="cuda")
