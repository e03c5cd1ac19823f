"""The page in a real browser: what a reader can do, and what it must never do."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mlbench.leaderboard.page.packing import UNIT, packed
from mlbench.leaderboard.page.plots import level_of
from mlbench.leaderboard.page.site import site_files
from mlbench.leaderboard.page.wording import rank_text, score_text, summary
from mlbench.leaderboard.ranking.columns import Column, task_settings
from mlbench.leaderboard.ranking.rows import Row, Standings
from mlbench.measures.significance import Values
from mlbench.reports.report import read_report
from mlbench.reports.words import between
from tests.leaderboard.synthetic import chosen_score, evidence, standings, standings_of, unpacked
from tests.support.browser import NAMES, Browser, find_browser, running_browser
from tests.support.command_line import mlbench
from tests.support.pairs_task import write_pairs
from tests.support.roles_task import write_task

READ = """(name => [...document.querySelectorAll(`section[data-table="${name}"] tbody[data-key]`)]
  .filter(body => !body.hidden)
  .map(body => [body.dataset.key, ...[...body.rows[0].cells].map(cell => cell.innerText)]))"""
KEYS = ("mono", "cross", "multi", "recall", "distance")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name, content in site_files(standings()).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "index.html"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip(f"no browser found ({', '.join(NAMES)}): apt-get install chromium")
    with running_browser(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(started: Browser, site: Path) -> Iterator[Browser]:
    """A browser with nothing open; at its end the page must not have complained or asked."""
    started.view(1280, 900)
    yield started
    assert started.complaints() == []
    asked = {url.partition("#")[0] for url in started.requests()}
    assert asked <= {site.as_uri(), "data:,"}


def rows(browser: Browser, table: str) -> list[list[str]]:
    """The visible rows: key, rank, model, evidence, contamination, scores, costs, date."""
    found: list[list[str]] = browser.run(f"{READ}({json.dumps(table)})")
    return found


def keys(browser: Browser, table: str) -> list[str]:
    return [row[0] for row in rows(browser, table)]


def table_of(name: str) -> Standings:
    return next(each for each in standings() if each.name == name)


def click(browser: Browser, selector: str) -> None:
    browser.run(f"document.querySelector({json.dumps(selector)}).click()")


def choose(browser: Browser, field: str, value: str) -> None:
    """Set a field of the controls as a reader does."""
    browser.run(
        f"(field => {{ field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event('input', {bubbles: true})) })"
        f"(document.getElementById('controls').elements.{field})"
    )


def head(table: str, key: str) -> str:
    return f'section[data-table="{table}"] th[data-sort="{key}"]'


def texts(row: Row, table: Standings) -> list[str]:
    """The cells of scores as the page writes them."""
    found = []
    for column in table.columns:
        cell = row.cells[column.key]
        rank = "" if cell.best is None else f"\n{rank_text(cell)}"
        found.append(score_text(cell.value, column) + rank)
    return found


def test_it_opens_from_the_disk_and_shows_the_first_table(browser: Browser, site: Path) -> None:
    browser.open(site)
    assert browser.run("document.title") == "mlbench leaderboard"
    shown = browser.run(
        "[...document.querySelectorAll('section[data-table]')].filter(s => !s.hidden)"
        ".map(s => s.dataset.table)"
    )
    assert shown == ["Overall"]
    table = table_of("Overall")
    assert keys(browser, "Overall") == [row.slug for row in table.rows]
    for found, row in zip(rows(browser, "Overall"), table.rows, strict=True):
        assert found[5:8] == texts(row, table)
    assert browser.run("document.getElementById('status').hidden")


@pytest.mark.parametrize("key", KEYS)
def test_sorting_by_a_score(browser: Browser, site: Path, key: str) -> None:
    browser.open(site, "#table=parallel")
    table = table_of("parallel")
    column = next(c for c in table.columns if c.key == key)
    if key != "multi":
        click(browser, head("parallel", key) + " button")
    direction = "ascending" if column.lower_is_better else "descending"
    for turn in range(2):
        sorts = browser.run(
            "[...document.querySelectorAll('section:not([hidden]) th[aria-sort]')]"
            ".map(th => [th.dataset.sort, th.getAttribute('aria-sort')])"
        )
        assert sorts == [[key, direction]]
        values = {row.slug: row.cells[key].value for row in table.rows}
        found = [values[slug] for slug in keys(browser, "parallel")]
        known = [value for value in found if value is not None]
        assert known == sorted(known, reverse=direction == "descending")
        assert found == known + [None] * (len(found) - len(known))
        for row in rows(browser, "parallel"):
            cell = next(each for each in table.rows if each.slug == row[0]).cells[key]
            near = cell.near_first and cell.worst != 1
            assert row[1].split("\n") == [rank_text(cell), *(["≈ first"] if near else [])]
        if not turn:
            click(browser, head("parallel", key) + " button")
            direction = "descending" if direction == "ascending" else "ascending"


def test_sorting_by_what_is_no_score_keeps_the_main_ranks(browser: Browser, site: Path) -> None:
    browser.open(site, "#table=apart")
    table = table_of("apart")
    click(browser, head("apart", "parameters") + " button")
    sizes = {row.slug: row.cost.parameters for row in table.rows}
    found = [sizes[slug] for slug in keys(browser, "apart")]
    assert [size for size in found if size] == [2 * 10**7, 10**8, 3 * 10**8, 10**9]
    assert found[-2:] == [None, None]
    for row in rows(browser, "apart"):
        cells = next(each for each in table.rows if each.slug == row[0]).cells
        assert row[1].split("\n")[0] == rank_text(cells["multi"])
    click(browser, head("apart", "model") + " button")
    names = [row[2].split("\n")[0] for row in rows(browser, "apart")]
    assert names == sorted(names)


def test_keyboard_sorts_and_opens(browser: Browser, site: Path) -> None:
    browser.open(site, "#table=apart")
    browser.run(f"document.querySelector({json.dumps(head('apart', 'mono') + ' button')}).focus()")
    browser.press("Enter")
    assert (
        browser.run(
            f"document.querySelector({json.dumps(head('apart', 'mono'))}).getAttribute('aria-sort')"
        )
        == "descending"
    )
    assert browser.run("document.activeElement.closest('th').dataset.sort") == "mono"
    browser.press("Tab")
    assert browser.run("document.activeElement.closest('th').dataset.sort") == "cross"
    width = browser.run("getComputedStyle(document.activeElement).outlineWidth")
    assert width != "0px"
    toggle = 'section[data-table="apart"] tbody[data-key="weak"] th button'
    browser.run(f"document.querySelector('{toggle}').focus()")
    browser.press("Enter")
    assert (
        browser.run(f"document.querySelector('{toggle}').getAttribute('aria-expanded')") == "true"
    )
    drawer = (
        f"document.getElementById(document.querySelector('{toggle}').getAttribute('aria-controls'))"
    )
    assert "weights of weak" in browser.run(f"{drawer}.innerText")
    browser.press(" ")
    assert browser.run(f"{drawer}.offsetHeight") == 0


def test_search_and_filters_hide_rows_and_keep_ranks(browser: Browser, site: Path) -> None:
    browser.open(site, "#table=parallel")
    before = {row[0]: row for row in rows(browser, "parallel")}
    choose(browser, "find", "ALIKE")
    assert len(keys(browser, "parallel")) == 2
    assert all(row == before[row[0]] for row in rows(browser, "parallel"))
    assert browser.run("document.getElementById('status').innerText") == "2 of 9 models."
    choose(browser, "find", "no such model")
    assert keys(browser, "parallel") == []
    choose(browser, "find", "")
    for field, value, expected in (
        ("evidence", "recomputed", lambda row: row.level not in ("reported", "disputed")),
        ("contamination", "clean", lambda row: row.contamination == "clean"),
        ("contamination", "unseen", lambda row: row.contamination in ("clean", "train-split-only")),
        ("size", "1e8", lambda row: row.cost.parameters and row.cost.parameters <= 10**8),
    ):
        choose(browser, field, value)
        kept = [row.slug for row in table_of("parallel").rows if expected(row)]
        assert 0 < len(kept) < len(before)
        assert keys(browser, "parallel") == kept
        choose(browser, field, "")
    assert len(keys(browser, "parallel")) == len(before)


def rounded(row: Row, key: str) -> Values:
    """The figures as the page has them: five decimals, rank distances four."""
    values = row.figures[key]
    if key == "distance":
        return np.round(values, 4)
    return unpacked(packed(values)).reshape(values.shape)


def reads_as(text: str, value: float | None, *, unit: float) -> bool:
    """Whether a number on the page is ``value``, rounded to that unit; "-" is None."""
    if value is None or text == "-":
        return value is None and text == "-"
    return abs(float(text.replace(",", "")) - value) <= unit / 2 + 1e-9


@pytest.mark.parametrize("table_name", ["apart", "parallel"])
def test_a_choice_of_languages_scores_again(browser: Browser, site: Path, table_name: str) -> None:
    table = table_of(table_name)
    assert table.task is not None
    codes = table.task.languages
    browser.open(site)
    for size in range(1, len(codes)):
        for chosen in itertools.combinations(range(len(codes)), size):
            told = ",".join(codes[i] for i in chosen)
            browser.run(f"location.hash = 'table={table_name}&languages={told}'")
            said = f"Scores are over {', '.join(codes[i] for i in chosen)}:"
            browser.wait(partial(says, browser, said))
            found = {row[0]: row[5:] for row in rows(browser, table_name)}
            for i, column in enumerate(table.columns):
                cells = {slug: [*row[i].split("\n"), ""][:2] for slug, row in found.items()}
                agree(table, column, cells, chosen)


def says(browser: Browser, text: str) -> bool:
    found: bool = text in browser.run("document.getElementById('status').innerText")
    return found


def agree(
    table: Standings, column: Column, cells: dict[str, list[str]], chosen: tuple[int, ...]
) -> None:
    """The (score, rank) of each model are Python's over the chosen languages."""
    unit = 0.1 if column.lower_is_better else 1e-4
    sign = -1 if column.lower_is_better else 1
    ranked = [
        sign * float(cells[row.slug][0].replace(",", ""))
        for row in table.rows
        if not row.unranked and cells[row.slug][0] != "-"
    ]
    for row in table.rows:
        text, rank = cells[row.slug]
        if not row.figures:
            assert (text, rank) == ("-", "")
            continue
        value = chosen_score(rounded(row, column.key), chosen)
        exact = chosen_score(row.figures[column.key], chosen)
        assert reads_as(text, value, unit=unit)
        assert exact is None or value == pytest.approx(exact, abs=0.5 / UNIT + 1e-4 * (unit > 0.01))
        if row.unranked or value is None:
            assert rank == ""
        else:
            number = sign * float(text.replace(",", ""))
            assert rank == str(1 + sum(other > number for other in ranked))


def test_overall_scores_again_over_the_languages_of_all_tasks(browser: Browser, site: Path) -> None:
    overall = table_of("Overall")
    chosen = ("ar", "el")
    browser.open(site, f"#languages={','.join(chosen)}")
    boxes = "[...document.querySelectorAll('#languages input')].map(box => box.value)"
    assert browser.run(boxes) == ["ar", "de", "el"]
    found = {row[0]: row for row in rows(browser, "Overall")}
    for row in overall.rows:
        values = []
        for name in overall.tasks:
            table = table_of(name)
            of = next((each for each in table.rows if each.slug == row.slug), None)
            value = None
            if of is not None and of.figures and table.task is not None:
                index = [table.task.languages.index(code) for code in chosen]
                value = chosen_score(rounded(of, overall.headlines[name]), index)
            values.append(value)
        known = [value for value in values if value is not None]
        means = [sum(known) / len(known) if len(known) == len(values) else None]
        for i, value in enumerate([*means, *values]):
            text = found[row.slug][5 + i].split("\n")[0].strip()
            assert reads_as(text, value, unit=1e-4)


def test_all_languages_again_is_the_page_as_written(browser: Browser, site: Path) -> None:
    browser.open(site, "#table=parallel")
    before = rows(browser, "parallel")
    click(browser, "#languages summary")
    click(browser, '#languages input[value="ar"]')
    assert "de,el" in browser.run("location.hash")
    assert rows(browser, "parallel") != before
    assert browser.run("document.querySelector('section:not([hidden]) .reading').hidden")
    click(browser, '#languages input[value="ar"]')
    assert rows(browser, "parallel") == before
    assert browser.run("location.hash") == "#table=parallel"
    click(browser, '#languages button[name="none"]')
    assert [row[5].strip() for row in rows(browser, "parallel")] == ["-"] * len(before)
    click(browser, '#languages button[name="all"]')
    assert rows(browser, "parallel") == before


def test_a_view_can_be_shared(browser: Browser, site: Path) -> None:
    browser.open(site)
    click(browser, 'nav a[data-table="parallel"]')
    browser.wait(lambda: browser.run("location.hash") == "#table=parallel")
    click(browser, head("parallel", "distance") + " button")
    click(browser, head("parallel", "distance") + " button")
    choose(browser, "evidence", "recomputed")
    click(browser, '#languages input[value="de"]')
    click(browser, 'section[data-table="parallel"] tbody[data-key="weak"] th button')
    address = browser.run("location.hash")
    assert address == (
        "#table=parallel&sort=distance&order=descending&languages=ar,el&evidence=recomputed&open=weak"
    )
    view = "document.querySelector('main').innerText"
    before = browser.run(view)
    browser.open(site, address)
    assert browser.run(view) == before
    assert browser.run("location.hash") == address
    assert browser.run("document.getElementById('parallel/weak').open")
    click(browser, "#controls [type=reset]")
    browser.wait(lambda: browser.run("location.hash") == "#table=parallel")
    assert len(keys(browser, "parallel")) == len(table_of("parallel").rows)


@pytest.mark.parametrize(
    "address",
    [
        "#table=nowhere&sort=x&order=up&languages=xx,&open=no,%3Cb%3E&size=abc&evidence=%22",
        "#%%%",
        "#",
        "#table=constructor&sort=constructor&open=__proto__",
        "#table-__proto__",
    ],
)
def test_an_address_that_says_nonsense_does_no_harm(
    browser: Browser, site: Path, address: str
) -> None:
    browser.open(site, address)
    assert keys(browser, "Overall") == [row.slug for row in table_of("Overall").rows]
    browser.open(site)
    browser.run(f"location.hash = {address!r}")
    browser.run("new Promise(done => setTimeout(done, 50))")
    assert keys(browser, "Overall") == [row.slug for row in table_of("Overall").rows]
    assert browser.complaints() == []


def test_links_within_the_page_work_with_the_script(browser: Browser, site: Path) -> None:
    browser.open(site, "#table-apart")
    assert browser.run("document.querySelector('section:not([hidden])').dataset.table") == "apart"
    click(browser, "nav a[href='#reading']")
    browser.wait(lambda: browser.run("scrollY") > 100)
    assert keys(browser, "apart")


def test_without_a_script_all_is_there(started: Browser, site: Path) -> None:
    started.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        started.open(site)
        assert started.run("document.documentElement.className") == ""
        for table in standings():
            found = rows(started, table.name)
            assert [row[0] for row in found] == [row.slug for row in table.rows]
            for cells, row in zip(found, table.rows, strict=True):
                assert cells[5 : 5 + len(table.columns)] == texts(row, table)
        assert started.run("document.getElementById('controls').offsetHeight") == 0
        summary = "document.getElementById('parallel/strong').querySelector('summary')"
        assert started.run(f"{summary}.offsetHeight") > 0
        started.run(f"{summary}.click()")
        shown = started.run("document.getElementById('parallel/strong').innerText")
        assert "weights of strong" in shown
        assert started.complaints() == []
    finally:
        started.call("Emulation.setScriptExecutionDisabled", value=False)


def test_heat_maps_of_a_large_board_are_the_same_drawn_by_the_script(
    browser: Browser, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = "[...document.getElementById('apart/weak').querySelectorAll('svg.heat path')].map("
    paths = (
        of + "path => [path.getAttribute('class'), (path.getAttribute('d').match(/M/g)).length])"
    )
    browser.open(site, "#table=apart&open=weak")
    written = sorted(browser.run(paths))
    assert len(written) > 3
    assert browser.complaints() == []
    monkeypatch.setattr("mlbench.leaderboard.page.site.MOST_CELLS", 1)
    large = site.with_name("large.html")
    large.write_bytes(site_files(standings())["index.html"])
    try:
        browser.open(large, "#table=apart&open=weak")
        assert sorted(browser.run(paths)) == written
        assert browser.complaints() == []
    finally:
        browser.open(site)


def test_hostile_names_do_nothing(browser: Browser, site: Path) -> None:
    browser.open(site, "#table=parallel")
    slug = next(row.slug for row in table_of("parallel").rows if row.name.startswith("</script>"))
    click(browser, f'section[data-table="parallel"] tbody[data-key="{slug}"] th button')
    assert browser.run("typeof hacked") == "undefined"
    assert browser.run("document.querySelectorAll('img, iframe, script[src]').length") == 0
    text = browser.run(f"document.querySelector('[data-key=\"{slug}\"]').innerText")
    assert "</script><script>hacked=1</script>" in text


def test_what_is_injected_does_not_run(started: Browser, site: Path) -> None:
    started.open(site)
    attempt = "(() => { try { document.body.innerHTML = '<b>'; } catch (e) { return e.name } })()"
    assert started.run(attempt) == "TypeError"
    started.run(
        "document.body.append(Object.assign(document.createElement('img'), "
        "{src: 'https://example.org/x.png'}))"
    )
    asked = "securitypolicyviolation"
    refused = started.run(
        f"new Promise(done => {{ document.addEventListener('{asked}', e => done(e.blockedURI));"
        "document.body.append(Object.assign(document.createElement('img'), "
        "{src: 'https://example.org/y.png'})) })"
    )
    assert refused == "https://example.org/y.png"


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_no_page_beside_the_board_scrolls_sideways(
    browser: Browser, site: Path, width: int
) -> None:
    browser.view(width, 800)
    pages = [*site.parent.glob("settings/*.html"), *site.parent.glob("models/*.html")]
    assert len(pages) > 4
    for page in pages:
        browser.open(page)
        assert browser.run("document.documentElement.scrollWidth") <= width, page.name
    browser.open(site)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_never_scrolls_sideways(browser: Browser, site: Path, width: int) -> None:
    browser.view(width, 800)
    for address in ("", "#table=parallel&open=strong,weak", "#table=apart&languages=ar,de"):
        browser.open(site, address)
        assert browser.run("document.documentElement.scrollWidth") <= width
    browser.open(site, "#table=parallel&open=strong")
    heat = "document.getElementById('parallel/strong').querySelector('svg.heat')"
    browser.run(f"{heat}.setAttribute('width', 600)")  # as of twenty languages
    ends = browser.run(
        "['', ' figcaption', ' figure', ' .scroll', ' dd', ' pre'].flatMap(part =>"
        "[...document.getElementById('parallel/strong').parentElement"
        ".querySelectorAll('details[id]' + part)].map(e => e.getBoundingClientRect().right))"
    )
    assert len(ends) > 10
    assert max(ends) <= width


def test_a_phone_shows_the_main_score_and_how_far_to_trust_it(browser: Browser, site: Path) -> None:
    browser.view(390, 844)
    for name, main in (("parallel", "multi"), ("Overall", "mean")):
        browser.open(site, f"#table={name}")
        end = f"document.querySelector({json.dumps(head(name, main))}).getBoundingClientRect()"
        assert browser.run(f"{end}.right") <= 390
        told = {row[0]: row[2].split("\n", 1)[1] for row in rows(browser, name)}
        for row in table_of(name).rows:
            assert row.level in told[row.slug]
            assert row.contamination.replace("-", " ") in told[row.slug]


def test_paper_says_what_the_scores_are_over_in_dark_ink(browser: Browser, site: Path) -> None:
    browser.view(720, 1000, dark=True, media="print")
    browser.open(site, "#table=parallel&languages=ar,de&open=strong")
    style = "(s => getComputedStyle(document.querySelector(s)))"
    assert says(browser, "Scores are over ar, de")
    assert browser.run("document.getElementById('status').offsetHeight") > 0
    assert browser.run("document.getElementById('controls').offsetHeight") == 0
    ink = browser.run(f"{style}('body').color")
    assert sum(int(part) for part in ink[4:-1].split(",")) < 200
    # Chromium leaves buttons out where it repeats a table's head on the next page.
    assert browser.run(f"{style}('thead th button').display") == "contents"
    assert browser.run(f"{style}('tr.drawer.open').breakInside") == "auto"
    assert browser.run(f"{style}('tbody th').position") == "static"


def test_models_are_sorted_and_found_by_name_whatever_the_case(
    browser: Browser, site: Path
) -> None:
    made = [
        evidence("parallel", name, 1.2, seed=i) for i, name in enumerate(["Bee", "ant", "Straße"])
    ]
    page = site.with_name("names.html")
    page.write_bytes(site_files(standings_of(made))["index.html"])
    try:
        browser.open(page, "#sort=model")
        found = [row[2] for row in rows(browser, "parallel")]
        assert found == ["ant", "Bee", "Straße"]
        choose(browser, "find", "Straße")
        assert [row[2] for row in rows(browser, "parallel")] == ["Straße"]
    finally:
        browser.open(site)


def test_dark_mode_has_a_dark_ground_and_light_ink(browser: Browser, site: Path) -> None:
    colours = "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
    browser.open(site)
    light = browser.run(colours)
    browser.view(1280, 900, dark=True)
    dark = browser.run(colours)
    brightness = [
        [sum(int(part) for part in colour[4:-1].split(",")) for colour in pair]
        for pair in (light, dark)
    ]
    (ground, ink), (dark_ground, dark_ink) = brightness
    assert min(ground, dark_ink) > 600
    assert max(ink, dark_ground) < 200


def test_models_are_ranked_in_the_setting_that_is_chosen(browser: Browser, site: Path) -> None:
    read = (
        "[...document.querySelectorAll('.ranking tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText))"
    )
    table = table_of("parallel")
    named = {row.name: row for row in table.rows if row.figures}
    try:
        for asked, pool in (("ar", "all"), ("de", "de"), ("ar", "el")):
            browser.open(site.parent / "settings/parallel.html", f"#query={asked}&pool={pool}")
            found = browser.run(read)
            at = table.roles.queries.index(asked)
            key = "multi" if pool == "all" else "mono" if pool == asked else "cross"
            place = (at, table.roles.passages.index(pool)) if key == "cross" else (at,)
            scores = {name: float(row.figures[key][place]) for name, row in named.items()}
            expected = sorted(scores.values(), reverse=True)
            assert [cells[2] for cells in found] == [f"{value:.4f}" for value in expected]
            number = next(i for i, each in enumerate(task_settings(table.task)) if (
                each.query_language == asked
                and each.passage_languages == (table.roles.passages if pool == "all" else (pool,))
            ))  # fmt: skip
            for rank, name, _, interval, *_ in found:
                row = named.get(name.partition("\n")[0])
                if row is None:
                    continue  # a name whose hidden letters are written out
                cell = row.settings[number]
                first = "\n≈ first" if cell.shares_first else ""
                assert rank == rank_text(cell) + first
                assert interval == between(f"{cell.low:.4f}", f"{cell.high:.4f}")
        browser.run(
            "(s => { s.value = 'el'; s.dispatchEvent(new Event('input')) })"
            "(document.querySelector('select[name=pool]'))"
        )
        assert browser.run("location.hash") == "#query=ar&pool=el"
        assert browser.complaints() == []
    finally:
        browser.open(site)


def test_models_of_the_same_score_share_the_first_place_in_a_setting(
    started: Browser, tmp_path: Path
) -> None:
    made = [evidence("parallel", name, 0.6) for name in ("one", "two")]
    (table,) = standings_of([*made, evidence("parallel", "weak", 2.6)])
    page = tmp_path / "settings.html"
    page.write_bytes(site_files([table])["settings/parallel.html"])
    started.open(page, "#query=ar&pool=all")
    score = f"{table.rows[0].figures['multi'][table.roles.queries.index('ar')]:.4f}"
    said = started.run("document.getElementById('status').textContent")
    assert f" one and two share the best score, {score}, and all others are shown " in said
    (bare,) = (replace(table, rows=tuple(replace(row, settings=()) for row in table.rows)),)
    page.write_bytes(site_files([bare])["settings/parallel.html"])
    started.open(page, "#query=ar&pool=all")
    said = started.run("document.getElementById('status').textContent")
    assert said.endswith(f" one and two are first with {score}.")


@pytest.mark.parametrize(
    ("count", "named"), [(3, "a, b and c"), (4, "a, b, c and d"), (6, "a, b, c and 3 others")]
)
def test_many_models_of_the_same_score_are_listed_briefly(
    started: Browser, tmp_path: Path, count: int, named: str
) -> None:
    """As the sentence of the board has them, which python writes."""
    (table,) = standings_of([evidence("parallel", name, 0.6) for name in "abcdef"[:count]])
    page = tmp_path / "settings.html"
    page.write_bytes(site_files([table])["settings/parallel.html"])
    started.open(page, "#query=ar&pool=all")
    said = started.run("document.getElementById('status').textContent")
    assert f". {named} share the best score, " in said
    assert f"By multilingual mAP, {named} share" in "".join(text for text, _ in summary(table))


def site_of(task: Path) -> Path:
    """Build a leaderboard of one model on a task, in the task's folder."""
    folder, report = task.parent, f"res/char-ngram/{task.stem}"
    by = ("--to", "board", "--submitter", "Ada", "--licence", "MIT", "--link", "https://a.org/x")
    for arguments in (
        ("run", "--model", "char-ngram", "--task", task.name, "--output", "res", "--no-cache"),
        ("leaderboard", "add-task", report, "--to", "board"),
        ("submit", report, *by),
        ("leaderboard", "build", "board", "--output", "site"),
    ):
        assert mlbench(*arguments, cwd=folder).returncode == 0
    return folder / "site/index.html"


@pytest.fixture
def roles_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A leaderboard on a task of other queries than passages, whose heat map the script draws."""
    monkeypatch.setattr("mlbench.leaderboard.page.site.MOST_CELLS", 0)
    return site_of(write_task(tmp_path))


def test_other_queries_than_passages_score_again(started: Browser, roles_site: Path) -> None:
    report = read_report(roles_site.parents[1] / "res/char-ngram/roles")
    started.open(roles_site)
    for size in (1, 2, 3):
        for chosen in itertools.combinations(report.task.languages, size):
            started.run(f"location.hash = 'languages={','.join(chosen)}'")
            started.wait(partial(says, started, f"Scores are over {', '.join(chosen)}:"))
            ((_, *_, mono, cross, multi, _, _),) = [row[:10] for row in rows(started, "roles")]
            for kind, cell in (("monolingual", mono), ("crosslingual", cross), ("multi", multi)):
                values = [
                    each.measures["AP"]
                    for each in report.settings
                    if each.kind.startswith(kind) and each.query_language in chosen
                    and (kind == "multi" or each.passage_languages[0] in chosen)
                ]  # fmt: skip
                text = cell.partition("\n")[0]
                if not values:
                    assert text == "-"
                else:
                    assert float(text) == pytest.approx(np.mean(values), abs=0.00012)
    assert started.complaints() == []


def test_the_script_draws_a_heat_map_that_is_not_square(started: Browser, roles_site: Path) -> None:
    report = read_report(roles_site.parents[1] / "res/char-ngram/roles")
    started.open(roles_site)
    started.run("location.hash = 'open=char-ngram'")
    find = (
        "[...document.querySelectorAll('.heat-here path')]"
        ".map(path => [path.className.baseVal, path.getAttribute('d')])"
    )
    started.wait(lambda: bool(started.run(find)))
    drawn = {
        cell: name
        for name, path in started.run(find)
        for cell in re.findall(r"M(\d+ \d+)h", path)
        if name != "own"
    }
    at = sorted(drawn, key=lambda cell: [*map(int, cell.split())][::-1])
    columns = [("en",), ("fr",), ("sw",), ("en", "fr", "sw")]
    of = {(s.query_language, s.passage_languages): s.measures["AP"] for s in report.settings}
    expected = [f"h{level_of(of[query, pool])}" for query in ("de", "en") for pool in columns]
    assert [drawn[cell] for cell in at] == expected


def test_pairs_score_again_in_each_direction(started: Browser, tmp_path: Path) -> None:
    report = read_report(site_of(write_pairs(tmp_path)).parents[1] / "res/char-ngram/bitext")
    started.open(tmp_path / "site/index.html")
    for chosen in (("de", "en"), ("de", "en", "sw"), ("de", "fr")):
        started.run(f"location.hash = 'languages={','.join(chosen)}'")
        started.wait(partial(says, started, f"Scores are over {', '.join(chosen)}:"))
        ((_, *_, cross, out, into, _),) = [row[:9] for row in rows(started, "bitext")]
        for cell, wanted in ((cross, None), (out, "from-en"), (into, "into-en")):
            values = [
                each.measures["RR"]
                for each in report.settings
                if {each.query_language, *each.passage_languages} <= {*chosen}
                and wanted in (None, report.task.roles.direction(each))
            ]
            text = cell.partition("\n")[0]
            assert (
                text == "-"
                if not values
                else float(text) == pytest.approx(np.mean(values), abs=0.00012)
            )
    assert started.complaints() == []
