from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlbench.commands.cli import main
from mlbench.common.errors import DataError, EnvironmentFault, IntegrityError, UsageError
from mlbench.training.studies.form import studies_folder
from mlbench.training.studies.plan import load_study
from mlbench.training.studies.work import check_arms
from tests.training.studies.test_work import OPTIONS, STUDY

pytest.importorskip("sentence_transformers")


CLAIM = (
    '[claims.mixed]\nsays = "Mixed batches are better across languages."\n'
    'figure = "crosslingual:AP"\narm = "alpha 0"\nthan = ["alpha 1"]\n'
)


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(STUDY + CLAIM)
    return path


@pytest.fixture
def undrawn(monkeypatch) -> None:
    monkeypatch.setattr("mlbench.training.studies.page.study_plots", lambda report: [])


def study(*arguments: object) -> int:
    return main(["study", *map(str, arguments), "--offline", "--quiet"])


def test_a_study_trains_reports_goes_on_and_refuses_another(file, capsys):
    assert study(file) == 0
    printed = capsys.readouterr().out
    assert "on sample: Mixed batches are better across languages." in printed
    assert printed.rstrip().endswith("page: study-results/small/study.html")
    cells = sorted(Path("study-results").rglob("cell.json"))
    assert len(cells) == 5
    before = [path.stat().st_mtime_ns for path in cells]
    assert study(file, "--set", "steps=7") == IntegrityError.exit_code
    assert "holds the study 'small' with other training" in capsys.readouterr().err
    assert study(file, "--seeds", "1,2,3", "--json") == 0
    assert [path.stat().st_mtime_ns for path in cells] == before
    assert len(list(Path("study-results").rglob("cell.json"))) == 7
    values = json.loads(capsys.readouterr().out)
    assert values["study"] == "small"
    assert len(values["cells"]) == 6
    assert values["claims"][0]["verdict"] in ("holds", "does not hold", "not shown")
    assert values["cells"][0]["training"]["steps"] == 4


def test_parts_of_a_study_add_up(file, capsys, undrawn, monkeypatch):
    one = (file, "--seeds", "1")
    assert study(*one, "--shard", "1/2") == 0
    assert "2 of all 3 models are" in capsys.readouterr().out
    assert not Path("study-results/small/study.html").exists()
    assert study(*one, "--report") == 0
    assert "1 of 2 models is trained" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr(
        "mlbench.commands.study.study_figures",
        lambda report, formats, columns: {f"{columns}.{form}": b"" for form in formats},
    )
    assert study(*one, "--shard", "2/2", "--figures", "pdf,png", "--columns", "2") == 0
    assert "page: " in capsys.readouterr().out
    drawn = {path.name for path in Path("study-results/small/figures").iterdir()}
    assert drawn == {"2.pdf", "2.png"}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(file, capsys):
    assert study(file, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "4 models would be trained and evaluated on sample" in printed
    assert "at 4,000 pairs a second" in printed
    assert not Path("study-results").exists()
    assert study(file, "--dry-run", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["arms"][0] == {"arm": "alpha 0", "models": 2, "done": 0, "steps": 4}


def test_fields_can_be_set(file, capsys):
    assert study(file, "--dry-run", "--set", "steps=7", "--set", "alpha=[0, 0.5, 1]") == 0
    assert "6 models" in capsys.readouterr().out
    assert study(file, "--set", "nothing=7") == UsageError.exit_code
    assert "mlbench: error: option nothing: unknown field" in capsys.readouterr().err
    assert study(file, "--set", "alpha=1") == DataError.exit_code
    assert "field grid.alpha: 1" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--set", "steps"), ("--seeds", "1,1"), ("--shard", "3/2")])
def test_options_that_cannot_be_are_refused(file, option):
    with pytest.raises(SystemExit) as ended:
        study(file, *option)
    assert ended.value.code == UsageError.exit_code


@pytest.mark.parametrize("name", [path.stem for path in studies_folder().glob("*.toml")])
def test_the_studies_that_come_with_mlbench_can_be_trained(name):
    plan = load_study(name)
    assert plan.form.question.strip().endswith("?")
    assert plan.form.claims
    check_arms(plan, OPTIONS, data=True)


def test_a_fault_that_all_arms_share_is_said_once(file, capsys):
    assert study(file, "--set", "stepz=7", "--dry-run") == UsageError.exit_code
    said = capsys.readouterr().err
    assert said.count("stepz: unknown field") == 1
    assert "alpha 0: " not in said


def test_a_library_that_lacks_is_said_before_overlap_is_counted(file, capsys, monkeypatch):
    monkeypatch.setattr("mlbench.training.base.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("mlbench.commands.study.measured_overlap", None)
    assert study(file) == EnvironmentFault.exit_code
    assert "training: not installed: sentence-transformers" in capsys.readouterr().err
