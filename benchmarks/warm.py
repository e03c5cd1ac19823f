"""Whole runs of a neural model: against encoding alone, and again with a warm cache.

Each is a process of its own; what counts is the processor time that it took (``os.wait4``), which
other work on the machine disturbs less than time on the clock.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.encoding import packaged_model
from benchmarks.timing import processor_seconds
from mlbench.common.files import cache_folder
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.models.plan import Plan
from mlbench.models.registry import load_adapter

ENCODE = """
import json, sys
from mlbench.models.registry import load_adapter
texts = json.load(open(sys.argv[1], encoding="utf-8"))
adapter = load_adapter(sys.argv[2]).adapter
adapter.encode_queries(texts["query"], "")
adapter.encode_passages(texts["passage"], "")
"""


def whole_runs(
    threads: int, turns: int, *, scale: float = 1.0, model: Path | None = None
) -> Iterator[dict[str, object]]:
    """A model's runs on xquad-r (or on the sample task, where ``scale`` is small)."""
    name = "xquad-r" if scale == 1 else "sample"
    folder = (model or packaged_model()).absolute()
    load_adapter(str(folder))  # what it lacks is said before anything is timed
    with tempfile.TemporaryDirectory() as place:
        cache, texts = Path(place, "cache"), Path(place, "texts.json")
        _link_downloads(cache)
        texts.write_text(json.dumps(_distinct_texts(name)), encoding="utf-8")
        alone = processor_seconds([sys.executable, "-c", ENCODE, str(texts), str(folder)])
        yield _row(f"encoding the texts of {name} alone, processor time", alone, 1.0, "")
        seconds, tables = [], set()
        for turn in range(1 + turns):
            output = Path(place, str(turn))
            arguments = ["--model", folder, "--task", name, "--output", output]
            arguments += ["--threads", threads]
            seconds.append(
                processor_seconds(
                    [sys.executable, "-m", "mlbench", "run", "--quiet", *map(str, arguments)],
                    env=os.environ | {"MLBENCH_CACHE": str(cache)},
                )
            )
            (table,) = output.glob("*/*/ranks.parquet")
            tables.add(table.read_bytes())
        if len(tables) > 1:
            raise RuntimeError("the first run and the others differ in ranks.parquet")
    first, warm = seconds[0], statistics.median(seconds[1:])
    yield _row("  a whole run of it", first, first / alone, "at most 1.05")
    yield _row("  the same again, with a warm cache", warm, warm / alone, "under 5 s")


def _distinct_texts(name: str) -> dict[str, list[str]]:
    task = find_task(name)
    collection = read_collection(task, Locator().of(task))
    plan = Plan.of(collection, by_language=False)
    return {"query": plan.queries[0].texts, "passage": plan.passages[0].texts}


def _link_downloads(folder: Path) -> None:
    """Make a cache that has all that the user's has but embeddings."""
    folder.mkdir()
    if cache_folder().is_dir():
        for entry in cache_folder().iterdir():
            if entry.name != "embeddings":
                (folder / entry.name).symlink_to(entry.absolute())


def _row(what: str, seconds: float, ratio: float, target: str) -> dict[str, object]:
    return {"what": what, "seconds": seconds, "ratio": ratio, "target": target}
