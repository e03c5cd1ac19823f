"""The figures of a study: what is read off the table of ranks of each model, ready to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlbench.comparing.quantities import Quantity, SettingTable
from mlbench.data.task import IMAGE, Kind
from mlbench.measures.clip_score import CLIP_SCORES
from mlbench.measures.outranking import OwnOutranking
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.measures.seeds import Trained
from mlbench.measures.significance import Clusters, MacroMeans, Sample
from mlbench.ranking.ranks import Ranks
from mlbench.reports.per_query import PerQuery
from mlbench.reports.words import kind_name, mean_name
from mlbench.training.studies.form import OUTRANKING

SEEN, UNSEEN = "seen", "unseen"
"""The settings of languages that an arm was trained on, and those with another in them."""


@dataclass(frozen=True, order=True)
class Figure:
    """A mean over the settings of a kind, or of those of one query language, or of those whose
    languages were ``seen`` in training, or not all of them (``unseen``)."""

    kind: str
    measure: str
    over: str = ""

    @property
    def text(self) -> str:
        """How it is written in a study file."""
        return f"{self.kind}:{self.measure}"

    @property
    def title(self) -> str:
        """What it is called."""
        if self.measure == RANK_DISTANCE:
            return "rank distance"
        if self.measure == OUTRANKING:
            return "same-language outranking"
        return f"{mean_name(self.measure)} {kind_name(self.kind)}"

    @property
    def digits(self) -> int:
        """Decimals that it is shown with."""
        return {RANK_DISTANCE: 1, OUTRANKING: 3}.get(self.measure, 4)

    @property
    def lower_is_better(self) -> bool:
        """Whether less of it is better."""
        return self.measure in (RANK_DISTANCE, OUTRANKING)


def read_figure(text: str) -> Figure:
    """Return the figure that is written ``kind:measure``."""
    kind, _, measure = text.partition(":")
    return Figure(kind, measure)


@dataclass(frozen=True)
class Reader:
    """What is read off the tables of a task: its figures, in one order for all arms."""

    kinds: tuple[str, ...]
    measures: tuple[str, ...]
    clusters: Clusters
    figures: tuple[Figure, ...]

    @classmethod
    def of(
        cls,
        ranks: Ranks,
        kinds: Sequence[str],
        measure: str,
        clusters: Clusters,
        clip: PerQuery | None = None,
    ) -> Reader:
        """Return the reader of a task; ``ranks`` is the table of any model on it, and ``clip`` its
        CLIPScore query by query, where that is known."""
        mixed = ranks.roles.mixed and not ranks.pairs and Kind.MULTILINGUAL in kinds
        of_images = CLIP_SCORES if clip is not None else ()
        measures = (measure, *([RANK_DISTANCE] if mixed else []), *of_images)
        table = SettingTable(ranks, kinds, clusters, clip=clip)
        names = [name for each in measures for name in table.quantities(each) if name.level < 2]
        kinds_there = dict.fromkeys(
            (q.kind, q.measure) for q in names if q.level == 0 and q.kind in [*Kind]
        )
        if ranks.roles.between_modalities:  # the mean over both directions tells nothing
            names = [q for q in names if q.level or q.kind != Kind.CROSSLINGUAL]
        figures = [Figure(q.kind, q.measure, q.query_language or "") for q in names]
        figures += [Figure(*each, over) for each in kinds_there for over in (SEEN, UNSEEN)]
        if mixed and ranks.roles.shared:
            figures += [Figure(Kind.MULTILINGUAL.value, OUTRANKING, over)
                        for over in ("", *ranks.languages)]  # fmt: skip
        return cls(tuple(kinds), measures, clusters, tuple(figures))

    def arm(
        self,
        seeds: Sequence[str],
        tables: Sequence[Ranks],
        languages: Sequence[str],
        clips: Sequence[PerQuery | None] = (),
    ) -> Trained:
        """Return an arm, ready to be drawn: a table a seed, and CLIPScore query by query where it
        is known; ``languages`` are those it has seen, none where that is not known."""
        of_seed = zip(tables, clips or [None] * len(tables), strict=True)
        means = [MacroMeans.of(self._groups(ranks, clip, languages), self.clusters.count)
                 for ranks, clip in of_seed]  # fmt: skip
        parts: list[MacroMeans | OwnOutranking] = [MacroMeans.beside(means)]
        if any(figure.measure == OUTRANKING for figure in self.figures):
            of, count = self.clusters.of, self.clusters.count
            parts.append(OwnOutranking.beside([OwnOutranking.of(r, of, count) for r in tables]))
        return Trained(tuple(seeds), tuple(parts))

    def _groups(
        self, ranks: Ranks, clip: PerQuery | None, languages: Sequence[str]
    ) -> list[list[Sample]]:
        """Return the samples of each figure but outranking; none where it has no setting."""
        table = SettingTable(ranks, self.kinds, self.clusters, clip=clip)
        of_measure = {measure: table.quantities(measure) for measure in self.measures}
        every = {*ranks.roles.queries, *ranks.roles.passages} - {IMAGE}
        known = set(languages) if languages and not every <= set(languages) else None
        return [
            _samples(of_measure[figure.measure], figure, known)
            for figure in self.figures
            if figure.measure != OUTRANKING
        ]


def _samples(
    quantities: Mapping[Quantity, list[Sample]], figure: Figure, seen: set[str] | None
) -> list[Sample]:
    if figure.over not in (SEEN, UNSEEN):
        name = Quantity(figure.kind, figure.measure, figure.over or None)
        return quantities.get(name, [])
    if seen is None:
        return []
    own = [(q, samples) for q, samples in quantities.items() if q.kind == figure.kind]
    deepest = max((q.level for q, _ in own), default=0)

    def fits(name: Quantity) -> bool:
        languages = {name.query_language, name.passage_language} - {None, IMAGE}
        known = bool(languages) and (languages <= seen) is (figure.over == SEEN)
        return name.level == deepest and known

    return [sample for name, samples in own if fits(name) for sample in samples]


def macro_figures(figures: Sequence[Figure]) -> list[Figure]:
    """Return the macro means, those of the kinds of settings first, CLIPScore last."""
    kinds = [kind.value for kind in Kind]

    def order(figure: Figure) -> tuple[bool, int, str]:
        of_the_pool = figure.measure in (RANK_DISTANCE, OUTRANKING)
        if figure.measure in CLIP_SCORES:
            return True, len(kinds) + 1 + CLIP_SCORES.index(figure.measure), figure.kind
        known = kinds.index(figure.kind) if figure.kind in kinds else len(kinds)
        return of_the_pool, known, figure.measure

    return sorted((figure for figure in figures if not figure.over), key=order)
