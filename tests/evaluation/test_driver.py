"""A pass gives, to the byte, what reading all at once gives; it goes on where it was stopped."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbench.common.errors import (
    DataError,
    EnvironmentFault,
    IntegrityError,
    ModelError,
    UsageError,
)
from mlbench.data.building import build_collection
from mlbench.data.collection import Records, TextRecord
from mlbench.data.corpus import Passage
from mlbench.evaluation import pipeline
from mlbench.evaluation.driver import local_engine, stream
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.partial import CORE_FILE, PartOfShards, read_partial
from mlbench.evaluation.results import finish, merge
from mlbench.models.encoding import Encoding
from mlbench.models.registry import load_adapter
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes
from mlbench.reports.report import read_report, write_report
from tests.evaluation.building import (
    LANGUAGES,
    QUIET,
    ListShard,
    at_once,
    model_of,
    pass_in,
    records,
    streamed,
    task_of,
)
from tests.evaluation.models import Folding, Forms, Free, Plain, Rounding, Sparse, Tokens, loaded
from tests.support.reports import pair


def table_bytes(report, ranks):
    task = report.task
    return ranks_to_bytes(ranks, TaskKey(task.name, task.version, task.digest, task.kinds))


def streamed_result(folder, found, spec="char-ngram"):
    partial = stream(task_of(), streamed(found), model_of(spec), QUIET, pass_in(folder))
    return pair(finish(partial, quiet=True))


def run(folder, found, model, **given):
    return stream(task_of(), streamed(found), model, QUIET, pass_in(folder, **given))


def key_of(digest):
    task = task_of()
    return TaskKey(task.name, task.version, digest, tuple(map(str, task.kinds)))


def in_memory(found, model):
    whole = at_once(found)
    vectors = Encoding(model, whole).encode()
    ranks, _ = rank_collection(whole, vectors.queries, vectors.passages)
    return ranks_to_bytes(ranks, key_of(whole.digest))


def result(partial):
    assert {row.name for row in partial.shards} == set(partial.done)
    return ranks_to_bytes(partial.ranks, key_of(partial.draft.task.digest))


@pytest.mark.parametrize("spec", ["char-ngram", "random:3"])
@pytest.mark.parametrize("seed", range(2))
def test_the_table_is_that_of_a_run_in_memory(tmp_path, spec, seed):
    found = records(seed)
    expected, table = pair(evaluate_held(task_of(), at_once(found), model_of(spec), QUIET))
    report, ranks = streamed_result(tmp_path, found, spec)
    assert table_bytes(report, ranks) == table_bytes(expected, table)
    assert report.task == expected.task
    assert report.scores == expected.scores
    assert report.measures == expected.measures


@pytest.mark.parametrize("kind", [Plain, Free, Folding, Forms, Sparse, Tokens])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("block", [7, 8192])
def test_so_it_is_for_every_kind_of_model(tmp_path, monkeypatch, kind, similarity, block):
    monkeypatch.setattr(pipeline, "BLOCK", block)
    monkeypatch.setattr(pipeline, "TOKEN_BLOCK", block)
    found = records(7)
    ranks = pair(finish(run(tmp_path, found, loaded(kind(), similarity)), quiet=True))
    expected = pair(evaluate_held(task_of(), at_once(found), loaded(kind(), similarity), QUIET))
    assert table_bytes(*ranks) == table_bytes(*expected)
    assert ranks[1].tied.sum() > 100
    assert replace(ranks[0].model, sizes={}) == replace(expected[0].model, sizes={})
    assert ranks[0].model.sizes["query"] == expected[0].model.sizes["query"]
    truncated = expected[0].run.truncated
    assert (ranks[0].run.truncated is None) == (truncated is None)
    if truncated:
        assert ranks[0].run.truncated["query"] == truncated["query"]
        assert ranks[0].run.truncated["passage"].keys() == truncated["passage"].keys()


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 25), max_size=4),
    block=st.integers(1, 12),
    order=st.randoms(use_true_random=False),
)
def test_cuts_blocks_and_the_order_of_shards_do_not_matter(
    tmp_path_factory, monkeypatch, cuts, block, order
):
    monkeypatch.setattr(pipeline, "BLOCK", block)
    found = records(3, queries=4, passages=25, shards=1)
    expected = in_memory(found, loaded(Plain()))
    edges = [0, *sorted(cuts), 25]
    found.shards = [
        ListShard(s.language, f"{s.name}/{n}", None, s.held[first:last], batch=5)
        for s in found.shards
        for n, (first, last) in enumerate(itertools.pairwise(edges))
    ]
    model = loaded(Plain())

    def shuffled(prepared, shards, progress):
        mixed = list(local_engine(model)(prepared, shards, progress))
        order.shuffle(mixed)
        yield from mixed

    partial = run(tmp_path_factory.mktemp("pass"), found, model, engine=shuffled)
    assert result(partial) == expected


def test_a_passage_that_reads_as_a_relevant_one_ties_with_it(tmp_path):
    """Though the model rounds each batch otherwise."""
    found = records(1, passages=20)
    doubles = [
        ListShard(s.language, f"{s.name}/again", None, tuple(
            Passage(f"{p.id}-again", p.text.upper()) for p in s.held
        ))
        for s in found.shards
    ]  # fmt: skip
    found.shards += doubles
    ranks = finish(run(tmp_path, found, loaded(Rounding())), quiet=True).table
    own = ranks.passage_language
    assert (ranks.tied[np.arange(len(own)), own] >= 1).all()


def test_tokenising_has_a_thread_of_its_own_only_if_the_model_allows_it(tmp_path):
    adapter = Forms()
    found = records(2)
    model = loaded(adapter)
    run(tmp_path, found, model)
    (encoding,) = adapter.threads["encode_forms"]
    assert len(adapter.threads["canonical"]) == 2  # this one for the core
    assert encoding in adapter.threads["canonical"]


def test_each_text_of_a_block_is_encoded_once_and_none_that_is_relevant(tmp_path):
    found = records(4, shards=1)
    adapter = Plain()
    partial = run(tmp_path, found, loaded(adapter))
    tried = 3 + 3  # passages that are encoded first, alone and together
    assert len(set(adapter.asked)) == len(adapter.asked) - tried
    texts = {(p.text, s.language) for s in found.shards for p in s.held}
    assert set(adapter.asked) == texts
    report = finish(partial, quiet=True)
    encoded = report.run.encoded["passage"]
    assert (encoded.texts, encoded.distinct, encoded.cached) == (180, len(texts), 0)
    assert set(report.run.seconds) == {"scanning", "encoding", "streaming", "measuring"}


def test_queries_without_a_judgement_are_encoded_and_not_counted(tmp_path):
    found = records(1)
    found.queries.append(TextRecord("unjudged", "sw", "sea", "here"))
    expected, table = pair(evaluate_held(task_of(), at_once(found), model_of(), QUIET))
    report, ranks = streamed_result(tmp_path, found)
    assert table_bytes(report, ranks) == table_bytes(expected, table)
    assert report.task == expected.task
    assert report.task.queries == {"sw": 12, "en": 12, "th": 12}
    write_report(tmp_path, report, ranks, {})
    assert read_report(tmp_path).scores == report.scores


class Stop(Exception):
    pass


def stopping(model, after):
    """An engine that fails after some shards."""

    def engine(prepared, shards, progress):
        counted = local_engine(model)(prepared, shards, progress)
        for _, counts in zip(range(after), counted, strict=False):
            yield counts
        raise Stop

    return engine


@pytest.mark.parametrize("kind", [Sparse, Tokens])
def test_vectors_of_the_core_are_kept_and_taken_up_again(tmp_path, kind):
    found, model = records(5), loaded(kind())
    expected = in_memory(found, model)
    with pytest.raises(Stop):
        run(tmp_path, found, model, engine=stopping(model, 2))
    again = kind()
    again.encode_queries = None  # its queries are not encoded again
    assert result(run(tmp_path, found, loaded(again))) == expected


@pytest.mark.parametrize("kind", [Plain, Sparse, Tokens])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_parts_of_the_shards_add_up_to_a_run_in_memory(tmp_path, kind, similarity):
    found, model = records(8), loaded(kind(), similarity)
    parts = [run(tmp_path, found, model, part=PartOfShards(number, 3)) for number in (2, 3, 1)]
    assert [len(part.done) for part in parts] == [3, 3, 3]
    whole = merge({Path(f"{number}"): part for number, part in enumerate(parts)})
    assert result(whole) == in_memory(found, model)


@pytest.mark.parametrize("after", [0, 1, 4, 8])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(tmp_path, after):
    found = records(5)
    expected = result(run(tmp_path / "whole", found, loaded(Rounding())))
    with pytest.raises(Stop):
        run(tmp_path, found, loaded(Rounding()), engine=stopping(loaded(Rounding()), after))
    assert len(read_partial(tmp_path / "work" / "1-of-1.partial").done) == after
    adapter = Rounding()
    partial = run(tmp_path, found, loaded(adapter))
    assert result(partial) == expected
    done = {s.name: s for s in found.shards[after:]}
    left = {(p.text.lower()) for s in done.values() for p in s.held}
    assert {text.lower() for text, _ in adapter.asked} <= left


def test_a_model_of_undeclared_identity_encodes_its_queries_again(tmp_path):
    found = records(5)
    model = loaded(Plain(), identity="derived: source")
    with pytest.raises(Stop):
        run(tmp_path, found, model, engine=stopping(model, 2))
    assert not (tmp_path / "work" / CORE_FILE).exists()
    assert result(run(tmp_path, found, model)) == in_memory(found, model)

    class Changed(Plain):
        def encode(self, texts):
            return super().encode(texts) * 2 + 1

    with pytest.raises(Stop):
        run(tmp_path / "b", found, model, engine=stopping(model, 2))
    changed = loaded(Changed(), identity="derived: source")
    with pytest.raises(UsageError, match="another vectors of queries and relevant passages"):
        run(tmp_path / "b", found, changed)
    assert result(run(tmp_path / "b", found, changed, overwrite=True)) == in_memory(found, changed)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("model identity", {"identity": "declared: other"}),
        ("similarity", {"similarity": "dot"}),
        ("model", {"name": "other"}),
    ],
)
def test_what_another_model_left_is_refused_by_name(tmp_path, what, change):
    found = records(6)
    model = loaded(Plain())
    with pytest.raises(Stop):
        run(tmp_path, found, model, engine=stopping(model, 3))
    other = replace(loaded(Plain()), **change)
    with pytest.raises(UsageError, match=f"(?s)belongs to a run of another {what}: .*--overwrite"):
        run(tmp_path, found, other)
    partial = run(tmp_path, found, other, overwrite=True)
    assert result(partial) == in_memory(found, other)


def test_model_options_and_prompts_count_too(tmp_path):
    found = records(6)
    first, second = Plain(), Plain()
    first.options, second.options = {"dtype": "float32"}, {"dtype": "float16"}
    second.prompts = {"passage": "passage: "}
    with pytest.raises(Stop):
        run(tmp_path, found, loaded(first), engine=stopping(loaded(first), 1))
    with pytest.raises(UsageError, match="another model options") as error:
        run(tmp_path, found, loaded(second))
    assert "another passage prompt" in str(error.value)


def test_other_data_is_refused_and_the_changed_shard_named(tmp_path):
    found = records(6)
    model = loaded(Plain())
    with pytest.raises(Stop):
        run(tmp_path, found, model, engine=stopping(model, 1))
    shard = found.shards[5]
    found.shards[5] = replace(shard, held=(*shard.held, Passage("new", "text")))
    with pytest.raises(UsageError, match="another data") as error:
        run(tmp_path, found, model)
    assert f"shard {shard.name}" in str(error.value)
    assert f"{len(shard.held)} passages" in str(error.value)


def test_overwriting_does_not_throw_away_what_is_this_runs_own(tmp_path):
    found = records(6)
    model = loaded(Plain())
    with pytest.raises(Stop):
        run(tmp_path, found, model, engine=stopping(model, 8))
    adapter = Plain()
    run(tmp_path, found, loaded(adapter), overwrite=True)
    last = {p.text for p in found.shards[8].held}
    assert {text for text, _ in adapter.asked} <= last


def test_a_damaged_state_is_refused_or_overwritten(tmp_path):
    found = records(6)
    model = loaded(Plain())
    expected = result(run(tmp_path, found, model))
    for name in ("1-of-1.partial", CORE_FILE):
        path = tmp_path / "work" / name
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
        with pytest.raises(IntegrityError, match="damaged"):
            run(tmp_path, found, model)
        assert result(run(tmp_path, found, model, overwrite=True)) == expected


class Changing(ListShard):
    """Holds another text when it is read again."""

    reads = 0

    def passages(self):
        type(self).reads += 1
        held = list(self.held)
        if type(self).reads > 1:
            held[3] = Passage(held[3].id, "changed")
        yield held


def test_a_shard_that_changes_while_it_is_evaluated(tmp_path):
    found = records(6)
    shard = found.shards[4]
    found.shards[4] = Changing(shard.language, shard.name, None, shard.held)
    with pytest.raises(IntegrityError, match=f"{shard.name}: {len(shard.held)} passages, digest"):
        run(tmp_path, found, loaded(Plain()))
    assert len(read_partial(tmp_path / "work" / "1-of-1.partial").done) == 4


class Failing(ListShard):
    """Cannot be read to its end the second time."""

    reads = 0

    def passages(self):
        type(self).reads += 1
        yield list(self.held[:5])
        if type(self).reads == 2:
            raise EnvironmentFault
        yield list(self.held[5:])


def test_what_is_done_is_kept_when_reading_fails(tmp_path):
    found = records(6)
    expected = in_memory(found, loaded(Plain()))
    shard = found.shards[4]
    found.shards[4] = Failing(shard.language, shard.name, None, shard.held)
    with pytest.raises(EnvironmentFault):
        run(tmp_path, found, loaded(Plain()))
    assert len(read_partial(tmp_path / "work" / "1-of-1.partial").done) == 4
    assert result(run(tmp_path, found, loaded(Plain()))) == expected


def test_a_full_disk_costs_one_shard(tmp_path, monkeypatch):
    from mlbench.common import files as artefacts

    found = records(6)
    expected = in_memory(found, loaded(Plain()))
    real, written = artefacts.os.fsync, []

    def fsync(number):
        written.append(number)
        if len(written) == len(found.shards) + 6:  # the scans, the core, 5 partial results
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr(artefacts.os, "fsync", fsync)
    with pytest.raises(EnvironmentFault, match=r"No space left(.|\n)*--work"):
        run(tmp_path, found, loaded(Plain()))
    assert len(read_partial(tmp_path / "work" / "1-of-1.partial").done) == 3
    assert not list((tmp_path / "work").glob("*.tmp"))
    assert result(run(tmp_path, found, loaded(Plain()))) == expected


def test_a_model_that_fails_is_named_with_the_passage(tmp_path):
    class Broken(Plain):
        def encode(self, texts):
            vectors = super().encode(texts)
            if len(self.asked) > 60:
                vectors[-1] = np.nan
            return vectors

    with pytest.raises(ModelError, match=r"NaN or infinity for passage '\w+#\d+' \(\w+\)"):
        run(tmp_path, records(6), loaded(Broken()))


def test_a_model_that_must_see_all_is_refused_before_anything_is_read(tmp_path):
    found = records(6)
    with pytest.raises(UsageError, match="bm25: has fit"):
        run(tmp_path, found, load_adapter("bm25"))
    assert not (tmp_path / "scans").exists()


def test_the_task_may_be_refused_before_anything_is_encoded(tmp_path):
    adapter = Plain()

    def refuse(info):
        assert sum(info.passages.values()) == 180
        raise UsageError

    with pytest.raises(UsageError):
        run(tmp_path, records(6), loaded(adapter), approve=refuse)
    assert adapter.asked == []


def test_a_faulty_corpus_is_refused_before_anything_is_encoded(tmp_path):
    adapter = Plain()
    found = records(6)
    found.shards.append(replace(found.shards[0], name="sw/again"))
    with pytest.raises(DataError, match="given again"):
        run(tmp_path, found, loaded(adapter))
    assert adapter.asked == []


def test_judged_passages_that_are_nowhere_are_left_out_and_told_or_a_fault(tmp_path):
    found = records(6)
    whole = Records(found.queries, found.read_all().passages, found.judgements)
    gone = found.shards.pop(2)
    whole.passages = [p for p in whole.passages if p.id not in {q.id for q in gone.held}]
    data = build_collection(LANGUAGES, whole, lenient=True)
    expected, table = pair(evaluate_held(task_of(), data, model_of(), QUIET))
    report, ranks = streamed_result(tmp_path, found)
    assert table_bytes(report, ranks) == table_bytes(expected, table)
    assert report.task == expected.task
    assert report.scores == expected.scores
    assert "judgements name passages that are not in the corpus" in report.warnings[0]
    assert report.warnings == expected.warnings
    adapter = Plain()
    with pytest.raises(DataError, match=r"passage 'sw#\d+' \(sw\): is judged"):
        run(tmp_path, found, loaded(adapter), strict=True)
    assert adapter.asked == []


def test_parts_cover_all_shards_once_and_are_of_like_size():
    draw = random.Random(0)
    for count in (1, 2, 3, 7, 20):
        sizes = {f"s{i}": draw.randint(0, 1000) for i in range(15)}
        parts = [PartOfShards(i + 1, count).share(sizes) for i in range(count)]
        assert sorted(name for part in parts for name in part) == sorted(sizes)
        loads = [sum(sizes[name] for name in part) for part in parts]
        assert max(loads) - min(loads) <= max(sizes.values()) + 1


def test_standard_output_is_left_alone(tmp_path, capsys):
    class Loud(Forms):
        def canonical(self, role, texts):
            print("canonical")
            return super().canonical(role, texts)

        def encode_forms(self, role, forms):
            print("encoding")
            return super().encode_forms(role, forms)

    run(tmp_path, records(1), loaded(Loud()))
    print("result")
    said = capsys.readouterr()
    assert said.out == "result\n"
    assert "canonical" in said.err
    assert "encoding" in said.err
