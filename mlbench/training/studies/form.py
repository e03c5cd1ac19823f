"""The file (TOML) of a study: its question, what is trained and varied, and the claims it tests.

``studies/`` holds those that come with mlbench. What stands in ``[train]`` and is varied in
``[grid]`` are fields of a file of ``mlbench train``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import shipped_folder
from mlbench.common.forms import (
    WORD,
    Takes,
    Wrong,
    fields_of,
    fill_form,
    form_path,
    if_only,
    one_of,
    read_toml,
)
from mlbench.data.suite import DIRECTION
from mlbench.data.task import NAME, Kind
from mlbench.measures.clip_score import CLIP_SCORE, CLIP_SCORES, JUDGED_CLIP_SCORE
from mlbench.measures.rank_measures import RANK_DISTANCE, is_rank_distance, parse_measure

OUTRANKING = "same-language"
"""The measure that is called same-language outranking."""
BASE = "base"
"""The baseline that is the base before it is trained."""
EVERY = "all"
"""An arm of a claim is held against all others."""


class Relation(StrEnum):
    """What a claim says of its arm and the others."""

    HIGHER = "higher"
    LOWER = "lower"
    SAME = "same"


def read_figure(value: Any) -> str:
    """Return ``kind:measure`` with the measure's own name. Raises ValueError, or Wrong."""
    kind, colon, measure = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not measure.strip():
        raise ValueError
    if not DIRECTION.fullmatch(kind):
        one_of(*map(str, Kind))(kind)
    of_the_pool = is_rank_distance(measure) or measure == OUTRANKING
    if of_the_pool and kind != Kind.MULTILINGUAL:
        raise Wrong(repr(value), f"multilingual:{measure}, which is of the mixed pool alone")
    if is_rank_distance(measure):
        return f"{kind}:{RANK_DISTANCE}"
    if measure in (OUTRANKING, *CLIP_SCORES):
        return str(value)
    try:
        return f"{kind}:{parse_measure(measure).name}"
    except UsageError as error:
        fault = error.faults[0]
        raise Wrong(repr(value), fault.expected or "a measure", fault.mend) from None


_NAMED = if_only(
    lambda v: isinstance(v, str) and NAME.fullmatch(v),
    "lower-case letters, digits, '.', '_' and '-'",
)
_FIGURE = Takes(
    "a kind of setting and a measure, such as 'multilingual:AP', or 'multilingual:rank-distance' "
    f"or 'multilingual:{OUTRANKING}', or of images 'text-to-image:{CLIP_SCORE}' or "
    f"'text-to-image:{JUDGED_CLIP_SCORE}'",
    read_figure,
)
_VALUES = if_only(lambda v: isinstance(v, list) and v, "a list that is not empty")
_SEEDS = if_only(
    lambda v: isinstance(v, list) and v and all(type(n) is int for n in v) and len({*v}) == len(v),
    "a list of distinct whole numbers",
)
_MARGIN = if_only(
    lambda v: type(v) in (int, float) and v > 0, "a number above 0, in units of the figure"
)


@dataclass(frozen=True)
class Elsewhere:
    """The table ``[elsewhere.NAME]``: an arm that was trained elsewhere, one model a seed.

    ``models`` are evaluated here; ``reports`` are folders with a model's reports. ``languages`` are
    those it was trained on, where known.
    """

    models: tuple[Annotated[str, WORD], ...] = ()
    reports: tuple[Annotated[str, WORD], ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """The table ``[claims.NAME]``: what is said of ``figure``, that ``arm`` has it higher than, or
    lower than, or within ``within`` the same as, each arm of ``than`` (all others: "all").

    ``paper`` are the figures of a publication by where they stand there: that of the arm, then
    those of ``than``.
    """

    says: Annotated[str, WORD]
    figure: Annotated[str, _FIGURE]
    arm: Annotated[str, WORD]
    relation: Relation = Relation.HIGHER
    than: tuple[Annotated[str, WORD], ...] = (EVERY,)
    within: Annotated[float, _MARGIN] | None = None
    source: str = ""
    paper: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyForm:
    """A study file. ``reach`` is a score in the evaluations in training: the report says after how
    many seconds each arm first had it."""

    name: Annotated[str, _NAMED]
    title: Annotated[str, WORD]
    question: Annotated[str, WORD]
    tasks: Annotated[tuple[Annotated[str, WORD], ...], _VALUES]
    train: dict[str, Any]
    grid: dict[str, Annotated[Any, _VALUES]]
    seeds: Annotated[tuple[int, ...], _SEEDS]
    measure: Annotated[str, WORD] = "AP"
    baselines: tuple[Annotated[str, WORD], ...] = ()
    keep_models: bool = True
    reach: Annotated[float, _MARGIN] | None = None
    elsewhere: dict[str, Elsewhere] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    notes: tuple[Annotated[str, WORD], ...] = ()
    citation: str = ""


def studies_folder() -> Path:
    """Return the folder of the built-in studies."""
    return shipped_folder("studies")


def list_studies() -> list[str]:
    """Return the names of the built-in studies, sorted."""
    return sorted(path.stem for path in studies_folder().glob("*.toml"))


def study_path(name_or_path: str | Path) -> Path:
    """Return the file of the built-in study of that name, or the path that is given.

    Raises UsageError where there is none.
    """
    return form_path(name_or_path, studies_folder(), "study")


def parse_study(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    tasks: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> StudyForm:
    """Read a study file, with ``changes`` of what is trained or varied, and other tasks and seeds
    where they are given. Raises DataError with all faults of its form at once."""
    table = read_toml(path, "a study file (TOML)", DataError)
    for name, value in (changes or {}).items():
        of = next((of for of in ("grid", "train") if name in (table.get(of) or {})), "train")
        table[of] = {**(table.get(of) or {}), name: value}
    given = {"tasks": tasks and [*tasks], "seeds": seeds and [*seeds]}
    table |= {name: value for name, value in given.items() if value}
    return fill_form(StudyForm, table, fields_of(path), DataError, _across(path, table))


def _across(path: Path, table: dict[str, Any]) -> Iterator[Fault]:
    """Find what is wrong between fields."""
    place, name, grid = fields_of(path), table.get("name"), table.get("grid")
    if isinstance(name, str) and NAME.fullmatch(name) and name != path.stem:
        mend = f"call the file {name}.toml, or the study {path.stem!r}"
        yield Fault(place("name"), repr(name), repr(path.stem), mend)
    if grid == {}:
        yield Fault(place("grid"), "nothing is varied", "a field and its values", "alpha = [0, 1]")
    train = table.get("train")
    for where, of in (("grid", grid), ("train", train)):
        if isinstance(of, dict) and {"seed", "seeds"} & of.keys():
            yield Fault(place(f"{where}.seed"), "given here", "the list `seeds` of the study")
    if isinstance(grid, dict) and isinstance(train, dict):
        for axis in grid.keys() & train.keys():
            found = "given in [train], too"
            yield Fault(place(f"grid.{axis}"), found, "a field that is fixed or varied, not both")
    evaluated = any(isinstance(of, dict) and "evaluate" in of for of in (train, grid))
    if "reach" in table and not evaluated:
        expected = "a task, as `reach` asks for a score of evaluations in training"
        yield Fault(place("train.evaluate"), "missing", expected)
    for key, of in _tables(table, "elsewhere"):
        if not of.get("models") and not of.get("reports"):
            yield Fault(place(f"elsewhere.{key}"), "no model", "`models` or `reports`")
    for key, of in _tables(table, "claims"):
        if (of.get("relation") == Relation.SAME) != ("within" in of):
            where = place(f"claims.{key}.within")
            yield Fault(where, "missing" if "within" not in of else "given",
                        "with relation 'same', and with no other")  # fmt: skip


def _tables(table: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    of = table.get(name)
    return [(k, v) for k, v in of.items() if isinstance(v, dict)] if isinstance(of, dict) else []
