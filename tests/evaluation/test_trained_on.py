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
from tests.support.pairs_task import write_pairs

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
    record |= {"data": {"name": "pairs"}, "text_data": None, "config": {"languages": []}}
    return record | {"plan": {"size": 8, "languages": ["de", "en"]}} | changes


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
    assert german.endswith("holds 1,001 of the 2,000 questions and passages of sample, "
                           "and 21 more nearly.")  # fmt: skip
    french = (*COUNTS[:1], Count("query", "fr", 1200, 0, 0), COUNTS[3])
    (with_french,) = said(record_of(sample, french), languages=("de", "fr", IMAGE))
    assert with_french.endswith(
        "holds 1,499 of the 2,900 questions and passages of sample, and 20 more nearly, "
        "all in de and the images."
    )
    assert said(record_of(sample), languages=("fr",)) == ()
    assert said(record_of(images)) == ()  # of another task
    none = tuple(Count(c.role, c.language, c.texts, 0, 0) for c in COUNTS)
    assert said(record_of(sample, none)) == ()


def test_the_data_of_the_task_itself_needs_no_measurement(said):
    own = {"overlap": [], "text_data": {"name": "sample"}}
    wanted = (f"{BEGIN} is sample itself, in 1 step of 8 rows.",)
    earlier = record_of(load_task("sample"), **own)  # it does not tell the languages
    assert said(earlier, languages=("de", "en")) == wanted


@pytest.mark.parametrize(
    ("trained", "evaluated", "wanted"),
    [
        (("de", "en"), ("de", "en"), f"{BEGIN} is sample itself, in 1 step of 8 rows."),
        (("de", "en", "fr"), ("en",), f"{BEGIN} is sample itself, in 1 step of 8 rows."),
        (("de", "en"), ("en", "fr"), f"{BEGIN} is sample itself in en, in 1 step of 8 rows."),
        (
            ("ar", "de", "el", "en", "es", "hi"),
            ("ar", "de", "el", "en", "es", "hi", "ru"),
            f"{BEGIN} is sample itself in 6 languages, in 1 step of 8 rows.",
        ),
        (("en", IMAGE), ("de", IMAGE), f"{BEGIN} is sample itself in the images, in 1 step of 8"),
        (
            ("de", "en"),
            ("fr", "ru"),
            "This model was trained on other languages of what is evaluated: as its training.json "
            "says, the training set is sample in de and en, in 1 step of 8 rows, and its texts may "
            "be translations of those that are evaluated.",
        ),
    ],
)
def test_the_task_itself_is_told_with_the_languages_that_are_trained_on_and_evaluated(
    said, trained, evaluated, wanted
):
    for changes in (
        {"data": {"name": "sample"}, "plan": {"size": 8, "languages": trained}},
        {"text_data": {"name": "sample", "languages": trained}},
        {"text_data": {"name": "sample"}, "config": {"languages": trained}},
    ):
        record = record_of(load_task("sample"), **{"overlap": []} | changes)
        (found,) = said(record, "sample", evaluated)
        assert found.startswith(wanted)


PAIRS = ("de-en", "en-fr", "en-sw")
SOME = [("de", "en"), ("en", "fr"), ("en", "fr", "sw"), ("de", "en", "fr", "sw")]


@pytest.mark.parametrize("trained", SOME)
@pytest.mark.parametrize("evaluated", SOME)
def test_of_a_task_of_pairs_the_pairs_are_told_whose_texts_are_trained_on(
    said, tmp_path, trained, evaluated
):
    path = write_pairs(tmp_path)

    def texts(*codes):
        held = mlbench.load_collection(path, languages=",".join(codes), progress=False)
        return {*held.queries.texts, *held.passages.texts}

    asked = [pair for pair in PAIRS if {*pair.split("-")} <= {*evaluated}]
    both = [pair for pair in asked if texts(*pair.split("-")) <= texts(*trained)]
    record = record_of(load_task(path), overlap=[], data={"name": load_task(path).name})
    record["plan"]["languages"] = trained
    (found,) = said(record, path, evaluated)
    assert found.startswith(BEGIN) == bool(texts(*trained) & texts(*evaluated)) == bool(both)
    if both:
        where = "" if both == asked else f" in {' and '.join(both)}"
        assert found == f"{BEGIN} is {load_task(path).name} itself{where}, in 1 step of 8 rows."
    else:
        assert found.startswith("This model was trained on other pairs of what is evaluated: ")


def test_counts_of_a_language_of_several_pairs_are_those_of_the_whole_task(said):
    task = load_task("xtreme-r-tatoeba")
    counts = (Count("query", "en", 60, 20, 0), Count("query", "de", 20, 20, 0))
    counts += (Count("query", "fr", 20, 0, 0), Count("query", "th", 20, 0, 0))
    record = record_of(task, counts)
    holds = "holds 40 of the 120 questions and passages of xtreme-r-tatoeba, and 0 more nearly"
    (whole,) = said(record, task.name, task.languages)
    assert whole == f"{BEGIN} pairs {holds}, all in en and de."
    (part,) = said(record, task.name, ("en", "fr"))
    assert part.startswith(
        "This model was trained on texts of xtreme-r-tatoeba, of which not all pairs are evaluated:"
    )
    assert part.endswith(f" pairs {holds}, all in en and de.")
    assert said(record_of(task, counts[1:]), task.name, ("en", "fr")) == ()
    own = record_of(task, data={"name": task.name}, overlap=[])
    own["plan"]["languages"] = [*task.languages][:10]
    assert "itself in 9 pairs, in 1 step" in said(own, task.name, task.languages)[0]


def test_what_is_measured_of_the_task_itself_is_not_told_twice(said):
    sample = load_task("sample")
    found = record_of(sample, data={"name": "sample"})
    found["overlap"][0]["training"] = "sample"
    (german,) = said(found, languages=("de",))
    assert "the training set sample holds 1,001 of the 2,000 questions" in german
    (french,) = said(found, languages=("fr",))
    assert french.startswith("This model was trained on other languages of what is evaluated: ")


def test_a_file_of_another_program_says_nothing_and_a_damaged_one_that_it_is(said, tmp_path):
    assert said({"lr": 0.1}) == ()
    assert said([1]) == ()
    (damaged,) = said("{")
    assert damaged.startswith(f"{tmp_path / 'training.json'} is damaged, so it is not known what")
    assert said({"schema": "mlbench/training/1"}) == (damaged,)
    assert said(record_of(load_task("sample"), overlap=[{"task": "sample"}])) == (damaged,)
    assert said("[" * 100_000) == (damaged,)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"name": ["sample"]}},
        {"text_data": {}},
        {"steps": -1},
        {"steps": 1.5},
        {"steps": True},
        {"plan": {"size": "8", "languages": ["de"]}},
        {"plan": {"size": 8, "languages": "de"}},
        {"plan": {"size": 8, "languages": {"de": 1}}},
        {"plan": {"size": 8, "languages": [1]}},
    ],
)
def test_what_no_training_writes_is_damage(said, changes):
    own = record_of(load_task("sample"), data={"name": "sample"}, overlap=[])
    (damaged,) = said(own | changes)
    assert "is damaged" in damaged


def test_languages_that_make_no_pair_are_damage(said):
    task = load_task("xtreme-r-tatoeba")
    own = record_of(task, data={"name": task.name}, overlap=[])
    own["plan"]["languages"] = ["de", "fr"]
    (damaged,) = said(own, task.name, task.languages)
    assert "is damaged" in damaged


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
