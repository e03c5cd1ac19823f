"""Rank measures: one short function each, over the ranks of one setting.

A function takes a Ranking (n queries) and returns one float64 value a query, shape (n,). Names
and parameters are those of ir-measures, ``AP``, ``RR``, ``nDCG@10``, ``R@100``; ``rel`` sets the
lowest grade that counts as relevant, as in ``AP(rel=2)``. Judged non-relevant passages have no
rank in the table, so measures that need theirs (bpref, infAP) are not offered.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, UsageError

if TYPE_CHECKING:
    from mlbench.ranking.ranks import Ints, Ranking

Values = npt.NDArray[np.float64]
MOST_LISTED = 10_000


@dataclass(frozen=True)
class Definition:
    """One measure: its function, its source, whether a cutoff is required or allowed, and what
    else people call it (in any case, without blanks, hyphens and underscores)."""

    function: Callable[[Ranking, int | None], Values]
    citation: str
    aliases: tuple[str, ...] = ()
    cutoff_required: bool = False
    cutoff_allowed: bool = True
    graded: bool = False


@dataclass(frozen=True)
class Measure:
    """A measure as asked for: ``name`` is its canonical name, such as ``nDCG@10``."""

    name: str
    definition: Definition
    cutoff: int | None
    rel: int

    def per_query(self, ranking: Ranking) -> Values:
        """Return the measure's value for each query of the ranking, float64 (n,), 0 to 1."""
        if self.rel > 1:
            ranking, answered = at_least(ranking, self.rel)
            values = np.zeros(len(answered))
            values[answered] = self.definition.function(ranking, self.cutoff)
            return values
        return self.definition.function(ranking, self.cutoff)


def at_least(ranking: Ranking, grade: int) -> tuple[Ranking, npt.NDArray[np.bool_]]:
    """Keep the rows of at least ``grade``, and say which queries have any; ranks stay."""
    keep = ranking.grade >= grade
    owner = ranking.owner[keep]
    answered = np.bincount(owner, minlength=len(ranking.query)) > 0
    starts = np.append(np.flatnonzero(np.diff(owner, prepend=-1)), len(owner))
    selected = replace(
        ranking,
        query=ranking.query[answered],
        starts=starts.astype(np.int64),
        rank=ranking.rank[keep],
        grade=ranking.grade[keep],
        row=ranking.row[keep],
    )
    return selected, answered


def within(ranking: Ranking, cutoff: int | None) -> npt.NDArray[np.bool_]:
    """Say for each row whether its rank is within the cutoff: bool (m,)."""
    return ranking.rank <= (ranking.pool_size if cutoff is None else cutoff)


def average_precision(ranking: Ranking, cutoff: int | None) -> Values:
    """Mean over a query's relevant passages of the precision at their rank."""
    precision = ranking.position / ranking.rank
    if cutoff is not None:
        precision *= within(ranking, cutoff)
    return ranking.sum(precision) / ranking.relevant


def reciprocal_rank(ranking: Ranking, cutoff: int | None) -> Values:
    """1 over the rank of a query's highest relevant passage."""
    highest = ranking.rank[ranking.starts[:-1]]
    return (1 if cutoff is None else highest <= cutoff) / highest


def recall(ranking: Ranking, cutoff: int | None) -> Values:
    """Share of a query's relevant passages within the cutoff."""
    return ranking.sum(within(ranking, cutoff)) / ranking.relevant


def precision(ranking: Ranking, cutoff: int | None) -> Values:
    """Share of the first ``cutoff`` passages that are relevant."""
    depth = ranking.pool_size if cutoff is None else cutoff
    return ranking.sum(within(ranking, cutoff)) / depth


def success(ranking: Ranking, cutoff: int | None) -> Values:
    """1 where any relevant passage is within the cutoff, else 0."""
    return within(ranking, cutoff)[ranking.starts[:-1]].astype(np.float64)


def r_precision(ranking: Ranking, cutoff: int | None) -> Values:
    """Precision at the number of relevant passages."""
    return ranking.sum(ranking.rank <= ranking.relevant[ranking.owner]) / ranking.relevant


def ndcg(ranking: Ranking, cutoff: int | None) -> Values:
    """Discounted cumulative gain over that of the ideal order; gain = grade, discount log2(i+1)."""
    gained = ranking.sum(_gain(ranking.rank, ranking.grade, cutoff))
    return gained / ranking.sum(_gain(ranking.position, _grades_descending(ranking), cutoff))


def _grades_descending(ranking: Ranking) -> npt.NDArray[np.int32]:
    """Return the grades, each query's from the highest to the lowest."""
    if (ranking.grade == ranking.grade[:1]).all():
        return ranking.grade
    return ranking.grade[np.lexsort((-ranking.grade.astype(np.int64), ranking.owner))]


def _gain(rank: Ints, grade: npt.NDArray[np.int32], cutoff: int | None) -> Values:
    """Return each row's discounted gain; the logarithms are the C library's, taken once each.

    A rank beyond the cutoff has an infinite discount, that is, no gain.
    """
    if cutoff is not None and cutoff <= MOST_LISTED:
        ranks, index = range(1, cutoff + 2), np.minimum(rank, cutoff + 1) - 1
    else:
        distinct, index = np.unique(rank, return_inverse=True)
        ranks = distinct.tolist()
    discount = [math.log2(r + 1) if cutoff is None or r <= cutoff else math.inf for r in ranks]
    gain: Values = grade / np.array(discount)[index]
    return gain


MEASURES = {
    "AP": Definition(
        average_precision,
        "Buckley and Voorhees, Evaluating evaluation measure stability, 2000",
        ("map", "averageprecision", "meanaverageprecision"),
    ),
    "RR": Definition(
        reciprocal_rank,
        "Kantor and Voorhees, The TREC-5 Confusion Track, 2000",
        ("mrr", "reciprank", "reciprocalrank", "meanreciprocalrank"),
    ),
    "nDCG": Definition(
        ndcg,
        "Järvelin and Kekäläinen, Cumulated gain-based evaluation, 2002",
        ("normalizeddcg", "normalizeddiscountedcumulativegain"),
        graded=True,
    ),
    "R": Definition(
        recall,
        "van Rijsbergen, Information Retrieval, 1979, chapter 7",
        ("recall", "rec"),
        cutoff_required=True,
    ),
    "P": Definition(
        precision,
        "van Rijsbergen, Information Retrieval, 1979, chapter 7",
        ("precision", "prec"),
        cutoff_required=True,
    ),
    "Success": Definition(
        success,
        "Craswell and Hawking, TREC-2004 Web Track (success at k)",
        ("hit", "hits", "hitrate", "hr", "accuracy", "acc"),
        cutoff_required=True,
    ),
    "Rprec": Definition(
        r_precision,
        "Buckley and Voorhees, Evaluating evaluation measure stability, 2000",
        ("rprecision",),
        cutoff_allowed=False,
    ),
}
FIRST_ONLY = ("accuracy", "acc")
"""Called so without a cutoff, it is whether the first passage is relevant."""
CALLED = {
    alias: name
    for name, definition in MEASURES.items()
    for alias in (name.casefold(), *definition.aliases)
}
SPELLED = re.compile(
    r"(?P<name>[a-z][a-z _-]*?)\s*(?P<params>\([^()]*\))?"
    r"(?:\s*(?:@|[ _-]at[ _-]|[ _-]cut[ _.-])\s*(?P<cutoff>[^@\s]+)|[ _](?P<digits>\d+))?",
    re.IGNORECASE,
)
"""A measure as people write it: nDCG@10, ndcg_at_10, ndcg_cut_10, P_5, AP(rel=2)@100."""
RANK_DISTANCE = "rank-distance"
OFFERED = ", ".join(
    name + ("@k" if d.cutoff_required else "[@k]" if d.cutoff_allowed else "")
    for name, d in MEASURES.items()
)
"""What rank distance is called where it stands beside measures."""
IN_EVERY_REPORT = ("rankdistance", "outranking", "peer", "max", "complete")


def parse_measure(text: str) -> Measure:
    """Return the measure that ``text`` names, in any case and by any name that people have for it;
    its own is that of ir-measures.

    Raises UsageError for an unknown name, a parameter that the table cannot serve, or a missing
    or bad cutoff.

    >>> [parse_measure(text).name for text in ("nDCG@10", "mAP", "hits@1", "recall_at_100")]
    ['nDCG@10', 'AP', 'Success@1', 'R@100']
    """
    import ir_measures

    where = f"measure {text!r}"
    try:
        parsed = ir_measures.parse_measure(_respelled(text))
    except (NameError, ValueError):
        raise UsageError(Fault(where, "not a measure", OFFERED, _nearest(text))) from None
    definition = MEASURES.get(str(parsed.NAME))
    if definition is None:
        raise UsageError(Fault(where, "not offered: the table of ranks cannot give it", OFFERED))
    params = dict(parsed.params)
    cutoff, rel = params.pop("cutoff", None), params.pop("rel", 1)
    if params:
        raise UsageError(Fault(where, f"parameter {next(iter(params))!r}", "a cutoff and rel only"))
    if cutoff is None and definition.cutoff_required:
        name = parsed.NAME
        expected = f"{name}@k, such as {name}@1 or {name}@10"
        mend = "at the number of relevant passages, the measure is Rprec" * (name in ("R", "P"))
        raise UsageError(Fault(where, "no cutoff", expected, mend))
    for name, value in (("cutoff", cutoff), ("rel", rel)):
        if value is not None and (type(value) is not int or value < 1):
            raise UsageError(Fault(where, f"{name} {value!r}", "a whole number from 1"))
    return Measure(str(parsed), definition, cutoff, rel)


def is_rank_distance(name: str) -> bool:
    """Say whether a name is rank distance's, however it is spelled."""
    return plain_name(name) == plain_name(RANK_DISTANCE)


def plain_name(name: str) -> str:
    """Return a name in lower case, without blanks, hyphens and underscores."""
    return re.sub(r"[\s_-]", "", name).casefold()


def _respelled(text: str) -> str:
    """Return a measure as ir-measures spells it; as it is where nothing here is called so."""
    parts = SPELLED.fullmatch(text.strip())
    called = plain_name(parts["name"]) if parts else ""
    if parts is None or called not in CALLED:
        return text
    cutoff = parts["cutoff"] or parts["digits"] or ("1" if called in FIRST_ONLY else "")
    return CALLED[called] + (parts["params"] or "") + (f"@{cutoff}" if cutoff else "")


def _nearest(text: str) -> str:
    """Return a hint at what is meant by a text that names no measure."""
    name, _, cutoff = text.partition("@")
    called = plain_name(name.partition("(")[0])
    if called in IN_EVERY_REPORT:
        return "it need not be named: every report on several languages has it"
    if called in CALLED and cutoff:
        return f"write a whole number after the @, such as {CALLED[called]}@10"
    if glued := re.fullmatch(r"([a-z]+)(\d+)", called):
        called, cutoff = glued.groups()
    known = [called] if called in CALLED else CALLED
    near = difflib.get_close_matches(called, known, n=3, cutoff=0.6)
    after = f"@{cutoff}" if cutoff.isdecimal() else ""
    names = dict.fromkeys(repr(CALLED[each] + after) for each in near)
    return f"did you mean {' or '.join(names)}?" if names else ""


def parse_measures(names: Iterable[str]) -> tuple[Measure, ...]:
    """Parse several names; the same one twice counts once. Raises UsageError."""
    measures: dict[str, Measure] = {}
    faults: list[Fault] = []
    for name in names:
        try:
            measure = parse_measure(name)
        except UsageError as error:
            faults += error.faults
        else:
            measures.setdefault(measure.name, measure)
    if faults:
        raise UsageError(*faults)
    return tuple(measures.values())
