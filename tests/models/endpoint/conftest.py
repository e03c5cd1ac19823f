from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlbench.models.endpoint import server
from tests.support.embedding_server import EmbeddingSite, embedding

KEY = "sk-proj-A1b2C3d4E5f6G7h8"


@pytest.fixture
def site() -> Iterator[EmbeddingSite]:
    with embedding(EmbeddingSite()) as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no time to speak of, and take nothing from the user's own environment."""
    monkeypatch.setattr(server, "BROKEN_WAITS", (0.01, 0.01))
    monkeypatch.setattr(server, "FIRST_WAIT", 0.01)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "MLBENCH_TRUST"):
        monkeypatch.delenv(name, raising=False)
