"""What saved results have in common: their settings, their questions, and what cuts them short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import Fault, UsageError
from mlbench.comparing.baseline import Saved
from mlbench.comparing.differences import (
    measure_title,
)
from mlbench.comparing.quantities import (
    SettingTable,
    ValueTable,
)
from mlbench.data.task import Kind, Setting
from mlbench.measures.significance import (
    Clusters,
    paragraph_clusters,
    question_clusters,
)


@dataclass(frozen=True)
class Common:
    """What saved results have in common: the settings, and the questions as clusters.

    ``cluster`` maps the id of a question to its cluster.
    """

    saved: Sequence[Saved]
    every: tuple[Setting, ...]
    settings: tuple[Setting, ...]

    @classmethod
    def of(cls, saved: Sequence[Saved]) -> Common:
        """Return it. Raises UsageError where no setting is in all of them."""
        task = saved[0].task
        every = task.roles.settings([Kind(kind) for kind in task.kinds])
        settings = every
        for values in (each.values for each in saved if each.values is not None):
            there = {part.setting for part in values.settings if part.query_ids}
            settings = tuple(setting for setting in settings if setting in there)
        if not settings:
            expected = "results with a setting in common"
            raise UsageError(Fault("REPORT", "no setting is in all of them", expected))
        return cls(saved, every, settings)

    def units(self) -> list[Clusters]:
        """Return the clusters of the first table: questions and, where they are known and not the
        same, paragraphs."""
        ranks = next((each.ranks for each in self.saved if each.ranks is not None), None)
        if ranks is None:
            ids = self._ids()
            return [Clusters("question", np.arange(len(ids)), len(ids))]
        questions, paragraphs = question_clusters(ranks), paragraph_clusters(ranks)
        same = paragraphs is None or paragraphs.count == questions.count
        return [questions] if paragraphs is None or same else [questions, paragraphs]

    def _ids(self) -> list[str]:
        """Return the ids of the questions that the clusters are of, in their order."""
        ranks = next((each.ranks for each in self.saved if each.ranks is not None), None)
        if ranks is not None:
            return list(ranks.query_ids)
        parts = [p for each in self.saved if each.values is not None for p in each.values.settings]
        return sorted({id_ for part in parts for id_ in part.query_ids})

    def tables(self, unit: Clusters) -> list[SettingTable | ValueTable]:
        """Return what the samples of each result follow from."""
        cluster = dict(zip(self._ids(), unit.of.tolist(), strict=True))
        return [
            SettingTable(each.table, each.task.kinds, unit, self.settings, each.clip)
            if each.values is None
            else ValueTable(each.values, cluster, self.settings, each.task.roles)
            for each in self.saved
        ]

    def remarks(self, labels: Sequence[str], measures: Sequence[str]) -> tuple[str, ...]:
        """Return what the reader of the comparison must know of results that are truncated."""
        found = []
        if len(self.settings) < len(self.every):
            found.append(
                f"Only {len(self.settings)} of {plural(len(self.every), 'setting')} "
                f"{agreeing(len(self.settings), 'is', 'are')} compared, because "
                "not all results have the others."
            )
        for name, each in zip(labels, self.saved, strict=True):
            if each.retrieved is not None:
                kinds = each.retrieved.kinds.values()
                most = max(depth.truncated_at for depth in kinds)
                reaching = {m for depth in kinds for m in depth.lower_bounds}
                bounds = [measure for measure in measures if measure in reaching]
                told = f", so its {', '.join(map(measure_title, bounds))} can be higher"
                found.append(
                    f"{name} is from run files with at most {plural(most, 'passage')} for "
                    "each query"
                    f"{told if bounds else ''}."
                )
        return tuple(found)
