"""Tables and sentences: what they say is what the report holds, at any size."""

from __future__ import annotations

import math
from dataclasses import replace

import ir_measures
import pytest

from mlbench.data.task import Kind
from mlbench.measures.bias_scores import BiasScores
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.reports import reading, words
from mlbench.reports.bias_tables import distance_table, outranking_table
from mlbench.reports.page import report_pages
from mlbench.reports.report import Report
from mlbench.reports.tables import (
    crosslingual_table,
    excluded_table,
    macro_table,
    paper_table,
    settings_table,
    terminal_text,
)
from tests.support.reports import (
    collection_of,
    equal_vectors,
    example,
    languages,
    renamed,
    report_of,
    vectors,
)

EVERY_SIZE = pytest.mark.parametrize("count", [1, 2, 7, 11, 18, 50])


def setting_score(report: Report, kind: str, query: str, measure: str) -> float:
    found = [
        setting.measures[measure]
        for setting in report.scores.settings
        if setting.kind == kind and setting.query_language == query and setting.queries
    ]
    return math.fsum(found) / len(found)


def test_the_paper_table_holds_the_scores_of_the_report() -> None:
    report, _ = example(3)
    table = paper_table(report)
    assert [" ".join(header.split()) for header in table.headers] == [
        "query", "mAP mono", "mAP cross", "mAP multi", "R@1 mono", "R@1 cross", "R@10 multi",
        "rank distance",
    ]  # fmt: skip
    for row in table.rows:
        language = row[0]
        assert row[1:] == (
            f"{setting_score(report, 'monolingual', language, 'AP'):.4f}",
            f"{setting_score(report, 'crosslingual', language, 'AP'):.4f}",
            f"{setting_score(report, 'multilingual', language, 'AP'):.4f}",
            f"{setting_score(report, 'monolingual', language, 'R@1'):.4f}",
            f"{setting_score(report, 'crosslingual', language, 'R@1'):.4f}",
            f"{setting_score(report, 'multilingual', language, 'R@10'):.4f}",
            f"{report.scores.bias.by_language[language].value:.1f}",
        )
    macro = report.scores.macro
    assert report.scores.bias.rank_distance is not None
    assert table.footer[0] == "macro"
    assert table.footer[1] == f"{macro['monolingual']['AP'].value:.4f}"
    assert table.footer[-1] == f"{report.scores.bias.rank_distance.value:.1f}"


@EVERY_SIZE
@pytest.mark.parametrize("verbose", [False, True])
def test_terminal_text_fits_80_columns(count: int, verbose: bool) -> None:
    report, _ = example(count)
    text = terminal_text(report, verbose=verbose)
    assert max(map(len, text.splitlines())) <= 80
    assert "nan" not in text
    assert "None" not in text
    assert len(paper_table(report).rows) == count
    assert paper_table(report).text() in text
    assert (macro_table(report).text() in text) == verbose


def test_long_names_still_fit() -> None:
    codes = ("zh-Hans-a1b2c3d4-variant1", "en-Latn")
    collection = collection_of(codes)
    measures = ("AP(rel=1)@1000", "nDCG@1000", "Success@1000", "R@1000")
    report, _ = report_of(collection, vectors(collection), measures=measures)
    text = terminal_text(renamed(report, "a-very-long-name/" * 12), verbose=True)
    assert max(map(len, text.splitlines())) <= 80


def test_a_missing_score_is_a_dash() -> None:
    """With answers in two languages only, a third has neither queries nor a rank distance."""
    collection = collection_of(languages(4), apart=True)
    report, _ = report_of(collection, vectors(collection))
    matrix = {row[0]: row[1:] for row in crosslingual_table(report).rows}
    a, b, c, d = languages(4)
    assert matrix[a][2] == matrix[a][3] == "-"
    assert matrix[a][0] != "-"
    assert matrix[a][1] != "-"
    assert matrix[d][0] != "-"
    assert {row[0]: row[3] for row in excluded_table(report).rows} == {
        a: "0+8", b: "8+0", c: "-", d: "0+8",
    }  # fmt: skip
    lines = words.excluded_lines(report)
    assert len(lines) == 1
    assert "64 of 96" in lines[0]
    assert "in 8 of 12 settings" in lines[0]


def test_kinds_and_measures_that_are_missing_have_no_column() -> None:
    collection = collection_of(languages(3))
    only = report_of(collection, vectors(collection), (Kind.MONOLINGUAL,), ("nDCG@10",))[0]
    assert [header.split() for header in paper_table(only).headers] == [
        ["query"], ["nDCG@10", "mono"],
    ]  # fmt: skip
    cross = report_of(collection, vectors(collection), (Kind.CROSSLINGUAL,), ("RR", "AP"))[0]
    assert [header.split() for header in paper_table(cross).headers] == [
        ["query"], ["RR", "cross"], ["mAP", "cross"],
    ]  # fmt: skip
    for report in (only, cross):
        assert max(map(len, terminal_text(report, verbose=True).splitlines())) <= 80


@pytest.mark.parametrize(
    ("kinds", "measures", "headers"),
    [
        ((Kind.MONOLINGUAL,), ("R@5", "AP", "RR"), "R@5 mono, mAP mono, RR mono"),
        ((Kind.CROSSLINGUAL,), ("nDCG@10", "AP"), "nDCG@10 cross, mAP cross"),
        ((Kind.MULTILINGUAL,), ("RR", "AP"), "RR multi, mAP multi, rank distance"),
        (
            (Kind.MONOLINGUAL, Kind.MULTILINGUAL),
            ("nDCG@10", "R@100", "AP", "R@1", "R@10"),
            "nDCG@10 mono, nDCG@10 multi, R@100 mono, R@100 multi, rank distance",
        ),
        (
            tuple(Kind),
            ("AP", "RR", "R@1", "R@10"),
            "mAP mono, mAP cross, mAP multi, R@1 mono, R@1 cross, R@10 multi, rank distance",
        ),
    ],
)
def test_a_task_s_own_choices_lead_and_it_gets_no_word_of_what_it_has_not(
    kinds: tuple[Kind, ...], measures: tuple[str, ...], headers: str
) -> None:
    collection = collection_of(languages(4), 30)
    report, ranks = report_of(collection, vectors(collection), kinds, measures)
    assert [" ".join(h.split()) for h in paper_table(report).headers[1:]] == headers.split(", ")
    main = words.mean_name(measures[0])
    said = " ".join(reading.reading(report))
    assert main in said
    assert report_of_pages(report, ranks).count(main) > 2
    shown = terminal_text(report, verbose=True) + report_of_pages(report, ranks)
    assert (main + " ") in macro_table(report).text().splitlines()[4] + " "
    for kind in Kind:
        if kind is Kind.MONOLINGUAL and Kind.MULTILINGUAL in kinds:
            continue  # what one of several languages scores is among the language counts
        named = words.kind_name(kind.value)
        there = named in shown.replace("multilingual retrieval", "").lower()
        assert there == (kind in kinds), named
    for text in ("rank distance", "outrank", "number of languages", "languages are added"):
        assert (text in shown.lower()) == (Kind.MULTILINGUAL in kinds), text


def report_of_pages(report: Report, ranks: Ranks) -> str:
    """What the Markdown page says, without the plots."""
    return report_pages(report, ranks)["report.md"].decode()


@pytest.mark.parametrize("name", ["AP", "RR", "nDCG@10", "R@5", "Success@1", "P@5", "AP(rel=2)"])
def test_chance_is_the_mean_over_the_places_of_one_relevant_passage(name: str) -> None:
    collection = collection_of(languages(2), 30)
    report, _ = report_of(collection, vectors(collection), measures=(name,))
    size = 34
    qrels = {str(i): {"+": 2} for i in range(size)}
    run = {str(i): {("+" if i == j else f"{j}"): -j for j in range(size)} for i in range(size)}
    measure = ir_measures.parse_measure(name)
    expected = ir_measures.calc_aggregate([measure], qrels, run)[measure]
    assert reading.chance(report) == pytest.approx(expected)


def test_one_language_has_no_bias() -> None:
    report, _ = example(1)
    assert reading.rank_distance_line(report) == ""
    assert reading.outranking_line(report) == ""
    assert "distance" not in terminal_text(report, verbose=True)


def test_macro_and_settings_tables() -> None:
    report, _ = example(3)
    score = report.scores.macro["crosslingual"]["RR"]
    row = next(row for row in macro_table(report).rows if row[0] == "RR")
    assert row[2] == f"{score.value:.4f} {score.low:.4f}..{score.high:.4f}"
    assert len(settings_table(report, "crosslingual").rows) == 6
    first = settings_table(report, "crosslingual").rows[0]
    assert first[:3] == ("ar to de", "8", "0")
    mono = settings_table(report, "monolingual").rows
    assert [row[0] for row in mono] == list(report.task.languages)


def test_bias_tables() -> None:
    report, _ = example(3)
    bias = report.scores.bias
    rows = {row[0]: row for row in distance_table(report).rows}
    entry = bias.by_language["de"]
    assert entry.value is not None
    assert entry.floor is not None
    assert entry.random is not None
    way = (entry.value - entry.floor) / (entry.random - entry.floor)
    assert rows["de"][1:5] == (
        f"{entry.value:.1f}", f"{entry.floor:.1f}", f"{entry.random:.1f}", f"{100 * way:.0f}%",
    )  # fmt: skip
    table = outranking_table(report)
    assert table.rows[1][2] == table.rows[1][-1] == f"{bias.outranking['de']['de']:.2f}"
    diagonal = [bias.outranking[language][language] for language in report.task.languages]
    own = reading.own_language_preference(report)
    assert own == pytest.approx(math.fsum(v for v in diagonal if v is not None) / 3)
    assert table.footer[-1] == f"{own:.2f}"


def test_a_terminal_is_not_steered() -> None:
    text = terminal_text(renamed(example(2)[0], "red\x1b[31m\u202e"))
    assert "\x1b" not in text
    assert "\u202e" not in text


def with_scores(
    mono: float, cross: float, optimistic: float | None = None, own: float = 1.0
) -> Report:
    """An example with these macro scores of AP and this preference for the own language."""
    report, _ = example(2)
    macro = {
        kind: {"AP": Score(value, value, value, value if optimistic is None else optimistic)}
        for kind, value in (("monolingual", mono), ("crosslingual", cross), ("multilingual", cross))
    }
    a, b = report.task.languages
    outranking = {a: {a: own, b: 2 - own}, b: {a: 2 - own, b: own}}
    bias: BiasScores = replace(report.scores.bias, outranking=outranking, same_language=own)
    return replace(report, scores=replace(report.scores, macro=macro, bias=bias))


@pytest.mark.parametrize(
    ("mono", "cross", "says"),
    [
        (0.8, 0.8, "keeps its quality: mAP 0.8000, 100%"),
        (0.8, 0.72, "loses some of its quality: mAP 0.7200, 90%"),
        (0.8, 0.5, "loses much"),
        (0.8, 0.1, "loses most"),
    ],
)
def test_reading_across_languages(mono: float, cross: float, says: str) -> None:
    report = with_scores(mono, cross)
    report = replace(report, task=replace(report.task, passages={"ar": 1000, "de": 1000}))
    assert says in " ".join(reading.reading(report))


@pytest.mark.parametrize(
    ("own", "says"), [(1.5, "it favours"), (1.0, "hardly any preference"), (0.5, "it avoids")]
)
def test_reading_of_the_own_language(own: float, says: str) -> None:
    sentence = reading.reading(with_scores(0.8, 0.8, own=own))[-1]
    assert says in sentence
    assert f"{own:.2f} times" in sentence


def test_reading_says_when_questions_differ() -> None:
    collection = collection_of(languages(4), apart=True)
    report, _ = report_of(collection, vectors(collection))
    assert "not over the same questions" in " ".join(reading.reading(report))
    assert "not over the same questions" not in " ".join(reading.reading(example(3)[0]))


def test_reading_of_a_weak_model_and_of_a_random_one() -> None:
    assert "next to nothing" in reading.reading(with_scores(0.02, 0.01))[0]
    generator_only, _ = example(3, noise=1000)
    assert "next to nothing" in reading.reading(generator_only)[0]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_reading_of_a_tiny_task(size: int) -> None:
    def sized(report: Report) -> Report:
        return replace(report, task=replace(report.task, passages={"ar": size, "de": size}))

    small = "too small to tell much"
    perfect = reading.reading(sized(with_scores(1.0, 1.0)))
    assert "next to nothing" not in " ".join(perfect)
    assert small in perfect[-1]
    luck = reading.chance(sized(with_scores(0, 0)))
    weak = reading.reading(sized(with_scores(0.99 * luck, 0)))
    assert "next to nothing" in weak[0]
    assert small in weak[-1]
    assert small not in " ".join(reading.reading(example(3)[0]))


def test_reading_of_a_collapsed_model() -> None:
    collection = collection_of(languages(3))
    report, _ = report_of(collection, equal_vectors(collection))
    sentences = reading.reading(report)
    assert sentences[0].startswith("Ties decide")
    assert "1.0000" in sentences[0]
    assert "mAP 0.0" in words.tie_lines(report)[0]
    assert "1.0000" in words.tie_lines(report)[0]
    assert report.scores.bias.rank_distance is not None
    assert report.scores.bias.rank_distance.value == report.scores.bias.floor
    assert " 0% of the way" in reading.rank_distance_line(report)


def test_a_rank_distance_beyond_random_says_so() -> None:
    report, _ = example(2)
    bias = report.scores.bias
    assert bias.random is not None
    far = replace(bias, rank_distance=Score(2 * bias.random, 1, 2, 1))
    line = reading.rank_distance_line(replace(report, scores=replace(report.scores, bias=far)))
    assert f"{bias.random:.1f}, so it is beyond random" in line


def test_reading_of_a_perfect_model() -> None:
    report, _ = example(3, noise=0, pull=0)
    assert "100 of 100 queries, mAP 1.0000" in reading.reading(report)[0]
    assert reading.outranking_line(report) == ""
    assert words.tie_lines(report) == []


def test_nothing_to_read() -> None:
    report, _ = example(2)
    empty = replace(report, scores=replace(report.scores, macro={}, settings=()))
    assert "nothing to read" in reading.reading(empty)[0]
    assert terminal_text(empty, verbose=True).startswith(terminal_text(empty))


def test_warnings_and_exclusions_are_printed() -> None:
    report, _ = example(2)
    assert "Warning: 3 texts were cut." in terminal_text(
        replace(report, warnings=("3 texts were cut.",))
    )
    entries = {
        language: replace(entry, excluded=5)
        for language, entry in report.scores.bias.by_language.items()
    }
    bias = replace(report.scores.bias, by_language=entries)
    few = replace(report, scores=replace(report.scores, bias=bias))
    assert "10 queries with fewer than two relevant passages" in terminal_text(
        few, verbose=True
    ).replace("\n", " ")
