from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.errors import DataError, EnvironmentFault, Fault, ModelError
from mlbench.models.boundary import attribute, calling


def _user_function(folder: Path, body: str) -> Callable[[], Any]:
    """A function ``f`` in a file of the user's own, its body from line 2 on."""
    path = folder / "user_model.py"
    path.write_text("def f():\n" + "".join(f"    {line}\n" for line in body.splitlines()))
    names: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    function: Callable[[], Any] = names["f"]
    return function


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no weights')", "ValueError: no weights"),
        ("import json\njson.loads('{')", "JSONDecodeError: Expecting property name"),
        ("import sys\nsys.exit('bye')", "called sys.exit('bye')"),
        ("raise StopIteration", "StopIteration"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("class Panic(BaseException): pass\nraise Panic('index out of range')", "Panic: index out"),
        ("class E(Exception):\n    def __str__(self): return 1/0\nraise E", "str() failed"),
    ],
)
def test_whatever_a_model_raises_is_a_model_error(tmp_path: Path, body: str, message: str) -> None:
    function = _user_function(tmp_path, body)
    with pytest.raises(ModelError) as caught, calling("x.py:make", "encode_queries"):
        function()
    text = str(caught.value)
    assert text.startswith("model x.py:make, encode_queries: ")
    assert message in text
    assert f"at {tmp_path / 'user_model.py'}:{1 + len(body.splitlines())}, in f" in text
    assert caught.value.exit_code == 4
    assert caught.value.__cause__ is not None


def test_the_line_is_the_users_not_a_librarys(tmp_path: Path) -> None:
    function = _user_function(tmp_path, "import numpy as np\nnp.linalg.norm(['a'])")
    with pytest.raises(ModelError, match=r"user_model\.py:3, in f"), calling("m", "fit"):
        function()


def test_a_missing_module_is_to_be_installed(tmp_path: Path) -> None:
    function = _user_function(tmp_path, "import absent_module.part")
    message = "install what provides the module 'absent_module'"
    with pytest.raises(ModelError, match=message), calling("m", "load"):
        function()


def test_out_of_memory_is_the_environments_fault(tmp_path: Path) -> None:
    function = _user_function(tmp_path, "raise MemoryError")
    with pytest.raises(EnvironmentFault, match="smaller batches"), calling("m", "fit"):
        function()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError(Fault("x", "y"))])
def test_what_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, calling("m", "fit"):
        raise error
    assert caught.value is error


class _Optional:
    given = 1

    @property
    def broken(self) -> int:
        raise ValueError("no such file")

    @property
    def lacking(self) -> int:
        return self.absent  # type: ignore[attr-defined,no-any-return]


def test_an_optional_attribute_is_read_or_its_default_or_a_model_error() -> None:
    assert attribute("m", _Optional(), "given", 0) == 1
    assert attribute("m", _Optional(), "other", 0) == 0
    with pytest.raises(ModelError, match="model m, attribute broken: ValueError: no such file"):
        attribute("m", _Optional(), "broken", 0)
    with pytest.raises(ModelError, match="model m, attribute lacking: AttributeError"):
        attribute("m", _Optional(), "lacking", 0)


def test_long_messages_are_cut(tmp_path: Path) -> None:
    function = _user_function(tmp_path, "raise ValueError('x' * 100_000)")
    with pytest.raises(ModelError) as caught, calling("m", "fit"):
        function()
    assert len(str(caught.value)) < 3000


def test_what_a_model_prints_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with calling("m", "load"):
        print("loading weights")
    with contextlib.suppress(ModelError), calling("m", "load"):
        print("and failing")
        raise ValueError
    print("result")
    captured = capsys.readouterr()
    assert captured.out == "result\n"
    assert captured.err == "loading weights\nand failing\n"
