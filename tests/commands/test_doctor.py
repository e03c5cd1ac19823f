import json
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from mlbench import __version__
from mlbench.commands import doctor
from mlbench.commands.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def facts(capsys, monkeypatch, tmp_path):
    def run(*options, **environment):
        monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
        for name in (*doctor.PATHS, *doctor.WORDS, *doctor.HIDDEN):
            if name != "MLBENCH_CACHE":
                monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert main(["doctor", *options]) == 0
        return capsys.readouterr().out

    return run


def test_what_is_said_is_what_is_installed(facts):
    found = json.loads(facts("--json"))
    assert found["mlbench"] == __version__
    assert found["packages"]["numpy"] == np.__version__
    assert found["machine"]["usable"] <= found["machine"]["cores"]
    assert "sample" in found["data"]["whole"]
    assert found["cache"]["bytes"] == {}
    assert found["extras"]["sentence-transformers"]["missing"] == []


def test_every_extra_has_its_purpose():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {*doctor.GIVES} == {*project["optional-dependencies"]}


def test_what_an_extra_lacks_is_named(facts, monkeypatch):
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "peft" else known(name))
    extras = json.loads(facts("--json"))["extras"]
    assert [need.split(">")[0] for need in extras["peft"]["missing"]] == ["peft"]
    assert extras["onnx"]["missing"] == []
    # an extra that takes in another lacks what that one lacks
    assert any(need.startswith("peft") for need in extras["test"]["missing"])


def test_too_old_a_package_is_missing(facts, monkeypatch):
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda n: "0.1" if n == "onnxruntime" else known(n))
    assert json.loads(facts("--json"))["extras"]["onnx"]["missing"][0].startswith("onnxruntime>=")


def test_versions_that_are_not_allowed_are_said_with_what_mends_them(facts, monkeypatch):
    assert json.loads(facts("--json"))["unsuited"] == []
    assert "This command mends it" not in facts()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    allowed = {
        Requirement(line).name: str(Requirement(line).specifier)
        for line in (*project["dependencies"], *extras["onnx"], *extras["ray"])
    }
    old = {"numpy": "1.26.4", "onnxruntime": "1.1", "tokenizers": "0.1.0", "ray": None}
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: old.get(name, known(name)))
    by = {"numpy": [], "onnxruntime": ["onnx", "test"], "tokenizers": ["onnx", "test", "train"]}
    assert json.loads(facts("--json"))["unsuited"] == [
        {"package": name, "found": old[name], "needed": allowed[name], "extras": extras}
        for name, extras in by.items()
    ]
    shown = facts(MLBENCH_CACHE="/no/cache")
    lines = [line for line in shown.splitlines() if not line.startswith("  pip install")]
    assert max(map(len, lines)) <= 80
    said = " ".join(shown.split())
    assert f"numpy 1.26.4 is installed, but mlbench needs {allowed['numpy']}." in said
    assert "onnxruntime 1.1 is installed, but the extras onnx and test need" in said
    mend = f"pip install 'numpy{allowed['numpy']}' 'onnxruntime{allowed['onnxruntime']}'"
    assert mend in said


def test_the_cache_is_measured(facts, tmp_path):
    (tmp_path / "cache" / "embeddings").mkdir(parents=True)
    (tmp_path / "cache" / "embeddings" / "a").write_bytes(b"x" * 2048)
    assert json.loads(facts("--json"))["cache"]["bytes"] == {"embeddings": 2048}
    assert "embeddings 2.00 KiB" in facts()


def test_no_secret_is_shown(facts):
    secret = "sk-very-secret"
    shown = facts(HF_TOKEN=secret, OPENAI_API_KEY=secret, HTTPS_PROXY=f"http://me:{secret}@proxy")
    assert secret not in shown
    assert secret not in facts("--json", HF_TOKEN=secret)
    assert "HF_TOKEN is set" in " ".join(shown.split())


def test_wrong_settings_are_said_and_do_not_stop_it(facts):
    shown = " ".join(facts(MLBENCH_DATA="/no/such", MLBENCH_CACHE_SIZE="much").split())
    assert "data folder /no/such: no such folder" in shown
    assert "MLBENCH_CACHE_SIZE" in shown


def test_it_fits_on_a_screen(facts):
    lines = facts(MLBENCH_CACHE="/no/cache").splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80


def test_the_package_is_the_one_that_is_released():
    assert metadata(doctor.DISTRIBUTION)["Version"] == __version__


def test_a_cache_that_changes_or_may_not_be_read(facts, monkeypatch, tmp_path):
    part = tmp_path / "cache" / "embeddings"
    part.mkdir(parents=True)
    (part / "held").write_bytes(b"1234")
    (part / "gone").symlink_to("nowhere")  # as a file that is removed while sizes are added up
    assert json.loads(facts("--json"))["cache"]["bytes"] == {"embeddings": 4}

    def refused(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.os, "scandir", refused)
    assert "cannot be read: Permission denied" in " ".join(facts().split())


def test_a_wrong_size_is_told_on_its_line(facts):
    line = " ".join(facts(MLBENCH_CACHE_SIZE="banana").split())
    assert "embeddings MLBENCH_CACHE_SIZE: 'banana' is not a size such as 500M or 20G;" in line


def test_what_is_missing_is_not_broken_at_hyphens(facts, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    lines = facts().partition("\n\n")[2].splitlines()
    assert not [line for line in lines if line.endswith("-")]
    assert max(map(len, lines)) <= 80
