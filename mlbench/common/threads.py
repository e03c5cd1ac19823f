"""Threads of numpy's linear algebra, which get into each other's way beside our own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep each product of numpy to the thread that asks for it: ``with one_blas_thread(): ...``"""
    one: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return one


@cache
def _libraries() -> ThreadpoolController:
    """Return a hold on numpy's BLAS, which is looked for among all that the process has loaded."""
    import numpy as np  # noqa: F401  BLAS is there once numpy is
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
