"""The files that a task names, and whether their locations can work."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from mlbench.common.errors import Fault, IntegrityError, did_you_mean
from mlbench.common.files import reading, sha256_of
from mlbench.data.checksums import RecordedChecksums, Stamp
from mlbench.data.task import IMAGE, SPELLING, Task, spellings

PLACEHOLDER = re.compile(r"\{[^{}]*\}")
LANGUAGES = ("{language}", "{passage-language}", "{id}")
"""What makes a path one of a file of each language: the language, that of the passages where the
role is another one's, and the name that ``[source.ids]`` gives the data of the language."""
PAIR = re.compile(r"\{(first|second)\}")
SHARD = re.compile(r"\{(shards?)(?::0([1-9]))?\}")
"""A shard's number, from 0, or how many there are, with leading zeros to a width if one is given:
``{shard}``, ``{shard:05}``, ``{shards:05}``."""
SEVERAL = "mul"
"""BCP 47's code for several languages: by it, ``shards`` tells how many files of all there are."""
HUB = re.compile(
    r"hf://datasets/(?P<repository>[^/@\s]+/[^/@\s]+)(@(?P<revision>[^/\s]+))?/(?P<path>.+)"
)
"""An address of a file in a data set of the Hugging Face hub."""


class Origin(StrEnum):
    """Where a file was found."""

    GIVEN = "absolute path"
    DATA = "data folder"
    TASK = "task's folder"
    CACHE = "cache"
    DOWNLOAD = "downloaded"


@dataclass(frozen=True)
class DataFile:
    """A file of one language ("" if of all), of one pair of languages where a task has pairs with
    files of their own, as a task names it and then as it was found.

    ``name`` is its path in the task, ``others`` are further paths where it may lie. It is at
    ``path`` on this machine, else at ``url``; neither where it is not at hand. What it must be is
    ``sha256``, or else what ``checksums`` recorded when it was first read; None for data of the
    user's own, which may change. ``size`` is in bytes; ``origin`` says how it was found.
    """

    language: str
    name: str
    path: Path | None = None
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    checksums: Path | None = None
    role: str = ""
    others: tuple[str, ...] = ()
    origin: Origin | None = None
    pair: tuple[str, str] | None = None

    @property
    def on_hub(self) -> bool:
        """Whether its address is one of the hub."""
        return HUB.fullmatch(self.url or "") is not None

    def digest(self) -> str | None:
        """Return the SHA-256 of the content, for a file of the hub what the hub says it is.

        Raises IntegrityError if it is not what it must be; records it on first use.
        """
        if self.path is None:
            return self.sha256
        with reading(self.path):
            stamp = Stamp(sha256_of(self.path), self.path.stat().st_size)
        if self.sha256 not in (None, stamp.sha256):
            found = f"has SHA-256 {stamp.sha256}"
            mend = "get the original file; if the change is intended, change the task's sha256"
            raise IntegrityError(Fault(str(self.path), found, f"SHA-256 {self.sha256}", mend))
        if self.sha256 is None and self.checksums is not None:
            RecordedChecksums(self.checksums).record(str(self.path.absolute()), stamp)
        return stamp.sha256

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        return str(self.path or self.url or self.name)


def wanted_files(task: Task) -> Iterator[DataFile]:
    """Yield every file that a task names, by role, then language, then shard."""
    source = task.source
    for role, pattern in source.files.items():
        for pair, language in _places(task, role, pattern):
            shards = source.shards.get(language or of_all(role), 0)
            count = shards if SHARD.search(pattern) else None
            written = [*_fillings(task, pair, language)]
            for shard in (None,) if count is None else range(count):
                name, *others = dict.fromkeys(
                    _resolved(place, filling, shard, count)
                    for place in (pattern, *source.places.get(role, ()))
                    for filling in written
                )
                url = source.url(role)
                if url is not None:
                    url = _resolved(url.replace("{path}", name), written[0], shard, count)
                yield DataFile(
                    role=role,
                    language=language,
                    pair=pair,
                    name=name,
                    sha256=source.sha256.get(name),
                    url=url,
                    others=tuple(others),
                )


def _places(task: Task, role: str, pattern: str) -> Iterator[tuple[tuple[str, str] | None, str]]:
    """Yield the pair and the language of each file of a role, None and "" for a file of all."""
    for pair in task.pairs if PAIR.search(pattern) else (None,):
        for language in _languages(task, role, pattern):
            if pair is None or not language or language in pair:
                yield pair, language


def _fillings(task: Task, pair: tuple[str, str] | None, language: str) -> Iterator[dict[str, str]]:
    """Yield what the placeholders of languages stand for, with each spelling of the language."""
    ids, spelled = task.source.ids, task.source.spelled
    first, second = (ids.get(code) or spelled.get(code, code) for code in pair or ("", ""))
    for spelling in spellings(language, spelled.get(language, "")):
        yield {
            "{language}": spelling,
            "{passage-language}": spelling,
            "{id}": ids.get(language, ""),
            "{first}": first,
            "{second}": second,
        }


def _languages(task: Task, role: str, pattern: str) -> tuple[str, ...]:
    """Return the languages that have a file of a role, "" where one file is of all; images have
    none of theirs."""
    if not by_language(pattern):
        return ("",)
    of = task.roles.queries if role in ("queries", "topics") else task.languages
    if "{passage-language}" in pattern or role in ("corpus", "qrels"):
        of = task.roles.passages
    return tuple(code for code in of if code != IMAGE)


def by_language(pattern: str) -> bool:
    """Whether a path is one of a file of each language."""
    return any(placeholder in pattern for placeholder in LANGUAGES)


def _resolved(pattern: str, filling: dict[str, str], shard: int | None, count: int | None) -> str:
    numbers = {"shard": shard, "shards": count}
    text = pattern
    for placeholder, stands_for in filling.items():
        text = text.replace(placeholder, stands_for)
    return SHARD.sub(lambda found: f"{numbers[found[1]] or 0:0{found[2] or 1}}", text)


def check_locations(task: Task, joined: Collection[str] = ()) -> list[Fault]:
    """Return what is wrong with a task's paths, addresses and digests; opens no file. Files of the
    roles ``joined`` may come in shards of all languages together.

    A placeholder is one of ``LANGUAGES`` or of shards, in an address also ``{path}``. What is
    downloaded must have an address of its own and a relative path without "..", and over
    http(s) also a pinned SHA-256.
    """
    source = task.source
    faults = []
    known = [*LANGUAGES, *(("{first}", "{second}") if task.pairs else ())]
    for role, pattern in source.files.items():
        for place in (pattern, *source.places.get(role, ())):
            faults += _check_placeholders(task, f"files.{role}", place, known)
    for role, url in source.urls.items():
        faults += _check_placeholders(task, "url", url, [*known, "{path}"])
        if role and role not in source.files:
            hint = did_you_mean(role, source.files)
            faults.append(
                source_fault(task, f"url.{role}", "no files of this role", "a role", hint)
            )
    faults += _check_shards(task, joined)
    files = list(wanted_files(task))
    names = {file.name for file in files}
    of_others = _of_any_language(task, {file.role for file in files if file.sha256 is None})
    for name in sorted(source.sha256.keys() - names):
        if of_others.fullmatch(name):
            continue  # of a language that the task does not have, or no more
        hint = did_you_mean(name, names)
        faults.append(
            source_fault(task, "sha256", f"{name!r} is not a file of the task", "a path", hint)
        )
    by_address: dict[str, list[DataFile]] = {}
    for file in files:
        if file.url is not None:
            by_address.setdefault(source.url(file.role) or "", []).append(file)
    for address, of_address in by_address.items():
        faults += _check_downloads(task, address, of_address)
    return faults


def _of_any_language(task: Task, incomplete: set[str]) -> re.Pattern[str]:
    """Return what the names of files by language look like, whatever the language.

    Where a file of a role has no digest, names of that role may be slips of the pen: these are not
    among them.
    """
    filled = dict.fromkeys((*LANGUAGES, "{first}", "{second}"), "[A-Za-z0-9_-]+")
    parts = [
        "".join(
            filled.get(part, r"\d+") if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[^}]*\})", pattern)
        )
        for role, pattern in task.source.files.items()
        if by_language(pattern) and role not in incomplete
    ]
    return re.compile("|".join(parts) or "(?!)")


def _check_placeholders(task: Task, field: str, pattern: str, known: list[str]) -> list[Fault]:
    return [
        source_fault(task, field, f"unknown placeholder {placeholder}", " or ".join(known))
        for placeholder in sorted(set(PLACEHOLDER.findall(pattern)) - set(known))
        if not SHARD.fullmatch(placeholder)
    ]


def _check_shards(task: Task, joined: Collection[str]) -> list[Fault]:
    """Find patterns with a shard but no number of shards, and the other way round."""
    source = task.source
    sharded = {role: pattern for role, pattern in source.files.items() if SHARD.search(pattern)}
    faults = []
    for role, pattern in sharded.items():
        if not by_language(pattern) and role not in joined:
            found = f"{pattern!r} holds no {{language}}"
            faults.append(source_fault(task, f"files.{role}", found, "shards of each language"))
        if not re.search(r"\{shard(:|\})", pattern):
            found = f"{pattern!r} holds no {{shard}}"
            faults.append(
                source_fault(task, f"files.{role}", found, "a path of its own for each shard")
            )
    whole = {of_all(role) for role in sharded if role in joined and not by_language(sharded[role])}
    faults += [
        source_fault(task, f"shards.{code}", "missing", "the number of shards of all languages")
        for code in sorted(whole - source.shards.keys())
    ]
    if any(by_language(pattern) for pattern in sharded.values()) or sharded.keys() - {*joined}:
        expected = "the number of shards of every language"
        faults += check_by_language(task, "shards", expected, whole)
    elif unneeded := sorted(source.shards.keys() - whole):
        found = "given, but no path holds {shard}"
        if whole:
            found = f"given for {', '.join(unneeded)}, and no path of these holds {{shard}}"
        faults.append(source_fault(task, "shards", found, "'folder/{language}/{shard}.jsonl.gz'"))
    return faults


def of_all(role: str) -> str:
    """Return what the number of shards of a role that are of all languages is called by: the
    language of images, or that of several languages."""
    return IMAGE if role == "images" else SEVERAL


def check_by_language(
    task: Task, field: str, expected: str, others: Collection[str] = ()
) -> list[Fault]:
    """Return what is wrong with the languages of a table of ``[source]``: all must be there, and
    ``others`` may.

    Others may be, too, in a copy of a task file that has some of its languages.
    """
    given = getattr(task.source, field)
    languages = [code for code in task.roles.passages if code != IMAGE]
    unknown = sorted(given.keys() - {*languages, *others})
    faults = [
        source_fault(task, f"{field}.{language}", "missing", expected, _near(language, unknown))
        for language in languages
        if language not in given
    ]
    for language in unknown:
        if SPELLING.fullmatch(language):
            continue
        hint = did_you_mean(language, languages)
        where = f"{field}.{language}"
        faults.append(source_fault(task, where, "not a language of the task", mend=hint))
    return faults


def _near(language: str, unknown: Sequence[str]) -> str:
    near = difflib.get_close_matches(language, unknown, n=1, cutoff=0.4)
    return f"{near[0]!r} is there, and no language of the task" if near else ""


def _check_downloads(task: Task, url: str, files: list[DataFile]) -> list[Fault]:
    faults = []
    hub = url.startswith("hf://")
    if not (url.startswith(("https://", "http://")) or HUB.fullmatch(url)):
        expected = (
            "an address that begins with https:// or http://, or "
            "hf://datasets/<owner>/<name>@<revision>/{path}"
        )
        faults.append(source_fault(task, "url", f"{url!r}", expected))
    if len({file.url for file in files}) < len({file.name for file in files}):
        expected = "{path} or {language} in the address"
        faults.append(source_fault(task, "url", "the same address for several files", expected))
    for file in files:
        path = PurePosixPath(file.name)
        if path.is_absolute() or ".." in path.parts or "\\" in file.name:
            expected = "a relative path without '..'"
            faults.append(source_fault(task, f"files.{file.role}", f"{file.name!r}", expected))
        if file.sha256 is None and not hub:
            found, expected = f"no digest for {file.name!r}", "one for every file of a `url`"
            mend = "run sha256sum on a copy you trust, or leave `url` out"
            faults.append(source_fault(task, "sha256", found, expected, mend))
    return faults


def source_fault(task: Task, field: str, found: str, expected: str = "", mend: str = "") -> Fault:
    """Return what is wrong with a field of the table ``[source]``."""
    return Fault(f"{task.path}, field source.{field}", found, expected, mend)
