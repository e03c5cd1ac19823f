"""Training from a configuration to a folder: learnt, recorded, resumed, refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import DataError, EnvironmentFault, ModelError, UsageError
from mlbench.data.overlap_record import read_overlaps
from mlbench.evaluation.options import Options
from mlbench.training import job as job_module
from mlbench.training import static, trainer
from mlbench.training.config import train_config
from mlbench.training.overlap import overlap
from mlbench.training.record import read_training
from mlbench.training.trainer import train
from mlbench.training.training_set import training_set
from tests.support.command_line import done

pytest.importorskip("sentence_transformers")
QUIET = Options(progress=False)
GIVEN = {
    "data": "sample",
    "languages": ["de", "en", "es"],
    "batch_size": 8,
    "steps": 100,
    "dimension": 32,
    "vocabulary": 2000,
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "training-cache"))


def config(folder, **changes):
    return train_config(None, {**GIVEN, "output": folder, **changes})


def options(folder):
    """The same configuration as options of the command line."""
    given = {**GIVEN, "languages": ",".join(GIVEN["languages"]), "output": folder}
    named = (("--" + name.replace("_", "-"), value) for name, value in given.items())
    return [part for pair in named for part in pair]


def vectors(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")["embedding.weight"]


def test_a_model_learns_is_recorded_and_is_evaluated_like_any_other(tmp_path):
    folder = tmp_path / "model"
    record = train(config(folder, evaluate="sample", evaluate_every=50), QUIET, command="me")
    assert record == read_training(folder)
    assert record.loss[-1].loss < 0.5 * record.loss[0].loss
    assert (record.steps, record.pairs, sum(record.kinds.values())) == (100, 800, 100)
    assert set(record.kinds) == {"mono", "mixed"}
    assert record.plan["languages"] == ["de", "en", "es"]
    assert record.data["rows"]["de-en"] == 32
    (counted,) = read_overlaps(folder / "training.json")
    assert (counted.training, counted.task, counted.total("query").share) == (
        "sample",
        "sample",
        3 / 11,
    )
    assert any("so it was trained on what is evaluated" in note for note in record.notes)
    assert [each["step"] for each in record.evaluations] == [50, 100]
    report = mlbench.evaluate(str(folder), "sample", progress=False, languages="de,en,es")
    texts = sum(report.task.queries.values()) + sum(report.task.passages.values())
    begin = "This model was trained on what is evaluated: as its training.json says, the "
    begin += "training set"
    seen = 3 * (32 + 32)  # each language has as many questions, and passages that answer them
    holds = f"holds {seen} of the {texts} questions and passages of sample, and 0 more nearly"
    assert report.warnings[0] == f"{begin} sample {holds}."
    assert f"Warning: {begin} sample {holds}." in " ".join(str(report).split())
    assert f"{begin} sample {holds}." in report._repr_html_()
    untrained = tmp_path / "untrained"
    train(config(untrained, learning_rate=1e-9), QUIET)
    before = mlbench.evaluate(str(untrained), "sample", progress=False, languages="de,en,es")
    assert before.warnings[0] == f"{begin} is sample itself, in 100 steps of 8 rows."
    assert report.macro["multilingual"]["AP"] > 2 * before.macro["multilingual"]["AP"]
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "training.json", "modules.json", "config_sentence_transformers.json"),
        *("model.safetensors", "tokenizer.json"),
    }


def test_the_same_configuration_gives_the_same_model_and_another_seed_another(tmp_path):
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        train(config(tmp_path / name, seed=seed), QUIET)
    assert np.array_equal(vectors(tmp_path / "one"), vectors(tmp_path / "same"))
    assert not np.array_equal(vectors(tmp_path / "one"), vectors(tmp_path / "other"))


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    first = train(config(tmp_path / "model"), QUIET)
    monkeypatch.setattr(trainer, "_trained", None)
    again = train(config(tmp_path / "model", checkpoint_seconds=1), QUIET)
    assert again == first
    assert (first.done_before, again.done_before) == (False, True)
    assert "done_before" not in (tmp_path / "model" / "training.json").read_text()
    said = done("train", "--quiet", *options(tmp_path / "model"), cwd=tmp_path)
    assert said.startswith("This training was done before, on 20")
    assert "nothing was trained" in said


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_model(tmp_path, monkeypatch):
    true = static.learn
    steps = []

    def learn(table, *given):
        steps.append(1)
        if len(steps) == 31:
            table.vectors[:] = float("nan") * table.vectors
        return true(table, *given)

    monkeypatch.setattr(static, "learn", learn)
    with pytest.raises(ModelError) as error:
        train(config(tmp_path / "model"), QUIET)
    assert "training, step 31: the loss is nan" in str(error.value)
    assert "lower learning rate than 0.02" in str(error.value)
    assert str(tmp_path / "model" / job_module.LAST_GOOD) in str(error.value)
    assert not (tmp_path / "model" / "training.json").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    folder = tmp_path / "model"
    train(config(folder, steps=3), QUIET)
    with pytest.raises(UsageError, match="holds another training"):
        train(config(folder, steps=4), QUIET)
    assert train(config(folder, steps=4), QUIET, overwrite=True).steps == 4
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UsageError, match="files that are no training's"):
        train(config(tmp_path / "mine"), QUIET)


def test_a_killed_training_of_another_configuration_is_not_gone_on_with(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / trainer.MARK_FILE).write_text("another")
    with pytest.raises(UsageError, match="holds another training"):
        train(config(folder, steps=2), QUIET)
    assert train(config(folder, steps=2), QUIET, overwrite=True).steps == 2


def test_a_training_can_go_by_time(tmp_path):
    record = train(config(tmp_path / "model", steps=None, seconds=0.3), QUIET)
    assert 0.3 <= record.seconds < 120
    assert record.pairs_per_second == pytest.approx(record.pairs / record.seconds, rel=0.005)


def test_a_trained_model_is_trained_on(tmp_path):
    first = train(config(tmp_path / "first"), QUIET)
    more = train(config(tmp_path / "more", base=str(tmp_path / "first"), steps=20), QUIET)
    assert more.loss[0].loss < 0.6 * first.loss[0].loss
    assert more.base["name"] == "first"


def test_faulty_plans_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="32 rows at most"):
        train(config(tmp_path / "model", batch_size=33), QUIET)
    with pytest.raises(UsageError, match="xx"):
        train(config(tmp_path / "model", languages=["de", "xx"]), QUIET)
    assert not (tmp_path / "model").exists()


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "_ROOM", 10**12)
    with pytest.raises(EnvironmentFault, match="free on the disk"):
        train(replace(config(tmp_path / "model"), steps=2), QUIET)


def test_training_text_that_is_evaluated_is_refused_with_strict(tmp_path):
    strict = replace(QUIET, strict=True)
    with pytest.raises(DataError, match=r"of the .* questions and passages of sample"):
        train(config(tmp_path / "model", evaluate="sample"), strict)
    assert not (tmp_path / "model").exists()
    train(config(tmp_path / "other", data="emoji-train", evaluate="emoji-names", steps=2), strict)
    assert read_overlaps(tmp_path / "other" / "training.json")[0].fault is None


def test_what_is_known_of_the_same_data_is_told_in_the_record(tmp_path):
    seen = overlap(training_set("sample", progress=False), "sample", progress=False)
    others = [replace(seen, training_digest="of other data"), seen]
    given = {name: value for name, value in GIVEN.items() if name != "languages"}
    chosen = train_config(None, {**given, "steps": 2, "output": tmp_path / "model"})
    record = train(chosen, QUIET, known=others)
    assert read_overlaps(tmp_path / "model" / "training.json") == [seen]
    assert seen.warning in record.notes
    measured = replace(chosen, evaluate="sample", output=tmp_path / "measured")
    train(measured, QUIET, known=others)  # and not a second time
    assert read_overlaps(tmp_path / "measured" / "training.json") == [seen]
