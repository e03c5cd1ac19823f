"""What a report says, in words: how numbers, kinds and measures are named, and what is left out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from mlbench.common.counts import plural
from mlbench.data.task import Kind
from mlbench.measures.clip_score import CLIP_SCORES, JUDGED_CLIP_SCORE
from mlbench.measures.scores import SettingScores
from mlbench.measures.significance import Score
from mlbench.reports.pairs import direction_name
from mlbench.reports.report import Report

MISSING = "-"

KIND_NAMES = {
    Kind.MONOLINGUAL.value: "monolingual",
    Kind.CROSSLINGUAL.value: "cross-lingual",
    Kind.MULTILINGUAL.value: "multilingual",
}
OF_IMAGES = {
    Kind.CROSSLINGUAL.value: "one language",
    Kind.MULTILINGUAL.value: "image to mixed text",
}
"""The same where texts search images and images search texts."""


def number(value: float | None, digits: int = 4, *, commas: bool = False) -> str:
    """Return ``value`` with fixed decimals; "-" where it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.{digits}f}" if commas else f"{value:.{digits}f}"


def between(low: str, high: str) -> str:
    """Return a range in words; one number where both ends are written the same.

    >>> between("0.648", "0.648")
    '0.648'
    """
    return low if low == high else f"{low} to {high}"


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are there, None where none is."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(present) / len(present) if present else None


def headline(report: Report) -> str:
    """Return the measure a report is read by: the first, which is the task's own choice."""
    return next(iter(report.measures), "AP")


def mean_name(measure: str) -> str:
    """Return what the mean of a measure is called: the mean of AP is mAP."""
    if measure in CLIP_SCORES:
        return "judged CLIPScore" if measure == JUDGED_CLIP_SCORE else "CLIPScore"
    return f"m{measure}" if measure.startswith("AP") else measure


def kind_name(kind: str) -> str:
    """Return a kind of setting, or a direction, as it is written in text."""
    return KIND_NAMES.get(kind) or direction_name(kind)


def kind_title(report: Report, kind: str) -> str:
    """Return a kind of setting as a report names it: where texts and images search each other, the
    multilingual one is of images in the texts of all languages."""
    if report.task.roles.between_modalities:
        return OF_IMAGES.get(kind, kind_name(kind))
    return kind_name(kind)


def told_kinds(report: Report) -> list[str]:
    """Return the kinds whose macro scores a report tells of: not the mean over both directions
    between texts and images, which nobody asks for."""
    between, cross = report.task.roles.between_modalities, Kind.CROSSLINGUAL.value
    return [kind for kind in KIND_NAMES if not (between and kind == cross)]


def macro_score(report: Report, kind: str, measure: str) -> Score | None:
    """Return a macro score, None where no setting of the kind has a query."""
    return report.scores.macro.get(kind, {}).get(measure)


def settings_of(report: Report, kind: str) -> list[SettingScores]:
    """Return the settings of a kind, in the report's order."""
    return [setting for setting in report.scores.settings if setting.kind == kind]


def excluded_lines(report: Report) -> list[str]:
    """Return how many queries each kind of setting, and rank distance, leave out."""
    lines = []
    for kind in KIND_NAMES:
        settings, name = settings_of(report, kind), kind_title(report, kind)
        excluded = sum(setting.excluded for setting in settings)
        touched = sum(setting.excluded > 0 for setting in settings)
        everyone = excluded + sum(setting.queries for setting in settings)
        pairs = kind == Kind.CROSSLINGUAL.value
        what = "pairs of a query and a passage language" if pairs else "queries"
        if excluded:
            lines.append(
                f"{name.capitalize()} scores exclude {excluded:,} of {everyone:,} {what}, in "
                f"{touched} of {plural(len(settings), 'setting')}, because the pool has no "
                "passage that is relevant to the query."
            )
    few = sum(entry.excluded for entry in report.scores.bias.by_language.values())
    if few:
        lines.append(
            f"Rank distance excludes {plural(few, 'query', 'queries')} with fewer than two "
            "relevant passages."
        )
    return lines


def tie_lines(report: Report) -> list[str]:
    """Return the macro scores that ties move, from all ties against the model to all for it."""
    parts: list[str] = []
    for kind, scores in report.scores.macro.items():
        moved = [
            f"{mean_name(name)} {against} and {for_it}"
            for name, score in scores.items()
            if score.ties_matter
            and (against := number(score.value)) != (for_it := number(score.optimistic))
        ]
        if moved:
            parts.append(
                f"{kind_title(report, kind).capitalize()} scores {BOTH_WAYS}: {', '.join(moved)}."
            )
    distance = report.scores.bias.rank_distance
    if distance is not None and distance.ties_matter:
        value, optimistic = (number(v, 1) for v in (distance.value, distance.optimistic))
        parts.append(f"Rank distance {BOTH_WAYS}: {value} and {optimistic}.")
    return parts


def name_of_all(languages: Collection[str]) -> str:
    """Return what a table calls all languages together; "all" is Allar's code, too."""
    return "all languages" if "all" in languages else "all"


BOTH_WAYS = "with ties counted against the model and for it"
STAR = "*"


def marked_name(report: Report, measure: str, *kinds: str) -> str:
    """Return what the mean of a measure is called, with a star where it is a lower bound.

    That is where the runs of one of ``kinds``, all if none is given, are not as deep as it reaches.
    """
    if report.retrieved is None:
        return mean_name(measure)
    depths = report.retrieved.kinds
    bound = any(measure in depths[kind].lower_bounds for kind in kinds or depths if kind in depths)
    return mean_name(measure) + (STAR if bound else "")


def star_line(report: Report) -> str:
    """Return what the star says; "" where there is none."""
    retrieved = report.retrieved
    if retrieved is None or not any(depth.lower_bounds for depth in retrieved.kinds.values()):
        return ""
    return "* This is a lower bound, because the measure reaches deeper than the runs."


def truncation_reading(report: Report) -> list[str]:
    """Return a first sentence for the summary of a report on run files; none for others."""
    if report.retrieved is None:
        return []
    depths = report.retrieved.kinds
    kinds = [kind for kind in KIND_NAMES if kind in depths]
    if len({depths[kind].truncated_at for kind in kinds}) == 1:
        most = plural(depths[kinds[0]].truncated_at, "passage")
    else:
        parts = (f"{depths[kind].truncated_at:,} ({kind_name(kind)})" for kind in kinds)
        most = f"{' or '.join(parts)} passages"
    return [f"The scores are from run files with at most {most} for each query."]
