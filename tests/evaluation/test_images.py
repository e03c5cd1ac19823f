"""Tasks of images from end to end: equal ranks wherever the images lie and whoever encodes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import mlbench
from mlbench.common.errors import MlbenchError, ModelError
from mlbench.data.images import IMAGE
from mlbench.evaluation.options import Options, Streaming
from mlbench.evaluation.planning import planned_texts
from mlbench.evaluation.tasks import load_task
from mlbench.models.pixels import Pixels
from mlbench.reports.cost import cost_line, cost_of
from tests.support.image_collections import picture

IMAGES = 30
LANGUAGES = ("de", "en")
QUIET = {"progress": False, "cache": None}
TASK = """
name = "pictures"
version = "1"
title = "Pictures"
languages = ["de", "en", "zxx"]
settings = ["crosslingual", "multilingual"]
measures = ["Success@1", "AP"]
licence = "CC0-1.0"
citation = "nobody"

[source]
reader = "captions"
obtain = "draw them"

[source.files]
captions = "captions.{{language}}.jsonl"
{files}

[source.options]
{options}
"""


def caption(code: str, number: int) -> str:
    return f"{code} {'x' * (number % 7 + 1)}{number // 2}"


def task_file(folder: Path, name: str) -> Path:
    """Where the task lies whose images are in "files" or in "parquet": of one name, as a table of
    ranks has it."""
    return folder / name / "pictures.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The same task twice: with its images in files, and in a Parquet file of small row groups."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "pictures").mkdir()
    raw = {f"{number:02}.png": picture(number) for number in range(IMAGES)}
    raw["29.png"] = raw["28.png"]  # two images of equal bytes tie
    for name, content in raw.items():
        (folder / "pictures" / name).write_bytes(content)
    for code in LANGUAGES:
        lines = [
            json.dumps({"image": name, "caption": caption(code, number)})
            for number, name in enumerate(raw)
        ]
        (folder / f"captions.{code}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    table = pa.table({"image": [*raw], "pixels": [*raw.values()]})
    parquet.write_table(table, folder / "images.parquet", row_group_size=4)
    for name, files, options in (
        ("files", "", 'image-files = "pictures/{image}"'),
        ("parquet", 'images = "images.parquet"', 'image-bytes = "pixels"'),
    ):
        text = TASK.format(files=files, options=options)
        task_file(folder, name).parent.mkdir()
        task_file(folder, name).write_text(text, encoding="utf-8")
    return folder


class Telling(Pixels):
    """Texts are near the image of their number, more so in German: ranks that say something."""

    name = "telling"
    cacheable = False

    def encode_passages(self, texts, language):
        numbers = [int(text.lstrip("de nx")) * 2 for text in texts]
        seen = super().encode_images([open_picture(number) for number in numbers])
        skew = np.array([0.4 if text.startswith("en") else 0.05 for text in texts])
        return seen + skew[:, None] * super().encode_passages(texts, language)

    encode_queries = encode_passages


def open_picture(number: int):
    import io

    from PIL import Image

    return Image.open(io.BytesIO(picture(number)))


def evaluated(model, folder: Path, name: str, **options):
    given = QUIET | {"data_dir": folder} | options
    return mlbench.evaluate(model, task_file(folder, name), **given)


@pytest.fixture(scope="module")
def report(folder):
    return evaluated(Telling(), folder, "files")


def test_images_in_parquet_give_the_ranks_of_files_byte_for_byte(folder, report, tmp_path):
    other = evaluated(Telling(), folder, "parquet")
    saved = [each.save(tmp_path / name) for name, each in (("one", report), ("other", other))]
    first, second = ((path / "ranks.parquet").read_bytes() for path in saved)
    assert first == second
    assert other.scores.macro == report.scores.macro
    assert other.task.digest == report.task.digest


def test_the_scores_are_those_of_all_products(folder, report):
    """Success@1 by sorting every score, ties against the model."""
    data = mlbench.load_collection(task_file(folder, "files"), data_dir=folder, progress=False)
    model = Telling()

    def vectors(entries):
        parts = []
        for number, code in enumerate(data.languages):
            texts = [*entries.texts[entries.slice(number)]]
            opened = [data.images.open(text) for text in texts] if code == IMAGE else []
            parts.append(
                model.encode_images(opened) if code == IMAGE else model.encode_queries(texts, code)
            )
        found = np.concatenate(parts).astype(np.float64)
        return found / np.linalg.norm(found, axis=1)[:, None]

    scores = np.round(vectors(data.queries) @ vectors(data.passages).T, 6)
    relevant = np.zeros(scores.shape, bool)
    relevant[data.qrels.query, data.qrels.passage] = True
    for setting in report.scores.settings:
        asked = data.queries.slice(data.languages.index(setting.query_language))
        pool = np.concatenate(
            [
                np.arange(len(data.passages))[data.passages.slice(data.languages.index(code))]
                for code in setting.passage_languages
            ]
        )
        found = [
            scores[query, pool][relevant[query, pool]].max()
            > scores[query, pool][~relevant[query, pool]].max()
            for query in range(asked.start, asked.stop)
        ]
        assert setting.measures["Success@1"] == pytest.approx(np.mean(found))


def test_the_report_tells_images_from_texts(report):
    encoded = report.run.encoded
    assert (encoded["image"].texts, encoded["image"].distinct) == (2 * IMAGES, IMAGES - 1)
    assert encoded["query"].texts == encoded["passage"].texts == 2 * IMAGES
    assert encoded["image"].seconds > 0
    speeds = cost_of(report.model, report.run).speeds
    assert set(speeds) == {"query", "passage", "image"}
    assert "images encoded a second" in cost_line(report)


def test_a_model_of_texts_is_refused(folder):
    with pytest.raises(ModelError, match="encodes texts only, and the task has images"):
        evaluated("char-ngram", folder, "files")


def test_images_are_not_streamed(folder):
    with pytest.raises(MlbenchError) as error:
        evaluated("pixels", folder, "files", streaming=Streaming(always=True))
    assert "cannot be streamed" in str(error.value)


def test_vectors_by_ids_hold_those_of_images(folder, tmp_path):
    """The language of images is one like any other to a model that looks its vectors up."""
    data = mlbench.load_collection(task_file(folder, "files"), data_dir=folder, progress=False)
    whole = evaluated("pixels", folder, "files")
    model, sides = Pixels(), {}
    for role, entries in (("queries", data.queries), ("passages", data.passages)):
        of_language = {}
        for number, code in enumerate(data.languages):
            texts = [*entries.texts[entries.slice(number)]]
            if code == IMAGE:
                of_language[code] = model.encode_images([data.images.open(text) for text in texts])
            else:
                of_language[code] = model.encode_queries(texts, code)
            np.save(tmp_path / f"{role}.{code}.npy", of_language[code])
            ids = "\n".join(entries.ids[entries.slice(number)]) + "\n"
            (tmp_path / f"{role}.{code}.ids.txt").write_text(ids, encoding="utf-8")
        sides[role] = of_language
    looked_up = evaluated(f"precomputed:{tmp_path}", folder, "files")
    given = mlbench.evaluate_vectors(
        *sides.values(), task_file(folder, "files"), data_dir=folder, progress=False
    )
    for each in (looked_up, given):
        assert np.array_equal(each.ranks.above, whole.ranks.above)
        assert np.array_equal(each.ranks.tied, whole.ranks.tied)


def test_a_part_within_some_seconds(folder):
    found = evaluated("pixels", folder, "files", max_seconds=600)
    assert found.task.sample is None
    part = evaluated("pixels", folder, "files", sample_questions=8, sample_passages=2)
    assert part.run.encoded["image"].distinct < IMAGES


def test_a_plan_counts_images_beside_texts(folder):
    task = load_task(task_file(folder, "files"))
    rows = planned_texts(task, Options(data_dir=folder, progress=False))
    assert {row["role"] for row in rows} == {"query", "passage", "image"}
    assert rows[-1] == {
        "task": "pictures", "role": "image", "language": IMAGE, "texts": 2 * IMAGES,
        "distinct": IMAGES - 1, "characters": None,
    }  # fmt: skip


def test_smaller_vectors_have_a_clip_score_of_their_own(folder, report):
    found = evaluated(Telling(), folder, "files", quantize=("int8", "binary"))
    assert found.clip_score == report.clip_score
    assert found.examples == report.examples
    scores = [each.clip_score for each in found.variant_reports]
    assert all(score is not None and score != report.clip_score for score in scores)
    assert [each.examples for each in found.variant_reports] == [(), ()]
