"""Judgements between all languages, held once: the same as when each is held, as it is here."""

from __future__ import annotations

import numpy as np
import pytest

import mlbench
from mlbench.common.errors import DataError, Fault
from mlbench.data import building_streamed
from mlbench.data.building_streamed import build_streamed
from mlbench.data.collection import Judgement, TextRecord
from mlbench.data.corpus import BetweenAll, JudgedOnce, StreamedRecords, without_absent
from mlbench.data.locator import Locator
from mlbench.data.readers import stream_collection
from mlbench.evaluation.scan import wanted_passages
from mlbench.reports.report import write_report
from mlbench.runs.judgements import describe_judgements
from mlbench.runs.matching import Targets
from tests.training.test_streamed_set import LANGUAGES, make_task


def hold_each(monkeypatch):
    """Hold every judgement, as those of other collections are."""
    monkeypatch.setattr(
        building_streamed,
        "_judged_once",
        lambda languages, index, between, faults: building_streamed._judged(
            languages, index, iter(between), faults
        ),
    )


def facts(collection):
    """All that is read off the judgements of a collection."""
    parts = [part for judged in collection.judged_parts() for part in judged.rows()]
    targets = Targets.of_judgements(collection)
    return (
        parts,
        collection.relevant_by_language.tolist(),
        collection.judged.tolist(),
        wanted_passages(collection),
        [of.tolist() for of in (targets.query, targets.passage, targets.relevance)],
    )


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    path = make_task(folder, "parallel")
    with (folder / "qrels.tsv").open("a") as file:
        file.write("q3\tnowhere\t1\nq1\tgone\t0\n")
    return mlbench.load_task(path)


def test_the_judgements_of_each_language_are_those_that_were_held(task, monkeypatch):
    once = stream_collection(task, Locator())
    assert isinstance(once.judgements, JudgedOnce)
    hold_each(monkeypatch)
    each = stream_collection(task, Locator())
    assert not isinstance(each.judgements, JudgedOnce)
    assert len(once.judgements.query) < len(each.judgements.query) / 7
    assert facts(once) == facts(each)
    assert describe_judgements(task, once) == describe_judgements(task, each)
    chance = np.random.default_rng(3)
    for share in (0.1, 0.5, 0.98):
        ids = [f"c{n}" for n in range(60)]
        found = {code: {i for i in ids if chance.random() < share} for code in LANGUAGES}
        left, wanted = (without_absent(of, found) for of in (once, each))
        assert facts(left) == facts(wanted)
        for name in ("query", "relevance", "passages"):
            ours, theirs = (getattr(of.absent, name) for of in (left, wanted))
            assert [*ours] == [*theirs]
    with pytest.raises(DataError, match="'nowhere'"):
        without_absent(once, {code: set() for code in LANGUAGES})


def test_the_table_and_the_digest_are_the_same(task, monkeypatch, tmp_path):
    found = []
    for name in ("once", "each"):
        report = mlbench.evaluate("random", task, progress=False, cache=None)
        write_report(tmp_path / name, report, report.ranks, {})
        found.append((report.task, report.scores, report.warnings))
        hold_each(monkeypatch)
    first, second = (tmp_path / name / "ranks.parquet" for name in ("once", "each"))
    assert first.read_bytes() == second.read_bytes()
    assert found[0] == found[1]
    assert "nowhere" in found[0][2][0]


def between(*rows, asked=("de", "en")):
    judged = [Judgement(q, "", p, "", grade, f"row {i}") for i, (q, p, grade) in enumerate(rows)]
    return BetweenAll(tuple(judged), {"q": asked}, LANGUAGES)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("q", "a", 1), ("q", "a", 0)], "judged 0; judged 1 at row 0"),
        ([("q", "a", 1), ("x", "a", 1)], "a judgement names query 'x'"),
        ([("q", "a", 0)], "no query has a relevant passage"),
    ],
)
def test_what_is_wrong_with_a_judgement_is_said_once(task, rows, said):
    shards = list(stream_collection(task, Locator()).shards)
    queries = [TextRecord("q", code, "what", "here") for code in LANGUAGES]
    records = StreamedRecords(queries, between(*rows), shards, parallel=True)
    with pytest.raises(DataError) as caught:
        build_streamed(LANGUAGES, records)
    (fault,) = caught.value.faults
    assert isinstance(fault, Fault)
    assert said in str(fault)
