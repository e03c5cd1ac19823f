"""The evaluator that anybody's training can use."""

from __future__ import annotations

import csv
import json

import pytest

import mlbench
from mlbench.data.task import FROM_IMAGE, IMAGE, INTO_IMAGE
from tests.support.image_collections import picture

pytest.importorskip("sentence_transformers")
from mlbench.training.evaluator import RetrievalEvaluator
from tests.training.made_model import save_tiny

TASK = """
name = "made"
version = "1"
title = "Made"
languages = ["de", "en", "zxx"]
settings = ["crosslingual", "multilingual"]
measures = ["AP"]
licence = "CC0-1.0"
citation = "none"

[source]
reader = "captions"

[source.files]
captions = "{language}.jsonl"

[source.options]
image-files = "pictures/{image}"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from sentence_transformers import SentenceTransformer

    folder = save_tiny(tmp_path_factory.mktemp("evaluated") / "model")
    return SentenceTransformer(str(folder), device="cpu")


def test_figures_are_those_of_evaluate_on_the_same_sample(model, tmp_path):
    evaluator = RetrievalEvaluator("sample", questions=4, languages=["de", "en"])
    model.train()
    figures = evaluator(model, str(tmp_path), epoch=1, steps=50)
    assert model.training
    report = mlbench.evaluate(
        model, "sample", sample_questions=4, languages=("de", "en"), progress=False
    )
    assert figures == {
        **{f"sample_{kind}_AP": of["AP"] for kind, of in report.macro.items()},
        "sample_rank_distance": report.scores.bias.rank_distance.value,
        "sample_same_language_outranking": report.scores.bias.same_language,
    }
    assert evaluator.primary_metric == "sample_multilingual_AP"
    assert evaluator.greater_is_better
    assert evaluator.report.macro == report.macro
    evaluator(model, str(tmp_path), epoch=2, steps=100)
    with (tmp_path / "mlbench_sample_results.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["steps"] for row in rows] == ["50", "100"]
    assert float(rows[0]["sample_multilingual_AP"]) == figures["sample_multilingual_AP"]


def test_of_images_and_texts_both_directions_are_told(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        (tmp_path / "pictures" / str(number)).write_bytes(picture(number))
    for code in ("de", "en"):
        rows = [{"image": str(n), "caption": f"{code} {n}"} for n in range(6)]
        text = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / f"{code}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "made.toml").write_text(TASK, encoding="utf-8")
    evaluator = RetrievalEvaluator(tmp_path / "made.toml", questions=None)
    figures = evaluator("pixels")
    scores = {INTO_IMAGE: [], FROM_IMAGE: []}
    for row in evaluator.report.settings:
        if len(row.passage_languages) == 1:
            side = INTO_IMAGE if row.passage_languages == (IMAGE,) else FROM_IMAGE
            scores[side].append(row.measures["AP"])
    assert {len(each) for each in scores.values()} == {2}
    for direction, values in scores.items():
        assert figures[f"made_{direction}_AP"] == pytest.approx(sum(values) / 2)
    assert evaluator.primary_metric == "made_multilingual_AP"


def test_a_trainer_of_sentence_transformers_logs_them(model, tmp_path):
    pytest.importorskip("accelerate")
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    args = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path), max_steps=2, eval_strategy="steps", eval_steps=1,
        report_to="none", per_device_train_batch_size=2, disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict({"a": ["one", "two", "six"], "b": ["1", "2", "6"]}),
        loss=MultipleNegativesRankingLoss(model),
        evaluator=RetrievalEvaluator("sample", questions=2, passages=3),
    )
    trainer.train()
    logged = [each for each in trainer.state.log_history if "eval_sample_multilingual_AP" in each]
    assert [each["step"] for each in logged] == [1, 2]
    assert all(each["eval_sample_rank_distance"] >= 10 for each in logged)
