from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import ModelError, UsageError
from mlbench.models.registry import load_adapter

MODEL = """\
import numpy as np


class Model:
    def encode_queries(self, texts, language):
        return np.ones((len(texts), 2))

    encode_passages = encode_queries


def make():
    return Model()
"""
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a model file and return its path; what it does to this process is undone."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}

    def written(source: str, name: str = "my_model.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return str(path)

    yield written
    for name in {*sys.modules} - before:
        del sys.modules[name]


@pytest.mark.parametrize("factory", ["make", "Model"])
def test_a_file(write: Write, factory: str) -> None:
    path = write(MODEL)
    model = load_adapter(f"{path}:{factory}")
    assert (model.kind, model.name) == ("file", f"my_model-{factory}")
    assert model.similarity == "cosine"
    digest = hashlib.sha256(MODEL.encode()).hexdigest()
    assert model.identity == f"derived: sha256 {digest} of my_model.py"
    assert np.array_equal(model.adapter.encode_passages(["a"], "en"), [[1, 1]])


def test_a_relative_path(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(write(MODEL)).parent)
    assert load_adapter("my_model.py:make").kind == "file"
    assert load_adapter("./my_model.py:Model").kind == "file"


def test_what_the_model_says_of_itself(write: Write) -> None:
    said = 'class Model:\n    name, similarity, identity = "Mine", "dot", "v3"\n'
    model = load_adapter(write(MODEL.replace("class Model:\n", said)) + ":make")
    assert (model.name, model.similarity, model.identity) == ("Mine", "dot", "declared: v3")


def test_an_edited_file_is_read_anew(write: Write) -> None:
    first = load_adapter(write(MODEL) + ":make")
    second = load_adapter(write(MODEL.replace("2)", "3)")) + ":make")
    assert first.identity != second.identity
    assert second.adapter.encode_queries(["a"], "en").shape == (1, 3)


def test_modules_beside_it_can_be_imported_early_and_late(write: Write) -> None:
    write("WIDTH = 5", "plugin_test_width.py")
    write("VALUE = 7.0", "plugin_test_value.py")
    source = MODEL.replace("import numpy", "from plugin_test_width import WIDTH\nimport numpy")
    late = "import plugin_test_value as v\n        return v.VALUE * np.ones((len(texts), WIDTH))"
    path = write(source.replace("return np.ones((len(texts), 2))", late))
    adapter = load_adapter(f"{path}:make").adapter
    assert adapter.encode_queries(["a"], "en").tolist() == [[7.0] * 5]


def test_modules_beside_it_never_stand_in_for_others(write: Write) -> None:
    write("raise RuntimeError('not the standard library')", "random.py")
    write("raise RuntimeError('not numpy')", "numpy.py")
    before = [*sys.path]
    path = write("import random\n" + MODEL)
    assert load_adapter(f"{path}:make").kind == "file"
    assert sys.path == [*before, str(Path(path).parent)]


def test_one_models_modules_are_not_taken_for_anothers(write: Write) -> None:
    for folder, width in (("a", 1), ("b", 2)):
        write(f"WIDTH = {width}", f"{folder}/plugin_test_shared.py")
        path = write("from plugin_test_shared import WIDTH\n" + MODEL, f"{folder}/model.py")
    load_adapter(path.replace("/b/", "/a/") + ":make")
    with pytest.raises(ModelError, match=r"'plugin_test_shared' .* already loaded from .*/a/"):
        load_adapter(f"{path}:make")


def test_dataclasses_work(write: Write) -> None:
    source = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + MODEL
    path = write(source.replace("class Model:", "@dataclass\nclass Model:\n    size: int = 2\n"))
    assert load_adapter(f"{path}:make").kind == "file"


BOTH = """
    def encode_queries(self, texts, language): ...
    def encode_passages(self, texts, language): ...
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def make(:\n", r"SyntaxError: .*\n  at .*my_model\.py:1"),
        ("x = 1\nimport absent_mod\n", r"absent_mod'\n  at .*my_model\.py:2, in <module>"),
        ("raise SystemExit(3)", r"called sys\.exit\(3\)"),
        ("def make():\n    return {}['x']", r"KeyError: 'x'\n  at .*my_model\.py:2, in make"),
        ("def make(size): ...", r"without arguments: missing a required.*\n  at .*my_model\.py:1"),
        (f"class make:\n    def __init__(self, x): ...{BOTH}", r"missing a required argument: 'x'"),
        ("make = 3", "int object"),
        (
            "def make(): return None",
            "returned NoneType, which has no method encode_queries and enc",
        ),
        (
            "class make:\n    def encode_queries(self, texts, language): ...",
            "no method encode_pass",
        ),
        (f"class Model:{BOTH}\ndef make(): return Model", "returned the class Model"),
        (
            f"class make:{BOTH}    def encode_passages(self, texts): ...",
            r"encode_passages cannot be called with \(texts, language\)",
        ),
        (f"class make:\n    similarity = 'euclid'{BOTH}", r"similarity: 'euclid'\n.*'cosine' or"),
        (f"class make:\n    name = 3{BOTH}", "attribute name: 3"),
        (f"class make:\n    identity = ' '{BOTH}", "attribute identity: ' '"),
        (
            f"class make:\n    @property\n    def identity(self): return 1 / 0{BOTH}",
            r"ZeroDivisionError: .*\n  at .*my_model\.py:3, in identity",
        ),
    ],
)
def test_faults_of_a_model_file(write: Write, source: str, message: str) -> None:
    path = write(source)
    with pytest.raises(ModelError, match=message) as caught:
        load_adapter(f"{path}:make")
    assert f"model {path}:make" in str(caught.value)


def test_a_factory_that_is_not_there(write: Write) -> None:
    path = write(MODEL)
    with pytest.raises(UsageError, match=r"no 'mak' in .*my_model\.py\n.*\n.*did you mean 'make'"):
        load_adapter(f"{path}:mak")


def test_prints_while_loading_go_to_standard_error(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    load_adapter(write("print('hello')\n" + MODEL) + ":make")
    assert capsys.readouterr() == ("", "hello\n")


def test_a_module_that_breaks_while_it_is_imported(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(write("import absent_mod\n", "plugin_test_broken.py"))
    monkeypatch.syspath_prepend(str(path.parent))
    with pytest.raises(ModelError, match=r"absent_mod'\n  at .*plugin_test_broken\.py:1"):
        load_adapter("python:plugin_test_broken:make")
