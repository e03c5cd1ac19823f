"""Plots from the cache: those that would be drawn, and never those of anything else."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.models.cache import EmbeddingCache
from mlbench.ranking.ranks import Ranks
from mlbench.reports import plot_cache as module
from mlbench.reports.page import report_pages
from mlbench.reports.plot_cache import cached_plots
from mlbench.reports.plots import plots
from mlbench.reports.report import Report
from tests.support.reports import example


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path, warn=pytest.fail)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """The reports that were drawn; drawing is told by number, so that it takes no time."""
    seen: list[Report] = []

    def draw(report: Report, ranks: Ranks | None) -> dict[str, bytes]:
        seen.append(report)
        return {"macro.svg": f"<svg>é {len(seen)}</svg>".encode()}

    monkeypatch.setattr(module, "plots", draw)
    return seen


def test_pages_with_a_cache_are_those_without(cache: EmbeddingCache) -> None:
    report, ranks = example(3)
    expected = report_pages(report, ranks)
    assert {f"plots/{name}" for name in plots(report, ranks)} <= expected.keys()
    for _ in range(2):
        assert report_pages(report, ranks, cache) == expected


def test_plots_are_drawn_once_whatever_the_run(cache: EmbeddingCache, drawn: list[Report]) -> None:
    report, ranks = example(2)
    first = cached_plots(report, ranks, cache)
    assert first == {"macro.svg": "<svg>é 1</svg>".encode()}
    later = replace(report, run=replace(report.run, date="2099-01-01", seconds={"ranking": 9.0}))
    assert cached_plots(later, ranks, EmbeddingCache(cache.folder)) == first
    assert len(drawn) == 1


def test_without_a_cache_they_are_drawn_each_time(drawn: list[Report]) -> None:
    report, ranks = example(2)
    assert cached_plots(report, ranks, None) != cached_plots(report, ranks, None)
    assert len(drawn) == 2


def test_another_report_is_drawn_anew(cache: EmbeddingCache, drawn: list[Report]) -> None:
    report, ranks = example(2)
    cached_plots(report, ranks, cache)
    (setting, *others) = report.scores.settings
    name, value = next(iter(setting.measures.items()))
    nearby = replace(setting, measures=setting.measures | {name: value + 2**-40})
    for changed in (
        replace(report, scores=replace(report.scores, settings=(nearby, *others))),
        replace(report, task=replace(report.task, title="another")),
        replace(report, model=replace(report.model, name="another")),
        replace(report, measures=report.measures[::-1]),
        replace(report, warnings=("one",)),
    ):
        cached_plots(changed, ranks, cache)
    assert len(drawn) == 6


def test_another_table_is_drawn_anew(cache: EmbeddingCache, drawn: list[Report]) -> None:
    report, ranks = example(2)
    cached_plots(report, None, cache)
    cached_plots(report, ranks, cache)
    arrays = [f.name for f in fields(ranks) if isinstance(getattr(ranks, f.name), np.ndarray)]
    changing = [name for name in arrays if name != "judged"]
    for name in changing:
        column = getattr(ranks, name).copy()
        column.flat[-1] += 1
        cached_plots(report, replace(ranks, **{name: column}), cache)
    assert len(drawn) == 2 + len(changing)
    assert len(changing) == 8


@pytest.mark.parametrize("part", ["version", "library", "code"])
def test_another_way_of_drawing_draws_anew(
    cache: EmbeddingCache, drawn: list[Report], monkeypatch: pytest.MonkeyPatch, part: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    report, ranks = example(2)
    cached_plots(report, ranks, cache)
    other: Any = {"version": "0", "library": lambda name: "0", "code": str(tmp_path / "plots.py")}
    if part == "library":
        monkeypatch.setattr(module.metadata, "version", other[part])
    else:
        monkeypatch.setattr(
            module, {"version": "__version__", "code": "__file__"}[part], other[part]
        )
    cached_plots(report, ranks, cache)
    assert len(drawn) == 2


def test_damaged_plots_are_drawn_anew(tmp_path: Path, drawn: list[Report]) -> None:
    report, ranks = example(2)
    warned: list[str] = []
    cache = EmbeddingCache(tmp_path, warn=warned.append)
    cached_plots(report, ranks, cache)
    (entry,) = cache.entries()
    entry.path.write_bytes(entry.path.read_bytes().replace(b"svg", b"SVG"))
    again = cached_plots(report, ranks, cache)
    assert again == {"macro.svg": "<svg>é 2</svg>".encode()}
    assert "is damaged" in warned[0]
