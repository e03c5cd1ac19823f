"""The workflow treats all that a pull request brings as data."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / ".github" / "workflows"


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    table: dict[Any, Any] = yaml.safe_load((FOLDER / "leaderboard.yml").read_text())
    return table


@pytest.fixture(scope="module")
def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    (job,) = workflow["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def test_it_runs_for_pull_requests_only_and_can_only_read(workflow: dict[Any, Any]) -> None:
    # YAML 1.1 reads the key "on" as true
    assert workflow[True] == {"pull_request": {"paths": ["leaderboards/**"]}}
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert "permissions" not in job
    assert job["timeout-minutes"] <= 30


def test_it_knows_no_secret_and_puts_no_text_of_a_pull_request_into_a_script(
    steps: list[dict[str, Any]],
) -> None:
    text = (FOLDER / "leaderboard.yml").read_text()
    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert not any("${{" in step.get("run", "") for step in steps)
    expressions = set(re.findall(r"github\.event\.[\w.]+", text))
    assert expressions == {"github.event.pull_request.author_association"}


def test_neither_checkout_keeps_credentials(steps: list[dict[str, Any]]) -> None:
    checkouts = [s["with"] for s in steps if s.get("uses", "").startswith("actions/checkout@")]
    assert [checkout["path"] for checkout in checkouts] == ["pr", "base"]
    assert all(checkout["persist-credentials"] is False for checkout in checkouts)


def test_nothing_of_the_pull_request_is_run_or_installed(steps: list[dict[str, Any]]) -> None:
    scripts = [step["run"] for step in steps if "run" in step]
    (install,) = [script for script in scripts if "pip" in script]
    assert install == "python -m pip install -c base/constraints.txt ./base"
    of_pr = [line.strip() for s in scripts for line in s.splitlines() if re.search(r"\bpr\b", line)]
    assert len(of_pr) == 3
    assert all(
        re.match(r'(echo "sha=\$\(|if ! )?git -C pr (rev-parse|diff) ', line)
        or line.startswith("mlbench leaderboard validate pr/leaderboards --base base/leaderboards")
        for line in of_pr
    )
    assert not any("working-directory" in step for step in steps)


def test_its_actions_are_those_of_the_tests(steps: list[dict[str, Any]]) -> None:
    tests = yaml.safe_load((FOLDER / "test.yml").read_text())["jobs"]["test"]["steps"]
    pinned = {step["uses"] for step in tests if "uses" in step}
    assert {step["uses"] for step in steps if "uses" in step} <= pinned


@pytest.mark.skipif(os.name != "posix" or not shutil.which("git"), reason="git and a shell")
def test_files_outside_the_leaderboard_are_refused(
    steps: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The step itself, run on a merge commit as the checkout makes it."""
    (script,) = [step["run"] for step in steps if step.get("name") == "Nothing but entries"]
    (find,) = [step["run"] for step in steps if step.get("id") == "base"]
    repository = tmp_path / "pr"

    def git(*arguments: str) -> str:
        names = (
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "-c",
            "commit.gpgsign=false",
        )
        return subprocess.run(
            ["git", "-C", repository, *names, *arguments],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    def commit(path: str, content: str) -> None:
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(content)
        git("add", "-A")
        git("commit", "-m", "a change")

    def run(script: str) -> int:
        given = os.environ | {"GITHUB_OUTPUT": str(tmp_path / "output")}
        return subprocess.run(
            ["bash", "-e", "-c", script], cwd=tmp_path, env=given, capture_output=True, check=False
        ).returncode

    repository.mkdir()
    git("init", "-b", "main")
    commit("README.md", "one")
    base = git("rev-parse", "HEAD")
    git("switch", "-c", "entry")
    commit("leaderboards/task/model/entry.json", "{}")
    git("switch", "main")
    git("merge", "--no-ff", "-m", "merge", "entry")
    assert run(find) == 0
    assert (tmp_path / "output").read_text() == f"sha={base}\n"
    assert run(script) == 0
    git("switch", "entry")
    commit("mlbench/leaderboard/checking/validate.py", "print('in order')")
    git("switch", "main")
    git("reset", "--hard", base)
    git("merge", "--no-ff", "-m", "merge", "entry")
    assert run(script) == 3


@pytest.fixture(scope="module")
def pages() -> dict[Any, Any]:
    table: dict[Any, Any] = yaml.safe_load((FOLDER / "pages.yml").read_text())
    return table


def test_pages_are_validated_before_they_are_built_and_only_the_last_job_may_publish(
    pages: dict[Any, Any],
) -> None:
    assert pages["permissions"] == {"contents": "read", "pages": "read"}
    assert pages["concurrency"] == {"group": "pages", "cancel-in-progress": False}
    build, publish = (pages["jobs"][name] for name in ("build", "publish"))
    assert "permissions" not in build
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert [list(step) for step in publish["steps"]] == [["id", "uses"]]
    runs = [step["run"] for step in build["steps"] if "run" in step]
    order = ["leaderboard validate", "mkdocs build --strict", "curl", "leaderboard build"]
    places = [next(i for i, run in enumerate(runs) if said in run) for said in order]
    assert places == sorted(places)
    assert not any("${{" in run for run in runs)
    (checkout,) = [s for s in build["steps"] if s.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"] == {"persist-credentials": False}
    (upload,) = [s for s in build["steps"] if "upload-pages" in s.get("uses", "")]
    assert f"--output {upload['with']['path']}/leaderboard " in runs[-1]  # all of it, the feed too


def test_pull_requests_build_the_documentation_and_look_at_it() -> None:
    table = yaml.safe_load((FOLDER / "test.yml").read_text())
    assert "pull_request" in table[True]
    runs = [step.get("run", "") for step in table["jobs"]["docs"]["steps"]]
    assert runs[-2:] == ["mkdocs build --strict", "pytest tests/test_site.py"]


def test_pages_can_be_published_though_the_published_board_cannot_be_read(
    pages: dict[Any, Any],
) -> None:
    assert pages[True]["workflow_dispatch"]["inputs"]["fresh"]["default"] is False
    steps = pages["jobs"]["build"]["steps"]
    (got,) = [step for step in steps if "curl" in step.get("run", "")]
    (built,) = [step for step in steps if "leaderboard build" in step.get("run", "")]
    assert got["if"] == "${{ !inputs.fresh }}"
    assert "if [ -f previous/leaderboard.json ]" in built["run"]
    assert '--address "https://${BASE#*://}/leaderboard"' in built["run"]
    assert built["env"] == got["env"]
