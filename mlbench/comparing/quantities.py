"""What is compared between models: macro means, means by query language, single settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlbench.common.errors import Fault, UsageError
from mlbench.data.task import Kind, Setting, all_settings
from mlbench.measures.bias import rank_distance
from mlbench.measures.rank_measures import parse_measure
from mlbench.measures.significance import Clusters, Sample
from mlbench.ranking.ranks import Ranks, SharedPool, shared_pools

RANK_DISTANCE = "rank-distance"


@dataclass(frozen=True, order=True)
class Quantity:
    """A mean: of a kind of setting, of one query language, or of a single setting.

    Without languages it is the macro mean over the kind's settings; with a query language the
    mean over that language's settings; with both one setting (only monolingual and cross-lingual).
    """

    kind: str
    measure: str
    query_language: str | None = None
    passage_language: str | None = None

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is better, which holds for rank distance alone."""
        return self.measure == RANK_DISTANCE

    @property
    def level(self) -> int:
        """0 for a macro mean, 1 for the mean of a query language, 2 for a single setting."""
        return (self.query_language is not None) + (self.passage_language is not None)


def chosen_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return canonical names of measures, ``rank-distance`` among them; twice counts once. A string
    is one name.

    Raises UsageError with every name that is no measure.
    """
    chosen: dict[str, None] = {}
    faults: list[Fault] = []
    for name in [names] if isinstance(names, str) else names:
        try:
            known = name == RANK_DISTANCE
            chosen[RANK_DISTANCE if known else parse_measure(name).name] = None
        except UsageError as error:
            faults += [
                Fault(f.where, f.found, f"{f.expected}, {RANK_DISTANCE}", f.mend)
                for f in error.faults
            ]
    if faults:
        raise UsageError(*faults)
    return tuple(chosen)


class SettingTable:
    """The ranks of all settings of one model, from which the samples of any measure follow."""

    def __init__(self, ranks: Ranks, kinds: Sequence[str], clusters: Clusters) -> None:
        self.ranks = ranks
        self.clusters = clusters
        self.settings = all_settings(ranks.languages, [Kind(kind) for kind in kinds])

    @cached_property
    def _pools(self) -> list[SharedPool]:
        return shared_pools(self.ranks, self.settings)

    @cached_property
    def _optimistic_pools(self) -> list[SharedPool]:
        return shared_pools(self.ranks, self.settings, optimistic=True)

    def quantities(self, measure: str, *, optimistic: bool = False) -> dict[Quantity, list[Sample]]:
        """Return each quantity of a measure that has a query, with its settings' samples.

        Ties count against the model, or for it where ``optimistic``.
        """
        groups: dict[Quantity, list[Sample]] = {}
        for setting, sample in self._samples(measure, optimistic and self.ranks.ambiguous):
            kind, query = setting.kind.value, setting.query_language
            pool = setting.passage_languages
            several = setting.kind is Kind.MULTILINGUAL
            languages = [(None, None), (query, None), *([] if several else [(query, pool[0])])]
            for language in languages:
                groups.setdefault(Quantity(kind, measure, *language), []).append(sample)
        return dict(sorted(groups.items(), key=lambda item: item[0].level))

    def _samples(self, measure: str, optimistic: bool) -> list[tuple[Setting, Sample]]:
        of = self.clusters.of
        if measure == RANK_DISTANCE:
            languages = self.ranks.languages if len(self.ranks.languages) > 1 else ()
            spread = {
                language: rank_distance(self.ranks, language, optimistic=optimistic)
                for language in languages
            }
            return [
                (
                    Setting(Kind.MULTILINGUAL, language, languages),
                    Sample(of[each.query], each.distance.astype(np.float64)),
                )
                for language, each in spread.items()
                if len(each.query)
            ]
        wanted = parse_measure(measure)
        samples: dict[int, Sample] = {}
        for pool in self._optimistic_pools if optimistic else self._pools:
            values = wanted.per_query(pool.ranking)
            for i, own in pool.queries.items():
                samples[i] = Sample(of[pool.ranking.query[own]], values[own])
        return [
            (setting, samples[i])
            for i, setting in enumerate(self.settings)
            if len(samples[i].values)
        ]
