"""The command line: what a user types, sees and gets back."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mlbench.commands.cli import main
from mlbench.commands.options import size
from mlbench.common.errors import ModelError
from tests.support.command_line import mlbench, mlbench_process

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task file over parallel lines in three languages, next to its data."""
    words = {"en": "stone", "de": "Stein", "tr": "taş"}
    for code, word in words.items():
        lines = "".join(f"{word} number {i} {'x' * i}\n" for i in range(1, 9))
        (tmp_path / f"{code}.txt").write_text(lines, encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nversion = "1"\ntitle = "Mine"\nlanguages = ["en", "de", "tr"]\n'
        'licence = "CC0-1.0"\ncitation = "none"\n'
        '[source]\nreader = "lines"\n[source.files]\ntext = "{language}.txt"\n',
        encoding="utf-8",
    )
    return path


def model_file(folder: Path, body: str, name: str = "model.py") -> str:
    """Write a model whose encode method has the given body; return its SPEC."""
    (folder / name).write_text(
        "import pathlib, sys, time\nimport numpy as np\n"
        "class Model:\n"
        "    def encode_queries(self, texts, language):\n"
        "        return self.encode('query', texts, language)\n"
        "    def encode_passages(self, texts, language):\n"
        "        return self.encode('passage', texts, language)\n"
        "    def encode(self, role, texts, language):\n"
        "        v = np.array([[len(t), t.count('x'), 1.0] for t in texts])\n"
        f"        {body}\n"
        "        return v\n"
        "def make():\n    return Model()\n"
    )
    return f"{folder / name}:make"


def test_the_first_command_of_the_readme_works_offline(tmp_path):
    command = ["run", "--model", "char-ngram", "--task", "sample", "--offline"]
    done = mlbench_process(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "macro" in done.stdout
    folder = tmp_path / "results" / "char-ngram" / "sample"
    made = {path.name for path in folder.iterdir()}
    assert {"report.json", "ranks.parquet", "report.md", "report.html"} <= made
    assert not [name for name in made if "tmp" in name]
    assert max(map(len, done.stdout.splitlines())) <= 80
    report = json.loads((folder / "report.json").read_text())
    assert report["schema"] == "mlbench/report/1"
    assert report["run"]["command"].startswith("mlbench run --model char-ngram")


def test_a_second_run_writes_the_same_table_and_scores(task, tmp_path):
    for output, extra in (("a", []), ("b", ["--threads", "3", "--memory", "20M"])):
        done = mlbench(
            "run", "--model", "bm25", "--task", task, "--output", output, *extra, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    a, b = tmp_path / "a" / "bm25" / "mine", tmp_path / "b" / "bm25" / "mine"
    assert (a / "ranks.parquet").read_bytes() == (b / "ranks.parquet").read_bytes()
    scores = [json.loads((f / "report.json").read_text()) for f in (a, b)]
    for key in ("macro", "settings", "bias", "task", "model"):
        assert scores[0][key] == scores[1][key]


def test_dry_run_says_what_would_be_encoded_and_writes_nothing(task, tmp_path):
    done = mlbench("run", "--model", "bm25", "--task", task, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "would encode 48 texts" in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--task", "sample"], 2, "--model"),
        (["run", "--model", "bm52", "--task", "sample"], 2, "did you mean 'bm25'"),
        (["run", "--model", "bm25", "--task", "xqad-r"], 2, "did you mean 'xquad-r'"),
        (["run", "--model", "bm25", "--task", "sample", "--measure", "nDGC@10"], 2, "'nDCG@10'"),
        (["run", "--model", "bm25", "--task", "sample", "--memory", "much"], 2, "not a size"),
        (["run", "--model", "bm25", "--task", "sample", "--threads", "0"], 2, "whole number"),
        (["run", "--model", "bm25", "--task", "sample", "--data-dir", "nowhere"], 2, "nowhere"),
        (["run", "--model", "bm25", "--task", "none.toml"], 2, "none.toml"),
        (["run", "--model", "bm25", "--task", "xquad-r", "--offline"], 3, "xquad-r/ar.json"),
        (["run", "--model", "bm25", "--task", "sample", "--output", "/proc/x"], 5, "/proc/x"),
        (["run", "--model", "bm25", "--task", "sample", "--memory", "1K"], 5, "raise --memory"),
        (["run", "--model", "gone.py:make", "--task", "sample"], 2, "gone.py"),
        (["run", "--model", "bm25", "--model", "random", "--task", "sample"], 2, "bm25 and random"),
        (["report", "nowhere", "--languages", "ar", "--languages", "en"], 2, "given twice"),
        (["report", "nowhere"], 3, "no report.json"),
        (["run", "--model", "bm25", "--task", "sample", "--memory", "9" * 400], 2, "any machine"),
        (["tasks", "show", "smaple"], 2, "did you mean 'sample'"),
        (["models", "check", "precomputed:nowhere"], 2, "nowhere"),
    ],
)
def test_faults_end_with_their_exit_code_and_a_message(arguments, code, message, tmp_path):
    done = mlbench(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("report.json"))


def test_two_tasks_of_one_name_are_refused(task, tmp_path):
    other = tmp_path / "other" / "mine.toml"
    other.parent.mkdir()
    other.write_text(task.read_text())
    done = mlbench("run", "--model", "random", "--task", task, "--task", other, cwd=tmp_path)
    assert done.returncode == 2
    assert "two tasks are called 'mine'" in done.stderr


def test_other_settings_are_another_configuration(task, tmp_path):
    run = ["run", "--model", "random", "--task", task]
    assert mlbench(*run, cwd=tmp_path).returncode == 0
    text = task.read_text()
    task.write_text(text.replace("licence", 'settings = ["monolingual"]\nlicence'))
    done = mlbench(*run, cwd=tmp_path)
    assert done.returncode == 2
    assert "choice of settings" in done.stderr


def test_a_dry_run_looks_at_the_model_too(task, tmp_path):
    done = mlbench("run", "--model", "bogus", "--task", task, "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "bogus" in done.stderr


def test_a_model_that_changes_folder_does_not_move_the_report(task, tmp_path):
    spec = model_file(tmp_path, "__import__('os').chdir('/')")
    done = mlbench("run", "--model", spec, "--task", task, "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out").rglob("report.json"))


def test_an_unknown_measure_in_a_task_file_names_file_and_field(task, tmp_path):
    task.write_text(task.read_text().replace("licence", 'measures = ["nDGC@10"]\nlicence'))
    done = mlbench("tasks", "validate", task, cwd=tmp_path)
    assert done.returncode == 3
    assert "mine.toml, field measures" in done.stderr


def test_a_task_without_any_setting_is_refused(task, tmp_path):
    text = task.read_text().replace('["en", "de", "tr"]', '["en"]')
    task.write_text(text.replace("licence", 'settings = ["multilingual"]\nlicence'))
    done = mlbench("tasks", "validate", task, cwd=tmp_path)
    assert done.returncode == 3
    assert "field settings: no setting" in done.stderr


def test_a_defect_of_our_own_is_never_exit_1(monkeypatch, capsys):
    def broken():
        raise KeyError("oops")

    monkeypatch.setattr("mlbench.commands.tasks.list_tasks", broken)
    assert main(["tasks", "list"]) == 70
    assert "a defect of mlbench" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no such layer')", "ValueError: no such layer"),
        ("v[0, 0] = np.nan", "NaN or infinity for passage '1' (en)"),
        ("v = v.tolist()", "list"),
        ("v = v[1:]", "one row for each text"),
        ("v = v if role == 'passage' else np.hstack([v, v])", "dimensions"),
        ("sys.exit(3)", "sys.exit(3)"),
    ],
)
def test_a_broken_model_is_exit_4_with_the_place_in_its_code(task, tmp_path, body, message):
    spec = model_file(tmp_path, body)
    done = mlbench("run", "--model", spec, "--task", task, cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


LOUD = """
import atexit, os, subprocess, sys, threading, time
from pathlib import Path
stop = threading.Event()
def talk():
    while not stop.wait(0.01):
        print("NOISE of a thread")
threading.Thread(target=talk, daemon=True).start()
atexit.register(print, "NOISE at exit")
atexit.register(os.write, 1, b"NOISE at exit, below\\n")
os.write(1, b"NOISE of os.write\\n")
os.system("echo NOISE of a shell")
subprocess.run([sys.executable, "-c", "print('NOISE of a child')"])
sys.__stdout__.write("NOISE of the first stream\\n")
"""


@pytest.mark.parametrize("command", ["run", "models check"])
def test_json_is_all_of_standard_output_whatever_a_model_writes(task, tmp_path, command):
    spec = model_file(
        tmp_path,
        "print('NOISE of print'); sys.stdout.write('NOISE of write'); "
        "os.write(1, b'NOISE of encode')",
    )
    path = tmp_path / "model.py"
    path.write_text(LOUD + path.read_text())
    given = ["--model", spec, "--task", task] if command == "run" else [spec]
    done = mlbench_process(*command.split(), *given, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NOISE" not in done.stdout
    assert isinstance(json.loads(done.stdout), list)
    assert command != "run" or json.loads(done.stdout)[0]["task"] == "mine"
    for what in ("a thread", "at exit", "at exit, below", "os.write", "a shell", "a child",
                 "the first stream", "encode", "print", "write"):  # fmt: skip
        assert what in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_fault(task, tmp_path, closed):
    spec = model_file(tmp_path, "print('noise')")
    line = f"{sys.executable} -m mlbench models check {spec} --json {closed}"
    done = subprocess.run(
        line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert closed != "2>&-" or json.loads(done.stdout)


def test_debug_shows_the_traceback(task, tmp_path):
    spec = model_file(tmp_path, "raise ValueError('no such layer')")
    with pytest.raises(ModelError):  # left to Python, which prints its traceback
        mlbench("run", "--model", spec, "--task", task, "--debug", cwd=tmp_path)


def test_a_collapsed_model_comes_last_and_is_warned_about(task, tmp_path):
    spec = model_file(tmp_path, "v[:] = 1")
    done = mlbench("run", "--model", spec, "--task", task, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)[0]
    assert any("collapsed" in warning for warning in result["warnings"])
    assert result["macro"]["monolingual"]["AP"]["value"] == pytest.approx(1 / 8)
    assert result["macro"]["monolingual"]["AP"]["optimistic"] == 1


def test_a_report_of_another_configuration_is_kept_unless_told(task, tmp_path):
    run = ["run", "--model", model_file(tmp_path, "pass"), "--task", task]
    assert mlbench(*run, cwd=tmp_path).returncode == 0
    assert mlbench(*run, cwd=tmp_path).returncode == 0
    other = mlbench(*run, "--measure", "AP", cwd=tmp_path)
    assert other.returncode == 2
    assert "another measures" in other.stderr or "measures" in other.stderr
    model_file(tmp_path, "v += 1")
    changed = mlbench(*run, cwd=tmp_path)
    assert changed.returncode == 2
    assert "model identity" in changed.stderr
    with (tmp_path / "en.txt").open("a") as file:
        file.write("one more\n")
    for code in ("de", "tr"):
        with (tmp_path / f"{code}.txt").open("a") as file:
            file.write("one more\n")
    model_file(tmp_path, "pass")
    data = mlbench(*run, cwd=tmp_path)
    assert data.returncode == 2
    assert "other data" in data.stderr
    assert mlbench(*run, "--overwrite", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_signals_end_with_their_code_and_leave_nothing_half_written(task, tmp_path, sent, code):
    spec = model_file(tmp_path, "open('started', 'w').close(); time.sleep(600)")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlbench", "run", "--model", spec, "--task", str(task)],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert [p for p in (tmp_path / "results").rglob("*") if p.is_file()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_slow_model_can_be_stopped_at_once_and_the_next_run_goes_on(task, tmp_path):
    cache = tmp_path / "cache"
    slow = "time.sleep(600 if len([*pathlib.Path({!r}).rglob('*.vectors')]) > 1 else 1)"
    slow = slow.format(str(cache))
    spec = model_file(tmp_path, slow)
    path = tmp_path / "model.py"
    declared = "class Model:\n    identity = 'slow 1'; cacheable = True; language_free = True\n"
    path.write_text(path.read_text().replace("class Model:\n", declared))
    command = [sys.executable, "-m", "mlbench", "run", "--model", spec, "--task", str(task)]
    environment = {**os.environ, "MLBENCH_CACHE": str(cache)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 300
    while len([*cache.rglob("*.vectors")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 143
    kept = int(re.search(r"(\d+) of 48 texts are in the embedding cache", errors)[1])
    assert 0 < kept < 48
    assert not (tmp_path / "results").exists()
    path.write_text(path.read_text().replace(slow, "pass"))
    again = mlbench(*command[3:], cwd=tmp_path, MLBENCH_CACHE=environment["MLBENCH_CACHE"])
    assert again.returncode == 0, again.stderr
    assert f"{kept} of 48 texts are in the cache" in again.stderr


def test_a_run_says_what_it_takes_for_vectors_to_be_kept(task, tmp_path):
    done = mlbench("run", "--model", model_file(tmp_path, "pass"), "--task", task, cwd=tmp_path)
    (line,) = [line for line in done.stderr.splitlines() if "not kept" in line]
    assert "identity" in line
    assert "cacheable" in line


def test_report_renders_again_and_finds_altered_scores(sample_report, tmp_path):
    folder = tmp_path / "results" / "char-ngram" / "sample"
    shutil.copytree(sample_report, folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    (folder / "report.html").unlink()
    done = mlbench("report", "results", cwd=tmp_path, plots=True)
    assert done.returncode == 0, done.stderr
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    text = json.loads(before[folder / "report.json"])
    text["macro"]["monolingual"]["AP"]["value"] += 0.01
    (folder / "report.json").write_text(json.dumps(text))
    forged = mlbench("report", folder, cwd=tmp_path)
    assert forged.returncode == 6
    assert "macro.monolingual.AP.value" in forged.stderr


def test_a_damaged_table_is_an_integrity_error(sample_report, tmp_path):
    folder = Path(shutil.copytree(sample_report, tmp_path / "report"))
    raw = bytearray((folder / "ranks.parquet").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "ranks.parquet").write_bytes(raw)
    assert mlbench("report", folder, cwd=tmp_path).returncode == 6


def test_the_rest_is_printed_where_it_is_asked_for(sample_report, tmp_path):
    shutil.copytree(sample_report, tmp_path / "report")
    short, long = (
        mlbench("report", "report", *given, cwd=tmp_path) for given in ((), ("--verbose",))
    )
    assert (short.returncode, long.returncode) == (0, 0)
    assert ("95% interval" in short.stdout, "95% interval" in long.stdout) == (False, True)
    for done in (short, long):
        assert "macro" in done.stdout
        assert "report/report.html" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_changed_data_file_is_an_integrity_error(data_dir, tmp_path):
    shutil.copytree(data_dir / "lareqa" / "xquad-r", tmp_path / "lareqa" / "xquad-r")
    path = tmp_path / "lareqa" / "xquad-r" / "th.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    done = mlbench(
        "run", "--model", "bm25", "--task", "xquad-r", "--data-dir", tmp_path, cwd=tmp_path
    )
    assert done.returncode == 6
    assert "th.json" in done.stderr


def test_random_on_xquad_r_meets_its_closed_forms(data_dir, tmp_path):
    """Expected macro AP and rank distance of a random order; bands from the scores' own spread."""
    found = []
    for seed in range(3):
        done = mlbench(
            "run", "--model", f"random:{seed}", "--task", "xquad-r", "--data-dir", data_dir,
            "--json", "--measure", "AP", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)[0]
        found.append(
            [result["macro"][kind]["AP"]["value"]
             for kind in ("monolingual", "crosslingual", "multilingual")]
            + [result["rank_distance"]["value"]]
        )  # fmt: skip
    mean = np.mean(found, axis=0)
    assert mean[0] == pytest.approx(0.0065259, abs=0.0006)
    assert mean[1] == pytest.approx(0.0065259, abs=0.0002)
    assert mean[2] == pytest.approx(0.0015402, abs=0.00003)
    assert mean[3] == pytest.approx(10845.83, abs=40)


def test_lists_and_pages(data_dir, tmp_path):
    shown = mlbench("tasks", "show", "xquad-r", "--data-dir", data_dir, cwd=tmp_path)
    assert (
        "132 settings (11 monolingual, 110 crosslingual, 11 multilingual)"
        in shown.stdout.replace("\n", " ")
    )
    rows = json.loads(
        mlbench("tasks", "show", "mlqa-r", "--json", "--data-dir", data_dir, cwd=tmp_path).stdout
    )["settings"]
    assert len(rows) == 56
    assert sum(row["queries"] for row in rows if row["kind"] == "crosslingual") == 11_548
    assert "xquad-r-context" in mlbench("tasks", "list", cwd=tmp_path).stdout
    assert "char-ngram" in mlbench("models", "list", cwd=tmp_path).stdout
    assert "0 failed" in mlbench("models", "check", "random", cwd=tmp_path).stdout
    fetched = mlbench("tasks", "fetch", "mlqa-r", "--data-dir", data_dir, cwd=tmp_path)
    assert "zh.json" in fetched.stdout


def test_validate_a_task_of_ones_own(task, tmp_path):
    done = mlbench("tasks", "validate", task, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "24 queries, 24 passages" in done.stdout
    task.write_text(task.read_text().replace("languages", "langauges"))
    broken = mlbench("tasks", "validate", task, cwd=tmp_path)
    assert broken.returncode == 3
    assert "did you mean 'languages'" in broken.stderr
    task.write_text('name = "mine"\nversion = = 1\n')
    assert "line 2" in mlbench("tasks", "validate", task, cwd=tmp_path).stderr


def test_help_names_every_command_and_imports_nothing_heavy(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert [w for w in ("run", "report", "tasks", "models", "exit codes") if w not in text] == []
    code = (
        "import sys; from mlbench.commands.cli import main\n"
        "try: main(['--help'])\nfinally: print(sorted(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    for heavy in ("numpy", "numba", "scipy", "pyarrow", "matplotlib", "jinja2", "ir_measures"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("4K", 4096), ("1.5M", 1572864), ("2GiB", 2**31), ("3 TB", 3 * 2**40)],
)
def test_sizes(text, value):
    assert size(text) == value


def test_what_help_says_of_commands_fits_the_terminal():
    from mlbench.commands.cli import EXIT_CODES, parser_of
    from mlbench.commands.table import COMMANDS

    said = [EXIT_CODES, parser_of().description or ""]
    for command in COMMANDS:
        parser = parser_of(command.name.split())
        for word in command.name.split():
            (below,) = (a for a in parser._actions if a.dest == "==SUPPRESS==" and a.choices)
            parser = below.choices[word]
        said.append(parser.description or "")
    lines = [line for text in said for line in text.splitlines()]
    assert len(lines) > len(COMMANDS)
    assert [line for line in lines if len(line) > 80] == []
