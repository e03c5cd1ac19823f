"""Which run files a pattern names, and which languages and pools their names stand for.

``{query_language}`` and ``{passage_language}`` in a path stand for a language of the task, the
second also for ``multilingual``, the pool of all languages.
"""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbench.common.errors import DataError, Fault, UsageError, did_you_mean, nearest
from mlbench.data.task import Kind, Roles, language_among, spellings

QUERY, PASSAGE = "query_language", "passage_language"
ALL_LANGUAGES = Kind.MULTILINGUAL.value
POOL_RULES = (Kind.MONOLINGUAL.value, Kind.CROSSLINGUAL.value, Kind.MULTILINGUAL.value)
"""What --pool takes beside a language; longer than any language code begins."""
EXAMPLE = "runs/{query_language}-{passage_language}.trec.gz"


@dataclass(frozen=True)
class Given:
    """A run file as given: the language of its queries, "" where its name does not say, and the
    pool that its queries search, a language or one of ``POOL_RULES``."""

    path: Path
    query_language: str
    pool: str


def find_runs(paths: Sequence[str], pools: Sequence[str], roles: Roles) -> list[Given]:
    """Return the files that paths with or without placeholders name, for a task's languages.

    ``pools`` holds one rule for all paths without ``{passage_language}``, one for each path, or
    none. Raises UsageError for a placeholder that there is not, a pool that is missing or unknown,
    a file named twice; DataError where no file has such a name.
    """
    pools = [language_among(pool, roles.passages) for pool in pools]
    _check_pools(paths, pools, roles.passages)
    if len(roles.passages) == 1 and not pools:
        pools = [*roles.passages]
    found: list[Given] = []
    for number, pattern in enumerate(paths):
        rule = "" if not pools else pools[number if len(pools) > 1 else 0]
        files = list(_expanded(pattern, _pool_rule(pattern, rule), roles))
        if not files:
            expected = "a run file of some language" if placeholders(pattern) else "a run file"
            raise DataError(Fault(pattern, "no such file", expected))
        found += files
    times = Counter(given.path for given in found)
    for path in (path for path, count in times.items() if count > 1):
        raise UsageError(Fault("--run", f"{path} is named {times[path]} times", "each file once"))
    return found


def _check_pools(paths: Sequence[str], pools: Sequence[str], languages: Sequence[str]) -> None:
    known = (*POOL_RULES, *languages)
    faults = [
        Fault("--pool", f"{pool!r}", ", ".join(known), nearest(pool, known))
        for pool in pools
        if pool not in known
    ]
    if len(pools) not in {0, 1, len(paths)}:
        found = f"{len(pools)} given for {len(paths)} of --run"
        faults.append(Fault("--pool", found, "one for all files, or one for each in their order"))
    if faults:
        raise UsageError(*faults)


def _pool_rule(path: str, rule: str) -> str:
    """Return the rule that holds for a path; the name of a file goes before --pool."""
    if PASSAGE in placeholders(path):
        return ""
    if rule:
        return rule
    raise UsageError(
        Fault(
            f"--run {path}",
            "it does not say which passages its queries search",
            "--pool monolingual (their own language's), multilingual (all), crosslingual (each "
            "language by itself) or a language",
            f"add --pool, or name the files by it, as in {EXAMPLE}",
        )
    )


def _expanded(path: str, rule: str, roles: Roles) -> Iterator[Given]:
    names = placeholders(path)
    for query in roles.queries if QUERY in names else [""]:
        for pool in (*roles.passages, ALL_LANGUAGES) if PASSAGE in names else [rule]:
            files = (
                Path(filled(path, {QUERY: asked, PASSAGE: searched}))
                for asked in spellings(query)
                for searched in spellings(pool)
            )
            file = next((file for file in files if file.is_file()), None)
            if file is not None:
                yield Given(file, query, pool)


def placeholders(path: str) -> frozenset[str]:
    """Return the placeholders in a path. Raises UsageError for one that there is not."""
    names = frozenset(re.findall(r"\{(\w*)\}", path))
    if Path(path).is_file():
        return frozenset()
    for name in sorted(names - {QUERY, PASSAGE}):
        known = f"{{{QUERY}}} and {{{PASSAGE}}}"
        mend = did_you_mean(name, (QUERY, PASSAGE))
        raise UsageError(Fault(path, f"{{{name}}} is not a known placeholder", known, mend))
    return names


def filled(path: str, values: Mapping[str, str]) -> str:
    """Return the path with its placeholders filled."""
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def matching_files(pattern: str) -> dict[tuple[str, str], Path]:
    """Return what the placeholders of a pattern stand for -> file, of all files that fit it.

    Without a placeholder, or without that one, "" stands for it. Raises DataError where none fits.
    """
    names = placeholders(pattern)
    found: dict[tuple[str, str], Path] = {}
    if not names:
        if Path(pattern).is_file():
            found["", ""] = Path(pattern)
    else:
        expression = re.compile(_expression(pattern))
        files = filled(glob.escape(pattern), {QUERY: "*", PASSAGE: "*"})
        anchor = Path(Path(files).anchor)
        for file in sorted(anchor.glob(str(Path(files).relative_to(anchor)))):
            if match := expression.fullmatch(str(file)):
                groups = match.groupdict()
                found[groups.get(QUERY, ""), groups.get(PASSAGE, "")] = file
    if not found:
        raise DataError(Fault(pattern, "no such file", "a run file, or files of that name"))
    return found


def _expression(pattern: str) -> str:
    """Return a regular expression for the paths that a pattern names."""
    seen: set[str] = set()
    parts = []
    for text in re.split(r"(\{\w+\})", str(Path(pattern))):
        name = text[1:-1]
        if not re.fullmatch(r"\{\w+\}", text):
            parts.append(re.escape(text))
        else:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)")
            seen.add(name)
    return "".join(parts)
