"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

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


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a cache of its own, so that no test sees what another left."""
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
