"""Tasks of mlbench as tasks of MTEB, for ``mteb.evaluate``.

A task of mlbench becomes a task of MTEB for each of its kinds of setting, so that the mean that
MTEB shows is the macro score of the kind. Each setting is a subset of it: ``de-en`` has the queries
in German and the passages in English, ``de-multilingual`` the passages of all languages.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.errors import Fault, UsageError
from mlbench.data.collection import Collection
from mlbench.data.task import IMAGE, Kind, Setting, Task
from mlbench.evaluation.loading import load_collection
from mlbench.evaluation.tasks import load_task
from mlbench.integrations.mteb.names import (
    MAIN_SCORE,
    SPLIT,
    language_script,
    need_mteb,
    subset_name,
    task_name,
)
from mlbench.reports.words import kind_name

DEFAULT = ("xquad-r", "mlqa-r")
"""The tasks that are returned where none is named."""


def tasks(
    names: str | Path | Task | Sequence[str | Path | Task] | None = None,
    *,
    kinds: str | Sequence[str] | None = None,
    languages: str | Sequence[str] | None = None,
    data_dir: str | Path | None = None,
    offline: bool = False,
) -> list[Any]:
    """Return tasks of mlbench as MTEB's: one for each task and kind of setting.

    ``names`` are built-in tasks, task files or Tasks, xquad-r and mlqa-r unless given; ``kinds``
    some of "monolingual", "crosslingual" and "multilingual"; ``languages`` leaves out the queries
    and passages of all others. The data is found as ``mlbench.evaluate`` finds it, and read now;
    the revision of the data set that MTEB records is the digest of it.

    Raises EnvironmentFault where MTEB is not installed or data cannot be had; UsageError for an
    unknown name, kind or language, and for tasks of images or in shards; DataError for wrong data.
    """
    need_mteb("mlbench.integrations.mteb")
    if names is None:
        names = DEFAULT
    elif isinstance(names, str | Path | Task):
        names = [names]
    loaded = [load_task(name) for name in names]
    made = []
    for task in loaded:
        chosen = _kinds(kinds, task)
        if IMAGE in task.languages:
            expected = "a task of texts, which MTEB's tasks of retrieval hold"
            raise UsageError(Fault(f"task {task.name!r}", "has images", expected))
        collection = load_collection(
            task, languages=languages, data_dir=data_dir, offline=offline, progress=False
        )
        source = _Source(task, collection)
        made += [_made(source, kind) for kind in chosen if source.settings(kind)]
    return made


def _subset(setting: Setting) -> str:
    return subset_name(setting.query_language, setting.kind.value, setting.passage_languages)


def _kinds(given: str | Sequence[str] | None, task: Task) -> list[Kind]:
    if given is None:
        return list(task.kinds)
    named = [given] if isinstance(given, str) else list(given)
    if wrong := [name for name in named if name not in list(Kind)]:
        raise UsageError(Fault("kinds", ", ".join(map(repr, wrong)), "one of " + ", ".join(Kind)))
    return [kind for kind in task.kinds if kind.value in named]


class _Source:
    """A task and its data, shared by the tasks of MTEB that are made of it."""

    def __init__(self, task: Task, collection: Collection) -> None:
        self.task, self.collection = task, collection
        self._of_setting: dict[tuple[str, str], Any] = {}

    def settings(self, kind: Kind) -> list[Setting]:
        """Return the settings of a kind that have a query."""
        every = self.collection.roles.settings([kind])
        return [each for each in every if self.collection.query_counts(each)[0]]

    @cached_property
    def passages(self) -> Any:
        """All passages, as a data set with the columns id and text."""
        return self._texts("passages", np.arange(len(self.collection.passages)))

    @cached_property
    def _judged(self) -> dict[int, dict[int, int]]:
        """Relevant passages of each query, by index, with their grades."""
        qrels = self.collection.qrels
        found: dict[int, dict[int, int]] = {}
        rows = zip(*(each.tolist() for each in (qrels.query, qrels.passage, qrels.relevance)),
                   strict=True)  # fmt: skip
        for query, passage, grade in rows:
            if grade > 0:
                found.setdefault(query, {})[passage] = grade
        return found

    def split(self, setting: Setting) -> dict[str, Any]:
        """Return the corpus, the queries and the judgements of a setting as MTEB holds them.

        The queries are those that mlbench counts: judged, with a relevant passage in the pool.
        """
        data = self.collection
        if setting.kind is Kind.MULTILINGUAL:
            pool, corpus = slice(0, len(data.passages)), self.passages
        else:
            pool = data.searched(setting)
            corpus = self.passages.select(range(pool.start, pool.stop))
        asked = data.asked(setting)
        judged: dict[int, dict[str, int]] = {}
        for query in range(asked.start, asked.stop):
            inside = {
                self._passage(passage): grade
                for passage, grade in self._judged.get(query, {}).items()
                if pool.start <= passage < pool.stop
            }
            if inside:
                judged[query] = inside
        return {
            "corpus": corpus,
            "queries": self._texts("queries", np.array([*judged], np.int64)),
            "relevant_docs": {data.queries.ids[query]: of for query, of in judged.items()},
            "top_ranked": None,
        }

    def _passage(self, index: int) -> str:
        data = self.collection
        language = data.languages[int(data.passages.language[index])]
        return f"{language}:{data.passages.ids[index]}"

    def _texts(self, role: str, chosen: Any) -> Any:
        from datasets import Dataset

        entries = getattr(self.collection, role)
        naming = self._passage if role == "passages" else entries.ids.__getitem__
        indices = chosen.tolist()
        return Dataset.from_dict(
            {
                "id": [naming(index) for index in indices],
                "text": [entries.texts[index] for index in indices],
            }
        )


def _metadata(source: _Source, kind: Kind) -> Any:
    task = source.task
    languages = {
        _subset(each): [
            *dict.fromkeys(map(language_script, (each.query_language, *each.passage_languages)))
        ]
        for each in source.settings(kind)
    }
    metadata: Any = importlib.import_module("mteb.abstasks.task_metadata").TaskMetadata
    return metadata(
        name=task_name(task.name, kind.value),
        description=f"{task.title}; {kind_name(kind.value)} retrieval, as mlbench defines it",
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=[SPLIT],
        eval_langs=languages,
        main_score=MAIN_SCORE,
        dataset={"path": f"mlbench/{task.name}", "revision": source.collection.digest},
    )


@cache
def _base_class() -> Any:
    """Return the class of MTEB's tasks whose data is mlbench's."""
    base: Any = importlib.import_module("mteb.abstasks.retrieval").AbsTaskRetrieval

    class MlbenchRetrieval(base):  # type: ignore[misc]
        """A kind of setting of a task of mlbench; nothing is read from the hub."""

        _source: _Source
        _kind: Kind
        data_loaded: bool

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            """Lay out the settings that are chosen, of the data that was read before."""
            if self.data_loaded:
                return
            settings = {_subset(each): each for each in self._source.settings(self._kind)}
            self.dataset = {
                name: {SPLIT: self._source.split(settings[name])} for name in self.hf_subsets
            }
            self.data_loaded = True

    return MlbenchRetrieval


def _made(source: _Source, kind: Kind) -> Any:
    """Return a task of MTEB, of a class of its own, as MTEB keeps what it says of a task there."""
    said = {"metadata": _metadata(source, kind), "_source": source, "_kind": kind}
    return type("MlbenchRetrieval", (_base_class(),), said)()
