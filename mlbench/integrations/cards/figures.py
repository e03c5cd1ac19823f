"""The figures of reports as the Hugging Face hub keeps them: results in the ``model-index`` of a
card, and entries of ``.eval_results/*.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlbench import __version__
from mlbench.common.files import slug
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.measures.significance import LEVEL, Score
from mlbench.reports.pairs import direction_name
from mlbench.reports.report import Report
from mlbench.reports.suite_report import SuiteReport
from mlbench.reports.words import headline, kind_name, mean_name, told_kinds

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, EvalResultEntry

NAMESPACE = "mlbench-retrieval/"
"""What the names of our tasks begin with as data sets of the hub; cards know our figures by it."""
SUITE = "suite-"
TASK_TYPE, TASK_NAME = "information-retrieval", "Multilingual Retrieval"
MULTI = "multilingual"


@dataclass(frozen=True)
class Evidence:
    """What a reader of a card can check its figures with. ``url`` is a link or ""; ``entry`` names
    an entry of the leaderboard and the SHA-256 of its entry.json; ``table`` is the SHA-256 of the
    report's table of ranks, "" where it has none."""

    url: str = ""
    entry: tuple[str, str] | None = None
    table: str = ""


@dataclass(frozen=True)
class Stated:
    """A report, and what its figures can be checked with."""

    report: Report
    evidence: Evidence

    @property
    def part(self) -> str:
        """What of the task, or which vectors, the report is on, in words; "" for all of it."""
        task, said = self.report.task, []
        if task.subset_of is not None:
            said.append(f"languages {', '.join(task.languages)}")
        if task.sampled:
            said.append(task.sampled)
        if self.report.model.variant:
            said.append(f"vectors {self.report.model.variant}")
        return "; ".join(said)

    @property
    def key(self) -> str:
        """What a card keeps the report under: the task, and its part."""
        name = self.report.task.name
        return f"{name} ({self.part})" if self.part else name

    @property
    def file(self) -> str:
        """A name for its files."""
        return slug(self.key)

    @property
    def version(self) -> str:
        """The version of mlbench that made the report."""
        return self.report.run.versions.get("mlbench", __version__)

    @property
    def title(self) -> str:
        """The task's title, without what explains it."""
        title = " ".join(self.report.task.title.split(":", 1)[0].split()) or self.report.task.name
        return f"{title} ({self.part})" if self.part else title


def groups(report: Report) -> Iterator[tuple[str, str, dict[str, Score]]]:
    """Yield key, name and macro scores of each direction and each kind of setting that a report
    tells of, with rank distance beside the multilingual ones."""
    for key, scores in report.scores.directions.items():
        yield key, direction_name(key), scores
    for kind in told_kinds(report):
        scores = dict(report.scores.macro.get(kind, {}))
        distance = report.scores.bias.rank_distance
        if kind == MULTI and distance is not None:
            scores[RANK_DISTANCE] = distance
        if scores:
            yield kind, kind_name(kind), scores


def results_of(stated: Stated) -> list[dict[str, Any]]:
    """Return a report's figures as results of a ``model-index``, one for each kind or direction."""
    task = stated.report.task
    facts: dict[str, Any] = {"digest": task.digest, "version": task.version}
    facts |= {"languages": " ".join(task.languages), "mlbench": stated.version}
    retrieved = stated.report.retrieved
    made = []
    for key, name, scores in groups(stated.report):
        args = dict(facts)
        if retrieved is not None and key in retrieved.kinds:
            args["run_depth"] = retrieved.kinds[key].truncated_at
        made += [
            _result(f"{NAMESPACE}{task.name}", f"{stated.title}, {name}", measure, score,
                    config=key, split=stated.part or None, args=args, evidence=stated.evidence)
            for measure, score in scores.items()
        ]  # fmt: skip
    return _index_of(stated.report.model.name, made)


def suite_results(suite: SuiteReport, evidence: Evidence) -> list[dict[str, Any]]:
    """Return the mean over a suite as a result of a ``model-index``; nothing without a mean."""
    if suite.mean is None or suite.model is None:
        return []
    name = suite.suite.name
    facts = {"digests": {each.task: each.digest for each in suite.tasks}, "mlbench": __version__}
    made = _result(f"{NAMESPACE}{SUITE}{name}", f"suite {name}", "mean", suite.mean,
                   config="mean", args=facts, evidence=evidence)  # fmt: skip
    return _index_of(suite.model.name, [made])


def _index_of(name: str, made: Sequence[EvalResult]) -> list[dict[str, Any]]:
    from huggingface_hub.repocard_data import eval_results_to_model_index

    results: list[dict[str, Any]] = eval_results_to_model_index(name, list(made))[0]["results"]
    return results


def _result(
    dataset: str, title: str, measure: str, score: Score, *, evidence: Evidence, **where: Any
) -> EvalResult:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type=TASK_TYPE,
        task_name=TASK_NAME,
        dataset_type=dataset,
        dataset_name=title,
        dataset_config=where["config"],
        dataset_split=where.get("split"),
        dataset_args=where["args"],
        metric_type=measure,
        metric_name=figure_name(measure),
        metric_value=float(score.value),
        metric_args={"low": float(score.low), "high": float(score.high), "level": LEVEL},
        source_name="mlbench" if evidence.url else None,
        source_url=evidence.url or None,
    )


def figure_name(measure: str) -> str:
    """Return what a figure is called on a card.

    >>> figure_name("AP"), figure_name("rank-distance")
    ('mAP', 'rank distance (lower is better)')
    """
    return "rank distance (lower is better)" if measure == RANK_DISTANCE else mean_name(measure)


def entries_of(stated: Stated) -> list[dict[str, Any]]:
    """Return a report's headline figures as entries of ``.eval_results``, one for each kind or
    direction; none for a part of a task, nor for run files."""
    from huggingface_hub import eval_result_entries_to_yaml

    report = stated.report
    if stated.part or report.retrieved is not None:
        return []
    main = headline(report)
    made = [
        _entry(stated, key, main, scores[main])
        for key, _, scores in groups(report)
        if main in scores
    ]
    entries: list[dict[str, Any]] = eval_result_entries_to_yaml(made)
    return entries


def _entry(stated: Stated, key: str, measure: str, score: Score) -> EvalResultEntry:
    from huggingface_hub import EvalResultEntry

    task, evidence = stated.report.task, stated.evidence
    return EvalResultEntry(
        dataset_id=f"{NAMESPACE}{task.name}",
        task_id=key,
        value=float(score.value),
        date=stated.report.run.date,
        source_url=evidence.url or None,
        source_name="mlbench" if evidence.url else None,
        notes=f"{figure_name(measure)}, 95% interval {score.low:.4f} to {score.high:.4f}; "
        f"task version {task.version}, digest {task.digest}; "
        f"mlbench {stated.version}",
    )


def is_ours(result: Any, task: str | None = None, part: str | None = None) -> bool:
    """Say whether a result of a ``model-index`` is one that mlbench wrote, of a task if that is
    given, and of this part of it."""
    data = result.get("dataset") if isinstance(result, dict) else None
    name = data.get("type") if isinstance(data, dict) else None
    if not isinstance(name, str) or not isinstance(data, dict):
        return False
    if task is None:
        return name.startswith(NAMESPACE)
    return name == f"{NAMESPACE}{task}" and (data.get("split") or "") == (part or "")
