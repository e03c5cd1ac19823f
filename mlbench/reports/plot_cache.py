"""Plots that were drawn before: the same scores have the same plots, and drawing takes a second."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench import __version__
from mlbench.models.cache_files import question_digest
from mlbench.ranking.ranks import Ranks
from mlbench.reports.plots import plots
from mlbench.reports.report import Report, report_values

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache


def cached_plots(
    report: Report, ranks: Ranks | None, cache: EmbeddingCache | None
) -> dict[str, bytes]:
    """Return what ``plots`` draws, from the cache if it is there."""
    if cache is None:
        return plots(report, ranks)
    about = question_digest("plots", _drawing(), [_shown(report), _digest(ranks)])
    known = cache.recall(about)
    if known is None:
        drawn = plots(report, ranks)
        texts = {name: content.decode() for name, content in drawn.items()}
        cache.remember(about, json.dumps(texts).encode())
        return drawn
    return {name: text.encode() for name, text in json.loads(known).items()}


def _drawing() -> list[str]:
    """Return what draws: the versions, and the code of this folder."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return [__version__, metadata.version("matplotlib"), code]


def _shown(report: Report) -> str:
    """Return all of a report but what is of the run alone, as its date and seconds."""
    table = report_values(report)
    del table["run"]
    return json.dumps(table)


def _digest(ranks: Ranks | None) -> str:
    """Return the SHA-256 (hex) of what a table says of ranks."""
    total = hashlib.sha256()
    if ranks is not None:
        for column in (
            ranks.pool_sizes, ranks.query_language, ranks.starts, ranks.passage_language,
            ranks.relevance, ranks.place, ranks.above, ranks.tied,
        ):  # fmt: skip
            total.update(f"{column.shape} {column.dtype} ".encode() + column.tobytes())
    return total.hexdigest()
