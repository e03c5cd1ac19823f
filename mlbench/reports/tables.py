"""A report as tables: for the terminal (at most 80 columns) and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mlbench.common.counts import plural
from mlbench.common.terminal import fill
from mlbench.data.task import Kind, PairSizes
from mlbench.reports.bias_words import bias_lines
from mlbench.reports.clip_score import clip_score_lines, clip_score_table
from mlbench.reports.compression import compression_lines, compression_table
from mlbench.reports.cost import cost_line
from mlbench.reports.known import languages_reading, marked_language
from mlbench.reports.pairs import directions, weakest_first
from mlbench.reports.reading import outranking_line, rank_distance_line, reading
from mlbench.reports.report import Report
from mlbench.reports.stages import reranking_lines, reranking_table
from mlbench.reports.table import Table, narrow
from mlbench.reports.words import (
    KIND_NAMES,
    MISSING,
    STAR,
    excluded_lines,
    headline,
    kind_title,
    macro_score,
    marked_name,
    mean,
    number,
    settings_of,
    star_line,
    tie_lines,
    told_kinds,
    truncation_reading,
)

MOST_COLUMNS = 6
"""Measures that the main table of one kind of setting shows."""
MONO, CROSS, MULTI = (kind.value for kind in Kind)


def paper_columns(report: Report) -> list[tuple[str, str]]:
    """Return the (kind, measure) columns that this report can fill."""
    main, others = headline(report), list(report.measures[1:])
    kinds = [kind for kind in KIND_NAMES if settings_of(report, kind)]
    if len(kinds) == 1:
        return [(kinds[0], measure) for measure in report.measures[:MOST_COLUMNS]]
    second = [(MONO, "R@1"), (CROSS, "R@1"), (MULTI, "R@10")]
    if main != "AP" or not {"R@1", "R@10"} & set(report.measures):
        second = [(kind, measure) for measure in others[:1] for kind in kinds]
    wanted = [(kind, main) for kind in kinds] + second
    return [pair for pair in wanted if pair[0] in kinds and pair[1] in report.measures]


def paper_table(report: Report) -> Table:
    """Return the main table in the form of arXiv 2408.10536: a row a query language.

    mAP monolingual, cross-lingual (the mean over the targets that have queries) and multilingual,
    R@1 monolingual and cross-lingual, R@10 multilingual, rank distance; then the macro scores. A
    report whose first measure is another shows that one and its second, a report of one kind of
    setting all its measures that there is room for. A kind or measure that the report lacks has
    no column; a missing value is "-". A report on pairs has ``pairs_table``.
    """
    if report.task.roles.two_ways:
        return pairs_table(report)
    columns = paper_columns(report)
    bias = report.scores.bias
    languages = report.task.roles.queries
    short = {MONO: "mono", CROSS: "cross", MULTI: "multi"}
    rows = [
        [number(_row_score(report, language, kind, measure)) for kind, measure in columns]
        for language in languages
    ]
    macros = [macro_score(report, kind, measure) for kind, measure in columns]
    footer = [number(score.value if score else None) for score in macros]
    headers = [
        f"{narrow(marked_name(report, measure, kind), 7)}\n{short[kind]}"
        for kind, measure in columns
    ]
    if bias.by_language:
        headers.append("rank\ndistance")
        for language, row in zip(languages, rows, strict=True):
            entry = bias.by_language.get(language)
            row.append(number(entry.value if entry else None, 1))
        footer.append(number(bias.rank_distance.value if bias.rank_distance else None, 1))
    return Table(
        ("query", *headers),
        tuple((marked_language(report, q), *row) for q, row in zip(languages, rows, strict=True)),
        ("macro", *footer),
    )


def pairs_table(report: Report) -> Table:
    """Return a row a pair, the weakest first, with the first measures in each direction; then the
    macro scores. Of texts and images, a row is a language of texts, in the task's order, and the
    last column is the gap: the main measure of text to image minus that of image to text."""
    of, roles = directions(report), report.task.roles
    measures = report.measures[: MOST_COLUMNS // max(1, len(of))]
    columns = [(each, measure) for measure in measures for each in of]
    names = weakest_first(of, headline(report))
    if roles.between_modalities:
        names.sort(key=report.task.languages.index)
    rows = [
        [
            marked_language(report, name),
            *(number(each.value(name, measure)) for each, measure in columns),
        ]
        for name in names
    ]
    means = [each.scores.get(measure) for each, measure in columns]
    names_of = {each.name: each.name or "cross" for each in of}
    if roles.between_modalities:
        names_of = {name: name.replace(" ", "\n", 1) for name in names_of}
    headers = [
        f"{narrow(marked_name(report, measure, CROSS), 7)}\n{names_of[each.name]}"
        for each, measure in columns
    ]
    footer = ["macro", *(number(score.value if score else None) for score in means)]
    corner = "pair" if roles.pivot is None else "with"
    if roles.between_modalities and len(of) == 2:
        corner = "texts in"
        headers.append("gap")
        for row, name in zip(rows, names, strict=True):
            row.append(_gap([each.value(name, measures[0]) for each in of]))
        footer.append(_gap([score.value if score else None for score in means[:2]]))
    return Table((corner, *headers), tuple(map(tuple, rows)), tuple(footer))


def _gap(values: list[float | None]) -> str:
    first, second = values
    return MISSING if first is None or second is None else f"{first - second:+.4f}"


def sizes_table(pairs: Iterable[PairSizes]) -> Table:
    """Return how many queries and passages each pair has in either of its languages."""
    rows = tuple(
        (" ".join(pair.languages), *(f"{n:,}" for n in (*pair.queries, *pair.passages)))
        for pair in pairs
    )
    headers = [f"{role}\nin the {side}" for role in ("queries", "passages")
               for side in ("first", "second")]  # fmt: skip
    return Table(("pair", *headers), rows)


def _row_score(report: Report, language: str, kind: str, measure: str) -> float | None:
    return mean(
        setting.measures.get(measure)
        for setting in settings_of(report, kind)
        if setting.query_language == language and setting.queries
    )


def macro_table(report: Report) -> Table:
    """Return every macro score with its 95% interval, a row a measure, a column a kind, and of
    pairs a direction."""
    of = {
        kind_title(report, kind): report.scores.macro[kind]
        for kind in told_kinds(report)
        if report.scores.macro.get(kind)
    }
    named = {each.name: each.scores for each in directions(report) if each.name}
    of = named | of if report.task.roles.between_modalities else of | named
    rows = []
    for measure in report.measures:
        scores = [each.get(measure) for each in of.values()]
        cells = [ranged(s.value, s.low, s.high) if s else MISSING for s in scores]
        rows.append((narrow(marked_name(report, measure), 9), *cells))
    return Table(("", *(f"{name}\n95% interval" for name in of)), tuple(rows))


def settings_table(report: Report, kind: str) -> Table:
    """Return every setting of a kind: its queries, how many it excludes, and all measures.

    A cross-lingual setting is named by its two languages, query first. Those of pairs stand by
    their score, the weakest first.
    """
    settings = settings_of(report, kind)
    if report.task.pairs:
        settings.sort(key=lambda each: each.measures.get(headline(report), math.inf))
    rows = tuple(
        (
            setting.query_language
            if kind != CROSS
            else f"{setting.query_language} to {' '.join(setting.passage_languages)}",
            str(setting.queries),
            str(setting.excluded),
            *(number(setting.measures.get(measure)) for measure in report.measures),
        )
        for setting in settings
    )
    headers = ("setting" if kind == CROSS else "query", "queries", "excluded")
    return Table((*headers, *(marked_name(report, m, kind) for m in report.measures)), rows)


def crosslingual_table(report: Report) -> Table:
    """Return the headline measure as a matrix, query language by passage language.

    Where both are one, the setting is monolingual; the last column is the mean without it. With one
    query language there is a row a passage language instead, with all measures there is room for.
    """
    values, roles = score_matrix(report, headline(report)), report.task.roles
    if roles.one_asked:
        measures = report.measures[:MOST_COLUMNS]
        of = {s.passage_languages: s.measures for s in report.scores.settings}
        scores = {p: [number(of.get((p,), {}).get(m)) for m in measures] for p in roles.passages}
        headers = (narrow(marked_name(report, measure, CROSS), 9) for measure in measures)
        return Table(
            ("passages in", *headers),
            tuple((marked_language(report, p), *row) for p, row in scores.items()),
        )
    rows = []
    for query in roles.queries:
        cross = mean(values[query, passage] for passage in roles.passages if passage != query)
        cells = [number(values[query, passage], 3) for passage in roles.passages]
        rows.append((query, *cells, number(cross, 3)))
    return Table(("query", *roles.passages, "mean"), tuple(rows))


def score_matrix(report: Report, measure: str) -> dict[tuple[str, str], float | None]:
    """Return (query language, passage language) -> score of that setting, None where missing."""
    roles = report.task.roles
    values: dict[tuple[str, str], float | None] = {
        (q, p): None for q in roles.queries for p in roles.passages
    }
    for kind in (MONO, CROSS):
        for setting in settings_of(report, kind):
            if setting.queries:
                pair = (setting.query_language, setting.passage_languages[0])
                values[pair] = setting.measures.get(measure)
    return values


def excluded_table(report: Report) -> Table:
    """Return the queries of each cross-lingual setting and, after a plus, those it excludes."""
    cells = {
        (s.query_language, s.passage_languages[0]): f"{s.queries}+{s.excluded}"
        for s in settings_of(report, CROSS)
    }
    asked, pool = report.task.roles.queries, report.task.roles.passages
    rows = ((query, *(cells.get((query, p), MISSING) for p in pool)) for query in asked)
    return Table(("query", *pool), tuple(rows))


def whole_reading(report: Report) -> list[str]:
    """Return the sentences at the top of a report, wherever it is shown."""
    return [*truncation_reading(report), *reading(report), *languages_reading(report)]


def terminal_text(report: Report, *, verbose: bool = False) -> str:
    """Return what a run prints at its end: what the scores say, the main table, warnings.

    With ``verbose`` also all macro scores with intervals, language bias, what is excluded, ties
    and notes, as they stand in the report. At most 80 columns.
    """
    task = report.task
    only = f", only {', '.join(task.languages)}" if task.subset_of else ""
    title = f"{report.model.name} on {task.name} (version {task.version}{only})"
    warnings = [f"Warning: {warning}" for warning in report.warnings]
    blocks = [
        fill(title),
        fill(" ".join(whole_reading(report))),
        paper_table(report).text(),
        *([crosslingual_table(report).text()] if task.roles.one_asked else []),
        *(_details(report) if verbose else [fill(star_of(paper_table(report), report))]),
        *([compression_table(report).text()] if report.variants else []),
        *([reranking_table(report).text()] if report.reranking else []),
        *([clip_score_table(report).text()] if report.clip_score and verbose else []),
        *([fill(" ".join(clip_score_lines(report)))] if report.clip_score and verbose else []),
        *map(fill, [" ".join(compression_lines(report)), *reranking_lines(report), *warnings]),
    ]
    return "\n\n".join(block for block in blocks if block)


def star_of(table: Table, report: Report) -> str:
    """Return what the star in a table's names says, "" where it has none."""
    names = (*table.headers, *(row[0] for row in table.rows))
    return star_line(report) if any(STAR in name for name in names) else ""


def _details(report: Report) -> list[str]:
    statistics = report.scores.statistics
    intervals = (
        f"The intervals cover {100 * statistics.level:.0f}% ({statistics.method}, "
        f"{plural(statistics.draws, 'draw')} of {plural(statistics.clusters, 'question')}, "
        "each with all its "
        "languages)."
    )
    paragraphs = [
        intervals,
        star_line(report),
        rank_distance_line(report),
        outranking_line(report),
        " ".join(bias_lines(report)),
        *excluded_lines(report),
        *tie_lines(report),
        cost_line(report),
        *(f"Note: {note}" for note in report.notes),
    ]
    table = [macro_table(report).text()] if report.scores.macro else []
    return [*table, *map(fill, filter(None, paragraphs))]


def ranged(value: float, low: float, high: float, digits: int = 4, *, sign: str = "") -> str:
    """Return a cell with a value and the ends of its interval or range, if they are written
    differently; ``sign`` may be "+"."""
    shown, first, last = (
        f"{x:{sign}.{digits}f}" if math.isfinite(x) else MISSING for x in (value, low, high)
    )
    return shown if shown == first == last else f"{shown} {first}..{last}"
