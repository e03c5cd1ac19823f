"""The reading of a report: what its scores say, in short sentences by stated thresholds."""

from __future__ import annotations

import math

import numpy as np

from mlbench.common.counts import plural
from mlbench.data.task import Kind
from mlbench.measures.rank_measures import parse_measure
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranking
from mlbench.reports.pairs import directions, weakest_first
from mlbench.reports.report import Report
from mlbench.reports.words import (
    KIND_NAMES,
    between,
    headline,
    kind_name,
    macro_score,
    mean,
    mean_name,
    number,
    settings_of,
)

FAINT, CHANCES = 0.05, 2
"""A model finds next to nothing whose best headline score is below 0.05 or twice chance; where
that is high, below half of the way from chance to 1."""
TOO_SMALL = 0.3
"""Chance at or above which a task is too small to tell models apart."""
HEAVY_TIES = 0.05
"""Ties that move a headline score by this much or more decide it."""
HOLDS, LOSES_SOME, LOSES_MUCH = 0.95, 0.75, 0.5
"""Least ratio of the cross-lingual to the monolingual score for each verdict."""
FAVOURS, AVOIDS = 1.25, 0.8
"""Outranking at or beyond which a language is called favoured or avoided; 1 is unbiased."""

NAMED_PAIRS = 3
"""Weakest pairs of languages that are named."""
TELLING = 0.01
"""Least difference of two outranking means that is worth telling."""


def own_language_preference(report: Report) -> float | None:
    """Return the arithmetic mean of the outranking matrix's diagonal, None where it is empty.

    Macro over query languages like every other score; a geometric mean would be 0 as soon as one
    language never outranks its own.
    """
    return report.scores.bias.same_language


def outranking_by_others(report: Report) -> dict[str, float]:
    """Return passage language -> mean outranking over the queries of all other languages."""
    matrix = report.scores.bias.outranking
    means = {
        passage: mean(row.get(passage) for query, row in matrix.items() if query != passage)
        for passage in report.task.roles.mixed_pool
    }
    return {passage: value for passage, value in means.items() if value is not None}


def chance(report: Report) -> float:
    """Return the headline score of one relevant passage in a random order of N, such as H(N) / N
    for AP; N is the mean number of passages of a language or of a side of a pair, or the number of
    all where they are only searched together."""
    counts = [count for count in report.task.passages.values() if count]
    if report.task.pairs:
        counts = [count for pair in report.task.pairs for count in pair.passages if count]
    elif {setting.kind for setting in report.scores.settings} == {Kind.MULTILINGUAL.value}:
        pool = report.scores.settings[0].passage_languages
        counts = [sum(report.task.passages.get(code, 0) for code in pool)]
    size = sum(counts) // max(1, len(counts))
    measure = parse_measure(headline(report))
    if size == 0:
        return 0.0
    first = np.arange(min(size, 10_000))
    grades = np.full(len(first), measure.rel, np.int32)
    starts = np.arange(len(first) + 1)
    ranking = Ranking(first, starts, first + 1, grades, first, pool_size=size, excluded=0)
    return math.fsum(measure.per_query(ranking).tolist()) / size


def toward_random(value: float | None, floor: float | None, random: float | None) -> float | None:
    """Return how far a rank distance is from its floor (0) to a random order's (1), else None."""
    if value is None or floor is None or random is None or random <= floor:
        return None
    return (value - floor) / (random - floor)


def reading(report: Report) -> list[str]:
    """Return what the scores say in a few sentences, "the reading in ten seconds".

    There are at most three, and one more where the task is too small to tell much.
    """
    name, measure = mean_name(headline(report)), headline(report)
    scores = {kind: macro_score(report, kind, measure) for kind in KIND_NAMES}
    present = {kind: score for kind, score in scores.items() if score is not None}
    if not present:
        return ["No setting has a query with a relevant passage, so there is nothing to read."]
    distance = report.scores.bias.rank_distance is not None
    loosest = max(present, key=lambda kind: present[kind].optimistic - present[kind].value)
    tied = present[loosest]
    if tied.optimistic - tied.value >= HEAVY_TIES:
        return [
            f"Ties decide the scores of this model: {kind_name(loosest)} {name} is "
            f"{tied.value:.4f} with ties counted against it, as everywhere below, and "
            f"{tied.optimistic:.4f} with ties counted for it.",
            f"Its other figures{', above all rank distance,' * distance} mean little while so many "
            "scores are equal.",
        ]
    best = max(score.value for score in present.values())
    luck = chance(report)
    if best < max(FAINT, min(CHANCES * luck, (1 + luck) / 2)):
        return [
            f"It finds next to nothing: its best macro {name} is {best:.4f}.",
            *["The figures on its language bias below therefore mean little."] * distance,
            *_too_small(name, luck),
        ]
    mixed = _mixed(report, scores[Kind.MULTILINGUAL.value])
    return [*_quality(report, scores), *mixed, *_too_small(name, luck)]


def _too_small(name: str, luck: float) -> list[str]:
    if luck < TOO_SMALL:
        return []
    return [f"The task is too small to tell much: even a random order has {name} {luck:.2f}."]


def _of_pairs(report: Report) -> list[str]:
    """Return what pairs of languages, or texts and images, score in each direction, and which are
    the weakest."""
    measure, pivot = headline(report), report.task.roles.pivot
    of = directions(report)
    parts = [f"{number(e.scores[measure].value)} {e.name}" for e in of if measure in e.scores]
    roles = report.task.roles
    count = plural(len(report.task.pairs), "pair")
    over = f"Over {count} of languages" if pivot is None else f"Over {count} with {pivot}"
    if roles.between_modalities:
        over = f"Over texts in {plural(len(roles.queries) - 1, 'language')}"
    said = [f"{over} it has {mean_name(measure)} {' and '.join(parts).strip()}."]
    told = [
        (row, " and ".join(f"{value:.3f}" for value in values))
        for row in weakest_first(of, measure)
        if (values := [v for each in of if (v := each.value(row, measure)) is not None])
    ]
    if len(told) > NAMED_PAIRS:
        *weak, last, best = (f"{r} ({v})" for r, v in (*told[:NAMED_PAIRS], told[-1]))
        said.append(f"The weakest are {', '.join(weak)} and {last}, and the strongest is {best}.")
    return said


def _quality(report: Report, scores: dict[str, Score | None]) -> list[str]:
    if report.task.roles.two_ways:
        return _of_pairs(report)
    name = mean_name(headline(report))
    mono, cross = scores[Kind.MONOLINGUAL.value], scores[Kind.CROSSLINGUAL.value]
    sentences = [
        f"{where} it {first}{name} {score.value:.4f}."
        for where, kind, score in (
            ("Within a language", Kind.MONOLINGUAL.value, mono),
            ("Across languages", Kind.CROSSLINGUAL.value, cross),
        )
        if score is not None
        for first in [_first_answers(report, kind)]
    ]
    if mono is None or cross is None or not mono.value:
        return sentences
    kept = cross.value / mono.value
    verdict = (
        "it keeps its quality"
        if kept >= HOLDS
        else "it loses some of its quality"
        if kept >= LOSES_SOME
        else "it loses much of its quality"
        if kept >= LOSES_MUCH
        else "it loses most of its quality"
    )
    compared = {
        kind: settings_of(report, kind.value) for kind in (Kind.MONOLINGUAL, Kind.CROSSLINGUAL)
    }
    asked = [{s.query_language for s in settings} for settings in compared.values()]
    other = ""
    if asked[0] != asked[1]:
        other = ", though not over queries in the same languages"
    elif any(s.excluded for settings in compared.values() for s in settings):
        other = ", though not over the same questions"
    sentences[1] = (
        f"Across languages {verdict}: {name} {cross.value:.4f}, "
        f"{100 * kept:.0f}% of the score within languages{other}."
    )
    return sentences


def _first_answers(report: Report, kind: str) -> str:
    success, recall = (macro_score(report, kind, m) for m in ("Success@1", "R@1"))
    if success is not None:
        return f"ranks a relevant passage first for {100 * success.value:.0f} of 100 queries, "
    if recall is not None:
        return f"has {100 * recall.value:.0f} of 100 relevant passages at rank 1, "
    return "reaches "


def _mixed(report: Report, multi: Score | None) -> list[str]:
    own, name = own_language_preference(report), mean_name(headline(report))
    if own is None:
        return [] if multi is None else [_mixed_without_own(report, f"{name} {multi.value:.4f}")]
    score = f" ({name} {multi.value:.4f})" if multi else ""
    verdict = (
        "it favours the language of the query"
        if own >= FAVOURS
        else "it avoids the language of the query"
        if own <= AVOIDS
        else "it has hardly any preference for the language of the query"
    )
    return [
        f"In the multilingual pool{score}, passages in the query's own language outrank relevant "
        f"ones {own:.2f} times as often as their share of the pool: {verdict}."
    ]


def _mixed_without_own(report: Report, score: str) -> str:
    """Return what the multilingual pool shows where none of it outranks in the query's language."""
    others = outranking_by_others(report)
    most = max(others, key=others.__getitem__, default="")
    line = f"In the multilingual pool it reaches {score}"
    what = "passages"
    if report.task.roles.between_modalities:
        line, what = f"Images in the texts of all languages mixed: it reaches {score}", "texts"
    if not others or others[most] < FAVOURS:
        return f"{line}."
    return (
        f"{line} and favours {what} in {most}, which outrank relevant ones "
        f"{others[most]:.2f} times as often as their share of the pool."
    )


def rank_distance_line(report: Report) -> str:
    """Return rank distance beside mAP, its floor and a random order's; "" for one language."""
    bias = report.scores.bias
    score = bias.rank_distance
    if score is None:
        return ""
    way = toward_random(score.value, bias.floor, bias.random)
    multi = macro_score(report, Kind.MULTILINGUAL.value, headline(report))
    name = mean_name(headline(report))
    beside = f"{name} {multi.value:.4f}" if multi else name
    where = (
        ""
        if way is None
        else f", so it is {100 * way:.0f}% of the way from the least to random"
        if way <= 1
        else ", so it is beyond random"
    )
    low, high = (number(end, 1, commas=True) for end in (score.low, score.high))
    return (
        f"Rank distance is {number(score.value, 1, commas=True)} (95% interval "
        f"{between(low, high)}). The least "
        f"possible is {number(bias.floor, 1, commas=True)}, and a random order has "
        f"{number(bias.random, 1, commas=True)}{where}. Read it beside {beside}: a weak model "
        "scatters relevant passages, and a model that ranks all of them last gathers them too."
    )


def outranking_line(report: Report) -> str:
    """Return the outranking of the own language and the extremes of the others; "" without any."""
    own, others = own_language_preference(report), outranking_by_others(report)
    said = []
    if own is not None:
        rows = report.scores.bias.outranking.items()
        count = sum(row.get(code) is not None for code, row in rows)
        said.append(
            "Passages in the query's own language outrank relevant ones "
            f"{own:.2f} times as often as their share of the pool, on average over "
            f"{plural(count, 'query language')} (1 is unbiased)."
        )
    if not others:
        return " ".join(said)
    most, least = max(others, key=others.__getitem__), min(others, key=others.__getitem__)
    if own is None:
        said.append(
            f"Passages in {most} outrank relevant ones {others[most]:.2f} times as often as their "
            f"share of the pool, more than those of any other language, and passages in {least} "
            f"least ({others[least]:.2f} times; 1 is unbiased)."
        )
    elif others[most] - others[least] >= TELLING:
        said.append(
            f"For queries in other languages, passages in {most} do so most "
            f"({others[most]:.2f} times) and passages in {least} least ({others[least]:.2f} times)."
        )
    return " ".join(said)
