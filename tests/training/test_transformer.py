"""Transformers on the plan's batches: against a loop by hand, interrupted, and by two processes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.evaluation.options import Options
from mlbench.training.base import open_base
from mlbench.training.config import train_config
from mlbench.training.job import Job
from mlbench.training.processes import Processes
from mlbench.training.trainer import Opened, train

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("sentence_transformers")
from tests.training.made_model import save_tiny  # noqa: E402

QUIET = Options(progress=False)
GIVEN = {
    "data": "sample",
    "languages": ["de", "en", "es"],
    "batch_size": 8,
    "steps": 8,
    "learning_rate": 0.003,
    "query_prompt": "q: ",
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")


def config(folder, base, **changes):
    return train_config(None, {**GIVEN, "output": folder, "base": str(base), **changes})


def weights(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def by_hand(chosen, processes):
    """Train in a loop of our own: AdamW, its gradients cut to the norm 1, and the mean of the
    losses of the processes' parts of each batch."""
    opened = Opened.of(chosen, QUIET)
    base = open_base(chosen, opened.data, opened.plan.languages)
    job = Job(chosen, opened.data, opened.plan, base)
    model = base.model.train()
    named = [*model.named_parameters()]
    plain = [p for name, p in named if "bias" in name or "LayerNorm" in name]
    others = [p for name, p in named if not ("bias" in name or "LayerNorm" in name)]
    optimizer = torch.optim.AdamW(
        [
            {"params": others, "weight_decay": chosen.weight_decay},
            {"params": plain, "weight_decay": 0},
        ]
    )
    losses = []
    for step in range(chosen.steps):
        parts = []
        for rank in range(processes):
            queries, passages, _ = job.texts(job.plan[step].part(rank, processes), step)
            vectors = [
                model(model.preprocess(texts))["sentence_embedding"]
                for texts in (queries, passages)
            ]
            one, other = (torch.nn.functional.normalize(each) for each in vectors)
            scores = one @ other.T * chosen.scale
            parts.append(torch.nn.functional.cross_entropy(scores, torch.arange(len(one))))
        loss = torch.stack(parts).mean()
        for group in optimizer.param_groups:
            group["lr"] = job.schedule.rate_at(step, 0.0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    base.save(chosen.output)
    return losses


def assert_alike(one, other, tolerance=2e-5):
    found, wanted = weights(one), weights(other)
    assert found.keys() == wanted.keys()
    for name in found:
        assert np.allclose(found[name], wanted[name], atol=tolerance), name


def test_the_trainer_does_what_a_loop_by_hand_does(tiny, tmp_path):
    record = train(config(tmp_path / "trained", tiny), QUIET)
    losses = by_hand(config(tmp_path / "by-hand", tiny), 1)
    assert [point.loss for point in record.loss] == pytest.approx(losses, abs=2e-3)
    assert_alike(tmp_path / "trained", tmp_path / "by-hand")
    assert not np.allclose(
        weights(tmp_path / "trained")["embeddings.word_embeddings.weight"],
        weights(tiny)["embeddings.word_embeddings.weight"],
        atol=1e-3,
    )
    assert (record.base["kind"], record.steps, record.pairs) == ("a transformer", 8, 64)
    assert sum(record.kinds.values()) == 8
    assert record.base["prompts"] == {"query": "q: ", "passage": ""}
    assert "checkpoints" not in {path.name for path in (tmp_path / "trained").iterdir()}


def test_the_cached_loss_gives_the_same_model(tiny, tmp_path):
    train(config(tmp_path / "plain", tiny), QUIET)
    train(config(tmp_path / "cached", tiny, loss="cached-mnrl", mini_batch=3), QUIET)
    assert_alike(tmp_path / "plain", tmp_path / "cached", 1e-4)


def test_a_training_that_broke_off_goes_on_to_the_same_model(tmp_path, monkeypatch):
    tiny = save_tiny(tmp_path / "tiny", dropout=0.2)
    whole = train(config(tmp_path / "whole", tiny), QUIET)
    true = Job.texts

    def break_off(job, batch, number):
        if number == 5:
            raise KeyboardInterrupt
        return true(job, batch, number)

    monkeypatch.setattr(Job, "texts", break_off)
    with pytest.raises(KeyboardInterrupt):
        train(config(tmp_path / "broken", tiny, checkpoint_seconds=0), QUIET)
    monkeypatch.setattr(Job, "texts", true)
    checkpoints = tmp_path / "broken" / "checkpoints"
    last = max(checkpoints.iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    half = checkpoints / "checkpoint-7"  # one that was being written
    shutil.copytree(last, half)
    (half / "mlbench.json").unlink()
    (half / "optimizer.pt").write_bytes(b"half")
    record = train(config(tmp_path / "broken", tiny), QUIET)
    assert record.resumed_at == (int(last.name.rpartition("-")[2]),)
    assert record.resumed_at[0] in (3, 4)
    assert_alike(tmp_path / "whole", tmp_path / "broken", 1e-7)
    assert record.loss == whole.loss


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_model(tiny, tmp_path, monkeypatch):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    true, calls = MultipleNegativesRankingLoss.forward, []

    def forward(loss, *given):
        calls.append(1)
        return true(loss, *given) * (float("nan") if len(calls) == 3 else 1)

    monkeypatch.setattr(MultipleNegativesRankingLoss, "forward", forward)
    with pytest.raises(ModelError) as error:
        train(config(tmp_path / "model", tiny, steps=4, warmup=1.0), QUIET)
    assert "training, step 3: the loss is nan" in str(error.value)
    kept = weights(tmp_path / "model" / "last-good")
    assert not (tmp_path / "model" / "training.json").exists()
    assert not all(np.array_equal(kept[name], weights(tiny)[name]) for name in kept)
    assert all(np.isfinite(values).all() for values in kept.values())


def test_a_training_can_go_by_time(tiny, tmp_path):
    record = train(config(tmp_path / "model", tiny, steps=None, seconds=0.5), QUIET)
    assert record.steps >= 1
    assert 0.5 <= record.seconds < 120


def test_figures_of_evaluations_are_kept(tiny, tmp_path):
    given = {"evaluate": "sample", "evaluate_every": 4, "evaluate_questions": 3}
    record = train(config(tmp_path / "model", tiny, **given, evaluate_passages=5), QUIET)
    assert [figures["step"] for figures in record.evaluations] == [4, 8]
    assert 0 < record.evaluations[0]["sample_multilingual_AP"] <= 1


def test_a_batch_that_processes_cannot_share_is_refused(tiny, tmp_path, monkeypatch):
    from mlbench.training.transformer import train_transformer

    chosen = config(tmp_path / "model", tiny)
    opened = Opened.of(chosen, QUIET)
    job = Job(chosen, opened.data, opened.plan, open_base(chosen, opened.data, ("de",)))
    with pytest.raises(UsageError, match="8 rows for 3 processes"):
        train_transformer(job, Processes(3, 0))
