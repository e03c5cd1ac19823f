"""Python's search for cyclic garbage, put off where it finds little and walks over much."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Do not search meanwhile; also a decorator. For code of ours that makes many objects."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()
