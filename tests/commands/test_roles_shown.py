"""All commands on a task whose queries and passages have different languages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

import mlbench
from mlbench.data.locator import Locator
from mlbench.data.readers import stream_collection
from mlbench.data.task import Kind, Roles
from mlbench.evaluation.tasks import load_task
from mlbench.leaderboard.checking.validate import implausible
from mlbench.measures.significance import Score
from mlbench.reports.bias_tables import outranking_table
from mlbench.reports.plots import plots
from mlbench.reports.reading import FAVOURS, reading
from mlbench.reports.subset import cut_task
from mlbench.reports.tables import crosslingual_table, paper_table
from mlbench.reports.words import mean_name
from mlbench.runs.judgements import describe_judgements
from tests.support.command_line import done
from tests.support.command_line import mlbench as run
from tests.support.roles_task import TASK, write_task

if TYPE_CHECKING:
    from mlbench.leaderboard.entries.entry import Entry

QUERIES, PASSAGES = ("de", "en"), ("en", "fr", "sw")
ALONE = TASK.replace('query-languages = ["de", "en"]', 'query-languages = ["de"]')
"""The task with queries in German alone, which no passage is in."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the task and the reports of two models; runs of all passages beside one."""
    folder = tmp_path_factory.mktemp("roles")
    write_task(folder)
    options = ("--task", "roles.toml", "--output", "res", "--no-cache")
    done("run", "--model", "char-ngram", *options, "--save-run", "100", cwd=folder, plots=True)
    done("run", "--model", "bm25", *options, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> mlbench.Report:
    """A report on the task of one query language."""
    folder = tmp_path_factory.mktemp("alone")
    path = write_task(folder)
    queries = (folder / "queries.jsonl").read_text().splitlines(keepends=True)
    (folder / "queries.jsonl").write_text("".join(q for q in queries if '"de"' in q))
    for judged in folder.glob("*.tsv"):
        rows = judged.read_text().splitlines(keepends=True)
        judged.write_text("".join(row for row in rows if not row.startswith("en")))
    path.write_text(ALONE)
    return mlbench.evaluate("char-ngram", path, progress=False, cache=None)


def cells(report: mlbench.Report) -> dict[tuple[str, str], str]:
    """Each pair of languages with the score that its setting has, as tables write it."""
    return {
        (s.query_language, s.passage_languages[0]): f"{s.measures['AP']:.3f}"
        for s in report.settings
        if s.kind != Kind.MULTILINGUAL
    }


def test_tables_have_a_row_a_query_language_and_a_column_a_passage_language(work):
    report = mlbench.read_report(work / "res/char-ngram/roles")
    table = crosslingual_table(report)
    assert table.headers == ("query", *PASSAGES, "mean")
    expected = cells(report)
    assert {(row[0], code): cell for row in table.rows
            for code, cell in zip(PASSAGES, row[1:], strict=False)} == expected  # fmt: skip
    means = {row[0]: float(row[-1]) for row in table.rows}
    for query in QUERIES:
        of = [s.measures["AP"] for s in report.settings
              if s.kind == Kind.CROSSLINGUAL and s.query_language == query]  # fmt: skip
        assert means[query] == pytest.approx(sum(of) / len(of), abs=0.0006)
    paper = paper_table(report)
    assert [row[0] for row in paper.rows] == [*QUERIES]
    assert [row[1] for row in paper.rows] == ["-", f"{report.macro['monolingual']['AP']:.4f}"]
    outranking = outranking_table(report)
    assert outranking.headers == ("query", *PASSAGES, "own")
    assert [row[-1] for row in outranking.rows] == ["-", outranking.rows[1][1]]
    matrix = report.scores.bias.outranking
    assert outranking.footer[1:] == (
        f"{matrix['de']['en']:.2f}",
        *(f"{(matrix['de'][p] + matrix['en'][p]) / 2:.2f}" for p in ("fr", "sw")),
        f"{matrix['en']['en']:.2f}",
    )


def test_the_page_shows_all_of_it(work):
    folder = work / "res/char-ngram/roles"
    assert {path.name for path in (folder / "plots").iterdir()} == {
        "macro.svg", "languages.svg", "heatmap.svg", "outranking.svg", "targets.svg",
        "distance.svg", "ranks.svg",
    }  # fmt: skip
    text = (folder / "report.md").read_text()
    rows = [re.split(r" *\| *", row.strip("| ")) for row in text.splitlines() if row[:1] == "|"]
    assert ["de", "6", "-"] in rows
    assert ["fr", "-", "7"] in rows
    assert ["**all**", "**14**", "**21**"] in rows
    assert "nan" not in (folder / "report.html").read_text().lower().replace("nant", "")
    assert json.loads((folder / "report.json").read_text())["bias"]["language_counts"] == []


def test_what_needs_the_querys_own_language_is_left_out_without_it(alone):
    bias = alone.scores.bias
    assert (bias.same_language, bias.target_removed.own, bias.by_query_language) == (None, None, {})
    table = outranking_table(alone)
    assert (table.headers, table.footer) == (("query", *PASSAGES), ())
    drawn = plots(alone, alone.table)
    assert {"macro.svg", "heatmap.svg", "outranking.svg", "targets.svg", "ranks.svg"} <= {*drawn}
    assert "languages.svg" not in drawn


def test_the_reading_says_what_it_compares(work, alone, monkeypatch):
    monkeypatch.setattr("mlbench.reports.reading.chance", lambda report: 0.0)
    report = mlbench.read_report(work / "res/char-ngram/roles")
    assert "the score within languages, though not over queries in the same languages." in " ".join(
        reading(report)
    )
    said = " ".join(reading(alone))
    assert "own language" not in said
    others = {code: row for code, row in alone.scores.bias.outranking["de"].items() if row}
    most = max(others, key=others.__getitem__)
    expected = f"In the multilingual pool it reaches mAP {alone.macro['multilingual']['AP']:.4f}"
    if others[most] >= FAVOURS:
        expected += f" and favours passages in {most}, which outrank"
    assert expected in said


def test_one_query_language_has_a_row_a_passage_language(alone):
    table = crosslingual_table(alone)
    assert table.headers == ("passages in", *map(mean_name, alone.measures))
    of = {s.passage_languages: s.measures for s in alone.settings}
    expected = [(code, *(f"{of[code,][name]:.4f}" for name in alone.measures)) for code in PASSAGES]
    assert [*table.rows] == expected
    assert table.text() in str(alone)


def test_reports_of_one_query_language_have_a_page(alone, tmp_path):
    text = alone.save(tmp_path / "report").joinpath("report.md").read_text()
    for words in ("own language", "in other languages", "outlined", "| queries "):
        assert words not in text, words
    assert "The means are those of recall in the multilingual pool" in text
    assert mlbench.read_report(tmp_path / "report").scores == alone.scores
    check = mlbench.check(alone, alone)
    assert check.verdict in ("pass", "inconclusive")
    assert check.fallen == ()


def test_compare_check_and_baseline(work):
    reports = ("res/char-ngram/roles", "res/bm25/roles")
    found = json.loads(done("compare", *reports, "--format", "json", cwd=work))
    pairs = {(d["query_language"], d["passage_language"]) for d in found["differences"]}
    assert {pair for pair in pairs if pair[1]} == {*cells(mlbench.read_report(work / reports[0]))}
    done("compare", *reports, "--output", "compared", "--html", "compared.html", cwd=work)
    page = (work / "compared.html").read_text()
    assert page.count('<td class="score') == 2 * len(cells(mlbench.read_report(work / reports[0])))
    assert (work / "compared/plots/difference-B.svg").exists()
    text = done("compare", *reports, cwd=work)
    block = text.partition("B - A\nqueries in")[2] or text.partition("queries in")[2]
    assert [code for code in ("de", "en", "fr", "sw") if f"\n{code} " in block] == [*QUERIES]
    done("baseline", "res/bm25/roles", "--output", "base.parquet", cwd=work)
    checked = run("check", reports[0], "--baseline", "base.parquet", cwd=work)
    assert checked.returncode in (0, 1)
    assert "cross-lingual" in checked.stdout
    assert len(mlbench.compare([work / "base.parquet", work / reports[1]]).scores) > 0


def test_run_files_score_as_the_report_does(work):
    pattern = "res/char-ngram/roles/runs/{query_language}-{passage_language}.trec.gz"
    names = {path.name for path in (work / "res/char-ngram/roles/runs").glob("*.trec.gz")}
    assert names == {
        f"{q}-{p}.trec.gz" for q in QUERIES for p in (*PASSAGES, "multilingual")
    }  # fmt: skip
    done("score", "--task", "roles.toml", "--run", pattern, "--output", "scored", "--name", "deep",
         cwd=work, plots=True)  # fmt: skip
    report = mlbench.read_report(work / "res/char-ngram/roles")
    scored = json.loads((work / "scored/deep/roles/report.json").read_text())
    for kind, of_kind in report.macro.items():
        for name, value in of_kind.items():
            assert scored["macro"][kind][name]["value"] == pytest.approx(value, abs=1e-12)
    assert len(scored["settings"]) == len(report.settings)
    whole = (work / "scored/deep/roles/report.md").read_text()
    assert "| query | en | fr | sw | mean |" in re.sub(" +", " ", whole)


def test_explain(work):
    report = ("explain", "res/char-ngram/roles", "--task", "roles.toml", "--data-dir", ".")
    found = json.loads(done(*report, "--top", "14", "--json", cwd=work))
    assert {query["language"] for query in found["queries"]} == {*QUERIES}
    assert [each["language"] for each in found["languages"] if each["own"] is not None] == ["en"]
    assert {each["language"] for each in found["languages"]} == {*PASSAGES}
    one = json.loads(done(*report, "--query", "de0", "--json", cwd=work))["queries"][0]
    assert {*one["passages"][0]["above"]} == {*PASSAGES}
    assert {*one["outranking"]} == {*PASSAGES}  # from the run files
    by_model = done(*report, "--query", "de0", "--model", "char-ngram", "--no-cache", cwd=work)
    assert "In fr, not relevant and above" in by_model
    pair = done(*report, "--query-language", "de", "--passage-language", "sw", cwd=work)
    assert "queries in de, passages in sw" in pair
    for option, code, message in (
        ("--query-language", "fr", "the report has no query in 'fr'"),
        ("--passage-language", "de", "the report has no passage in 'de'"),
    ):
        wrong = run(*report, "--query", "de0", option, code, cwd=work)
        assert wrong.returncode == 2
        assert message in wrong.stderr


def test_reports_cut_to_some_of_the_languages(work):
    done("report", "res/char-ngram/roles", "--languages", "de,sw", "--output", "cut", cwd=work)
    cut = mlbench.read_report(work / "cut")
    whole = cells(mlbench.read_report(work / "res/char-ngram/roles"))
    assert cells(cut) == {("de", "sw"): whole["de", "sw"]}
    assert cut.macro.keys() == {"crosslingual"}
    assert crosslingual_table(cut).headers == ("query", "sw", "mean")


def test_tasks_show(work):
    text = done("tasks", "show", "roles.toml", cwd=work)
    rows = [line.split() for line in text.splitlines()]
    assert ["de", "6", "-"] in rows
    assert ["sw", "-", "5"] in rows
    assert [*PASSAGES, "all"] in rows
    found = json.loads(done("tasks", "show", "roles.toml", "--json", cwd=work))["settings"]
    number = {(s["query_language"], " ".join(s["passage_languages"])): s["queries"] for s in found}
    expected = [[q, *(str(number[q, p]) for p in (*PASSAGES, " ".join(PASSAGES)))] for q in QUERIES]
    assert [row for row in rows if len(row) == 5 and row[0] in QUERIES] == expected


def test_the_leaderboard(work):
    done("leaderboard", "add-task", "res/bm25/roles", "--to", "board", cwd=work)
    by = ("--to", "board", "--submitter", "Ada", "--licence", "MIT", "--link", "https://a.org/x")
    for model in ("char-ngram", "bm25"):
        done("submit", f"res/{model}/roles", *by, cwd=work)
    assert "no fault" in done("leaderboard", "validate", "board", cwd=work)
    done("leaderboard", "build", "board", "--output", "site", cwd=work)
    (standings,) = json.loads((work / "site/leaderboard.json").read_text())["standings"]
    assert standings["query_languages"] == [*QUERIES]
    assert standings["passage_languages"] == [*PASSAGES]
    report = mlbench.read_report(work / "res/char-ngram/roles")
    (row,) = [row for row in standings["rows"] if row["model"] == "char-ngram"]
    for key, kind in (
        ("mono", "monolingual"),
        ("cross", "crosslingual"),
        ("multi", "multilingual"),
    ):
        assert row["scores"][key]["value"] == pytest.approx(report.macro[kind]["AP"], abs=1e-12)
    assert row["by_language"]["mono"]["de"] is None
    page = (work / "site/index.html").read_text()
    assert "2 query languages (de, en); 3 passage languages (en, fr, sw)" in page
    entry = ("verify", "board/roles/char-ngram", "--model", "char-ngram", "--task", "roles.toml")
    full = done(*entry, "--data-dir", ".", "--full", cwd=work)
    assert "This supports the level reproduced" in full
    sampled = run(*entry, "--data-dir", ".", "--sample", "8", "--passages", "4", cwd=work)
    assert "DISAGREES" not in sampled.stdout
    assert "order" in sampled.stdout


def test_scores_of_other_queries_are_no_reason_for_a_second_look():
    scores = {"monolingual": 0.2, "crosslingual": 0.3}
    macro = {kind: {"AP": Score(value, 0.0, 1.0, value)} for kind, value in scores.items()}
    entry = cast("Entry", SimpleNamespace(macro=macro, directions={}))
    (told,) = implausible(entry, Roles(("de", "en"), ("en", "de")))
    assert told[0] == "macro.crosslingual.AP"
    assert [*implausible(entry, Roles(("de", "en"), ("en",)))] == []


def test_passages_that_are_not_read_have_their_languages_too(work):
    task = load_task(work / "roles.toml")
    info = describe_judgements(task, stream_collection(task, Locator(work)))
    assert info.passages == {}
    assert info.roles == task.roles
    assert cut_task(info, ("de", "sw"), 1).roles == task.roles.only(("de", "sw"))
