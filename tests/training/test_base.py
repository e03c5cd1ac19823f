"""What a training begins with, and what it cannot begin with."""

from __future__ import annotations

import numpy as np
import pytest

from mlbench.common.errors import MlbenchError, UsageError
from mlbench.training.base import STATIC_KIND, open_base, table_of
from mlbench.training.config import train_config
from tests.training.made_set import MadeSet


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))


def opened(base="static", **given):
    config = train_config(None, {"base": base, "data": "x", "output": "y", "steps": 1, **given})
    return open_base(config, MadeSet(), ("de", "en"), offline=True)


def test_new_static_embeddings_follow_from_text_and_seed():
    one, same = opened(dimension=16, vocabulary=200), opened(dimension=16, vocabulary=200)
    assert one.digest == same.digest
    assert np.array_equal(table_of(one.model), table_of(same.model))
    other = opened(dimension=16, vocabulary=200, seed=1)
    assert other.digest != one.digest
    assert abs(float(table_of(other.model).std()) - 1) < 0.1


def test_a_saved_base_is_opened_with_its_prompts(tmp_path):
    one = opened(dimension=16, vocabulary=200, query_prompt="Query: ")
    one.save(tmp_path / "saved")
    again = opened(str(tmp_path / "saved"))
    assert again.kind is STATIC_KIND
    assert (again.name, again.hub) == ("saved", False)
    assert again.prompts == {"query": "Query: ", "passage": ""}
    assert np.array_equal(table_of(again.model), table_of(one.model))
    table_of(again.model)[5] = 3.0
    again.save(tmp_path / "changed")
    changed = opened(str(tmp_path / "changed"), passage_prompt="P: ")
    assert changed.prompts == {"query": "Query: ", "passage": "P: "}
    assert (table_of(changed.model)[5] == 3.0).all()
    assert changed.digest != again.digest


def test_half_precision_is_trained_in_single_precision(tmp_path):
    one = opened(dimension=16, vocabulary=200)
    one.model.half()
    one.save(tmp_path / "half")
    assert table_of(opened(str(tmp_path / "half")).model).dtype.itemsize == 4


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("bm25", "mlbench cannot train it"),
        ("openai:text-embedding-3-small", "mlbench cannot train it"),
        ("onnx:some/model", "mlbench cannot train it"),
        ("no/such/folder", "no such folder"),
        ("model.py:make", "nothing that can be trained"),
        ("nonsense", "nothing that can be trained"),
    ],
)
def test_what_cannot_be_trained_is_refused(base, says):
    with pytest.raises(UsageError) as error:
        opened(base)
    assert f"base {base}: " in str(error.value)
    assert says in str(error.value)
    assert "`static`" in str(error.value)


def test_an_export_cannot_be_trained(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="an ONNX export only, whose weights are frozen"):
        opened(str(tmp_path))


def test_a_broken_checkpoint_is_told(tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    with pytest.raises(MlbenchError):
        opened(str(tmp_path))
