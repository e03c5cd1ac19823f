"""What is compared between models: macro means, means by query language, single settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mlbench.common.errors import Fault, UsageError
from mlbench.data.task import IMAGE, Kind, Roles, Setting
from mlbench.measures.bias import rank_distance
from mlbench.measures.clip_score import CLIP_SCORES, JUDGED_CLIP_SCORE
from mlbench.measures.rank_measures import OFFERED, RANK_DISTANCE, is_rank_distance, parse_measure
from mlbench.measures.significance import Clusters, Sample
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.shared_pools import SharedPool, shared_pools
from mlbench.reports.per_query import PerQuery


@dataclass(frozen=True, order=True)
class Quantity:
    """A mean: of a kind of setting or, of pairs, a direction such as "from-en", or of images and
    texts "text-to-image", of one query language, or of a single setting.

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


def chosen_names(names: str | Iterable[str], *, clip: bool = True) -> tuple[str, ...]:
    """Return canonical names of measures, ``rank-distance`` and, unless not ``clip``, CLIPScore
    among them; twice counts once. A string is one name.

    Raises UsageError with every name that is no measure.
    """
    chosen: dict[str, None] = {}
    more = (RANK_DISTANCE, *(CLIP_SCORES if clip else ()))
    faults: list[Fault] = []
    for name in [names] if isinstance(names, str) else names:
        if name in more:
            chosen[name] = None
            continue
        try:
            known = is_rank_distance(name)
            chosen[RANK_DISTANCE if known else parse_measure(name).name] = None
        except UsageError as error:
            faults += [
                replace(f, expected=f"{f.expected}, {', '.join(more)}")
                if f.expected == OFFERED
                else f
                for f in error.faults
            ]
    if faults:
        raise UsageError(*faults)
    return tuple(chosen)


class SettingTable:
    """The ranks of all settings of one model, from which the samples of any measure follow, and
    ``clip``, CLIPScore of each query, where it is known."""

    def __init__(
        self,
        ranks: Ranks,
        kinds: Sequence[str],
        clusters: Clusters,
        settings: Sequence[Setting] | None = None,
        clip: PerQuery | None = None,
    ) -> None:
        self.ranks = ranks
        self.clusters = clusters
        self.clip = clip
        every = ranks.roles.settings([Kind(kind) for kind in kinds])
        self.settings = every if settings is None else settings

    @property
    def ambiguous(self) -> bool:
        """Whether ties leave anything open."""
        return self.ranks.ambiguous

    @cached_property
    def _pools(self) -> list[SharedPool]:
        return shared_pools(self.ranks, self.settings)

    @cached_property
    def _optimistic_pools(self) -> list[SharedPool]:
        return shared_pools(self.ranks, self.settings, optimistic=True)

    def quantities(self, measure: str, *, optimistic: bool = False) -> dict[Quantity, list[Sample]]:
        """Return each quantity of a measure that has a query, with its settings' samples.

        Ties count against the model, or for it where ``optimistic``; of CLIPScore always against.
        """
        if measure in CLIP_SCORES:
            return _grouped(measure, self._clip_samples(measure), self.ranks.roles)
        samples = self._samples(measure, optimistic and self.ranks.ambiguous)
        return _grouped(measure, samples, self.ranks.roles)

    def _clip_samples(self, measure: str) -> list[tuple[Setting, Sample]]:
        known = {part.setting: part for part in self.clip.settings} if self.clip else {}
        once = measure == JUDGED_CLIP_SCORE and self.ranks.roles.between_modalities
        found = [
            (s, known[s])
            for s in self.settings
            if s in known and known[s].query_ids
            if not once or s.query_language != IMAGE  # the same pairs, from the other side
        ]
        return [
            (s, Sample(self.clusters.of[self._queries(s, part.query_ids)], part.values[measure]))
            for s, part in found
        ]

    def _queries(self, setting: Setting, ids: Sequence[str]) -> list[int]:
        """Return which queries of the table the ids of a setting are."""
        return [self._places[setting.query_language, id_] for id_ in ids]

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        languages = (self.ranks.languages[at] for at in self.ranks.query_language.tolist())
        return {key: at for at, key in enumerate(zip(languages, self.ranks.query_ids, strict=True))}

    def _samples(self, measure: str, optimistic: bool) -> list[tuple[Setting, Sample]]:
        of = self.clusters.of
        if measure == RANK_DISTANCE:
            roles = self.ranks.roles
            spread = {
                language: rank_distance(self.ranks, language, optimistic=optimistic)
                for language in roles.mixing
            }
            return [
                (
                    Setting(Kind.MULTILINGUAL, language, roles.pool_of(language)),
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


class ValueTable:
    """What each query of run files scores, setting by setting; the samples of its measures.

    ``cluster`` maps the id of a question to its cluster.
    """

    ambiguous = False

    def __init__(
        self,
        values: PerQuery,
        cluster: Mapping[str, int],
        settings: Sequence[Setting],
        roles: Roles,
    ) -> None:
        self.roles = roles
        found = {each.setting: each for each in values.settings if each.query_ids}
        self.parts = [(setting, found[setting]) for setting in settings]
        self.clusters = {
            setting: np.array([cluster[id_] for id_ in each.query_ids], np.int64)
            for setting, each in self.parts
        }

    def quantities(self, measure: str, *, optimistic: bool = False) -> dict[Quantity, list[Sample]]:
        """Return each quantity of a measure, with its settings' samples; of rank distance and
        CLIPScore none.

        Raises UsageError for a measure that the run files were not scored by.
        """
        if measure == RANK_DISTANCE or measure in CLIP_SCORES:
            return {}
        missing = [part for _, part in self.parts if measure not in part.values]
        if missing:
            known = ", ".join(missing[0].values)
            mend = f"score the run files with `--measure {measure}` too"
            raise UsageError(Fault(f"measure {measure}", "the runs have no values", known, mend))
        samples = [(s, Sample(self.clusters[s], part.values[measure])) for s, part in self.parts]
        return _grouped(measure, samples, self.roles)


Tables = Sequence[SettingTable | ValueTable]


def _grouped(
    measure: str, samples: Iterable[tuple[Setting, Sample]], roles: Roles
) -> dict[Quantity, list[Sample]]:
    """Return the samples of settings by the quantities that they belong to."""
    groups: dict[Quantity, list[Sample]] = {}
    for setting, sample in samples:
        kind, query = setting.kind.value, setting.query_language
        pool = setting.passage_languages
        several = setting.kind is Kind.MULTILINGUAL
        languages = [(None, None), (query, None), *([] if several else [(query, pool[0])])]
        for language in languages:
            groups.setdefault(Quantity(kind, measure, *language), []).append(sample)
        if direction := roles.direction(setting):
            groups.setdefault(Quantity(direction, measure), []).append(sample)
    return dict(sorted(groups.items(), key=lambda item: item[0].level))
