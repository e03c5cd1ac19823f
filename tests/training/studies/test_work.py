from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mlbench.common.errors import DataError, UsageError
from mlbench.data.overlap_record import read_overlaps
from mlbench.evaluation.options import Options
from mlbench.reports.report import read_report
from mlbench.training.overlap import overlaps
from mlbench.training.studies import work
from mlbench.training.studies.plan import load_study
from mlbench.training.studies.run import carry_out_one, entrants, jobs
from mlbench.training.studies.work import check_arms, measured_overlap, work_with

pytest.importorskip("sentence_transformers")
STUDY = """
name = "small"
title = "A small study"
question = "Does it work?"
tasks = ["sample"]
seeds = [1, 2]
baselines = ["base"]

[train]
data = "sample"
base = "static"
languages = ["de", "en", "es"]
batch_size = 8
steps = 4
dimension = 8
vocabulary = 300

[grid]
alpha = [0, 1]
"""
OPTIONS = Options(progress=False, offline=True)


def study(folder, text: str = STUDY):
    path = folder / "small.toml"
    path.write_text(text)
    return load_study(path)


def test_cells_and_the_untrained_base_are_made_and_evaluated(tmp_path):
    plan = study(tmp_path)
    check_arms(plan, OPTIONS, data=True)
    todo = list(jobs(plan, tmp_path / "done", work_with(OPTIONS, "mlbench study small")))
    base, first = todo[0], todo[1]
    carry_out_one(base)
    carry_out_one(first)
    folder = tmp_path / "done/cells/alpha-0/seed-1"
    record = json.loads((folder / "training.json").read_text())
    assert (record["steps"], record["config"]["alpha"], record["config"]["seed"]) == (4, 0, 1)
    cell = json.loads((folder / "cell.json").read_text())
    assert cell["peak_memory"] is None or cell["peak_memory"] > 2**20
    trained, untrained = read_report(folder / "sample"), entrants(plan, tmp_path / "done", "sample")
    assert trained.task.name == "sample"
    found = {each.label: each for each in untrained}
    assert set(found) == {"alpha 0", "base"}
    assert found["base"].read("").model.identity != trained.model.identity


@pytest.mark.parametrize(
    ("before", "after", "error", "said"),
    [
        ("alpha = [0, 1]", "alpha = [0, 2]", UsageError, "alpha 2: option alpha: 2"),
        ("steps = 4", "step = 4", UsageError, "option step: unknown field"),
        ("steps = 4", "", UsageError, "none is given"),
        ("batch_size = 8", "batch_size = 8000", DataError, "8,000 rows, the batch size"),
        ('"es"', '"xx"', UsageError, "xx"),
        (
            "alpha = [0, 1]",
            "proportions = [{mono = 0.5}]",
            UsageError,
            "mono 0.5: option proportions: they add up to 0.5",
        ),
        ('base = "static"\n', "", UsageError, "baselines without it, where the base is varied"),
    ],
)
def test_what_cannot_be_trained_is_said_of_all_arms_at_once(tmp_path, before, after, error, said):
    text = STUDY.replace(before, after)
    if before.startswith("base"):
        text = text.replace("alpha = [0, 1]", 'base = ["static"]')
    with pytest.raises(error) as fault:
        check_arms(study(tmp_path, text), OPTIONS, data=True)
    assert said in str(fault.value)


def test_a_training_set_that_is_evaluated_is_said_and_refused_if_strict(tmp_path):
    plan = study(tmp_path)
    (warning,) = measured_overlap(plan, tmp_path / "done", OPTIONS)
    assert warning.startswith("The training set sample holds ")
    before = (tmp_path / "done/overlap.json").stat().st_mtime_ns
    with pytest.raises(DataError, match="questions and passages of sample"):
        measured_overlap(plan, tmp_path / "done", replace(OPTIONS, strict=True))
    assert (tmp_path / "done/overlap.json").stat().st_mtime_ns == before
    none = load_study("quick")
    assert measured_overlap(none, tmp_path / "quick", replace(OPTIONS, strict=True)) == []


LINES = """
name = "train"
version = "1"
title = "Lines"
languages = ["de", "en"]
settings = ["crosslingual"]
licence = "CC0-1.0"
citation = "none"
[source]
reader = "lines"
[source.files]
text = "{language}.txt"
"""


def training_lines(folder, *lines):
    """A training set of parallel lines, called train; its file."""
    folder.mkdir()
    (folder / "train.toml").write_text(LINES)
    for language in ("de", "en"):
        text = "".join(f"{language} {line}\n" for line in lines)
        (folder / f"{language}.txt").write_text(text)


def test_only_what_is_new_in_a_study_is_looked_for(tmp_path, monkeypatch):
    measured = []

    def counted(sets, task, options):
        measured.extend((data.name, task.name) for data in sets)
        return overlaps(sets, task, options)

    monkeypatch.setattr(work, "overlaps", counted)
    training_lines(tmp_path / "a", "one two three four", "something else entirely")
    training_lines(tmp_path / "b", "what another file holds")

    def found(data, **changes):
        text = STUDY.replace('data = "sample"\n', "").replace(', "es"', "")  # train has no es
        text = text.replace("alpha = [0, 1]", f"data = {data}")
        return measured_overlap(
            study(tmp_path, text), tmp_path / "done", replace(OPTIONS, **changes)
        )

    (said,) = found('["sample"]')
    assert found('["sample", "a/train.toml"]') == [said]
    assert measured == [("sample", "sample"), ("train", "sample")]
    known = read_overlaps(tmp_path / "done" / "overlap.json")
    assert [each.training for each in known] == ["sample", "train"]
    assert found('["a/train.toml"]', strict=True) == []  # of what is in the study now
    assert found('["sample", "a/train.toml"]') == [said]
    assert len(measured) == 2
    # two of one name are told apart by what they hold
    assert found('["a/train.toml", "b/train.toml"]') == []
    assert found('["a/train.toml", "b/train.toml"]') == []
    assert len(measured) == 3
    every = read_overlaps(tmp_path / "done" / "overlap.json")
    assert every[:2] == known
    (tmp_path / "done" / "overlap.json").write_text("[{}]")
    with pytest.raises(
        DataError, match=r"overlap.json: not mlbench/overlap/1(.|\n)*delete the file"
    ):
        found('["sample"]')
    assert len({each.training_digest for each in every}) == 3
