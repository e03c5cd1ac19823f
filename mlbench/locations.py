"""Which files a task names, and whether their locations can work; opens no file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlbench.errors import Fault, did_you_mean
from mlbench.task import Task

PLACEHOLDER = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Wanted:
    """A file that a task names: its role, its language ("" if for all), its path in the task."""

    role: str
    language: str
    name: str
    sha256: str | None
    url: str | None


def wanted_files(task: Task) -> Iterator[Wanted]:
    """Yield every file that a task names, by role, then language."""
    source = task.source
    for role in source.files:
        for language, name in source.paths(role, task.languages).items():
            url = source.url
            if url is not None:
                url = url.replace("{path}", name).replace("{language}", language)
            yield Wanted(role, language, name, source.sha256.get(name), url)


def check_locations(task: Task) -> list[Fault]:
    """Return what is wrong with a task's paths, ``url`` and ``sha256``; opens no file.

    A placeholder is ``{language}``, in ``url`` also ``{path}``. What is downloaded must have an
    http(s) address of its own, a pinned SHA-256, and a relative path without "..".
    """
    source = task.source
    patterns = {f"files.{role}": (path, ["{language}"]) for role, path in source.files.items()}
    if source.url is not None:
        patterns["url"] = (source.url, ["{language}", "{path}"])
    faults = [
        _fault(task, field, f"unknown placeholder {placeholder}", " or ".join(known))
        for field, (pattern, known) in patterns.items()
        for placeholder in sorted(set(PLACEHOLDER.findall(pattern)) - set(known))
    ]
    files = list(wanted_files(task))
    names = {file.name for file in files}
    for name in sorted(source.sha256.keys() - names):
        hint = did_you_mean(name, names)
        faults.append(_fault(task, "sha256", f"{name!r} is no file of the task", "a path", hint))
    if source.url is not None:
        faults += _check_downloads(task, source.url, files)
    return faults


def _check_downloads(task: Task, url: str, files: list[Wanted]) -> list[Fault]:
    faults = []
    if not url.startswith(("https://", "http://")):
        expected = "an address that begins with https:// or http://"
        faults.append(_fault(task, "url", f"{url!r}", expected))
    if len({file.url for file in files}) < len({file.name for file in files}):
        expected = "{path} or {language} in the address"
        faults.append(_fault(task, "url", "the same address for several files", expected))
    for file in files:
        path = PurePosixPath(file.name)
        if path.is_absolute() or ".." in path.parts or "\\" in file.name:
            expected = "a relative path without '..'"
            faults.append(_fault(task, f"files.{file.role}", f"{file.name!r}", expected))
        if file.sha256 is None:
            found, expected = f"no digest for {file.name!r}", "one for every file of a `url`"
            mend = "run sha256sum on a copy you trust, or leave `url` out"
            faults.append(_fault(task, "sha256", found, expected, mend))
    return faults


def _fault(task: Task, field: str, found: str, expected: str, mend: str = "") -> Fault:
    return Fault(f"{task.path}, field source.{field}", found, expected, mend)
