"""`mlbench trust`, and strangers' folders in which a command is typed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import mlbench, mlbench_process

RUNS = 'import os\nopen(os.environ["MLBENCH_SENTINEL"], "a").close()\n'
RUN = ("run", "--model", "random", "--task", "sample", "--sample-questions", "8", "--quiet")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a stranger's code leaves."""
    path = tmp_path / "ran"
    monkeypatch.setenv("MLBENCH_SENTINEL", str(path))
    return path


@pytest.fixture
def stranger(tmp_path: Path, ran: Path) -> Path:
    """A stranger's folder."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    return folder


def test_trust_is_given_listed_and_withdrawn(stranger):
    (stranger / "model.py").write_text("")
    (stranger / "mlbench.toml").write_text('model = "model.py:make"\n')
    (stranger / "model.toml").write_text('model = "a/b"\ntrust-remote-code = true\n')
    given = mlbench("trust", "mlbench.toml", "model.toml", cwd=stranger)
    assert given.returncode == 0, given.stderr
    assert "model.py" in given.stdout
    assert "a/b" in given.stdout
    listed = json.loads(mlbench("trust", "--json", cwd=stranger).stdout)
    assert listed == [
        {"file": str((stranger / "mlbench.toml").resolve()), "fields": ["model"]},
        {"file": str((stranger / "model.toml").resolve()), "fields": ["trust_remote_code"]},
    ]
    assert "mlbench.toml: model" in mlbench("trust", cwd=stranger).stdout
    (stranger / "model.toml").unlink()
    both = ["trust", "--withdraw", "mlbench.toml", "model.toml"]
    assert mlbench(*both, cwd=stranger).returncode == 0
    assert "no file" in mlbench("trust", cwd=stranger).stdout
    assert mlbench(*both, cwd=stranger).returncode == 2


def test_what_asks_for_nothing_cannot_be_trusted(stranger):
    (stranger / "mlbench.toml").write_text('model = "bm25"\n')
    (stranger / "model.toml").write_text('path = "x"\nallow_pickle = false\n')
    (stranger / "evil.py").write_text(RUNS)
    (stranger / "pyproject.toml").write_text("[project]\n")
    for name in ("mlbench.toml", "model.toml", "evil.py", "pyproject.toml", "absent.toml"):
        done = mlbench("trust", name, cwd=stranger)
        assert (done.returncode, name in done.stderr) == (2, True)
    assert mlbench("trust", "--withdraw", cwd=stranger).returncode == 2
    assert "no file" in mlbench("trust", cwd=stranger).stdout


SHADOWED = ("numpy", "numba", "argparse", "typing", "tomllib", "evil", "scipy", "platformdirs")


def test_modules_of_the_current_folder_stand_in_for_none(stranger, ran):
    for name in SHADOWED:
        (stranger / f"{name}.py").write_text(RUNS)
    made = stranger / "evil-1.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    (made / "entry_points.txt").write_text("[mlbench.adapters]\nevil = evil:make\n")
    done = mlbench_process(*RUN, cwd=stranger)
    assert done.returncode == 0, done.stderr
    (report,) = (stranger / "results").glob("*/sample")
    for spec in ("evil", "python:evil:make"):
        (stranger / "mlbench.toml").write_text(f'model = "{spec}"\n')
        done = mlbench_process("check", "--baseline", report, cwd=stranger)
        assert done.returncode == 2, done.stderr
    listed = mlbench_process("models", "list", cwd=stranger)
    assert "evil" not in listed.stdout
    assert not ran.exists()


class Payload:
    """A pickle that runs code when it is opened."""

    def __reduce__(self) -> Any:
        return (Path.write_text, (Path(os.environ["MLBENCH_SENTINEL"]), "ran"))


PLACE = """
from mlbench.ranking import kernels
for kernel in vars(kernels).values():
    if hasattr(kernel, "_cache"):
        print(kernel._cache._cache_file._index_path)
"""


def test_settings_of_numba_do_not_bring_compiled_code(stranger, ran):
    """Its index of a cache is a pickle, and a file in the current folder says where it lies."""
    settings = stranger / ".numba_config.yaml"
    settings.write_text("cache_dir: compiled\n")
    found = subprocess.run(
        [sys.executable, "-c", PLACE], cwd=stranger, capture_output=True, text=True, check=True
    )
    for line in found.stdout.splitlines():
        path = stranger / line
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(Payload()))
    done = mlbench_process(*RUN, cwd=stranger)
    assert (done.returncode, settings.name in done.stderr) == (2, True)
    assert not ran.exists()
    assert mlbench("trust", settings.name, cwd=stranger).returncode == 0
    if "compiled" in found.stdout:  # where no NUMBA_CACHE_DIR goes before the file
        command = [sys.executable, "-m", "mlbench", *RUN]
        with subprocess.Popen(command, cwd=stranger, stderr=subprocess.DEVNULL) as trusting:
            while trusting.poll() is None and not ran.exists():
                time.sleep(0.05)
            trusting.kill()  # all else would be compiled anew
        assert ran.exists()


def test_settings_of_matplotlib_run_nothing(stranger, ran):
    (stranger / "evil.py").write_text(RUNS)
    (stranger / "matplotlibrc").write_text(
        "backend: module://evil\ntext.usetex: True\n"
        "axes.prop_cycle: cycler('color', [print(file=open('cycled', 'w'))])\n"
    )
    done = mlbench_process(*RUN, cwd=stranger)
    assert done.returncode == 0, done.stderr
    assert not ran.exists()
    assert not (stranger / "cycled").exists()


def test_a_report_names_a_model_that_nothing_runs(stranger, ran, sample_report):
    (stranger / "evil.py").write_text(RUNS)
    here = Path(shutil.copytree(sample_report, stranger / "report"))
    table = json.loads((here / "report.json").read_text(encoding="utf-8"))
    table["model"] |= {"spec": "evil.py:make", "adapter": "file"}
    (here / "report.json").write_text(json.dumps(table), encoding="utf-8")
    for command in (
        ("report", "report"), ("explain", "report"), ("check", "report", "--baseline", "report"),
        ("compare", "report", "report"), ("baseline", "report"),
        ("verify", "report", "--model", "char-ngram", "--sample", "8", "--quiet"),
    ):  # fmt: skip
        mlbench(*command, cwd=stranger)
    assert not ran.exists()
