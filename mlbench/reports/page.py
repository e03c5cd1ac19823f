"""A report as pages: ``report.html``, one file that needs nothing else, and ``report.md``.

Both show the same things in the same order. Names of models and languages come from others: what
they hold is shown, never interpreted, neither as HTML nor as Markdown.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlbench.data.task import Kind
from mlbench.data.texts import Texts
from mlbench.ranking.ranks import Ranks
from mlbench.reports.bias_sections import bias_sections
from mlbench.reports.clip_score import clip_score_lines, clip_score_table
from mlbench.reports.compression import COMPRESSION_NOTE, compression_lines, compression_table
from mlbench.reports.cost import cost_facts
from mlbench.reports.definitions import definitions
from mlbench.reports.drawing import shortened
from mlbench.reports.examples import shown_examples
from mlbench.reports.explain import (
    MOST_BIASED,
    Explanation,
    biased_line,
    most_biased,
    passages_table,
)
from mlbench.reports.facts import facts_of
from mlbench.reports.pairs import directions
from mlbench.reports.plot_cache import cached_plots
from mlbench.reports.plot_texts import plot_texts
from mlbench.reports.reading import own_language_preference
from mlbench.reports.report import Report
from mlbench.reports.stages import reranking_lines, reranking_table
from mlbench.reports.table import Table, escape_markdown
from mlbench.reports.tables import (
    crosslingual_table,
    excluded_table,
    macro_table,
    paper_table,
    settings_table,
    sizes_table,
    star_of,
    whole_reading,
)
from mlbench.reports.templating import Plot, Safe, Section, Tile, data_uri, page_environment
from mlbench.reports.texts import find_texts
from mlbench.reports.thumbnails import thumbnail
from mlbench.reports.words import (
    KIND_NAMES,
    MISSING,
    between,
    excluded_lines,
    headline,
    kind_title,
    macro_score,
    mean_name,
    name_of_all,
    number,
    settings_of,
    tie_lines,
    told_kinds,
)

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

CROSS = Kind.CROSSLINGUAL.value
LONGEST_TEXT = 500
"""Characters of a text that the page shows."""
MOST_ROWS = 400
"""Settings of a kind that the page lists one by one; report.json always has them all."""


@dataclass(frozen=True)
class Query:
    """A query in full: ``line`` says in words how it fares; texts are "" where not at hand, and
    ``passages`` are (rank and name, language, text) of the relevant ones. ``uri`` holds a thumbnail
    of a query that is an image."""

    line: str
    language: str
    text: str
    table: Table
    passages: tuple[tuple[str, str, str], ...]
    uri: str = ""


def report_pages(
    report: Report, ranks: Ranks | None, cache: EmbeddingCache | None = None
) -> dict[str, bytes]:
    """Return file name -> content of report.html, report.md and the plots under ``plots/``.

    ``ranks`` is None for a report on run files, which shows what it can without them.
    Texts are those that the report brings or, without any, those of the task's data, if it is on
    this machine. The same report gives the same bytes; plots that ``cache`` has are not drawn
    again. report.html asks for nothing over the network and runs no script; report.md links to the
    plots beside it.
    """
    plots = cached_plots(report, ranks, cache)
    view = _view(report, ranks, plots)
    markdown = page_environment(lambda v: v if isinstance(v, Safe) else escape_markdown(str(v)))
    markdown.globals.update(table=lambda table: Safe(table.markdown()), code=_code)
    page = page_environment()
    return {
        **{f"plots/{name}": content for name, content in plots.items()},
        "report.md": markdown.get_template("report.md.jinja").render(view).encode(),
        "report.html": page.get_template("report.html.jinja").render(view).encode(),
    }


def notebook_html(report: Report) -> str:
    """Return what a notebook shows of a report: its reading and its main table, as HTML."""
    page = page_environment()
    view = {"report": report, "reading": whole_reading(report), "paper": paper_table(report)}
    return page.get_template("notebook.html.jinja").render(view)


def _code(text: str) -> Safe:
    """Return ``text`` as Markdown code on one line, whatever backticks it holds."""
    flat = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", flat)), default=0))
    return Safe(f"{fence} {flat} {fence}")


def _view(report: Report, ranks: Ranks | None, plots: dict[str, bytes]) -> dict[str, Any]:
    """Return all that the two templates show."""
    mixed = bool(report.scores.bias.by_language)
    biased = most_biased(ranks, MOST_BIASED) if ranks is not None and mixed else []
    kinds = [kind for kind in KIND_NAMES if settings_of(report, kind)]
    cross, pairs = settings_of(report, CROSS), bool(report.task.pairs)
    two_ways = report.task.roles.two_ways
    wanted = biased or report.examples
    texts = report.texts or (find_texts(report.task) if wanted else Texts({}, {}))
    view = {
        "report": report,
        "reading": whole_reading(report),
        "tiles": _tiles(report),
        "main": _main_sections(report),
        "plots": [
            Plot(f"plots/{name}", data_uri(svg), *plot_texts(name, report))
            for name, svg in plots.items()
        ],
        "bias": bias_sections(report),
        "biased": [_query(each, texts) for each in biased],
        "no_texts": texts.why,
        "examples": shown_examples(report.examples, texts),
        "across": _across(report) if cross and not two_ways else None,
        "excluded": None
        if two_ways or not any(s.excluded for s in cross)
        else excluded_table(report),
        "excluded_lines": excluded_lines(report),
        "settings": [
            (kind, kind_title(report, kind), settings_table(report, kind))
            for kind in kinds
            if len(settings_of(report, kind)) <= MOST_ROWS
        ],
        "tie_lines": tie_lines(report),
        "cost_facts": cost_facts(report),
        "model_facts": facts_of(asdict(report.model)),
        "task_facts": facts_of(
            asdict(report.task) | {"kinds": tuple(kinds)},
            skip=("queries", "passages", "languages", "passage_languages", "pairs"),
        ),
        "counts": sizes_table(report.task.pairs) if pairs else _counts_table(report),
        "run_facts": facts_of(asdict(report.run), skip=("command",)),
        "definitions": definitions(report),
    }
    view["contents"] = _contents(view)
    return view


def _contents(view: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (id, title) of each section of the page that there is."""
    report = view["report"]
    main = [(section_id(each.title), each.title) for each in view["main"]]
    others = {
        ("plots", "Plots"): view["plots"],
        ("bias", "Language bias"): view["bias"],
        ("queries", "Most biased queries"): view["biased"],
        ("examples", "Found first"): view["examples"],
        ("across", "Across languages"): view["across"],
        ("settings", "Settings"): True,
        ("ties", "Ties"): view["tie_lines"],
        ("warnings", "Notes and warnings"): report.notes + report.warnings,
        ("cost", "Cost"): view["cost_facts"],
        ("model", "Model"): True,
        ("task", "Task"): True,
        ("run", "Run"): True,
        ("definitions", "How the scores are defined"): True,
    }
    return main + [link for link, there in others.items() if there]


def section_id(title: str) -> str:
    """Return what a section of this title is linked by."""
    return title.lower().replace(" ", "-")


def _query(each: Explanation, texts: Texts) -> Query:
    passages = [
        (
            f"rank {passage.rank:,}: {passage.language} {passage.passage_id}",
            passage.language,
            shortened(text, LONGEST_TEXT),
        )
        for passage in each.passages
        if (text := texts.passages.get((passage.language, passage.passage_id)))
    ]
    text = shortened(texts.queries.get((each.language, each.query_id), ""), LONGEST_TEXT)
    uri = thumbnail(texts, (each.language, each.query_id))
    table = passages_table(each)
    return Query(biased_line(each), each.language, text, table, tuple(passages), uri)


def _main_sections(report: Report) -> list[Section]:
    """Return the main table, and the macro scores where there are any."""
    searched = [said for kind, said in SEARCHED.items() if settings_of(report, kind)]
    paper = paper_table(report)
    star = star_of(paper, report)
    if report.task.pairs:
        searched = ["Each pair of languages is searched by itself. The weakest pairs are first."]
    title = "Scores by pair" if report.task.pairs else "Scores by query language"
    if report.task.roles.between_modalities:
        title, searched = "Scores by language of texts", [BETWEEN]
    main = Section(
        title,
        paper,
        " ".join([*searched, "Macro: the mean over settings.", star]).rstrip(),
    )
    macro = Section(
        "Macro scores",
        macro_table(report),
        " ".join(
            [
                "Each score is the mean over the settings of a kind"
                + " or direction" * bool(report.scores.directions)
                + ", with its 95% interval.",
                "" if star else star_of(macro_table(report), report),
            ]
        ).rstrip(),
    )
    sections = [main, macro] if report.scores.macro else [main]
    if report.variants:
        lines = " ".join(compression_lines(report))
        sections.append(
            Section("Smaller vectors", compression_table(report), COMPRESSION_NOTE, lines)
        )
    if report.reranking:
        sections.append(
            Section("Reranking", reranking_table(report), *reranking_lines(report)[::-1])
        )
    if report.clip_score:
        said = " ".join(clip_score_lines(report))
        sections.append(Section("CLIPScore", clip_score_table(report), CLIP_SCORE_NOTE, said))
    return sections


CLIP_SCORE_NOTE = (
    "Judged pairs: the mean over captions and their images. Image found first: over captions and "
    "the image that each finds first, right or not. Caption found first: over images and the "
    "caption of the language that each finds first. Macro: the mean over languages."
)


def _across(report: Report) -> Section:
    name, mono = mean_name(headline(report)), bool(settings_of(report, Kind.MONOLINGUAL.value))
    if report.task.roles.one_asked:
        (asked,) = report.task.roles.queries
        note = f"Queries in {asked}, over the passages of each language by themselves."
        return Section("Across languages", crosslingual_table(report), note)
    return Section(
        "Across languages",
        crosslingual_table(report),
        f"The table shows {name}. Rows are query languages, columns passage languages. "
        + "Where both are the same, the cell is monolingual, and the mean in the last column "
        "leaves it out." * mono,
    )


BETWEEN = (
    "Text to image: the texts of a language search all images. Image to text: the images search "
    "the texts of the language. Gap: the first measure of text to image minus that of image to "
    "text."
)
MONO, MULTI = Kind.MONOLINGUAL.value, Kind.MULTILINGUAL.value
SEARCHED = {
    MONO: "Mono: only passages in the query's own language are searched.",
    CROSS: "Cross: the mean over the other languages, each searched by itself.",
    MULTI: "Multi: all languages are searched together.",
}
"""What the columns of the main table are, by kind of setting."""


def _tiles(report: Report) -> list[Tile]:
    name = mean_name(headline(report))
    tiles = [
        Tile(
            f"{name} {kind_title(report, kind)}",
            number(score.value),
            _interval(score.low, score.high, 4),
        )
        for kind in told_kinds(report)
        if (score := macro_score(report, kind, headline(report))) is not None
    ]
    tiles += [
        Tile(f"{name} {each.name}", number(score.value), _interval(score.low, score.high, 4))
        for each in directions(report)
        if each.name and (score := each.scores.get(headline(report))) is not None
    ]
    bias = report.scores.bias
    if bias.rank_distance is not None:
        floor, random = (number(v, 0, commas=True) for v in (bias.floor, bias.random))
        value = number(bias.rank_distance.value, 1, commas=True)
        note = f"least possible {floor}, random order {random}"
        tiles.append(Tile("rank distance", value, note))
    own = own_language_preference(report)
    if own is not None:
        note = "times its share of the pool; 1 is unbiased"
        tiles.append(Tile("query's language outranks", f"{own:.2f}", note))
    return tiles


def _interval(low: float, high: float, digits: int) -> str:
    return between(number(low, digits), number(high, digits))


def _counts_table(report: Report) -> Table:
    task, of = report.task, report.task.roles
    counts = [
        {code: number for code, number in numbers.items() if code in own}
        for numbers, own in ((task.queries, of.queries), (task.passages, of.passages))
    ]
    return Table(
        ("language", "queries", "passages"),
        tuple((code, *(_counted(n.get(code)) for n in counts)) for code in task.languages),
        (name_of_all(task.languages), *(_counted(sum(n.values()) if n else None) for n in counts)),
    )


def _counted(number: int | None) -> str:
    return MISSING if number is None else f"{number:,}"
