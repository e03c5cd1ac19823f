"""What a file asks for that could do harm, such as running code: it happens at the user's own
word, never because a file says so.

The word is an argument of the command line or of a call, which goes before the file; or the
variable ``MLBENCH_TRUST``, which names files and folders; or `mlbench trust FILE`, which holds
until the file, or the code that it names, changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.common.errors import EnvironmentFault, Fault, UsageError
from mlbench.common.files import alone, reading, sha256_of, write_atomically

VARIABLE = "MLBENCH_TRUST"
SCHEMA = "mlbench/trusted/1"
FILE = "trusted.json"
NUMBA_SETTINGS = ".numba_config.yaml"
"""What numba reads in the current folder; it can name a folder of compiled code, which are pickles,
and nothing turns that off."""


@dataclass(frozen=True)
class Demand:
    """What a file asks for: the ``field`` that does, and ``what`` would happen.

    ``word`` is how the user says the same for one call, "" where there is no way. ``code`` are the
    files, as far as they are known, that would run: trust of the file is trust of these as they
    are.
    """

    file: Path
    field: str
    what: str
    word: str = ""
    code: tuple[Path, ...] = ()

    @property
    def place(self) -> str:
        """The file without links, which is the one that is trusted."""
        return str(self.file.resolve())

    @property
    def named_as(self) -> str:
        """The file, which may be a link, in its folder without links: what it names is beside."""
        return str(self.file.parent.resolve() / self.file.name)

    def digest(self) -> str:
        """SHA-256 (hex) over the file and the code that it names. Raises EnvironmentFault."""
        linked = "" if self.named_as == self.place else f"{self.named_as}\n"
        total = hashlib.sha256(f"{self.field}\n{linked}".encode())
        for path in (self.file, *sorted(self.code)):
            with reading(path):
                total.update(f"{sha256_of(path)}  {path.resolve()}\n".encode())
        return total.hexdigest()


def foreign_settings(file: Path = Path(NUMBA_SETTINGS)) -> list[Demand]:
    """Return what a library's own file of settings asks for, if there is such a file."""
    if file.name != NUMBA_SETTINGS or not file.is_file():
        return []
    what = "is read by numba, and can name a folder of compiled code that would be run"
    return [Demand(file, "", what)]


def refuse_untrusted(demands: Iterable[Demand]) -> None:
    """Raise UsageError with every demand that the user's own word does not cover."""
    faults = [_refusal(each) for each in demands if not is_trusted(each)]
    if faults:
        raise UsageError(*faults)


def is_trusted(demand: Demand) -> bool:
    """Say whether the environment, or `mlbench trust`, covers what a file asks for.

    A stranger's link to a trusted file is not: what the file names would be looked for beside it.
    Raises UsageError for paths in MLBENCH_TRUST that are not absolute, EnvironmentFault where the
    list of trusted files is broken, or others may write to it.
    """
    folders = [folder.resolve() for folder in _named()]
    both = (Path(demand.place), Path(demand.named_as))
    if all(any(path.is_relative_to(folder) for folder in folders) for path in both):
        return True
    known = read_trusted().get(demand.place, {}).get(demand.field)
    return known is not None and known == demand.digest()


def _named() -> list[Path]:
    """Return the files and folders of MLBENCH_TRUST."""
    given = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part.strip()]
    relative = [path for path in given if not path.is_absolute()]
    if relative:
        expected = f"absolute paths of files or folders, separated by {os.pathsep!r}"
        mend = f"{VARIABLE}={Path.cwd()} would trust what lies below this folder"
        raise UsageError(*(Fault(VARIABLE, repr(str(p)), expected, mend) for p in relative))
    return given


def _refusal(demand: Demand) -> Fault:
    own = f"{demand.word}, or " if demand.word else ""
    mend = (
        f"if you have read what it names and trust it, {own}run `mlbench trust {demand.file}`, or "
        f"set {VARIABLE} to the path of this file or of a folder above it"
    )
    where = f"{demand.file}, field {demand.field}" if demand.field else str(demand.file)
    return Fault(where, demand.what, "your own word, because a file cannot allow it", mend)


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Let Python processes that are started meanwhile import nothing from the current folder, which
    Python else puts before all others for them."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def config_folder() -> Path | None:
    """Return the folder of the user's own settings: ``MLBENCH_CONFIG``, else what the system has
    for it; None for a user without a home."""
    import platformdirs

    given = os.environ.get("MLBENCH_CONFIG")
    folder = Path(given or platformdirs.user_config_dir("mlbench", appauthor=False))
    return folder if folder.is_absolute() else None


def read_trusted() -> dict[str, dict[str, str]]:
    """Return what was trusted: file -> field -> digest.

    Raises EnvironmentFault where the list is broken, or others may write to it.
    """
    folder = config_folder()
    if folder is None or not (folder / FILE).exists():
        return {}
    path = folder / FILE
    with reading(path):
        _refuse_others(path)
        raw = path.read_bytes()
    try:
        table: Any = json.loads(raw)
        if table["schema"] != SCHEMA:
            raise ValueError
        return {str(file): dict(fields) for file, fields in table["files"].items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        expected = "what `mlbench trust` wrote"
        fault = Fault(str(path), "broken", expected, "delete it, and trust the files again")
        raise EnvironmentFault(fault) from None


def _refuse_others(path: Path) -> None:
    """Raise EnvironmentFault where somebody else could have written a file."""
    if os.name != "posix":
        return
    for each in (path, path.parent):
        status = each.stat()
        if status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022:
            expected = "a file and a folder of your own that nobody else may write to"
            mend = f"chmod go-w {each}" if status.st_uid == os.getuid() else "delete it"
            fault = Fault(str(each), "is not yours alone to write", expected, mend)
            raise EnvironmentFault(fault)


def trust(demands: Iterable[Demand]) -> None:
    """Remember that the user trusts what files ask for, as files and code are now.

    Raises EnvironmentFault where there is no folder for it, or it cannot be written.
    """
    digests = [(each.place, each.field, each.digest()) for each in demands]
    with alone(_own_file()):
        known = read_trusted()
        for place in {place for place, _, _ in digests}:
            known[place] = {field: digest for p, field, digest in digests if p == place}
        _write(known)


def withdraw(files: Iterable[Path]) -> None:
    """Forget that files were trusted. Raises UsageError for one that is not."""
    with alone(_own_file()):
        known = read_trusted()
        places = [str(file.resolve()) for file in files]
        unknown = [place for place in places if place not in known]
        if unknown:
            mend = "`mlbench trust` lists those that are"
            raise UsageError(*(Fault(p, "is not trusted", "a trusted file", mend) for p in unknown))
        _write({place: fields for place, fields in known.items() if place not in places})


def _own_file() -> Path:
    folder = config_folder()
    if folder is None:
        mend = f"set MLBENCH_CONFIG to a folder of your own, or use {VARIABLE}"
        raise EnvironmentFault(Fault("mlbench trust", "this user has no home folder", mend=mend))
    if not folder.exists():
        with reading(folder, "a folder that can be made"):
            folder.mkdir(parents=True, mode=0o700)
    return folder / FILE


def _write(known: dict[str, dict[str, str]]) -> None:
    path = _own_file()
    raw = json.dumps({"schema": SCHEMA, "files": known}, indent=1, sort_keys=True) + "\n"
    write_atomically(path, raw.encode("utf-8"), "MLBENCH_CONFIG")
    with reading(path):
        path.chmod(0o600)
