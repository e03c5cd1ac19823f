"""What can be verified, and what is refused before any text is encoded."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from mlbench.common.errors import DataError, IntegrityError, UsageError
from mlbench.leaderboard.checking.submit import add_task
from mlbench.leaderboard.entries.entry import ENTRY_FILE
from mlbench.leaderboard.verifying.verify import read_subject, refuse_other_task
from mlbench.reports.report import RANKS_FILE, REPORT_FILE, write_report
from tests.leaderboard.boards import DAY, alter_table, edit, publish, run_of, submitted
from tests.support.reports import collection_of, languages


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
