"""A model evaluated once on a task, however often it is asked for, as long as it stays the same."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlbench.data.collection import Collection
from mlbench.data.task import Task
from mlbench.evaluation.describing import chosen_measures
from mlbench.evaluation.evaluate import evaluate
from mlbench.evaluation.loading import open_collection
from mlbench.evaluation.options import Options, chosen_options
from mlbench.evaluation.tasks import load_task
from mlbench.measures.scores import compute_scores
from mlbench.models.boundary import Layout, Vectors, calling, check_vectors, difference
from mlbench.models.company import ROUNDING
from mlbench.models.contract import METHODS
from mlbench.models.inputs import learns
from mlbench.models.objects import load_model
from mlbench.models.registry import LoadedModel
from mlbench.reports.report import Report

PROBES = 8
"""Texts of each role that tell whether a model is still the same."""


class Done(NamedTuple):
    """A report, and the vectors that the model gave some texts then."""

    report: Report
    probes: list[Vectors]


class EvaluateOnce:
    """Called as ``evaluate`` is. A report is given again where the model has the same identity, the
    data the same digest, and some of the texts still get the same vectors: a model that was trained
    in between, whose identity may not say so, is evaluated anew."""

    def __init__(self) -> None:
        self._done: defaultdict[tuple[str, str], list[Done]] = defaultdict(list)

    def __call__(
        self, model: object, task: str | Path | Task, options: Options | None = None, **changes: Any
    ) -> Report:
        """Raises as ``evaluate`` does."""
        chosen = chosen_options(options, changes)
        task, loaded = load_task(task), load_model(model, chosen.model_options, chosen.cache)
        collection = open_collection(task, chosen)
        more = learns(loaded.adapter) or chosen.save_run or chosen.max_seconds or chosen.variants
        if more or chosen.rerank is not None or not isinstance(collection, Collection):
            return evaluate(loaded, task, chosen)
        probes = _probes(collection, loaded)
        done = self._done[loaded.identity, collection.digest]
        for before in done:
            if _same(before.probes, probes):
                chosen.approve(before.report.task)
                return _measured(before.report, task, chosen)
        report = evaluate(loaded, task, chosen)
        done.append(Done(report, probes))
        return report


def _probes(collection: Collection, model: LoadedModel) -> list[Vectors]:
    """Return the vectors of some texts of every language, query and passage apart."""
    found: list[Vectors] = []
    layout: Layout | None = None
    for role, entries in (("query", collection.queries), ("passage", collection.passages)):
        places = np.unique(np.linspace(0, len(entries) - 1, PROBES).astype(np.int64)).tolist()
        for place in places:
            language = collection.languages[entries.language[place]]
            name = f"{role} {entries.ids[place]!r} ({language})"
            with calling(model.spec, METHODS[role]):
                value = getattr(model.adapter, METHODS[role])([entries.texts[place]], language)
            where = f"model {model.spec}, {METHODS[role]}"
            vectors = check_vectors(
                value, method=where, rows=1, text_id=partial(_named, name), layout=layout
            )
            layout = layout or Layout.of(vectors, METHODS[role])
            found.append(vectors)
    return found


def _named(name: str, row: int) -> str:
    return name


def _same(before: list[Vectors], now: list[Vectors]) -> bool:
    return all(
        a.shape == b.shape and difference(a, b) <= ROUNDING["float32"]
        for a, b in zip(before, now, strict=True)
    )


def _measured(report: Report, task: Task, options: Options) -> Report:
    """Return a report with the measures that are asked for now."""
    measures = chosen_measures(task, options.measures)
    names = tuple(measure.name for measure in measures)
    if names == report.measures:
        return report
    settings = report.task.roles.settings(task.kinds)
    return replace(report, measures=names, scores=compute_scores(report.table, settings, measures))
