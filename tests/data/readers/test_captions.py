from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import mlbench
from mlbench.common.errors import DataError, UsageError
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE, reference_of
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.task import Kind, Task
from mlbench.ranking.ranks_file import ranks_to_bytes
from tests.data.test_images import encoded, of_size
from tests.support.image_collections import picture

HEAD = """
name = "pictures"
version = "1"
title = "Pictures"
languages = {languages}
licence = "CC0-1.0"
citation = "nobody"
measures = ["Success@1"]

[source]
reader = "captions"
obtain = "draw them"

[source.files]
{files}

[source.options]
{options}
"""
FILES = 'captions = "{language}.jsonl"'
OPTIONS = 'image-files = "pictures/{image} others/{image}"'


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Task]:
    def task(files: str = FILES, options: str = OPTIONS, languages: str = "de en zxx") -> Task:
        text = HEAD.format(languages=json.dumps(languages.split()), files=files, options=options)
        path = tmp_path / "pictures.toml"
        path.write_text(text, encoding="utf-8")
        return find_task(str(path))

    return task


@pytest.fixture
def read(tmp_path: Path, task: Callable[..., Task]) -> Callable[..., Collection]:
    def read(*of: str, **changes: str) -> Collection:
        found = task(*of, **changes)
        return read_collection(found, Locator(tmp_path).of(found))

    return read


def rows(path: Path, *table: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")


def draw(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(picture(number))


def usual(folder: Path) -> None:
    """Two images with captions in German and English; the second one has two in German."""
    draw(folder / "pictures", "a.png")
    (folder / "others").mkdir()
    (folder / "others/b.png").write_bytes(picture(1))
    rows(
        folder / "de.jsonl",
        {"image": "a.png", "caption": "ein Hund"},
        {"image": "b.png", "caption": ["eine Katze", "ein Kater"]},
    )
    rows(folder / "en.jsonl", {"image": "a.png", "caption": "a dog"})


def judged(collection: Collection) -> list[tuple[str, str, str, str]]:
    queries, passages = collection.queries, collection.passages
    codes = collection.languages
    return [
        (codes[queries.language[q]], queries.ids[q], codes[passages.language[p]], passages.ids[p])
        for q, p in zip(collection.qrels.query, collection.qrels.passage, strict=True)
    ]


EXPECTED = [
    ("de", "a.png", IMAGE, "a.png"),
    ("de", "b.png", IMAGE, "b.png"),
    ("de", "b.png#2", IMAGE, "b.png"),
    ("en", "a.png", IMAGE, "a.png"),
    (IMAGE, "a.png", "de", "a.png"),
    (IMAGE, "a.png", "en", "a.png"),
    (IMAGE, "b.png", "de", "b.png"),
    (IMAGE, "b.png", "de", "b.png#2"),
]


def test_captions_and_images_search_each_other(tmp_path, read):
    usual(tmp_path)
    found = read()
    assert judged(found) == EXPECTED
    images = found.passages.slice(2)
    assert found.passages.texts[images] == tuple(reference_of(picture(n)) for n in (0, 1))
    assert found.images is not None
    assert found.images.read(found.passages.texts[images][1]) == picture(1)
    assert found.passages.texts[found.passages.slice(0)] == ("ein Hund", "eine Katze", "ein Kater")
    assert found.queries.groups[found.queries.slice(0)] == ("a.png", "b.png", "b.png")
    assert {s.query_language for s in found.roles.settings(Kind)} == {"de", "en", IMAGE}


def test_several_rows_of_an_image_are_several_captions(tmp_path, read):
    usual(tmp_path)
    whole = read().digest
    rows(
        tmp_path / "de.jsonl",
        {"image": "a.png", "caption": "ein Hund"},
        {"image": "b.png", "caption": "eine Katze"},
        {"image": "b.png", "caption": "ein Kater"},
    )
    assert read().digest == whole
    (tmp_path / "others/b.png").write_bytes(picture(7))
    assert read().digest != whole


def test_captions_of_two_files_and_images_left_out(tmp_path, read):
    usual(tmp_path)
    whole = judged(read())
    for code in ("de", "en"):
        lines = (tmp_path / f"{code}.jsonl").read_text("utf-8").splitlines(keepends=True)
        (tmp_path / f"{code}.jsonl").write_text("".join(lines[:1]), encoding="utf-8")
        (tmp_path / f"{code}-2.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    files = FILES + '\nmore-captions = "{language}-2.jsonl"'
    assert judged(read(files)) == whole
    assert judged(read()) != whole
    (tmp_path / "others/b.png").unlink()  # what is left out is not looked for
    left = judged(read(files, OPTIONS + '\nleave-out = "c* b.*"'))
    assert left == [each for each in whole if each[1] == each[3] == "a.png"]
    with pytest.raises(DataError, match=r"more-captions: given beside names"):
        read(f'{files}\nnames = "de.jsonl"')


def columns(image: str, de: object, en: object) -> dict[str, object]:
    return {"picture": image, "de": {"said": de}, "en": {"said": en}}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_column_a_language_which_may_be_nested_and_empty(tmp_path, read, form):
    usual(tmp_path)
    table = [
        columns("a.png", ["ein Hund"], ["a dog"]),
        columns("b.png", ["eine Katze", "ein Kater"], []),
    ]
    if form == "jsonl":
        rows(tmp_path / "all.jsonl", *table)
    else:
        parquet.write_table(pa.Table.from_pylist(table), tmp_path / "all.parquet")
    options = f'{OPTIONS}\ncaption = "{{language}}.said"\nimage = "picture"'
    assert judged(read(f'captions = "all.{form}"', options)) == EXPECTED


def test_a_language_in_each_row(tmp_path, read):
    usual(tmp_path)
    (tmp_path / "all.csv").write_text(
        "file,lang,text\na.png,DE,ein Hund\nb.png,de,eine Katze\nb.png,de,ein Kater\n"
        "a.png,en,a dog\na.png,fr,un chien\n"
    )
    options = f'{OPTIONS}\ncaption = "text"\nimage = "file"\ncaption-language = "lang"'
    assert judged(read('captions = "all.csv"', options)) == EXPECTED


def test_lines_and_names(tmp_path, read):
    usual(tmp_path)
    (tmp_path / "names.txt").write_bytes(b"a.png\r\nb.png#367178\r\nb.png#2\r\n")
    (tmp_path / "c.de").write_bytes(b"ein Hund\r\neine Katze\r\nein Kater")
    (tmp_path / "c.en").write_bytes(b"a dog\na cat\nanother cat\n")
    files = 'captions = "c.{language}"\nnames = "names.txt"'
    found = read(files)
    added = [("en", "b.png", IMAGE, "b.png"), ("en", "b.png#2", IMAGE, "b.png")]
    added += [(IMAGE, "b.png", "en", "b.png"), (IMAGE, "b.png", "en", "b.png#2")]
    assert set(judged(found)) == {*EXPECTED, *added}
    (tmp_path / "c.en").write_bytes(b"a dog\na cat\n")
    with pytest.raises(DataError, match=r"c\.en: 2 lines, but 3 in .*names\.txt"):
        read(files)


def write_images(path: Path, *of: tuple[str, bytes], struct: bool = True, **more: object) -> None:
    table: dict[str, object] = {
        "image": [name for name, _ in of],
        "pixels": [{"bytes": raw, "path": "x.png"} if struct else raw for _, raw in of],
    }
    parquet.write_table(pa.table(table | more), path, row_group_size=1)


def test_a_place_without_the_images_name_is_refused(tmp_path, read):
    usual(tmp_path)
    with pytest.raises(DataError, match=r"image-files: no \{image\} in others/\n.*\{image\}"):
        read(options='image-files = "pictures/{image} others/"')


@pytest.mark.parametrize("struct", [True, False])
def test_images_in_a_parquet_file_of_their_own_equal_those_in_files(tmp_path, read, struct):
    usual(tmp_path)
    files = read()
    others = (("a.png", picture(0)), ("nobody's.png", picture(5)), ("b.png", picture(1)))
    write_images(tmp_path / "images.parquet", *others, struct=struct)
    found = read(f'{FILES}\nimages = "images.parquet"', 'image-bytes = "pixels"')
    assert found.digest == files.digest
    assert found.images is not None
    assert len(found.images) == 2
    for text in found.passages.texts[found.passages.slice(2)]:
        assert found.images.read(text) == files.images.read(text)
        assert found.images.size(text) == files.images.size(text)


def test_images_beside_their_captions_equal_those_in_files(tmp_path, read):
    usual(tmp_path)
    whole = read().digest
    both = (("a.png", picture(0)), ("b.png", picture(1)))
    write_images(
        tmp_path / "de.parquet", *both, caption=[["ein Hund"], ["eine Katze", "ein Kater"]]
    )
    write_images(tmp_path / "en.parquet", both[0], caption=["a dog"])
    assert read('captions = "{language}.parquet"', 'image-bytes = "pixels"').digest == whole
    write_images(tmp_path / "en.parquet", ("a.png", picture(2)), caption=["a dog"])
    with pytest.raises(
        DataError, match=r"image 'a\.png' has other bytes than at .*de\.parquet, row 1"
    ):
        read('captions = "{language}.parquet"', 'image-bytes = "pixels"')


OF_ALL = 'caption = "{language}"\nimage-bytes = "pixels"\n[source.shards]\nmul = 2'
APART = 'image-bytes = "pixels"\n[source.shards]\nzxx = 2'
BY_LANGUAGE = 'image-bytes = "pixels"\n[source.shards]\nde = 2\nen = 1'


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ('captions = "data/all-{shard:05}-of-{shards:05}.parquet"', OF_ALL),
        (f'{FILES}\nimages = "data/all-{{shard:05}}-of-{{shards:05}}.parquet"', APART),
        ('captions = "data/{language}-{shard}.parquet"', BY_LANGUAGE),
    ],
)
def test_shards_of_parquet_files_give_the_table_of_files(tmp_path, read, task, files, options):
    usual(tmp_path)
    (tmp_path / "data").mkdir()
    a, b = ("a.png", picture(0)), ("b.png", picture(1))
    dog, cats = ["ein Hund"], ["eine Katze", "ein Kater"]
    place = tmp_path / "data"
    write_images(place / "all-00000-of-00002.parquet", a, de=[dog], en=[["a dog"]])
    write_images(place / "all-00001-of-00002.parquet", b, de=[cats], en=[[]])
    write_images(place / "de-0.parquet", a, caption=[dog])
    write_images(place / "de-1.parquet", b, caption=[cats])
    write_images(place / "en-0.parquet", a, caption=[["a dog"]])
    tables = []
    for given in ((), (files, options)):
        report = mlbench.evaluate("pixels", task(*given), cache=None, progress=False)
        tables.append(ranks_to_bytes(report.table, report.task.key))
        data = read(*given)
        assert data.images is not None
        assert sorted(data.images.places) == sorted(map(reference_of, (a[1], b[1])))
    assert tables[0] == tables[1]


def test_captions_are_not_streamed_and_the_message_says_what_to_do(tmp_path, task):
    usual(tmp_path)
    with pytest.raises(UsageError, match="without --stream: images are forgotten"):
        stream_collection(task(), Locator(tmp_path))


def test_shards_that_are_not_counted_are_refused(tmp_path, read):
    usual(tmp_path)
    for files, options, said in (
        (f'{FILES}\nimages = "{{shard}}.parquet"', 'image-bytes = "pixels"',
         "shards.zxx: missing"),
        ('captions = "{shard}.jsonl"', OPTIONS, "shards.mul: missing"),
        ('captions = "{shard}.jsonl"', OPTIONS + "\n[source.shards]\nmul = 1\nzxx = 1",
         "shards: given for zxx"),
        ('captions = "{language}-{shard}.jsonl"', OPTIONS + "\n[source.shards]\nde = 1",
         "shards.en: missing"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=said):
            read(files, options)
    with pytest.raises(DataError, match=r"de-0\.jsonl"):
        read('captions = "{language}-{shard}.jsonl"', OPTIONS + "\n[source.shards]\nde = 1\nen = 1")


def test_an_image_given_twice_is_refused(tmp_path, read):
    usual(tmp_path)
    twice = (("a.png", picture(0)), ("b.png", picture(1)), ("a.png", picture(0)))
    write_images(tmp_path / "images.parquet", *twice)
    with pytest.raises(DataError, match=r"row 3: image 'a\.png' given again; first at .*row 1"):
        read(f'{FILES}\nimages = "images.parquet"', 'image-bytes = "pixels"')


def test_a_missing_image_is_named_and_where_to_get_it(tmp_path, read):
    usual(tmp_path)
    (tmp_path / "others/b.png").unlink()
    with pytest.raises(DataError) as error:
        read()
    said = str(error.value)
    found = "task 'pictures': 1 image of 2 not found:\n    b.png\n  expected: "
    assert said.startswith(f"{found}pictures/{{image}} or others/{{image}} in ")
    assert str(tmp_path) in said
    assert "draw them; then name the folder" in said
    write_images(tmp_path / "images.parquet", ("a.png", picture(0)))
    with pytest.raises(DataError, match=r"not found:\n    b\.png\n.*a row of images\.parquet"):
        read(f'{FILES}\nimages = "images.parquet"', 'image-bytes = "pixels"')
    with pytest.raises(DataError, match=r"2 images of 2 not found:\n(.*\n)*.*image-bytes names"):
        read(options="")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"<html>404</html>", "is no image: it begins with b'<html>40'"),
        (b"", "is empty"),
        (of_size(20_000, 20_000), "400,000,000 pixels"),
        (of_size(12_000, 12_000), "has 12,000 x 12,000 pixels"),
    ],
)
def test_what_is_no_image_is_named_when_it_is_read(tmp_path, read, raw, found):
    usual(tmp_path)
    (tmp_path / "others/b.png").write_bytes(raw)
    with pytest.raises(DataError) as error:
        read()
    assert str(tmp_path / "others/b.png") in str(error.value)
    assert found in str(error.value)


def test_a_truncated_image_is_named_when_it_is_decoded(tmp_path, read):
    usual(tmp_path)
    (tmp_path / "others/b.png").write_bytes(picture(1, (60, 60))[:120])
    found = read()
    with pytest.raises(DataError, match=r"others/b\.png: is no whole image"):
        found.images.open(found.passages.texts[found.passages.slice(2)][1])


def test_unusual_images_are_images(tmp_path, read):
    usual(tmp_path)
    (tmp_path / "pictures/a.png").write_bytes(encoded(Image.new("L", (1, 1)), "PNG"))
    cmyk = encoded(Image.new("CMYK", (3, 2)), "JPEG")
    (tmp_path / "others/b.png").write_bytes(cmyk)  # the name says nothing of the format
    found = read()
    texts = found.passages.texts[found.passages.slice(2)]
    assert [found.images.open(text).mode for text in texts] == ["L", "CMYK"]


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a\\b.png"])
def test_names_that_leave_their_folder_are_refused(tmp_path, read, name):
    usual(tmp_path)
    (tmp_path / "secret.png").write_bytes(picture(3))
    rows(tmp_path / "en.jsonl", {"image": name, "caption": "a dog"})
    with pytest.raises(DataError, match="a name that leaves its folder"):
        read()


def test_a_star_stands_for_any_ending(tmp_path, read):
    usual(tmp_path)
    for path, name in ((tmp_path / "de.jsonl", "a"), (tmp_path / "en.jsonl", "a")):
        rows(path, {"image": name, "caption": "text"})
    options = 'image-files = "pictures/{image}.*"'
    assert read(options=options).images.where(reference_of(picture(0))).endswith("pictures/a.png")
    (tmp_path / "pictures/a.jpg").write_bytes(picture(0))
    with pytest.raises(DataError, match=r"several files: a\.jpg and a\.png"):
        read(options=options)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"image": "a.png", "caption": " "}, r"the caption of 'a\.png' \(en\) is empty"),
        ({"image": "a.png", "caption": []}, "is empty|a caption is a list"),
        ({"image": "a.png", "caption": ["x", 3]}, "a caption is the number 3"),
        ({"image": "a.png"}, "no 'caption'"),
        ({"image": "", "caption": "x"}, "'image' is empty"),
        ({"image": None, "caption": "x"}, "'image' is null"),
        ({"imag": "a.png", "caption": "x"}, "no 'image'"),
    ],
)
def test_wrong_rows_are_named(tmp_path, read, row, found):
    usual(tmp_path)
    rows(tmp_path / "en.jsonl", {"image": "a.png", "caption": "a dog"}, row)
    with pytest.raises(DataError, match=rf"en\.jsonl:2: .*{found}"):
        read()


def test_empty_captions_may_be_left_out(tmp_path, read):
    usual(tmp_path)
    rows(
        tmp_path / "en.jsonl",
        {"image": "a.png", "caption": "a dog"},
        {"image": "b.png", "caption": "\u00a0"},
    )
    assert judged(read(options=f'{OPTIONS}\nincomplete = "skip"')) == EXPECTED


def test_wrong_columns_of_images_are_named(tmp_path, read):
    usual(tmp_path)
    write_images(tmp_path / "images.parquet", ("a.png", picture(0)), ("b.png", picture(1)))
    files = f'{FILES}\nimages = "images.parquet"'
    with pytest.raises(DataError, match=r"row 1: no 'pixel'\n.*\n.*pixels") as error:
        read(files, 'image-bytes = "pixel"')
    assert len(error.value.faults) == 1
    (tmp_path / "images.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(DataError, match="damaged Parquet file"):
        read(files, 'image-bytes = "pixels"')


def test_without_images_captions_find_each_other(tmp_path, read):
    usual(tmp_path)
    found = read(languages="de en")
    assert found.images is None
    assert ("de", "b.png", "de", "b.png#2") in judged(found)
    assert ("de", "a.png", "en", "a.png") in judged(found)
    assert len(judged(found)) == 4 + 4
    assert not found.roles.between_modalities


def test_one_way_alone(tmp_path, read):
    usual(tmp_path)
    read()
    task = find_task(str(tmp_path / "pictures.toml"))
    one = replace(task, query_languages=("de", "en"), passage_languages=(IMAGE,))
    found = read_collection(one, Locator(tmp_path).of(one))
    assert judged(found) == EXPECTED[:4]
