"""What a file asks to run: refused unless the user's own word covers it, as it is now."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.common.errors import EnvironmentFault, UsageError
from mlbench.common.trust import (
    Demand,
    config_folder,
    is_trusted,
    read_trusted,
    refuse_untrusted,
    trust,
    withdraw,
)

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes of POSIX")


@pytest.fixture
def demand(tmp_path: Path) -> Demand:
    """A file that asks for the code beside it to be run."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "model.toml").write_text("trust_remote_code = true\n")
    (folder / "code.py").write_text("print()\n")
    code = (folder / "code.py",)
    return Demand(folder / "model.toml", "trust_remote_code", "runs code", "give --flag", code)


def test_a_refusal_names_each_file_and_field_and_the_ways_to_give_the_word(demand):
    other = replace(demand, field="allow_pickle")
    with pytest.raises(UsageError) as caught:
        refuse_untrusted([demand, other])
    text = str(caught.value)
    for part in (demand.file, "trust_remote_code", "allow_pickle", "--flag", "MLBENCH_TRUST"):
        assert str(part) in text
    assert f"mlbench trust {demand.file}" in text
    refuse_untrusted([])


def test_the_environment_names_files_and_folders(demand, monkeypatch, tmp_path):
    folder = demand.file.parent
    for given in (folder, demand.file, tmp_path, f"{tmp_path / 'x'}{os.pathsep}{folder}"):
        monkeypatch.setenv("MLBENCH_TRUST", str(given))
        assert is_trusted(demand)
    for given in ("", os.pathsep, tmp_path / "repo", folder / "code.py", tmp_path / "other"):
        monkeypatch.setenv("MLBENCH_TRUST", str(given))
        assert not is_trusted(demand)


@pytest.mark.parametrize("given", [".", "1", "true", "repository", "~"])
def test_what_means_another_folder_everywhere_is_no_word(demand, monkeypatch, given):
    monkeypatch.chdir(demand.file.parent.parent)
    monkeypatch.setenv("MLBENCH_TRUST", given)
    with pytest.raises(UsageError, match="absolute"):
        is_trusted(demand)


def test_a_link_is_the_file_that_it_leads_to(demand, monkeypatch, tmp_path):
    inside = tmp_path / "trusted"
    inside.mkdir()
    (inside / "link.toml").symlink_to(demand.file)
    linked = replace(demand, file=inside / "link.toml")
    monkeypatch.setenv("MLBENCH_TRUST", str(inside))
    assert not is_trusted(linked)
    monkeypatch.setenv("MLBENCH_TRUST", f"{inside}{os.pathsep}{demand.file.parent}")
    assert is_trusted(linked)


@pytest.mark.parametrize("word", ["environment", "list"])
def test_a_strangers_link_to_a_trusted_file_is_not_trusted(demand, monkeypatch, tmp_path, word):
    """What the file names, such as ``path = "checkpoint"``, would be the stranger's."""
    if word == "environment":
        monkeypatch.setenv("MLBENCH_TRUST", str(demand.file.parent))
    else:
        trust([demand])
    assert is_trusted(demand)
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "model.toml").symlink_to(demand.file)
    (strange / "folder").symlink_to(demand.file.parent)
    assert not is_trusted(replace(demand, file=strange / "model.toml"))
    assert is_trusted(replace(demand, file=strange / "folder" / "model.toml"))


def test_trust_holds_until_the_file_or_its_code_changes(demand):
    trust([demand])
    assert is_trusted(demand)
    assert not is_trusted(replace(demand, field="allow_pickle"))
    assert not is_trusted(replace(demand, code=()))
    (code,) = demand.code
    before = code.read_text()
    code.write_text("print(1)\n")
    assert not is_trusted(demand)
    code.write_text(before)
    assert is_trusted(demand)
    demand.file.write_text(demand.file.read_text() + "\n")
    assert not is_trusted(demand)


def test_trust_is_of_one_place_however_it_is_written(demand, monkeypatch):
    trust([demand])
    monkeypatch.chdir(demand.file.parent)
    assert is_trusted(replace(demand, file=Path("model.toml"), code=(Path("code.py"),)))
    copied = demand.file.with_name("copy.toml")
    copied.write_bytes(demand.file.read_bytes())
    assert not is_trusted(replace(demand, file=copied))


def test_trusting_again_replaces_and_withdrawing_forgets(demand):
    trust([demand, replace(demand, field="allow_pickle")])
    place = str(demand.file.resolve())
    assert set(read_trusted()[place]) == {"trust_remote_code", "allow_pickle"}
    trust([demand])
    assert set(read_trusted()[place]) == {"trust_remote_code"}
    demand.file.unlink()
    withdraw([demand.file])
    assert read_trusted() == {}
    with pytest.raises(UsageError, match="not trusted"):
        withdraw([demand.file])


@posix
def test_a_list_that_others_may_write_is_not_believed(demand):
    trust([demand])
    path = config_folder() / "trusted.json"
    assert path.stat().st_mode & 0o077 == 0
    for each, mode in ((path, 0o622), (path, 0o660), (path.parent, 0o777)):
        before = each.stat().st_mode
        each.chmod(mode)
        with pytest.raises(EnvironmentFault, match="yours alone"):
            is_trusted(demand)
        each.chmod(before)
    assert is_trusted(demand)


@posix
def test_a_loose_umask_leaves_no_door_open(demand, monkeypatch, tmp_path):
    monkeypatch.setenv("MLBENCH_CONFIG", str(tmp_path / "new" / "folder"))
    before = os.umask(0)
    try:
        trust([demand])
    finally:
        os.umask(before)
    assert is_trusted(demand)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", '{"schema": 1, "files": {}}',
     json.dumps({"schema": "mlbench/trusted/1", "files": [1]}),
     json.dumps({"schema": "mlbench/trusted/1", "files": {"/x": 3}})],
)  # fmt: skip
def test_a_broken_list_is_said_and_trusts_nothing(demand, content):
    trust([demand])
    (config_folder() / "trusted.json").write_text(content)
    with pytest.raises(EnvironmentFault, match="broken"):
        is_trusted(demand)


def test_a_relative_folder_of_settings_is_none(demand, monkeypatch, tmp_path):
    """Without a home the system's answer is "~/.config", which any folder could hold."""
    trust([demand])
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (config_folder() / "trusted.json").rename(stranger / "trusted.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLBENCH_CONFIG", "stranger")
    assert not is_trusted(demand)
    with pytest.raises(EnvironmentFault, match="MLBENCH_CONFIG"):
        trust([demand])
