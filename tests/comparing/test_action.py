"""The GitHub Action: its step is taken from action.yml and run in a made-up model repository."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from mlbench.common.forms import settings_of
from mlbench.comparing.config import GateConfig
from tests.support.model_repository import run, write_model

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="needs bash"
)


@pytest.fixture(scope="module")
def action() -> dict:
    return yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


@pytest.fixture
def repository(model_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_repository, tmp_path / "repository"))


def test_the_inputs_are_the_settings_of_a_check_and_how_it_is_run(action):
    settings = {row.flag.removeprefix("--") for row in settings_of(GateConfig)}
    own = {"config", "working-directory", "install", "trust"}
    assert set(action["inputs"]) == (settings - {"output"}) | own


def run_step(action: dict, repository: Path, **inputs: str) -> tuple[int, str, str, str]:
    """Run the step as GitHub does; return exit code, output, outputs file and summary."""
    step = next(s for s in action["runs"]["steps"] if s.get("id") == "check")
    values = {name: str(spec["default"]) for name, spec in action["inputs"].items()} | {
        name.replace("_", "-"): value for name, value in inputs.items()
    }
    environment = {
        key: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda m: values[m[1]], text)
        for key, text in step["env"].items()
    }
    files = {name: repository / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("")
    binaries = str(Path(sys.executable).parent)
    environment |= {name: str(path) for name, path in files.items()}
    environment |= {"RUNNER_TEMP": str(repository), "PATH": f"{binaries}:/usr/bin:/bin"}
    script = repository / "step.sh"
    script.write_text(step["run"])
    done = run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        repository / values["working-directory"],
        **environment,
    )
    outputs, summary = (path.read_text(encoding="utf-8") for path in files.values())
    return done.returncode, done.stdout + done.stderr, outputs, summary


def test_pass_regressed_and_a_missing_baseline(action, repository):
    code, text, outputs, summary = run_step(action, repository, trust="true")
    assert code == 0, text
    assert "verdict=pass" in outputs
    assert summary.startswith("### ✅ mlbench: pass")
    folder = Path(re.search("folder=(.*)", outputs)[1])
    assert {p.name for p in folder.iterdir()} >= {"check.json", "check.md", "check.xml"}

    write_model(repository, buckets=6)
    code, text, outputs, summary = run_step(action, repository, trust="true")
    assert code == 1, text
    assert "verdict=regressed" in outputs
    assert "❌" in summary

    code, text, outputs, summary = run_step(
        action, repository, trust="true", baseline="none.parquet"
    )
    assert code == 3, text
    assert "verdict" not in outputs
    assert "could not be made (exit code 3)" in summary


def test_the_configuration_s_code_runs_only_where_the_workflow_says_so(action, repository):
    (repository / "model.py").write_text('open("ran", "w").close()\n')
    for given in ({}, {"trust": "false"}, {"trust": ""}, {"trust": "model.py"}):
        code, text, outputs, _ = run_step(action, repository, **given)
        assert code == 2, text
        assert "MLBENCH_TRUST" in text
        assert "verdict" not in outputs
        assert not (repository / "ran").exists()
    write_model(repository)
    code, text, _, _ = run_step(action, repository, model="model.py:make")
    assert code == 0, text


def test_inputs_become_arguments_and_are_never_run(action, repository):
    write_model(repository, buckets=6)
    code, text, outputs, _ = run_step(
        action, repository, trust="true", margin="1", measures="R@10 RR", strict="true"
    )
    assert code == 0, text
    assert "verdict=pass" in outputs
    assert "R@10" in text
    code, text, _, _ = run_step(action, repository, model="$(touch owned); touch owned2 #")
    assert code == 2, text
    code, text, _, _ = run_step(action, repository, report="--help", measures="* $(touch owned)")
    assert code in {2, 3}, text
    assert not list(repository.glob("owned*"))


def test_inputs_reach_scripts_by_the_environment_only(action):
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])


def test_the_documented_workflow_is_valid_pinned_and_uses_inputs_that_exist(action):
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", page, re.S):
        steps = [s for job in yaml.safe_load(block)["jobs"].values() for s in job["steps"]]
        own = [s for s in steps if "mlbench@" in s.get("uses", "")]
        assert own
        for step in own:
            assert set(step.get("with", {})) <= set(action["inputs"])
        for step in steps:
            if "uses" in step and step not in own:
                assert re.search(r"@[0-9a-f]{40}$", step["uses"]), step["uses"]
            assert "${{ inputs" not in step.get("run", "")
