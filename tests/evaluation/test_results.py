"""Partial results: what is written is read, and parts add up to the whole or are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbench.common.errors import IntegrityError, UsageError
from mlbench.evaluation.driver import stream
from mlbench.evaluation.partial import (
    Partial,
    PartOfShards,
    empty_counts,
    partial_to_bytes,
    read_partial,
    write_partial,
)
from mlbench.evaluation.results import finish, merge
from tests.evaluation.building import QUIET, pass_in, records, streamed, task_of
from tests.evaluation.models import Forms, Plain, loaded
from tests.evaluation.test_driver import result


def parts(folder, found, count, model=None):
    """The parts of a run, by file."""
    how = [pass_in(folder, part=PartOfShards(i + 1, count)) for i in range(count)]
    made = (model or loaded(Plain()), QUIET)
    return {h.file: stream(task_of(), streamed(found), *made, h) for h in how}


def same(first: Partial, second: Partial) -> bool:
    return partial_to_bytes(first) == partial_to_bytes(second)


@pytest.mark.parametrize("kind", [Plain, Forms])
def test_what_is_written_is_read(tmp_path, kind):
    for path, partial in parts(tmp_path, records(1), 2, loaded(kind())).items():
        assert same(read_partial(path), partial)
        again = read_partial(path)
        assert again.draft == partial.draft
        assert again.done == partial.done
        assert again.ranks.above.flags.writeable
        write_partial(path, again)
        assert same(read_partial(path), partial)


@pytest.mark.parametrize("count", [1, 2, 3, 9, 12])
def test_parts_add_up_to_the_whole(tmp_path, count):
    found = records(2)
    whole = stream(task_of(), streamed(found), loaded(Plain()), QUIET, pass_in(tmp_path / "whole"))
    made = parts(tmp_path, found, count)
    total = merge({path: read_partial(path) for path in made})
    assert result(total) == result(whole)
    report = finish(total, quiet=True)
    expected = finish(whole, quiet=True)
    assert report.scores == expected.scores
    assert report.task == expected.task
    assert report.model == expected.model
    counted, of_whole = (
        {role: replace(each, seconds=None) for role, each in each_report.run.encoded.items()}
        for each_report in (report, expected)
    )
    assert counted == of_whole
    assert report.run.recomputed == expected.run.recomputed


def test_the_order_of_parts_does_not_matter(tmp_path):
    made = parts(tmp_path, records(2), 3)
    turned = dict(reversed(made.items()))
    assert result(merge(made)) == result(merge(turned))


def test_a_gap_is_named(tmp_path):
    made = parts(tmp_path, records(2), 3)
    path, missing = made.popitem()
    with pytest.raises(UsageError) as error:
        merge(made)
    assert f"{len(missing.done)} shards are in none of them" in str(error.value)
    assert all(name in str(error.value) for name in missing.done)
    assert str(path) not in str(error.value)


def test_a_part_that_did_not_end_is_a_gap(tmp_path):
    made = parts(tmp_path, records(2), 1)
    (path,) = made
    partial = made[path]
    name = next(iter(partial.done))
    made[path] = replace(partial, done={n: d for n, d in partial.done.items() if n != name})
    with pytest.raises(UsageError, match=f"1 shard is in none of them: {name}"):
        merge(made)


def test_an_overlap_is_named_with_both_files(tmp_path):
    found = records(2)
    made = parts(tmp_path, found, 2) | parts(tmp_path, found, 3)
    with pytest.raises(UsageError, match="9 shards counted twice") as error:
        merge(made)
    assert "1-of-2.partial and in" in str(error.value)
    assert "-of-3.partial" in str(error.value)


def test_parts_of_different_runs_are_refused_by_name(tmp_path):
    found = records(2)
    made = parts(tmp_path / "a", found, 2)
    other = parts(tmp_path / "b", found, 2, loaded(Plain(), identity="declared: other"))
    mixed = dict([next(iter(made.items())), list(other.items())[1]])
    with pytest.raises(UsageError) as error:
        merge(mixed)
    (fault,) = error.value.faults
    assert "b/work/2-of-2.partial" in fault.where
    assert "another model identity than" in fault.found
    assert "'declared: other' here, 'declared: m' there" in fault.found


def test_vectors_that_a_machine_rounded_otherwise_are_not_mixed(tmp_path):
    class Otherwise(Plain):
        def encode(self, texts):
            return super().encode(texts) + np.float32(2**-20)

    found = records(2)
    made = parts(tmp_path / "a", found, 2)
    other = parts(tmp_path / "b", found, 2, loaded(Otherwise()))
    with pytest.raises(UsageError, match="another vectors of queries and relevant passages"):
        merge(dict([next(iter(made.items())), list(other.items())[1]]))


def test_parts_that_begin_together_take_the_vectors_of_one(tmp_path):
    """Though each rounds otherwise, as machines do."""
    found, made = records(2), {}
    other, how = (pass_in(tmp_path, part=PartOfShards(number, 2)) for number in (2, 1))

    class Meanwhile(Plain):
        def encode_queries(self, texts, language):
            if not made:
                made[other.file] = stream(task_of(), streamed(found), loaded(Plain()), QUIET, other)
            return super().encode_queries(texts, language) + np.float32(2**-20)

    made[how.file] = stream(task_of(), streamed(found), loaded(Meanwhile()), QUIET, how)
    assert merge(made).left == ()


def test_a_shard_is_added_once(tmp_path):
    found = records(2)
    counted = []

    def engine(prepared, shards, progress):
        from mlbench.evaluation.pipeline import count_shards

        counted.extend(count_shards(prepared, loaded(Plain()), shards))
        yield from counted

    how = pass_in(tmp_path, engine=engine)
    partial = stream(task_of(), streamed(found), loaded(Plain()), QUIET, how)
    with pytest.raises(IntegrityError, match=f"shard {counted[0].name}: counted twice"):
        partial.add(counted[0])


def test_empty_counts_are_of_their_own(tmp_path):
    (partial,) = parts(tmp_path, records(2), 1).values()
    nothing = empty_counts(partial.ranks)
    assert nothing.above.sum() == nothing.tied.sum() == 0
    nothing.above[:] = 7
    assert partial.ranks.above.sum() != nothing.above.sum()


def test_other_measures_may_be_asked_for(tmp_path):
    (partial,) = parts(tmp_path, records(2), 1).values()
    report = finish(partial, ["RR", "R@5"], "mlbench merge x", quiet=True)
    assert report.measures == ("RR", "R@5")
    assert report.run.command == "mlbench merge x"


def test_a_part_is_described():
    assert PartOfShards(2, 3).file == "2-of-3.partial"
    assert PartOfShards(1, 1).share({"a": 1, "b": 0}) == {"a", "b"}
