from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import UsageError
from mlbench.models.neural.options import (
    OPTIONS,
    NeuralOptions,
    demands_of,
    override,
    parse_options,
    read_model_file,
)
from mlbench.models.registry import load_adapter


def test_every_option_is_a_field_and_has_help() -> None:
    assert {option.name for option in OPTIONS} == {field.name for field in fields(NeuralOptions)}
    assert all(option.help for option in OPTIONS)
    assert {option.name for option in OPTIONS if not option.metavar} == {
        "offline",
        "trust_remote_code",
        "allow_pickle",
    }
    parser = argparse.ArgumentParser("mlbench run")
    for option in OPTIONS:
        parser.add_argument(option.flag, help=option.help, metavar=option.metavar or "X")
    assert all(option.flag in parser.format_help() for option in OPTIONS)
    flags = {option.name: option.flag for option in OPTIONS}
    assert flags["query_prompt_name"] == "--query-prompt-name"


def test_nothing_given_leaves_it_to_the_model() -> None:
    assert parse_options({}) == NeuralOptions()
    assert parse_options({option.name: None for option in OPTIONS}) == NeuralOptions()


def test_values_of_a_command_line_and_of_a_file() -> None:
    line = {"max_length": "128", "device": "cuda:0,cuda:1", "allow_pickle": True}
    file = {"max_length": 128, "device": ["cuda:0", "cuda:1"], "allow_pickle": True}
    assert parse_options(line) == parse_options(file)
    assert parse_options(line).device == ("cuda:0", "cuda:1")
    assert parse_options({"query_prompt": ""}).query_prompt == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_length", "0", r"option --max-length: '0'\n  expected: a whole number from 1"),
        ("max_length", True, "True"),
        ("max_length", "12.5", "whole number"),
        ("max_lenght", "12", "did you mean 'max_length'"),
        ("pooling", "average", "one of mean, cls, max"),
        ("dtype", "int8", "one of float32"),
        ("similarity", "euclidean", "one of cosine, dot"),
        ("backend", "tensorflow", "one of torch"),
        ("device", "gpu", "cpu, mps, cuda or cuda:N"),
        ("device", "cpu,", "cpu, mps"),
        ("device", [], "or several"),
        ("query_prompt", 7, "a string"),
        ("name", " ", "not empty"),
        ("trust_remote_code", "yes", "true or false"),
    ],
)
def test_wrong_values(name: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_options({name: value})


def test_all_faults_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse_options({"dtype": "x", "pooling": "y", "z": 1}, "m.toml")
    assert [fault.where for fault in caught.value.faults] == [
        "m.toml, field z",
        "m.toml, field pooling",
        "m.toml, field dtype",
    ]


def test_a_prompt_and_its_name_exclude_each_other() -> None:
    both = {"query_prompt": "a", "query_prompt_name": "b"}
    with pytest.raises(UsageError, match=r"--query-prompt and .*--query-prompt-name: both given"):
        parse_options(both)
    assert override({"query_prompt": "a", "dtype": "x"}, {"query_prompt_name": "b"}) == {
        "query_prompt_name": "b",
        "dtype": "x",
    }
    assert override({"passage_prompt_name": "a"}, {"passage_prompt": "b", "name": None}) == {
        "passage_prompt": "b"
    }


def test_a_model_file(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('path = "../runs/x"\nmax_length = 5\n')
    file = read_model_file(path)
    assert (file.folder, file.hub, file.values) == (tmp_path / "../runs/x", "", {"max_length": 5})
    path.write_text('model = "org/name"\n')
    assert (read_model_file(path).folder, read_model_file(path).hub) == (None, "org/name")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither path nor model given"),
        ('path = "a"\nmodel = "b"', "both path and model given"),
        ("path = 3", "field path: 3"),
        ("path = ", "broken TOML"),
        ('path = "a"\nmax_lenght = 3', "did you mean 'max_length'"),
        ('path = "a"\ndtype = "x"', "field dtype"),
        ('path = "no such"', "no such folder"),
        ('path = "."\nrevision = "main"', "--revision: given for a folder"),
        ('model = "a/b/c"\noffline = true', "a/b/c: not the name"),
    ],
)
def test_a_wrong_model_file(text: str, message: str, tmp_path: Path) -> None:
    if "model =" in text:
        pytest.importorskip("sentence_transformers")
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_adapter(str(path))


def test_the_code_of_a_model_file_is_found_at_any_depth_and_behind_links(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "checkpoint", tmp_path / "elsewhere"
    (folder / "deep" / "er").mkdir(parents=True)
    elsewhere.mkdir()
    (folder / "deep" / "er" / "a.py").touch()
    (folder / "notes.txt").touch()
    (elsewhere / "b.py").touch()
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    file = tmp_path / "model.toml"
    file.write_text('path = "checkpoint"\ntrust_remote_code = true\n')
    (demand,) = demands_of(file, read_model_file(file))
    assert sorted(str(path.relative_to(folder)) for path in demand.code) == [
        "deep/er/a.py",
        "linked/b.py",
    ]


def test_the_command_line_is_blamed_for_its_own_faults(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('path = "."\n')
    with pytest.raises(UsageError, match="option --dtype: 'x'"):
        load_adapter(str(path), {"dtype": "x"})


def test_options_need_a_neural_model(tmp_path: Path) -> None:
    for spec in ("bm25", "random:3", "python:json:JSONDecoder", "x.py:make"):
        with pytest.raises(UsageError, match=r"takes none of the options given: --max-length"):
            load_adapter(spec, {"max_length": "3"})
    harmless = {"max_length": None, "allow_pickle": False, "offline": True}
    assert load_adapter("random:3", harmless).name == "random-3"


def test_options_import_no_heavy_module() -> None:
    program = (
        "import sys; import mlbench.models.neural.options;"
        "print({'torch', 'transformers', 'sentence_transformers', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
