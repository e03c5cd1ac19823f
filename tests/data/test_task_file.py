"""Task files: shards, addresses by role, further places, ids, named languages and notes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.common.errors import DataError
from mlbench.data.locations import check_locations, wanted_files
from mlbench.data.locator import Locator
from mlbench.data.task import Task
from mlbench.data.task_file import parse_task
from mlbench.evaluation.tasks import load_task

SOUND = """
name = "small"
version = "1"
title = "Small"
languages = ["de", "en", "sw"]
licence = "CC0-1.0"
citation = "Somebody, 2025"
notes = ["judged by one", '''
  in two
  lines''']

[language-sets]
all-3 = ["de", "en", "sw"]
two = ["de", "sw"]

[source]
reader = "miracl"

[source.url]
corpus = "hf://datasets/some/corpus@v1/{path}"
topics = "hf://datasets/some/topics/x/{path}"

[source.files]
corpus = ["{language}/{shard:03}-of-{shards:03}.gz", "c/{language}-{shard}.gz"]
topics = "{language}.tsv"
qrels = "q.{language}.tsv"

[source.shards]
de = 2
en = 1
sw = 11
"""


ROOT = Path(__file__).resolve().parents[2]


def parse(folder: Path, old: str = "", new: str = "") -> Task:
    assert old in SOUND
    path = folder / "small.toml"
    path.write_text(SOUND.replace(old, new, 1), encoding="utf-8")
    return parse_task(path)


def test_shards_are_wanted_one_by_one(tmp_path: Path) -> None:
    files = [file for file in wanted_files(parse(tmp_path)) if file.role == "corpus"]
    assert [(file.language, file.name) for file in files] == [
        *(("de", "de/000-of-002.gz"), ("de", "de/001-of-002.gz"), ("en", "en/000-of-001.gz")),
        *(("sw", f"sw/{number:03}-of-011.gz") for number in range(11)),
    ]
    assert files[1].name == "de/001-of-002.gz"
    assert files[1].others == ("c/de-1.gz",)
    assert files[1].url == "hf://datasets/some/corpus@v1/de/001-of-002.gz"
    assert files[-1].name == "sw/010-of-011.gz"


def test_each_role_has_its_own_address(tmp_path: Path) -> None:
    task = parse(tmp_path)
    urls = {file.role: file.url for file in wanted_files(task) if file.language == "en"}
    assert urls["topics"] == "hf://datasets/some/topics/x/en.tsv"
    assert urls["qrels"] is None
    assert check_locations(task) == []


def test_notes_and_language_sets(tmp_path: Path) -> None:
    task = parse(tmp_path)
    assert task.notes == ("judged by one", "in two lines")
    assert task.language_sets == {"all-3": ("de", "en", "sw"), "two": ("de", "sw")}


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ('["de", "sw"]', '["sw", "de"]', "language-sets.two", "in its order: de, en, sw"),
        ('["de", "sw"]', '["de", "fr"]', "language-sets.two", "some of the task's languages"),
        ('["de", "sw"]', '"de"', "language-sets.two", "a list of the task's languages"),
        ("two =", "de =", "language-sets.de", "not a language"),
        ("two =", '"A B" =', "language-sets.A B", "a name of lower-case letters"),
        ('"judged by one"', "1", "notes", "a string that is not empty"),
        ("sw = 11", "sw = 0", "source.shards.sw", "a whole number from 1"),
        ("sw = 11", "sw = true", "source.shards.sw", "a whole number from 1"),
        (
            '"q.{language}.tsv"',
            '["q", 1]',
            "source.files.qrels",
            "1\n  expected: a string",
        ),
        ("[source.shards]", "[source.ids]\nde = 1\n[source.shards]", "source.ids.de", "a string"),
        ("[source.url]", "[source.sha256]", "source.sha256.corpus", "64 lower-case hex digits"),
    ],
)
def test_a_fault_names_its_field(
    tmp_path: Path, old: str, new: str, where: str, expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        parse(tmp_path, old, new)
    found = [str(fault) for fault in caught.value.faults]
    prefix = f"{tmp_path / 'small.toml'}, field {where}: "
    assert any(fault.startswith(prefix) and expected in fault for fault in found), found


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ("sw = 11", "", "shards.sw", "missing"),
        ("sw = 11", "sv = 11", "shards.sw", "'sv' is there, and no language of the task"),
        ("sw = 11", "sw = 11\n's v' = 1", "shards.s v", "known: de, en, sw"),
        ("{language}/{shard:03}", "{shard:03}", "files.corpus", "holds no {language}"),
        ("{shard:03}-of-", "", "files.corpus", "holds no {shard}"),
        ("{shard:03}", "{shard:3}", "files.corpus", "unknown placeholder {shard:3}"),
        ("c/{language}", "c/{lang}", "files.corpus", "unknown placeholder {lang}"),
        ("some/topics/x/", "", "url", "hf://datasets/<owner>/<name>"),
        ("some/topics/x/{path}", "some/topics/x", "url", "the same address for several files"),
        ('topics = "hf', 'topic = "hf', "url.topic", "did you mean 'topics'?"),
    ],
)
def test_locations_that_cannot_work(
    tmp_path: Path, old: str, new: str, where: str, expected: str
) -> None:
    found = [str(fault) for fault in check_locations(parse(tmp_path, old, new))]
    prefix = f"{tmp_path / 'small.toml'}, field source.{where}: "
    assert any(fault.startswith(prefix) and expected in fault for fault in found), found


def test_shards_without_a_place_for_them(tmp_path: Path) -> None:
    task = parse(tmp_path, "{shard:03}-of-{shards:03}.gz", "x.gz")
    (fault,) = check_locations(task)
    assert fault.where.endswith("source.shards")
    assert "no path holds {shard}" in fault.found


def test_files_over_http_need_a_digest_and_those_of_the_hub_do_not(tmp_path: Path) -> None:
    task = parse(tmp_path, "hf://datasets/some/topics/x/", "https://example.org/")
    found = {fault.found for fault in check_locations(task)}
    assert found == {f"no digest for '{code}.tsv'" for code in ("de", "en", "sw")}


def test_files_are_found_by_either_spelling_of_a_language(tmp_path: Path) -> None:
    text = SOUND.replace('"sw"', '"zho_hans"').replace("sw = 11", "zho-Hans = 1")
    path = tmp_path / "small.toml"
    path.write_text(text.replace('["de", "zho_hans"]', '["de", "zho-Hans"]'), encoding="utf-8")
    task = parse_task(path)
    assert task.languages == ("de", "en", "zho-Hans")
    assert task.language_sets["two"] == ("de", "zho-Hans")
    assert task.source.shards == {"de": 2, "en": 1, "zho-Hans": 1}
    assert check_locations(task) == []
    corpus, topics, qrels = (f for f in wanted_files(task) if f.language == "zho-Hans")
    assert topics.url == "hf://datasets/some/topics/x/zho_hans.tsv"
    assert (qrels.name, *qrels.others) == ("q.zho_hans.tsv", "q.zho-Hans.tsv", "q.zho_Hans.tsv")
    assert (corpus.name, corpus.others[-1]) == ("zho_hans/000-of-001.gz", "c/zho_Hans-0.gz")
    for spelled in ("zho_Hans", "zho-Hans", "zho_hans"):
        folder = tmp_path / spelled
        for name in (f"q.{spelled}.tsv", "q.de.tsv", "q.en.tsv"):
            folder.mkdir(exist_ok=True)
            (folder / name).touch()
        found = Locator(folder, offline=True).fetch(task, ["qrels"])
        assert [file.path and file.path.name for file in found][-1] == f"q.{spelled}.tsv"


def test_a_task_made_by_hand_is_spelled_as_one_of_a_file(tmp_path: Path) -> None:
    task = parse(tmp_path)
    shards = {"de": 2, "en": 1, "zho_hans": 1}
    languages = ("de", "en", "zho_hans")
    source = replace(task.source, shards=shards)
    by_hand = replace(task, languages=languages, source=source, language_sets={"x": languages})
    found = load_task(by_hand)
    assert found.languages == found.language_sets["x"] == ("de", "en", "zho-Hans")
    assert found.source.shards == {"de": 2, "en": 1, "zho-Hans": 1}
    assert [f.name for f in wanted_files(found)] == [f.name for f in wanted_files(by_hand)]
    assert load_task(task) == task
    with pytest.raises(DataError, match="one language twice: de, en, EN"):
        load_task(replace(task, languages=("de", "en", "EN")))


def test_a_table_that_names_a_language_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a language given twice: de, en, sw, SW"):
        parse(tmp_path, "sw = 11", "sw = 11\nSW = 1")


def test_a_copy_of_a_task_file_may_have_fewer_languages(tmp_path: Path) -> None:
    """What it says of the others is not needed, and no fault; a name that fits nothing is one."""
    for name in ("xquad-r", "miracl", "mlqa-r"):
        whole = (ROOT / "tasks" / f"{name}.toml").read_text(encoding="utf-8")
        cut = re.sub(r"(?m)^languages = \[[^\]]*\]", 'languages = ["ar", "en"]', whole)
        path = tmp_path / f"{name}.toml"
        path.write_text(cut, encoding="utf-8")
        task = load_task(path)
        assert task.languages == ("ar", "en")
        assert check_locations(task) == []
        assert {file.language for file in wanted_files(task)} <= {"ar", "en", None, ""}
        assert all({*codes} <= {"ar", "en"} for codes in task.language_sets.values())
    path.write_text(cut.replace("/zh.json", "/z h.json"), encoding="utf-8")
    with pytest.raises(DataError, match="z h"):
        load_task(path)


def test_a_group_is_one_of_those_that_are_listed(tmp_path: Path) -> None:
    whole = (ROOT / "tasks" / "sample.toml").read_text(encoding="utf-8")
    path = tmp_path / "sample.toml"
    path.write_text(whole.replace('group = "questions"', 'group = "bitexts"'), encoding="utf-8")
    with pytest.raises(DataError, match="did you mean 'bitext'"):
        load_task(path)
    path.write_text(whole.replace('group = "questions"', ""), encoding="utf-8")
    assert load_task(path).group is None
