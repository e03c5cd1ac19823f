"""What a model says of itself must be what a report can hold, and give back."""

from __future__ import annotations

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import ModelError
from tests.support.letters import Letters

QUIET = mlbench.Options(progress=False, cache=None)


def described(facts: object) -> Letters:
    model = Letters()
    model.describe = lambda: facts
    return model


def test_numbers_of_numpy_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr("mlbench.reports.plots.PLOTS", {})
    facts = {"parameters": np.int64(5), "max_length": np.int32(7), "pooling": np.str_("mean")}
    report = mlbench.evaluate(described(facts | {"else": object()}), "sample", QUIET)
    again = mlbench.read_report(report.save(tmp_path / "report"))
    assert again.model == report.model
    assert (again.model.parameters, again.model.max_length, again.model.pooling) == (5, 7, "mean")


def test_what_no_report_can_hold_is_refused_all_at_once():
    facts = {"parameters": "many", "max_length": 3.5, "prompts": {"query": 1}, "notes": "one"}
    with pytest.raises(ModelError) as error:
        mlbench.evaluate(described(facts), "sample", QUIET)
    names = [fault.where.rpartition(", ")[2] for fault in error.value.faults]
    assert sorted(names) == sorted(facts)
    with pytest.raises(ModelError, match="list"):
        mlbench.evaluate(described([]), "sample", QUIET)
