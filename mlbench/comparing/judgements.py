"""How a difference to a baseline is judged: by the size of the effect, never by p alone.

With the 95% interval of what was gained (new minus baseline, turned round where lower is better)
and a margin of indifference m:

- **pass**: its lower end is at least -m, so the model is not worse by more than m;
- **regressed**: its upper end is below 0, and it does not pass;
- **inconclusive**: neither, so the data leaves it open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlbench.comparing.differences import Difference
from mlbench.comparing.quantities import Quantity
from mlbench.measures.randomisation import FEWEST

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
