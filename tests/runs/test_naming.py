from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.common.errors import DataError, UsageError
from mlbench.data.task import Roles
from mlbench.runs.patterns import Given, find_runs, matching_files

LANGUAGES = ("de", "en", "zh", "zh-Hans")
ROLES = Roles(LANGUAGES, LANGUAGES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("de-de", "de-en", "en-multilingual", "zh-Hans-zh", "xx-de"):
        Path(f"{name}.trec").touch()
    Path("de").mkdir()
    Path("de/run.json").touch()
    Path("all.trec").touch()
    return tmp_path


def test_a_pattern_stands_for_the_files_that_there_are(folder):
    found = find_runs(["{query_language}-{passage_language}.trec"], [], ROLES)
    assert found == [
        Given(Path("de-de.trec"), "de", "de"),
        Given(Path("de-en.trec"), "de", "en"),
        Given(Path("en-multilingual.trec"), "en", "multilingual"),
        Given(Path("zh-Hans-zh.trec"), "zh-Hans", "zh"),
    ]


def test_files_and_pools_may_spell_a_language_otherwise(folder):
    Path("zh_Hans-zh_Hans.trec").touch()
    found = find_runs(["{query_language}-{passage_language}.trec"], [], ROLES)
    assert Given(Path("zh_Hans-zh_Hans.trec"), "zh-Hans", "zh-Hans") in found
    found = find_runs(["all.trec"], ["ZH_hans"], ROLES)
    assert found == [Given(Path("all.trec"), "", "zh-Hans")]


def test_a_placeholder_can_be_a_folder_and_the_pool_an_option(folder):
    found = find_runs(["{query_language}/run.json"], ["multilingual"], ROLES)
    assert found == [Given(Path("de/run.json"), "de", "multilingual")]


def test_pools_go_with_the_runs_in_their_order(folder):
    found = find_runs(["all.trec", "de/run.json"], ["monolingual", "zh"], ROLES)
    assert found == [
        Given(Path("all.trec"), "", "monolingual"),
        Given(Path("de/run.json"), "", "zh"),
    ]


def test_one_pool_is_for_all_files_whose_name_does_not_say_it(folder):
    found = find_runs(["all.trec", "de-{passage_language}.trec"], ["crosslingual"], ROLES)
    assert [each.pool for each in found] == ["crosslingual", "de", "en"]


def test_a_task_of_one_language_needs_no_pool(folder):
    assert find_runs(["all.trec"], [], Roles(("de",), ("de",))) == [
        Given(Path("all.trec"), "", "de")
    ]


@pytest.mark.parametrize(
    ("runs", "pools", "error", "found"),
    [
        (["all.trec"], [], UsageError, "does not say which passages"),
        (["all.trec"], ["multilingal"], UsageError, "did you mean 'multilingual'"),
        (["all.trec"], ["fr"], UsageError, "'fr'"),
        (["all.trec"], ["de", "en"], UsageError, "2 given for 1 of --run"),
        (["{language}.trec"], ["de"], UsageError, "{language} is not a known"),
        (["all.trec", "all.trec"], ["de"], UsageError, "named 2 times"),
        (["gone.trec"], ["de"], DataError, "no such file"),
        (["gone-{query_language}.trec"], ["de"], DataError, "gone-{query_language}.trec"),
    ],
)
def test_what_is_not_said_or_not_there_is_an_error(folder, runs, pools, error, found):
    with pytest.raises(error) as raised:
        find_runs(runs, pools, ROLES)
    assert found in str(raised.value)


def test_files_that_fit_a_pattern_are_found_without_a_task(folder):
    found = matching_files("{query_language}-{passage_language}.trec")
    assert found["de", "en"] == Path("de-en.trec")
    assert {"-".join(key) for key in found} == {
        "de-de", "de-en", "en-multilingual", "zh-Hans-zh", "xx-de",
    }  # fmt: skip
    assert matching_files("{query_language}/run.json") == {("de", ""): Path("de/run.json")}
    assert matching_files(str(folder / "{passage_language}.trec"))["", "all"].name == "all.trec"
    assert matching_files("all.trec") == {("", ""): Path("all.trec")}
    assert matching_files("{query_language}-{query_language}.trec") == {
        ("de", ""): Path("de-de.trec")
    }
    Path("bm25 [k=1]").mkdir()
    Path("bm25 [k=1]/de.trec").touch()
    assert {key for key, _ in matching_files("bm25 [k=1]/{query_language}.trec")} == {"de"}
    with pytest.raises(DataError, match="no such file"):
        matching_files("{query_language}.gone")
