"""The boundary between mlbench and a model's code: whatever goes wrong there is a ModelError.

What that code returns is checked, and copied, so that the model cannot change it later.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, MlbenchError, ModelError
from mlbench.common.streams import stdout_to_stderr
from mlbench.ranking.vectors import TokenVectors

_OWN = str(Path(__file__).parents[1]) + os.sep
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = {"site-packages", "dist-packages"}
_LONGEST_MESSAGE = 2000
_ABSENT = object()


@contextlib.contextmanager
def calling(spec: str, method: str) -> Iterator[None]:
    """Run a model's code: ``with calling(spec, "encode_queries"): ...``.

    Raises ModelError, with the file and line in the user's code, for whatever that code raises
    (``sys.exit`` and panics of native extensions included; Ctrl-C and mlbench's own errors
    pass), and EnvironmentFault if it runs out of memory. What it prints goes to standard error.
    """
    try:
        with stdout_to_stderr:
            yield
    except (MlbenchError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise EnvironmentFault(
            Fault(
                f"model {spec}, {method}",
                f"out of memory{_at(error)}",
                mend="encode in smaller batches, or use a machine with more memory",
            )
        ) from error
    except BaseException as error:
        raise ModelError(
            Fault(f"model {spec}, {method}", f"{_message(error)}{_at(error)}", mend=_mend(error))
        ) from error


def attribute(spec: str, adapter: object, name: str, default: Any) -> Any:
    """Return an optional attribute of a model, ``default`` if it has none.

    Raises ModelError if there is one and reading it (a property) raises, be it AttributeError.
    """
    with calling(spec, f"attribute {name}"):
        try:
            return getattr(adapter, name)
        except AttributeError:
            if inspect.getattr_static(adapter, name, _ABSENT) is not _ABSENT:
                raise
            return default


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    lines = traceback.format_exception_only(error)
    text = (lines[-1] if isinstance(error, SyntaxError) else "".join(lines)).strip()
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."


def _mend(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"install what provides the module {error.name!r}, or correct the import"
    return "correct the model's code; --debug shows the whole traceback"


def _at(error: BaseException) -> str:
    """Say where in the user's code ``error`` arose: the deepest line that is neither ours, nor
    Python's, nor an installed library's; in an installed plug-in, the line that we called."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return f"\n  at {error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_OWN, "<frozen"))
        and Path(frame.filename) not in _MACHINERY
    ]
    users = [frame for frame in frames if not _is_library(frame.filename)]
    if not frames:
        return ""
    frame = users[-1] if users else frames[0]
    return f"\n  at {frame.filename}:{frame.lineno}, in {frame.name}"


def _is_library(filename: str) -> bool:
    return filename.startswith(_STANDARD_LIBRARY) or not _INSTALLED.isdisjoint(Path(filename).parts)


_MACHINERY = {Path(contextlib.__file__), Path(_STANDARD_LIBRARY, "importlib", "__init__.py")}

Vectors = Any
"""A C-contiguous float32 array of shape (n, d), a float32 ``scipy.sparse.csr_matrix`` of that
shape with sorted, distinct column indices in each row, or ``TokenVectors``."""

_FLOAT_BYTES = (2, 4, 8)
_EXPECTED = (
    "a float16, float32 or float64 array of shape (texts, dimensions), scipy.sparse, or a list of "
    "such arrays of shape (tokens, dimensions), one a text"
)
_DESCRIBED = {
    "dense": "dense vectors of {} dimensions",
    "sparse": "sparse vectors of {} dimensions",
    "tokens": "a vector for each token, of {} dimensions",
}
"""What vectors of a kind are called in messages."""


@dataclass(frozen=True)
class Layout:
    """What all vectors of a model share, and ``where`` it was first seen."""

    dimension: int
    kind: str
    where: str

    @classmethod
    def of(cls, vectors: Vectors, where: str) -> Layout:
        """Return the layout of checked ``vectors``."""
        return cls(vectors.shape[1], kind_of(vectors), where)

    def __str__(self) -> str:
        return _DESCRIBED[self.kind].format(self.dimension)


def kind_of(vectors: Vectors) -> str:
    """Return "dense", "sparse" or "tokens"."""
    if isinstance(vectors, TokenVectors):
        return "tokens"
    return "dense" if isinstance(vectors, np.ndarray) else "sparse"


def check_vectors(
    value: Any,
    *,
    method: str,
    rows: int,
    text_id: Callable[[int], str],
    layout: Layout | None = None,
) -> Vectors:
    """Return a copy of ``value`` as Vectors: float32, dense (rows, d), sparse CSR, or of tokens.

    ``method`` stands in messages for the call (such as "model x.py:make, encode_queries"),
    ``text_id(i)`` names the text of row i (such as "passage 'a.1.2' (th)"), ``layout`` is that
    of earlier calls. Raises ModelError if ``value`` is not a two-dimensional floating-point
    array or sparse matrix, or a list of such arrays (integers are refused, as they are token ids
    more often than vectors), if it has another number of rows or another layout, if a text has no
    token, or if it holds NaN, infinity or what float32 cannot hold.
    """
    if is_of_tokens(value):
        source = _joined(value, method, rows, text_id)
    else:
        source = _floats(value, method)
    if source.shape[0] != rows or source.shape[1] == 0:
        what = "image" if method.endswith("encode_images") else "text"
        said = f"returned shape {source.shape} for {plural(rows, what)}"
        _refuse(method, said, f"one row for each {what}")
    if kind_of(source) == "sparse":
        source = _sound_csr(source, method)
    with np.errstate(over="ignore", invalid="ignore"):
        result = _float32(source)
    found = Layout.of(result, method)
    if layout and (found.dimension, found.kind) != (layout.dimension, layout.kind):
        _refuse(
            method,
            f"returned {found}; {layout.where} returned {layout}",
            "the same for both roles, all languages and all calls",
        )
    _check_finite(source, result, method, text_id)
    return result


def difference(first: Vectors, second: Vectors) -> float:
    """Return the greatest relative difference of a row, ``|a - b| / |a|`` (Euclidean norms).

    0 for bit-identical rows; infinity where only ``first`` has a zero row, or where two texts have
    another number of tokens. Both have one shape.
    """
    if isinstance(first, TokenVectors):
        if not np.array_equal(first.starts, second.starts):
            return float("inf")
        apart = TokenVectors(first.vectors - second.vectors, first.starts)
    else:
        apart = first - second
    gap, size = _norms(apart), _norms(first)
    ratio = np.divide(gap, size, out=np.where(gap > 0, np.inf, 0.0), where=size > 0)
    return float(ratio.max(initial=0.0))


def _norms(vectors: Vectors) -> npt.NDArray[np.float64]:
    if isinstance(vectors, TokenVectors):
        return np.sqrt(vectors.sums(np.square(vectors.vectors, dtype=np.float64).sum(axis=1)))
    wide = vectors.astype(np.float64)
    squares = np.square(wide) if isinstance(wide, np.ndarray) else wide.power(2)
    norms: npt.NDArray[np.float64] = np.sqrt(np.asarray(squares.sum(axis=1)).ravel())
    return norms


def _refuse(method: str, found: str, expected: str = _EXPECTED, mend: str = "") -> NoReturn:
    raise ModelError(Fault(method, found, expected, mend))


def _floats(value: Any, method: str) -> Any:
    """Return ``value`` if it is a floating-point array or sparse matrix of two dimensions."""
    if isinstance(value, np.ma.MaskedArray):
        _refuse(method, "returned a masked array", mend="fill it: array.filled(0.0)")
    if not isinstance(value, np.ndarray) and not _is_sparse(value):
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        tensor = hasattr(value, "detach") and hasattr(value, "cpu")
        mend = "return tensor.detach().float().cpu().numpy()" if tensor else ""
        _refuse(method, f"returned {kind}", mend=mend or "return numpy.asarray(vectors)")
    if value.dtype.kind != "f" or value.dtype.itemsize not in _FLOAT_BYTES:
        ragged = value.dtype == object
        mend = "give every text a vector of one length" if ragged else "convert: .astype('float32')"
        _refuse(method, f"returned an array of {value.dtype}", mend=mend)
    if value.ndim != 2:
        mend = "for a vector for each token, return a list: list(array)" if value.ndim == 3 else ""
        _refuse(method, f"returned an array of shape {value.shape}", mend=mend)
    return value


def is_of_tokens(value: Any) -> bool:
    """Say whether a value has several vectors a text."""
    if isinstance(value, TokenVectors):
        return True
    return isinstance(value, list | tuple) and any(getattr(each, "ndim", 0) == 2 for each in value)


def _joined(value: Any, method: str, rows: int, text_id: Callable[[int], str]) -> TokenVectors:
    """Return the token vectors of a list of arrays (tokens, d), one a text."""
    if len(value) != rows:
        found = (
            f"returned the token vectors of {plural(len(value), 'text')} for {plural(rows, 'text')}"
        )
        _refuse(method, found, "an array of shape (tokens, dimensions) for each text")
    if isinstance(value, TokenVectors):
        starts, vectors = value.starts, _floats(value.vectors, method)
        if starts[0] or starts[-1] != len(vectors):
            found = (
                f"returned {plural(len(vectors), 'token vector')}, and says that they are "
                f"{starts[-1]}"
            )
            _refuse(method, found, "as many token vectors as it says")
    else:
        for row, each in enumerate(value):
            of_text = _floats(each, f"{method}, {text_id(row)}")
            if of_text.shape[1] != value[0].shape[1]:
                found = (
                    f"{text_id(row)} has {plural(of_text.shape[1], 'dimension')}, {text_id(0)} has "
                )
                found += f"{value[0].shape[1]}"
                _refuse(method, found, "as many for every token of every text")
        starts = np.append(0, np.cumsum([len(each) for each in value])).astype(np.int64)
        vectors = np.concatenate(value)
    without = np.flatnonzero(np.diff(starts) < 1)
    if len(without):
        found = f"returned no token vector for {text_id(int(without[0]))}"
        _refuse(method, found, "at least one for each text")
    return TokenVectors(vectors, starts)


def _is_sparse(value: Any) -> bool:
    from scipy import sparse

    return bool(sparse.issparse(value))


def _float32(source: Any) -> Vectors:
    if isinstance(source, TokenVectors):
        return TokenVectors(_float32(source.vectors), np.array(source.starts))
    if isinstance(source, np.ndarray):
        return np.array(source, dtype=np.float32, order="C")
    return source.astype(np.float32, copy=False)


def _sound_csr(source: Any, method: str) -> Any:
    """Return a copy of a sparse matrix as CSR, in float32 or float64.

    Its indices are checked before scipy converts it: the conversion trusts them, and writes
    outside its arrays if they are wrong. scipy cannot compute with float16.
    """
    from scipy import sparse

    try:
        if source.dtype.itemsize == 2:
            source = source.astype(np.float32)
        if source.format == "coo":
            places = (source.row.copy(), source.col.copy())
            copy = sparse.coo_matrix((source.data.copy(), places), shape=source.shape)
        else:
            copy = source.copy()
        if copy.format in ("csc", "bsr"):
            copy.check_format(full_check=True)
        result = sparse.csr_matrix(copy)
        result.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        _refuse(method, f"returned a malformed sparse matrix: {error}")
    result.sum_duplicates()
    return result


def _check_finite(source: Any, result: Vectors, method: str, text_id: Callable[[int], str]) -> None:
    if isinstance(result, np.ndarray):
        finite = np.isfinite(result)
        if finite.all():
            return
        bad = np.flatnonzero(~finite.all(axis=1))
        values = source[bad[0]]
    elif isinstance(result, TokenVectors):
        finite = np.isfinite(result.vectors)
        if finite.all():
            return
        tokens = np.flatnonzero(~finite.all(axis=1))
        bad = np.unique(np.searchsorted(result.starts, tokens, "right") - 1)
        values = source.vectors[tokens[0]]
    else:
        finite = np.isfinite(result.data)
        if finite.all():
            return
        bad = np.unique(np.searchsorted(result.indptr, np.flatnonzero(~finite), "right") - 1)
        values = source[[bad[0]]].data
    more = f" (and for {plural(len(bad) - 1, 'more text')})" if len(bad) > 1 else ""
    what = "a value too large for float32" if np.isfinite(values).all() else "NaN or infinity"
    _refuse(method, f"returned {what} for {text_id(int(bad[0]))}{more}", "finite numbers")
