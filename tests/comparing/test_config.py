"""A configuration of the check that names code: it runs at the user's own word only."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.common.errors import UsageError
from mlbench.comparing.config import chosen_config, demands_of
from tests.support.command_line import mlbench

CODE = """
import os
open(os.environ["MLBENCH_SENTINEL"], "w").close()
def make():
    raise SystemExit
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's repository: its code leaves the file ``ran``."""
    folder = tmp_path / "stranger"
    (folder / "below").mkdir(parents=True)
    for place in (folder, folder / "below", tmp_path):
        (place / "evil.py").write_text(CODE)
    monkeypatch.setenv("MLBENCH_SENTINEL", str(tmp_path / "ran"))
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture(scope="module")
def small_report(model_repository: Path) -> Path:
    """The folder of a saved report."""
    return model_repository / "results" / "numbers" / "mine"


SPECS = (
    "evil.py:make", "./evil.py:make", "below/evil.py:make", "below/../evil.py:make",
    "../evil.py:make", "python:evil:make", "python:below.evil:make", "evil.py:make.deeper",
)  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("file", ["mlbench.toml", "pyproject.toml", "other.toml"])
def test_code_named_by_a_file_does_not_run(stranger, small_report, tmp_path, file, spec):
    table = "[tool.mlbench]\n" if file == "pyproject.toml" else ""
    (stranger / file).write_text(f'{table}model = "{spec}"\n')
    named = ["--config", file] if file == "other.toml" else []
    done = mlbench("check", *named, "--baseline", small_report, cwd=stranger)
    assert done.returncode == 2
    assert file in done.stderr
    assert "model" in done.stderr
    assert "mlbench trust" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_an_absolute_path_and_a_link_are_code_too(stranger, small_report, tmp_path):
    (stranger / "link.py").symlink_to(tmp_path / "evil.py")
    for spec in (f"{tmp_path.as_posix()}/evil.py:make", "link.py:make"):
        (stranger / "mlbench.toml").write_text(f'model = "{spec}"\n')
        done = mlbench("check", "--baseline", small_report, cwd=stranger)
        assert done.returncode == 2
        assert not (tmp_path / "ran").exists()


def test_flags_for_neural_models_are_no_word_for_other_code(stranger, small_report, tmp_path):
    (stranger / "mlbench.toml").write_text('model = "evil.py:make"\n')
    given = ["--trust-remote-code", "--allow-pickle", "--baseline", small_report]
    assert mlbench("check", *given, cwd=stranger).returncode == 2
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("spec", ["bm25", "random:3", "sentence-transformers:x.py:make", "a/b"])
def test_what_names_no_code_needs_no_word(tmp_path, spec):
    file = tmp_path / "mlbench.toml"
    file.write_text(f'model = "{spec}"\n')
    assert demands_of(file) == []
    assert chosen_config(tmp_path).model == spec


def test_the_user_s_own_model_or_report_is_the_word(stranger):
    (stranger / "mlbench.toml").write_text('model = "evil.py:make"\nmargin = 0.25\n')
    with pytest.raises(UsageError):
        chosen_config(stranger, margin=0.5)
    assert chosen_config(stranger, model="evil.py:make").model == "evil.py:make"
    assert chosen_config(stranger, report="r").model is None
    assert chosen_config(stranger, model="bm25").margin == 0.25


@pytest.mark.parametrize("place", ["..", "../elsewhere", "below/../../x", "link", "{absolute}"])
def test_nothing_is_written_outside_the_folder_of_the_file(stranger, small_report, tmp_path, place):
    (stranger / "link").symlink_to(tmp_path)
    place = place.format(absolute=(tmp_path / "absolute").as_posix())
    (stranger / "mlbench.toml").write_text(
        f'report = "{small_report.as_posix()}"\noutput = "{place}"\n'
    )
    before = sorted(tmp_path.iterdir())
    done = mlbench("check", "--baseline", small_report, cwd=stranger)
    assert (done.returncode, "field output" in done.stderr) == (2, True)
    assert sorted(tmp_path.iterdir()) == before
    for word in (["--output", "own"], ["--config", "mlbench.toml", "--output", "../own"]):
        done = mlbench("check", "--baseline", small_report, *word, cwd=stranger)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "own" / "check.json").exists()


def test_a_folder_beside_the_file_is_written_to(stranger, small_report):
    text = f'report = "{small_report.as_posix()}"\noutput = "below/out"\n'
    (stranger / "mlbench.toml").write_text(text)
    assert mlbench("check", "--baseline", small_report, cwd=stranger).returncode == 0
    assert (stranger / "below" / "out" / "check.json").exists()


def test_the_environment_and_trust_are_the_word_until_the_code_changes(stranger, monkeypatch):
    (stranger / "mlbench.toml").write_text('model = "evil.py:make"\n')
    monkeypatch.setenv("MLBENCH_TRUST", str(stranger))
    assert chosen_config(stranger).model == f"{stranger / 'evil.py'}:make"
    monkeypatch.delenv("MLBENCH_TRUST")
    assert mlbench("trust", "mlbench.toml", cwd=stranger).returncode == 0
    assert chosen_config(stranger).model == f"{stranger / 'evil.py'}:make"
    (stranger / "evil.py").write_text(CODE + "\n")
    with pytest.raises(UsageError):
        chosen_config(stranger)


@pytest.mark.parametrize(
    ("file", "field", "head"),
    [
        ("mlbench.toml", "measures", ""),
        ("pyproject.toml", "tool.mlbench.measures", "[tool.mlbench]\n"),
    ],
)
def test_measures_that_are_none_are_told_with_their_file_and_field(tmp_path, file, field, head):
    (tmp_path / file).write_text(f'{head}measures = ["mAP", "ndgc@10", "hits"]\n')
    with pytest.raises(UsageError) as refused:
        chosen_config(tmp_path)
    first, second = refused.value.faults
    assert first.where == second.where == f"{tmp_path / file}, field {field}"
    assert "ndgc@10" in first.found
    assert "nDCG@10" in first.mend
    assert "hits" in second.found
