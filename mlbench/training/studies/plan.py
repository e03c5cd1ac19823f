"""What a study does: its arms, which are ways to train, and its cells, an arm with a seed each."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, nearest
from mlbench.common.files import slug
from mlbench.training.studies.form import EVERY, Claim, StudyForm, parse_study, study_path

T = TypeVar("T")


@dataclass(frozen=True)
class Arm:
    """A way to train: a point of the grid.

    ``x`` is its place on the first axis, None where that is no quantity; ``series`` says where it
    stands on the other axes, "" where there are none. ``config`` are fields of a training, without
    the seed.
    """

    label: str
    point: Mapping[str, Any]
    config: Mapping[str, Any]
    x: float | None
    series: str

    @property
    def folder(self) -> str:
        """What its folder is called."""
        return slug("-".join(self.label.replace(",", " ").split()))


@dataclass(frozen=True)
class Cell:
    """One model to train and to evaluate."""

    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """How it is called, and its folder below that of the cells."""
        return f"{self.arm.folder}/seed-{self.seed}"

    @property
    def config(self) -> dict[str, Any]:
        """The fields of its training."""
        return {**self.arm.config, "seed": self.seed}


@dataclass(frozen=True)
class Study:
    """A study: its file, its arms in the order of the grid."""

    path: Path
    form: StudyForm
    arms: tuple[Arm, ...]

    @property
    def name(self) -> str:
        """The study's name."""
        return self.form.name

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, the seeds of a study one after the other, so that a part of them says of all
        arms something."""
        return tuple(Cell(arm, seed) for seed in self.form.seeds for arm in self.arms)

    @property
    def axis(self) -> str:
        """What is varied first, as a plot names it."""
        return _words(next(iter(self.form.grid)))

    @cached_property
    def digest(self) -> str:
        """What tells a study from another: its name, what is always trained, and its tasks. More
        values of the grid, more seeds and other claims leave it the same study."""
        return digest_of([self.form.name, self.form.train, self.form.tasks, self.form.measure])

    def cell_digest(self, cell: Cell) -> str:
        """Return what a finished cell must have been made of."""
        return digest_of([self.digest, cell.config])

    def model_digest(self, spec: str) -> str:
        """Return what a model that was not trained here must have been evaluated as."""
        return digest_of([self.digest, spec])


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a value as JSON; numbers are equal where their values are."""
    plain = json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return float(value) if type(value) is int else value


def load_study(
    name_or_path: str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    tasks: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> Study:
    """Return the built-in study of that name, or that of a file.

    ``changes`` are other values of what is trained, or lists of values of what is varied; ``tasks``
    and ``seeds`` are others than the file's. Claims of the file about arms that are not trained
    then are not tested, and the study's notes say so. Raises UsageError where there is none,
    DataError with all faults of its form, of its grid and of the arms that its claims name.
    """
    path = study_path(name_or_path)
    form = parse_study(path, changes or {}, tasks, seeds)
    if changes:
        form = _without_lost_claims(form, parse_study(path))
    form = _with_labels(form)
    arms = tuple(_arms(form))
    labels = [arm.label for arm in arms]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    faults = [Fault(f"{path}, field grid", f"two arms are {each!r}", "one") for each in twice]
    known = (*labels, *form.elsewhere, *form.baselines)
    for name, claim in form.claims.items():
        faults += _claim_faults(f"{path}, field claims.{name}", claim, known)
    if faults:
        raise DataError(*faults)
    return Study(path, form, arms)


def _without_lost_claims(form: StudyForm, own: StudyForm) -> StudyForm:
    """Return a changed form without the claims that name an arm which ``own``, the file as it is,
    has and the changed one has not, or two that are one now."""
    known = _names(form)
    lost = _names(own).keys() - known.keys()
    notes, claims = [], {}
    for name, claim in form.claims.items():
        others = {known.get(other, other) for other in claim.than}
        if arms := lost & {claim.arm, *claim.than}:
            why = f"{' and '.join(sorted(arms))} is not trained here"
        elif claim.arm in known and known[claim.arm] in others:
            why = f"{known[claim.arm]} would be held against itself"
        else:
            claims[name] = claim
            continue
        notes.append(f"The claim {name!r} is not tested: {why}.")
    return replace(form, claims=claims, notes=(*form.notes, *notes))


def _with_labels(form: StudyForm) -> StudyForm:
    """Return a form whose claims name arms by their labels, where they name them by their place."""
    known = _names(form)
    claims = {
        name: replace(
            claim,
            arm=known.get(claim.arm, claim.arm),
            than=tuple(known.get(other, other) for other in claim.than),
        )
        for name, claim in form.claims.items()
    }
    return replace(form, claims=claims)


def _names(form: StudyForm) -> dict[str, str]:
    """Return the label of each arm by all that a claim may call it."""
    of_axes = [_names_on(axis, values).items() for axis, values in form.grid.items()]
    return {
        ", ".join(name for name, _ in parts): ", ".join(label for _, label in parts)
        for parts in itertools.product(*of_axes)
    }


EXTREMES: Mapping[str, Callable[..., float]] = {
    "largest": max,
    "smallest": min,
    "most": max,
    "fewest": min,
}
"""What a claim may say before the name of an axis, for the value at its end."""


def _names_on(axis: str, values: Sequence[Any]) -> dict[str, str]:
    """Return the label of each value of an axis by all that a claim may call it: by the label, by
    its place on the axis, and a table by its fields where no other value has the same.

    >>> _names_on("batch_size", [32, 64])["largest batch size"]
    'batch size 64'
    >>> _names_on("budget", [{"pairs": 100}, {"seconds": 5}])["pairs"]
    'pairs 100'
    """
    labels = [value_label(axis, value, values) for value in values]
    places = _places(values)
    names: dict[str, str] = {}
    if None not in places:
        for word, extreme in EXTREMES.items():
            names[f"{word} {_words(axis)}"] = labels[places.index(extreme(places))]
    fields = [
        " ".join(map(_words, value)) if isinstance(value, Mapping) else "" for value in values
    ]
    for name, label in zip(fields, labels, strict=True):
        if name and fields.count(name) == 1:
            names[name] = label
    return names | {label: label for label in labels}


def _claim_faults(where: str, claim: Claim, known: Sequence[str]) -> Iterator[Fault]:
    for label in (claim.arm, *(each for each in claim.than if each != EVERY)):
        if label not in known:
            expected = f"one of {'; '.join(known)}"
            yield Fault(where, f"no arm is {label!r}", expected, nearest(label, known))
    if claim.arm in claim.than:
        yield Fault(where, f"{claim.arm!r} is held against itself", "other arms")
    if EVERY not in claim.than:
        for place, values in claim.paper.items():
            if len(values) != 1 + len(claim.than):
                expected = f"{1 + len(claim.than)}, of the arm and of each in `than`"
                yield Fault(f"{where}.paper, {place}", f"{plural(len(values), 'figure')}", expected)


def _arms(form: StudyForm) -> Iterator[Arm]:
    axes = list(form.grid)
    along = form.grid[axes[0]]
    places = dict(zip(map(_key, along), _places(along), strict=True))
    for values in itertools.product(*form.grid.values()):
        point = dict(zip(axes, values, strict=True))
        config = dict(form.train)
        for axis, value in point.items():
            config |= value if is_bundle(axis, value) else {axis: value}
        labels = [value_label(axis, value, form.grid[axis]) for axis, value in point.items()]
        yield Arm(", ".join(labels), point, config, places[_key(values[0])], ", ".join(labels[1:]))


PROPORTIONS = "proportions"


def is_bundle(axis: str, value: Any) -> bool:
    """Say whether a value of an axis sets several fields at once: a table, but for that of the
    field ``proportions``, which is a table itself."""
    return isinstance(value, Mapping) and axis != PROPORTIONS


def value_label(axis: str, value: Any, values: Sequence[Any] = ()) -> str:
    """Return how a value of an axis is called; lists by their length where that tells those of all
    ``values`` apart.

    >>> value_label("batch_size", 32), value_label("languages", ["de", "en"])
    ('batch size 32', '2 languages')
    >>> value_label("proportions", {"mono": 0.5, "mixed": 0.5})
    'mono 0.5 mixed 0.5'
    """
    if isinstance(value, Mapping):
        return " ".join(f"{_words(name)} {_shown(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        alike = [each for each in values if isinstance(each, list) and len(each) == len(value)]
        listed = f": {' '.join(map(_shown, value))}" if len(alike) > 1 else ""
        return f"{len(value)} {_words(axis)}{listed}"
    return f"{_words(axis)} {_shown(value)}"


def _words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _places(values: Sequence[Any]) -> list[float | None]:
    """Return where the values of an axis stand on it: numbers, or the lengths of lists; None where
    they are no quantities, or two of them are the same."""
    sizes = [len(value) if isinstance(value, list) else value for value in values]
    if any(type(size) not in (int, float) for size in sizes) or len({*sizes}) < len(sizes):
        return [None] * len(values)
    return [float(size) for size in sizes]


def _key(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def part_of(every: Sequence[T], shard: tuple[int, int] | None) -> Sequence[T]:
    """Return part i of n, counted from 1."""
    return every if shard is None else every[shard[0] - 1 :: shard[1]]
