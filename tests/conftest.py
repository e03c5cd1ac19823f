"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the processors: one thread for each
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import hypothesis
import pytest

from tests.support.command_line import mlbench
from tests.support.model_repository import make_repository

hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


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


@pytest.fixture(scope="session")
def sample_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a model on the built-in sample, with plots; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("sample")
    command = ["run", "--model", "char-ngram", "--task", "sample", "--offline", "--quiet"]
    done = mlbench(*command, cwd=folder, plots=True, MLBENCH_CACHE=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    return folder / "results" / "char-ngram" / "sample"


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a cache and settings of its own, so that none sees what another left."""
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("MLBENCH_CONFIG", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("MLBENCH_TRUST", raising=False)
