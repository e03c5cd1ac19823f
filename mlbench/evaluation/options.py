"""How a model is evaluated: the choices that a caller may make beside the model and the task."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.errors import Fault, UsageError, did_you_mean
from mlbench.common.threads import usable_processors
from mlbench.evaluation.partial import WHOLE, PartOfShards
from mlbench.ranking.products import DEFAULT_MEMORY, Limits

if TYPE_CHECKING:
    from mlbench.evaluation.compression import Variant
    from mlbench.models.cache import EmbeddingCache
    from mlbench.reports.provenance import TaskInfo


def _own_cache() -> EmbeddingCache | None:
    from mlbench.models.cache import open_cache

    return open_cache()


DEFAULT_DEPTH = 10
"""Passages of each language that a reranker scores again."""
Check = tuple[Callable[[Any], bool], str]
"""Whether a value is one that an option may have, and what it should be."""


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def _is_cache(value: Any) -> bool:
    from mlbench.models.cache import EmbeddingCache

    return value is None or isinstance(value, EmbeddingCache)


def _are_languages(value: Any) -> bool:
    several = isinstance(value, tuple) and all(isinstance(code, str) for code in value)
    return value is None or isinstance(value, str) or several


def _is_time(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return value is None or (number and 0 < float(value) < float("inf"))


def _are_formats(value: Any) -> bool:
    return isinstance(value, tuple) and all(each in ("int8", "binary") for each in value)


def _are_counts(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_count, value))


COUNT: Check = (_is_count, "a whole number from 1")
COUNT_OR_NONE: Check = (lambda v: v is None or _is_count(v), "a whole number from 1, or None")
PATH: Check = (lambda v: v is None or isinstance(v, Path), "a path, or None")


def _put(options: Any, name: str, value: Any) -> None:
    object.__setattr__(options, name, value)


def _take_paths(options: Any, *names: str) -> None:
    for name in names:
        if isinstance(getattr(options, name), str | os.PathLike):
            _put(options, name, Path(getattr(options, name)))


def _refuse_wrong(options: Any, checks: Mapping[str, Check], place: str = "") -> None:
    """Raise UsageError with every value that its option cannot have."""

    def wrong() -> Iterator[Fault]:
        for name, (right, expected) in checks.items():
            value = getattr(options, name)
            if not right(value):
                yield Fault(f"option {place}{name}", repr(value), expected)

    faults = list(wrong())
    if faults:
        raise UsageError(*faults)


@dataclass(frozen=True)
class Streaming:
    """How a collection is read shard by shard.

    Attributes:
        always: Stream a task that could be held, too.
        part: The share of the shards to be counted; None: all.
        work: The folder of what is done so far and of what is known of shards; None: in the
            report's folder, else in the cache.
        keep_embeddings: A folder for all vectors, in float16; None: they are not kept.
        engine: "local" or "ray".
        address: Where the Ray cluster is; None: one of its own is started.
        workers: How many workers Ray starts; None: as many as there are GPUs, else processors.
    """

    always: bool = False
    part: PartOfShards | None = None
    work: Path | None = None
    keep_embeddings: Path | None = None
    engine: str = "local"
    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        _take_paths(self, "work", "keep_embeddings")
        _refuse_wrong(
            self,
            {
                "part": (lambda v: v is None or isinstance(v, PartOfShards), "a PartOfShards"),
                "work": PATH,
                "keep_embeddings": PATH,
                "engine": (lambda v: v in ("local", "ray"), "'local' or 'ray'"),
                "address": (lambda v: v is None or isinstance(v, str), "a string, or None"),
                "workers": COUNT_OR_NONE,
            },
            "streaming.",
        )


@dataclass(frozen=True)
class Options:
    """The choices of an evaluation. All have a default.

    Attributes:
        measures: Names of ir-measures, such as "nDCG@10"; none: the task's own.
        data_dir: The folder of the task's data; None: ``MLBENCH_DATA``, else the cache, else a
            download.
        offline: Open no connection.
        model_options: Options of neural models by their names, such as
            ``{"query_prompt": "query: "}``.
        cache: The cache of vectors, None for none; by default the user's.
        threads: How many threads may be used for scoring.
        memory: Bytes that scoring may use, beside texts and vectors.
        device: Where to score: "cpu", "cuda" or "auto".
        sample_questions: For a quick look, evaluate so many questions.
        sample_passages: For a quick look, search so many passages of each language beside the
            judged ones.
        languages: Evaluate some of the languages: codes, a string of them such as "ar,de,en", or
            the name of a set that the task has.
        max_seconds: For a quick look, choose the two samples such that encoding takes no longer.
        quantize: Also score vectors made smaller: "int8", "binary" or both, see
            ``report.variants``.
        truncate_dim: Also score vectors cut to these numbers of dimensions, together with each of
            ``quantize``.
        rerank: A reranker or its name; it scores the first passages of each query again, see
            ``report.reranking``.
        depth: How many passages of each language are reranked; None: 10.
        strict: Refuse a judged passage that the corpus lacks.
        progress: Show bars on standard error.
        folder: The folder of the report, if it gets one. A streamed run keeps its state there.
        save_run: Write so many first passages of every query into ``folder``.
        streaming: How a collection is read shard by shard.
        overwrite: Begin anew where another run has left a state in ``folder``.
        command: The command line that the report records.
        approve: Is told what the task is before anything is encoded, and may raise.
    """

    measures: tuple[str, ...] = ()
    data_dir: Path | None = None
    offline: bool = False
    model_options: Mapping[str, Any] = field(default_factory=dict)
    cache: EmbeddingCache | None = field(default_factory=_own_cache)
    threads: int = field(default_factory=usable_processors)
    memory: int = DEFAULT_MEMORY
    device: str = "auto"
    sample_questions: int | None = None
    sample_passages: int | None = None
    languages: str | tuple[str, ...] | None = None
    max_seconds: float | None = None
    quantize: tuple[str, ...] = ()
    truncate_dim: tuple[int, ...] = ()
    rerank: object = None
    depth: int | None = None
    strict: bool = False
    progress: bool = True
    folder: Path | None = None
    save_run: int | None = None
    streaming: Streaming = Streaming()
    overwrite: bool = False
    command: str = ""
    approve: Callable[[TaskInfo], None] = lambda info: None

    def __post_init__(self) -> None:
        """Take what stands for a value: a string for a path, the name of a single measure.

        Raises UsageError with every value that its option cannot have.
        """
        _take_paths(self, "data_dir", "folder")
        names = self.measures
        _put(self, "measures", (names,) if isinstance(names, str) else tuple(names or ()))
        if isinstance(self.languages, list):
            _put(self, "languages", tuple(self.languages))
        for name, single in (("quantize", str), ("truncate_dim", Integral)):
            value = getattr(self, name)
            alone = (value,) if isinstance(value, single) else value
            _put(self, name, tuple(alone) if isinstance(alone, list) else alone)
        _refuse_wrong(
            self,
            {
                "data_dir": PATH,
                "model_options": (lambda v: isinstance(v, Mapping), "a dictionary"),
                "cache": (_is_cache, "the default, or None for no cache"),
                "threads": COUNT,
                "memory": (COUNT[0], "a whole number of bytes from 1"),
                "device": (lambda v: isinstance(v, str), "'auto', 'cpu' or 'cuda'"),
                "sample_questions": COUNT_OR_NONE,
                "sample_passages": COUNT_OR_NONE,
                "languages": (_are_languages, "language codes, such as 'ar,de,en', or None"),
                "max_seconds": (_is_time, "a number of seconds above 0, or None"),
                "quantize": (_are_formats, "'int8', 'binary', or both"),
                "truncate_dim": (_are_counts, "whole numbers from 1"),
                "depth": COUNT_OR_NONE,
                "folder": PATH,
                "save_run": COUNT_OR_NONE,
                "streaming": (lambda v: isinstance(v, Streaming), "a mlbench.Streaming"),
                "command": (lambda v: isinstance(v, str), "a string"),
                "approve": (callable, "a function"),
            },
        )
        self._refuse_clashes()
        if self.device not in ("auto", "cpu"):
            from mlbench.ranking.products_torch import check_device

            check_device(self.device)

    def _refuse_clashes(self) -> None:
        """Raise UsageError for what does not go with a reranker, or without one."""
        if self.rerank is None:
            if self.depth is not None:
                raise UsageError(Fault("--depth", "given without --rerank", "both, or neither"))
            return
        others: dict[str, object] = {"--quantize": self.quantize}
        others |= {"--truncate-dim": self.truncate_dim, "--max-seconds": self.max_seconds}
        if given := [name for name, value in others.items() if value]:
            expected = "a run with a reranker, or with these"
            raise UsageError(Fault("--rerank", f"given with {', '.join(given)}", expected))

    @property
    def reranked_to(self) -> int:
        """How many passages of each language a reranker scores again."""
        return self.depth or DEFAULT_DEPTH

    @property
    def limits(self) -> Limits:
        """What the scorer may use."""
        return Limits(self.threads, self.memory, self.device)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants of vectors that are to be scored beside the whole ones."""
        from mlbench.evaluation.compression import variants_of

        return variants_of(self.quantize, self.truncate_dim)

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
    if options is None:
        return Options(**changes)
    if not isinstance(options, Options):
        found = f"an object of type {type(options).__name__}"
        expected = "a mlbench.Options, or its fields by name, such as threads=2"
        raise UsageError(Fault("options", found, expected))
    return dataclasses.replace(options, **changes)
