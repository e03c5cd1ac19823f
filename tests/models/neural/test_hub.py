from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, ModelError, UsageError
from mlbench.models.neural.hub import wanted_files
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.registry import load_adapter

hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")
pytest.importorskip("sentence_transformers")

TOKEN = "hf_" + "s" * 34
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = [
    ".gitattributes",
    "README.md",
    "1_Pooling/config.json",
    "config.json",
    "model.safetensors",
    "modules.json",
    "onnx/model.onnx",
    "onnx/config.json",
    "openvino/openvino_model.bin",
    "modeling_x.py",
    "pytorch_model.bin",
    "2_Dense/pytorch_model.bin",
    "tf_model.h5",
    "tokenizer.json",
    "sentencepiece.bpe.model",
    "consolidated.safetensors",
    "train_script.txt",
    "vocab.txt",
]


def test_what_is_downloaded() -> None:
    plain = {
        "README.md",
        "1_Pooling/config.json",
        "config.json",
        "model.safetensors",
        "modules.json",
        "onnx/config.json",
        "tokenizer.json",
        "sentencepiece.bpe.model",
        "vocab.txt",
    }
    assert set(wanted_files(NAMES, NeuralOptions())) == plain
    pickled = NeuralOptions(allow_pickle=True)
    assert set(wanted_files(NAMES, pickled)) == plain | {"2_Dense/pytorch_model.bin"}
    trusted = NeuralOptions(trust_remote_code=True)
    assert set(wanted_files(NAMES, trusted)) == plain | {"modeling_x.py"}
    onnx = NeuralOptions(backend="onnx")
    adapter = ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"]
    assert wanted_files(adapter, NeuralOptions(allow_pickle=True)) == adapter[:2]
    assert wanted_files(adapter[::2], NeuralOptions(allow_pickle=True)) == adapter[::2]
    files = (plain | {"onnx/model.onnx"}) - {"model.safetensors"}
    assert set(wanted_files(NAMES, onnx)) == files
    more = ["onnx/model.onnx_data", "onnx/model_q4.onnx", "onnx/model_q4.onnx_data"]
    more += ["2_Dense/model.safetensors"]
    dense = {"2_Dense/model.safetensors"}
    found = set(wanted_files(NAMES + more, onnx))
    assert found == files | dense | {"onnx/model.onnx_data"}
    packed = NeuralOptions(backend="onnx", onnx_file="model_q4.onnx")
    found = set(wanted_files(NAMES + more, packed))
    assert found == (files - {"onnx/model.onnx"}) | dense | {more[1], more[2]}


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A hub that may be asked, an empty cache, and a token that must not be told."""
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return monkeypatch


def _network() -> Any:
    """Return the library that the hub's library sends its requests with."""
    used = getattr(importlib.import_module("huggingface_hub.utils"), "httpx", None)
    return used or importlib.import_module("httpx")


def _response(status: int) -> Any:
    network = _network()
    request = network.Request("GET", "https://hub", headers={"authorization": f"Bearer {TOKEN}"})
    return network.Response(status, request=request)


def _raising(error: Exception) -> Any:
    def call(*args: Any, **kwargs: Any) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("GatedRepoError", "gated: this account has no access"),
        ("RepositoryNotFoundError", "no such model, or a private one"),
        ("RevisionNotFoundError", "has no revision 'v9'"),
    ],
)
@pytest.mark.parametrize("call", ["model_info", "snapshot_download"])
def test_refusals_are_clear_and_tell_no_token(
    online: pytest.MonkeyPatch, kind: str, message: str, call: str
) -> None:
    error = getattr(errors, kind)(f"Bearer {TOKEN}", response=_response(403))
    if call == "model_info":
        online.setattr(hub.HfApi, "model_info", _raising(error))
    else:
        info = SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=n) for n in NAMES])
        online.setattr(hub.HfApi, "model_info", lambda *args, **kwargs: info)
        online.setattr(hub, "snapshot_download", _raising(error))
    with pytest.raises(ModelError, match=message) as caught:
        load_adapter("hub:org/name", {"revision": "v9"})
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["config.json", "model.safetensors"], r"no ONNX file(.|\n)*--backend torch"),
        (["onnx/a.onnx", "onnx/b.onnx"], r"several ONNX files in it\n.*onnx/a.onnx, onnx/b.onnx"),
    ],
)
def test_it_is_clear_which_onnx_file_is_downloaded(
    online: pytest.MonkeyPatch, names: list[str], message: str
) -> None:
    info = SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=n) for n in names])
    online.setattr(hub.HfApi, "model_info", lambda *args, **kwargs: info)
    online.setattr(hub, "snapshot_download", _raising(AssertionError("downloaded")))
    for name in importlib.import_module("mlbench.models.neural.onnx").LIBRARIES:
        pytest.importorskip(name)
    with pytest.raises(ModelError, match=message):
        load_adapter("onnx:org/name")


def test_pickles_alone_are_not_downloaded(online: pytest.MonkeyPatch) -> None:
    names = ["config.json", "pytorch_model.bin"]
    info = SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=n) for n in names])
    online.setattr(hub.HfApi, "model_info", lambda *args, **kwargs: info)
    online.setattr(hub, "snapshot_download", _raising(AssertionError("downloaded")))
    with pytest.raises(ModelError, match=r"pickled weights alone(.|\n)*--allow-pickle"):
        load_adapter("hub:org/name")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["config.json", "onnx/model.onnx"], r"only ONNX weights(.|\n)*--backend onnx"),
        (["model-q8_0.gguf"], r"only GGUF weights \(model-q8_0.gguf\)"),
        (["config.json", "tf_model.h5"], "only TensorFlow weights"),
        (["config.json", "README.md"], "no weights"),
    ],
)
def test_what_is_no_whole_model_is_not_downloaded(
    online: pytest.MonkeyPatch, names: list[str], message: str
) -> None:
    info = SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=n) for n in names])
    online.setattr(hub.HfApi, "model_info", lambda *args, **kwargs: info)
    online.setattr(hub, "snapshot_download", _raising(AssertionError("downloaded")))
    with pytest.raises(ModelError, match=message):
        load_adapter("hub:org/name")


def _fill_cache(cache: Path, folder: Path) -> None:
    """Lay a model out as the hub's library caches it."""
    model = cache / "models--org--name"
    snapshot = model / "snapshots" / COMMIT
    shutil.copytree(folder, snapshot)
    (model / "blobs").mkdir()
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    for path in [path for path in snapshot.rglob("*") if path.is_file()]:
        blob = model / "blobs" / f"blob-{path.parent.name}-{path.name}"
        path.rename(blob)
        up = "../" * (2 + len(path.relative_to(snapshot).parts) - 1)
        path.symlink_to(f"{up}blobs/{blob.name}")


@pytest.mark.parametrize("reach", ["offline", "unreachable"])
def test_a_cached_model_needs_no_network(
    online: pytest.MonkeyPatch, full_folder: Path, tmp_path: Path, reach: str
) -> None:
    _fill_cache(tmp_path / "hub", full_folder)
    if reach == "unreachable":
        online.setattr(hub.HfApi, "model_info", _raising(ConnectionError("no route")))
    else:
        online.setattr(hub.HfApi, "model_info", _raising(AssertionError("asked")))
    options = {"offline": True} if reach == "offline" else {}
    for spec in ("hub:org/name", "org/name"):
        model = load_adapter(spec, options)
        assert (model.name, model.kind) == ("org/name", "sentence-transformers")
        assert model.identity == load_adapter(str(full_folder)).identity
    vectors = model.adapter.encode_queries(["abc"], "")
    assert np.array_equal(
        vectors, load_adapter(str(full_folder)).adapter.encode_queries(["abc"], "")
    )


@pytest.mark.parametrize("reach", ["offline", "unreachable", "server error"])
def test_a_model_that_is_not_here(online: pytest.MonkeyPatch, reach: str) -> None:
    error = _network().ConnectError(TOKEN)
    if reach == "server error":
        error = errors.HfHubHTTPError(TOKEN, response=_response(503))
    online.setattr(hub.HfApi, "model_info", _raising(error))
    options = {"offline": True} if reach == "offline" else {}
    with pytest.raises(EnvironmentFault, match="org/none: not on this machine") as caught:
        load_adapter("org/none", options)
    assert TOKEN not in str(caught.value)


def test_names_that_no_model_has() -> None:
    for spec in ("hub:", "hub"):
        with pytest.raises(UsageError, match="no value given"):
            load_adapter(spec)
    with pytest.raises(UsageError, match="not the name of a model on the hub"):
        load_adapter("hub:a/b/c", {"offline": True})
