"""Payloads that leave a file behind if they run: none may, by whatever way it comes in.

Each attack is also run with everything allowed where the library would then run it, so that a
payload that could not run at all proves nothing.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import MlbenchError, UsageError
from mlbench.comparing.regression import check
from mlbench.evaluation.evaluate import evaluate
from mlbench.models.registry import load_adapter
from tests.models.neural.conftest import Copy, edit
from tests.support.command_line import mlbench

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

CODE = """
import os, pathlib
pathlib.Path(os.environ["MLBENCH_SENTINEL"]).write_text("ran")
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast
class Evil(torch.nn.Module):
    @classmethod
    def load(cls, *args, **kwargs):
        return cls()
    def forward(self, features, **kwargs):
        return features
class EvilConfig(BertConfig): pass
class EvilModel(BertModel): config_class = EvilConfig
class EvilTokenizer(BertTokenizerFast): pass
"""


class Payload:
    """A pickle that runs code when it is opened."""

    def __reduce__(self) -> Any:
        path = os.environ["MLBENCH_SENTINEL"]
        return (Path.write_text, (Path(path), "ran"))


@pytest.fixture
def sentinel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a payload leaves."""
    path = tmp_path / "sentinel"
    monkeypatch.setenv("MLBENCH_SENTINEL", str(path))
    return path


def torch_pickle(path: Path) -> None:
    """Write what torch.load would open, with the payload in it."""
    torch.save({"embeddings.word_embeddings.weight": Payload()}, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(), protocol=2))


def zipped_pickle(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(), protocol=2))


PICKLES = [torch_pickle, plain_pickle, zipped_pickle]


def test_the_payload_runs_when_it_is_opened(tmp_path: Path, sentinel: Path) -> None:
    torch_pickle(tmp_path / "x")
    torch.load(tmp_path / "x", weights_only=False)
    assert sentinel.exists()


@pytest.mark.parametrize("write", PICKLES)
@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "model.safetensors",
        "model.pt",
        "model.ckpt",
        "2_Dense/pytorch_model.bin",
        "2_Dense/model.safetensors",
    ],
)
def test_pickled_weights_do_not_run(
    full_folder: Path, copy: Copy, sentinel: Path, write: Callable[[Path], None], name: str
) -> None:
    folder = copy(full_folder)
    _with_dense(folder)
    ((folder / name).parent / "model.safetensors").unlink()
    write(folder / name)
    with pytest.raises(MlbenchError):
        load_adapter(str(folder))
    with pytest.raises(MlbenchError):
        load_adapter(str(folder), {"allow_pickle": True})
    assert not sentinel.exists()


def _with_dense(folder: Path) -> None:
    from sentence_transformers.models import Dense

    modules = json.loads((folder / "modules.json").read_text())
    kind = "sentence_transformers.models.Dense"
    modules.append({"idx": 3, "name": "3", "path": "2_Dense", "type": kind})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "2_Dense").mkdir()
    Dense(32, 8).save(str(folder / "2_Dense"))


def test_a_pickle_beside_safe_weights_is_not_opened(
    full_folder: Path, copy: Copy, sentinel: Path
) -> None:
    folder = copy(full_folder)
    for name in ("pytorch_model.bin", "optimizer.pt", "rng_state.pth", "training_args.bin"):
        torch_pickle(folder / name)
    model = load_adapter(str(folder))
    assert model.identity == load_adapter(str(full_folder)).identity
    assert not sentinel.exists()


def test_honest_pickled_weights_load_if_allowed(full_folder: Path, copy: Copy) -> None:
    from safetensors.torch import load_file

    folder = copy(full_folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(MlbenchError, match="pickled weights"):
        load_adapter(str(folder))
    found = load_adapter(str(folder), {"allow_pickle": True}).adapter.encode_queries(["a"], "")
    assert (found == load_adapter(str(full_folder)).adapter.encode_queries(["a"], "")).all()


def _modules(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Evil", "type": "evil.Evil"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "3_Evil").mkdir()


def _auto_model(folder: Path) -> None:
    classes = {"AutoConfig": "evil.EvilConfig", "AutoModel": "evil.EvilModel"}
    edit(folder / "config.json", auto_map=classes, model_type="evil")


def _auto_tokenizer(folder: Path) -> None:
    classes = {"AutoTokenizer": ["evil.EvilTokenizer", "evil.EvilTokenizer"]}
    edit(folder / "tokenizer_config.json", auto_map=classes, tokenizer_class="EvilTokenizer")


def _activation(folder: Path) -> None:
    _with_dense(folder)
    edit(folder / "2_Dense" / "config.json", activation_function="evil.Evil")


def _router(folder: Path) -> None:
    _modules(folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[-1]["type"] = "sentence_transformers.models.Router"
    (folder / "modules.json").write_text(json.dumps(modules))
    route = {"types": {"a": "evil.Evil"}, "structure": {"text": ["a"]}, "parameters": {}}
    (folder / "3_Evil" / "a").mkdir()
    (folder / "3_Evil" / "router_config.json").write_text(json.dumps(route))


ATTACKS = [_modules, _auto_model, _auto_tokenizer, _activation, _router]


@pytest.mark.parametrize("attack", ATTACKS)
def test_code_of_a_folder_does_not_run(
    full_folder: Path,
    copy: Copy,
    sentinel: Path,
    monkeypatch: pytest.MonkeyPatch,
    attack: Callable[[Path], None],
) -> None:
    folder = copy(full_folder)
    (folder / "evil.py").write_text(CODE)
    attack(folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(MlbenchError, match="--trust-remote-code"):
        load_adapter(str(folder))
    assert not sentinel.exists()
    assert "evil" not in sys.modules


def test_code_runs_where_the_user_trusts_it(
    full_folder: Path, copy: Copy, sentinel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import dynamic_module_utils

    modules = str(sentinel.parent / "modules")
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = copy(full_folder)
    (folder / "evil.py").write_text(CODE)
    _modules(folder)
    load_adapter(str(folder), {"trust_remote_code": True})
    assert sentinel.read_text() == "ran"


@pytest.fixture
def asking(full_folder: Path, copy: Copy, sentinel: Path) -> Path:
    """A model file that asks for the code of its folder to be run."""
    folder = copy(full_folder)
    (folder / "evil.py").write_text(CODE)
    _modules(folder)
    file = folder.parent / "model.toml"
    file.write_text(f'path = "{folder.name}"\ntrust_remote_code = true\n')
    return file


@pytest.mark.parametrize(
    "more", ["", "trust-remote-code = true", "allow_pickle = true", 'model = "a/b"']
)
@pytest.mark.parametrize("given", [{}, {"trust_remote_code": False}, {"offline": True}])
def test_a_model_file_is_no_word(
    asking: Path, sentinel: Path, monkeypatch: pytest.MonkeyPatch, more: str, given: dict[str, Any]
) -> None:
    if more:
        path = "" if "model" in more else f"path = {asking.parent.as_posix() + '/copy'!r}\n"
        more = more + "\ntrust_remote_code = true" if "trust" not in more else more
        asking.write_text(f"{path}{more}\n")
    monkeypatch.chdir(asking.parent)
    for spec in ("model.toml", "toml:model.toml", str(asking), "./model.toml"):
        with pytest.raises(UsageError, match="trust_remote_code") as caught:
            load_adapter(spec, given)
        assert "model.toml" in str(caught.value)
        assert "--trust-remote-code" in str(caught.value)
        assert ("allow_pickle" in str(caught.value)) == ("allow_pickle" in more)
    assert not sentinel.exists()


def test_every_command_and_call_refuses_a_model_file_s_word(
    asking: Path, sentinel: Path, sample_report: Path
) -> None:
    folder = asking.parent
    (folder / "mlbench.toml").write_text('model = "model.toml"\n')
    for command in (
        ("check", "--baseline", sample_report),
        ("check", "--model", "model.toml", "--baseline", sample_report),
        ("run", "--model", "model.toml", "--task", "sample"),
        ("run", "--model", "model.toml", "--task", "sample", "--dry-run"),
        ("run", "--model", "model.toml", "--task", "sample", "--stream"),
        ("models", "check", "model.toml"),
        ("verify", sample_report, "--model", "model.toml"),
    ):
        done = mlbench(*command, cwd=folder)
        assert done.returncode == 2
        assert "trust_remote_code" in done.stderr
    for call in (
        lambda: evaluate(asking, "sample", progress=False),
        lambda: check(asking, sample_report, progress=False),
    ):
        with pytest.raises(UsageError, match="trust_remote_code"):
            call()
    assert not sentinel.exists()


@pytest.mark.parametrize("word", ["option", "environment", "trust"])
def test_a_model_file_s_code_runs_at_the_user_s_word(
    asking: Path, sentinel: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    from transformers import dynamic_module_utils

    modules = str(sentinel.parent / "modules")
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if word == "environment":
        monkeypatch.setenv("MLBENCH_TRUST", str(asking.parent))
    if word == "trust":
        assert mlbench("trust", asking, cwd=asking.parent).returncode == 0
    given = {"trust_remote_code": True} if word == "option" else {}
    model = load_adapter(str(asking), given)
    assert sentinel.read_text() == "ran"
    assert model.adapter.granted_options == {"trust_remote_code": True, "allow_pickle": False}
    assert load_adapter(str(asking), model.adapter.granted_options).identity == model.identity
    if word == "trust":
        sentinel.unlink()
        (asking.parent / "copy" / "evil.py").write_text(CODE + "\n")
        with pytest.raises(UsageError, match="trust_remote_code"):
            load_adapter(str(asking))
        assert not sentinel.exists()


def test_a_header_bomb_is_refused_before_the_library(full_folder: Path, copy: Copy) -> None:
    folder = copy(full_folder)
    with (folder / "model.safetensors").open("wb") as file:
        file.write((2**33).to_bytes(8, "little"))
        file.truncate(2**35)
    with pytest.raises(MlbenchError, match="a header of 8,589,934,592 bytes"):
        load_adapter(str(folder))
