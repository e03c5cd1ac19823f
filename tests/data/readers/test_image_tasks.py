"""Tasks of images and captions: on their captions where these are at hand, with made pictures, and
else on made files in their layout."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.common.errors import DataError
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Group
from mlbench.evaluation.suites import load_suite
from tests.support.image_collections import picture

TASKS = {
    "xflickr-co": 9,
    "multi30k-2016": 5,
    "multi30k-2017": 4,
    "multi30k-2018": 5,
    "multi30k-coco": 4,
    "xtd10": 12,
    "wit": 12,
    "xm3600": 37,
}


def read(name: str, folder: Path) -> Collection:
    task = find_task(name)
    return read_collection(task, Locator(folder, offline=True).of(task))


@pytest.mark.parametrize("name", TASKS)
def test_what_the_tasks_are(name: str) -> None:
    task = find_task(name)
    assert task.group is Group.IMAGES
    assert len(task.languages) == TASKS[name]
    assert task.languages[-1] == IMAGE
    assert task.measures[0] == ("Success@10" if name == "xtd10" else "Success@1")
    assert {"Success@1", "Success@5", "Success@10"} <= {*task.measures}
    assert task.source.obtain
    captions = TASKS[name] - 1
    assert len(task.settings()) == 2 * captions + 1
    assert {task.roles.direction(setting) for setting in task.settings()} == {
        *("text-to-image", "image-to-text", None)
    }


@pytest.fixture(scope="module")
def xflickrco(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """The captions of xFlickr&CO, and a picture for each image."""
    if not (data_dir / "xflickrco").is_dir():
        pytest.skip(f"no captions of xFlickr&CO in {data_dir}")
    folder = tmp_path_factory.mktemp("xflickrco")
    (folder / "xflickrco").symlink_to(data_dir / "xflickrco")
    for name in ("flickr30k-images", "val2014"):
        (folder / name).mkdir()
    lines = (data_dir / "xflickrco/en/test.jsonl").read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        image = json.loads(line)["img_path"]
        place = "val2014" if image.startswith("COCO") else "flickr30k-images"
        (folder / place / image).write_bytes(picture(number))
    return folder


def test_xflickr_co(xflickrco: Path) -> None:
    data = read("xflickr-co", xflickrco)
    assert data.languages == ("de", "en", "es", "id", "ja", "ru", "tr", "zh", IMAGE)
    counts = [1999, 2000, 2000, 1999, 2000, 2000, 2000, 2000, 2000]
    assert data.queries.counts.tolist() == data.passages.counts.tolist() == counts
    assert len(data.qrels.query) == 2 * (8 * 2000 - 2)
    english = data.passages.texts[data.passages.slice(1)]
    assert english[0] == "The man with pierced ears is wearing glasses and an orange hat."
    assert english[9].startswith("A man wearing a reflective vest sits on the sidewalk")
    assert english[-1] == "Arrows show what to do with the bowls of food."
    japanese = data.passages.texts[data.passages.slice(4)]
    assert japanese[0].startswith("耳ピアスをした1男が、3メガネ")
    images = data.passages.slice(8)
    names = data.passages.ids[images]
    assert (names[0], names[9]) == ("1007129816.jpg", "1071201387.jpg")
    # the image whose German caption is empty comes last, as it is first read of in English
    assert names[-2:] == ("COCO_val2014_000000369771.jpg", "COCO_val2014_000000122239.jpg")
    assert data.images is not None
    assert data.images.read(data.passages.texts[images][9]) == picture(9)


def test_captions_of_xflickr_co_alone(xflickrco: Path) -> None:
    data = read("xflickr-co-captions", xflickrco)
    assert data.images is None
    assert data.queries.counts.sum() == 8 * 2000 - 2
    assert len(data.qrels.query) == 1998 * 64 + 2 * 49
    assert len(find_task("xflickr-co-captions").settings()) == 56 + 8


def test_a_folder_without_images_is_told_where_they_are(xflickrco: Path, tmp_path: Path) -> None:
    (tmp_path / "xflickrco").symlink_to(xflickrco / "xflickrco")
    with pytest.raises(DataError) as error:
        read("xflickr-co", tmp_path)
    said = str(error.value)
    assert "2,000 images of 2,000 not found:\n    1007129816.jpg" in said
    assert "and 1,990 more" in said
    assert "https://cocodataset.org" in said


LINES = 12


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pictures(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        write(folder / name, picture(number))


def make_multi30k(folder: Path, name: str) -> None:
    stem = {"2016": "test_2016_flickr", "2017": "test_2017_flickr", "2018": "test_2018_flickr"}
    own = stem.get(name.removeprefix("multi30k-"), "test_2017_mscoco")
    root = folder / "multi30k/data/task1"
    coco = name.endswith("coco")
    images = [f"COCO_{'train' if i % 2 else 'val'}2014_{i:012}.jpg" if coco else f"{i}.jpg"
              for i in range(LINES)]  # fmt: skip
    names = "".join(
        f"{image}#{7 * i}\n" if coco else f"{image}\n" for i, image in enumerate(images)
    )
    write(root / f"image_splits/{own}.txt", names.encode())
    for code in find_task(name).languages[:-1]:
        lines = "".join(f"{code} caption {i}\n" for i in range(LINES))
        write(root / f"raw/{own}.{code}.gz", gzip.compress(lines.encode()))
    for number, image in enumerate(images):
        place = image[5:].partition("_")[0] if coco else "flickr30k-images"
        write(folder / place / image, picture(number))


def make_xtd10(folder: Path, name: str) -> None:
    root = folder / "Cross-lingual-Test-Dataset-XTD10"
    images = [f"COCO_{'train' if i % 2 else 'val'}2014_{i:012}.jpg" for i in range(LINES)]
    write(root / "XTD10/test_image_names.txt", "\n".join(images).encode())
    for code in find_task(name).languages[:-1]:
        place = {"de": "MIC", "en": "MIC", "fr": "MIC", "ja": "STAIR"}.get(code, "XTD10")
        lines = "\r\n".join(f"{code} caption {i}" for i in range(LINES))
        spelled = "jp" if code == "ja" else code
        write(root / place / f"test_1kcaptions_{spelled}.txt", lines.encode())
    for number, image in enumerate(images):
        write(folder / image[5:].partition("_")[0] / image, picture(number))


def make_wit(folder: Path, name: str) -> None:
    for code in find_task(name).languages[:-1]:
        rows = [
            {"image_idx": i, "caption_reference_description": f"{code} caption {i}",
             "language": code, "wit_ix": f"wit-test_{i}"}
            for i in range(LINES)
        ]  # fmt: skip
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write(folder / f"iglue/datasets/wit/annotations/test_{code}.jsonl", text.encode())
    pictures(folder / "wit/images", [f"{i}.{'jpg' if i % 2 else 'png'}" for i in range(LINES)])


def make_xm3600(folder: Path, name: str) -> None:
    rows = [
        {"image/key": f"{i:016x}", "image/locale": "de"}
        | {
            code: {"caption": [f"{code} caption {i}"], "caption/tokenized": ["x"]}
            for code in find_task(name).languages[:-1]
        }
        for i in range(LINES)
    ]
    write(folder / "xm3600/captions.jsonl", "".join(json.dumps(r) + "\n" for r in rows).encode())
    pictures(folder / "xm3600/images", [f"{i:016x}.jpg" for i in range(LINES)])


MAKERS: dict[str, Callable[[Path, str], None]] = {
    **{name: make_multi30k for name in TASKS if name.startswith("multi30k")},
    "xtd10": make_xtd10,
    "wit": make_wit,
    "xm3600": make_xm3600,
}


@pytest.mark.parametrize("name", MAKERS)
def test_made_files_in_the_layout_of_a_task(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path, name)
    data = read(name, tmp_path)
    assert data.passages.counts.tolist() == [LINES] * TASKS[name]
    assert len(data.qrels.query) == 2 * LINES * (TASKS[name] - 1)
    for number, code in enumerate(data.languages[:-1]):
        own = data.passages.texts[data.passages.slice(number)]
        assert (own[0], own[9], own[-1]) == tuple(f"{code} caption {i}" for i in (0, 9, LINES - 1))
    images = data.passages.texts[data.passages.slice(TASKS[name] - 1)]
    assert data.images is not None
    assert [data.images.read(image) for image in images] == [picture(i) for i in range(LINES)]


def test_a_missing_picture_of_a_task_is_named(tmp_path: Path) -> None:
    make_xtd10(tmp_path, "xtd10")
    shutil.rmtree(tmp_path / "train2014")
    with pytest.raises(DataError, match=r"6 images of 12 not found:\n    COCO_train2014_0+1"):
        read("xtd10", tmp_path)


def test_the_suite() -> None:
    suite = load_suite("image-text")
    assert [each.task.name for each in suite.tasks] == [
        *("emoji-images", "xflickr-co", "multi30k-2016", "xtd10", "xm3600")
    ]
    assert not suite.mean
    assert str(suite.tasks[0].headline) == "text-to-image:Success@1"
