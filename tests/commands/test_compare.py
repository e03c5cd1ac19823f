"""compare, baseline and check as a user runs them: their output, their exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlbench.commands.cli import main
from mlbench.commands.compare import read_axis
from mlbench.common.errors import DataError, UsageError
from mlbench.comparing.config import overridden, read_config
from mlbench.reports.report import read_report, write_report
from tests.support.command_line import mlbench
from tests.support.model_repository import make_repository, write_model
from tests.support.reports import pair


@pytest.fixture(scope="module")
def original(model_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with reports of a good model, a worse one, and the worse one on a sample."""
    folder = Path(shutil.copytree(model_repository, tmp_path_factory.mktemp("compared") / "here"))
    shutil.move(folder / "results" / "numbers" / "mine", folder / "good")
    write_model(folder, buckets=6)
    task = ["run", "--model", "model.py:make", "--task", "mine.toml", "--quiet"]
    assert mlbench(*task, cwd=folder).returncode == 0
    shutil.move(folder / "results" / "numbers" / "mine", folder / "bad")
    assert mlbench(*task, "--sample-questions", "10", cwd=folder).returncode == 0
    shutil.move(folder / "results" / "numbers" / "mine", folder / "sample")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "repository"))


def test_compare_prints_and_writes_and_needs_neither_model_nor_data(folder):
    for name in ("model.py", "mine.toml", "en.txt", "de.txt", "tr.txt"):
        (folder / name).unlink()
    done = mlbench(
        "compare", "good", "bad", "--output", "out", "--html", "shared/page.html",
        "--latex", "shared/tables.tex", "--intervals", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"page: {Path('shared', 'page.html')}\n" in done.stdout
    tables = (folder / "shared" / "tables.tex").read_text(encoding="utf-8")
    assert tables.count("\\begin{table}") == 2
    page = (folder / "shared" / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "B is" in done.stdout
    assert "worse" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    written = {path.name for path in (folder / "out").rglob("*") if path.is_file()}
    assert {"comparison.json", "comparison.md", "comparison.csv", "comparison.tex"} <= written
    assert {"difference-B.svg", "trade-off.svg"} <= written
    page = (folder / "out" / "comparison.md").read_text(encoding="utf-8")
    assert "plots/difference-B.svg" in page
    table = json.loads((folder / "out" / "comparison.json").read_text())
    assert [model["where"] for model in table["models"]] == ["good", "bad"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--intervals"], "given without --latex"),
        (["--columns", "2"], "given without --figures"),
        (["--figures", "pdf"], "given without --output"),
    ],
)
def test_what_needs_something_else_says_so(original, given, why, capsys):
    assert main(["compare", str(original / "good"), str(original / "bad"), *given]) == 2
    assert why in capsys.readouterr().err


def test_figures_are_written_in_the_formats_and_the_width_asked_for(
    original, tmp_path, monkeypatch
):
    def drawn(comparison, formats, columns):
        return {f"a.{form}": str(columns).encode() for form in formats}

    monkeypatch.setattr("mlbench.comparing.comparison_figures.comparison_figures", drawn)
    monkeypatch.setattr("mlbench.comparing.comparison_plots.comparison_plots", lambda _: {})
    given = ["compare", *(str(original / name) for name in ("good", "bad")), "--measure", "AP"]
    with pytest.raises(SystemExit, match="2"):
        main([*given, "--output", str(tmp_path), "--figures", "pdf,gif"])
    assert main([*given, "--output", str(tmp_path), "--figures", "PDF, svg", "--columns", "2"]) == 0
    found = {path.name: path.read_text() for path in (tmp_path / "figures").iterdir()}
    assert found == {"a.pdf": "2", "a.svg": "2"}


def test_compare_takes_a_series_and_several_forms(folder):
    done = mlbench(
        "compare", "bad", "baseline.parquet", "--x", "mix=0,1", "--output", "out",
        "--format", "latex", "--measure", "AP", "--correction", "holm", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\\toprule" in done.stdout
    assert (folder / "out" / "plots" / "series.svg").exists()
    assert json.loads((folder / "out" / "comparison.json").read_text())["axis"] == "mix"
    done = mlbench("compare", "bad", "good", "--format", "csv", cwd=folder)
    assert done.stdout.startswith("kind,measure,query_language")


def test_check_has_a_verdict_for_each_and_1_is_regressed_and_nothing_else(folder):
    itself = mlbench("check", "good", "--baseline", "baseline.parquet", cwd=folder)
    assert itself.returncode == 0, itself.stderr
    assert itself.stdout.endswith("PASS\n")
    worse = mlbench("check", "bad", "--baseline", "baseline.parquet", "--output", "out", cwd=folder)
    assert worse.returncode == 1, worse.stderr
    assert worse.stdout.endswith("REGRESSED\n")
    suite = ElementTree.parse(folder / "out" / "check.xml").getroot()[0]
    assert suite.attrib["failures"] == "3"
    assert "regressed" in (folder / "out" / "check.md").read_text(encoding="utf-8")
    better = mlbench("check", "good", "--baseline", "bad", "--json", cwd=folder)
    assert (better.returncode, json.loads(better.stdout)["verdict"]) == (0, "pass")
    page = mlbench("check", "bad", "--baseline", "good", "--markdown", cwd=folder)
    assert (page.returncode, page.stdout[:3]) == (1, "###")


def test_check_runs_the_configured_model_and_flags_go_before_the_configuration(folder, monkeypatch):
    monkeypatch.setenv("MLBENCH_TRUST", str(folder))
    worse = mlbench("check", cwd=folder)
    assert worse.returncode == 1, worse.stderr
    write_model(folder)
    assert mlbench("check", "--output", "out", cwd=folder).returncode == 0
    assert (folder / "out" / "report" / "report.json").exists()
    (folder / "mlbench.toml").write_text("")
    (folder / "pyproject.toml").write_text('[tool.mlbench]\nreport = "bad"\nbaseline = "good"\n')
    (folder / "mlbench.toml").unlink()
    assert mlbench("check", cwd=folder).returncode == 1
    assert mlbench("check", "good", cwd=folder).returncode == 0
    assert mlbench("check", "--margin", "1", cwd=folder).returncode == 0


def test_check_runs_the_model_as_run_does(folder):
    """With options of the model, which a repository's own code takes none of, and a cache."""
    given = ["check", "--model", "model.py:make", "--threads", "1", "--offline", "--no-cache"]
    assert mlbench(*given, cwd=folder).returncode == 1
    refused = mlbench(*given, "--pooling", "mean", cwd=folder)
    assert refused.returncode == 2
    assert "--pooling" in refused.stderr


DECLARED = """
class Declared(Model):
    identity, cacheable = "declared 1", True

    def encode_queries(self, texts, language):
        with open("asked.txt", "a") as file:
            file.write("asked\\n")
        return super().encode_queries(texts, language)

def declared():
    return Declared()
"""


def test_a_checked_model_takes_its_vectors_from_the_embedding_cache(folder, monkeypatch):
    write_model(folder)
    path = folder / "declared.py"
    path.write_text((folder / "model.py").read_text() + DECLARED)
    monkeypatch.setenv("MLBENCH_CACHE", str(folder / "cache"))
    how = ["check", "--model", "declared.py:declared", "--baseline", "baseline.parquet"]
    asked = []
    for more in ([], ["--threads", "1"], ["--no-cache"]):
        (folder / "asked.txt").write_text("")
        done = mlbench(*how, *more, cwd=folder)
        assert done.returncode == 0, done.stderr
        asked.append(bool((folder / "asked.txt").read_text()))
    assert asked == [True, False, True]
    refused = mlbench(*how, "--max-length", "3", cwd=folder)
    assert (refused.returncode, "takes none of the options" in refused.stderr) == (2, True)


def test_a_sample_is_marked_and_mixes_with_nothing_but_itself(folder):
    table = json.loads((folder / "sample" / "report.json").read_text())
    assert table["task"]["sample"] == 10
    assert "leaderboard" in table["warnings"][0]
    mixed = mlbench("check", "sample", "--baseline", "baseline.parquet", cwd=folder)
    assert mixed.returncode == 3
    assert "task sample is 10" in mixed.stderr
    assert mlbench("compare", "sample", "bad", cwd=folder).returncode == 3
    assert mlbench("baseline", "sample", "--output", "quick.parquet", cwd=folder).returncode == 0
    word = {"MLBENCH_TRUST": str(folder)}
    same = mlbench("check", "--baseline", "quick.parquet", cwd=folder, **word)
    assert same.returncode == 0, same.stderr
    assert "a sample" in same.stdout


def test_inconclusive_fails_with_strict_only_and_not_with_1(tmp_path):
    make_repository(tmp_path, questions=3)
    write_model(tmp_path, buckets=2)
    word = {"MLBENCH_TRUST": str(tmp_path)}
    loose = mlbench("check", cwd=tmp_path, **word)
    assert (loose.returncode, loose.stdout.endswith("INCONCLUSIVE\n")) == (0, True), loose.stderr
    assert "at least 6" in " ".join(loose.stdout.split())
    assert mlbench("check", "--strict", cwd=tmp_path, **word).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "good", "--baseline", "none.parquet"], 3, "no such file"),
        (["check", "good", "--baseline", "damaged.parquet"], 6, "damaged.parquet"),
        (["check", "good", "--baseline", "mine.toml"], 6, "not a baseline"),
        (["check", "none", "--baseline", "good"], 3, "no such file"),
        (["check", "forged", "--baseline", "good"], 6, "macro.monolingual.AP"),
        (["check", "good", "--baseline", "forged"], 6, "macro.monolingual.AP"),
        (["check", "good", "--baseline", "older"], 3, "task version is 1"),
        (["check", "good", "--baseline", "good", "--margin", "-0.1"], 2, "not a number from 0"),
        (["check", "good", "--baseline", "good", "--margin", "nan"], 2, "not a number from 0"),
        (["check", "good", "--baseline", "good", "--margin", "much"], 2, "not a number from 0"),
        (["check", "good", "--baseline", "good", "--measure", "nDGC@10"], 2, "'nDCG@10'"),
        (["check", "good", "--model", "bm25", "--baseline", "good"], 2, "one of the two"),
        (["check", "--config", "none.toml"], 2, "none.toml"),
        (["compare", "good"], 2, "two or more"),
        (["compare", "good", "older"], 3, "task version is 2"),
        (["compare", "good", "forged"], 6, "macro.monolingual.AP"),
        (["compare", "good", "bad", "--x", "mix=1"], 2, "2 numbers"),
        (["compare", "good", "bad", "--measure", "bpref"], 2, "not a measure"),
        (["baseline", "none"], 3, "none"),
    ],
)
def test_bad_input_has_its_exit_code_and_is_never_a_pass(folder, arguments, code, message):
    raw = bytearray((folder / "baseline.parquet").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "damaged.parquet").write_bytes(raw)
    shutil.copytree(folder / "good", folder / "forged")
    table = json.loads((folder / "forged" / "report.json").read_text())
    table["macro"]["monolingual"]["AP"]["value"] -= 0.1
    (folder / "forged" / "report.json").write_text(json.dumps(table))
    report, ranks = pair(read_report(folder / "good"))
    older = replace(report, task=replace(report.task, version="2"))
    write_report(folder / "older", older, ranks, {})
    done = mlbench(*arguments, cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    assert message in done.stderr


def test_every_fault_of_a_configuration_is_said_at_once(tmp_path):
    (tmp_path / "mlbench.toml").write_text(
        'marign = 1\nmargin = -1\nstrict = "yes"\nmeasures = ["AP", 3]\nbaseline = 7\n'
    )
    with pytest.raises(UsageError) as caught:
        read_config(tmp_path)
    text = str(caught.value)
    assert len(caught.value.faults) == 5
    assert "did you mean 'margin'" in text
    for broken in ("margin = = 1", "margin = nan", "margin = true", 'margin = "0.1"'):
        (tmp_path / "mlbench.toml").write_text(broken)
        with pytest.raises(UsageError):
            read_config(tmp_path)


def test_paths_of_a_configuration_start_at_its_file(tmp_path):
    (tmp_path / "m.py").write_text("")
    (tmp_path / "mlbench.toml").write_text(
        'baseline = "b.parquet"\nmodel = "m.py:make"\ntask = "xquad-r"\ndata-dir = "data"\n'
    )
    config = read_config(tmp_path)
    assert config.baseline == tmp_path / "b.parquet"
    assert config.data_dir == tmp_path / "data"
    assert config.model == f"{tmp_path / 'm.py'}:make"
    assert config.task == "xquad-r"
    assert overridden(config, report="r").model is None
    assert read_config(tmp_path / "nowhere").baseline is None


def test_an_axis_comes_from_the_command_line_or_a_file(tmp_path):
    reports = [tmp_path / "a", tmp_path / "b"]
    assert read_axis("mixing share=0,0.5", reports) == ("mixing share", [0, 0.5])
    path = tmp_path / "series.toml"
    path.write_text('name = "mixing"\n[values]\n"b" = 1\n"a" = 0.25\n')
    assert read_axis(str(path), reports) == ("mixing", [0.25, 1])
    path.write_text('name = 3\n[values]\n"a" = "x"\n')
    with pytest.raises(DataError) as caught:
        read_axis(str(path), reports)
    assert len(caught.value.faults) == 3
    for bad in ("mix=1,nan", "=1,2", "mix=1,2,3", "none.toml"):
        with pytest.raises(UsageError):
            read_axis(bad, reports)


def test_nothing_that_compares_imports_models_data_or_an_encoder():
    code = (
        "import sys, mlbench.commands.compare, mlbench.commands.check;"
        "from mlbench.comparing import comparison, compare, regression, config, comparison_plots;"
        "print(*(m for m in sys.modules if m.startswith('mlbench.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = "models.registry models.encoding models.cache data.readers evaluation.evaluate"
    assert not loaded & {f"mlbench.{name}" for name in heavy.split()}
