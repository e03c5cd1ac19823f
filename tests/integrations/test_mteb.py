"""mlbench and MTEB on the same vectors, with the MTEB that is installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import mlbench
from mlbench.commands.cli import main
from mlbench.common.errors import EnvironmentFault, UsageError
from mlbench.data.task import Kind
from mlbench.integrations import mteb as module
from mlbench.integrations.mteb.names import language_script, subset_name
from mlbench.integrations.mteb.reading import read_mteb, reports_from, results_text
from mlbench.integrations.mteb.writing import save_task_results, task_results
from mlbench.reports.report import Report
from tests.support.mteb_encoder import ForMteb, Hashed

mteb = pytest.importorskip("mteb", reason="MTEB is not installed: pip install '.[mteb]'")

LANGUAGES = "de,en,zh"
SAME = {"ndcg_at_10": "nDCG@10", "map_at_1000": "AP", "recall_at_10": "R@10", "mrr_at_10": "RR@10",
        "precision_at_3": "P@3", "hit_rate_at_1": "Success@1"}  # fmt: skip
ROUNDED = 6e-6
"""MTEB rounds to five decimals."""


class Both(NamedTuple):
    """The same model through both programs."""

    report: Report
    results: Any
    predictions: Path


def _both(size: int, folder: Path) -> Both:
    model = Hashed(size)
    made = module.tasks("sample", languages=LANGUAGES)
    predictions = folder / "predictions"
    results = mteb.evaluate(
        ForMteb(model), made, cache=mteb.ResultCache(folder), prediction_folder=predictions,
        encode_kwargs={"show_progress_bar": False}, show_progress_bar=False, co2_tracker=False,
    )  # fmt: skip
    measures = tuple(SAME.values())
    report = mlbench.evaluate(
        model, "sample", measures=measures, languages=LANGUAGES, progress=False, cache=None
    )
    return Both(report, results, predictions)


@pytest.fixture(scope="module", params=[1, 127], ids=["many ties", "few ties"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return _both(request.param, tmp_path_factory.mktemp("mteb"))


def _subsets(results: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for result in results.task_results:
        yield from ((each["hf_subset"], each) for each in result.scores["test"])


def test_scores_agree_to_what_ties_leave_open(both: Both) -> None:
    theirs = dict(_subsets(both.results))
    assert len(theirs) == 3 + 6 + 3
    open_ = 0
    for ours in both.report.settings:
        found = theirs[subset_name(ours.query_language, ours.kind, ours.passage_languages)]
        for name, measure in SAME.items():
            low, high = ours.measures[measure], ours.optimistic[measure]
            open_ += high > low + 1e-9
            assert low - ROUNDED <= found[name] <= high + ROUNDED, (found["hf_subset"], name)
    if both.report.model.name == "hashed-1":
        assert open_ > 50
    else:  # two of 72 scores are open: nearly all must be equal
        assert open_ < 4


def test_the_mean_of_mteb_is_the_macro_score(both: Both) -> None:
    for result in both.results.task_results:
        kind = result.task_name.removeprefix("mlbench-sample-")
        low = both.report.macro[kind]["nDCG@10"]
        high = max(low, both.report.scores.macro[kind]["nDCG@10"].optimistic or low)
        assert low - ROUNDED <= result.get_score() <= high + ROUNDED
        assert result.dataset_revision == both.report.task.digest


def test_tasks_hold_what_mlbench_counts() -> None:
    made = module.tasks("sample", languages=LANGUAGES)
    names = [each.metadata.name for each in made]
    kinds = ("monolingual", "crosslingual", "multilingual")
    assert names == [f"mlbench-sample-{kind}" for kind in kinds]
    assert made[1].metadata.hf_subsets == ["de-en", "de-zh", "en-de", "en-zh", "zh-de", "zh-en"]
    assert made[1].metadata.eval_langs["de-zh"] == ["deu-Latn", "zho-Hans"]
    made[2].load_data()
    data = made[2].dataset["de-multilingual"]["test"]
    collection = mlbench.load_collection("sample", languages=LANGUAGES, progress=False)
    german = collection.queries.slice(collection.languages.index("de"))
    assert data["queries"]["text"][:] == [*collection.queries.texts[german]]
    assert data["corpus"]["text"][:] == [*collection.passages.texts]
    first = data["queries"]["id"][0]
    relevant = collection.qrels.passage[collection.qrels.query == german.start]
    assert {*data["relevant_docs"][first]} == {
        f"{collection.languages[collection.passages.language[at]]}:{collection.passages.ids[at]}"
        for at in relevant
    }
    chosen = made[0].filter_languages(["deu"])
    chosen.load_data()
    assert [*chosen.dataset] == ["de-de"]
    chosen.unload_data()
    assert chosen.metadata.name == "mlbench-sample-monolingual"


def test_queries_without_a_relevant_passage_are_left_out(data_dir: Path) -> None:
    """In the setting of a kind, MTEB counts the queries that mlbench counts."""
    given: dict[str, Any] = {"languages": "de,vi", "data_dir": data_dir}
    (cross,) = module.tasks("mlqa-r", kinds="crosslingual", **given)
    collection = mlbench.load_collection("mlqa-r", progress=False, **given)
    cross.load_data()
    for setting in collection.roles.settings([Kind.CROSSLINGUAL]):
        (other,) = setting.passage_languages
        data = cross.dataset[f"{setting.query_language}-{other}"]["test"]
        counted, excluded = collection.query_counts(setting)
        assert excluded > counted == len(data["queries"]) == len(data["relevant_docs"])
        assert len(data["corpus"]) == collection.passages.counts[collection.languages.index(other)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [("ar", "ara-Arab"), ("zh-Hant", "zho-Hant"), ("deu-Latn", "deu-Latn"), ("qqq", "qqq-Zyyy"),
     ("pt-BR", "por-Latn")],
)  # fmt: skip
def test_languages_are_spelled_as_mteb_spells_them(code: str, expected: str) -> None:
    assert language_script(code) == expected


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="'emoji-images': has images"):
        module.tasks("emoji-images")
    with pytest.raises(UsageError, match=r"'mono'(.|\n)*one of monolingual"):
        module.tasks("sample", kinds=["mono"])
    with pytest.raises(UsageError, match="nosuchtask"):
        module.tasks("nosuchtask")
    with pytest.raises(UsageError, match="is streamed"):
        module.tasks("miracl")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"mteb is not installed(.|\n)*\[mteb\]"):
        module.tasks("sample")


def test_predictions_of_mteb_become_the_report_on_the_runs(both: Both, tmp_path: Path) -> None:
    (folder := tmp_path / "mteb").mkdir()
    for part in (both.predictions, both.predictions.parent / "results"):
        shutil.copytree(part, folder / part.name)
    found = read_mteb(folder)
    (report,) = reports_from(found)
    assert report.model.name == f"tests/{both.report.model.name}"
    assert report.task.digest == both.report.task.digest
    assert report.retrieved is not None
    assert {*report.retrieved.files} == {str(each.path) for each in found.predictions}
    theirs = dict(_subsets(both.results))
    for ours in report.settings:
        each = theirs[subset_name(ours.query_language, ours.kind, ours.passage_languages)]
        for name, measure in SAME.items():
            if measure in ours.measures:
                assert ours.measures[measure] == pytest.approx(each[name], abs=ROUNDED)
    for result in found.results:
        assert result.revision == report.task.digest


def test_a_report_becomes_results_of_mteb(both: Both, tmp_path: Path) -> None:
    files = save_task_results(both.report, tmp_path)
    assert [file.stem for file in files] == [each.task_name for each in both.results.task_results]
    assert len({*tmp_path.rglob("model_meta.json")} & {files[0].parent / "model_meta.json"}) == 1
    assert len(files[0].relative_to(tmp_path).parts) == 4  # results, model, revision, file
    results = mteb.ResultCache(tmp_path).load_results()
    (of_model,) = results.model_results
    assert of_model.model_name == f"mlbench/{both.report.model.name}"
    theirs = dict(_subsets(both.results))
    ours = dict(_subsets(of_model))
    assert ours.keys() == theirs.keys()
    optimistic = {
        subset_name(each.query_language, each.kind, each.passage_languages): each.optimistic
        for each in both.report.settings
    }
    for subset, each in ours.items():
        names = {name for name in theirs[subset] if "nauc" not in name}
        assert each.keys() == names
        assert each["languages"] == theirs[subset]["languages"]
        for name, measure in SAME.items():
            high = optimistic[subset][measure]
            assert each[name] - 2 * ROUNDED <= theirs[subset][name] <= high + ROUNDED
    if both.report.model.name == "hashed-127":  # hardly any ties: all measures are equal
        assert sum(
            each[name] == pytest.approx(theirs[subset][name], abs=2 * ROUNDED)
            for subset, each in ours.items()
            for name in each
            if "_at_" in name
        ) > 0.95 * sum("_at_" in name for each in ours.values() for name in each)
    read = read_mteb(tmp_path)
    assert not reports_from(read)
    text = results_text(read.results)
    assert "They are reported" in text.replace("\n", " ")
    assert "mlbench-sample-multilingual" in text


def test_reports_that_would_be_one_file(
    both: Both, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reports on fewer languages are passed over; of two on other languages neither is first."""
    both.report.save(tmp_path / "whole")
    for codes in ("en", "de"):
        assert main(["report", str(tmp_path / "whole"), "--languages", codes]) == 0
    assert main(["report", str(tmp_path / "whole"), "--mteb", str(tmp_path / "mteb")]) == 0
    path = next((tmp_path / "mteb").rglob("mlbench-sample-monolingual.json"))
    assert json.loads(path.read_text())["dataset_revision"] == both.report.task.digest
    (tmp_path / "cut").mkdir()
    for codes in ("en", "de"):
        (tmp_path / "whole" / f"languages-{codes}").rename(tmp_path / "cut" / codes)
    assert main(["report", str(tmp_path / "cut"), "--mteb", str(tmp_path / "mteb")]) == 2
    assert "which MTEB keeps once" in capsys.readouterr().err


def test_only_measures_that_mteb_knows_are_written(both: Both, tmp_path: Path) -> None:
    report = both.report
    (folder := tmp_path / "mteb").mkdir()
    shutil.copytree(both.predictions, folder, dirs_exist_ok=True)
    (of_runs,) = reports_from(read_mteb(folder))
    (first, *_) = task_results(of_runs)
    scores = first.scores["test"][0]
    assert {"ndcg_at_10", "recall_at_10", "main_score"} <= scores.keys()
    assert not {name for name in scores if name.startswith("map")}  # AP has no cutoff
    assert of_runs.task.digest == report.task.digest  # the languages that were ranked
