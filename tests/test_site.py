"""The documentation site in a real browser: nothing but a folder of files.

``SITE_FOLDER=site pytest tests/test_site.py`` looks at what ``mkdocs build`` has written.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.browser import find_browser, running_browser

FOLDER = os.environ.get("SITE_FOLDER")
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="SITE_FOLDER names no built site: run mkdocs build"),
    pytest.mark.skipif(not find_browser(), reason="no browser found: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def site():
    return Path(FOLDER).resolve()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with running_browser(find_browser(), tmp_path_factory.mktemp("profile")) as found:
        yield found


def test_no_page_is_wider_than_a_phone_or_asks_for_anything_outside(browser, site):
    browser.view(390, 844)
    pages = [page for page in sorted(site.rglob("*.html")) if page.name != "404.html"]
    assert len(pages) > 40
    for page in pages:
        browser.open(page)
        assert browser.run("document.documentElement.scrollWidth") <= 390, page
        outside = [url for url in browser.requests() if not url.startswith(("file:", "about:"))]
        assert [url for url in outside if not url.startswith("data:")] == [], page
        assert browser.complaints() == [], page


def test_no_program_is_published(site):
    assert [path for path in site.rglob("*") if path.suffix in {".py", ".pyc"}] == []


def test_the_search_works_without_a_server(browser, site):
    browser.view(1280, 900)
    browser.open(site / "index.html")
    browser.run('document.querySelector("[data-md-component=search-query]").focus()')
    browser.call("Input.insertText", text="outranking matrix")
    browser.press(" ")  # the search listens to keys
    links = '[...document.querySelectorAll(".md-search-result__link")].map((link) => link.href)'
    browser.wait(lambda: browser.run(links))
    found = " ".join(browser.run(links))
    assert "measures.html" in found
    assert "glossary.html" in found


@pytest.mark.parametrize("dark", [False, True])
def test_the_colours_follow_the_system(browser, site, dark):
    browser.view(1280, 900, dark=dark)
    browser.open(site / "index.html")
    browser.wait(lambda: browser.run("document.body.dataset.mdColorScheme !== undefined"))
    scheme = browser.run("document.body.dataset.mdColorScheme")
    assert scheme == ("slate" if dark else "default")
