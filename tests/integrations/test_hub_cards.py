"""Pull requests on the hub, against a server on this machine that speaks its language."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from mlbench.common.errors import EnvironmentFault
from mlbench.reports import plots
from tests.support.command_line import Done
from tests.support.command_line import mlbench as run
from tests.support.hub_of_models import COMMIT, Hub, serving
from tests.support.reports import example

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUv"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "PLOTS", {})
        example()[0].save(folder / "report")
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub._commit_api.is_xet_available", lambda: False)
    with serving(Hub()) as found:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", found.address)
        template = f"{found.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        yield found


def push(work: Path, *more: str, name: str = "me/my-model", picture: bool = False) -> Done:
    found = run("card", "report", "--push", name, *more, cwd=work, plots=picture)
    assert TOKEN not in found.stdout + found.stderr
    return found


def test_a_pull_request_has_the_files_and_the_hub_s_own_card(work: Path, hub: Hub) -> None:
    found = push(work, picture=True)
    assert found.returncode == 0, found.stderr
    assert f"pull request: {hub.address}/me/my-model/discussions/7" in found.stdout
    assert sorted(hub.files) == [
        *(".eval_results/mlbench-parallel.yaml", "README.md", "mlbench/parallel.png")
    ]
    assert hub.parent == COMMIT
    text = hub.files["README.md"].decode()
    assert text.startswith("---\nlicense: mit\nmodel-index:\n")
    assert "\n---\n# Mine\n" in text
    assert len(ModelCard(text).data.eval_results) == 19
    assert hub.files["mlbench/parallel.png"].startswith(b"\x89PNG")
    assert f"Bearer {TOKEN}" in hub.tokens
    assert sorted(path.name for path in work.iterdir()) == ["report"]


def test_a_model_without_a_card_gets_one(work: Path, hub: Hub) -> None:
    hub.card = None
    assert push(work).returncode == 0
    assert "# some-model\n" in hub.files["README.md"].decode()


def test_a_dry_run_opens_none(work: Path, hub: Hub) -> None:
    found = push(work, "--dry-run")
    assert found.returncode == 0, found.stderr
    assert " # Mine" in found.stdout.splitlines()
    assert hub.pull_requests == 0


def test_a_broken_card_on_the_hub_is_refused(work: Path, hub: Hub) -> None:
    hub.card = b"---\na: b: c\n---\n"
    found = push(work)
    assert (found.returncode, hub.pull_requests) == (3, 0)
    assert "me/my-model, README.md, line 2: its YAML cannot be read" in found.stderr


@pytest.mark.parametrize("at", ["/api/models/me/my-model", "/preupload/", "/commit/"])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the hub does not know you, or there is no such model (HTTP 401)"),
        (403, "the hub does not let you do this (HTTP 403)"),
        (404, "there is no such model, or you may not see it (HTTP 404)"),
        (0, "the hub cannot be reached"),
    ],
)
def test_what_the_hub_refuses_is_told_without_the_token(
    at: str, status: int, said: str, work: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.at, hub.status = at, status
    found = push(work)
    assert (found.returncode, hub.pull_requests) == (5, 0), found.stderr
    assert said in found.stderr
    assert "the model me/my-model on the hub" in found.stderr


def test_no_traceback_has_the_token(work: Path, hub: Hub) -> None:
    hub.at, hub.status = "/commit/", 403
    with pytest.raises(EnvironmentFault) as caught:
        push(work, "--debug")
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_card_that_the_hub_finds_fault_with(work: Path, hub: Hub) -> None:
    hub.at, hub.status = "/api/validate-yaml", 400
    found = push(work)
    assert found.returncode == 3
    assert re.search(r"the hub refuses the card: .*bad key, \*\*\*", found.stderr)


def test_a_hub_that_is_not_there(work: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = push(work)
    assert found.returncode == 5
    assert "the hub cannot be reached" in found.stderr


def test_a_hub_that_may_not_be_asked(work: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = push(work)
    assert found.returncode == 5
    assert "unset HF_HUB_OFFLINE" in found.stderr
    assert not hub.tokens


def test_a_name_that_no_model_can_have(work: Path, hub: Hub) -> None:
    found = push(work, name="a/b/c")
    assert found.returncode == 2
    assert "a model of the hub, OWNER/NAME" in found.stderr
    assert not hub.tokens


def test_a_folder_and_the_hub_at_once(work: Path, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Another text\n")
    assert push(work, "--to", str(tmp_path)).returncode == 0
    assert "# Another text" in (tmp_path / "README.md").read_text()
    assert "# Mine" in hub.files["README.md"].decode()
