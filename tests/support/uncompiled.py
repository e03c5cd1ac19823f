"""ranx as plain Python: it compiles its code for a minute where it never ran."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

_UNCOMPILED: dict[str, ModuleType] = {}


@contextmanager
def uncompiled_ranx() -> Iterator[ModuleType]:
    """Let ``import ranx`` give code that numba leaves alone, here and in what is called.

    Afterwards the modules of ranx are those of before. Code of mlbench that was never compiled
    cannot be compiled inside.
    """
    import numba.typed  # and our own kernels, which are compiled whatever is done here

    import mlbench.ranking.kernels
    import mlbench.ranking.tile_kernels  # noqa: F401

    before = _modules_of_ranx()
    _replace_modules(_UNCOMPILED)
    with mock.patch.object(numba.config, "DISABLE_JIT", 1):
        try:
            import ranx

            yield ranx
            _UNCOMPILED.update(_modules_of_ranx())
        finally:
            _replace_modules(before)


def _modules_of_ranx() -> dict[str, ModuleType]:
    return {name: of for name, of in sys.modules.items() if name.partition(".")[0] == "ranx"}


def _replace_modules(by: dict[str, ModuleType]) -> None:
    for name in _modules_of_ranx():
        del sys.modules[name]
    sys.modules.update(by)
