"""The emoji tasks that come with mlbench, and the script that builds their data from CLDR."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.data.catalog import find_task, tasks_folder
from mlbench.data.collection import Collection
from mlbench.data.images import IMAGE
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Group

SCRIPT = tasks_folder() / "emoji" / "build.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_emoji", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_script()


@pytest.fixture(scope="module")
def sides() -> dict[str, Collection]:
    """Both tasks' collections, read with no data folder at all."""
    found = {}
    for name in ("emoji-names", "emoji-train"):
        task = find_task(name)
        found[name] = read_collection(task, Locator(offline=True).of(task))
    return found


FIRST_TENTH_LAST = {
    "emoji-names": {
        "passages": ("keycap: #", "keycap: 7", "hollow red circle"),
        "queries": (
            "0, keycap, zero",
            "9, keycap, nine",
            "circle, heavy, hollow, large, o, red",
        ),
    },
    "emoji-train": {
        "passages": ("copyright", "NEW button", "Japanese “secret” button"),
        "queries": (
            "dragon, game, mahjong, red",
            "button, NG",
            "button, ideograph, Japanese, secret",
        ),
    },
}


@pytest.mark.parametrize(
    ("name", "passages", "queries"), [("emoji-names", 723, 472), ("emoji-train", 1183, 1142)]
)
def test_counts_and_first_tenth_and_last_record(
    sides: dict[str, Collection], name: str, passages: int, queries: int
) -> None:
    data = sides[name]
    assert data.passages.counts.tolist() == [passages] * 11
    assert data.queries.counts.tolist() == [queries] * 11
    assert len(data.qrels.query) == queries * 11 * 11
    assert set(data.qrels.relevance.tolist()) == {1}
    english = data.languages.index("en")
    for role, expected in FIRST_TENTH_LAST[name].items():
        texts = getattr(data, role).texts[getattr(data, role).slice(english)]
        assert (texts[0], texts[9], texts[-1]) == expected
    chinese = data.queries.texts[data.queries.slice(data.languages.index("zh"))]
    assert chinese[-1].split(", ")[0] == {"emoji-names": "0", "emoji-train": "保密"}[name]


def test_what_the_tasks_are() -> None:
    names, train = find_task("emoji-names"), find_task("emoji-train")
    assert (names.group, train.group) == (Group.QUESTIONS, Group.TRAINING)
    assert names.licence == train.licence == "Unicode-3.0"
    assert len(names.settings()) == 132
    assert "UNICODE LICENSE V3" in (tasks_folder() / "emoji" / "LICENSE").read_text("utf-8")


@pytest.fixture(scope="module")
def pictures() -> dict[str, Collection]:
    """Both tasks of pictures, read with no data folder at all."""
    found = {}
    for name in ("emoji-images", "emoji-images-train"):
        task = find_task(name)
        found[name] = read_collection(task, Locator(offline=True).of(task))
    return found


@pytest.mark.parametrize(
    ("name", "count", "distinct", "texts"),
    [
        ("emoji-images", 723, 719, "emoji-names"),
        ("emoji-images-train", 1183, 1174, "emoji-train"),
    ],
)
def test_pictures_and_their_names(
    pictures: dict[str, Collection],
    sides: dict[str, Collection],
    name: str,
    count: int,
    distinct: int,
    texts: str,
) -> None:
    data = pictures[name]
    assert data.languages == (*sides[texts].languages, IMAGE)
    for entries in (data.queries, data.passages):
        assert entries.counts.tolist() == [count] * 12
        assert entries.ids[entries.slice(11)] == entries.ids[entries.slice(0)]
    assert data.passages.texts[: 11 * count] == sides[texts].passages.texts
    assert len(data.qrels.query) == 2 * 11 * count
    assert data.images is not None
    assert len(data.images) == len(set(data.passages.texts[11 * count :])) == distinct
    assert len(data.roles.settings(find_task(name).kinds)) == 23


FIRST_TENTH_LAST_PICTURE = (
    ("0023-fe0f-20e3", "a2ccbb2b"),
    ("0037-fe0f-20e3", "263be4c6"),
    ("2b55", "87b0e38b"),
)


def test_the_first_tenth_and_last_picture(pictures: dict[str, Collection]) -> None:
    data = pictures["emoji-images"]
    own = data.passages.slice(11)
    assert data.images is not None
    for place, (id_, digest) in zip((0, 9, 722), FIRST_TENTH_LAST_PICTURE, strict=True):
        reference = data.passages.texts[own.start + place]
        image = data.images.open(reference)
        assert data.passages.ids[own.start + place] == id_
        assert reference.startswith(f"sha256:{digest}")
        assert (image.size, image.mode) == ((64, 64), "RGBA")


def test_one_picture_is_on_both_sides(pictures: dict[str, Collection]) -> None:
    found = []
    for data in pictures.values():
        own = data.passages.slice(11)
        found.append(dict(zip(data.passages.ids[own], data.passages.texts[own], strict=True)))
    shared = {*found[0].values()} & {*found[1].values()}
    assert len(shared) == 1
    assert [id_ for id_, text in found[1].items() if text in shared] == ["1f46a"]
    assert not found[0].keys() & found[1].keys()
    assert (tasks_folder() / "emoji" / "images.parquet").stat().st_size < 7_000_000
    assert "Apache" in (tasks_folder() / "emoji" / "NOTICE-noto-emoji").read_text("utf-8")


def test_pictures_equal_their_source(pictures: dict[str, Collection], data_dir: Path) -> None:
    source = data_dir / "emoji" / "images"
    if not source.is_dir():
        pytest.skip(f"no pictures in {source}")
    for data in pictures.values():
        own = data.passages.slice(11)
        for place in (own.start, own.start + 300, own.stop - 1):
            raw = (source / f"{data.passages.ids[place]}.png").read_bytes()
            assert data.images is not None
            assert data.images.read(data.passages.texts[place]) == raw


def test_no_text_is_on_both_sides(sides: dict[str, Collection]) -> None:
    names, train = sides["emoji-names"], sides["emoji-train"]
    assert not {*names.passages.ids} & {*train.passages.ids}
    assert len({*names.passages.ids} | {*train.passages.ids}) == 1906
    for code in names.languages:
        number = names.languages.index(code)
        texts = []
        for data in (names, train):
            own = [e.texts[e.slice(number)] for e in (data.queries, data.passages)]
            texts.append({text for role in own for text in role})
        assert not texts[0] & texts[1], code


def test_every_evaluated_question_is_asked_once(sides: dict[str, Collection]) -> None:
    queries = sides["emoji-names"].queries
    for number in range(11):
        own = queries.texts[queries.slice(number)]
        assert len(set(own)) == len(own)


def emoji(id_: str, name: str, *keywords: str) -> object:
    return build.Emoji(id_, {"en": name}, {"en": ", ".join(keywords)} if keywords else {})


@pytest.mark.parametrize(
    ("id_", "expected"),
    [
        ("1f1e9-1f1ea", "flag"),
        ("0031-fe0f-20e3", "keycap"),
        ("1f468-200d-1f373", "1f373"),
        ("1f9d1-200d-1f373", "1f373"),
        ("1f3c3-200d-2640-fe0f-200d-27a1-fe0f", "1f3c3"),
        ("1f468-200d-1f469-200d-1f467", "people"),
        ("2600-fe0f", "2600"),
    ],
)
def test_variants_are_kin(id_: str, expected: str) -> None:
    assert build.kin(emoji(id_, "x")) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), min_size=1, max_size=12
    )
)
def test_families_are_what_chains_of_equal_texts_link(texts: list[tuple[str, str]]) -> None:
    made = [emoji(f"{0x2600 + i:x}", f"name {n}", k) for i, (n, k) in enumerate(texts)]
    colour = list(range(len(made)))
    for _ in made:
        for i, j in combinations(range(len(made)), 2):
            if texts[i][0] == texts[j][0] or texts[i][1] == texts[j][1]:
                colour[i] = colour[j] = min(colour[i], colour[j])
    expected = {
        frozenset(m.id for m, c in zip(made, colour, strict=True) if c == own) for own in colour
    }
    assert {frozenset(m.id for m in members) for members in build.families(made)} == expected


def write_cldr(folder: Path, name: str, code: str, said: dict[str, tuple[str, list[str]]]) -> None:
    path = folder / name / code / "annotations.json"
    path.parent.mkdir(parents=True)
    rows = {sign: {"default": words, "tts": [tts]} for sign, (tts, words) in said.items()}
    path.write_text(json.dumps({name: {"annotations": rows}}), encoding="utf-8")


def test_the_script_builds_tables_from_the_packages(tmp_path: Path) -> None:
    """A sun with a selector that CLDR leaves out, a cook from the derived package, two flags."""
    sun, cook, flags = "\u2600", "👨\u200d🍳", ("🇩🇪", "🇫🇷")
    words = {
        "de": [("Sonne", ["Sonne", "Strahlen"]), ("Koch", ["Küche"]), "Flagge"],
        "en": [("sun", ["bright", "Sun"]), ("man cook", ["chef", "kitchen"]), "flag"],
    }
    for code, (of_sun, of_cook, flag) in words.items():
        write_cldr(tmp_path, "annotations", code, {sun: of_sun, "{": ("brace", ["curly"])})
        derived = {cook: of_cook} | {sign: (f"{flag} {sign}", [flag]) for sign in flags}
        write_cldr(tmp_path, "annotationsDerived", code, derived)
    listed = ["2600-FE0F", "1F468-200D-1F373", "1F1E9-1F1EA", "1F1EB-1F1F7", "1F3FB"]
    (tmp_path / "emoji.json").write_text(json.dumps([{"unified": each} for each in listed]))
    command = [sys.executable, str(SCRIPT), "--languages", "de,en", "--output", str(tmp_path)]
    for name, path in (("annotations", ""), ("derived", ""), ("emoji", "emoji.json")):
        command += [f"--{name}", str(tmp_path / path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = {}
    for name in ("names", "train"):
        with gzip.open(tmp_path / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            rows[name] = {row.pop("emoji"): row for row in csv.DictReader(file)}
        assert f"{name}.csv.gz: {len(rows[name])} emoji" in done.stdout
    (flag_side,) = (name for name in rows if "1f1e9-1f1ea" in rows[name])
    assert "1f1eb-1f1f7" in rows[flag_side]
    everything = rows["names"] | rows["train"]
    assert everything["2600-fe0f"] == {
        "name_de": "Sonne",
        "name_en": "sun",
        "keywords_de": "Strahlen",
        "keywords_en": "bright",
    }
    assert everything["1f468-200d-1f373"]["keywords_en"] == "chef, kitchen"
    asked = everything["1f1e9-1f1ea"]["keywords_en"]
    assert asked == {"names": "", "train": "flag"}[flag_side]
    assert len(everything) == 4


@pytest.mark.parametrize(
    ("name", "count"), [("emoji-images-all", 1906), ("emoji-images-no-flags", 1636)]
)
def test_all_emoji_are_those_of_both_sides(
    pictures: dict[str, Collection], name: str, count: int
) -> None:
    task = find_task(name)
    data = read_collection(task, Locator(offline=True).of(task))
    assert data.passages.counts.tolist() == [count] * 12
    both: dict[tuple[str, int], str] = {}
    for each in pictures.values():
        own = each.passages
        both |= dict(zip(zip(own.ids, own.language.tolist(), strict=True), own.texts, strict=True))
    if name == "emoji-images-no-flags":
        both = {key: text for key, text in both.items() if not is_flag(key[0])}
    found = zip(data.passages.ids, data.passages.language.tolist(), strict=True)
    assert dict(zip(found, data.passages.texts, strict=True)) == both
    assert any("must not be judged by this task" in note for note in task.notes)


def is_flag(id_: str) -> bool:
    """Whether an emoji is in the group of flags of Unicode's emoji-test.txt."""
    points = [int(point, 16) for point in id_.split("-") if point != "fe0f"]
    regional = all(0x1F1E6 <= point <= 0x1F1FF for point in points)
    return regional or points[0] in {0x1F3C1, 0x1F6A9, 0x1F38C, 0x1F3F4, 0x1F3F3}
