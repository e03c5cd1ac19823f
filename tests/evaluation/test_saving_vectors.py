"""Vectors kept beside a pass: all of them, rounded to float16, found again by id."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.common.files import sha256_of
from mlbench.data.corpus import Passage
from mlbench.evaluation import pipeline
from mlbench.evaluation.driver import local_engine, stream
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.partial import PartOfShards
from mlbench.evaluation.results import finish
from mlbench.models.registry import load_adapter
from mlbench.models.rows import normalise
from mlbench.models.saved_vectors import INDEX, SavedVectors, read_index
from tests.evaluation.building import QUIET, at_once, pass_in, records, streamed, task_of
from tests.evaluation.models import Plain, Sparse, loaded
from tests.evaluation.test_driver import Stop, result, run, stopping, table_bytes
from tests.support.reports import pair


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder of kept vectors, and the records they are of."""
    monkeypatch.setattr(pipeline, "BLOCK", 16)
    found = records(3)
    folder = tmp_path / "kept"
    run(tmp_path, found, loaded(Plain()), keep=folder)
    return folder, found


def test_all_vectors_are_there_in_float16(kept):
    folder, found = kept
    whole = at_once(found)
    for role, entries in (("queries", whole.queries), ("passages", whole.passages)):
        for number, language in enumerate(whole.languages):
            part = entries.slice(number)
            names, vectors = SavedVectors(folder).find(role, language, entries.ids[part])
            assert sorted(names) == sorted(entries.ids[part])
            expected = normalise(Plain().encode(entries.texts[part])).astype(np.float16)
            order = [entries.ids[part].index(name) for name in names]
            np.testing.assert_array_equal(vectors, expected[order])


def test_files_are_called_by_their_digests_and_the_index_names_all(kept):
    folder, found = kept
    identity, files = read_index(folder)
    assert identity == "declared: m"
    assert {file.shard for file in files} == {"", *(shard.name for shard in found.shards)}
    names = {file.file for file in files}
    assert names | {INDEX, "model.toml"} == {path.name for path in folder.glob("[!.]*")}
    for file in files:
        assert file.file == f"{file.role}.{file.language}.{sha256_of(folder / file.file)}.parquet"
    sizes = {file.shard: file.rows for file in files if file.shard}
    assert sizes == {shard.name: len(shard.held) for shard in found.shards}


def test_ids_are_found_in_any_order_and_those_that_are_not_there_are_left_out(kept):
    folder, _ = kept
    vectors = SavedVectors(folder)
    for ids in (["sw#50", "sw#1", "nothing"], ["sw#1"], ["sw#59", "sw#30"]):
        assert set(vectors.find("passages", "sw", ids)[0]) == set(ids) - {"nothing"}
    assert vectors.find("passages", "xx", ["a"])[0] == []


def test_in_its_own_order_a_corpus_is_read_once(kept, monkeypatch):
    folder, found = kept
    vectors = SavedVectors(folder)
    reads = []
    real = SavedVectors._read
    monkeypatch.setattr(
        SavedVectors, "_read", lambda self, piece: reads.append(piece) or real(self, piece)
    )
    for shard in found.shards:
        for start in range(0, len(shard.held), 16):
            ids = [passage.id for passage in shard.held[start : start + 16]]
            assert vectors.find("passages", shard.language, ids)[0] == ids
    assert len(reads) <= 2 * len(set(reads))


def test_they_are_a_model_of_their_own_streamed_or_not(kept, tmp_path):
    folder, found = kept
    spec = f"precomputed:{folder}"
    streamed_run = stream(
        task_of(), streamed(found), load_adapter(spec), QUIET, pass_in(tmp_path / "again")
    )
    expected = pair(evaluate_held(task_of(), at_once(found), load_adapter(spec), QUIET))
    assert table_bytes(*pair(finish(streamed_run, quiet=True))) == table_bytes(*expected)
    assert expected[0].model.name == "m-float16"
    assert "declared: m, float16" in expected[0].model.identity


def test_keeping_changes_no_count(tmp_path):
    found = records(3)
    plain = run(tmp_path / "a", found, loaded(Plain()))
    keeping = run(tmp_path / "b", found, loaded(Plain()), keep=tmp_path / "kept")
    assert result(keeping) == result(plain)


def test_a_resumed_run_keeps_the_rest(tmp_path):
    found = records(3)
    model = loaded(Plain())
    given = {"keep": tmp_path / "kept"}
    with pytest.raises(Stop):
        run(tmp_path, found, model, engine=stopping(model, 4), **given)
    assert len(read_index(tmp_path / "kept")[1]) == 3 + 4
    run(tmp_path, found, model, **given)
    assert len(read_index(tmp_path / "kept")[1]) == 3 + 9


def test_parts_at_work_at_the_same_time_keep_all(tmp_path):
    found = records(3)
    model = loaded(Plain())
    given = {"keep": tmp_path / "kept"}

    def meanwhile(prepared, shards, progress):
        for number, counts in enumerate(local_engine(model)(prepared, shards, progress)):
            if number == 1:
                run(tmp_path, found, model, part=PartOfShards(2, 2), **given)
            yield counts

    run(tmp_path, found, model, part=PartOfShards(1, 2), engine=meanwhile, **given)
    assert len(read_index(tmp_path / "kept")[1]) == 3 + 9


def test_vectors_of_what_a_shard_was_before_are_dropped(tmp_path):
    found = records(3)
    model = loaded(Plain())
    given: dict[str, object] = {"keep": tmp_path / "kept"}
    run(tmp_path, found, model, **given)
    for number in (4, 5):
        shard = found.shards[number]
        held = tuple(Passage(p.id, f"{p.text} more") for p in shard.held)
        found.shards[number] = replace(shard, held=held)
    found.shards[8] = replace(found.shards[8], name="called otherwise")
    given |= {"engine": stopping(model, 5), "overwrite": True}
    with pytest.raises(Stop):
        run(tmp_path, found, model, **given)
    names = {file.shard for file in read_index(tmp_path / "kept")[1]}
    assert names == {"", *(shard.name for shard in found.shards)} - {
        found.shards[5].name,
        found.shards[8].name,
    }


def test_keeping_may_not_begin_in_mid_run(tmp_path):
    found = records(3)
    model = loaded(Plain())
    with pytest.raises(Stop):
        run(tmp_path, found, model, engine=stopping(model, 2))
    with pytest.raises(UsageError, match="2 shards were counted without keeping their vectors"):
        run(tmp_path, found, model, keep=tmp_path / "kept")


def test_a_folder_serves_one_model(tmp_path):
    found = records(3)
    run(tmp_path / "a", found, loaded(Plain()), keep=tmp_path / "kept")
    other = replace(loaded(Plain()), identity="declared: other")
    with pytest.raises(UsageError, match="holds vectors of another model: 'declared: m'"):
        run(tmp_path / "b", found, other, keep=tmp_path / "kept")


def test_nothing_unfinished_is_left_by_a_failing_run(tmp_path):
    class Breaking(Plain):
        def encode(self, texts):
            if len(self.asked) > 60:
                raise ValueError("broken")
            return super().encode(texts)

    with pytest.raises(ModelError, match="broken"):
        run(tmp_path, records(3), loaded(Breaking()), keep=tmp_path / "kept")
    assert not list((tmp_path / "kept").glob(".*.tmp"))


def test_sparse_vectors_and_values_too_large_are_refused(tmp_path):
    class Large(Plain):
        def encode(self, texts):
            return super().encode(texts) * 1e6

    with pytest.raises(ModelError, match="sparse vectors of 50 dim"):
        run(tmp_path / "a", records(3), loaded(Sparse()), keep=tmp_path / "kept")
    with pytest.raises(ModelError, match="float16 cannot hold"):
        run(tmp_path / "b", records(3), loaded(Large(), "dot"), keep=tmp_path / "kept")


@pytest.mark.parametrize("damage", ["{}", "[", '{"schema": "x", "identity": "", "files": []}'])
def test_a_damaged_index_is_said_to_be(kept, damage):
    folder, _ = kept
    (folder / INDEX).write_text(damage)
    with pytest.raises(ModelError, match=r"index\.json"):
        load_adapter(f"precomputed:{folder}")


def test_a_missing_or_damaged_file_is_said_to_be(kept):
    folder, _ = kept
    path = next(folder.glob("passages.sw.*"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"passages\.sw\..*cannot be read"):
        SavedVectors(folder).find("passages", "sw", ["sw#1", "sw#59"])
    json.loads((folder / INDEX).read_text())
