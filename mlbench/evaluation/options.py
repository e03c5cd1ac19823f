"""How a model is evaluated: the choices that a caller may make beside the model and the task."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.errors import Fault, UsageError, did_you_mean
from mlbench.evaluation.partial import WHOLE, PartOfShards
from mlbench.ranking.products import DEFAULT_MEMORY, Limits

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache
    from mlbench.reports.report import TaskInfo


def _own_cache() -> EmbeddingCache | None:
    from mlbench.models.cache import open_cache

    return open_cache()


@dataclass(frozen=True)
class Streaming:
    """How a collection is read shard by shard.

    ``always`` streams a task that could be held, too. ``part`` is the share of the shards to be
    counted. ``work`` is the folder of what is done so far and of what is known of shards (None:
    in the report's folder, else in the cache). ``keep_embeddings`` is a folder for all vectors, in
    float16. ``engine`` is "local" or "ray"; ``address`` and ``workers`` are Ray's.
    """

    always: bool = False
    part: PartOfShards | None = None
    work: Path | None = None
    keep_embeddings: Path | None = None
    engine: str = "local"
    address: str | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Options:
    """The choices of an evaluation.

    ``measures`` are names of ir-measures, such as "nDCG@10" (none: the task's). ``data_dir`` holds
    the task's data (None: ``MLBENCH_DATA``, else the cache, else a download); ``offline`` opens no
    connection. ``model_options`` holds options of neural models by their names, such as
    ``{"query_prompt": "query: "}``. ``cache`` is the user's embedding cache, None for none.
    ``threads``, ``memory`` (bytes beside texts and vectors) and ``device`` ("cpu", "cuda", "auto")
    are what scoring may use. ``sample_questions`` asks for a quick check on so many questions.
    ``strict`` refuses a judged passage that the corpus lacks. ``progress`` shows bars on standard
    error. ``folder`` is that of the report, if it gets one: ``save_run`` writes the first passages
    of every query there, and a streamed run keeps its state there; ``overwrite`` begins anew where
    another run left one. ``command`` is recorded in the report. ``approve`` is told what the task
    is before anything is encoded, and may raise.
    """

    measures: tuple[str, ...] = ()
    data_dir: Path | None = None
    offline: bool = False
    model_options: Mapping[str, Any] = field(default_factory=dict)
    cache: EmbeddingCache | None = field(default_factory=_own_cache)
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    memory: int = DEFAULT_MEMORY
    device: str = "auto"
    sample_questions: int | None = None
    strict: bool = False
    progress: bool = True
    folder: Path | None = None
    save_run: int | None = None
    streaming: Streaming = Streaming()
    overwrite: bool = False
    command: str = ""
    approve: Callable[[TaskInfo], None] = lambda info: None

    @property
    def limits(self) -> Limits:
        """What the scorer may use."""
        return Limits(self.threads, self.memory, self.device)

    @property
    def part(self) -> PartOfShards:
        """The part of the shards that is to be counted."""
        return self.streaming.part or WHOLE


def chosen_options(options: Options | None, changes: Mapping[str, Any]) -> Options:
    """Return the options, else the defaults, with some changed.

    Raises UsageError, with the nearest name, for one that there is not.
    """
    names = [each.name for each in dataclasses.fields(Options)]
    unknown = [name for name in changes if name not in names]
    if unknown:
        expected = "one of " + ", ".join(names)
        raise UsageError(
            *(Fault(f"option {n}", "unknown", expected, did_you_mean(n, names)) for n in unknown)
        )
    given = {**changes}
    if isinstance(given.get("data_dir"), str):
        given["data_dir"] = Path(given["data_dir"])
    if "measures" in given:
        given["measures"] = tuple(given["measures"])
    return dataclasses.replace(options, **given) if options else Options(**given)
