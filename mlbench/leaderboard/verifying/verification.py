"""What `mlbench verify` found: the result (schema ``mlbench/verification/1``), as JSON and words.

``docs/leaderboard.md`` explains every key.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, IntegrityError
from mlbench.leaderboard.entries.entry import VERIFICATION_SCHEMA, Level
from mlbench.leaderboard.entries.strict import visible

WIDTH = 80


class Verdict(StrEnum):
    """Whether an entry's table agrees with what was encoded again."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Check:
    """One comparison. Either ``differing`` of those ``compared`` contradict the table, or of as
    many tests the strongest has ``evidence`` against it, in powers of ten, and ``threshold``
    refuses; ``example`` says where."""

    name: str
    agrees: bool
    compared: int
    differing: int | None = None
    evidence: float | None = None
    threshold: float | None = None
    example: str = ""


@dataclass(frozen=True)
class VerifiedEntry:
    """Which table was verified: the SHA-256 of its entry.json or report.json and of the table,
    and the model it names."""

    kind: str
    sha256: str
    ranks_sha256: str
    model: str
    identity: str | None


@dataclass(frozen=True)
class VerifiedTask:
    """Of which task; ``digest`` is that of the collection that was read."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True)
class UsedModel:
    """What encoded the texts again; ``same`` says whether its identity is the entry's."""

    spec: str
    name: str
    identity: str
    same: bool
    similarity: str
    dimension: int
    dtype: str


@dataclass(frozen=True)
class Recomputed:
    """What was encoded again: ``distinct`` texts by role, of a task of ``texts`` in all.

    ``queries`` of ``all_queries`` are compared, with ``passages`` drawn ones of each language (code
    -> number) or, of a task of pairs, of each setting ("de to en" -> number), both drawn by
    ``seed`` (None: everything, by --full). Of every choice of at least the share ``altered`` of all
    queries, the sample has one with a probability of 99%.
    """

    seed: int | None
    queries: int
    all_queries: int
    passages: dict[str, int]
    distinct: dict[str, int]
    texts: int
    altered: float | None = None


@dataclass(frozen=True)
class Limits:
    """What is let pass: a score that is off by ``tolerance`` of |query| |passage| (``ties``: equal
    scores are compared too), and ``false_alarm``, the chance of refusing an honest table for
    evidence. ``undecided`` is the share of comparisons within the tolerance."""

    tolerance: float
    ties: bool
    false_alarm: float
    undecided: float


@dataclass(frozen=True)
class Verification:
    """The result. ``level`` is what a maintainer may record for it, None where nothing.

    ``understated`` and ``excess`` say what the sample could have seen (``agreement.Resolution``);
    ``score_difference`` is the largest of a macro score, of a full run only.
    """

    verdict: Verdict
    level: Level | None
    entry: VerifiedEntry
    task: VerifiedTask
    model: UsedModel
    recomputed: Recomputed
    limits: Limits
    checks: tuple[Check, ...]
    understated: float | None
    excess: float | None
    score_difference: float | None
    notes: tuple[str, ...]
    command: str
    date: str
    seconds: float
    versions: dict[str, str]
    platform: str

    @property
    def of_pairs(self) -> bool:
        """Whether a sample of a task of pairs was compared."""
        return any(check.name == "setting" for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 where the table agrees and a level may be recorded, 6 where it disagrees, else 3."""
        if self.verdict is Verdict.DISAGREES:
            return IntegrityError.exit_code
        return 0 if self.level is not None else DataError.exit_code


def verification_json(found: Verification) -> str:
    """Return the result as strict JSON; it may stand as the evidence of a record."""
    table = {"schema": VERIFICATION_SCHEMA} | asdict(found)
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def terminal_verification(found: Verification) -> str:
    """Return the result for a terminal, at most 80 characters wide."""
    other = "" if found.model.same else ", with a model of another identity"
    head = f"{found.entry.model} on {found.task.name}: {found.verdict.upper()}{other}"
    lines = [_fill(visible(head)), "", *_facts(found), "", _checks(found.checks), ""]
    lines += [_fill(sentence) for sentence in _sentences(found)]
    return "\n".join(lines)


def _facts(found: Verification) -> list[str]:
    encoded = found.recomputed
    distinct = sum(encoded.distinct.values())
    least, most = min(encoded.passages.values()), max(encoded.passages.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    sample = (
        f"{encoded.queries:,} of {plural(encoded.all_queries, 'query', 'queries')}; {each} "
        "drawn passages"
    )
    of_all = f"the task has {plural(encoded.texts, 'text')}"
    of = "language of each pair" if found.of_pairs else "language"
    facts = {
        found.entry.kind: f"SHA-256 {found.entry.sha256[:16]}...",
        "model": f"{found.model.spec}, {'the' if found.model.same else 'NOT the'} "
        f"identity that the {found.entry.kind} names",
        "compared": f"{sample} for each {of}" if encoded.seed is not None else "everything",
        "seed": str(encoded.seed) if encoded.seed is not None else "",
        "encoded": f"{plural(distinct, 'distinct text')}; {of_all}",
        "took": f"{found.seconds:.1f} s",
    }
    return [
        _fill(visible(value), f"  {name:<10}", " " * 12) for name, value in facts.items() if value
    ]


def _checks(checks: Sequence[Check]) -> str:
    from tabulate import tabulate

    rows = [
        (
            check.name,
            f"{check.compared:,}",
            f"{check.differing:,}" if check.evidence is None else f"10^{check.evidence:.1f}",
            "" if check.threshold is None else f"10^{check.threshold:.1f}",
            "agrees" if check.agrees else "DISAGREES",
        )
        for check in checks
    ]
    header = ("check", "compared", "differing, or\nodds against it", "odds that\nrefuse it", "")
    align = ("left", "right", "right", "right", "left")
    table: str = tabulate(rows, header, "simple", colalign=align, disable_numparse=True)
    examples = [
        _fill(visible(f"{check.name}: {check.example}"))
        for check in checks
        if check.example and (check.differing or not check.agrees)
    ]
    return "\n".join([table, *([""] if examples else []), *examples])


def _sentences(found: Verification) -> list[str]:
    said = []
    if found.verdict is Verdict.DISAGREES:
        said.append(
            "Neither rounding nor chance explains this: order, bounds and rows allow for scores "
            f"that are off by {found.limits.tolerance:g}, and the other checks together refuse "
            f"fewer than one honest table in {1 / found.limits.false_alarm:,.0f}."
        )
    elif found.understated is not None:
        said.append(
            "This sample would have refused the table if all its counts had been "
            f"{found.understated:.0%} lower."
        )
    elif found.excess is not None:
        said.append(
            "This sample would have refused the table if it had counted another "
            f"{found.excess:.1%} of the other passages."
        )
    if found.recomputed.altered is not None and found.verdict is not Verdict.DISAGREES:
        said.append(
            f"If {found.recomputed.altered:.1%} of the queries had been altered, at least one of "
            "them would be in the sample with a probability of 99%."
        )
    if found.score_difference is not None:
        said.append(f"The largest difference of a macro score is {found.score_difference:.6f}.")
    said += found.notes
    level = f"This supports the level {found.level}." if found.level else "This supports no level."
    return [*said, level]


def _fill(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
