"""What a model's card states: the figures of mlbench in it, and those of other tools on tasks that
are called as ours. All of them are reported: nothing is computed again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.counts import plural
from mlbench.common.files import reading
from mlbench.common.terminal import fill, printable
from mlbench.data.catalog import list_tasks
from mlbench.integrations.cards.figures import NAMESPACE, is_ours
from mlbench.integrations.cards.front_matter import parse_card
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.table import Table
from mlbench.reports.words import MISSING, kind_name

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


@dataclass(frozen=True)
class StatedFigure:
    """A figure as a card states it. ``over`` is the kind of setting or the direction, "mean" for a
    suite; ``digest`` is that of the task's data, and like all else of another tool's figure it is
    "" where the card does not say. ``value`` is a number, or the text that stands for one."""

    model: str
    task: str
    part: str
    over: str
    measure: str
    value: float | str
    low: float | None
    high: float | None
    digest: str
    version: str
    mlbench: str
    source: str


@dataclass(frozen=True)
class CardFigures:
    """The figures in a card: ``ours`` and ``others``, those of other tools whose data set is called
    as one of our tasks; ``left_out`` counts the results on all other data sets."""

    path: Path
    ours: tuple[StatedFigure, ...]
    others: tuple[StatedFigure, ...]
    left_out: int


def read_card(path: str | Path) -> CardFigures:
    """Read the figures of a card, which is a file or in a folder.

    Raises EnvironmentFault where it is missing, DataError where its YAML is broken.
    """
    place = Path(path)
    place = place / "README.md" if place.is_dir() else place
    with reading(place, "a model's card, or the folder with its README.md"):
        raw = place.read_bytes()
    card = parse_card(raw, str(place))
    ours: list[StatedFigure] = []
    others: list[StatedFigure] = []
    left_out = 0
    for element in card.index:
        for result in element.get("results") or []:
            name, found = _figures(element, result)
            if is_ours(result):
                ours += (_figure(name, each) for each in found)
            elif task := _our_name(found):
                others += (_figure(name, each, task) for each in found)
            else:
                left_out += 1
    return CardFigures(place, tuple(ours), tuple(others), left_out)


def _figures(element: Any, result: Any) -> tuple[str, Sequence[EvalResult]]:
    """Return the figures of one result; none where it is not as the hub describes it."""
    from huggingface_hub.repocard_data import model_index_to_eval_results

    try:
        name, found = model_index_to_eval_results(
            [{"name": str(element.get("name", "")), "results": [result]}]
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        return "", []
    return name, found


def _figure(model: str, result: EvalResult, task: str = "") -> StatedFigure:
    of, args = (each if isinstance(each, dict) else {} for each in _args(result))
    value = result.metric_value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return StatedFigure(
        model,
        task or result.dataset_type.removeprefix(NAMESPACE),
        str(result.dataset_split or ""),
        str(result.dataset_config or ""),
        str(result.metric_type),
        float(value) if number else str(value),
        _number(args.get("low")),
        _number(args.get("high")),
        str(of.get("digest") or ""),
        str(of.get("version") or ""),
        str(of.get("mlbench") or ""),
        str(result.source_url or ""),
    )


def _args(result: EvalResult) -> tuple[Any, Any]:
    return result.dataset_args, result.metric_args


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _our_name(found: Sequence[EvalResult]) -> str:
    """Return the task of ours that another tool's data set is called as, "" if none.

    Case and punctuation do not count, nor the owner of the data set, nor what MTEB adds.
    """
    known = {_plain(name): name for name in list_tasks()}
    for each in found[:1]:
        for name in (str(each.dataset_type), str(each.dataset_name)):
            plain = _plain(name.rsplit("/", 1)[-1].removeprefix("MTEB "))
            for said in (plain, plain.removesuffix("retrieval")):
                if said in known:
                    return known[said]
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def card_text(card: CardFigures) -> str:
    """Return what a terminal shows of a card's figures."""
    if not card.ours and not card.others:
        rest = plural(card.left_out, "result")
        return fill(f"{card.path}: the card has no figures of our tasks, and {rest} on others.")
    blocks = [
        fill(
            f"{card.path}: figures that the card states. They are reported: mlbench has not "
            "computed them here."
        )
    ]
    for of in _by_task(card.ours):
        blocks += [fill(_title(of[0])), _digest_line(of[0]), _table(of).text()]
    if card.others:
        rows = tuple(
            (each.task, each.over or MISSING, each.measure, _value(each)) for each in card.others
        )
        blocks += [
            fill("Reported by other tools, on data sets that are called as our tasks. The card "
                 "does not say whether the data is the same:"),
            Table(("task", "part", "measure", "value"), rows, words=3).text(),
        ]  # fmt: skip
    if card.left_out:
        blocks.append(fill(f"Left out: {plural(card.left_out, 'result')} on other data sets."))
    return "\n\n".join(block for block in blocks if block)


def _by_task(figures: Sequence[StatedFigure]) -> list[list[StatedFigure]]:
    of: dict[tuple[str, ...], list[StatedFigure]] = {}
    for each in figures:
        key = (each.model, each.task, each.part, each.digest, each.version)
        of.setdefault(key, []).append(each)
    return list(of.values())


def _title(figure: StatedFigure) -> str:
    said = [f"{figure.model} on {figure.task}"]
    said += [figure.part] * bool(figure.part)
    said += [f"version {figure.version}"] * bool(figure.version)
    said += [f"by mlbench {figure.mlbench}"] * bool(figure.mlbench)
    return ", ".join(said)


def _digest_line(figure: StatedFigure) -> str:
    return printable(f"task digest {figure.digest}") if figure.digest else ""


def _table(figures: Sequence[StatedFigure]) -> Table:
    """Return the figures of a task: a row a measure, a column a kind or direction."""
    over = list(dict.fromkeys(each.over for each in figures))
    found = {(each.measure, each.over): each for each in figures}
    rows = tuple(
        (measure.replace("-", "\n"), *(_value(found.get((measure, each))) for each in over))
        for measure in dict.fromkeys(each.measure for each in figures)
    )
    return Table(("reported", *map(kind_name, over)), rows)


def _value(figure: StatedFigure | None) -> str:
    if figure is None:
        return MISSING
    digits = 1 if figure.measure == RANK_DISTANCE else 4
    if isinstance(figure.value, str):
        return printable(figure.value)
    text = f"{figure.value:.{digits}f}"
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return text
    return f"{text} {figure.low:.{digits}f}..{figure.high:.{digits}f}"
