"""Streamed collections: what the arrays hold, that both ways of reading agree, and digests."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import DataError, EnvironmentFault, IntegrityError
from mlbench.data.building import build_collection
from mlbench.data.building_streamed import build_streamed
from mlbench.data.collection import Judgement, TextRecord
from mlbench.data.corpus import Passage, ShardSource, StreamedCollection, StreamedRecords
from mlbench.data.locations import DataFile
from mlbench.data.readers._shards import TableShard
from mlbench.data.task import Kind, Setting

LANGUAGES = ("de", "en")


@dataclass(frozen=True)
class Listed(ShardSource):
    """A shard that is a list."""

    found: tuple[Passage, ...]

    def passages(self) -> Iterator[list[Passage]]:
        yield from ([passage] for passage in self.found)

    def digest(self) -> None:
        return None


def listed(language: str, name: str, *ids: str) -> Listed:
    return Listed(language, name, None, tuple(Passage(id_, f"text {id_}") for id_ in ids))


def query(id_: str, language: str) -> TextRecord:
    return TextRecord(id_, language, f"query {id_}", f"{language}:{id_}")


def judged(query: str, language: str, passage: str, relevance: int = 1) -> Judgement:
    return Judgement(query, language, passage, language, relevance, "here")


def records() -> StreamedRecords:
    return StreamedRecords(
        queries=[query("2", "en"), query("1", "de"), query("3", "de")],
        judgements=[judged("2", "en", "b"), judged("1", "de", "b", 0), judged("1", "de", "a", 2)],
        shards=[listed("en", "e0", "b", "c"), listed("de", "d0", "a"), listed("de", "d1", "b")],
    )


def test_the_arrays() -> None:
    found = build_streamed(LANGUAGES, records())
    assert found.queries.ids == ("1", "3", "2")
    assert found.queries.counts.tolist() == [2, 1]
    assert found.judgements.query.tolist() == [0, 0, 2]
    assert found.judgements.passage_ids == ("a", "b", "b")
    assert found.judgements.passage_language.tolist() == [0, 0, 1]
    assert found.judgements.relevance.tolist() == [2, 0, 1]
    assert [a.dtype.name for a in (found.judgements.query, found.judgements.relevance)] == [
        "int64",
        "int32",
    ]
    assert found.judgements.passage_language.dtype.name == "int16"
    assert [shard.name for shard in found.shards] == ["d0", "d1", "e0"]
    assert found.judged.tolist() == [True, False, True]
    assert found.query_counts(Setting(Kind.MONOLINGUAL, "de", ("de",))) == (1, 0)
    assert found.query_counts(Setting(Kind.CROSSLINGUAL, "de", ("en",))) == (0, 1)


def test_in_memory_it_is_the_same_collection() -> None:
    streamed = build_streamed(LANGUAGES, records())
    whole = build_collection(LANGUAGES, records().read_all())
    assert whole.passages.ids == ("a", "b", "b", "c")
    assert whole.queries.ids == streamed.queries.ids
    assert whole.judged.tolist() == streamed.judged.tolist()
    assert whole.relevant_by_language.tolist() == streamed.relevant_by_language.tolist()
    assert whole.qrels.query.tolist() == streamed.judgements.query.tolist()
    assert [whole.passages.ids[p] for p in whole.qrels.passage] == list(
        streamed.judgements.passage_ids
    )


@given(st.data())
def test_shards_and_their_order_do_not_matter_to_the_whole(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.text("abc", min_size=1), unique=True, min_size=1, max_size=8))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=3)))
    parts = [ids[a:b] for a, b in zip([0, *cuts], [*cuts, len(ids)], strict=True)]
    shards = [listed("de", f"d{number}", *part) for number, part in enumerate(parts)]
    question = [query("1", "de")]
    judgements = [judged("1", "de", ids[0])]
    cut = StreamedRecords(question, judgements, data.draw(st.permutations(shards)))
    one = StreamedRecords(question, judgements, [listed("de", "d", *ids)])
    digests = {build_collection(("de",), each.read_all()).digest for each in (cut, one)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"queries": [query("1", "de")]}, "language 'en': no query at all"),
        ({"shards": [listed("de", "d0", "a")]}, "language 'en': no shard of passages"),
        ({"judgements": [judged("9", "de", "a")]}, "names query '9' (de), which is not in"),
        (
            {"judgements": [Judgement("1", "de", "a", "fr", 1, "here")]},
            "a passage of language 'fr'",
        ),
        ({"judgements": [judged("1", "de", "a"), judged("1", "de", "a", 0)]}, "one judgement"),
        ({"judgements": [judged("1", "de", "a", 0)]}, "no query has a relevant passage"),
    ],
)
def test_faults(changes: dict[str, list[object]], expected: str) -> None:
    faulty = records()
    for name, value in changes.items():
        setattr(faulty, name, value)
    with pytest.raises(DataError) as caught:
        build_streamed(LANGUAGES, faulty)
    assert expected in str(caught.value)


def test_equal_judgements_given_twice_are_one() -> None:
    twice = records()
    twice.judgements += twice.judgements
    assert len(build_streamed(LANGUAGES, twice).judgements.query) == 3


def shard_file(folder: Path, count: int = 3, **changes: object) -> TableShard:
    lines = "".join(json.dumps({"docid": str(i), "text": f"text {i}"}) + "\n" for i in range(count))
    (folder / "docs.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    path = folder / "docs.jsonl.gz"
    file = DataFile("de", "docs.jsonl.gz", path, size=path.stat().st_size, **changes)
    return TableShard.of(file, "de", ("docid",), True)


def test_a_shard_can_be_sent_to_another_process_and_read_twice(tmp_path: Path) -> None:
    shard = shard_file(tmp_path, 10_000)
    copy = pickle.loads(pickle.dumps(shard))
    assert copy == shard
    batches = [list(shard.passages()), list(copy.passages())]
    assert batches[0] == batches[1]
    assert [len(batch) for batch in batches[0]] == [4096, 4096, 1808]
    assert batches[0][0][1] == Passage("1", "text 1")


def test_where_a_passage_stands(tmp_path: Path) -> None:
    shard = shard_file(tmp_path)
    assert shard.where(1) == f"{tmp_path}/docs.jsonl.gz:2"
    assert shard.where(9) == "docs.jsonl.gz, passage 10"
    assert listed("de", "d", "a").where(0) == "d, passage 1"


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    shard = shard_file(tmp_path)
    expected = hashlib.sha256((tmp_path / "docs.jsonl.gz").read_bytes()).hexdigest()
    assert shard.digest() == expected
    assert shard_file(tmp_path, sha256=expected).digest() == expected
    with pytest.raises(IntegrityError, match=expected):
        list(shard_file(tmp_path, sha256="0" * 64).passages())


def test_a_shard_that_changes_between_runs_is_refused(tmp_path: Path) -> None:
    recorded = tmp_path / "t.lock.json"
    assert sum(map(len, shard_file(tmp_path, 3, checksums=recorded).passages())) == 3
    assert sum(map(len, shard_file(tmp_path, 3, checksums=recorded).passages())) == 3
    with pytest.raises(IntegrityError, match="has changed since it was first read"):
        list(shard_file(tmp_path, 4, checksums=recorded).passages())
    assert sum(map(len, shard_file(tmp_path, 4).passages())) == 4  # data of one's own may change


def test_a_shard_that_is_gone_is_told(tmp_path: Path) -> None:
    shard = shard_file(tmp_path)
    (tmp_path / "docs.jsonl.gz").unlink()
    with pytest.raises(EnvironmentFault, match=r"docs\.jsonl\.gz: cannot be read"):
        list(shard.passages())
    absent = TableShard.of(DataFile("de", "docs.jsonl.gz"), "de", ("docid",), True)
    with pytest.raises(EnvironmentFault, match="not at hand"):
        list(absent.passages())


def test_streamed_collections_are_frozen() -> None:
    found = build_streamed(LANGUAGES, records())
    assert isinstance(found, StreamedCollection)
    with pytest.raises(AttributeError):
        found.shards = ()  # type: ignore[misc]
