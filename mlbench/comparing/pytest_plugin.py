"""A pytest plug-in: the fixture ``mlbench_check`` is the regression gate of a model's own tests.

    def test_no_regression(mlbench_check): ...

checks what mlbench.toml (or ``[tool.mlbench]`` of pyproject.toml) at pytest's root says; call it to
say otherwise, ``mlbench_check(model="model.py:make", margin=0.01)``. A regression fails the test,
an inconclusive check skips it, or fails it where ``strict`` is set.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mlbench.comparing.regression import Check, Evaluate


class MlbenchCheck:
    """The gate of one test; a test that does not call it has it called when its body is done."""

    def __init__(self, root: Path, evaluate: Evaluate) -> None:
        self.root = root
        self.evaluate = evaluate
        self.called = False

    def __call__(self, **settings: Any) -> Check:
        """Check with the configuration and ``settings``, the fields of ``GateConfig``.

        Returns the check where it passed; fails or skips the test otherwise.
        """
        from mlbench.common.errors import MlbenchError
        from mlbench.common.user_folders import lend_folders
        from mlbench.comparing.check_texts import terminal_check
        from mlbench.comparing.config import chosen_config
        from mlbench.comparing.regression import exit_code, run_gate, write_check
        from mlbench.evaluation.options import Options

        self.called = True
        lend_folders()
        try:
            config = chosen_config(self.root, **settings)
            result = run_gate(config, Options(command="pytest", progress=False), self.evaluate)
            if config.output is not None:
                write_check(config.output, result, config.strict)
        except MlbenchError as error:
            pytest.fail(f"mlbench: {error}", pytrace=False)
        text = terminal_check(result)
        if exit_code(result, config.strict):
            pytest.fail(f"{result.verdict.upper()}: {text}", pytrace=False)
        if result.verdict != "pass":
            pytest.skip(f"{result.verdict}: {text.partition(chr(10))[0]}")
        return result


@pytest.fixture(scope="session")
def mlbench_evaluate() -> Evaluate:
    """Evaluates a model on a task once in a session, unless the model has changed."""
    from mlbench.evaluation.evaluate_once import EvaluateOnce

    return EvaluateOnce()


@pytest.fixture
def mlbench_check(request: pytest.FixtureRequest, mlbench_evaluate: Evaluate) -> MlbenchCheck:
    """The regression gate: see ``mlbench.comparing.pytest_plugin``."""
    return MlbenchCheck(request.config.rootpath, mlbench_evaluate)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run the gate after the body of a test that asked for it and did not call it."""
    result = yield
    gate = getattr(item, "funcargs", {}).get("mlbench_check")
    if isinstance(gate, MlbenchCheck) and not gate.called:
        gate()
    return result
