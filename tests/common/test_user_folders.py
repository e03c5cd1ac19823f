"""Folders where there is no home: they are found by all that need one, and nobody else's."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
import pytest

import mlbench
from mlbench.common.files import cache_folder
from mlbench.common.user_folders import BASES, LIBRARIES, lend_folders, temporary_folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder of temporary files; nothing says where files are kept."""
    for name in ("MLBENCH_CACHE", *BASES.values(), *LIBRARIES):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    temporary_folder.cache_clear()
    yield tmp_path / "temporary"
    temporary_folder.cache_clear()


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent/home"])
def test_without_a_home_the_cache_and_libraries_use_a_temporary_folder(place, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    assert place in cache_folder().parents
    lend_folders()
    for name in LIBRARIES:
        assert place in Path(os.environ[name]).parents


def test_one_whom_the_system_does_not_know_has_no_home(place, monkeypatch):
    def unknown():
        raise RuntimeError("no home")

    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(Path, "home", unknown)
    assert place in cache_folder().parents
    lend_folders()
    assert os.environ.keys() >= LIBRARIES.keys()


def test_with_a_home_nothing_changes(tmp_path, place, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in cache_folder().parents
    assert place not in cache_folder().parents
    lend_folders()
    assert not LIBRARIES.keys() & os.environ.keys()
    assert not list(place.iterdir())


def test_a_home_whose_cache_cannot_be_written_has_a_temporary_one(tmp_path, place, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cache").touch()
    assert place in cache_folder().parents
    lend_folders()
    assert {"NUMBA_CACHE_DIR", "MPLCONFIGDIR"} == LIBRARIES.keys() & os.environ.keys()


def test_what_the_environment_names_is_used(tmp_path, place, monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null")
    for base, variable in BASES.items():
        monkeypatch.setenv(variable, str(tmp_path / "later" / base))
    monkeypatch.setenv("IR_DATASETS_HOME", "mine")
    lend_folders()
    assert os.environ["IR_DATASETS_HOME"] == "mine"
    assert not {"NUMBA_CACHE_DIR", "MPLCONFIGDIR"} & os.environ.keys()
    assert cache_folder() == tmp_path / "later" / ".cache" / "mlbench"
    monkeypatch.setenv("MLBENCH_CACHE", "here")
    assert cache_folder() == Path("here")


def test_a_stranger_s_folder_is_never_taken_for_the_user_s(place, monkeypatch):
    """Where nothing else can be written, temporary files go to the current folder; and a user
    whom the system does not know has the home "~", which any folder may hold."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    (place / f"mlbench-{user}").mkdir(mode=0o700)
    monkeypatch.chdir(place)
    folder = temporary_folder()
    assert folder.parent == place
    assert folder.name != f"mlbench-{user}"
    (place / "~" / "mlbench").mkdir(parents=True)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name, **_: f"~/{name}")
    assert cache_folder() == folder / "cache"


def test_the_folder_is_found_again_and_of_its_user_alone(place):
    folder = temporary_folder()
    temporary_folder.cache_clear()
    assert folder == temporary_folder()
    assert folder.parent == place
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "open to all"])
def test_a_folder_that_another_may_have_made_is_not_used(tmp_path, place, kind):
    taken = temporary_folder()
    taken.rmdir()
    temporary_folder.cache_clear()
    if kind == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        taken.symlink_to(tmp_path / "theirs")
    elif kind == "file":
        taken.touch()
    else:
        taken.mkdir()
        taken.chmod(0o777)
    folder = temporary_folder()
    assert folder != taken
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_there_is_no_temporary_folder_nothing_is_named(monkeypatch):
    def nowhere():
        raise FileNotFoundError(errno.ENOENT, "no usable temporary directory")

    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    lend_folders()
    assert not LIBRARIES.keys() & os.environ.keys()


LIBRARY = """
import numba

@numba.njit(cache=True)
def double(number):
    return 2 * number
"""
COMPILED = """
import numpy as np
import mlbench; mlbench.compare
import mlbench.ranking.kernels, mlbench.ranking.tile_kernels
from mlbench.comparing.pair_kernels import count_below
import library
print(count_below(np.array([[1.0], [2.0]]), np.ones((2, 2), bool), 0.0).tolist())
print(library.double(21))
"""


@pytest.fixture
def installed(tmp_path):
    """A folder with mlbench and a library of its own compiled code, where neither can keep it: a
    file where numba would make a folder keeps out even the superuser."""
    folder = tmp_path / "installed"
    source = Path(mlbench.__file__).parent
    shutil.copytree(source, folder / "mlbench", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "library").mkdir()
    (folder / "library" / "__init__.py").write_text(LIBRARY)
    for inside in [path for path in folder.rglob("*") if path.is_dir()]:
        (inside / "__pycache__").touch()
    return folder


def run(folder, *arguments, **environment):
    """Run Python with what is installed in a folder, without a home."""
    taken = {"HOME": "/dev/null", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=dict(os.environ) | taken | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_compiled_code_of_ours_and_of_libraries_is_kept_in_a_temporary_folder(installed, place):
    def files():
        return {path: path.stat().st_mtime_ns for path in place.rglob("*.nbc")}

    for _ in range(2):
        done = run(installed, "-c", COMPILED, TMPDIR=str(place))
        assert done.stdout.splitlines() == ["[[0, 1], [0, 0]]", "42"], done.stderr
        kept = files()
    assert len(kept) == 2
    assert run(installed, "-c", COMPILED, TMPDIR=str(place)).returncode == 0
    assert files() == kept


def test_compiled_code_that_can_be_kept_nowhere_is_the_fault_of_the_environment(installed):
    script = (
        "import sys, tempfile\n"
        "def nowhere(): raise FileNotFoundError(2, 'no usable temporary directory')\n"
        "tempfile.gettempdir = nowhere\n"
        "from mlbench.commands.cli import main\n"
        "open('one', 'w').write('q Q0 p 1 1 t')\n"
        "sys.exit(main(['fuse', 'one', 'one', '--output', 'fused', '--method', 'sum']))"
    )
    done = run(installed, "-c", script)
    assert "no folder for compiled code can be written; name one in TMPDIR" in done.stderr
    assert done.returncode == 5
