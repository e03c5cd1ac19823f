"""What the record in a model's folder says of the task that it is evaluated on."""

from __future__ import annotations

import json

import pytest

import mlbench
from mlbench.data.images import IMAGE
from mlbench.data.overlap_record import Count, Overlap, training_record
from mlbench.evaluation.tasks import load_task
from mlbench.evaluation.trained_on import training_warnings
from mlbench.models.objects import load_model
from tests.support.letters import Letters

BEGIN = "This model was trained on what is evaluated: as its training.json says, the training set"
COUNTS = (
    Count("query", "de", 1200, 1000, 20),
    Count("query", "en", 1200, 3, 0),
    Count("passage", "de", 800, 1, 1),
    Count("passage", IMAGE, 500, 499, 0),
)


def record_of(task, counts=COUNTS, **changes):
    """A training.json that tells of an overlap with a task."""
    named = {"task": task.name, "version": task.version, "digest": "2"}
    found = Overlap("pairs", "1", 10, **named, threshold=0.8, counts=counts)
    record = {"schema": "mlbench/training/1", "overlap": [found.values()], "steps": 1}
    record |= {"data": {"name": "pairs"}, "text_data": None, "plan": {"size": 8}}
    return record | changes


@pytest.fixture
def said(tmp_path):
    """What is said of a model with a training.json."""
    model = Letters()
    model.folder = tmp_path

    def of(record, task="sample", languages=("de", "en", IMAGE)):
        text = record if isinstance(record, str) else json.dumps(record)
        (tmp_path / "training.json").write_text(text)
        return training_warnings(load_model(model), load_task(task), languages)

    return of


def test_the_figures_are_those_of_the_languages_that_are_evaluated(said):
    sample, images = load_task("sample"), load_task("emoji-images")
    holds = "holds 1,503 of the 3,700 questions and passages of emoji-images, and 21 more nearly"
    assert said(record_of(images), "emoji-images") == (f"{BEGIN} pairs {holds}.",)
    (german,) = said(record_of(sample), languages=("de",))
    assert "holds 1,001 of the 2,000 questions and passages of sample, and 21 more" in german
    assert said(record_of(sample), languages=("fr",)) == ()
    assert said(record_of(images)) == ()  # of another task
    none = tuple(Count(c.role, c.language, c.texts, 0, 0) for c in COUNTS)
    assert said(record_of(sample, none)) == ()


def test_the_data_of_the_task_itself_needs_no_measurement(said):
    own = {"overlap": [], "text_data": {"name": "sample"}}
    wanted = (f"{BEGIN} is sample itself, in 1 step of 8 rows.",)
    assert said(record_of(load_task("sample"), **own)) == wanted


def test_a_file_of_another_program_says_nothing_and_a_damaged_one_that_it_is(said, tmp_path):
    assert said({"lr": 0.1}) == ()
    assert said([1]) == ()
    (damaged,) = said("{")
    assert damaged.startswith(f"{tmp_path / 'training.json'} is damaged, so it is not known what")
    assert said({"schema": "mlbench/training/1"}) == (damaged,)
    assert said(record_of(load_task("sample"), overlap=[{"task": "sample"}])) == (damaged,)
    assert said("[" * 100_000) == (damaged,)


@pytest.mark.parametrize(
    "counts",
    [
        (Count("query", "de", 10, -5, 0),),
        (Count("query", "de", 10, 8, 3),),
        (Count("query", "de", 10, 1, 0), Count("query", "de", 10, 1, 0)),
    ],
)
def test_counts_that_cannot_be_are_damage(said, counts):
    (damaged,) = said(record_of(load_task("sample"), counts))
    assert "is damaged" in damaged


def test_two_sets_of_the_same_name_are_told_once_and_a_long_name_is_no_path(said):
    both = {"overlap": [], "data": {"name": "sample"}, "text_data": {"name": "sample"}}
    assert len(said(record_of(load_task("sample"), **both))) == 1
    assert training_record("a" * 300) is None


def test_a_report_warns_and_its_scores_and_identity_stay(tmp_path):
    options = mlbench.Options(progress=False, cache=None)
    before = mlbench.evaluate(Letters(), "sample", options)
    model = Letters()
    model.folder = tmp_path
    (tmp_path / "training.json").write_text(json.dumps(record_of(load_task("sample"))))
    after = mlbench.evaluate(model, "sample", options)
    assert [line[: len(BEGIN)] for line in after.warnings] == [BEGIN]
    assert before.warnings == ()
    assert (after.model, after.scores, after.task) == (before.model, before.scores, before.task)
