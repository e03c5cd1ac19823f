"""What a training is told: a file, options before it, and all faults at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.common.errors import UsageError
from mlbench.training.batches import Proportions
from mlbench.training.config import SETTINGS, Loss, from_text, train_config

FILE = """
data = "sample"
output = "models/one"
languages = ["de", "en"]
alpha = 0.25
batch-size = 16
steps = 100
loss = "cached-mnrl"
learning-rate = 1e-3
weights = {en = 2}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "training.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def faults(**given):
    with pytest.raises(UsageError) as error:
        train_config(None, given)
    return str(error.value)


def test_a_file_is_read(file):
    config = train_config(file)
    assert config.languages == ("de", "en")
    assert config.mixing == Proportions(mono=0.25, mixed=0.75)
    assert (config.batch_size, config.whole_steps, config.loss) == (16, 100, Loss.CACHED)
    assert config.output == file.parent / "models/one"
    assert config.weights == {"en": 2.0}
    assert config.rate(7) == 1e-3


def test_an_option_goes_before_the_file_and_what_excludes_it_goes(file):
    config = train_config(file, {"seconds": 2, "proportions": {"mono": 0.5, "pair": 0.5}})
    assert (config.steps, config.seconds, config.whole_steps) == (None, 2.0, None)
    assert config.mixing == Proportions(mono=0.5, pair=0.5)
    assert train_config(file, {"output": "here"}).output == Path("here")


def test_paths_start_at_the_file_s_folder(file, tmp_path):
    (tmp_path / "my-task.toml").write_text("", encoding="utf-8")
    (tmp_path / "static").mkdir()
    file.write_text(FILE.replace('"sample"', '"my-task.toml"') + 'base = "static"\n')
    config = train_config(file)
    assert config.data == str(tmp_path / "my-task.toml")
    assert config.base == "static"
    assert train_config(file, {"data": "sample"}).data == "sample"


def test_a_file_cannot_have_files_written_elsewhere(file, monkeypatch):
    file.write_text(FILE.replace("models/one", "../elsewhere"))
    monkeypatch.delenv("MLBENCH_TRUST", raising=False)
    with pytest.raises(UsageError, match="outside the folder of this file"):
        train_config(file)
    assert train_config(file, {"output": "../elsewhere"}).output == Path("../elsewhere")


def test_pairs_are_whole_batches():
    config = train_config(None, {"data": "x", "output": "y", "pairs": 1001, "batch_size": 100})
    assert config.whole_steps == 11


def test_all_faults_are_told_at_once(file):
    file.write_text('data = ""\nalpha = 1.5\nbatchsize = 3\nsteps = 5\nseconds = 2\nscale = 0\n')
    with pytest.raises(UsageError) as error:
        train_config(file)
    text = str(error.value)
    for part in (
        "field batchsize: unknown field",
        "did you mean 'batch_size'",
        "field alpha: 1.5",
        "a number from 0 to 1",
        "steps and seconds given",
        "field output: missing",
        "field scale: 0",
    ):
        assert part in text


def test_proportions_must_add_up():
    text = faults(data="x", output="y", steps=1, proportions={"mono": 0.5, "pair": 0.4})
    assert "option proportions: they add up to 0.9 (mono 0.5 + pair 0.4)" in text
    text = faults(data="x", output="y", steps=1, proportions={"mono": 1.0, "alpha": 0.4})
    assert "option proportions.alpha: unknown field" in text
    text = faults(data="x", output="y", steps=1, alpha=0.5, proportions={"mono": 1})
    assert "given beside proportions" in text


def test_options_of_the_command_line_are_read_as_toml():
    assert from_text("proportions", "{mono = 0.5, pair = 0.5}") == {"mono": 0.5, "pair": 0.5}
    assert from_text("steps", "20") == 20
    assert from_text("query_prompt", "1: ") == "1: "
    assert from_text("alpha", "half") == "half"
    assert "option alpha: 'half'" in faults(data="x", output="y", steps=1, alpha="half")
    assert all(row.help for row in SETTINGS)


def test_a_share_of_texts_needs_texts():
    given = {"data": "x", "output": "y", "steps": 1, "text_share": 0.25}
    with pytest.raises(UsageError, match="text_share: given without text_data"):
        train_config(None, given)
    assert train_config(None, {**given, "text_data": "z"}).text_share == 0.25


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ('query_prompt="query: "', "query: "),
        ("query_prompt=query: ", "query: "),
        ('languages=["ar", "de"]', ["ar", "de"]),
        ("languages=ar,de", ["ar", "de"]),
        ('base=["static", "xlm-roberta-base"]', ["static", "xlm-roberta-base"]),
        ("base = static", "static"),
    ],
)
def test_a_changed_field_of_a_study_is_as_written(given, value):
    from mlbench.commands.study import _change

    assert _change(given) == (given.partition("=")[0].strip(), value)


def test_missing_libraries_are_said_before_the_data_is_read(monkeypatch, tmp_path):
    from mlbench.common.errors import EnvironmentFault
    from mlbench.training import base
    from mlbench.training.trainer import train

    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match="not installed: "):
        train({"data": "no-such-data", "steps": 1, "output": str(tmp_path / "model")})
