"""Data sets of ir_datasets, registered here, so that nothing is downloaded."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from mlbench.common.errors import DataError, EnvironmentFault, UsageError
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import irds, read_collection, stream_collection
from mlbench.data.sources import check_source, ids_of, in_shards
from mlbench.data.task import Kind, Task
from tests.data.readers.building import make_task, qrels_set

ir_datasets = pytest.importorskip("ir_datasets")
from ir_datasets.datasets.base import Dataset  # noqa: E402
from ir_datasets.formats.base import BaseDocs, BaseQrels, BaseQueries  # noqa: E402

NUMBERS = itertools.count()


class Doc(NamedTuple):
    doc_id: str
    title: str
    text: str

    def default_text(self) -> str:
        return f"{self.title} {self.text}"


class Plain(NamedTuple):
    doc_id: str
    text: str


class Query(NamedTuple):
    query_id: str
    title: str
    ht_title: str

    def default_text(self) -> str:
        return self.title


class Qrel(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int
    iteration: str


class Docs(BaseDocs):
    def __init__(self, documents: list[Any], language: str | None) -> None:
        self.documents, self.language = documents, language

    def docs_iter(self) -> Iterator[Any]:
        return iter(self.documents)

    def docs_count(self) -> int:
        return len(self.documents)

    def docs_cls(self) -> type:
        return type(self.documents[0])

    def docs_lang(self) -> str | None:
        return self.language


class Queries(BaseQueries):
    def __init__(self, language: str | None) -> None:
        self.language = language

    def queries_iter(self) -> Iterator[Query]:
        yield from (Query("q1", "what?", "was?"), Query("q2", "who?", "wer?"))

    def queries_cls(self) -> type:
        return Query

    def queries_lang(self) -> str | None:
        return self.language


class Qrels(BaseQrels):
    def qrels_iter(self) -> Iterator[Qrel]:
        yield from (Qrel("q1", "2", 2, "0"), Qrel("q1", "1", 0, "0"))


DOCUMENTS = [Doc("1", "T", "one"), Doc("2", "", "two"), Doc("3", "U", "three")]


def register(
    language: str | None = "de",
    documents: list[Any] = DOCUMENTS,
    queries: str | None = "same",
    qrels: bool = True,
) -> str:
    id_ = f"test-{next(NUMBERS)}/{language}/dev"
    spoken = language if queries == "same" else queries
    parts = [Docs(documents, language), Queries(spoken), Qrels() if qrels else None]
    ir_datasets.registry.register(id_, Dataset(*parts))
    return id_


def register_each(*languages: str, unlike: str = "") -> str:
    """Register one data set in several languages, and return its ids with ``{language}``; that of
    ``unlike`` judges other passages."""

    class Judged(Qrels):
        def qrels_iter(self) -> Iterator[Qrel]:
            yield from super().qrels_iter()
            yield Qrel("q2", "3", 1, "0")

    class Others(BaseQrels):
        def qrels_iter(self) -> Iterator[Qrel]:
            yield Qrel("q2", "1", 1, "0")

    stem = f"test-{next(NUMBERS)}"
    for code in languages:
        documents = [Plain(d.doc_id, f"{code} {d.default_text()}") for d in DOCUMENTS]
        judged = Others() if code == unlike else Judged()
        parts = [Docs(documents, code), Queries(code), judged]
        ir_datasets.registry.register(f"{stem}/{code}/train", Dataset(*parts))
    return f"{stem}/{{language}}/train"


def task_of(text: str = "", options: dict[str, str] | None = None, **ids: str) -> Task:
    return make_task(
        irds.Path("/nowhere"), "ir_datasets", {}, tuple(ids), text, ids=ids, options=options or {}
    )


def load(task: Task) -> Any:
    return read_collection(task, Locator().of(task))


def test_what_is_read() -> None:
    data = load(task_of(de=register("de"), en=register("en")))
    assert data.queries.texts == ("what?", "what?")  # q2 is not judged
    assert {id_ for _, id_ in data.unjudged} == {"q2"}
    assert data.passages.texts == ("T one", " two", "U three") * 2
    assert qrels_set(data) == {
        (language, "q1", language, passage, relevance)
        for language in ("de", "en")
        for passage, relevance in (("1", 0), ("2", 2))
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [("default", "T one"), ("title-text", "T\none"), ("text", "one")],
)
def test_which_text_a_model_is_given(text: str, expected: str) -> None:
    assert load(task_of(text, de=register())).passages.texts[0] == expected


def test_documents_that_do_not_say_their_text() -> None:
    id_ = register(documents=[Plain("1", "one"), Plain("2", "two")])
    for text in ("default", "title-text", "text"):
        assert load(task_of(text, de=id_)).passages.texts == ("one", "two")


def test_streaming_in_shards_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(irds, "DOCUMENTS_IN_A_SHARD", 2)
    monkeypatch.setattr(
        "ir_datasets.util.metadata.default_metadata_provider._metadata",
        {(id_ := register()): {"docs": {"count": 3}}},
    )
    task = task_of(de=id_)
    assert in_shards(task)
    streamed = stream_collection(task, Locator())
    assert [shard.name for shard in streamed.shards] == [
        f"{id_}, documents from 1",
        f"{id_}, documents from 3",
    ]
    found = [p for shard in streamed.shards for batch in shard.passages() for p in batch]
    assert [p.id for p in found] == ["1", "2", "3"]
    assert load(task).passages.texts == tuple(p.text for p in found)
    assert streamed.shards[1].where(0) == f"{id_}, document 3"
    assert streamed.shards[0].digest() is None


def test_another_field_of_the_query() -> None:
    id_ = register("de", queries="en")
    with pytest.raises(DataError) as caught:
        load(task_of(de=id_))
    assert f"the queries of {id_} are in 'en'" in str(caught.value)
    assert "`query-field` is one of query_id, title, ht_title" in str(caught.value)
    data = load(task_of(options={"query-field": "ht_title"}, de=id_))
    assert data.queries.texts == ("was?",)
    with pytest.raises(DataError, match=r"no text in the field 'mt_title'.*\n.*query_id, title"):
        load(task_of(options={"query-field": "mt_title"}, de=id_))


def test_what_is_lacking_is_told() -> None:
    with pytest.raises(DataError, match="has no qrels"):
        load(task_of(de=register(qrels=False)))
    with pytest.raises(DataError, match="document 1: passage '1' has no text"):
        load(task_of(de=register(documents=[Plain("1", " "), Plain("2", "x")])))


def test_an_unknown_id_names_what_is_near() -> None:
    with pytest.raises(UsageError, match="did you mean 'mr-tydi/ar/test'") as caught:
        load(task_of(ar="mr-tydi/ar/tset"))
    assert "field source.ids.ar" in str(caught.value)


@pytest.mark.parametrize("error", [OSError("no network"), RuntimeError("no network")])
def test_data_that_cannot_be_got_is_told(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> Iterator[Any]:
        raise error

    id_ = register()
    for function in ((Docs, "docs_iter"), (Qrels, "qrels_iter")):
        with monkeypatch.context() as patch:
            patch.setattr(*function, fail)
            with pytest.raises(EnvironmentFault, match="ir_datasets cannot get it: no network"):
                load(task_of(de=id_))


def test_a_task_by_ids_alone() -> None:
    german, english = register("de"), register("en")
    one = find_task(f"ir_datasets:{german}")
    assert (one.languages, one.kinds) == (("de",), (Kind.MONOLINGUAL,))
    assert one.source.ids == {"de": german}
    assert len(load(one).passages) == 3
    two = find_task(f"ir_datasets:{german},{english}")
    assert two.languages == ("de", "en")
    assert two.kinds == (Kind.MONOLINGUAL, Kind.MULTILINGUAL)
    assert two.name != one.name
    assert "/" not in two.name


def test_a_place_for_the_language_stands_for_those_that_are_given() -> None:
    pattern, english = register_each("de", "fr", "en"), register("en")
    task = find_task(f"ir_datasets:{pattern}", languages=("fr", "de"))
    stem = pattern.partition("/")[0]
    assert task.languages == ("fr", "de")
    assert task.source.ids == {"fr": f"{stem}/fr/train", "de": f"{stem}/de/train"}
    assert (task.kinds, task.source.options) == (tuple(Kind), {"relevance": "parallel"})
    data = load(task)
    assert len(data.qrels.query) == 3 * 2 * 2
    beside = find_task(f"ir_datasets:{pattern},{english}", languages=("de", "en"))
    assert beside.source.ids == {"de": f"{stem}/de/train", "en": english}
    assert find_task(f"ir_datasets:{pattern}", languages=("fr",)).kinds == (Kind.MONOLINGUAL,)


def test_a_task_file_says_the_ids_of_all_other_languages_at_once(tmp_path: Any) -> None:
    pattern, english = register_each("de", "fr"), register("en")
    ids = f'"{{language}}" = "{pattern}"'
    text = f"""
        name = "each"
        version = "1"
        title = "Each"
        languages = ["de", "en", "fr"]
        licence = "CC0-1.0"
        citation = "none"
        [source]
        reader = "ir_datasets"
        [source.ids]
        en = "{english}"
        {ids}
    """
    path = tmp_path / "each.toml"
    path.write_text(text)
    own = {code: pattern.replace("{language}", code) for code in ("de", "fr")}
    assert find_task(path).source.ids == {"en": english, **own}
    path.write_text(text.replace(ids, '"{language}" = "x/train"'))
    with pytest.raises(DataError) as caught:
        find_task(path)
    assert [fault.where for fault in caught.value.faults] == [
        f"{path}, field source.ids.{{language}}"
    ]
    assert "'x/train'" in str(caught.value)


def test_languages_that_judge_nothing_alike_are_no_translations() -> None:
    pattern = register_each("de", "en", "fr", unlike="en")
    with pytest.raises(DataError) as caught:
        load(find_task(f"ir_datasets:{pattern}", languages=("de", "en", "fr")))
    (fault,) = caught.value.faults
    assert pattern.replace("{language}", "en") in fault.where
    assert "none of its judgements" in fault.found


@pytest.mark.parametrize(
    ("spec", "languages", "expected"),
    [
        ("test/{language}/a", None, "no languages are given"),
        ("test/{language}/a,test/{language}/b", ("de",), "2 ids with {language}"),
        ("mr-tydi/{language}/trian", ("ar", "bn"), "ir_datasets has no 'mr-tydi/ar/trian'"),
        ("mr-tydi/ar/{language}", ("train",), "mr-tydi/ar/train is in 'ar'"),
    ],
)
def test_a_place_for_the_language_that_makes_no_task(
    spec: str, languages: tuple[str, ...] | None, expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_task(f"ir_datasets:{spec}", languages=languages)
    assert expected in str(caught.value)


def misses(build: Callable[[], str], expected: str) -> Any:
    return pytest.param(build, expected, id=expected)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        misses(lambda: "no/such/set", "ir_datasets has no 'no/such/set'"),
        misses(lambda: register(None), "no known language"),
        misses(lambda: f"{register('de')},{register('de')}", "also in de"),
    ],
)
def test_ids_that_make_no_task(build: Callable[[], str], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_task(f"ir_datasets:{build()}")
    assert expected in str(caught.value)


def test_without_the_package_it_is_told_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['ir_datasets'] = None\n"
        "from mlbench.commands.cli import main\n"
        "sys.exit(main(['tasks', 'show', 'ir_datasets:mr-tydi/ar/test']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "pip install '.[ir-datasets]'" in done.stderr


def test_an_id_must_say_in_which_language_its_queries_are() -> None:
    ids = {"de": "x/de", "fa": "x/fa", "zh": "x/zh/{query-language}"}
    task = make_task(irds.Path("/x"), "ir_datasets", {}, ("de", "en", "fa", "zh"), ids=ids)
    task = replace(task, query_languages=("de", "en"), passage_languages=("de", "fa", "zh"))
    assert [(fault.where, fault.found, fault.expected) for fault in check_source(task)] == [
        (
            "/x/small.toml, field source.ids.fa",
            "'x/fa' does not say in which language its queries are",
            "an id with {query-language}, which stands for each of de, en",
        )
    ]
    assert ids_of(task, "de") == [("x/de", "de")]
    assert ids_of(task, "zh") == [("x/zh/de", "de"), ("x/zh/en", "en")]
    one = replace(task, query_languages=("en",))
    assert ids_of(one, "fa") == [("x/fa", "en")]
    square = replace(task, query_languages=(), passage_languages=(), kinds=(Kind.CROSSLINGUAL,))
    assert [code for _, code in ids_of(square, "zh")] == ["de", "en", "fa"]


def test_queries_of_another_data_set() -> None:
    other = register("de", queries="en")
    options = {"queries": other, "query-field": "ht_title"}
    data = load(task_of(options=options, de=register("de", queries=None)))
    assert data.queries.texts == ("was?",)
    with pytest.raises(UsageError, match=r"field source.options.queries: ir_datasets has no 'x'"):
        load(task_of(options={"queries": "x"}, de=register()))
    with pytest.raises(DataError, match=f"the queries of {other} are in 'en'"):
        load(task_of(options={"queries": other}, de=register()))


def test_ids_belong_to_this_reader_and_to_paths_that_hold_them() -> None:
    files = {"corpus": "c", "queries": "q", "qrels": "r"}
    faults = check_source(make_task(irds.Path("/x"), "beir", files, ids={"de": "x"}))
    found = "reader 'beir' finds its data by files, and no path holds {id}"
    assert [fault.found for fault in faults] == [found]
    faults = check_source(make_task(irds.Path("/x"), "ir_datasets", {}, ids={"de": "x", "e": "y"}))
    assert [(fault.where, fault.found) for fault in faults] == [
        ("/x/small.toml, field source.ids.en", "missing"),
        ("/x/small.toml, field source.ids.e", "not a language of the task"),
    ]
