"""The tasks that come with mlbench, the template, and the examples of tasks/README.md."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.common.errors import DataError, EnvironmentFault, UsageError
from mlbench.data.catalog import DEFAULT_TASKS, find_task, list_tasks, tasks_folder
from mlbench.data.collection import Collection
from mlbench.data.locations import wanted_files
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.sources import READERS, text_choice
from mlbench.data.task_file import parse_task
from mlbench.evaluation.tasks import load_task
from tests.conftest import REPOSITORY

from .readers.building import json_lines, qrels_set, write

LATIN = ("en", "fr")
XQUAD = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MLQA = ("ar", "de", "en", "es", "hi", "vi", "zh")


def load(path: Path) -> Collection:
    task = find_task(path)
    return read_collection(task, Locator(offline=True).of(task))


def test_names() -> None:
    lareqa = ["mlqa-r", "mlqa-r-context", "sample", "xquad-paragraph", "xquad-r", "xquad-r-context"]
    miracl = ["miracl", "miracl-hard-negatives"]
    large = [*miracl, "clirmatrix-en-sw", "clirmatrix-multi8", "mmarco", "mr-tydi"]
    large += ["neuclir-2022", "neuclir-2023"]
    large += ["xtreme-r-mewsli-x", "xtreme-r-mewsli-x-dev"]
    belebele = ["belebele", "belebele-from-english", "belebele-to-english"]
    large += [*belebele, "multi-eup", "mkqa", "africlirmatrix"]
    xtreme = ["xtreme-r-lareqa", "xtreme-r-tatoeba", "ntrex", "flores", "bucc"]
    emoji = ["emoji-names", "emoji-train", "emoji-images", "emoji-images-train"]
    emoji += ["emoji-images-all", "emoji-images-no-flags"]
    large += ["xflickr-co", "xflickr-co-captions", "xtd10", "wit", "xm3600"]
    large += [f"multi30k-{name}" for name in ("2016", "2017", "2018", "coco")]
    assert list_tasks() == sorted([*large, "mlqa-paragraph", *lareqa, *xtreme, *emoji])
    assert set(DEFAULT_TASKS) <= set(list_tasks())


@pytest.mark.parametrize("name", ["mlqa-r", "mlqa-r-context", "sample", "xquad-r-context"])
def test_every_built_in_task_is_sound(name: str) -> None:
    task = find_task(name)
    assert task.name == name
    assert task.languages == (MLQA if name.startswith("mlqa") else XQUAD)
    languages = len(task.languages)
    assert len(task.settings()) == languages * (languages + 1)
    assert task.measures == ("AP", "RR", "nDCG@10", "R@1", "R@10", "R@100", "Success@1")
    assert task.path == tasks_folder() / f"{name}.toml"


@pytest.mark.parametrize("name", ["miracl", "miracl-hard-negatives"])
def test_miracl(name: str) -> None:
    task = find_task(name)
    assert task.measures[:2] == ("nDCG@10", "R@100")
    assert text_choice(task) == "title-text"
    assert [kind.value for kind in task.kinds] == ["monolingual", "multilingual"]
    assert task.language_sets["miracl-18"] == task.languages
    assert "judged in the query's language only" in task.notes[0]
    files = list(wanted_files(task))
    urls = [file.url for file in files]
    assert len(files) == len(set(urls)) == (258 if name == "miracl" else 54)
    assert all(str(url).startswith("hf://datasets/") for url in urls)
    pinned = {file.role for file in files if file.sha256}
    assert pinned == ({"topics", "qrels"} if name == "miracl" else set())


def test_context_tasks_differ_in_text_alone() -> None:
    for name in DEFAULT_TASKS:
        plain, context = find_task(name), find_task(f"{name}-context")
        assert (text_choice(plain), text_choice(context)) == ("sentence", "sentence-context")
        assert plain.source == context.source
        assert plain.languages == context.languages


@pytest.mark.parametrize(
    ("name", "like", "text", "first", "options"),
    [
        ("xtreme-r-lareqa", "xquad-r", "sentence-context-joined", "AP@20", {}),
        ("xquad-paragraph", "xquad-r", "paragraph", "nDCG@10", {"records": "distinct"}),
        ("mlqa-paragraph", "mlqa-r", "paragraph", "nDCG@10", {}),
    ],
)
def test_published_protocols_on_the_files_of_lareqa(
    name: str, like: str, text: str, first: str, options: dict[str, str]
) -> None:
    task, plain = find_task(name), find_task(like)
    assert (text_choice(task), task.measures[0], task.source.options) == (text, first, options)
    assert replace(task.source, options={}) == plain.source
    assert (task.languages, task.settings()) == (plain.languages, plain.settings())
    assert task.licence == plain.licence
    assert plain.citation in task.citation
    assert task.notes


def test_licences_and_citations() -> None:
    assert find_task("xquad-r").licence == "CC-BY-SA-4.0"
    assert "non-commercial" in find_task("mlqa-r").licence
    for name, papers in (
        ("xquad-r", ("2004.05484", "1910.11856")),
        ("mlqa-r", ("2004.05484", "1910.07475")),
    ):
        for paper in papers:
            assert f"https://arxiv.org/abs/{paper}" in find_task(name).citation
            assert find_task(name).citation == find_task(f"{name}-context").citation


def test_sample_comes_with_its_data() -> None:
    data = load(tasks_folder() / "sample.toml")
    english = tasks_folder() / "sample" / "en"
    for role, entries in (("corpus", data.passages), ("queries", data.queries)):
        lines = (english / f"{role}.jsonl").read_text(encoding="utf-8").count("\n")
        assert entries.counts.tolist() == [lines] * 11
        assert len(set(entries.ids)) == lines
    for setting in find_task("sample").settings():
        assert data.query_counts(setting) == (data.queries.counts[0], 0)


def test_a_miss_names_what_is_near() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*'xquad-r'"):
        find_task("xqad-r")
    with pytest.raises(UsageError, match=r"known: .*miracl, miracl-hard-negatives, mkqa, mlqa-"):
        find_task("zzzzzzz")


def test_a_path_that_misses_names_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "hotels.toml").touch()
    with pytest.raises(UsageError, match=r"did you mean 'hotels\.toml'"):
        find_task(tmp_path / "hotel.toml")
    with pytest.raises(UsageError, match="for the built-in task write 'xquad-r'"):
        find_task("xquad-r.toml")
    with pytest.raises(UsageError, match="no such file"):
        find_task(f"{tmp_path}/")


def test_a_folder_of_a_tasks_name_does_not_hide_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sample").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_task("sample").path == tasks_folder() / "sample.toml"


def test_the_file_is_called_as_the_task(tmp_path: Path) -> None:
    text = (tasks_folder() / "sample.toml").read_text(encoding="utf-8")
    write(tmp_path, {"other.toml": text.replace('"beir"', '"bier"')})
    with pytest.raises(DataError) as caught:
        find_task(tmp_path / "other.toml")
    message = str(caught.value)
    assert "field name: 'sample'" in message
    assert "call the file sample.toml" in message
    assert "unknown reader 'bier'" in message


BROKEN = """
name = "other"
titel = "misspelled"
version = 1
languages = ["de", "en", "x y"]
measures = ["AP", "nDCG@ten"]
licence = "CC0-1.0"
citation = "nobody"
text = "title"

[source]
reader = "beir"
url = "https://example.org/{path}"

[source.files]
corpus = "{lang}/corpus.jsonl"
queries = ["q", 1]
qrel = "qrels.tsv"

[source.options]
relevance = "paralel"

[source.shards]
de = 0
"""


def fields_at_fault(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load_task(path)
    return [fault.where.removeprefix(f"{path}, field ") for fault in caught.value.faults]


def test_all_faults_of_a_task_file_are_told_at_once(tmp_path: Path) -> None:
    found = fields_at_fault(tmp_path / "small.toml", BROKEN)
    assert found[:6] == [
        "titel", "title", "version", "languages", "source.files.queries", "source.shards.de"
    ]  # fmt: skip
    assert set(found[6:]) == {
        "name", "text", "measures", "source.files.qrel", "source.files.qrels",
        "source.files.corpus", "source.options.relevance",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ('licence = "CC0-1.0"\n', "", {"licence"}),
        ('languages = ["de", "en"]\n', "", {"languages"}),
        ('languages = ["de", "en"]', 'languages = ["de", 1]', {"languages"}),
        ('reader = "lines"', "reader = 1", {"source.reader"}),
        ('reader = "lines"', 'reader = "line"', {"source.reader"}),
        ('text = "{language}.txt"', "text = 1", {"source.files.text"}),
        ("[source]", "[sauce]", {"sauce", "source.reader"}),
        ('name = "small"', "name = 1", {"name"}),
        ('licence = "CC0-1.0"', 'licence = 1\nmeasures = ["x"]', {"licence", "measures"}),
        ('licence = "CC0-1.0"', 'licence = 1\ntext = "x"', {"licence", "text"}),
    ],
)
def test_what_follows_from_a_fault_is_not_told(
    tmp_path: Path, old: str, new: str, fields: set[str]
) -> None:
    sound = (
        'name = "small"\nversion = "1"\ntitle = "t"\nlanguages = ["de", "en"]\n'
        'licence = "CC0-1.0"\ncitation = "nobody"\n[source]\nreader = "lines"\n'
        '[source.files]\ntext = "{language}.txt"\n[source.sha256]\n"en.txt" = "' + "0" * 64 + '"\n'
    )
    assert old in sound
    assert set(fields_at_fault(tmp_path / "small.toml", sound.replace(old, new))) == fields


def test_tasks_are_found_in_the_repository_and_in_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tasks_folder() == REPOSITORY / "tasks"
    package = tmp_path / "site-packages" / "mlbench"
    package.mkdir(parents=True)
    monkeypatch.setattr("mlbench.common.files.__file__", str(package / "common" / "files.py"))
    with pytest.raises(EnvironmentFault, match="install mlbench again"):
        tasks_folder()
    (package / "_tasks").mkdir()
    assert tasks_folder() == package / "_tasks"


def test_the_template_is_a_sound_task(tmp_path: Path) -> None:
    template = parse_task(tasks_folder() / "TEMPLATE.toml")
    write(tmp_path, {f"{template.name}.toml": (tasks_folder() / "TEMPLATE.toml").read_bytes()})
    for language in template.languages:
        folder = f"my-task/{language}"
        write(
            tmp_path,
            {
                f"{folder}/corpus.jsonl": json_lines({"_id": "p", "title": "T", "text": "x"}),
                f"{folder}/queries.jsonl": json_lines({"_id": "q", "text": "y"}),
                f"{folder}/qrels.tsv": "query-id\tcorpus-id\tscore\nq\tp\t1\n",
            },
        )
    data = load(tmp_path / f"{template.name}.toml")
    assert set(data.passages.texts) == {"T\nx"}


@pytest.mark.parametrize("reader", READERS.values(), ids=lambda reader: reader.name)
def test_the_template_tells_of_everything_a_reader_knows(reader: object) -> None:
    row = READERS[reader.name]  # type: ignore[attr-defined]
    template = (tasks_folder() / "TEMPLATE.toml").read_text(encoding="utf-8")
    allowed = [value for values in row.options.values() for value in values]
    for word in (row.name, *row.roles, *row.optional, *row.texts, *row.options, *allowed):
        assert word in template


README_FILE = re.compile(r"^`([^`]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    readme = (tasks_folder() / "README.md").read_text(encoding="utf-8")
    write(tmp_path, dict(README_FILE.findall(readme)))
    return tmp_path


def test_the_readme_has_an_example_of_each_reader(examples: Path) -> None:
    readers = {find_task(path).source.reader for path in examples.glob("*.toml")}
    assert readers == set(READERS)


def test_the_readmes_beir_example(examples: Path) -> None:
    data = load(examples / "hotels.toml")
    assert data.passages.texts[0] == "Haus am See\nHunde sind willkommen."
    languages = ("de", "en")
    assert qrels_set(data) == {(q, "q1", p, "h1", 1) for q in languages for p in languages}


def test_the_readmes_rows_example(examples: Path) -> None:
    data = load(examples / "helpdesk.toml")
    assert data.passages.counts.tolist() == [2, 2]
    assert data.passages.texts[1] == "Clean the fan,\nwith a soft brush."
    assert qrels_set(data) == {
        *((q, n, p, i, 1) for n, i in (("1", "power"), ("3", "fan")) for q in LATIN for p in LATIN),
        *(("en", "2", p, "power", 1) for p in LATIN),
    }


def test_the_readmes_lines_example(examples: Path) -> None:
    data = load(examples / "proverbs.toml")
    assert data.passages.counts.tolist() == [2, 2, 2]
    assert (data.relevant_by_language == 1).all()


def test_the_readmes_captions_example(examples: Path) -> None:
    data = load(examples / "animals.toml")
    assert data.passages.counts.tolist() == [3, 2, 2]
    images = data.passages.texts[data.passages.slice(2)]
    assert data.images is not None
    assert [data.images.open(image).size for image in images] == [(1, 1), (2, 1)]
    assert ("zxx", "dog.ppm", "de", "dog.ppm#2", 1) in qrels_set(data)
    assert len(qrels_set(data)) == 10


def test_the_readmes_lareqa_example(examples: Path) -> None:
    data = load(examples / "rivers.toml")
    languages = ("en", "fr")
    assert qrels_set(data) == {(q, "r1", p, "0.0.1", 1) for q in languages for p in languages}


def test_the_readmes_mewsli_x_example(examples: Path) -> None:
    data = load(examples / "news.toml")
    assert data.queries.texts == ("Rufiji: The { Rufiji } is rising.", "Rhin: Le { Rhin } monte.")
    assert data.passages.texts[0] == "The Rhine rises in the Alps. It is long."
    assert qrels_set(data) == {("en", "m1", "sw", "Q3542", 1), ("fr", "m2", "en", "Q584", 1)}


def test_the_readme_lists_every_task() -> None:
    readme = (tasks_folder() / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [
        *dict.fromkeys(row.split("`")[1] for row in rows)
    ]
    for name in list_tasks():
        row = next(row for row in rows if row.startswith(f"| `{name}` |"))
        said = row.rstrip("| ").split(" | ")[-1]
        assert said in ("yes", "not yet", "questions and judgements", "captions"), row
