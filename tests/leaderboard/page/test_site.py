"""The page: complete without a script, asks for nothing, shows names and never interprets them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from mlbench.leaderboard.entries.board import Board, BoardEntry, BoardTask, Place
from mlbench.leaderboard.entries.entry import Level, Lifting
from mlbench.leaderboard.entries.tables import described
from mlbench.leaderboard.page.site import site_files
from mlbench.leaderboard.page.wording import rank_text, score_text, summary
from mlbench.leaderboard.ranking.columns import measure, task_columns
from mlbench.leaderboard.ranking.standings import all_standings
from tests.leaderboard.synthetic import (
    Made,
    evidence,
    reported,
    standings,
    standings_of,
    withdrawn,
)
from tests.support.reports import collection_of, report_of, vectors

VOID = {"meta", "link", "br", "input", "img"}


class Page(HTMLParser):
    """Gathers tags, checks that they nest, keeps text and what is in script and style."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.blocks: list[str] = []
        self.feed(content)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self.blocks.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            self.blocks[-1] += data
        else:
            self.text += data

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in names]


@cache
def files() -> dict[str, bytes]:
    return site_files(standings())


@cache
def html() -> str:
    return files()["index.html"].decode()


@cache
def page() -> Page:
    return Page(html())


def test_the_files() -> None:
    assert {name for name in files() if "/" not in name} == {
        "index.html", "leaderboard.csv", "leaderboard.json", "leaderboard.md", "feed.xml",
    }  # fmt: skip


def test_only_its_own_script_and_style_may_run() -> None:
    (policy,) = [
        a["content"] or "" for a in page().all("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    ]  # fmt: skip
    style, board, figures, script = page().blocks

    def digest(text: str) -> str:
        raw = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(raw).decode()}'"

    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src {digest(style)}",
        f"script-src {digest(script)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    assert [table["name"] for table in json.loads(board)] == ["Overall", "apart", "parallel"]
    assert json.loads(figures)["parallel"]
    for text in (style, script):
        assert "url(" not in text
        assert "@import" not in text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in script


def test_it_asks_for_nothing() -> None:
    for tag, attrs in page().tags:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], tag
        assert "src" not in attrs
        assert tag not in {"iframe", "object", "embed", "base", "img"}
        link = attrs.get("href") or ""
        if tag == "link":  # a feed is read by those who ask for it, never by the page
            assert (attrs["rel"], link) in {("icon", "data:,"), ("alternate", "feed.xml")}
        elif link:
            assert tag == "a"
            assert re.match(
                r"https://example\.org/|#|(models|settings)/[a-z0-9._-]+\.html$|leaderboard\.(csv|json|md)$",
                link,
            )


def test_every_score_and_rank_is_in_it_without_a_script() -> None:
    bodies = re.findall(r'<tbody data-key="([^"]+)"[^>]*>\s*<tr>(.*?)</tr>', html(), re.S)
    expected = [(table, row) for table in standings() for row in table.rows]
    assert [key for key, _ in bodies] == [row.slug for _, row in expected]
    for (_, body), (table, row) in zip(bodies, expected, strict=True):
        cells = re.findall(r"<td>([^<]*)<small>([^<]*)</small></td>", body)
        assert cells[0][0] == rank_text(row.cells[table.main.key])
        assert cells[1:] == [
            (
                score_text(row.cells[c.key].value, c),
                "" if row.cells[c.key].best is None else rank_text(row.cells[c.key]),
            )
            for c in table.columns
        ]
        assert f">{row.level}</span>" in body
        if row.unranked:
            assert f"no rank: {row.unranked}" in body


def test_missing_is_a_dash_and_never_zero() -> None:
    (sparse,) = re.findall(r'<tbody data-key="sparse"[^>]*>\s*<tr>(.*?)</tr>', html(), re.S)[1:]
    texts = re.findall(r"<td>([^<]*)(?:<small></small>)?</td>", sparse)
    assert texts == ["-", "-", "0.2000", "-", "-", "-", "-", "-", "-", "2025-06-01"]


def test_unknown_contamination_never_reads_as_clean() -> None:
    bodies = dict(re.findall(r'<tbody data-key="([^"]+)"[^>]*>\s*<tr>(.*?)</tr>', html(), re.S))
    assert '<span class="unknown">unknown</span>' in bodies["paper"]
    assert "clean" not in bodies["paper"]
    assert '<span class="trained-on">trained on</span>' in bodies["weak"]


def test_hostile_text_is_shown_and_does_nothing() -> None:
    assert "\u202e" not in html()
    assert "\\u202emoc" in page().text
    assert "</script><script>hacked=1</script>" in page().text
    assert "a wrong prompt <b>" in page().text
    assert len(page().all("script")) == 3
    assert not page().all("img", "b")


def test_only_https_links_become_links() -> None:
    for link, linked in (
        ("https://example.org/a?b=c", True),
        ("javascript:alert(1)", False),
        ("http://example.org/", False),
        ('https://example.org/"onclick=x', False),
        ("data:text/html,x", False),
    ):
        made = reported("parallel", "paper", multilingual=0.5)
        entry = made.entry.entry
        changed = replace(
            made,
            entry=replace(
                made.entry, entry=replace(entry, declared=replace(entry.declared, link=link))
            ),
        )
        found = Page(site_files(standings_of([changed]))["index.html"].decode())
        anchors = [a.get("href") for a in found.all("a")]
        assert (link in anchors) == linked
        assert link in found.text


def test_a_drawer_has_all_that_a_reader_may_ask() -> None:
    start = html().index('<details id="parallel/strong">')
    end = html().index("</div></details></td></tr>", start)
    text = Page(html()[start:end] + "</div></details>").text
    for expected in (
        "mlbench run parallel --model module:factory", "weights of strong", "ask: ", "MIT",
        "https://example.org/model", "books", "ar, de", "a note", "declares", "0.1.0",
        "some processor", "1.50 GiB", "own language outranks", "Max@R", "2025-06-01",
        "What else changed", "dimension", "128", "Scores by query language", "SHA-256",
    ):  # fmt: skip
        assert expected in text, expected
    apart = html()[html().index('<details id="apart/strong">') :]
    assert "reproduced by Maintainer on 2025-06-01: looked at it" in apart


def test_a_lifted_dispute_is_shown_with_the_dispute_and_the_rank_is_back() -> None:
    honest = [evidence("parallel", f"m{i}", 0.5 + i, seed=i) for i in range(3)]
    made = evidence("parallel", "cleared", 0.4, seed=5, records=[Level.DISPUTED])
    place = made.entry.place.task, made.entry.slug, made.entry.sha256
    lifting = Lifting(*place, made.entry.disputes, "run again <b>", "Grace", "2025-06-30")
    cleared = replace(made, entry=replace(made.entry, liftings=(lifting,)))
    page = site_files(standings_of([*honest, cleared]))["index.html"].decode()
    text = page[page.index('<details id="parallel/cleared">') :]
    days = ", ".join(made.entry.disputes)
    assert f"dispute of {days} lifted by Grace on 2025-06-30: run again &lt;b&gt;" in text
    assert "disputed by Maintainer" in text
    assert "no rank: disputed" not in page


def test_the_drawer_over_all_tasks_has_the_mean_with_its_interval() -> None:
    overall = standings()[0]
    row = next(row for row in overall.rows if row.slug == "strong")
    start = html().index('<details id="Overall/strong">')
    text = html()[start : html().index("</div></details></td></tr>", start)]
    for key in ("mean", "on-apart", "on-parallel"):
        cell = row.cells[key]
        assert f"<td>{cell.value:.4f}</td>" in text
        assert f"<td>{cell.low:.4f} to {cell.high:.4f}</td>" in text
    assert "multilingual mAP on parallel" in text


def with_ties_for_it(made: Made, gain: float, distance: float) -> Made:
    """The entry, as if its scores were better with ties counted for the model."""
    entry = made.entry.entry
    cross = entry.macro["crosslingual"]["AP"]
    macro = entry.macro | {"crosslingual": {"AP": replace(cross, optimistic=cross.value + gain)}}
    scattered = entry.bias.rank_distance
    assert scattered is not None
    better = replace(scattered, optimistic=scattered.value - distance)
    tied = replace(entry, macro=macro, bias=replace(entry.bias, rank_distance=better))
    return replace(made, entry=replace(made.entry, entry=tied))


@pytest.mark.parametrize(
    ("gain", "distance", "said"),
    [
        (0.06, 0.0, "ties decide mAP cross<"),
        (0.06, 3.0, "ties decide mAP cross, rank distance<"),
        (0.04, 0.0, ""),
        (0.0002, 0.0005, ""),
    ],
)
def test_a_score_that_ties_decide_is_marked(gain: float, distance: float, said: str) -> None:
    made = with_ties_for_it(evidence("parallel", "m", 1.2), gain, distance)
    (table,) = standings_of([made])
    found = site_files([table])["index.html"].decode()
    body = found[found.index('<tbody data-key="m"') : found.index("</tbody>")]
    assert said in body
    assert bool(said) == ("ties decide" in body)
    score = made.entry.entry.macro["crosslingual"]["AP"]
    assert ("ties counted for it" in found) == (gain > 0.001)
    assert f"<td>{score.value + gain:.4f}</td>" in found or gain < 0.001


def test_it_is_accessible() -> None:
    assert page().all("html") == [{"lang": "en"}]
    assert len(page().all("h1")) == 1
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page().all("th"))
    assert all(attrs.get("aria-label") for attrs in page().all("svg"))
    scrolling = [a for a in page().all("div") if (a.get("class") or "").startswith("scroll")]
    assert len(scrolling) == len(page().all("table", "svg"))
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrolling)
    ids = [attrs["id"] for _, attrs in page().tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert [a["aria-sort"] for a in page().all("th") if "aria-sort" in a] == ["descending"] * 3


def test_a_large_board_leaves_heat_maps_to_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    assert html().count('class="heat"') == 12
    monkeypatch.setattr("mlbench.leaderboard.page.site.MOST_CELLS", 10)
    found = site_files(standings())["index.html"].decode()
    assert found.count('class="heat"') == found.count('<template class="heat-frame">') == 2
    assert found.count("heat-here") > 10
    assert len(found) < len(html())


def test_the_plots_speak_of_intervals_only_where_they_draw_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "Dots are ranked models with 95% intervals"
    assert said in html()
    monkeypatch.setattr("mlbench.leaderboard.page.plots.MOST_WHISKERS", 0)
    found = site_files(standings())["index.html"].decode()
    assert said not in found
    assert "Dots are ranked models, and" in found


def test_one_language_is_a_leaderboard_too() -> None:
    collection = collection_of(["en"], 12)
    report, ranks = report_of(collection, vectors(collection, 1.5))
    task = described(report, ranks)
    made = evidence("parallel", "m", 1.0)
    entry = BoardEntry(made.entry.entry, Place("parallel", "m"), made.entry.path, "0" * 64, task)
    board = Board(made.entry.path, {"parallel": BoardTask(task, (entry,))})
    tables = {entry.place: measure(ranks, task_columns(task))}
    (table,) = all_standings(board, tables)
    assert [c.key for c in table.columns] == ["mono", "recall"]
    assert b"mAP<br>mono" in site_files([table])["index.html"]


def test_the_summary_says_who_is_first_and_who_is_near() -> None:
    text = re.sub(r"\s+", " ", page().text)
    assert "By the mean of the headlines, strong is first of 5 ranked models with 0.9" in text
    assert "By multilingual mAP, strong is first of 5 ranked models with" in text
    assert "(multilingual mAP on apart; multilingual mAP on parallel)" in text
    assert "no rank: incomplete, no entry for apart" in text
    assert "1 model without a rank is above it." in text
    (table,) = standings_of(
        [evidence("parallel", name, 1.2, seed=i) for i, name in enumerate(["a", "b", "c"])]
    )
    said = Page(site_files([table])["index.html"].decode()).text
    first, *others = [row.name for row in table.rows]
    assert f"{first} is first of 3 ranked models" in re.sub(r"\s+", " ", said)
    assert f"cannot distinguish it from {' and '.join(others)}." in re.sub(r"\s+", " ", said)


def test_models_of_the_same_score_share_the_first_place_in_words() -> None:
    made = [evidence("parallel", name, 0.6) for name in ("one", "two")]
    (table,) = standings_of([*made, evidence("parallel", "weak", 2.6)])
    files = site_files([table])
    said = re.sub(r"\s+", " ", Page(files["index.html"].decode()).text)
    score = f"{table.rows[0].cells['multi'].value:.4f}"
    told = f"By multilingual mAP, one and two share the best score of 3 ranked models, {score}"
    assert f"{told}, and all others are shown to be worse." in said
    for name, other in (("one", "two"), ("two", "one")):
        text = re.sub(r"\s+", " ", Page(files[f"models/{name}.html"].decode()).text)
        assert f"places 1–2 of 3 ranked models; it shares the best score with {other}." in text
    assert "shares the best" not in files["models/weak.html"].decode()
    assert files["settings/parallel.html"].count(b"<strong>") == 2 * 12


def test_models_without_the_main_score_are_last_and_the_board_says_why() -> None:
    made = [evidence("parallel", "weak", 2.6), reported("parallel", "high", multilingual=0.99)]
    made += [reported("parallel", name, crosslingual=v) for name, v in (("c", 0.2), ("b", 0.4))]
    made += [reported("parallel", "a", monolingual=0.1), reported("parallel", "d", distance=9.0)]
    (table,) = standings_of(made)
    assert [row.name for row in table.rows] == ["high", "weak", "a", "b", "c", "d"]
    files = site_files([table])
    said = re.sub(r"\s+", " ", Page(files["index.html"].decode()).text)
    assert "1 model without a rank is above it." in said
    assert (
        "4 models have no multilingual mAP but other scores, so they stand below the others, "
        "sorted by the first column in which they have a score." in said
    )
    rows = re.findall(r"<small>no multilingual mAP</small>", files["index.html"].decode())
    assert len(rows) == 4
    assert "4 models have no multilingual mAP" in files["leaderboard.md"].decode()
    (table,) = standings_of(made[-1:])
    said = re.sub(r"\s+", " ", Page(site_files([table])["index.html"].decode()).text)
    assert "1 model has no multilingual mAP but other scores." in said


def said_of(*made: Made) -> str:
    """What the board of a task says in a sentence or two."""
    (table,) = standings_of(made)
    return "".join(text for text, _ in summary(table))


def test_the_summary_agrees_with_how_many_models_it_tells_of() -> None:
    good, same = (evidence("parallel", name, 0.6) for name in "gs")
    weak = evidence("parallel", "w", 2.6)
    high, higher = (reported("parallel", name, multilingual=1.0) for name in "hi")
    across = [reported("parallel", name, crosslingual=0.5) for name in "ab"]
    assert said_of(good, high).endswith(". 1 model without a rank is above it.")
    two = ". 2 models without a rank are above them."
    assert said_of(good, same, weak, high, higher).endswith(two)
    lacks = "no multilingual mAP but other scores"
    assert said_of(good, across[0]).endswith(
        f" 1 model has {lacks}, so it stands below the others."
    )
    assert said_of(good, *across).endswith(
        f" 2 models have {lacks}, so they stand below the others, sorted by cross-lingual mAP."
    )
    assert said_of(*across).endswith(
        f" 2 models have {lacks}, and they are sorted by cross-lingual mAP."
    )
    assert said_of(withdrawn(good, "a slip")) == "There are no models."
