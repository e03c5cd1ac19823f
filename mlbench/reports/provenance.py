"""What a report is of: the task, the model, and the run that made it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mlbench.common.counts import plural
from mlbench.data.task import PairSizes, Roles
from mlbench.ranking.ranks_file import TaskKey
from mlbench.ranking.vectors import TextSize


@dataclass(frozen=True)
class TaskInfo:
    """What was evaluated. ``queries`` and ``passages`` count by language.

    ``pairs`` has the same numbers for each pair of languages, where a task has pairs that share no
    pool. ``sample`` is the number of questions drawn for a quick gate, and ``sample_passages`` that
    of passages of each language beside the judged ones, None for the whole task; ``subset_of`` is
    the digest of the whole task where this one is cut to some of its languages.
    ``passage_languages`` are those of passages where these were not counted.
    ``language_sets`` names languages that scores are averaged over elsewhere, ``notes`` is what a
    reader of any score of the task must know.
    """

    name: str
    version: str
    title: str
    digest: str
    languages: tuple[str, ...]
    kinds: tuple[str, ...]
    text: str
    licence: str
    citation: str
    queries: dict[str, int]
    passages: dict[str, int]
    relevant_pairs: int
    sample: int | None = None
    subset_of: str | None = None
    language_sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sample_passages: int | None = None
    passage_languages: tuple[str, ...] = ()
    pairs: tuple[PairSizes, ...] = ()

    @property
    def sampled(self) -> str:
        """What was drawn of the whole task, in words; "" for all of it."""
        drawn = []
        if self.sample is not None:
            drawn.append(f"{plural(self.sample, 'question')}{' of each pair' * bool(self.pairs)}")
        if self.sample_passages is not None:
            drawn.append(f"{plural(self.sample_passages, 'unjudged passage')} of each language")
        return f"a sample of {' and '.join(drawn)}" if drawn else ""

    @property
    def roles(self) -> Roles:
        """Which languages the queries and the passages have."""
        pairs = tuple(pair.languages for pair in self.pairs)
        counted = Roles.counted(self.languages, self.queries, self.passages, pairs)
        return replace(counted, passages=self.passage_languages or counted.passages)

    @property
    def key(self) -> TaskKey:
        """What its tables of ranks are named by."""
        return TaskKey(self.name, self.version, self.digest, self.kinds)

    @property
    def averaged(self) -> str:
        """The name of the set that its languages are, "" if it is none."""
        return next((n for n, codes in self.language_sets.items() if codes == self.languages), "")


@dataclass(frozen=True)
class RouteInfo:
    """What the texts of one role meet in a model that has modules of their own for each role."""

    parameters: int | None = None
    max_length: int | None = None
    pooling: str | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class ModelInfo:
    """Which model was evaluated; what a kind of model does not have is None, and what is not known
    of a model that only a publication tells of is "".

    ``first_input`` is the literal first text of each role after its prompt; ``notes`` say what
    was assumed of the model. ``routes`` are by role, empty where all texts go through the same
    modules, and so are ``sizes``. ``variant`` names vectors that were made smaller, such as
    "int8-256", ``languages`` those that the model is declared for, as its card spells them.
    """

    name: str
    spec: str = ""
    adapter: str = ""
    identity: str = ""
    similarity: str | None = None
    dimension: int | None = None
    dtype: str | None = None
    parameters: int | None = None
    max_length: int | None = None
    pooling: str | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    first_input: dict[str, str] = field(default_factory=dict)
    device: str | None = None
    notes: tuple[str, ...] = ()
    routes: dict[str, RouteInfo] = field(default_factory=dict)
    sizes: dict[str, TextSize] = field(default_factory=dict)
    variant: str = ""
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """How many texts of a role there were, how many distinct ones, how many of these were cached;
    the ``seconds`` that encoding the others took, None where unknown."""

    texts: int
    distinct: int
    cached: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Truncated:
    """Distinct texts that a model cut to its maximum length, and the share of texts and of
    tokens that this took, 0 to 1."""

    texts: int
    texts_share: float
    tokens_share: float


@dataclass(frozen=True)
class RunInfo:
    """How the report was made. ``seconds`` is wall time by step, ``peak_memory`` bytes.

    ``truncated`` says by role and language what the model cut, ``recomputed`` how many scores fell
    within the error bound of the fast product; None where unknown. ``gpus`` are the names of those
    that torch saw, ``peak_gpu_memory`` the most bytes that were held of one.
    """

    command: str
    date: str
    versions: dict[str, str]
    platform: str
    processor: str
    threads: int
    seconds: dict[str, float]
    peak_memory: int | None
    encoded: dict[str, Encoded]
    recomputed: int | None = None
    truncated: dict[str, dict[str, Truncated]] | None = None
    cores: int | None = None
    gpus: tuple[str, ...] = ()
    peak_gpu_memory: int | None = None
