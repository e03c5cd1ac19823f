"""Reports written as MTEB's results: a TaskResult for each kind of setting, in its folders."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlbench.common.errors import EnvironmentFault, Fault, UsageError
from mlbench.common.files import slug
from mlbench.integrations.mteb.names import (
    CUTOFFS,
    MAIN_SCORE,
    SPLIT,
    language_script,
    need_mteb,
    subset_name,
    task_name,
)
from mlbench.reports.per_query import SettingValues
from mlbench.reports.report import Report

NAMES = {
    "nDCG": "ndcg",
    "AP": "map",
    "R": "recall",
    "P": "precision",
    "RR": "mrr",
    "Success": "hit_rate",
}
"""What MTEB calls a measure with a cutoff: nDCG@10 is ndcg_at_10."""
MEASURES = {f"{ours}@{k}": f"{theirs}_at_{k}" for ours, theirs in NAMES.items() for k in CUTOFFS}
"""Measures that both have, by the same definition."""
NO_REVISION = "no_revision_available"


def task_results(report: Report) -> list[Any]:
    """Return a report as MTEB's ``TaskResult`` objects, one for each kind of setting.

    Measures are those of MTEB at its cutoffs, computed from the table of ranks; of a report on run
    files, those that it has and that its depth reaches. Ties count against the model, and the
    revision of the data set is its digest.

    Raises EnvironmentFault where MTEB is not installed, UsageError for a report without nDCG@10,
    MTEB's main score of retrieval.
    """
    need_mteb("mlbench report --mteb")
    results: Any = importlib.import_module("mteb.results")
    version = str(importlib.import_module("mteb").__version__)
    values = report.per_query(measures=None if report.values is not None else [*MEASURES])
    found: dict[str, list[dict[str, Any]]] = {}
    for of in values.settings:
        if of.query_ids:
            scores = dict(_scores(report, of))
            if MAIN_SCORE not in scores:
                raise UsageError(_no_main_score(report))
            setting = of.setting
            subset = subset_name(
                setting.query_language, setting.kind.value, setting.passage_languages
            )
            languages = [setting.query_language, *setting.passage_languages]
            found.setdefault(setting.kind.value, []).append(
                scores
                | {"main_score": scores[MAIN_SCORE], "hf_subset": subset, "mteb_version": version}
                | {"languages": [*dict.fromkeys(map(language_script, languages))]}
            )
    return [
        results.TaskResult(
            dataset_revision=report.task.digest,
            task_name=task_name(report.task.name, kind),
            mteb_version=version,
            scores={SPLIT: scores},
            evaluation_time=None,
        )
        for kind, scores in found.items()
    ]


def save_task_results(report: Report, folder: str | Path) -> list[Path]:
    """Write a report into a folder of MTEB's, ``results/MODEL/REVISION/TASK.json`` in it.

    ``mteb.ResultCache(folder)`` reads it. MTEB's names of models have an owner: one that has none
    is ``mlbench/NAME``. Returns the files. Raises as ``task_results`` does, and EnvironmentFault
    where the folder cannot be written.
    """
    made = task_results(report)
    cache: Any = importlib.import_module("mteb.cache").ResultCache(folder)
    meta = _meta(report)
    try:
        for result in made:
            cache.save_to_cache(result, meta)
    except OSError as error:
        found = f"cannot be written: {error.strerror}"
        raise EnvironmentFault(Fault(str(folder), found)) from None
    return [Path(cache.get_task_result_path(result.task_name, meta)) for result in made]


def mteb_model(report: Report) -> tuple[str, str]:
    """Return what the model of a report is called in MTEB, and its revision."""
    name = report.model.name.removeprefix("mteb:")
    revision = slug(report.model.identity) if report.model.identity else NO_REVISION
    return name if "/" in name else f"mlbench/{name}", revision


def _meta(report: Report) -> Any:
    """Return what MTEB is told of the model."""
    name, revision = mteb_model(report)
    meta: Any = importlib.import_module("mteb.models.model_meta").ModelMeta
    said = {
        "name": name,
        "revision": revision,
        "embed_dim": report.model.dimension,
        "n_parameters": report.model.parameters,
        "max_tokens": report.model.max_length,
    }
    return meta.create_empty().model_copy(update=said)


def _scores(report: Report, of: SettingValues) -> Iterator[tuple[str, float]]:
    """Yield MTEB's name and the mean of each measure that both have; no lower bounds."""
    kind = of.setting.kind.value
    bounds = report.retrieved.kinds[kind].lower_bounds if report.retrieved else ()
    for measure, name in MEASURES.items():
        if measure in of.values and measure not in bounds:
            yield name, float(of.values[measure].mean())
            if name == "recall_at_1":
                yield "accuracy", float(of.values[measure].mean())


def _no_main_score(report: Report) -> Fault:
    return Fault(
        f"report of {report.model.name} on {report.task.name}",
        "has no nDCG@10, MTEB's main score of retrieval",
        "a report with it",
        "score the runs again with --measure nDCG@10",
    )
