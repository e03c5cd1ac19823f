"""What the plots of a report show and how they are read."""

from __future__ import annotations

from mlbench.data.task import Kind
from mlbench.reports.report import Report
from mlbench.reports.words import settings_of

MONO, CROSS, MULTI = (kind.value for kind in Kind)
OWN, SEVERAL = "own", "several"
"""That some passages are in the language of a query, and that there are several of these."""


def plot_texts(file: str, report: Report) -> tuple[str, str]:
    """Return what a plot shows and how it is read, as far as it holds for a report."""
    roles = report.task.roles
    there = {kind.value for kind in Kind if settings_of(report, kind.value)}
    there |= ({OWN} if roles.shared else set()) | ({SEVERAL} if len(roles.queries) > 1 else set())
    alt, how = (OF_TEXTS if roles.between_modalities else {}).get(file, PLOT_TEXTS[file])
    more = [said for needed, said in MORE_TEXTS.get(file, ()) if {*needed} <= there]
    return alt, " ".join([how, *more])


PLOT_TEXTS = {
    "macro.svg": (
        "Bars: every macro score by kind of setting, with 95% intervals.",
        "Longer bars are better; a difference within the intervals may be chance.",
    ),
    "languages.svg": (
        "Dots with intervals: the score of each query language by kind of setting.",
        "If the intervals of two languages do not overlap, the model serves one of them better.",
    ),
    "heatmap.svg": (
        "Heat map: the score of each pair of query language and passage language.",
        "A pale cell is a pair of languages that the model serves badly.",
    ),
    "pairs.svg": (
        "Dots: the score of each pair of languages in both directions.",
        "Pairs at the top are the weakest. If the dots of a pair are far apart, the model serves "
        "one direction better.",
    ),
    "outranking.svg": (
        "Heat map: how often passages of each language outrank relevant ones, by query language.",
        "Orange (above 1) means that passages in this language push relevant ones down more often "
        "than their number explains.",
    ),
    "targets.svg": (
        "Heat map: change in multilingual mAP when the target in one language is removed.",
        "If a model has no bias, all cells of a row have the same colour.",
    ),
    "distance.svg": (
        "Dots with intervals: rank distance by query language, with the least possible value and "
        "that of a random order.",
        "Near the least possible value, relevant passages of all languages rank close together. "
        "Near the value of a random order or beyond, they are scattered. Read this beside the "
        "score, because a weak model scatters them too.",
    ),
    "counts.svg": (
        "Two curves: multilingual mAP and rank distance by the number of languages.",
        "The curves show how the scores change as languages are added to the pool and the "
        "queries. The steeper mAP falls, the more it costs to search several languages together.",
    ),
    "ranks.svg": (
        "Quantiles of the ranks of relevant passages in the multilingual pool, by passage "
        "language.",
        "Languages that are further right are found worse.",
    ),
    "compression.svg": (
        "Lines: the score of each kind of setting by the bytes of a passage's vectors.",
        "As long as a line is level, smaller vectors lose nothing. Where two number formats take "
        "the same bytes, the higher one is the better way to save them.",
    ),
}


OF_TEXTS = {
    "macro.svg": (
        "Bars: every macro score by direction, with 95% intervals.",
        "Longer bars are better; a difference within the intervals may be chance.",
    ),
    "pairs.svg": (
        "Dots: the score of texts in each language, searching images and searched by them.",
        "Languages at the top are the weakest. If the dots of a language are far apart, the model "
        "serves one direction better.",
    ),
}
"""The same where texts search images and images search texts."""


MORE_TEXTS = {
    "macro.svg": (
        ((MONO, CROSS), "The step from blue to orange shows what is lost across languages."),
        (
            (MULTI,),
            "In the multilingual pool (green) a query can have more relevant passages, so R@k "
            "with a small k cannot reach 1.",
        ),
    ),
    "languages.svg": (
        (
            (MONO, CROSS),
            "The distance between blue and orange shows what it costs queries in a language to "
            "search other languages.",
        ),
        (
            (MONO, MULTI),
            "The distance between blue and green shows what it costs them to search all "
            "languages together.",
        ),
    ),
    "heatmap.svg": (
        (
            (SEVERAL,),
            "A pale column is a language whose passages it understands badly, and a pale row one "
            "whose queries it does.",
        ),
        (
            (MONO,),
            "If only the outlined cells are dark, the model works within languages but not "
            "across them.",
        ),
    ),
    "outranking.svg": (
        ((OWN,), "Orange in an outlined cell is a preference for the query's own language."),
        ((SEVERAL,), "An orange column is a language that is favoured for all queries."),
    ),
    "targets.svg": (
        (
            (OWN,),
            "Orange in an outlined cell means that the model mainly finds the target in the "
            "query's own language, and finds little without it.",
        ),
    ),
    "ranks.svg": (
        (
            (OWN,),
            "The further blue is to the right of orange, the lower relevant passages rank if the "
            "query is in another language.",
        ),
    ),
}
"""What can be said of a plot only where a report has some kinds of setting, or the above."""
