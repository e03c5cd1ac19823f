"""Per-query values: those of ir-measures and ranx on the same rankings; means are the report's."""

from __future__ import annotations

import csv
import gzip
import json

import ir_measures
import numpy as np
import pyarrow.parquet as pq
import pytest

import mlbench
from mlbench.commands.cli import main
from mlbench.common.errors import DataError, UsageError
from mlbench.data.task import Kind
from mlbench.reports.report import read_report, write_report
from tests.support.page_examples import run_examples
from tests.support.reports import collection_of, example, languages, report_of, vectors
from tests.support.uncompiled import uncompiled_ranx

DEEP = 1000
"""More passages than the sample has, so that run files are whole rankings."""
pytestmark = pytest.mark.usefixtures("no_plots")
RANX = {"AP": "map", "RR": "mrr", "nDCG@10": "ndcg@10", "R@10": "recall@10"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of a report with its run files."""
    folder = tmp_path_factory.mktemp("per-query") / "report"
    options = mlbench.Options(progress=False, cache=None, folder=folder, save_run=DEEP)
    mlbench.evaluate("char-ngram", "sample", options).save(folder)
    return folder


@pytest.fixture(scope="module")
def report(saved):
    return mlbench.read_report(saved)


def files_of(saved, name):
    """The judgements and the run of a setting, such as de-en."""
    return saved / "runs" / f"{name}.qrels", saved / "runs" / f"{name}.trec.gz"


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        (("monolingual", "de"), "de-de"),
        (("crosslingual", "zh", "en"), "zh-en"),
        (("multilingual", "ar"), "ar-multilingual"),
    ],
)
def test_values_are_those_of_ir_measures_on_the_run_files(saved, report, chosen, name):
    qrels, run = files_of(saved, name)
    measures = [ir_measures.parse_measure(each) for each in report.measures]
    expected = {
        (m.query_id, str(m.measure)): m.value
        for m in ir_measures.iter_calc(
            measures, ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(run))
        )
    }
    found = {(m.query_id, str(m.measure)): m.value for m in report.per_query(*chosen).metrics()}
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-12)


def test_values_are_those_of_ranx_on_the_run_files(saved, report, tmp_path):
    qrels, packed = files_of(saved, "ar-multilingual")
    run = tmp_path / "run.trec"
    run.write_bytes(gzip.decompress(packed.read_bytes()))
    with uncompiled_ranx() as ranx:
        theirs = ranx.Run.from_file(str(run), kind="trec")
        judged = ranx.Qrels.from_file(str(qrels), kind="trec")
        arrays = ranx.evaluate(judged, theirs, list(RANX.values()), return_mean=False)
    found = report.per_query("multilingual", "ar", measures=RANX)
    for ours, name in RANX.items():
        np.testing.assert_allclose(found.arrays()[ours], arrays[name], atol=1e-12)
        assert found.scores()[ours] == pytest.approx(dict(theirs.scores[name]), abs=1e-12)


def test_the_page_on_runs_shows_what_other_tools_print(saved, tmp_path, monkeypatch):
    # After ``saved``, so that mlbench's own code is compiled.
    monkeypatch.chdir(tmp_path)
    with uncompiled_ranx():
        run_examples("runs.md", 15)


@pytest.mark.parametrize("apart", [False, True])
def test_means_are_the_scores_of_the_report_to_the_last_digit(apart):
    collection = collection_of(languages(4), apart=apart)
    report, _ = report_of(collection, vectors(collection))
    values = report.per_query()
    assert len(values.settings) == len(report.settings)
    for each, setting in zip(values.settings, report.settings, strict=True):
        assert each.setting.query_language == setting.query_language
        assert (len(each.query_ids), each.excluded) == (setting.queries, setting.excluded)
        for name, mean in setting.measures.items():
            total = 0.0
            for value in each.values[name].tolist():
                total += value
            assert total / setting.queries == mean
    assert values.excluded == sum(setting.excluded for setting in report.settings)
    assert (values.excluded > 0) is apart


def test_rank_distance_is_in_multilingual_rows_alone():
    report, _ = example(3)
    values = report.per_query()
    column = values.arrays()["rank-distance"]
    kinds = np.array(values.to_arrow()["kind"].to_pylist())
    assert (np.isnan(column) == (kinds != "multilingual")).all()
    by_language = report.scores.bias.by_language
    for code in report.task.languages:
        found = report.per_query(query_language=code, measures="rank-distance").scores()
        mean = np.mean(list(found["rank-distance"].values()))
        assert mean == pytest.approx(by_language[code].value, rel=1e-14)


def test_a_query_that_has_one_relevant_passage_has_no_rank_distance():
    collection = collection_of(languages(3))
    keep = np.flatnonzero(collection.qrels.query != 0)
    keep = np.insert(keep, 0, 0)
    qrels = collection.qrels
    alone = type(qrels)(qrels.query[keep], qrels.passage[keep], qrels.relevance[keep])
    cut = type(collection)(collection.languages, collection.queries, collection.passages, alone)
    report, _ = report_of(cut, vectors(cut))
    values = report.per_query("multilingual", collection.languages[0])
    assert np.isnan(values.arrays()["rank-distance"]).tolist() == [True] + [False] * 7
    assert len(values.scores()["rank-distance"]) == 7
    assert len(values.scores()["AP"]) == 8


def test_queries_of_several_settings_are_told_apart(report):
    one = report.per_query("crosslingual", "zh", "en")
    assert one.queries == one.settings[0].query_ids
    several = report.per_query("multilingual")
    assert len(set(several.queries)) == len(several)
    assert several.queries[0] == f"ar-multilingual:{one.queries[0]}"
    assert len(report.per_query(passage_language="en")) == 11 * len(one)
    assert report.per_query("crosslingual", "ZH", "en").queries == one.queries


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (("cross-lingual",), "crosslingual"),
        ((None, "deu"), "query_language 'deu'"),
        (("monolingual", "de", "en"), "expected: passage_language de"),
        (("multilingual", "de", "en"), "no passage_language"),
    ],
)
def test_settings_that_there_are_not_are_told(report, chosen, said):
    with pytest.raises(UsageError, match="there is no such setting") as error:
        report.per_query(*chosen)
    assert said in str(error.value)


def test_measures_may_be_others_than_the_report_s(report):
    values = report.per_query("monolingual", "de", measures=["nDCG@3", "MRR@5"])
    assert values.measures == ("nDCG@3", "RR@5")
    with pytest.raises(UsageError, match="not a measure"):
        report.per_query(measures="nDGC@3")


def test_the_tables_hold_the_values_exactly(saved, report, tmp_path):
    table = report.per_query().to_arrow()
    for path in (tmp_path / "values.csv", tmp_path / "values.PARQUET"):
        assert main(["report", str(saved), "--per-query", str(path)]) == 0
    again = pq.read_table(tmp_path / "values.PARQUET")
    assert again.column_names[:2] == ["model", "task"]
    assert again.drop_columns(["model", "task"]).equals(table)
    with (tmp_path / "values.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["task"]) for row in rows} == {("char-ngram", "sample")}
    for name in ("AP", "nDCG@10"):
        assert [float(row[name]) for row in rows] == table[name].to_pylist()
    for name in ("kind", "query_language", "passage_languages", "query_id"):
        assert [row[name] for row in rows] == table[name].to_pylist()
    assert {row["rank-distance"] for row in rows if row["kind"] == "monolingual"} == {""}
    assert report.per_query().to_frame()["AP"].tolist() == table["AP"].to_pylist()


def test_the_command_says_how_many_queries_have_no_row(tmp_path, capsys):
    collection = collection_of(languages(3), apart=True)
    report, ranks = report_of(collection, vectors(collection))
    write_report(tmp_path / "apart", report, ranks, {})
    assert main(["report", str(tmp_path), "--per-query", str(tmp_path / "all.csv")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    values = report.per_query()
    assert f"{len(values)} rows" in said
    assert f"relevant to them: {values.excluded}." in said
    assert main(["report", str(tmp_path), "--per-query", str(tmp_path / "all.txt")]) == 2


def test_a_folder_of_reports_or_some_languages_make_one_table(tmp_path):
    for number, count in enumerate((2, 3)):
        report, ranks = example(count)
        write_report(tmp_path / str(number), report, ranks, {})
    path = tmp_path / "all.parquet"
    assert main(["report", str(tmp_path), "--per-query", str(path)]) == 0
    assert pq.read_table(path).num_rows == 8 * (6 + 12)
    chosen = ["--languages", "ar,de", "--output", str(tmp_path / "cut"), "--json"]
    assert main(["report", str(tmp_path / "1"), *chosen, "--per-query", str(path)]) == 0
    cut = read_report(tmp_path / "cut")
    assert pq.read_table(path).num_rows == len(cut.per_query()) == 8 * 6


def test_a_report_without_a_table_has_no_values(saved, tmp_path):
    pattern = f"{saved}/runs/{{query_language}}-{{passage_language}}.trec.gz"
    output = str(tmp_path)
    assert main(["score", "--task", "sample", "--run", pattern, "--output", output]) == 0
    (folder,) = (path.parent for path in tmp_path.rglob("report.json"))
    assert json.loads((folder / "report.json").read_text())["ranks_sha256"] is None
    with pytest.raises(DataError, match="no table of ranks"):
        mlbench.read_report(folder)


def test_kinds_are_those_of_the_design():
    report, _ = example(2)
    assert set(report.per_query().to_arrow()["kind"].to_pylist()) == set(Kind)
