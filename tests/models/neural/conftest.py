"""Small real models, made here: a BERT of two layers with a tokenizer of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.models.registry import LoadedModel, load_adapter
from tests.models.neural.exported import export

LETTERS = (
    "abcdefghijklmnopqrstuvwxyz0123456789.,:;?!'-ßéабвгдежзийклмнопрстуфхцчшщыьэюяกขคงจ中文问答的"
)
POSITIONS = 64
MAX_LENGTH = 24
Copy = Callable[..., Path]


@pytest.fixture(scope="package", autouse=True)
def _no_network() -> Iterator[None]:
    """Let no library ask the hub; a test of another folder may be the next one in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session")
def bare_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers checkpoint without pooling or prompts."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.1,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(
        vocab=str(folder / "vocab.txt"), model_max_length=MAX_LENGTH
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def full_folder(bare_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with prompts, mean pooling and normalisation."""
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.models")
    transformer = modules.Transformer(str(bare_folder))
    model = library.SentenceTransformer(
        modules=[transformer, modules.Pooling(32), modules.Normalize()],
        prompts={"query": "q: ", "document": "passage: ", "other": "other: "},
        device="cpu",
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    model.save(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="package")
def two_devices(full_folder: Path) -> Iterator[LoadedModel]:
    """The same model on two devices, a process each: starting them takes seconds."""
    model = load_adapter(str(full_folder), {"batch_tokens": 100, "device": "cpu,cpu"})
    yield model
    model.adapter.close()


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Copy a model folder, to change it: copy(folder, name)."""

    def made(folder: Path, name: str = "copy") -> Path:
        return Path(shutil.copytree(folder, tmp_path / name))

    return made


def edit(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    table = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(table | changes))


@pytest.fixture(scope="session")
def exported_folder(full_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as ``full_folder``, exported to ONNX."""
    pytest.importorskip("onnx")
    return export(full_folder, tmp_path_factory.mktemp("models") / "tiny-onnx")
