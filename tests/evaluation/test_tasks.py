from __future__ import annotations

import pytest

from mlbench.common.errors import UsageError
from mlbench.evaluation.tasks import load_task


def test_a_task_is_returned_as_it_is():
    task = load_task("sample")
    assert load_task(task) is task


@pytest.mark.parametrize("given", [None, 3, ["sample"]])
def test_what_names_no_task_is_refused(given):
    with pytest.raises(UsageError, match=type(given).__name__):
        load_task(given)
