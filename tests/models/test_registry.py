from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import MlbenchError, ModelError, UsageError
from mlbench.models.built_in import BUILT_IN
from mlbench.models.contract import check_adapter
from mlbench.models.protocol import SIMILARITIES, Adapter
from mlbench.models.registry import list_models, load_adapter

EXAMPLE = Path(__file__).resolve().parents[1] / "example_plugin"
Install = Callable[[str, dict[str, str]], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a package known as pip would, by its metadata: install(name, entry points)."""

    def written(package: str, entries: dict[str, str]) -> Path:
        site = tmp_path / f"site-{package}"
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nSummary: about {package}\n"
        )
        lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
        (info / "entry_points.txt").write_text(f"[mlbench.adapters]\n{lines}")
        monkeypatch.syspath_prepend(str(site))
        return site

    return written


def test_built_in_models_load() -> None:
    for row in BUILT_IN:
        if not row.required:
            model = load_adapter(row.name)
            assert isinstance(model.adapter, Adapter)
            assert model.kind == model.spec == row.name
            assert model.similarity in SIMILARITIES
            assert model.identity.startswith("declared: ")


def test_a_kind_with_a_value() -> None:
    three, seven = load_adapter("random:3"), load_adapter("random:7")
    assert (three.name, three.kind) == ("random-3", "random")
    assert three.identity != seven.identity
    assert load_adapter("random").identity == load_adapter("random:0").identity


def test_a_folder_of_a_known_kind(tmp_path: Path) -> None:
    for role in ("queries", "passages"):
        np.save(tmp_path / f"{role}.en.npy", np.ones((1, 2), np.float32))
    model = load_adapter(str(tmp_path))
    assert (model.kind, model.name) == ("precomputed", tmp_path.name)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bm52", "did you mean 'bm25'"),
        ("char_ngram", "did you mean 'char-ngram'"),
        ("radnom:3", "did you mean 'random'"),
        ("", "no such model"),
        ("random:", "no value given"),
        ("random:x", "whole number"),
        ("bm25:3", "'3' given"),
        ("precomputed", "precomputed:FOLDER"),
        ("precomputed:/no/such", "no such folder"),
        ("python:module", "python:package.module:factory"),
        ("python:absent_package.part:make", "no module 'absent_package'"),
        ("python:json.absent:make", r"no module 'json.absent'"),
        ("python:json:JSONDecode", "did you mean"),
        ("some/model.py", "some/model.py:factory"),
        ("/no/such/model.py:make", "cannot read .*No such file"),
        (r"C:\models\my.py:make", "cannot read"),
        ("/no/such/folder", "no such file or folder"),
        ("sentence_model\0", "no such model"),
    ],
)
def test_wrong_specs_are_usage_errors(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_adapter(spec)


def test_a_folder_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"known kind of model\n.*passages\.\* \(precomputed\)"):
        load_adapter(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("adapter_config.json", "a PEFT adapter"),
        ("model.gguf", "only GGUF weights"),
        ("onnx/model.onnx", "only ONNX weights"),
        ("model.safetensors", "config.json: no such file"),
    ],
)
def test_a_part_of_a_checkpoint_is_told_as_one(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelError, match=found):
        load_adapter(str(tmp_path))
    (tmp_path / "passages.npy").write_bytes(b"")
    with pytest.raises(MlbenchError, match="queries"):
        load_adapter(str(tmp_path))


def test_rows_load_nothing(install: Install) -> None:
    install("far-away", {"far": "module_that_does_not_exist:make"})
    rows = {row.spec: row for row in list_models()}
    assert {"bm25", "char-ngram", "random[:SEED]", "precomputed:FOLDER"} <= rows.keys()
    assert rows["far"].help == "about far-away"
    assert rows["far"].origin == "far-away 1.0"
    assert all(row.help and row.origin for row in rows.values())


def test_listing_imports_no_heavy_module() -> None:
    program = (
        "import sys; from mlbench.models.registry import list_models, load_adapter; list_models();"
        "load_adapter('random'); load_adapter('char-ngram');"
        "print({'scipy', 'bm25s', 'numba', 'pyarrow', 'tqdm'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_example_plug_in(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(project["name"], project["entry-points"]["mlbench.adapters"])
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
    model = load_adapter("example-words")
    assert (model.kind, model.name, model.similarity) == ("plug-in", "example-words", "cosine")
    assert model.identity == "declared: hashed words, 512 dimensions, version 1"
    failed = [result for result in check_adapter(model) if not result.passed]
    assert failed == []
    with pytest.raises(UsageError, match="did you mean 'example-words'"):
        load_adapter("exampel-words")


def test_an_undeclared_identity_is_that_of_package_and_source(install: Install) -> None:
    site = install("tiny-model", {"tiny": "tiny_model_code:Model"})
    methods = "    def encode_queries(self, texts, language): ...\n"
    source = f"class Model:\n{methods}{methods.replace('queries', 'passages')}"
    (site / "tiny_model_code.py").write_text(source)
    model = load_adapter("tiny")
    assert model.name == "tiny"
    assert model.identity.startswith("derived: tiny-model 1.0, sha256 ")
    assert load_adapter("python:tiny_model_code:Model").kind == "python"


def test_two_packages_with_one_name(install: Install) -> None:
    install("first-package", {"same": "a:make", "other": "a:make"})
    install("second-package", {"same": "b:make"})
    message = "given by first-package 1.0 and by second-package 1.0"
    with pytest.raises(ModelError, match=message):
        load_adapter("same")
    with pytest.raises(ModelError, match=message):
        list_models()
    assert load_adapter("bm25").kind == "bm25"


def test_a_built_in_must_not_be_shadowed(install: Install) -> None:
    install("impostor", {"bm25": "a:make"})
    with pytest.raises(ModelError, match=r"bm25: the name is given by mlbench and by impostor 1.0"):
        load_adapter("bm25")
    with pytest.raises(ModelError, match=r"impostor 1.0"):
        list_models()


@pytest.mark.parametrize("value", ["absent_plug_in:make", "json:absent", "json"])
def test_a_broken_entry_point(install: Install, value: str) -> None:
    install("broken-package", {"broken": value})
    with pytest.raises(ModelError, match="model broken, load: "):
        load_adapter("broken")
