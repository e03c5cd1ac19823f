"""What was counted of a training set's overlap with a task, and how it is kept as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.common.counts import NAMED, listed, plural
from mlbench.common.errors import DataError, Fault
from mlbench.common.files import reading
from mlbench.common.forms import fill_form
from mlbench.data.task import IMAGE

SCHEMA = "mlbench/overlap/1"
TRAINING_FILE = "training.json"
"""The record of a training in the folder of its model."""
TRAINING_SCHEMA = "mlbench/training/1"


def in_languages(codes: Sequence[str]) -> str:
    """Return languages as a sentence names them; many are only counted, and images are no language.

    >>> in_languages(["de", "en", IMAGE]), in_languages([IMAGE])
    ('de, en and the images', 'the images')
    """
    texts = [code for code in codes if code != IMAGE]
    images = ["the images"] * (len(texts) < len(codes))
    if len(texts) <= NAMED:
        return listed([*texts, *images])
    return listed([plural(len(texts), "language"), *images])


@dataclass(frozen=True)
class Count:
    """How many of the ``texts`` of a role and language are training text: ``exact`` ones but for
    case, blanks and Unicode form, and ``near`` ones, which are similar."""

    role: str
    language: str
    texts: int
    exact: int
    near: int

    @property
    def share(self) -> float:
        """The share of texts that are one or the other."""
        return (self.exact + self.near) / max(self.texts, 1)


@dataclass(frozen=True)
class Example:
    """An evaluated text, and the training text that is most similar to it."""

    role: str
    language: str
    text: str
    training_role: str
    training_language: str
    training_text: str
    similarity: float


@dataclass(frozen=True)
class Overlap:
    """What a task's evaluated texts and a training set have in common.

    ``training_texts`` is the number of distinct training texts, ``training_languages`` those that
    were read, ``threshold`` the least similarity of a near-duplicate: the Jaccard similarity of
    trigrams of characters. The digests are those of the data.
    """

    training: str
    training_digest: str
    training_texts: int
    task: str
    version: str
    digest: str
    threshold: float
    counts: tuple[Count, ...]
    examples: tuple[Example, ...] = ()
    training_languages: tuple[str, ...] = ()

    def within(self, languages: Sequence[str]) -> Overlap:
        """Return what was counted of some languages of the task."""
        counts = tuple(count for count in self.counts if count.language in languages)
        examples = tuple(each for each in self.examples if each.language in languages)
        return dataclasses.replace(self, counts=counts, examples=examples)

    def total(self, role: str | None = None) -> Count:
        """Return the counts of a role, or of both, over all languages."""
        chosen = [count for count in self.counts if role in (None, count.role)]
        sums = (sum(getattr(c, name) for c in chosen) for name in ("texts", "exact", "near"))
        return Count(role or "", "", *sums)

    @property
    def fault(self) -> Fault | None:
        """What is wrong with such a training set for this task; None where nothing is found."""
        total = self.total()
        if not total.exact and not total.near:
            return None
        found = (
            f"holds {total.exact:,} of the {total.texts:,} questions and passages of {self.task}, "
            f"and {total.near:,} more nearly{self._where()}"
        )
        expected = "training text that has nothing in common with what is evaluated"
        return Fault(f"training set {self.training}", found, expected)

    def _where(self) -> str:
        """Return in which of the compared languages anything is found, unless in all of them."""
        every = {count.language for count in self.counts}
        found = [count.language for count in self.counts if count.exact or count.near]
        held = tuple(dict.fromkeys(found))
        return f", all in {in_languages(held)}" if len(held) < len(every) else ""

    @property
    def warning(self) -> str:
        """The same as a sentence; "" where nothing is found."""
        fault = self.fault
        if fault is None:
            return ""
        return f"The {fault.where} {fault.found}, so it was trained on what is evaluated."

    def values(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        values = {"schema": SCHEMA, **dataclasses.asdict(self)}
        for name in ("counts", "examples", "training_languages"):
            values[name] = [*values[name]]
        return values


def read_overlaps(path: Path) -> list[Overlap]:
    """Read what ``mlbench overlap --json`` printed, or the ``training.json`` of a trained model.

    Raises EnvironmentFault where the file cannot be read, DataError where it holds neither.
    """
    with reading(path, "what `mlbench overlap --json` printed"):
        text = path.read_text(encoding="utf-8")
    try:
        said = json.loads(text)
        rows = said["overlap"] if isinstance(said, dict) else said
        schemas = {row.pop("schema") for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        schemas = {None}
    if schemas - {SCHEMA}:
        expected = "what `mlbench overlap --json` printed, or a training.json"
        raise DataError(Fault(str(path), f"not {SCHEMA}", expected))
    return overlaps_of(rows, str(path))


def overlaps_of(rows: Sequence[Any], where: str) -> list[Overlap]:
    """Return what rows of JSON tell, but for their schema. Raises DataError for what they lack, and
    for counts that cannot be."""
    found = [
        fill_form(Overlap, row, lambda key, n=n: f"{where}, [{n}].{key}", DataError)  # type: ignore[misc]
        for n, row in enumerate(rows)
    ]
    faults = [
        Fault(f"{where}, [{n}].counts[{i}]", *fault)
        for n, each in enumerate(found)
        for i, count in enumerate(each.counts)
        if (fault := _fault(count, each.counts[:i]))
    ]
    if faults:
        raise DataError(*faults[:20])
    return found


def _fault(count: Count, before: Sequence[Count]) -> tuple[str, str] | None:
    if not 0 <= min(count.exact, count.near) <= count.exact + count.near <= count.texts:
        found = f"{count.exact} exact and {count.near} near of {plural(count.texts, 'text')}"
        return found, "no number below 0, and no more than there are texts"
    if any((each.role, each.language) == (count.role, count.language) for each in before):
        return f"{count.role} {count.language} again", "each role and language once"
    return None


def training_record(folder: str | Path) -> dict[str, Any] | None:
    """Return what the record of a training in a model's folder holds; None where there is none, or
    that of another program.

    Raises EnvironmentFault where it may not be read, DataError where it is not JSON.
    """
    path = Path(folder, TRAINING_FILE)
    try:
        there = path.is_file()
    except OSError:  # what names the model is too long for a path
        there = False
    if not there:
        return None
    with reading(path, "the record of a training"):
        content = path.read_bytes()
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        raise DataError(Fault(str(path), "not JSON", "the record of a training")) from None
    ours = isinstance(record, dict) and record.get("schema") == TRAINING_SCHEMA
    return record if ours else None
