"""What MTEB wrote is read without MTEB; files are made by hand here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mlbench
from mlbench.common.errors import DataError, IntegrityError, UsageError
from mlbench.integrations.mteb.reading import read_mteb, reports_from, results_text
from tests.support.command_line import mlbench as command


def _result(folder: Path, **changed: Any) -> Path:
    scores = [
        {"hf_subset": "ar", "languages": ["arb-Arab"], "main_score": 0.5, "ndcg_at_10": 0.5,
         "mteb_version": "2.26.24"},
        {"hf_subset": "de", "languages": ["deu-Latn"], "main_score": 0.7, "ndcg_at_10": 0.7,
         "map_at_1000": 0.25, "mteb_version": "2.26.24"},
    ]  # fmt: skip
    value = {
        "dataset_revision": "abc", "task_name": "XQuADRetrieval", "mteb_version": "2.26.24",
        "scores": {"validation": scores}, "evaluation_time": 1.5,
    } | changed  # fmt: skip
    place = folder / "results" / "owner__model" / "rev"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{value['task_name']}.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def _ranked(
    folder: Path, rankings: dict[str, Any], task: str = "mlbench-sample-monolingual"
) -> Path:
    meta = {"mteb_model_meta": {"model_name": "owner/model", "revision": "rev"}}
    path = folder / f"{task}_predictions.json"
    path.write_text(json.dumps(meta | {name: {"test": of} for name, of in rankings.items()}))
    return path


def test_results_without_rankings_are_reported(tmp_path: Path) -> None:
    path = _result(tmp_path)
    assert read_mteb(path) == read_mteb(tmp_path)
    (result,) = read_mteb(tmp_path).results
    assert (result.model, result.task, result.revision) == ("owner/model", "XQuADRetrieval", "abc")
    text = results_text([result])
    assert "reported: mlbench has not computed them" in text.replace("\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("XQuADRetrieval"))
    assert line.split()[1:] == ["validation", "2", "0.6000", "0.6000", "0.2500", "-"]
    (path.parent / "model_meta.json").write_text('{"name": "someone/else"}')
    assert read_mteb(tmp_path).results[0].model == "someone/else"


def test_rankings_become_a_report(tmp_path: Path) -> None:
    """The first passage of a query that is ranked first, by hand."""
    data = mlbench.load_collection("sample", progress=False)
    german = data.languages.index("de")
    queries = data.queries.slice(german)
    first = {
        data.queries.ids[query]: f"de:{data.passages.ids[passage]}"
        for query, passage in zip(
            data.qrels.query.tolist(), data.qrels.passage.tolist(), strict=True
        )
        if queries.start <= query < queries.stop and data.passages.language[passage] == german
    }
    found = dict(list(first.items())[:8])
    _ranked(tmp_path, {"de-de": {query: {passage: 1.0} for query, passage in found.items()}})
    (report,) = reports_from(read_mteb(tmp_path))
    (setting,) = (each for each in report.settings if each.queries)
    assert setting.queries == len(first)
    assert setting.measures["Success@1"] == pytest.approx(8 / len(first))


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ({"de-xx": {"q": {"de:p": 1.0}}}, r"subset 'de-xx': no setting of the task"),
        ({"de-de": {"q": {"de:p": 1.0}}}, r"predictions.json, subset 'de-de', 'q'"),
        ({"de-de": {"q-bees-1": {"de:bees-1": "x"}}}, r"subset 'de-de', query 'q-bees-1'"),
    ],
)
def test_rankings_that_do_not_fit(tmp_path: Path, rankings: dict[str, Any], message: str) -> None:
    _ranked(tmp_path, rankings)
    with pytest.raises(DataError, match=message):
        reports_from(read_mteb(tmp_path))


def test_rankings_of_other_data(tmp_path: Path) -> None:
    _ranked(tmp_path, {"de-de": {"q-bees-1": {"de:bees-1": 1.0}}})
    _result(tmp_path, task_name="mlbench-sample-monolingual", dataset_revision="0" * 64)
    with pytest.raises(IntegrityError, match="MTEB ranked data of the digest 0000"):
        reports_from(read_mteb(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"task_name": "T", "scores": {"test": [{"ndcg_at_10": 1}]}}', "without 'hf_subset'"),
        ('{"task_name": "T", "scores": [1]}', "TaskResult as MTEB writes it"),
        ('{"task_name": "T", "scores": {"test": {"a": 1}}}', "scores of another form"),
        ('{"task_name": "T"', "broken JSON"),
        ('{"a": 1}', "no results of MTEB"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "T.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_mteb(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "rankings of another form"),
        ('{"de-de": {"test": {}}}', "no 'mteb_model_meta'"),
        ('{"mteb_model_meta": {"model_name": "m"}}', "no passage is ranked"),
        ('{"mteb_model_meta": {"model_name": "m"}, "de-de": {"test": {"q": {}}}}', "no passage"),
        ('{"mteb_model_meta": {"model_name": "m"}, "de-de": {"test": [1]}}', "of another form"),
        ('{"mteb_model_meta": {"model_name": "m"}, "de-de": {"test": {"q": 1}}}', "another form"),
    ],
)
def test_damaged_rankings(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mlbench-sample-monolingual_predictions.json").write_text(text)
    with pytest.raises(DataError, match=f"_predictions.json: .*{message}"):
        read_mteb(tmp_path)


def test_rankings_on_a_task_that_is_not_built_in(tmp_path: Path) -> None:
    path = _ranked(tmp_path, {"de-de": {"q": {"de:p": 1.0}}}, "mlbench-mine-monolingual")
    with pytest.raises(UsageError, match=r"rankings on the task 'mine'(.|\n)*--task") as found:
        reports_from(read_mteb(tmp_path))
    assert str(path) in str(found.value)


def test_passages_without_a_language_of_the_task(tmp_path: Path) -> None:
    _ranked(tmp_path, {"de-de": {"q-bees-1": {"xx:p": 1.0}}})
    with pytest.raises(DataError, match="subset 'de-de', 'q-bees-1', 'xx:p'"):
        reports_from(read_mteb(tmp_path))


def test_what_is_no_figure_is_left_out_and_folders_are_no_files(tmp_path: Path) -> None:
    """MTEB writes NaN for what it cannot compute, which JSON of ours does not have."""
    entry = {"hf_subset": "ar", "main_score": 0.5, "nauc": float("nan"), "large": 10**400}
    _result(tmp_path, scores={"test": [entry]})
    (tmp_path / "folder.json").mkdir()
    (result,) = read_mteb(tmp_path).results
    assert result.scores == {"test": {"ar": {"main_score": 0.5}}}


def test_the_command(tmp_path: Path) -> None:
    _result(tmp_path)
    _ranked(tmp_path, {"de-de": {"q-bees-1": {"de:bees-1": 1.0}}})
    done = command("report", "--from-mteb", ".", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["level"] == "reported"
    assert [each["task"] for each in said["results"]] == ["XQuADRetrieval"]
    (report,) = said["reports"]
    assert (tmp_path / report["folder"] / "report.html").is_file()
