"""All commands on a task of pairs of languages that share no pool."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mlbench
from mlbench.comparing.comparison_tables import pair_differences
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Kind
from mlbench.evaluation.tasks import load_task
from mlbench.leaderboard.entries.tables import table_faults
from mlbench.leaderboard.verifying.samples import cuts_of, populations_of, searched_of
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.models.char_ngram import encode
from mlbench.ranking.ranks import Ranks
from mlbench.reports.pairs import directions, weakest_first
from mlbench.reports.reading import reading
from mlbench.reports.tables import macro_table, paper_table, settings_table
from tests.support.command_line import done
from tests.support.command_line import mlbench as run
from tests.support.pairs_task import PAIRS, pair_file, write_pairs

OTHERS = ("de", "fr", "sw")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the task and the reports of two models; runs of all passages beside one."""
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    options = ("--task", "bitext.toml", "--output", "res", "--no-cache")
    done("run", "--model", "char-ngram", *options, "--save-run", "100", cwd=folder, plots=True)
    done("run", "--model", "bm25", *options, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def report(work: Path) -> mlbench.Report:
    return mlbench.read_report(work / "res/char-ngram/bitext")


def slow_means(work: Path) -> dict[tuple[str, str], float]:
    """RR of each setting, from the lines of its two files alone, ties against the model."""
    means = {}
    for pair in PAIRS:
        vectors = {}
        for code in pair:
            lines = pair_file(work, pair, code).read_text().splitlines()
            rows = encode(lines).astype(float)
            vectors[code] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for asked, searched in (pair, pair[::-1]):
            scores = np.round(vectors[asked] @ vectors[searched].T, 9)
            ranks = (scores >= np.diag(scores)[:, None]).sum(1)
            means[asked, searched] = float(np.mean(1 / ranks))
    return means


def test_the_main_table_has_a_row_a_pair_and_a_column_a_direction(work, report):
    means = slow_means(work)
    table = paper_table(report)
    both = {code: (means["en", code] + means[code, "en"]) / 2 for code in OTHERS}
    assert [row[0] for row in table.rows] == sorted(OTHERS, key=both.__getitem__)
    for row in table.rows:
        assert row[1:3] == (f"{means['en', row[0]]:.4f}", f"{means[row[0], 'en']:.4f}")
    assert table.headers[:3] == ("with", "RR\nfrom en", "RR\ninto en")
    expected = [
        np.mean([means["en", code] for code in OTHERS]),
        np.mean([means[code, "en"] for code in OTHERS]),
    ]
    assert table.footer[:3] == ("macro", *(f"{value:.4f}" for value in expected))
    macro = macro_table(report)
    heads = [header.partition("\n")[0] for header in macro.headers[1:]]
    assert heads == ["cross-lingual", "from en", "into en"]
    assert [cell[:6] for cell in macro.rows[0][2:]] == [f"{value:.4f}" for value in expected]
    rows = settings_table(report, "crosslingual").rows
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)
    assert {row[0]: row[3] for row in rows} == {
        f"{q} to {p}": f"{value:.4f}" for (q, p), value in means.items()
    }


def test_the_page_pretends_no_pool(work, report, monkeypatch):
    folder = work / "res/char-ngram/bitext"
    assert {p.name for p in (folder / "plots").iterdir()} == {"macro.svg", "pairs.svg"}
    text = (folder / "report.md").read_text()
    assert "## Scores by pair" in text
    assert "A query in one language of a pair is searched for among the pair's passages" in text
    for words in ("ultilingual", "Outranking", "by query language", "Language bias", "nan"):
        assert words not in text, words
    sizes = [re.split(r" *\| *", row.strip("| ")) for row in text.splitlines() if row[:1] == "|"]
    for pair, count in PAIRS.items():
        assert [" ".join(pair), *[str(count)] * 4] in sizes
    monkeypatch.setattr("mlbench.reports.reading.chance", lambda report: 0.0)
    means = slow_means(work)
    into, out = (np.mean([means[k] for k in means if k[side] == "en"]) for side in (1, 0))
    said = f"Over 3 pairs with en it has RR {out:.4f} from en and {into:.4f} into en."
    assert reading(report)[0] == said


def test_more_pairs_than_three_are_named_from_the_weakest(report, monkeypatch):
    monkeypatch.setattr("mlbench.reports.reading.chance", lambda report: 0.0)
    monkeypatch.setattr("mlbench.reports.reading.NAMED_PAIRS", 2)
    rows = weakest_first(directions(report), "RR")
    sentence = reading(report)[1]
    assert re.findall(r"(\w+) \([01]\.\d+ and [01]\.\d+\)", sentence) == [*rows[:2], rows[-1]]


def test_compare_check_and_baseline(work):
    reports = [work / f"res/{model}/bitext" for model in ("char-ngram", "bm25")]
    comparison = mlbench.compare(reports)
    first, second = (mlbench.read_report(path) for path in reports)
    values = {
        (d.quantity.kind, d.quantity.measure): d.difference
        for d in comparison.differences
        if not d.quantity.level
    }
    for direction in ("from-en", "into-en"):
        of = [r.scores.directions[direction]["RR"].value for r in (first, second)]
        assert values[direction, "RR"] == pytest.approx(of[1] - of[0], abs=1e-12)
    columns, rows = pair_differences(comparison, "B")
    assert [column.kind for column in columns] == ["from-en", "into-en"]
    assert {*rows} == {*OTHERS}
    lost = [sum(d.difference for d in of.values()) for of in rows.values()]
    assert lost == sorted(lost)
    done("compare", *reports, "--output", "compared", "--html", "compared.html", cwd=work)
    page = (work / "compared.html").read_text()
    assert ("By pair" in page, '<figure class="map' in page) == (True, False)
    assert page.count("data-row") >= 2 * len(OTHERS)
    drawn = sorted(path.name for path in (work / "compared/plots").iterdir())
    assert drawn == ["cost.svg", "difference-B.svg"]
    text = done("compare", *reports, cwd=work)
    assert "en with" in text
    assert "over the pairs of a kind" in text
    done("baseline", reports[1], "--output", "base.parquet", cwd=work)
    checked = mlbench.check(reports[0], work / "base.parquet")
    assert {j.quantity.kind for j in checked.judgements} == {"crosslingual", "from-en", "into-en"}
    assert "from\nen" not in str(checked)
    assert mlbench.check(reports[0], reports[0]).verdict in ("pass", "inconclusive")


def test_run_files_are_of_each_pair_alone_and_score_as_the_report(work, report):
    runs = work / "res/char-ngram/bitext/runs"
    assert {path.name for path in runs.glob("*.gz")} == {
        f"{q}-{p}.trec.gz" for pair in PAIRS for q, p in (pair, pair[::-1])
    }
    pattern = str(runs / "{query_language}-{passage_language}.trec.gz")
    done("score", "--task", "bitext.toml", "--run", pattern, "--output", "scored", "--name", "deep",
         cwd=work, plots=True)  # fmt: skip
    scored = json.loads((work / "scored/deep/bitext/report.json").read_text())
    for direction, of in report.scores.directions.items():
        for name, score in of.items():
            found = scored["directions"][direction][name]
            assert found["value"] == pytest.approx(score.value, abs=1e-12)
            assert found["low"] == pytest.approx(score.low, abs=1e-9)
    assert all(row["excluded"] == 0 for row in scored["settings"])
    assert {p.name for p in (work / "scored/deep/bitext/plots").iterdir()} == {
        "macro.svg", "pairs.svg",
    }  # fmt: skip


def test_explain(work):
    given = ("explain", "res/char-ngram/bitext", "--task", "bitext.toml", "--data-dir", ".")
    refused = run(*given, cwd=work)
    assert refused.returncode == 2
    assert "pairs share no pool" in refused.stderr
    for options in ((), ("--model", "char-ngram", "--no-cache")):
        found = json.loads(done(*given, "--query", "en-sw/3", "--json", *options, cwd=work))
        asked = {query["language"]: query for query in found["queries"]}
        assert {*asked} == {"en", "sw"}
        for code, other in (("en", "sw"), ("sw", "en")):
            assert asked[code]["pool_size"] == PAIRS["en", "sw"]
            assert {*asked[code]["passages"][0]["above"]} == {other}
            above = asked[code]["passages"][0]["above"][other]
            rivals = asked[code]["outranking"][other]
            assert len(rivals) == min(above, 5)
            assert all(rival["passage_id"].startswith("en-sw/") for rival in rivals)
    pair = done(*given, "--query-language", "en", "--passage-language", "sw", cwd=work)
    assert f"of {PAIRS['en', 'sw']}" in pair


def test_reports_cut_to_one_pair_and_per_query_values(work, report):
    done("report", "res/char-ngram/bitext", "--languages", "de,en", "--output", "cut", cwd=work)
    cut = mlbench.read_report(work / "cut")
    table = paper_table(cut)
    assert table.headers[0] == "pair"
    assert {row[0] for row in table.rows} == {"de to en", "en to de"}
    assert report.per_query().excluded == 0
    assert "Over 1 pair of languages" in " ".join(reading(cut)) or "finds next" in str(cut)


def test_tasks_show(work):
    text = done("tasks", "show", "bitext.toml", cwd=work)
    rows = [line.split() for line in text.splitlines()]
    assert all([*pair, *[str(count)] * 4] in rows for pair, count in PAIRS.items())
    assert "6 settings (6 crosslingual)" in text
    assert "Every pool has a passage relevant" in " ".join(text.split())
    assert "searched by itself, in both directions." in " ".join(text.split())
    assert "all is the multilingual pool" not in text
    one = (
        (work / "bitext.toml")
        .read_text()
        .replace(
            'settings = ["',
            'passage-languages = ["en"]\nquery-languages = ["de", "fr", "sw"]\nsettings = ["',
        )
    )
    (work / "into.toml").write_text(one.replace('name = "bitext"', 'name = "into"'))
    text = " ".join(done("tasks", "show", "into.toml", cwd=work).split())
    assert "3 settings (3 crosslingual)" in text
    assert "searched by itself." in text


def test_the_leaderboard(work, report):
    done("leaderboard", "add-task", "res/bm25/bitext", "--to", "board", cwd=work)
    by = ("--to", "board", "--submitter", "Ada", "--licence", "MIT", "--link", "https://a.org/x")
    for model in ("char-ngram", "bm25"):
        done("submit", f"res/{model}/bitext", *by, cwd=work)
    assert "no fault" in done("leaderboard", "validate", "board", cwd=work)
    done("leaderboard", "build", "board", "--output", "site", cwd=work)
    (standings,) = json.loads((work / "site/leaderboard.json").read_text())["standings"]
    assert [c["key"] for c in standings["columns"]] == ["cross", "from", "into", "recall"]
    (row,) = [row for row in standings["rows"] if row["model"] == "char-ngram"]
    for key, name in (("from", "from-en"), ("into", "into-en")):
        score = report.scores.directions[name]["RR"]
        assert row["scores"][key]["value"] == pytest.approx(score.value, abs=1e-12)
        assert row["scores"][key]["low"] == pytest.approx(score.low, abs=1e-6)
    page = (work / "site/index.html").read_text()
    assert "3 pairs of 4 languages (de, en, fr, sw)" in page
    assert "The main score by pair" in page
    assert 'class="heat"' not in page
    entry = ("verify", "board/bitext/char-ngram", "--model", "char-ngram", "--task", "bitext.toml")
    full = done(*entry, "--data-dir", ".", "--full", cwd=work)
    assert "This supports the level reproduced" in full
    sampled = run(*entry, "--data-dir", ".", "--sample", "100", "--passages", "100", cwd=work)
    assert "char-ngram on bitext: AGREES" in sampled.stdout


def test_verification_sees_a_pair_whose_counts_are_too_low(work, report):
    table = report.table
    worst = int(np.argmax(table.above.max(1)))
    column = int(table.passage_language[worst])
    assert table.above[worst, column] > 0
    above = table.above.copy()
    above[worst, column] = 0
    forged = work / "forged"
    shutil.copytree(work / "res/char-ngram/bitext", forged)
    ranks = replace(table, above=above)
    settings = report.task.roles.settings([Kind.CROSSLINGUAL])
    scores = compute_scores(ranks, settings, parse_measures(report.measures))
    replace(report, ranks=ranks, scores=scores).save(forged)
    sampled = run("verify", forged, "--model", "char-ngram", "--task", "bitext.toml", "--data-dir",
                  ".", "--sample", "100", "--passages", "100", cwd=work)  # fmt: skip
    assert "DISAGREES" in sampled.stdout


def test_more_above_than_the_pair_has_is_a_fault_of_the_table(report):
    table = report.table
    assert [*table_faults(table)] == []
    row = int(np.flatnonzero(table.passage_language == table.languages.index("en"))[0])
    above = table.above.copy()
    above[row, table.passage_language[row]] = max(PAIRS.values())  # fewer than all lines in English
    assert any(where.endswith("above + tied, en") for where, *_ in
               table_faults(replace(table, above=above)))  # fmt: skip


def slow_sizes(table: Ranks) -> np.ndarray:
    """What ``Ranks.sizes`` says, row by row."""
    sizes = np.zeros((len(table.query_ids), len(table.languages)), int)
    for row, query in enumerate(table.query.tolist()):
        code = table.languages[table.query_language[query]]
        searched = table.languages[table.passage_language[row]]
        (pair,) = [p for p in table.pairs if {*p.languages} == {code, searched}]
        column = table.passage_language[row]
        sizes[query, column] = pair.passages[pair.languages.index(searched)]
    return sizes


def test_each_query_is_searched_in_the_passages_of_its_pair(work, report):
    assert np.array_equal(report.table.sizes(), slow_sizes(report.table))
    task = load_task(work / "bitext.toml")
    data = read_collection(task, Locator(work).of(task))
    cuts, searched = cuts_of(data), searched_of(report.table)
    assert np.diff(cuts).tolist() == populations_of(report.table).size.tolist()
    named = zip(report.table.query_language, report.table.query_ids, searched, strict=True)
    for asked, query, population in named:
        inside = range(*cuts[population : population + 2])
        names = {
            (data.passages.language[i], data.passages.ids[i].partition("/")[0]) for i in inside
        }
        ((language, pair),) = names
        assert pair == query.partition("/")[0]
        assert language != asked
        assert len(inside) == PAIRS[tuple(pair.split("-"))]
