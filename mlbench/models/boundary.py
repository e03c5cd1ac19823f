"""The boundary between mlbench and a model's code: whatever goes wrong there is a ModelError."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlbench.common.errors import EnvironmentFault, Fault, MlbenchError, ModelError

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
        with contextlib.redirect_stdout(sys.stderr):
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
