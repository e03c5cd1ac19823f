from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from functools import cache

import pytest

from mlbench.common.errors import DataError
from mlbench.training.studies.findings import FAILS, HOLDS, best_of
from mlbench.training.studies.plan import load_study
from mlbench.training.studies.report import (
    SCHEMA,
    pairs_csv,
    study_report,
    study_values,
    values_csv,
)
from mlbench.training.studies.run import carry_out, jobs, open_folder
from mlbench.training.studies.tables import reading
from tests.training.studies.made import MADE, STUDY, done_study, made_report, write_study


@cache
def made(folder):
    study, place = done_study(folder)
    return study_report(study, place, draws=300), place


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return made(tmp_path_factory.mktemp("study"))


def test_study_json_says_cells_and_claims_with_their_verdicts(report):
    values = json.loads(json.dumps(study_values(*report)))
    assert (values["schema"], values["study"]) == (SCHEMA, "made")
    assert len(values["cells"]) == values["planned_cells"] == 9
    for cell in values["cells"]:
        noise, seed = cell["config"]["noise"], cell["seed"]
        macro = made_report(noise, seed).scores.macro
        scores = cell["scores"]["parallel"]
        for kind in ("monolingual", "crosslingual", "multilingual"):
            assert scores[f"{kind}:AP"] == pytest.approx(macro[kind]["AP"].value)
        assert cell["folder"] == f"cells/noise-{noise:g}/seed-{seed}"
    verdicts = {claim["name"]: claim["verdict"] for claim in values["claims"]}
    assert verdicts == {"less": HOLDS, "more": FAILS, "alike": FAILS}
    less = values["claims"][0]
    assert less["paper"] == [
        {"where": "one task", "figures": [0.7, 0.5], "agrees": True},
        {"where": "another", "figures": [0.5, 0.6], "agrees": False},
    ]
    assert less["ours"]["noise 0.8"] > less["ours"]["noise 1.6"]
    assert values["arms"][3] == {
        "label": "rival", "role": "baseline", "seeds": [""], "languages": [], "x": None,
        "series": "",
    }  # fmt: skip


def test_csv_has_every_value_and_every_pair(report):
    made_of, _ = report
    values = list(csv.DictReader(io.StringIO(values_csv(made_of))))
    assert len(values) == len(made_of.tasks[0].values) == 4 * 20
    first = values[0]
    assert (first["arm"], first["x"], first["role"], first["seeds"]) == (
        "noise 0.8", "0.8", "trained", "3",
    )  # fmt: skip
    assert float(first["value"]) == made_of.tasks[0].values[0].value
    pairs = list(csv.DictReader(io.StringIO(pairs_csv(made_of))))
    assert len(pairs) == 3 * 5
    assert {row["against"] for row in pairs} == {"noise 0.8", "noise 1"}


def test_the_best_arm_is_best_in_the_direction_of_the_figure(report):
    task = report[0].tasks[0]
    best = {figure.text: [each.arm for each in of] for figure, of in best_of(task).items()}
    assert best == {
        "monolingual:AP": ["noise 0.8"], "crosslingual:AP": ["noise 0.8"],
        "multilingual:AP": ["noise 0.8"], "multilingual:rank-distance": ["noise 0.8"],
        "multilingual:same-language": ["noise 1.6"],
    }  # fmt: skip


def test_arms_that_share_the_best_value_are_all_named(report):
    task = report[0].tasks[0]
    own = {value.figure: value.value for value in task.values if value.arm == "noise 0.8"}
    shared = tuple(
        replace(value, value=own[value.figure]) if value.arm == "noise 1" else value
        for value in task.values
    )
    task = replace(task, values=shared)
    by_text = {figure.text: [each.arm for each in of] for figure, of in best_of(task).items()}
    assert by_text["multilingual:AP"] == ["noise 0.8", "noise 1"]
    made_of = replace(report[0], tasks=(task, *report[0].tasks[1:]))
    (said,) = [line for line in reading(made_of) if line.startswith("Of the arms trained here")]
    assert "mAP monolingual with noise 0.8 and noise 1 (" in said


def test_a_report_of_a_part_says_so_and_leaves_claims_untested(tmp_path):
    study = load_study(write_study(tmp_path))
    folder = tmp_path / "done"
    open_folder(study, folder)
    with pytest.raises(DataError, match="no cell of the study is done"):
        study_report(study, folder)
    todo = [job for job in jobs(study, folder, MADE) if "1.6" not in job.name]
    carry_out(todo, "made", quiet=True)
    made_of = study_report(study, folder, draws=100)
    assert made_of.warnings[0] == "Only 6 of 9 models are trained; the others are left out."
    assert [result.name for result in made_of.claims] == ["alike"]
    assert [name for name, _ in made_of.untested] == ["less", "more"]


def test_one_seed_and_other_training_data_are_said(tmp_path):
    study, folder = done_study(tmp_path, STUDY.replace("[1, 2, 3]", "[1]"))
    for number, path in enumerate(folder.glob("cells/*/seed-*")):
        (path / "training.json").write_text(
            json.dumps({"data": {"digest": str(number % 2)}, "pairs_per_second": 10.0 * number,
                        "peak_memory": number, "steps": 5})
        )  # fmt: skip
    made_of = study_report(study, folder, draws=100)
    assert any("one seed" in said for said in made_of.warnings)
    assert "The models were not all trained with the same training data." in made_of.warnings
    assert {cost.steps for cost in made_of.costs} == {5}
    assert {cost.reached for cost in made_of.costs} == {()}
    assert sorted(cost.pairs_per_second for cost in made_of.costs) == [0, 10, 20]
    assert all(result.verdict == "not shown" for result in made_of.claims)
