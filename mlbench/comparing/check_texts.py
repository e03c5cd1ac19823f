"""What a check says: for the terminal, a pull request and JUnit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbench.common.counts import plural
from mlbench.common.names import both_shortened
from mlbench.common.terminal import fill, printable
from mlbench.comparing.differences import measure_title, shown
from mlbench.comparing.judgements import INCONCLUSIVE, PASS, REGRESSED, Judgement
from mlbench.measures.randomisation import FEWEST
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.table import Table, escape_markdown
from mlbench.reports.words import kind_name

if TYPE_CHECKING:
    from mlbench.comparing.regression import Check

MOST_FALLEN = 8
LONGEST_IDENTITY = 40
MARKS = {PASS: "✅", REGRESSED: "❌", INCONCLUSIVE: "❔"}


def title(judgement: Judgement) -> str:
    """Return what a judgement is about: monolingual mAP, rank distance."""
    name = measure_title(judgement.quantity.measure)
    if judgement.quantity.measure == RANK_DISTANCE:
        return name
    return f"{kind_name(judgement.quantity.kind)} {name}"


def reason(judgement: Judgement, questions: int) -> str:
    """Return why a judgement is what it is, one sentence without its subject."""
    j = judgement
    measure = j.quantity.measure
    margin, low, high, by = (
        shown(v, measure, sign=sign)
        for v, sign in (
            (j.margin, False),
            (j.low, True),
            (j.high, True),
            (abs(j.difference), False),
        )
    )
    between = f"95% interval of the difference: {low} to {high}"
    if j.verdict == REGRESSED:
        beyond = "all of it beyond" if j.beyond else "not all of it beyond"
        return f"worse by {by}; {between}, {beyond} the margin of {margin}"
    if j.verdict == PASS:
        if not j.difference and j.low == j.high == 0:
            return "no difference"
        lower, upper = (-j.high, -j.low) if j.quantity.lower_is_better else (j.low, j.high)
        how = "better" if lower > 0 else "worse, within the margin" if upper < 0 else "not worse"
        return f"{how}; {between}, margin {margin}"
    if questions < FEWEST:
        few = plural(questions, "question")
        return f"{few} cannot show a difference; at least {FEWEST} are needed"
    return f"not decided; {between}, margin {margin}; {_more(j)}"


def _more(judgement: Judgement) -> str:
    if judgement.more_questions is None:
        return "more questions would not decide if the difference stayed the same"
    return (
        f"about {plural(judgement.more_questions, 'more question')} would decide if the "
        "difference stayed "
        "the same"
    )


def check_table(result: Check, whole: bool = False) -> Table:
    """Return one row a judgement; ``whole`` keeps long names on one line."""
    rows = []
    for j in result.judgements:
        measure, size = j.quantity.measure, max(abs(j.baseline), abs(j.value))
        rows.append(
            (
                title(j) if whole else "\n".join(title(j).rsplit(" ", 1)),
                shown(j.baseline, measure, size=size),
                shown(j.value, measure, size=size),
                shown(j.difference, measure, sign=True, size=size),
                " ".join(shown(end, measure, sign=True, size=size) for end in (j.low, j.high)),
                f"{MARKS[j.verdict]} {j.verdict}" if whole else j.verdict,
            )
        )
    headers = ("", "baseline", "now", "difference", "95% interval", "verdict")
    return Table(headers, tuple(rows))


def _head(result: Check) -> str:
    sample = ", a sample" if result.task.sampled else ""
    return (
        f"{result.model.name} against {result.baseline.name} on {result.task.name} "
        f"(version {result.task.version}, {plural(result.questions, 'question')}{sample})"
    )


def _fallen_line(result: Check) -> str:
    if not result.fallen:
        return ""
    pairs = result.task.roles.two_ways
    parts = [
        f"{d.quantity.query_language} "
        f"{f'to {d.quantity.passage_language}' if pairs else kind_name(d.quantity.kind)} "
        f"{measure_title(d.quantity.measure)} {shown(d.difference, d.quantity.measure, sign=True)}"
        for d in sorted(result.fallen, key=lambda d: d.difference / (d.least or 1))
    ]
    more = len(parts) - MOST_FALLEN
    rest = f" and {more} more" if more > 0 else ""
    what = "pairs" if pairs else "query languages"
    return f"These {what} are worse: {', '.join(parts[:MOST_FALLEN])}{rest}."


def terminal_check(result: Check) -> str:
    """Return what `mlbench check` prints."""
    own = [j for j in result.judgements if j.verdict == result.verdict]
    lines = [f"{title(j)}: {reason(j, result.questions)}." for j in own]
    blocks = [_head(result), check_table(result).text(), _fallen_line(result), *lines]
    filled = [b if "\n" in b else fill(b) for b in blocks if b]
    return "\n\n".join([*filled, result.verdict.upper()])


def _identities(result: Check) -> str:
    """Return the identities of baseline and model, cut such that they stay different."""
    first, second = (" ".join(each.identity.split()) for each in (result.baseline, result.model))
    old, new = map(escape_markdown, both_shortened(first, second, LONGEST_IDENTITY))
    return f"Identity {old}, as the baseline's" if old == new else f"Identity {old} to {new}"


def markdown_check(result: Check) -> str:
    """Return the check for a pull-request comment or a job's summary."""
    own = [j for j in result.judgements if j.verdict == result.verdict]
    parts = [
        f"### {MARKS[result.verdict]} mlbench: {result.verdict}",
        escape_markdown(_head(result)),
        check_table(result, whole=True).markdown(),
        "\n".join(
            f"- {escape_markdown(f'{title(j)}: {reason(j, result.questions)}')}" for j in own
        ),
        escape_markdown(_fallen_line(result)),
        f"<sub>{_identities(result)}; margin {result.margin:g}. Pass means that the interval's "
        "worse end is within the margin, regressed that it is not and that the better end is "
        "below 0.</sub>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def junit_check(result: Check, strict: bool = False) -> bytes:
    """Return the check as JUnit XML: regressed is a failure, inconclusive skipped, or with
    ``strict`` an error."""
    from xml.etree import ElementTree

    kinds = {REGRESSED: "failure", INCONCLUSIVE: "error" if strict else "skipped"}
    tags = [kinds.get(j.verdict, "") for j in result.judgements]
    counts = {"tests": len(tags), "failures": tags.count("failure")}
    counts |= {"errors": tags.count("error"), "skipped": tags.count("skipped")}
    attributes = {name: str(count) for name, count in counts.items()}
    suite = ElementTree.Element("testsuite", {"name": "mlbench check", **attributes})
    for judgement, tag in zip(result.judgements, tags, strict=True):
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=printable(f"mlbench.{result.task.name}"),
            name=title(judgement),
        )
        if tag:
            why = printable(reason(judgement, result.questions))
            ElementTree.SubElement(case, tag, message=f"{judgement.verdict}: {why}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    raw: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return raw + b"\n"
