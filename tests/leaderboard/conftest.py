"""An honest leaderboard, made once and copied for each test that changes it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlbench.data.task import Setting
from mlbench.leaderboard.entries import tables
from mlbench.measures.rank_measures import Measure
from mlbench.measures.scores import Scores, compute_scores
from mlbench.ranking.ranks import Ranks
from tests.leaderboard.boards import honest_board

KNOWN: dict[tuple[object, ...], Scores] = {}


def computed_once(ranks: Ranks, settings: Sequence[Setting], measures: Sequence[Measure]) -> Scores:
    """The scores of a table: computed once, since most tests leave the table as it is."""
    counts = (ranks.above.tobytes(), ranks.tied.tobytes(), ranks.place.tobytes())
    names = tuple(measure.name for measure in measures)
    key = (ranks.languages, ranks.passage_ids, *counts, tuple(settings), names)
    if key not in KNOWN:
        KNOWN[key] = compute_scores(ranks, settings, measures)
    return KNOWN[key]


@pytest.fixture(autouse=True)
def _scores_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "compute_scores", computed_once)


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard that is in order; not to be changed."""
    folder = tmp_path_factory.mktemp("honest")
    return honest_board(folder / "leaderboards", folder / "reports")


@pytest.fixture
def board(honest: Path, tmp_path: Path) -> Path:
    """A copy of it to tamper with."""
    return Path(shutil.copytree(honest, tmp_path / "leaderboards"))
