"""What a report on pairs of languages, or on images and texts, has: settings in both directions.

Pairs share no pool, so there is no matrix of languages: a row is a pair, the weakest first. Where
texts search images and images search texts, a row is a language of texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbench.data.task import FROM_IMAGE, INTO_IMAGE, Kind, Roles

if TYPE_CHECKING:
    from mlbench.measures.scores import SettingScores
    from mlbench.measures.significance import Score
    from mlbench.reports.report import Report

CROSS = Kind.CROSSLINGUAL.value


@dataclass(frozen=True)
class Direction:
    """One side of all pairs: "from en", those with queries in the language that all pairs have,
    "into en", those with passages in it, or "", all settings where there is no such language;
    "text to image" and "image to text" where these search each other.

    ``scores`` are its macro means by measure, ``rows`` its settings by the name of their pair.
    """

    name: str
    scores: dict[str, Score]
    rows: dict[str, SettingScores]

    def value(self, row: str, measure: str) -> float | None:
        """Return the score of a row, None where it has none."""
        setting = self.rows.get(row)
        return None if setting is None else setting.measures.get(measure)


def direction_name(direction: str) -> str:
    """Return a direction as it is written in text.

    >>> direction_name("from-pt-BR"), direction_name("text-to-image")
    ('from pt-BR', 'text to image')
    """
    times = -1 if direction in (INTO_IMAGE, FROM_IMAGE) else 1
    return direction.replace("-", " ", times)


def row_name(roles: Roles, asked: str, searched: str) -> str:
    """Return what a setting's row is called: its other language than the one that all pairs have,
    or else both, queries first."""
    if roles.pivot is None:
        return f"{asked} to {searched}"
    return searched if asked == roles.pivot else asked


def pair_name(roles: Roles) -> str:
    """Return what a row is called: a pair of languages, or a language of texts."""
    return "language of texts" if roles.between_modalities else "pair of languages"


def rows_name(roles: Roles) -> str:
    """Return what the rows of a plot are."""
    if roles.between_modalities:
        return "texts in"
    return f"pairs with {roles.pivot}" if roles.pivot else "queries and passages in"


def directions(report: Report) -> list[Direction]:
    """Return the directions of a report on pairs, that from the common language first, or of one
    on images and texts, that from texts first; else nothing."""
    roles, scores = report.task.roles, report.scores
    found: dict[str, dict[str, SettingScores]] = {}
    for setting in scores.settings if roles.two_ways else ():
        if len(setting.passage_languages) > 1:
            continue
        name = row_name(roles, setting.query_language, setting.passage_languages[0])
        found.setdefault(roles.direction(setting) or "", {})[name] = setting
    of = scores.directions | {"": scores.macro.get(CROSS, {})}
    return [
        Direction(direction_name(key), of.get(key, {}), found[key])
        for key in sorted(found, key=lambda key: (key == FROM_IMAGE, key))
    ]


def weakest_first(of: Sequence[Direction], measure: str) -> list[str]:
    """Return the names of the rows by the mean of a measure over the directions, lowest first;
    those without a score last."""

    def standing(name: str) -> float:
        values = [v for each in of if (v := each.value(name, measure)) is not None]
        return math.fsum(values) / len(values) if values else math.inf

    return sorted(dict.fromkeys(name for each in of for name in each.rows), key=standing)
