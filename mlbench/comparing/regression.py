"""The regression gate: is a model worse than its baseline? From two saved results alone.

Judged by the size of the effect, never by p alone. With the 95% interval of what was gained (new
minus baseline, turned round where lower is better) and a margin of indifference m:

- **pass**: its lower end is at least -m, so the model is not worse by more than m;
- **regressed**: its upper end is below 0, and it does not pass;
- **inconclusive**: neither, so the data leaves it open.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mlbench.comparing.baseline import Saved
from mlbench.comparing.comparison import compare, flat_row
from mlbench.comparing.config import MARGIN
from mlbench.comparing.quantities import Quantity
from mlbench.comparing.verdicts import WORSE, Difference
from mlbench.measures.bias import rank_distance
from mlbench.measures.randomisation import FEWEST
from mlbench.ranking.ranks import Ranks
from mlbench.reports.report import ModelInfo, TaskInfo

SCHEMA = "mlbench/check/1"
PASS, REGRESSED, INCONCLUSIVE = "pass", "regressed", "inconclusive"
MOST_RATIO = 1e4
"""An interval that would have to be this much narrower never decides."""
GRAVITY = (PASS, INCONCLUSIVE, REGRESSED)


@dataclass(frozen=True)
class Judgement:
    """The verdict on one macro mean; ``difference``, ``low``, ``high`` are new minus baseline.

    ``margin`` is in the measure's own unit. ``beyond`` says that even the better end of the
    interval is worse by more than the margin. ``more_questions`` is how many further ones would
    decide an inconclusive case if the difference stayed, None where no number would.
    """

    quantity: Quantity
    baseline: float
    value: float
    difference: float
    low: float
    high: float
    margin: float
    verdict: str
    beyond: bool
    more_questions: int | None


@dataclass(frozen=True)
class Check:
    """A model held against its baseline. ``fallen`` are the query languages shown to be worse."""

    verdict: str
    task: TaskInfo
    model: ModelInfo
    baseline: ModelInfo
    questions: int
    margin: float
    judgements: tuple[Judgement, ...]
    fallen: tuple[Difference, ...]


def default_gate(baseline: Saved) -> tuple[str, ...]:
    """Return the measure that is checked unless told: AP, or the baseline's first."""
    return ("AP",) if "AP" in baseline.measures else baseline.measures[:1]


def check(
    new: Saved, baseline: Saved, measures: Sequence[str] = (), margin: float = MARGIN
) -> Check:
    """Judge every macro mean of the measures; the worst verdict is that of the check.

    Both results must be of the same task (see ``refuse_other_task``). For rank distance the
    margin is that share of the rank distance of a random order. Raises UsageError for a measure
    that the task has no value for.
    """
    comparison = compare([baseline, new], measures or default_gate(baseline))
    values = {(v.model, v.quantity): v.value for v in comparison.scores}
    same = _same_counts(baseline.ranks, new.ranks)
    judgements = tuple(
        judge(
            d,
            (values["A", d.quantity], values["B", d.quantity]),
            margin * (random_distance(new.ranks) if d.quantity.lower_is_better else 1),
            comparison.method.questions,
            same=same,
        )
        for d in comparison.differences
        if d.quantity.level == 0
    )
    return Check(
        verdict=max((j.verdict for j in judgements), key=GRAVITY.index),
        task=new.task,
        model=new.model,
        baseline=baseline.model,
        questions=comparison.method.questions,
        margin=margin,
        judgements=judgements,
        fallen=tuple(d for d in comparison.differences if _fallen(d)),
    )


def _fallen(difference: Difference) -> bool:
    return difference.quantity.level == 1 and difference.verdict == WORSE


def _same_counts(a: Ranks, b: Ranks) -> bool:
    columns = ((a.above, b.above), (a.tied, b.tied), (a.place, b.place))
    return a.passage_ids == b.passage_ids and all(np.array_equal(*pair) for pair in columns)


def random_distance(ranks: Ranks) -> float:
    """Return the rank distance of a random order: the mean over languages of their expectation."""
    each = [rank_distance(ranks, language) for language in ranks.languages]
    means = [float(e.expected.mean()) for e in each if len(e.query)]
    return math.fsum(means) / len(means)


def judge(
    difference: Difference,
    values: tuple[float, float],
    margin: float,
    questions: int,
    *,
    same: bool = False,
) -> Judgement:
    """Judge one difference to the baseline; ``values`` are the baseline's and the model's.

    Fewer than six questions can show nothing: they are inconclusive, unless the two tables are
    the ``same`` and hold more than one question.
    """
    d = difference
    gain, low, high = (
        (-d.difference, -d.high, -d.low)
        if d.quantity.lower_is_better
        else (d.difference, d.low, d.high)
    )
    enough = questions >= FEWEST or (same and questions > 1)
    verdict = _verdict(low, high, margin) if enough else INCONCLUSIVE
    more = None
    if verdict == INCONCLUSIVE:
        needed = questions_needed(gain, low, high, margin, questions) if enough else FEWEST
        more = None if needed is None else max(1, needed - questions)
    return Judgement(
        d.quantity, *values, d.difference, d.low, d.high, margin, verdict,
        beyond=enough and high < -margin, more_questions=more,
    )  # fmt: skip


def _verdict(low: float, high: float, margin: float) -> str:
    if low >= -margin:
        return PASS
    return REGRESSED if high < 0 else INCONCLUSIVE


def questions_needed(
    gain: float, low: float, high: float, margin: float, questions: int
) -> int | None:
    """Return how many questions in all would decide, if the gain and their spread stayed.

    The interval narrows with the square root of their number. None where the interval would
    never leave the point that it would have to.
    """
    ratios = []
    if gain > -margin:
        ratios.append((gain - low) / (gain + margin))
    if gain < 0:
        ratio = (high - gain) / -gain
        if ratio == 0 or gain - (gain - low) / ratio < -margin:
            ratios.append(ratio)
    ratio = min(ratios, default=math.inf)
    return math.ceil(questions * ratio**2) if ratio < MOST_RATIO else None


def check_json(result: Check) -> str:
    """Return the check as strict JSON (schema ``mlbench/check/1``)."""
    table = {"schema": SCHEMA} | asdict(result)
    for name in ("judgements", "fallen"):
        table[name] = [flat_row(row) for row in table[name]]
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
