"""The two towers made anew: the same each time, and read again as they were."""

from __future__ import annotations

import numpy as np
import pytest

from mlbench.training.config import train_config
from mlbench.training.tokenizer import make_tokenizer
from mlbench.training.training_set import training_set

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")
from mlbench.training.towers import new_towers  # noqa: E402


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("MLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    data = training_set("sample", languages=("de", "en"), progress=False)
    yield make_tokenizer(data, data.languages, 300)
    patch.undo()


def config(**changes):
    given = {"data": "sample", "output": "out", "steps": 1, "base": "clip", "dimension": 32}
    return train_config(None, {**given, **changes})


def test_the_same_configuration_gives_the_same_towers(words):
    (one, first), (same, again), (other, another) = (
        new_towers(config(seed=seed), words) for seed in (1, 1, 2)
    )
    assert first == again != another
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, same.state_dict()[name])
    assert any(not torch.equal(w, other.state_dict()[n]) for n, w in one.state_dict().items())


@pytest.mark.parametrize(("width", "heads"), [(1, 1), (33, 1), (64, 2), (65, 1), (96, 3), (100, 2)])
def test_any_dimension_is_shared_by_heads_evenly(words, width, heads):
    model, _ = new_towers(config(dimension=width), words)
    assert model.encode([{"text": "ein Haus"}]).shape == (1, width)
    form = model[0].auto_model.config
    assert {form.text_config.num_attention_heads, form.vision_config.num_attention_heads} == {heads}


def test_a_long_text_is_cut_and_still_ends(words):
    model, _ = new_towers(config(), words)
    tokenizer = model[0].tokenizer
    ids = tokenizer("wort " * 200, truncation=True)["input_ids"]
    assert len(ids) == 48
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.eos_token_id == len(tokenizer) - 1


def test_towers_are_read_again_as_they_were_written(words, tmp_path):
    from PIL import Image
    from sentence_transformers import SentenceTransformer

    model, _ = new_towers(config(), words)
    model.save(str(tmp_path / "model"), create_model_card=False)
    read = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    given = [{"text": "ein Haus"}, *({"image": Image.fromarray(each)} for each in noise)]
    for each in given:
        np.testing.assert_array_equal(model.encode([each]), read.encode([each]))
