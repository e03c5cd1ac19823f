"""`mlbench tasks` on corpora in shards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mlbench.data.catalog import list_tasks, tasks_folder
from tests.data.readers.building import json_lines, write
from tests.support.command_line import Done
from tests.support.command_line import mlbench as run
from tests.support.miracl_corpus import write_corpus


def mlbench(*arguments: str | Path) -> Done:
    return run(*arguments, cwd=Path())


@pytest.fixture
def corpus(data_dir: Path, tmp_path: Path) -> Path:
    return write_corpus(tmp_path, data_dir, ["sw", "te"], queries=5, distractors=20)


def test_show_needs_no_corpus(data_dir: Path) -> None:
    done = mlbench("tasks", "show", "miracl", "--data-dir", data_dir, "--offline")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["ar", "2,896", "5", "0"] in lines
    assert ["all", "13,495", "222", "0"] in lines
    assert ["zh", "393", "393"] in lines
    words = " ".join(done.stdout.split())
    assert "note judged in the query's language only" in words
    assert "miracl-16 ar bn en es fa fi fr hi id ja ko ru sw te th zh" in words
    assert "36 settings (18 monolingual, 18 multilingual) with 26,990 queries" in words
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_show_as_json(data_dir: Path) -> None:
    done = mlbench("tasks", "show", "miracl", "--data-dir", data_dir, "--offline", "--json")
    found = json.loads(done.stdout)
    assert len(found["settings"]) == 36
    assert found["settings"][0]["queries"] == 2896
    assert found["language_sets"]["miracl-15"][-1] == "zh"
    assert len(found["notes"]) == 1


def test_validate_reads_every_shard(corpus: Path) -> None:
    done = mlbench("tasks", "validate", corpus)
    assert done.returncode == 0, done.stderr
    passages = sum(
        1
        for path in corpus.parent.rglob("docs-*")
        for _ in subprocess.run(["gzip", "-dc", path], capture_output=True, check=True)
        .stdout.rstrip(b"\n")
        .split(b"\n")
    )
    assert f"10 queries, {passages} passages, {passages - 40} judged passages\n" in done.stdout


def test_validate_counts_judged_passages_that_are_not_there(corpus: Path) -> None:
    qrels = next(corpus.parent.rglob("qrels.*-sw-dev.tsv"))
    query = qrels.read_text().split("\t")[0]
    qrels.write_text(qrels.read_text() + f"{query}\tQ0\tnowhere#0\t1\n")
    done = mlbench("tasks", "validate", corpus)
    assert done.returncode == 0
    assert "of which 1 are missing" in done.stdout
    assert "1 judgement names a passage that is not in the corpus" in " ".join(done.stdout.split())
    done = mlbench("tasks", "validate", corpus, "--strict")
    assert done.returncode == 3
    assert "passage 'nowhere#0' (sw): is judged, but not in the corpus" in done.stderr


def test_validate_tells_of_a_faulty_shard(corpus: Path) -> None:
    shard = next(corpus.parent.rglob("docs-1.jsonl.gz"))
    shard.write_bytes(shard.read_bytes()[:-10])
    done = mlbench("tasks", "validate", corpus)
    assert done.returncode == 3
    assert f"{shard}: damaged gzip file" in done.stderr
    assert "Traceback" not in done.stderr


def test_fetch_lists_what_is_there(corpus: Path) -> None:
    done = mlbench("tasks", "fetch", corpus)
    assert done.returncode == 0
    assert done.stdout.count("docs-") == 4
    assert "task's folder" in done.stdout


def test_without_data_it_is_told_where_it_could_be(tmp_path: Path) -> None:
    done = mlbench("tasks", "show", "miracl", "--data-dir", tmp_path, "--offline")
    assert done.returncode == 3
    assert "36 data files not found (offline)" in done.stderr
    assert "mlbench tasks fetch miracl" in done.stderr


def test_a_language_called_all_is_not_the_multilingual_pool(tmp_path: Path) -> None:
    header = 'name = "small"\nversion = "1"\ntitle = "t"\nlanguages = ["all", "de"]\n'
    header += 'licence = "CC0-1.0"\ncitation = "nobody"\n[source]\nreader = "beir"\n'
    roles = {"corpus": "c.jsonl", "queries": "q.jsonl", "qrels": "r.tsv"}
    lines = "".join(f'{role} = "{{language}}/{name}"\n' for role, name in roles.items())
    write(tmp_path, {"small.toml": f"{header}[source.files]\n{lines}"})
    for language in ("all", "de"):
        record = json_lines({"_id": "1", "text": f"text in {language}"})
        qrels = "1 0 1 1\n"
        files = dict(zip(roles.values(), (record, record, qrels), strict=True))
        write(tmp_path / language, files)
    done = mlbench("tasks", "show", tmp_path / "small.toml")
    lines_ = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines_[-3:] == ["all de all languages", "all 1 0 1", "de 0 1 1"]
    assert "all 1 1" in lines_
    assert "all languages 2 2" in lines_


def test_list_groups_tasks_and_says_what_is_at_hand(data_dir: Path, tmp_path: Path) -> None:
    listed = {}
    for folder in (data_dir, tmp_path):
        done = mlbench("tasks", "list", "--data-dir", folder)
        assert done.returncode == 0, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80
        listed[folder] = [line.split() for line in done.stdout.splitlines()]
    files = (data_dir / "lareqa" / "xquad-r").glob("*.json")
    size = sum(path.stat().st_size for path in files) / 2**20
    here = next(row for row in listed[data_dir] if row[:1] == ["xquad-r"])
    assert here == ["xquad-r", "11", "132", f"{size:.1f}", "MiB", "yes", "CC-BY-SA-4.0"]
    gone = next(row for row in listed[tmp_path] if row[:1] == ["xquad-r"])
    assert gone == ["xquad-r", "11", "132", "-", "no", "CC-BY-SA-4.0"]
    sample = next(row for row in listed[tmp_path] if row[:1] == ["sample"])
    assert sample[5] == "yes"
    part = next(row for row in listed[data_dir] if row[:1] == ["miracl"])
    assert "part" in part
    words = [" ".join(row) for row in listed[data_dir]]
    heads = [n for n, line in enumerate(words) if line.startswith(("Questions:", "Large:"))]
    assert len(heads) == 2
    assert heads[0] < listed[data_dir].index(here) < heads[1] < listed[data_dir].index(part)


def test_list_as_json(tmp_path: Path) -> None:
    done = mlbench("tasks", "list", "--json", "--data-dir", tmp_path)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert [*rows] == list_tasks()
    sample = rows["sample"]
    files = [p for p in (tasks_folder() / "sample").rglob("*.*") if p.suffix != ".md"]
    assert sample["files"] == sample["files_here"] == len(files) == 23
    assert sample["bytes_here"] == sum(path.stat().st_size for path in files)
    assert (rows["miracl"]["group"], rows["miracl"]["files_here"]) == ("large", 0)
    assert all(row["group"] for row in rows.values())
