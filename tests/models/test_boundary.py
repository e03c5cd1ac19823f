from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from mlbench.common.errors import DataError, EnvironmentFault, Fault, ModelError
from mlbench.models.boundary import Layout, attribute, calling, check_vectors, difference
from mlbench.ranking.vectors import TokenVectors


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


def _check(value: Any, rows: int = 2, layout: Layout | None = None) -> Any:
    return check_vectors(
        value,
        method="model m, encode_queries (th)",
        rows=rows,
        text_id=lambda row: f"query 'q{row}' (th)",
        layout=layout,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_dense_is_copied_to_float32(dtype: str, order: str) -> None:
    value = np.array([[1.0, 2.5, 0.0], [3.0, -4.0, 0.5]], dtype=dtype, order=order)
    result = _check(value)
    value[:] = 9
    assert result.tolist() == [[1.0, 2.5, 0.0], [3.0, -4.0, 0.5]]
    assert result.dtype == np.float32
    assert result.dtype.isnative
    assert result.flags.c_contiguous


@pytest.mark.parametrize(
    "form", ["csr_matrix", "csc_matrix", "coo_matrix", "csr_array", "lil_array"]
)
def test_sparse_becomes_csr_with_sorted_columns(form: str) -> None:
    dense = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    result = _check(getattr(sparse, form)(dense))
    assert isinstance(result, sparse.csr_matrix)
    assert result.dtype == np.float32
    assert result.has_sorted_indices
    assert np.array_equal(result.toarray(), dense)


def test_sparse_duplicates_are_summed_and_the_source_left_alone() -> None:
    value = sparse.csr_matrix(
        (np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3)
    )
    result = _check(value, rows=1)
    assert result.indices.tolist() == [0, 2]
    assert result.data.tolist() == [2.0, 5.0]
    assert value.indices.tolist() == [2, 0, 2]
    value.data[:] = 9
    assert result.data.tolist() == [2.0, 5.0]


class _Tensor:
    def detach(self) -> None: ...
    def cpu(self) -> None: ...


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1.0], [2.0]], "returned list"),
        (None, "returned NoneType"),
        (_Tensor(), "detach"),
        ((row for row in ()), "returned generator"),
        (np.zeros(2), r"shape \(2,\)"),
        (np.zeros((1, 2, 3)), r"shape \(1, 2, 3\)"),
        (np.zeros((2, 2, 3)), r"list\(array\)"),
        ([np.zeros((2, 3))], "token vectors of 1 text for 2 texts"),
        ([np.zeros((2, 3)), np.zeros((0, 3))], r"no token vector for query 'q1' \(th\)"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], r"'q1' \(th\) has 4 dimensions, query 'q0'"),
        ([np.zeros((2, 3)), np.zeros(3)], r"'q1' \(th\): returned an array of shape \(3,\)"),
        ([np.zeros((2, 3)), None], r"'q1' \(th\): returned NoneType"),
        ([np.zeros((2, 3)), np.zeros((2, 3), int)], "int64"),
        ([np.zeros((2, 0)), np.zeros((1, 0))], r"shape \(2, 0\)"),
        (TokenVectors(np.zeros((4, 3), np.float32), np.array([0, 2, 3])), "says that they are 3"),
        (TokenVectors(np.zeros((3, 3), np.float32), np.array([0, 4, 3])), "no token vector"),
        (np.zeros((3, 4)), r"shape \(3, 4\) for 2 texts"),
        (np.zeros((2, 0)), r"shape \(2, 0\)"),
        (np.zeros((2, 4), np.int64), "int64"),
        (np.zeros((2, 4), bool), "bool"),
        (np.zeros((2, 4), complex), "complex128"),
        (np.array([[1.0], [1.0, 2.0]], dtype=object), "of one length"),
        (np.ma.masked_array(np.zeros((2, 4))), "masked"),
        (sparse.csr_matrix((2, 4), dtype=np.int64), "int64"),
        (sparse.csr_matrix((3, 4)), r"shape \(3, 4\) for 2 texts"),
    ],
)
def test_what_is_not_vectors_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        _check(value)
    assert "encode_queries (th)" in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8"])
def test_token_vectors_are_copied_to_float32(dtype: str) -> None:
    value = [np.array([[1.0, 2.5], [3.0, -4.0]], dtype=dtype), np.array([[0.5, 0.0]], dtype=dtype)]
    result = _check(value)
    value[0][:] = 9
    assert result.vectors.tolist() == [[1.0, 2.5], [3.0, -4.0], [0.5, 0.0]]
    assert result.starts.tolist() == [0, 2, 3]
    assert result.vectors.dtype == np.float32
    assert Layout.of(result, "x") == Layout(2, "tokens", "x")


def test_a_token_vector_that_is_no_number_is_told_by_its_text() -> None:
    value = [np.ones((2, 3)), np.ones((2, 3))]
    value[1][1, 2] = np.nan
    with pytest.raises(ModelError, match=r"NaN or infinity for query 'q1' \(th\)"):
        _check(value)
    value[1][1, 2] = 1e300
    with pytest.raises(ModelError, match=r"too large for float32 for query 'q1' \(th\)"):
        _check(value)


def test_token_vectors_after_dense_ones_are_refused() -> None:
    layout = Layout.of(np.zeros((1, 3), np.float32), "encode_passages")
    message = "a vector for each token, of 3 dimensions; encode_passages returned dense"
    with pytest.raises(ModelError, match=message):
        _check([np.zeros((2, 3))] * 2, layout=layout)


def test_the_difference_of_token_vectors_is_that_of_a_texts_vectors_together() -> None:
    first = TokenVectors.of([np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([[1.0, 0.0]])])
    second = TokenVectors.of([np.array([[3.0, 0.0], [0.0, 4.5]]), np.array([[1.0, 0.0]])])
    assert difference(first, first) == 0
    assert difference(first, second) == pytest.approx(0.1)
    assert difference(first, TokenVectors(first.vectors, np.array([0, 1, 3]))) == np.inf


def test_malformed_sparse_is_refused() -> None:
    value = sparse.csr_matrix(np.eye(2))
    value.indices[0] = 7
    with pytest.raises(ModelError, match="malformed sparse"):
        _check(value)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "coo_matrix", "bsr_array"])
def test_sparse_float16_is_float32(form: str) -> None:
    dense = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]], np.float16)
    value = getattr(sparse, form)(dense.astype(np.float32))
    value.data = value.data.astype(np.float16)
    assert value.dtype == np.float16
    result = _check(value)
    assert result.dtype == np.float32
    assert np.array_equal(result.toarray(), dense)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "bsr_matrix"])
@pytest.mark.parametrize(
    ("array", "bad"),
    [("indptr", [0, 9, 2]), ("indptr", [1, 1, 2]), ("indptr", [0, 2]), ("indices", [0, 10**6])],
)
def test_malformed_compressed_sparse_is_refused(form: str, array: str, bad: list[int]) -> None:
    value = getattr(sparse, form)(np.eye(2))
    setattr(value, array, np.array(bad, np.int32))
    with pytest.raises(ModelError, match="malformed sparse"):
        _check(value)


@pytest.mark.parametrize("axis", ["row", "col"])
@pytest.mark.parametrize("bad", [10**8, -(10**8), 2])
def test_coordinates_out_of_range_are_refused(axis: str, bad: int) -> None:
    value = sparse.coo_matrix(np.eye(2))
    getattr(value, axis)[0] = bad
    with pytest.raises(ModelError, match="malformed sparse"):
        _check(value)


@pytest.mark.parametrize("make", [np.array, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("bad", "message"),
    [(np.nan, "NaN or infinity"), (-np.inf, "NaN or infinity"), (1e39, "too large for float32")],
)
def test_what_is_not_finite_names_the_text(make: Any, bad: float, message: str) -> None:
    value = make(np.array([[1.0, 1.0], [1.0, bad], [bad, 1.0], [1.0, 1.0]]))
    with pytest.raises(ModelError, match=rf"{message} for query 'q1' \(th\) \(and for 1 more"):
        _check(value, rows=4)


def test_layout_must_stay() -> None:
    first = _check(np.zeros((2, 3)))
    layout = Layout.of(first, "encode_passages (en)")
    assert _check(np.ones((2, 3)), layout=layout).shape == (2, 3)
    with pytest.raises(ModelError, match=r"4 dimensions; encode_passages \(en\) .* 3 dimensions"):
        _check(np.zeros((2, 4)), layout=layout)
    with pytest.raises(ModelError, match=r"sparse .*; encode_passages \(en\) returned dense"):
        _check(sparse.csr_matrix((2, 3)), layout=layout)


ROWS = hnp.arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32))


@given(ROWS, ROWS)
def test_difference_is_the_same_for_dense_and_sparse(a: np.ndarray, b: np.ndarray) -> None:
    dense = difference(a, b)
    assert dense == pytest.approx(difference(sparse.csr_matrix(a), sparse.csr_matrix(b)))
    assert (dense == 0) == np.array_equal(a, b)


def test_difference_of_zero_rows_and_none() -> None:
    zero, one = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    assert difference(zero, zero) == 0
    assert difference(zero, one) == np.inf
    assert difference(one, zero) == 1
    assert difference(zero[:0], one[:0]) == 0
