"""The page of a model: all its entries, nothing of them interpreted, no script."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from functools import cache

import pytest

from mlbench.leaderboard.entries.entry import Level, Lifting
from mlbench.leaderboard.page.badge import badge
from mlbench.leaderboard.page.changes import Old
from mlbench.leaderboard.page.model_pages import model_page
from mlbench.leaderboard.page.site import site_files
from mlbench.leaderboard.page.wording import score_text
from tests.leaderboard.page.test_site import Page
from tests.leaderboard.synthetic import (
    HOSTILE,
    Made,
    entries,
    evidence,
    standings,
    standings_of,
    withdrawn,
)


@cache
def pages() -> dict[str, str]:
    return {
        name: raw.decode()
        for name, raw in site_files(standings()).items()
        if name.startswith("models/")
    }


def text_of(slug: str) -> str:
    return re.sub(r"\s+", " ", Page(pages()[model_page(slug)]).text)


def page_of(made: Made, *others: Made) -> str:
    raw = site_files(standings_of([made, *others]))[model_page(made.entry.slug)]
    return re.sub(r"\s+", " ", Page(raw.decode()).text)


def test_each_model_has_a_page_and_the_leaderboard_leads_to_it() -> None:
    slugs = {made.entry.slug for made in entries()}
    assert set(pages()) == {f"models/{slug}.html" for slug in slugs}
    files = site_files(standings())
    index = Page(files["index.html"].decode())
    linked = {a["href"] for a in index.all("a") if (a["href"] or "").startswith("models/")}
    assert linked == set(pages())
    assert set(pages()) < set(files)


def test_it_has_every_score_that_the_standings_have() -> None:
    for of in standings():
        for row in of.rows:
            text = text_of(row.slug)
            for column in of.columns:
                assert score_text(row.cells[column.key].value, column) in text
            if row.cells[of.main.key].low is not None and not row.unranked:
                main = row.cells[of.main.key]
                assert (
                    f"{score_text(main.low, of.main)} to {score_text(main.high, of.main)}" in text
                )


def test_no_page_has_a_script_or_asks_for_anything() -> None:
    for page in map(Page, pages().values()):
        assert not page.all("script", "iframe", "b")
        assert all((a["src"] or "").startswith("data:image/svg+xml;") for a in page.all("img"))
        assert not [
            a for _, attrs in page.tags for a in attrs if a.startswith("on") or a == "style"
        ]
        (policy,) = [a["content"] or "" for a in page.all("meta") if "http-equiv" in a]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "script-src" not in policy
        links = [a["href"] or "" for a in page.all("a")]
        assert all(
            re.match(r"https://example\.org/|#on-|\.\./(index\.html|badges/)", link)
            for link in links
        )
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids))


def test_hostile_text_is_shown_and_does_nothing() -> None:
    (made,) = [each for each in entries() if each.entry.entry.model.name == HOSTILE]
    text = text_of(made.entry.slug)
    assert "</script><script>hacked=1</script>" in text
    assert "\\u202emoc" in text
    assert "\u202e" not in pages()[model_page(made.entry.slug)]


def test_its_history_tells_what_became_of_each_entry() -> None:
    strong = text_of("strong")
    assert "2025-06-09recomputed; shown here (parallel/strong/2025-06-09-abcdef01" in strong
    assert "2025-06-01reproduced; a newer entry took its place (parallel/strong," in strong
    assert "Changes since the previous entry" in strong
    assert "dimension" in strong
    gone = text_of("regretted")
    assert "Its entries on this task were withdrawn." in gone
    assert "withdrawn on 2025-06-20 by Ada: a wrong prompt <b>" in gone
    paper = text_of("paper")
    assert "These are figures of a publication, without a run to repeat." in paper
    assert "Somebody, Some Title, 2020" in paper


def test_records_and_settled_disputes_are_told() -> None:
    made = evidence("parallel", "m", 1.2, records=[Level.SAMPLED, Level.DISPUTED])
    disputed = page_of(made)
    assert "It has no rank: disputed." in disputed
    place = made.entry.place.task, made.entry.slug, made.entry.sha256
    lifting = Lifting(*place, made.entry.disputes, "run again", "Grace", "2025-06-30")
    settled = page_of(replace(made, entry=replace(made.entry, liftings=(lifting,))))
    assert "sampled; shown here" in settled
    assert "lifted by Grace on 2025-06-30: run again" in settled
    assert "place 1 of 1 ranked model." in settled


@pytest.mark.parametrize(
    ("spec", "quoted"), [("bm25", "bm25"), ("a; rm -rf ~", "'a; rm -rf ~'"), ("$(x)", "'$(x)'")]
)
def test_commands_to_copy_are_quoted(spec: str, quoted: str) -> None:
    text = page_of(evidence("parallel", "m", 1.2, spec=spec))
    assert f"mlbench run --model {quoted} --task parallel" in text
    assert f"mlbench verify leaderboards/parallel/m --model {quoted} --sample 200" in text


def test_a_model_that_was_withdrawn_from_one_task_has_the_other() -> None:
    kept, gone = evidence("apart", "m", 1.2), withdrawn(evidence("parallel", "m", 1.2), "wrong")
    text = page_of(kept, gone)
    assert "Its entries on this task were withdrawn." in text
    assert "incomplete, no entry for parallel" in text


def test_the_badge_of_each_entry_that_stands_has_an_address() -> None:
    found = site_files(standings())
    standing = {f"badges/{of.name}/{r.slug}.svg" for of in standings() if of.task for r in of.rows}
    assert {name for name in found if name.startswith("badges/")} == standing
    assert "badges/parallel/regretted.svg" not in found
    strong = next(row for row in standings()[2].rows if row.slug == "strong")
    assert found["badges/parallel/strong.svg"].decode() == badge(strong.entries["parallel"])
    assert '<a href="../badges/parallel/strong.svg"><img' in pages()["models/strong.html"]


def test_every_link_between_the_pages_leads_somewhere() -> None:
    found = site_files(standings(), Old({}), "../index.html")
    pages = {name: Page(raw.decode()) for name, raw in found.items() if name.endswith(".html")}
    places = {name: {a["id"] for _, a in page.tags if "id" in a} for name, page in pages.items()}
    assert len(pages) > 10
    for name, page in pages.items():
        for link in (a["href"] or "" for a in page.all("a")):
            if link.startswith("https://") or (name, link) == ("index.html", "../index.html"):
                continue
            path, _, place = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            target = target if path else name
            assert target in found, (name, link)
            assert not place or place in places[target], (name, link)
