"""What a trainer is given: the rate of every step, and the texts of a batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mlbench.training.batches import HybridBatches, Kind, Proportions
from mlbench.training.config import train_config
from mlbench.training.job import Job, Schedule
from tests.training.made_set import MadeSet


def test_the_rate_rises_and_falls_as_a_cosine():
    schedule = Schedule(2.0, 0.1, 1000, None)
    rates = [schedule.rate_at(step, 0.0) for step in range(1000)]
    assert rates[49] == pytest.approx(0.99)
    assert max(rates) == pytest.approx(2.0, rel=0.02)
    assert rates[549] == pytest.approx(1.0, rel=0.01)
    assert 0 < rates[-1] < 1e-4
    assert Schedule(2.0, 0.0, 1000, None).rate_at(0, 0.0) == pytest.approx(2.0, rel=1e-4)
    assert Schedule(2.0, 1.0, 1000, None).rate_at(999, 0.0) == pytest.approx(2.0, rel=1e-2)


def test_a_training_by_time_goes_by_its_seconds():
    schedule = Schedule(1.0, 0.0, None, 10.0)
    assert schedule.share(10**6, 5.0) == 0.5
    assert schedule.rate_at(10**6, 5.0) == pytest.approx(0.5)
    assert schedule.share(0, 11.0) == 1.0


class WithNegatives(MadeSet):
    def negatives(self, query_language, passage_language, rows):
        if passage_language == "ru":
            return None
        return [[f"{passage_language}n{row}.{i}" for i in range(row % 4)] for row in rows]


def make_job(negatives=2):
    data = WithNegatives(count=40)
    plan = HybridBatches(data.rows, data.languages, 12, Proportions(multi=1))
    given = {"data": "x", "output": "y", "steps": 1, "negatives": negatives}
    base = SimpleNamespace(prompts={"query": "Q: ", "passage": "P: "}, digest="b")
    return Job(train_config(None, given), data, plan, base)


def test_texts_stand_where_their_rows_do_with_prompts():
    job = make_job()
    batch = job.plan[5]
    queries, passages, negatives = job.texts(batch, 5)
    languages = job.data.languages
    for place, row in enumerate(batch.row.tolist()):
        asked, found = (
            languages[batch.query_language[place]],
            languages[batch.passage_language[place]],
        )
        assert queries[place] == f"Q: {asked}q{row} ask{row % 7}"
        assert passages[place] == f"P: {found}p{row} say{row % 7}"
        count = 0 if found == "ru" else min(2, row % 4)
        assert len(set(negatives[place])) == count
        assert all(text.startswith(f"P: {found}n{row}.") for text in negatives[place])


def test_batches_of_a_second_training_set_stand_among_those_of_the_first():
    first, second = MadeSet(("de", "en"), 40), MadeSet(("de", "en"), 40)
    second.texts = lambda *given: tuple(
        [f"+{t}" for t in of] for of in MadeSet.texts(second, *given)
    )
    plans = [
        HybridBatches(each.rows, each.languages, 8, Proportions.hybrid(alpha), seed=1)
        for each, alpha in ((first, 1), (second, 0))
    ]
    given = {"data": "x", "output": "y", "steps": 1, "text_data": "z", "text_share": 0.25}
    base = SimpleNamespace(prompts={"query": "", "passage": ""}, digest="b")
    job = Job(train_config(None, given), first, plans[0], base, beside=(second, plans[1]))
    of_second = 0
    for number in range(400):
        batch = job.batch(number)
        queries = job.texts(batch, number)[0]
        own = queries[0].startswith("+")
        assert {query.startswith("+") for query in queries} == {own}
        assert batch.kind == job.kind(number) == (Kind.MIXED if own else Kind.MONO)
        of_second += own
    assert 70 < of_second < 130


def test_hard_negatives_take_turns_and_can_be_left_out():
    job = make_job(1)
    batch = job.plan[0]
    seen = {tuple(map(tuple, job.texts(batch, number)[2])) for number in range(6)}
    assert len(seen) == 6
    assert not any(make_job(0).texts(batch, 0)[2])
