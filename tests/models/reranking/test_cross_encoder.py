from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError
from mlbench.models.reranking.registry import load_reranker

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
library = pytest.importorskip("sentence_transformers")
PAIRS = [("red sky", "the sky is red"), ("red sky", "a fish"), ("a fish", "the sky is red a fish")]


def write_cross_encoder(folder: Path, labels: int = 1, seed: int = 0) -> Path:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "sky", "is", "red", "fish"]
    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(words) + "\n")
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, num_labels=labels,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.BertTokenizer(str(vocabulary)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cross_encoder(tmp_path_factory.mktemp("models") / "tiny-reranker")


def test_the_scores_are_those_of_the_library(folder: Path) -> None:
    found = load_reranker(folder)
    queries, passages = map(list, zip(*PAIRS, strict=True))
    scores = found.adapter.score_pairs(queries, passages)
    alone = library.CrossEncoder(str(folder))
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx(alone.predict(PAIRS).tolist(), abs=1e-6)
    assert len(set(scores.tolist())) == len(PAIRS)
    with torch.no_grad():
        encoded = alone.tokenizer([PAIRS[0][0]], [PAIRS[0][1]], return_tensors="pt")
        logit = transformers.BertForSequenceClassification.from_pretrained(folder)(**encoded)
    assert scores[0] == pytest.approx(float(torch.sigmoid(logit.logits[0, 0])), abs=1e-5)


def test_it_is_named_after_its_folder_and_known_by_its_files(folder: Path, tmp_path: Path) -> None:
    found = load_reranker(folder)
    assert (found.name, found.kind, found.cacheable) == ("tiny-reranker", "cross-encoder", True)
    other = load_reranker(write_cross_encoder(tmp_path / "tiny-reranker", seed=1))
    assert found.identity.startswith("declared: cross-encoder/1, sha256 ")
    assert other.identity != found.identity
    facts = found.adapter.describe()
    assert facts["parameters"] > 1000
    assert facts["device"] == "cpu"


def test_an_object_of_the_library_is_taken(folder: Path) -> None:
    found = load_reranker(library.CrossEncoder(str(folder)))
    assert (found.kind, found.cacheable) == ("object", False)
    assert found.adapter.score_pairs(["red sky"], ["a fish"]).shape == (1,)


def test_several_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 3 labels"):
        load_reranker(write_cross_encoder(tmp_path / "three", labels=3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["BertModel"]}, "is a BertModel, which gives no score to a pair"),
        ({"auto_map": {"AutoModel": "own.Model"}}, "Python code of its own"),
        (None, "config.json is missing"),
    ],
)
def test_folders_of_other_models_are_refused(
    tmp_path: Path, change: dict[str, object] | None, said: str
) -> None:
    folder = write_cross_encoder(tmp_path / "changed")
    path = folder / "config.json"
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError) as caught:
        load_reranker(folder)
    assert said in str(caught.value)


def test_a_name_of_the_hub_is_not_there_offline() -> None:
    with pytest.raises(EnvironmentFault, match="not on this machine"):
        load_reranker("nobody/no-such-reranker", offline=True)
