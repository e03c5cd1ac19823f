"""``mlbench doctor``: what this installation runs on, on one screen, for a report of a problem."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from mlbench import __version__
from mlbench.commands.options import shared
from mlbench.commands.output import WIDTH, fact_lines, print_json
from mlbench.commands.tasks import data_at_hand
from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import MlbenchError
from mlbench.common.files import cache_folder
from mlbench.common.hardware import hardware, physical_memory
from mlbench.common.sizes import short_size
from mlbench.common.terminal import fill
from mlbench.models.cache import size_limit

DISTRIBUTION = "mlbench-retrieval"
GIVES = {
    "sentence-transformers": "neural models, from folders and the hub",
    "docs": "the documentation site",
    "mteb": "models of MTEB, tasks for it, its results",
    "onnx": "ONNX models, without torch",
    "peft": "checkpoints with adapters",
    "ir-datasets": "tasks of ir_datasets ids",
    "train": "mlbench train and study",
    "track": "mlbench track, to MLflow and TensorBoard",
    "ray": "runs and studies over several machines",
    "test": "the test suite",
}
"""What an extra of the installation is for."""
CORE = ("numpy", "numba", "scipy", "pyarrow", "datasets", "torch", "transformers")
"""Packages whose version is shown, where they are installed."""
INDENT = " " * 34
PATHS = ("MLBENCH_DATA", "MLBENCH_CACHE", "HF_HOME")
WORDS = (
    "MLBENCH_CACHE_SIZE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE",
)  # fmt: skip
HIDDEN = ("MLBENCH_TRUST", "MLBENCH_CONFIG", "OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN",
          "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY")  # fmt: skip
"""Variables of the environment that change what mlbench does; of the last only that they are set
is said, because their values may hold a secret."""


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `doctor`."""
    shared(parser, "--data-dir", "--json")


def doctor(args: Namespace) -> int:
    """Show versions, devices, libraries, the cache, data at hand, and extras."""
    facts = {
        "mlbench": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "packages": {name: found for name in CORE if (found := _version(name))},
        "unsuited": _unsuited(),
        "machine": _machine(),
        "blas": _blas(),
        "cache": _cache(),
        "data": _data(args.data_dir),
        "extras": _extras(),
        "environment": _environment(),
    }
    if args.json:
        print_json(facts)
    else:
        print(_screen(facts))
    return 0


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    """Return the processor, its memory, and the devices that torch finds, where it is installed."""
    torch = None
    if find_spec("torch"):
        try:
            torch = import_module("torch")
        except (ImportError, OSError) as error:
            return _hardware() | {"devices": f"torch cannot be imported: {error}"}
    if torch is None:
        return _hardware() | {"devices": "unknown: torch is not installed"}
    other = "mps" if torch.backends.mps.is_available() else None
    names = list(hardware().gpus) or ([other] if other else [])
    return _hardware() | {"devices": ", ".join(names) or "no GPU that torch can use"}


def _hardware() -> dict[str, Any]:
    import llvmlite.binding

    found = hardware()
    return {
        "processor": found.processor,
        "kind": llvmlite.binding.get_host_cpu_name(),
        "cores": found.cores,
        "usable": found.usable,
        "memory": physical_memory(),
    }


def _blas() -> list[str]:
    """Return the libraries that multiply matrices or start threads, as they were loaded."""
    import numpy as np
    import scipy.linalg  # noqa: F401 - loads the BLAS of scipy
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    shown = []
    for library in threadpool_info():
        kernel = f", kernel {library['architecture']}" if library.get("architecture") else ""
        name = f"{library['internal_api']} {library.get('version') or ''}".strip()
        shown.append(f"{name}{kernel}, {plural(library['num_threads'], 'thread')}")
    return sorted({*shown})


def _cache() -> dict[str, Any]:
    folder = cache_folder()
    there = next(each for each in (folder, *folder.parents) if os.access(each, os.F_OK))
    try:
        parts = sorted(part.name for part in os.scandir(folder) if part.is_dir())
    except FileNotFoundError:
        parts = []
    except OSError as error:
        return {"folder": _short(folder), "fault": f"cannot be read: {error.strerror}"}
    try:
        limit: int | str = size_limit()
    except MlbenchError as error:
        limit = _said(error)
    free = shutil.disk_usage(there).free
    sizes = {part: _size(folder / part) for part in parts}
    return {"folder": _short(folder), "bytes": sizes, "embeddings_limit": limit, "free": free}


def _size(folder: Path) -> int:
    """Return the bytes of the files below a folder, as far as they may be seen and are still there
    when their turn comes: another process may be cleaning up."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += Path(place, name).stat().st_size
    return size


def _said(error: MlbenchError) -> str:
    """Return what is wrong, on one line."""
    return "; ".join(f"{each.where}: {each.found}" for each in error.faults)


def _data(folder: Path | None) -> dict[str, Any]:
    """Return which tasks' data is on this machine, or why that cannot be said."""
    try:
        at_hand = data_at_hand(folder)
    except MlbenchError as error:
        return {"fault": _said(error)}
    words = {"yes": "whole", "part": "part"}
    found: dict[str, list[str]] = {"whole": [], "part": []}
    for task, here in at_hand:
        if here.shown in words:
            found[words[here.shown]].append(task.name)
    return {"tasks": len(at_hand)} | found


def _requirements() -> tuple[list[str], list[Requirement]]:
    """Return the extras of the installed distribution, and what it and they need."""
    try:
        names = metadata(DISTRIBUTION).get_all("Provides-Extra") or []
        return names, [Requirement(line) for line in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:  # imported from a folder that is not installed
        return [], []


def _unsuited() -> list[dict[str, Any]]:
    """Return the packages that are there in a version which is not allowed: what is found, what is
    needed, and by which extras; none are named where mlbench itself needs it."""
    names, needs = _requirements()
    rows: dict[str, dict[str, Any]] = {}
    for need in needs:
        found = _version(need.name)
        if found is None or need.specifier.contains(found, prereleases=True):
            continue
        always, *asked = (
            need.marker is None or need.marker.evaluate({"extra": name}) for name in ("", *names)
        )
        extras = [] if always else [name for name, asks in zip(names, asked, strict=True) if asks]
        if always or extras:
            wanted = f"{need.name}{need.specifier}"
            row = {"package": need.name, "found": found, "needed": str(need.specifier)}
            rows.setdefault(wanted, row | {"extras": []})["extras"] += extras
    return list(rows.values())


def _extras() -> dict[str, dict[str, Any]]:
    """Return, by extra, what it gives, and which of its packages are missing or unsuited."""
    names, needs = _requirements()

    def needed(extra: str) -> Iterator[Requirement]:
        """Yield what an extra needs beside what mlbench itself does."""
        for need in needs:
            if not need.marker or "extra ==" not in str(need.marker):
                continue
            if need.marker.evaluate({"extra": extra}):
                if need.name == DISTRIBUTION:
                    for other in need.extras:
                        yield from needed(other)
                else:
                    yield need

    return {
        name: {"gives": GIVES.get(name, ""), "missing": _missing(needed(name))} for name in names
    }


def _missing(needs: Iterable[Requirement]) -> list[str]:
    return [
        f"{need.name}{need.specifier}"
        for need in needs
        if (found := _version(need.name)) is None
        or not need.specifier.contains(found, prereleases=True)
    ]


def _environment() -> dict[str, str]:
    found = {name: _short(Path(os.environ[name])) for name in PATHS if os.environ.get(name)}
    found |= {name: os.environ[name] for name in WORDS if os.environ.get(name)}
    return found | {name: "set" for name in HIDDEN if os.environ.get(name)}


def _short(path: Path) -> str:
    """Return a path without the name of the user's home."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def _screen(facts: Mapping[str, Any]) -> str:
    machine, cache, data = facts["machine"], facts["cache"], facts["data"]
    memory = short_size(machine["memory"]) if machine["memory"] else "unknown memory"
    packages = ", ".join(f"{name} {found}" for name, found in facts["packages"].items())
    lines = [
        ("mlbench", f"{facts['mlbench']}, {facts['python']}, {facts['system']}"),
        ("packages", packages),
        ("processor", f"{machine['processor']} ({machine['kind']}), {machine['usable']} of "
                      f"{plural(machine['cores'], 'core')} may be used, {memory}"),
        ("devices", machine["devices"]),
        *(("blas", library) for library in facts["blas"]),
        ("cache", _cache_in_words(cache)),
        ("data", data.get("fault") or _data_in_words(data)),
    ]  # fmt: skip
    if environment := facts["environment"]:
        shown = ", ".join(f"{name}={value}" for name, value in environment.items())
        lines.append(("variables", shown.replace("=set", " is set")))
    parts = (fact_lines(lines), _unsuited_in_words(facts["unsuited"]))
    return "\n\n".join([*filter(None, parts), _extras_in_words(facts["extras"])])


def _unsuited_in_words(unsuited: Sequence[Mapping[str, Any]]) -> str:
    """Say which versions do not suit, and the command that mends it; "" where all do."""
    if not unsuited:
        return ""
    said = []
    for row in unsuited:
        *others, last = row["extras"] or [""]
        several = f"the extras {', '.join(others)} and {last} need"
        needs = several if others else f"the extra {last} needs" if last else "mlbench needs"
        said.append(f"{row['package']} {row['found']} is installed, but {needs} {row['needed']}.")
    wanted = shlex.join(f"{row['package']}{row['needed']}" for row in unsuited)
    return f"{fill(' '.join(said))}\nThis command mends it:\n  pip install {wanted}"


def _cache_in_words(cache: Mapping[str, Any]) -> str:
    if "fault" in cache:
        return f"{cache['folder']} {cache['fault']}"
    parts = [f"{name} {short_size(size)}" for name, size in cache["bytes"].items() if size]
    limit = cache["embeddings_limit"]
    most = f"at most {short_size(limit)}" if isinstance(limit, int) else limit
    held = ", ".join(parts) or "empty"
    return f"{cache['folder']}: {held}; embeddings {most}; {short_size(cache['free'])} free on disk"


def _data_in_words(data: Mapping[str, Any]) -> str:
    part = f"; parts of {', '.join(data['part'])}" if data["part"] else ""
    whole, names = len(data["whole"]), ", ".join(data["whole"])
    return (
        f"{whole} of {plural(data['tasks'], 'task')} {agreeing(whole, 'is', 'are')} on this "
        f"machine: {names}{part}"
    )


def _extras_in_words(extras: Mapping[str, Mapping[str, Any]]) -> str:
    if not extras:
        return f"The package {DISTRIBUTION} is not installed, so its extras are unknown."
    rows = [f"{'extra':<23}{'installed':<11}gives"]
    for name, extra in extras.items():
        missing = extra["missing"]
        rows.append(f"{name:<23}{'no' if missing else 'yes':<11}{extra['gives']}")
        if missing:
            said = f"missing: {', '.join(missing)}"
            rows.append(
                textwrap.fill(said, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT,
                              break_on_hyphens=False)
            )  # fmt: skip
    return "\n".join(rows)
