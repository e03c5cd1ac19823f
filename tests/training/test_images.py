"""Towers trained on captions and images: against a loop by hand; no text is taken for a path."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mlbench.commands.cli import main
from mlbench.common.errors import DataError, UsageError
from mlbench.data.building import build_collection
from mlbench.data.images import IMAGE
from mlbench.evaluation.options import Options
from mlbench.training.batches import HybridBatches, Proportions
from mlbench.training.config import train_config
from mlbench.training.job import Job
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.processes import Processes
from tests.support.image_collections import image_records

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("sentence_transformers")
from mlbench.models.images import as_rgb  # noqa: E402
from mlbench.training.base import open_base  # noqa: E402
from mlbench.training.trainer import Opened, train  # noqa: E402
from mlbench.training.transformer import train_transformer  # noqa: E402

LANGUAGES = ("de", "en", IMAGE)
GIVEN = {
    "data": "made", "base": "clip", "loss": "symmetric", "dimension": 32, "vocabulary": 200,
    "batch_size": 6, "steps": 5, "learning_rate": 0.003, "seed": 4,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, tmp_path):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path):
    """Images with a caption in each language; one caption is the path of a file that is none."""
    (tmp_path / "images").mkdir()
    trap = tmp_path / "trap.png"
    trap.write_bytes(b"no image")
    records = image_records({code: [*range(8)] for code in LANGUAGES[:2]}, 8, tmp_path / "images")
    for of in (records.queries, records.passages):
        place = next(i for i, each in enumerate(of) if (each.id, each.language) == ("i0", "de"))
        of[place] = replace(of[place], text=str(trap))
    collection = build_collection(LANGUAGES, records)
    return TrainingSet("made", LANGUAGES, collection.digest, collection)


def job(data, folder):
    config = train_config(None, {**GIVEN, "output": folder})
    plan = HybridBatches(data.rows, LANGUAGES, config.batch_size, config.mixing, config.seed)
    return Job(config, data, plan, open_base(config, data, LANGUAGES), progress=False)


def by_hand(job):
    """Train in a loop of our own: CLIP's loss, AdamW, gradients cut to the norm 1."""
    model = job.base.model.train()
    images = job.data.collection.images
    named = [*model.named_parameters()]
    plain = {n for n, _ in named if "bias" in n or "norm" in n.lower() or "layrnorm" in n.lower()}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for n, p in named if n not in plain], "weight_decay": 0.01},
            {"params": [p for n, p in named if n in plain], "weight_decay": 0},
        ]
    )
    losses = []
    for step in range(job.config.steps):
        queries, passages, _ = job.texts(job.plan[step], step)
        given = (
            [{"text": text} for text in queries],
            [{"image": as_rgb(images.open(reference))} for reference in passages],
        )
        vectors = [model(model.preprocess(each))["sentence_embedding"] for each in given]
        one, other = (torch.nn.functional.normalize(each) for each in vectors)
        scores, own = one @ other.T * job.config.scale, torch.arange(len(one))
        loss = sum(torch.nn.functional.cross_entropy(each, own) for each in (scores, scores.T)) / 2
        for group in optimizer.param_groups:
            group["lr"] = job.schedule.rate_at(step, 0.0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_the_trainer_does_what_a_loop_by_hand_does(data, tmp_path):
    trained, hand = job(data, tmp_path / "trained"), job(data, tmp_path / "hand")
    before = {name: w.clone() for name, w in hand.base.model.state_dict().items()}
    course = train_transformer(trained, Processes.here())
    assert course.losses == pytest.approx(by_hand(hand), abs=2e-3)
    found, wanted = (each.base.model.state_dict() for each in (trained, hand))
    assert found.keys() == wanted.keys()
    for name in found.keys() - {n for n in found if n.endswith("k_proj.bias")}:
        # a softmax does not depend on the bias of its keys, so their gradients are rounding alone
        torch.testing.assert_close(found[name], wanted[name], atol=3e-4, rtol=0)
    moved = [n for n in wanted if not torch.allclose(wanted[n], before[n], atol=1e-4)]
    assert {name.split(".")[2] for name in moved} >= {"text_model", "vision_model"}


def test_pairs_are_counted_from_captions_to_images(data):
    assert data.counts(LANGUAGES) == {f"de-{IMAGE}": 8, f"en-{IMAGE}": 8}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"base": "static"}, "base static: reads no images, and emoji-images-train has them"),
        ({"text_data": "emoji-images-train"}, "text_data: emoji-images-train has images"),
    ],
)
def test_images_where_none_can_be_are_refused_in_a_dry_run(given, told, tmp_path):
    given = {"data": "emoji-images-train", "base": "clip", "output": tmp_path, "steps": 1, **given}
    with pytest.raises(UsageError, match=told):
        Opened.of(train_config(None, given), Options(progress=False))


def test_a_dry_run_counts_captions_with_images(tmp_path, capsys):
    asked = ["train", "--data", "emoji-images-train", "--languages", "de,en", "--base", "clip"]
    more = ["--text-data", "emoji-train", "--steps", "3", "--output", str(tmp_path), "--quiet"]
    assert main([*asked, *more, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "50% of the batches are of emoji-train" in said
    assert "2,366 pairs in 2 languages and images: 1,183 in each pair of languages." in said
    assert main([*asked, *more, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == {"de-zxx": 1183, "en-zxx": 1183}
    assert (told["text_data"], told["text_share"]) == ("emoji-train", 0.5)


def test_batches_of_pairs_have_no_images(data):
    with pytest.raises(DataError) as error:
        HybridBatches(data.rows, LANGUAGES, 4, Proportions(pair=0.5, mixed=0.5), seed=0)
    (fault,) = error.value.faults
    assert (fault.where, fault.found) == ("pair batches", "all passages are images")


def test_towers_trained_on_texts_alone_say_so(tmp_path):
    given = {"data": "sample", "base": "clip", "dimension": 32, "vocabulary": 400, "steps": 1}
    config = train_config(None, {**given, "batch_size": 4, "output": tmp_path / "model"})
    assert any("has no images" in note for note in train(config, Options(progress=False)).notes)


def test_captions_are_questions_and_images_are_passages(data, tmp_path):
    made = job(data, tmp_path / "out")
    for number in range(6):
        queries, passages, _ = made.texts(made.plan[number], number)
        assert all(reference in data.collection.images for reference in passages)
        assert not any(text in data.collection.images for text in queries)
