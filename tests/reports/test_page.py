"""Pages: complete, self-contained, the same bytes each time, and safe to open."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mlbench.data.task import Kind
from mlbench.data.texts import Texts
from mlbench.reports.definitions import definitions
from mlbench.reports.explain import MOST_BIASED, most_biased
from mlbench.reports.page import report_pages
from mlbench.reports.report import write_report
from mlbench.reports.texts import shown_texts
from tests.support.reports import (
    collection_of,
    equal_vectors,
    example,
    languages,
    renamed,
    report_of,
    vectors,
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HOSTILE = "<script>alert(1)</script>\"'|`x` [y](javascript:z) {{ 7*7 }} &amp; \u202e"
VOID = {"meta", "img", "br"}


@cache
def pages_of(count: int) -> dict[str, bytes]:
    """The pages of the example on so many languages."""
    return report_pages(*example(count))


class Page(HTMLParser):
    """Gathers the tags of a page, checks that they nest, and keeps the text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(content.decode())
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in names]


@pytest.mark.parametrize("count", [1, 2, 11])
def test_pages_are_complete_and_repeat(count: int) -> None:
    pages = pages_of(count)
    assert pages == report_pages(*example(count))
    plots = {name for name in pages if name.startswith("plots/")}
    assert set(pages) == {"report.html", "report.md", *plots}
    assert len(plots) == (1 if count == 1 else 8)
    assert len(pages["report.html"]) < 1_500_000
    markdown = pages["report.md"].decode()
    assert set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", markdown)) == plots
    for text in (markdown, Page(pages["report.html"]).text):
        assert "nan" not in re.findall(r"\w+", text)
        assert "None" not in text
        assert "{{" not in text


def test_html_asks_for_nothing_and_runs_nothing() -> None:
    page = Page(pages_of(3)["report.html"])
    policies = [a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert [a["content"] for a in policies] == [POLICY]
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "style "}
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        source = attrs.get("src")
        assert source is None or (tag == "img" and source.startswith("data:image/svg+xml;base64,"))
        assert tag == "a" or "href" not in attrs
    links = [a["href"] or "" for a in page.all("a")]
    assert any(link.startswith("https://") for link in links)
    assert all(link.startswith(("https://", "#")) for link in links)


def test_the_style_loads_nothing() -> None:
    html = pages_of(2)["report.html"].decode()
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_html_is_accessible() -> None:
    page = Page(pages_of(3)["report.html"])
    assert page.all("html") == [{"lang": "en"}]
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page.all("th"))
    assert all(attrs.get("alt") for attrs in page.all("img"))
    assert len(page.all("h1")) == 1
    scrolling = [a for a in page.all("div") if a.get("class") == "scroll"]
    assert len(scrolling) == len(page.all("table", "img"))
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrolling)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("count", [1, 2, 11])
def test_the_contents_lead_to_every_section(count: int) -> None:
    page = Page(pages_of(count)["report.html"])
    links = [(a["href"] or "")[1:] for a in page.all("a") if (a["href"] or "").startswith("#")]
    assert links == [attrs["id"] for attrs in page.all("section") if "id" in attrs]


def test_the_most_biased_queries_have_their_texts_and_stand_there_once() -> None:
    collection = collection_of(languages(3))
    report, ranks = report_of(collection, vectors(collection))
    report = replace(report, texts=shown_texts(ranks, collection))
    pages = report_pages(report, ranks)
    page = Page(pages["report.html"])
    markdown = pages["report.md"].decode()
    found = most_biased(ranks, MOST_BIASED)
    shown = [a for a in page.all("p") if a.get("class") == "text"]
    assert [a["lang"] for a in shown] == [each.language for each in found]
    assert all(a["dir"] == "auto" for a in shown)
    for each in found:
        text = f"question {each.query_id[1:]} {each.language}"
        assert page.text.count(text) == markdown.count(text) == 1
        assert page.text.count(f"{each.query_id} in {each.language}: rank distance") == 1
        for passage in each.passages:
            assert f"passage {passage.passage_id[1:]} {passage.language}" in page.text
    why = replace(report, texts=Texts({}, {}, "they were lost"))
    assert "they were lost" in Page(report_pages(why, ranks)["report.html"]).text


def test_an_interval_of_one_number_is_that_number() -> None:
    perfect = example(3, noise=0, pull=0)
    for page in report_pages(*perfect).values():
        assert b"1.0000 1.0000" not in page
        assert b"1.0000 to 1.0000" not in page


def test_hostile_names_are_shown_and_do_nothing() -> None:
    report, ranks = example(2)
    report = renamed(report, HOSTILE)
    report = replace(
        report,
        task=replace(report.task, title=HOSTILE, licence=HOSTILE, citation=HOSTILE),
        run=replace(report.run, command=HOSTILE, versions={HOSTILE: HOSTILE}),
    )
    pages = report_pages(report, ranks)
    page = Page(pages["report.html"])
    assert not page.all("script")
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert page.text.count("{{ 7*7 }}") >= 8
    markdown = pages["report.md"].decode()
    fenced = re.sub(r"(`+) .*? \1", "", markdown)
    assert "<script" not in fenced
    assert "&lt;script&gt;" in fenced
    assert not re.search(r"(?<!\\)\]\(javascript", fenced)
    assert not re.search(r"(?<!\\)[|`*]x", fenced)


def test_a_hostile_language_code_stays_text() -> None:
    """A report file can be forged; codes in it are not those that a task file may hold."""
    report, ranks = example(2)
    code = "<b>x|y"
    old = report.task.languages[0]
    counts = {code: 8, report.task.languages[1]: 8}
    matrix = {
        code if q == old else q: {code if p == old else p: v for p, v in row.items()}
        for q, row in report.scores.bias.outranking.items()
    }
    bias = replace(report.scores.bias, outranking=matrix)
    languages_ = (code, report.task.languages[1])
    forged = replace(
        report,
        task=replace(report.task, languages=languages_, queries=counts, passages=counts),
        scores=replace(report.scores, bias=bias),
    )
    pages = report_pages(forged, ranks)
    assert not Page(pages["report.html"]).all("b")
    assert "<b>" not in pages["report.md"].decode()
    assert "&lt;b&gt;x\\|y" in pages["report.md"].decode()


def test_sections_stand_in_order_and_say_what_the_report_says() -> None:
    report, ranks = example(3)
    report = replace(report, warnings=("3 texts were cut.",))
    pages = report_pages(report, ranks)
    text = Page(pages["report.html"]).text
    marks = [
        "some-model on parallel", "Within a language", "Scores by query language", "Macro scores",
        "Plots", "Language bias", "Rank distance", "Across languages", "Settings",
        "3 texts were cut.", "Model", "module:factory", "Task", "CC-BY-4.0", "Somebody, Some Title",
        "Run", "mlbench run parallel --model module:factory", "encoding 12.3 s", "1.50 GiB",
        "query: 80 distinct of 88 texts", "How the scores are defined", "arXiv 2004.05484",
        "arXiv 2408.10536",
    ]  # fmt: skip
    at = 0
    for mark in marks:
        assert mark in text[at:], mark
        at = text.index(mark, at)
    score = report.scores.macro["monolingual"]["AP"]
    assert f"{score.value:.4f}" in text
    for mark in ("module:factory", "3 texts were cut.", "1.50 GiB", "arxiv.org/abs/2408.10536"):
        assert mark in pages["report.md"].decode()


def test_every_setting_is_in_the_html_page() -> None:
    report, _ = example(3)
    text = Page(pages_of(3)["report.html"]).text
    for query in report.task.languages:
        for passage in report.task.languages:
            assert query == passage or f"{query} to {passage}" in text


def test_ties_and_exclusions_are_shown() -> None:
    collection = collection_of(languages(4), apart=True)
    pages = report_pages(*report_of(collection, equal_vectors(collection)))
    for text in (Page(pages["report.html"]).text, pages["report.md"].decode()):
        assert "Ties decide the scores" in text
        assert "64 of 96" in text
        assert "0+8" in text


def test_one_kind_only() -> None:
    collection = collection_of(languages(3))
    kinds = (Kind.MONOLINGUAL,)
    pages = report_pages(*report_of(collection, vectors(collection), kinds, ("nDCG@10",)))
    assert "Across languages" not in pages["report.md"].decode()
    assert "nDCG@10" in pages["report.md"].decode()


def test_markdown_tables_are_whole() -> None:
    rows = [
        line for line in pages_of(3)["report.md"].decode().splitlines()
        if line.startswith("|")
    ]  # fmt: skip
    assert len(rows) > 20
    assert all(row.endswith("|") for row in rows)


def test_pages_are_written_with_the_report(tmp_path: Path) -> None:
    report, ranks = example(2)
    pages = pages_of(2)
    write_report(tmp_path / "folder", report, ranks, pages)
    for name, content in pages.items():
        assert (tmp_path / "folder" / name).read_bytes() == content


def test_measures_of_one_family_share_a_definition() -> None:
    collection = collection_of(languages(2))
    measures = ("AP", "R@1", "R@10", "nDCG@10")
    report, _ = report_of(collection, vectors(collection), measures=measures)
    terms = [definition.term for definition in definitions(report)]
    assert "R@1, R@10" in terms
    assert "mAP" in terms
    assert all(definition.text for definition in definitions(report))


def test_the_most_biased_queries_fold_out() -> None:
    _, ranks = example(3)
    page = Page(pages_of(3)["report.html"])
    folded = [each for each in most_biased(ranks, MOST_BIASED) if each.passages]
    assert len(folded) == MOST_BIASED
    assert len(page.all("details")) == MOST_BIASED + len(Kind)
    for each in folded:
        assert f"{each.query_id} in {each.language}: rank distance {each.distance:,}" in page.text
        assert str(each.passages[-1].rank) in page.text
