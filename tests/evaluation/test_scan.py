"""A scan counts, adds digests, finds the relevant texts and what is wrong, once for each shard."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import DataError, EnvironmentFault
from mlbench.data.collection import Judgement, TextRecord
from mlbench.data.corpus import Passage, StreamedRecords
from mlbench.evaluation import scan as module
from mlbench.evaluation.scan import scan, wanted_passages
from tests.evaluation.building import LANGUAGES, ListShard, at_once, records, streamed

READS: Counter[str] = Counter()


class CountedShard(ListShard):
    """A shard that counts how often it is read."""

    def passages(self):
        READS[self.name] += 1
        return super().passages()


def small(*held: list[Passage], judged: tuple[str, ...] = ("a",)) -> StreamedRecords:
    """One language, a shard for each list of passages, and a query that judges some."""
    shards = [ListShard("en", f"en/{n}", None, tuple(part)) for n, part in enumerate(held)]
    judgements = [Judgement("q", "en", id_, "en", 1, "qrels:1") for id_ in judged]
    return StreamedRecords([TextRecord("q", "en", "query", "here")], judgements, shards)


def scanned(folder, found, languages=("en",)):
    return scan(streamed(found, languages), folder)


@pytest.mark.parametrize("seed", range(3))
def test_counts_and_digest_are_those_of_the_collection_read_at_once(tmp_path, seed):
    found = records(seed)
    whole = at_once(found)
    result = scan(streamed(found), tmp_path)
    assert result.passages.tolist() == whole.passages.counts.tolist()
    assert result.digest(streamed(found)) == whole.digest


def test_texts_of_relevant_passages_are_found_and_places_of_all_judged(tmp_path):
    found = records(1)
    result = scan(streamed(found), tmp_path)
    texts = {(s.language, p.id): p.text for s in found.shards for p in s.held}
    relevant = {(j.passage_language, j.passage_id) for j in found.judgements if j.relevance > 0}
    judged = {(j.passage_language, j.passage_id) for j in found.judgements}
    assert judged != relevant
    assert {(s.language, id_) for s in result.shards for id_ in s.judged} == judged
    assert {(s.language, id_): text for s in result.shards for id_, text in s.texts.items()} == {
        name: texts[name] for name in relevant
    }
    for shard, learned in zip(found.shards, result.shards, strict=True):
        assert all(shard.held[place].id == id_ for id_, place in learned.judged.items())


def test_a_shard_is_scanned_once(tmp_path):
    found = records(2)
    found.shards = [CountedShard(s.language, s.name, s.size, s.held) for s in found.shards]
    READS.clear()
    first = scan(streamed(found), tmp_path)
    assert scan(streamed(found), tmp_path) == first
    assert set(READS.values()) == {1}
    changed = found.shards[4]
    found.shards[4] = replace(changed, held=(*changed.held, Passage("new", "text")))
    assert scan(streamed(found), tmp_path).passages.sum() == first.passages.sum() + 1
    assert {s.name: 1 + (s.name == changed.name) for s in found.shards} == READS


def test_other_judgements_are_looked_for_anew(tmp_path):
    found = small([Passage("a", "x"), Passage("b", "y")])
    assert scanned(tmp_path, found).shards[0].texts == {"a": "x"}
    found = small([Passage("a", "x"), Passage("b", "y")], judged=("b",))
    assert scanned(tmp_path, found).shards[0].texts == {"b": "y"}


def test_a_damaged_record_is_made_again(tmp_path):
    found = small([Passage("a", "x")])
    first = scanned(tmp_path, found)
    (path,) = tmp_path.iterdir()
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"x"', b'"y"'))
    assert scanned(tmp_path, found) == first
    assert path.read_bytes() == raw


def test_what_killed_runs_left_unfinished_is_removed(tmp_path):
    names = [".1f.scan.0a1b2c3d.tmp", ".2e.scan.4e5f6a7b.tmp", ".other.0a1b2c3d.tmp"]
    for name in names:
        (tmp_path / name).touch()
    for name in names[::2]:
        os.utime(tmp_path / name, (0, 0))
    scanned(tmp_path, small([Passage("a", "A")]))
    left = {path.name for path in tmp_path.glob(".*")}
    assert left == set(names[1:])


def test_nothing_is_kept_of_a_shard_that_nothing_identifies(tmp_path):
    class Nameless(ListShard):
        def digest(self):
            return None

    found = small([Passage("a", "x")])
    found.shards = [Nameless("en", "en/0", None, found.shards[0].held)]
    scanned(tmp_path, found)
    assert list(tmp_path.iterdir()) == []


def test_processes_learn_the_same(tmp_path):
    found = records(3)
    assert scan(streamed(found), tmp_path / "one") == scan(
        streamed(found), tmp_path / "two", workers=2
    )


def test_progress_is_told_of_every_shard_known_or_not(tmp_path):
    found = records(0)
    for _ in range(2):
        told: list[int] = []
        scan(streamed(found), tmp_path, progress=told.append)
        assert told == [1] * len(found.shards)


def test_what_is_present_of_the_judged_is_told_by_language(tmp_path):
    found = small([Passage("a", "x")], [Passage("b", "y")], judged=("a", "no", "b"))
    found.queries.append(TextRecord("q", "de", "query", "here"))
    found.judgements.append(Judgement("q", "de", "a", "de", 1, "qrels:9"))
    found.shards.append(ListShard("de", "de/0", None, (Passage("b", "x"),)))
    assert scanned(tmp_path, found, ("en", "de")).present == {"en": {"a", "b"}, "de": set()}


def test_a_language_without_passages(tmp_path):
    found = small([Passage("a", "x")])
    found.queries.append(TextRecord("q", "de", "query", "here"))
    found.shards.append(ListShard("de", "de/0", None, ()))
    with pytest.raises(DataError, match="language 'de': no passage at all"):
        scanned(tmp_path, found, ("en", "de"))


def test_ids_given_twice_in_a_shard_are_named_with_both_places(tmp_path):
    held = [Passage("a", "x"), Passage("b", "y"), Passage("a", "z"), Passage("b", "y")]
    with pytest.raises(DataError) as error:
        scanned(tmp_path, small(held))
    assert [str(fault).splitlines()[0] for fault in error.value.faults] == [
        "en/0, passage 3: passage 'a' (en) given again; first at en/0, passage 1",
        "en/0, passage 4: passage 'b' (en) given again; first at en/0, passage 2",
    ]


def test_equal_hashes_of_different_ids_are_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "hash", lambda value: 0, raising=False)
    assert scanned(tmp_path, small([Passage("a", "x"), Passage("b", "x")])).passages.tolist() == [2]


def test_ids_given_in_two_shards_are_named_with_both_places(tmp_path):
    found = small([Passage("a", "x"), Passage("b", "y")], [Passage("c", "x"), Passage("b", "z")])
    with pytest.raises(DataError, match=r"en/1, passage 2: passage 'b' .*first at en/0, passage 2"):
        scanned(tmp_path, found)


def test_of_large_shards_judged_ids_and_a_sample_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 8)
    names = [f"n{i}" for i in range(400)]
    drawn = [name for name in names if module._drawn(name)]
    assert 1 <= len(drawn) < 30
    parts = [[Passage("a", "x"), *(Passage(n, "t") for n in names)], [Passage(drawn[0], "t")]]
    with pytest.raises(DataError, match=f"passage '{drawn[0]}'"):
        scanned(tmp_path, small(*parts))
    with pytest.raises(DataError, match="passage 'a'"):
        scanned(
            tmp_path,
            small(parts[0], [Passage("a", "x"), *[Passage(f"m{i}", "t") for i in range(20)]]),
        )
    kept = scanned(tmp_path, small(parts[0])).shards[0].sample
    assert set(kept) == {name for name in ["a", *names] if module._drawn(name)}


def test_the_same_id_in_two_languages_is_no_fault(tmp_path):
    found = small([Passage("a", "x")])
    found.queries.append(TextRecord("q", "de", "query", "here"))
    found.shards.append(ListShard("de", "de/0", None, (Passage("a", "x"),)))
    assert scanned(tmp_path, found, ("en", "de")).passages.tolist() == [1, 1]


def test_passages_without_text_and_half_characters_are_named(tmp_path):
    held = [Passage("a", "x"), Passage("b", " \n"), Passage("c", "\ud800"), Passage("d", "")]
    with pytest.raises(DataError) as error:
        scanned(tmp_path, small(held))
    assert {str(fault).splitlines()[0] for fault in error.value.faults} == {
        "en/0, passage 2: passage 'b' has no text",
        "en/0, passage 4: passage 'd' has no text",
        "en/0, passage 3: passage 'c' holds half of a surrogate pair",
    }


def test_what_reading_raises_is_raised(tmp_path):
    class Gone(ListShard):
        def passages(self):
            raise EnvironmentFault
            yield

    found = small([Passage("a", "x")])
    found.shards.append(Gone("en", "en/1", None, ()))
    with pytest.raises(EnvironmentFault):
        scanned(tmp_path, found)


def test_wanted_are_all_judged_and_whether_any_query_finds_them_relevant():
    found = records(5)
    wanted = wanted_passages(streamed(found))
    assert set(wanted) == set(LANGUAGES)
    for language, of_language in wanted.items():
        grades: dict[str, int] = {}
        for j in found.judgements:
            if j.passage_language == language:
                grades[j.passage_id] = max(grades.get(j.passage_id, 0), j.relevance)
        assert of_language == {id_: grade > 0 for id_, grade in grades.items()}


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_the_digest_does_not_depend_on_how_passages_are_cut_into_shards(tmp_path_factory, sizes):
    held = [Passage(f"p{i}", f"text {i % 3}") for i in range(sum(sizes) + 1)]
    parts, start = [], 0
    for size in sizes:
        parts.append(held[start : start + size])
        start += size
    parts.append(held[start:])
    folder = tmp_path_factory.mktemp("scans")
    found = small(*parts, judged=("p0",))
    whole = small(held, judged=("p0",))
    digests = {scanned(folder, given).digest(streamed(given, ("en",))) for given in (found, whole)}
    assert digests == {at_once(whole, ("en",)).digest}
