"""The pytest plug-in, run in a made-up model's own repository."""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.support.model_repository import make_repository, run, write_model

NUMBER = itertools.count()
BARE = "def test_no_regression(mlbench_check): ...\n"


@pytest.fixture
def repository(model_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository, whose owner gives the word for its code."""
    monkeypatch.setenv("MLBENCH_TRUST", str(tmp_path))
    return Path(shutil.copytree(model_repository, tmp_path / "repository"))


def pytest_in(folder: Path, body: str) -> tuple[int, str]:
    """Run pytest in this process, on a test file whose name no module here has yet."""
    name = f"test_model_{next(NUMBER)}.py"
    (folder / name).write_text(body)
    out = io.StringIO()
    options = ["-q", "-rs", "-p", "no:cacheprovider", "--capture=sys", "--import-mode=importlib"]
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        code = pytest.main([*options, f"--rootdir={folder}", name])
    return int(code), out.getvalue()


def test_it_is_registered():
    (found,) = [e for e in entry_points(group="pytest11") if e.name == "mlbench"]
    assert found.value == "mlbench.comparing.pytest_plugin"


def test_an_unchanged_model_passes_and_a_worse_one_fails_with_the_reasons(repository):
    (repository / "test_model.py").write_text(BARE)
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], repository)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr
    write_model(repository, buckets=6)
    code, text = pytest_in(repository, BARE)
    assert code == 1
    assert "1 failed" in text
    assert "REGRESSED: numbers against" in text
    assert "monolingual" in text
    assert "Traceback" not in text


def test_a_call_says_otherwise_and_returns_the_check(repository):
    write_model(repository, buckets=6)
    code, text = pytest_in(
        repository,
        "def test_loose(mlbench_check):\n"
        "    result = mlbench_check(margin=1.0, measures=['R@10'])\n"
        "    assert result.verdict == 'pass'\n"
        "    assert {j.quantity.measure for j in result.judgements} == {'R@10'}\n",
    )
    assert (code, "1 passed" in text) == (0, True), text


def test_two_tests_of_one_model_encode_once(repository):
    path = repository / "model.py"
    source = path.read_text()
    assert "def encode_queries(self, texts, language):\n" in source
    path.write_text(
        source.replace(
            "def encode_queries(self, texts, language):\n",
            "def encode_queries(self, texts, language):\n"
            "        open('texts', 'a').write(f'{len(texts)}\\n')\n",
        )
    )

    def texts(body):
        (repository / "texts").unlink(missing_ok=True)
        assert pytest_in(repository, body)[0] == 0
        return sum(map(int, (repository / "texts").read_text().split()))

    one = texts(BARE)
    two = texts(BARE + "def test_hits(mlbench_check):\n    mlbench_check(measures=['R@10'])\n")
    assert two < 1.5 * one


def test_a_missing_baseline_is_never_a_pass(repository):
    (repository / "baseline.parquet").unlink()
    code, text = pytest_in(repository, BARE)
    assert code == 1
    assert "no such file" in text


def test_a_configuration_s_code_needs_a_word_and_a_test_s_own_does_not(repository, monkeypatch):
    monkeypatch.delenv("MLBENCH_TRUST")
    (repository / "model.py").write_text('open("ran", "w").close()\n')
    code, text = pytest_in(repository, BARE)
    assert code == 1
    assert "MLBENCH_TRUST" in text
    assert not (repository / "ran").exists()
    write_model(repository)
    body = "def test_it(mlbench_check):\n    mlbench_check(model='model.py:make')\n"
    code, text = pytest_in(repository, body)
    assert (code, "1 passed" in text) == (0, True), text


def test_inconclusive_is_skipped_and_fails_where_strict(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_TRUST", str(tmp_path))
    make_repository(tmp_path, questions=3)
    write_model(tmp_path, buckets=2)
    code, text = pytest_in(tmp_path, BARE)
    assert (code, "1 skipped" in text) == (0, True), text
    assert "inconclusive" in text
    code, text = pytest_in(
        tmp_path, "def test_it(mlbench_check):\n    mlbench_check(strict=True)\n"
    )
    assert (code, "INCONCLUSIVE" in text) == (1, True), text


def test_a_body_that_fails_is_reported_and_an_unknown_setting_too(repository):
    code, text = pytest_in(repository, "def test_it(mlbench_check):\n    assert 1 == 2\n")
    assert code == 1
    assert "1 == 2" in text
    code, text = pytest_in(repository, "def test_it(mlbench_check):\n    mlbench_check(marign=1)\n")
    assert code == 1
    assert "marign" in text
