"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import importlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the processors: one thread for each
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import hypothesis
import pytest

from tests.support.command_line import mlbench
from tests.support.model_repository import make_repository

hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

NUMBERS = itertools.count()
REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Have matplotlib list the machine's fonts once: where that is slow, it says so in a test."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        importlib.import_module("matplotlib.font_manager")


def pytest_sessionstart() -> None:
    """Import the tests without a look for garbage: a million lasting objects take seconds."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from here on, but not among what was imported."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each worker a run of neighbours, so that fixtures of a module are made once."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.option.dist == "load" else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that need it are skipped, visibly, where it is absent."""
    folder = Path(os.environ.get("MLBENCH_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "lareqa").is_dir():
        pytest.skip(f"real data not found in {folder} (set MLBENCH_DATA)")
    return folder


@pytest.fixture(scope="session")
def model_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up model's repository, with a report and a baseline; tests work on copies of it."""
    return make_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def no_plots() -> Iterator[None]:
    """Reports are written without plots, which take most of the time, where nobody looks at any."""
    with mock.patch("mlbench.reports.plots.PLOTS", {}):
        yield


@pytest.fixture(scope="session")
def sample_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a model on the built-in sample, with plots; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("sample")
    command = ["run", "--model", "char-ngram", "--task", "sample", "--offline", "--quiet"]
    done = mlbench(*command, cwd=folder, plots=True, MLBENCH_CACHE=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    return folder / "results" / "char-ngram" / "sample"


@pytest.fixture(scope="session")
def _isolation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every test has its folders: ``mktemp`` looks at all there are to find a free name."""
    return tmp_path_factory.mktemp("isolation")


@pytest.fixture(autouse=True)
def _isolated(_isolation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a cache and settings of its own, so that none sees what another left."""
    own = _isolation / str(next(NUMBERS))
    for variable in ("CACHE", "CONFIG"):
        (own / variable).mkdir(parents=True)
        monkeypatch.setenv(f"MLBENCH_{variable}", str(own / variable))
    monkeypatch.delenv("MLBENCH_TRUST", raising=False)
