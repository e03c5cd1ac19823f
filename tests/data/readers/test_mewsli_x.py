"""Mewsli-X: files of its layout, made here, sound and faulty; two of its own records."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import DataError, IntegrityError, UsageError
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.task import Kind
from tests.data.readers.building import qrels_set
from tests.oracles.published import mewslix_passage, mewslix_query
from tests.support.mewsli import (
    PASSAGES,
    QUERIES,
    Row,
    article,
    candidate,
    made,
    mention,
    write_rows,
    write_small,
)


def load(path: Path, *, strict: bool = False) -> Collection:
    task = find_task(path)
    return read_collection(task, Locator(offline=True).of(task), strict=strict)


def test_counts_and_the_first_the_tenth_and_the_last_record(tmp_path: Path) -> None:
    candidates, articles = made()
    data = load(write_small(tmp_path, candidates, articles))
    assert data.languages == ("af", "de", "en", "zh-Hans")
    assert dict(zip(data.languages, data.passages.counts.tolist(), strict=True)) == PASSAGES
    assert data.queries.counts.tolist() == [0, QUERIES["de"], QUERIES["en"], 0]
    named = [(a["context"], m) for a in articles for m in a["mentions"]]
    for place in (0, 9, -1):
        context, row = named[place]
        index = data.queries.ids.index(row["example_id"])
        spans = context["sentence_spans"]
        text = mewslix_query(context["text"], spans, row["mention_span"])
        assert data.queries.texts[index] == text
        assert data.queries.groups[index] == context["document_id"]
    of_english = [c for c in candidates if c["description_language"] == "en"]
    english = data.passages.slice(2)
    for place in (0, 9, -1):
        assert data.passages.ids[english][place] == of_english[place]["entity_id"]
        assert data.passages.texts[english][place] == mewslix_passage(of_english[place])
    home = {c["entity_id"]: c["description_language"] for c in candidates}
    assert qrels_set(data) == {
        (c["language"], m["example_id"], home[m["entity_id"]], m["entity_id"], 1) for c, m in named
    }


def test_every_text_is_that_of_the_published_program(tmp_path: Path) -> None:
    for seed in range(30):
        candidates, articles = made(seed)
        data = load(write_small(tmp_path, candidates, articles))
        assert dict(zip(data.passages.ids, data.passages.texts, strict=True)) == {
            c["entity_id"]: mewslix_passage(c) for c in candidates
        }
        assert dict(zip(data.queries.ids, data.queries.texts, strict=True)) == {
            m["example_id"]: mewslix_query(
                a["context"]["text"], a["context"]["sentence_spans"], m["mention_span"]
            )
            for a in articles
            for m in a["mentions"]
        }


HELSINKI = (
    "Transit strike affects 100,000 in Helsinki\n\n \n\nIn Helsinki, the Finnish trade union for "
    "bus and truck drivers has gone on strike on Sunday evening, mainly over the use of part-time "
    "labor."
)
ISLANDS = (
    "قائد الحرس الثوري الإيراني يزور الجزر الثلاث\n\nزار قائد الحرس الثوري الإيراني "
    "اللواء محمد علي الجعفري يوم أمس الخميس الجزر الثلاث (التي تطالب بها كل من إيران "
    "والإمارات العربية المتحدة، وتعدها الثانية إلى جانب كافة دول الخليج العربي جزراً "
    "محتلة)، وهي جزر أبو موسى وطنب الكبرى وطنب الصغرى، في أول زيارة لمسؤول عسكري إيراني "
    "على هذا المستوى للجزر منذ وقوعها تحت السيطرة الإيرانية في سنة 1971م."
)
"""How the two records of ``mel/mewsli_x/testdata/example_mentions.jsonl`` in
google-research/google-research begin; the text is Wikinews's, CC BY 2.5."""


def test_records_of_mewsli_x_itself(tmp_path: Path) -> None:
    candidates = [candidate(f"Q{i}", code, ["A."]) for i, code in enumerate(("af", "de", "en"))]
    candidates += [candidate("Q167217", "ar", ["B."]), candidate("Q3447452", "af", ["C."])]
    candidates += [candidate("Q1757", "af", ["Helsinki is die hoofstad."])]
    strike, islands = article("en-34985", "en", [], []), article("ar-13828", "ar", [], [])
    strike["context"] |= {
        "text": HELSINKI,
        "sentence_spans": [{"start": 0, "end": 42}, {"start": 47, "end": 187}],
    }
    strike["mentions"] = [mention("c79595350cc2d5c7f2b095e2cb785212", "Q1757", 50, "Helsinki")]
    islands["context"] |= {
        "text": ISLANDS,
        "sentence_spans": [{"start": 0, "end": 44}, {"start": 46, "end": 388}],
    }
    islands["mentions"] = [
        mention("2e8eb6fa1b66183927d4ef4bcbe5a149", "Q167217", 253, "أبو موسى"),
        mention("d24f12f333cd3d5e7adeb9c2ff66f3f0", "Q3447452", 275, "طنب الصغرى"),
    ]
    path = write_small(tmp_path, candidates, [strike, islands])
    text = path.read_text(encoding="utf-8").replace('"de", "en"]', '"en", "ar"]')
    path.write_text(text.replace('"zh_Hans"', '"ar"'), encoding="utf-8")
    data = load(path)
    assert data.queries.counts.tolist() == [0, 0, 1, 2]
    english, *arabic = data.queries.texts
    assert english == (
        "Helsinki: In { Helsinki } , the Finnish trade union for bus and truck drivers has gone on "
        "strike on Sunday evening, mainly over the use of part-time labor."
    )
    assert arabic[0].startswith("أبو موسى: زار قائد الحرس")
    assert "وهي جزر { أبو موسى } وطنب الكبرى وطنب الصغرى، في" in arabic[0]
    assert "وهي جزر أبو موسى وطنب الكبرى و { طنب الصغرى } ، في أول" in arabic[1]
    assert {row[1:4] for row in qrels_set(data)} == {
        ("c79595350cc2d5c7f2b095e2cb785212", "af", "Q1757"),
        ("2e8eb6fa1b66183927d4ef4bcbe5a149", "ar", "Q167217"),
        ("d24f12f333cd3d5e7adeb9c2ff66f3f0", "af", "Q3447452"),
    }


def test_streamed_as_held(tmp_path: Path) -> None:
    candidates, articles = made(3)
    articles[0]["mentions"][0]["entity_id"] = "Q999"
    path = write_small(tmp_path, candidates, articles)
    raw = (tmp_path / "candidates.jsonl").read_bytes()
    lines = b"\n\r\n".join(raw.split(b"\n"))  # with empty lines and other line ends between
    (tmp_path / "candidates.jsonl").write_bytes(b"\xef\xbb\xbf" + lines)
    held, task = load(path), find_task(path)
    streamed = stream_collection(task, Locator(offline=True))
    assert [shard.language for shard in streamed.shards] == [*PASSAGES]
    assert streamed.roles == held.roles == task.roles
    passages = [p for shard in streamed.shards for batch in shard.passages() for p in batch]
    assert tuple(p.id for p in passages) == held.passages.ids
    assert tuple(p.text for p in passages) == held.passages.texts
    assert streamed.queries.texts == held.queries.texts
    assert streamed.queries.groups == held.queries.groups
    for shard in streamed.shards:
        file, _, number = shard.where(1).rpartition(":")
        line = Path(file).read_text(encoding="utf-8").split("\n")[int(number) - 1]
        second = next(iter(shard.passages()))[1]
        assert json.loads(line)["entity_id"] == second.id
    sizes = sum(shard.size or 0 for shard in streamed.shards)
    assert sizes == len(raw)


def test_a_file_that_changes_while_it_is_streamed(tmp_path: Path) -> None:
    candidates, articles = made()
    task = find_task(write_small(tmp_path, candidates, articles))
    shards = stream_collection(task, Locator(offline=True)).shards
    digests = [shard.digest() for shard in shards]
    path = tmp_path / "candidates.jsonl"
    changed = next(i for i, c in enumerate(candidates) if c["description_language"] == "en")
    lines = path.read_bytes().split(b"\n")
    lines[changed] = lines[changed].replace(b"Q", b"P", 1)
    path.write_bytes(b"\n".join(lines))
    for shard in shards:
        if shard.language != "en":
            assert list(shard.passages())
            continue
        with pytest.raises(IntegrityError, match="has changed since this run began"):
            list(shard.passages())
    after = [shard.digest() for shard in stream_collection(task, Locator(offline=True)).shards]
    assert [a == b for a, b in zip(digests, after, strict=True)] == [True, True, False, True]


def test_packed_candidates_are_held_but_not_streamed(tmp_path: Path) -> None:
    path = write_small(tmp_path, *made())
    packed = tmp_path / "candidates.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "candidates.jsonl").read_bytes()))
    path.write_text(path.read_text().replace("candidates.jsonl", "candidates.jsonl.gz"))
    assert len(load(path).passages) == sum(PASSAGES.values())
    with pytest.raises(UsageError, match=r"gz: is packed, so that .*\n.*\n  to fix: unpack"):
        stream_collection(find_task(path), Locator(offline=True))


def test_a_mention_whose_entity_is_no_candidate_is_counted_and_listed(tmp_path: Path) -> None:
    candidates, articles = made()
    for row in articles[:2]:
        row["mentions"][0]["entity_id"] = "Q12345"
    path = write_small(tmp_path, candidates, articles)
    data = load(path)
    assert data.absent is not None
    assert data.absent.passages == ("'Q12345'", "'Q12345'")
    names = {data.queries.ids[q] for q in data.absent.query.tolist()}
    assert names == {row["mentions"][0]["example_id"] for row in articles[:2]}
    with pytest.raises(DataError, match="passage 'Q12345': is judged, but not in the corpus"):
        data.absent.refuse()
    with pytest.raises(DataError, match="a judgement names passage 'Q12345', which is not in"):
        load(path, strict=True)


def spoiled(which: str, spoil: Any) -> tuple[list[Row], list[Row]]:
    """Sound files whose first candidate or first article was spoiled."""
    candidates, articles = deepcopy(made())
    articles[0]["mentions"] = articles[0]["mentions"][:1]
    spoil(candidates[0] if which == "candidate" else articles[0])
    return candidates, articles


def first_mention(row: Row) -> Row:
    found: Row = row["mentions"][0]
    return found


@pytest.mark.parametrize(
    ("which", "spoil", "message"),
    [
        (
            "article",
            lambda a: first_mention(a)["mention_span"].update(end=0),
            r"jsonl:1, mentions\[0\]\.mention_span: start \d+ and end 0 in a text of \d+ c",
        ),
        (
            "article",
            lambda a: first_mention(a)["mention_span"].update(end=10_000),
            r"mentions\[0\]\.mention_span: start \d+ and end 10000 in a text of \d+",
        ),
        (
            "article",
            lambda a: first_mention(a)["mention_span"].update(start="3"),
            r"mention_span: start '3' and end .*\n  expected: whole numbers, 0 <= start",
        ),
        (
            "article",
            lambda a: first_mention(a)["mention_span"].update(text="Bonn"),
            r"mention 'de12' is 'Bonn', but there the text has '.*'\n  expected: the char",
        ),
        (
            "article",
            lambda a: a["context"].update(sentence_spans=[]),
            r"mention 'de12', at characters \d+ to \d+, is in none of the sentences\n",
        ),
        (
            "article",
            lambda a: a["context"].update(sentence_spans=[{"start": 5, "end": 5}]),
            r"jsonl:1, sentence_spans\[0\]: start 5 and end 5 in a text of \d+",
        ),
        (
            "article",
            lambda a: a["context"].update(text=""),
            r"mentions.jsonl: 1 of \d+ articles has no text\n  expected: the text .*\n.*get-m",
        ),
        (
            "article",
            lambda a: first_mention(a)["mention_span"].pop("text"),
            r"jsonl:1, mentions\[0\]: 'text' missing\n  expected: a string",
        ),
        (
            "article",
            lambda a: a.update(mentions=[3]),
            r"mentions\[0\]: the number 3\n  expected: an ob",
        ),
        (
            "article",
            lambda a: a.pop("context"),
            "jsonl:1: 'context' missing\n  expected: an object",
        ),
        (
            "article",
            lambda a: a["mentions"].append(first_mention(a)),
            r"jsonl:1, mentions\[\d\]: query 'de12' \(de\) given again; first at .*:1, ment",
        ),
        (
            "article",
            lambda a: a["context"].update(language="zh-Hans"),
            r"query 'de12' has language 'zh-Hans'\n  expected: one of de, en",
        ),
        (
            "candidate",
            lambda c: c.update(description_language="fr"),
            "jsonl:1: entity 'Q0' is described in 'fr'\n  expected: one of af, de, en, zh-Hans",
        ),
        (
            "candidate",
            lambda c: c.update(sentence_spans=[{"start": 0, "end": 9999}]),
            r"jsonl:1, sentence_spans\[0\]: start 0 and end 9999 in a text of \d+",
        ),
        ("candidate", lambda c: c.update(sentence_spans=[]), "passage 'Q0' has no text"),
        (
            "candidate",
            lambda c: c.update(description=None),
            "'description' is null\n  expected: a str",
        ),
    ],
)
def test_faulty_records(tmp_path: Path, which: str, spoil: Any, message: str) -> None:
    path = write_small(tmp_path, *spoiled(which, spoil))
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert len(caught.value.faults) == 1


def test_a_candidate_given_twice(tmp_path: Path) -> None:
    candidates, articles = made()
    path = write_small(tmp_path, [*candidates, candidates[0]], articles)
    with pytest.raises(DataError, match=r":61: passage 'Q0' \(.*\) given again; first at .*:1\n"):
        load(path)


def test_an_entity_in_two_languages(tmp_path: Path) -> None:
    candidates, articles = made()
    entity = first_mention(articles[0])["entity_id"]
    known = next(c for c in candidates if c["entity_id"] == entity)
    other = next(code for code in PASSAGES if code != known["description_language"])
    candidates.append(candidate(entity, other, ["Again."]))
    path = write_small(tmp_path, candidates, articles)
    message = (
        f"entity {entity!r} in {other!r}; in .* at .*\n  expected: each entity in one language"
    )
    with pytest.raises(DataError, match=message):
        load(path)
    with pytest.raises(DataError, match=message):
        stream_collection(find_task(path), Locator(offline=True))


def test_released_files_have_no_text_and_one_message_says_so(tmp_path: Path) -> None:
    candidates, articles = made()
    for row in articles:
        row["context"]["text"] = ""
    path = write_small(tmp_path, candidates, articles)
    with pytest.raises(DataError) as caught:
        load(path)
    assert len(caught.value.faults) == 1
    assert f"{len(articles)} of {len(articles)} articles have no text" in str(caught.value)


def test_lines_that_are_no_objects(tmp_path: Path) -> None:
    path = write_small(tmp_path, *made())
    for name in ("candidates", "mentions"):
        with (tmp_path / f"{name}.jsonl").open("a") as file:
            file.write("[1]\n{\n")
    with pytest.raises(DataError) as caught:
        load(path)
    assert [fault.found for fault in caught.value.faults if "JSON" not in fault.found] == []
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize("name", ["xtreme-r-mewsli-x", "xtreme-r-mewsli-x-dev"])
def test_the_tasks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = find_task(name)
    assert (len(task.languages), len(task.roles.queries), len(task.roles.passages)) == (50, 11, 50)
    assert task.measures[0] == "RR@20"
    assert {setting.passage_languages for setting in task.settings()} >= {task.languages}
    assert Kind.CROSSLINGUAL not in task.kinds
    assert "cannot be compared with those in XTREME-R's paper" in task.notes[1]
    monkeypatch.delenv("MLBENCH_DATA", raising=False)
    with pytest.raises(MissingData) as caught:
        Locator(tmp_path, offline=True).of(task)
    for part in ("candidate_set_entities.jsonl", "6d3f137027c7e0146c7aa0b3c21e90f4", "--data-dir"):
        assert part in str(caught.value)
    for folder in ("mewsli-x", "mewslix", "."):
        data = tmp_path / f"in-{folder}"
        (data / folder).mkdir(parents=True)
        for file in task.source.files.values():
            write_rows(data / folder / Path(file).name, [])
        found = Locator(data, offline=True).of(task)
        assert {p.parent for r in task.source.files for p in found(r).values()} == {data / folder}


def test_the_shards_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    import pickle

    task = find_task(write_small(tmp_path, *made()))
    for shard in stream_collection(task, Locator(offline=True)).shards:
        again = pickle.loads(pickle.dumps(shard))
        assert again == shard
        assert np.array_equal(again.starts, shard.starts)
        assert list(again.passages()) == list(shard.passages())
