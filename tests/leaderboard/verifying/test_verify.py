"""Verification: which texts are encoded, what it concludes, and the command as a process."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlbench.commands.cli import main
from mlbench.commands.verify import _seed
from mlbench.common.errors import DataError, IntegrityError, UsageError
from mlbench.common.files import sha256_of
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.options import Options
from mlbench.leaderboard.checking.recording import write_record
from mlbench.leaderboard.checking.submit import add_task, submit
from mlbench.leaderboard.entries.entry import ENTRY_FILE, Declared, Level
from mlbench.leaderboard.verifying.verification import Verdict, VerifiedTask
from mlbench.leaderboard.verifying.verify import (
    Request,
    read_subject,
    refuse_other_task,
    verify,
)
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.models.registry import load_adapter
from mlbench.reports.report import RANKS_FILE, REPORT_FILE, read_report, write_report
from tests.leaderboard.boards import DAY, alter_table, check, edit, publish, run_of, submitted
from tests.leaderboard.sampled import TASK, Known, loaded, lowered, problem, subject_of, verified
from tests.support.command_line import mlbench
from tests.support.reports import collection_of, languages, pair


class Fitted(Known):
    """The same, and refuses to encode before it was given every passage."""

    def __init__(self, collection, sides):
        super().__init__(collection, sides)
        self.fitted = 0

    def fit(self, texts, language):
        self.fitted += len(texts)

    def _encode(self, role, texts):
        assert self.fitted == len(self.of["passage"])
        return super()._encode(role, texts)


class LookedUp(Known):
    def __init__(self, collection, sides):
        super().__init__(collection, sides)
        self.bound = Counter()

    def bind(self, role, language, ids, texts):
        self.bound[role] += len(ids)


def names_of_refusals(found):
    return {check.name for check in found.checks if not check.agrees}


def test_an_honest_entry_supports_the_level_sampled():
    found = verified()
    assert (found.verdict, found.level, found.exit_code) == (Verdict.AGREES, Level.SAMPLED, 0)
    assert found.notes == ()
    assert found.model.same
    assert found.recomputed.passages == {"ar": 60, "de": 60, "el": 60}
    assert (found.recomputed.queries, found.recomputed.all_queries) == (90, 450)
    assert found.versions["known"] == "1"
    assert found.understated is not None


def test_only_the_sample_is_encoded():
    collection, sides, _ = problem()
    adapter = Known(collection, sides)
    found = verified(adapter=adapter, queries=60, passages=20)
    assert adapter.asked["query"] == found.recomputed.distinct["query"] == 60
    assert adapter.asked["passage"] == found.recomputed.distinct["passage"]
    assert 60 <= adapter.asked["passage"] <= 60 * 3 + 60


def test_a_model_that_learns_is_given_the_whole_collection():
    collection, sides, _ = problem()
    adapter = Fitted(collection, sides)
    assert verified(adapter=adapter).level is Level.SAMPLED
    assert adapter.asked["passage"] < len(collection.passages) / 1.3


def test_vectors_that_are_looked_up_agree_but_support_no_level():
    collection, sides, _ = problem()
    adapter = LookedUp(collection, sides)
    found = verified(adapter=adapter)
    assert adapter.bound == {"query": 450, "passage": 462}
    assert (found.verdict, found.level, found.exit_code) == (Verdict.AGREES, None, 3)
    assert "no text was encoded" in found.notes[0]


def test_another_identity_supports_no_level():
    found = verified(identity="declared: known v2")
    assert (found.verdict, found.level, found.exit_code) == (Verdict.AGREES, None, 3)
    assert "known v2" in found.notes[0]
    assert not found.model.same


def test_a_seed_gives_the_same_result_and_another_one_another():
    one, same, other = (verified(seed=seed) for seed in (3, 3, 4))
    assert one.checks == same.checks
    assert one.checks != other.checks


def test_a_forged_table_is_refused():
    found = verified(lowered(problem()[2], 0.3))
    assert (found.verdict, found.level, found.exit_code) == (Verdict.DISAGREES, None, 6)
    assert "whole" in names_of_refusals(found)
    assert "more passages above" in next(c for c in found.checks if c.name == "whole").example


def test_examples_name_query_passage_and_counts():
    ranks = problem()[2]
    row = int(np.argmax(ranks.above[:, 0] > 90))
    above = ranks.above.copy()
    above[row, 0] = 1
    found = verified(replace(ranks, above=above), queries=450)
    (check,) = [check for check in found.checks if check.name == "bounds"]
    query = ranks.query_ids[ranks.query[row]]
    assert check.differing == 1
    assert f"query {query!r} (ar), passage {ranks.passage_ids[row]!r}" in check.example
    assert "passages in ar" in check.example
    assert "of all, the table has 1, 1 and 152" in check.example


@pytest.mark.parametrize("request_", [{"queries": 20}, {"passages": 5}])
def test_nothing_is_concluded_from_too_little(request_):
    found = verified(**request_)
    assert (found.verdict, found.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert "too small" in found.notes[-1]


def test_a_model_without_fault_is_no_reason_to_doubt():
    found = verified(noise=0.2, passages=154)
    assert problem(noise=0.2)[2].above.sum() == 0
    assert (found.verdict, found.understated) == (Verdict.AGREES, None)
    assert found.excess <= 0.05


def test_a_coarse_model_gets_its_tolerance():
    collection, sides, _ = problem()
    found = verified(adapter=Known(collection, sides, "bfloat16"))
    assert found.limits.tolerance == 4e-3
    assert found.model.dtype == "bfloat16"
    found = verified(adapter=Known(collection, sides, "int8"))
    assert (found.limits.tolerance, found.limits.ties) == (1.5e-2, False)


def test_an_entry_cannot_widen_the_tolerance_by_what_it_says_of_its_model():
    collection, sides, ranks = problem()
    subject = replace(subject_of(ranks, collection), dtype="int8")
    request = Request(60, 30, 1)
    found = verify(subject, TASK, collection, loaded(Known(collection, sides)), request)
    assert found.limits.tolerance == 1e-5
    other = loaded(Known(collection, sides), "declared: known v2")
    assert verify(subject, TASK, collection, other, request).limits.tolerance == 1.5e-2


def test_the_whole_run_again_is_the_same_table():
    found = verified(full=True)
    assert (found.verdict, found.level) == (Verdict.AGREES, Level.REPRODUCED)
    assert [(c.name, c.compared, c.differing) for c in found.checks] == [("rows", 1350, 0)]
    assert found.score_difference == 0
    assert found.recomputed.seed is None


def test_rows_that_differ_by_rounding_are_explained():
    collection, sides, ranks = problem(noise=1.0)
    generator = np.random.default_rng(0)
    noisy = [
        (side + 1e-3 * generator.standard_normal(side.shape)).astype(np.float32) for side in sides
    ]
    found = verified(ranks, Known(collection, noisy, "bfloat16"), noise=1.0, full=True)
    rows = found.checks[0]
    assert rows.differing > 0
    assert rows.agrees
    assert found.score_difference > 0
    assert "differ by" in rows.example
    exact = verified(ranks, Known(collection, noisy), noise=1.0, full=True)
    assert exact.verdict is Verdict.DISAGREES


def test_the_whole_run_again_finds_one_wrong_count():
    ranks = problem()[2]
    above = ranks.above.copy()
    row, language = np.argwhere(above > 2)[30]
    above[row, language] -= 1
    forged = replace(ranks, above=above)
    found = verified(forged, full=True)
    assert (found.verdict, found.exit_code) == (Verdict.DISAGREES, 6)
    assert [(c.name, c.differing) for c in found.checks] == [
        ("rows", 1),
        ("order", 0),
        ("bounds", 1),
    ]
    measures = parse_measures(["AP", "R@1"])
    scores = [compute_scores(table, TASK.settings(), measures).macro for table in (ranks, forged)]
    expected = max(
        abs(scores[0][kind][name].value - scores[1][kind][name].value)
        for kind in scores[0]
        for name in scores[0][kind]
    )
    assert found.score_difference == pytest.approx(expected)
    assert expected > 0


def test_the_table_of_other_texts_is_refused_before_anything_is_encoded():
    collection, sides, ranks = problem()
    subject = subject_of(ranks, collection)
    other = replace(subject, task=VerifiedTask("parallel", "1", "0" * 64))
    adapter = Known(collection, sides)
    with pytest.raises(IntegrityError, match="collection"):
        verify(other, TASK, collection, loaded(adapter), Request(10, 10, 0))
    assert not adapter.asked


@pytest.fixture(scope="module")
def sample():
    task = find_task("sample")
    return task, read_collection(task, Locator(offline=True).of(task))


@pytest.fixture(scope="module")
def reports(sample, tmp_path_factory) -> dict[str, Path]:
    """Reports of built-in models on the sample task."""
    folder = tmp_path_factory.mktemp("reports")
    for spec in ("char-ngram", "bm25"):
        found = pair(evaluate_held(*sample, load_adapter(spec), Options(("AP",), progress=False)))
        write_report(folder / spec, *found, {})
    return {spec: folder / spec for spec in ("char-ngram", "bm25")}


@pytest.mark.parametrize("spec", ["char-ngram", "bm25"])
def test_built_in_models(sample, reports, spec):
    subject = read_subject(reports[spec])
    found = verify(subject, *sample, load_adapter(spec), Request(120, 30, 5))
    assert found.level is Level.SAMPLED
    assert found.recomputed.distinct["query"] == 120
    assert found.recomputed.distinct["passage"] < 704


def test_the_process(reports, tmp_path):
    shutil.copytree(reports["char-ngram"], tmp_path / "report")
    arguments = ("verify", "report", "--model", "char-ngram", "--sample", "60", "--quiet")
    done = mlbench(*arguments, "--seed", "9", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("char-ngram on sample: AGREES\n")
    assert "level sampled" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    done = mlbench(*arguments, "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["level"] == "sampled"
    assert found["command"].startswith("mlbench verify report")


def test_an_entry_is_verified_and_the_result_recorded(reports, tmp_path, capsys):
    root, today = tmp_path / "leaderboards", datetime.datetime.now(datetime.UTC).date()
    add_task(*pair(read_report(reports["bm25"])), root)
    entry = submit(reports["bm25"], root, Declared("Ada", today.isoformat())).folder
    assert main(["verify", str(entry), "--model", "bm25", "--json", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said)["entry"]["kind"] == "entry"
    assert json.loads(said)["entry"]["sha256"] == sha256_of(entry / ENTRY_FILE)
    (tmp_path / "verify.json").write_text(said, encoding="utf-8")
    write_record(entry, Level.SAMPLED, "Grace", tmp_path / "verify.json", "", today)
    found = check(root, today=today)
    assert (found.malformed, found.contradictory) == ([], [])


def test_a_seed_that_is_not_given_cannot_be_foreseen():
    assert len({_seed(None) for _ in range(20)}) == 20
    assert _seed(5) == 5


def test_the_process_on_a_forged_table(reports, tmp_path):
    report, ranks = pair(read_report(reports["char-ngram"]))
    forged = replace(ranks, above=ranks.above // 2, tied=ranks.tied // 2)
    scores = compute_scores(forged, find_task("sample").settings(), parse_measures(report.measures))
    write_report(tmp_path / "report", replace(report, scores=scores), forged, {})
    done = mlbench("verify", "report", "--model", "char-ngram", "--quiet", cwd=tmp_path)
    assert done.returncode == 6
    assert "DISAGREES" in done.stdout
    assert "Neither rounding nor chance" in done.stdout


def test_the_process_with_another_model(reports, tmp_path):
    shutil.copytree(reports["bm25"], tmp_path / "report")
    done = mlbench("verify", "report", "--model", "char-ngram", "--quiet", cwd=tmp_path)
    assert done.returncode == 6
    said = " ".join(done.stdout.split())
    assert "NOT the identity" in said
    assert "1024" in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere", "--model", "char-ngram"], 3, "no such folder"),
        (["report", "--model", "char-gram"], 2, "char-ngram"),
        (["report", "--model", "char-ngram", "--seed", "-1"], 2, "--seed"),
        (["report", "--model", "char-ngram", "--task", "nothing"], 2, "nothing"),
        (["report", "--model", "char-ngram", "--sample", "0"], 2, "whole number from 1"),
        (["report", "--model", "char-ngram", "--task", "other/sample.toml"], 6, "collection"),
        (["report", "--model", "char-ngram", "--task", "xquad-r", "--offline"], 3, "xquad-r"),
        (["report", "--model", "char-ngram", "--task", "miracl"], 2, "streamed"),
        (["damaged", "--model", "char-ngram"], 6, "SHA-256"),
    ],
)
def test_faults(reports, tmp_path, sample, monkeypatch, capsys, arguments, code, message):
    shutil.copytree(reports["char-ngram"], tmp_path / "report")
    shutil.copytree(reports["char-ngram"], tmp_path / "damaged")
    shutil.copy(reports["bm25"] / RANKS_FILE, tmp_path / "damaged" / RANKS_FILE)
    assert (tmp_path / "damaged" / REPORT_FILE).exists()
    shutil.copytree(sample[0].path.parent / "sample", tmp_path / "other" / "sample")
    shutil.copy(sample[0].path, tmp_path / "other")
    corpus = tmp_path / "other" / "sample" / "en" / "corpus.jsonl"
    text = corpus.read_text(encoding="utf-8")
    corpus.write_text(text.replace('"text": "', '"text": "Well, ', 1), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    try:
        found = main(["verify", *arguments, "--quiet"])
    except SystemExit as ended:
        found = ended.code
    said = capsys.readouterr()
    assert found == code
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.fixture
def entry(tmp_path):
    root = tmp_path / "leaderboards"
    add_task(*run_of(1), root)
    return submitted(root, tmp_path, "alpha", 1).folder


@pytest.mark.parametrize("name", ["", ENTRY_FILE, RANKS_FILE])
def test_an_entry_is_read_with_its_digests(entry, name):
    subject = read_subject(entry / name)
    report, ranks = run_of(1)
    assert subject.entry.kind == "entry"
    assert subject.entry.sha256 == hashlib.sha256((entry / ENTRY_FILE).read_bytes()).hexdigest()
    assert (
        subject.entry.ranks_sha256 == hashlib.sha256((entry / RANKS_FILE).read_bytes()).hexdigest()
    )
    assert subject.entry.model == "alpha"
    assert subject.entry.identity == hashlib.sha256(b"weights 1").hexdigest()
    assert (subject.task.name, subject.task.digest) == ("parallel", report.task.digest)
    assert (subject.dimension, subject.dtype) == (64, "float32")
    assert subject.ranks.query_ids == ranks.query_ids


def test_a_report_is_read(tmp_path):
    write_report(tmp_path, *run_of(1), {})
    subject = read_subject(tmp_path)
    assert subject.entry.kind == "report"
    assert subject.entry.sha256 == hashlib.sha256((tmp_path / REPORT_FILE).read_bytes()).hexdigest()
    assert subject.measures == run_of(1)[0].measures


def test_what_is_neither_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither an entry nor a report"):
        read_subject(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_subject(tmp_path / "nowhere")


def test_an_entry_without_a_table_is_refused(entry, tmp_path):
    published = publish(entry.parent.parent, "Ada", DAY, 0.25)
    with pytest.raises(DataError, match="figures as published"):
        read_subject(published.folder)


def test_scores_that_do_not_follow_from_the_table_are_refused(entry):
    edit(entry / ENTRY_FILE, ("macro", "multilingual", "AP", "value"), 0.99)
    with pytest.raises(IntegrityError, match="multilingual"):
        read_subject(entry)


def test_a_table_that_contradicts_itself_is_refused(tmp_path):
    report, ranks = run_of(1)
    write_report(tmp_path, report, replace(ranks, place=ranks.place[::-1]), {})
    with pytest.raises(IntegrityError):
        read_subject(tmp_path)


def test_a_table_altered_after_submission_is_refused(entry):
    raw = (entry / ENTRY_FILE).read_bytes()
    alter_table(entry, above=lambda above: above // 2)
    (entry / ENTRY_FILE).write_bytes(raw)
    with pytest.raises(IntegrityError, match="SHA-256"):
        read_subject(entry)


def test_a_report_on_part_of_a_task_is_refused(tmp_path):
    report, ranks = run_of(1)
    write_report(tmp_path, replace(report, task=replace(report.task, sample=9)), ranks, {})
    with pytest.raises(UsageError, match="whole task"):
        read_subject(tmp_path)


def test_other_texts_or_another_version_are_refused(entry):
    from mlbench.data.catalog import find_task

    subject = read_subject(entry)
    task = replace(find_task("sample"), name="parallel", version="1")
    collection = collection_of(languages(3), 24)
    refuse_other_task(subject, task, collection)
    with pytest.raises(IntegrityError, match="collection"):
        refuse_other_task(subject, task, collection_of(languages(3), 23))
    with pytest.raises(IntegrityError, match="parallel 2"):
        refuse_other_task(subject, replace(task, version="2"), collection)
