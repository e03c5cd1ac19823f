"""Folders of the user's own, for what libraries and mlbench keep, where there may be no home.

A container that is run as some other user has none, or one that cannot be written. numba needs a
folder for compiled code wherever the installation cannot be written, either.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from functools import cache
from pathlib import Path

CACHE, SETTINGS = ".cache", ".config"
BASES = {CACHE: "XDG_CACHE_HOME", SETTINGS: "XDG_CONFIG_HOME"}
"""Folders of a home, and the variables by which they lie elsewhere."""
LIBRARIES = {
    "NUMBA_CACHE_DIR": ("numba", [CACHE]),
    "MPLCONFIGDIR": ("matplotlib", [CACHE, SETTINGS]),
    "IR_DATASETS_HOME": (".ir_datasets", [""]),
}
"""The variable that tells a library of a folder -> its name in these folders of a home."""


def lend_folders() -> None:
    """Name temporary folders to libraries where those in the user's home cannot be written.

    What the environment says already holds. Where there is no temporary folder either, nothing is
    named. To be called by every way into mlbench, before the libraries are imported.
    """
    for variable, (name, bases) in LIBRARIES.items():
        if variable in os.environ or all(can_be_written(base, name) for base in bases):
            continue
        with contextlib.suppress(OSError):
            os.environ[variable] = str(temporary_folder() / name.lstrip("."))
            if variable == "NUMBA_CACHE_DIR" and "numba" in sys.modules:
                sys.modules["numba"].config.CACHE_DIR = os.environ[variable]


def can_be_written(base: str, name: str) -> bool:
    """Whether a folder of this name can be written, or made, in a folder of the user's home."""
    place = os.environ.get(BASES.get(base, ""))
    try:
        top = Path(place) if place else Path.home()
    except RuntimeError:  # the system does not know the user
        return False
    folder = top / name if place else top / base / name
    while folder != top and not folder.exists():
        folder = folder.parent
    made_for_us = bool(place) and not folder.exists()  # named by the user, who wants it to be made
    return made_for_us or (
        top.is_absolute() and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    )


@cache
def temporary_folder() -> Path:
    """Return a temporary folder that this user alone can write; it is there for later runs, too.

    Raises OSError where there is no place for one.
    """
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir()) / f"mlbench-{user}"
    if folder.parent == Path.cwd():  # the last resort of tempfile; a stranger's folder may hold it
        return Path(tempfile.mkdtemp(prefix="mlbench-"))
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    return folder if _is_private(folder) else Path(tempfile.mkdtemp(prefix="mlbench-"))


def _is_private(folder: Path) -> bool:
    """Whether a folder is this user's, and nobody else can write there: what it holds is run."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or not os.access(folder, os.W_OK | os.X_OK):
        return False
    return not hasattr(os, "getuid") or (
        found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o022
    )
