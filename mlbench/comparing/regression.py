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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.common.names import both_shortened
from mlbench.comparing.baseline import Result, Saved, refuse_other_infos, saved_report, saved_result
from mlbench.comparing.compare import compare
from mlbench.comparing.comparison import flat_row
from mlbench.comparing.config import MARGIN, GateConfig, parse_margin
from mlbench.comparing.differences import WORSE, Difference, measure_title, shown
from mlbench.comparing.quantities import Quantity, chosen_names
from mlbench.data.task import Task
from mlbench.measures.bias import rank_distance
from mlbench.measures.randomisation import FEWEST
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.ranking.ranks import Ranks
from mlbench.reports.report import REPORT_FILE, ModelInfo, Report, TaskInfo
from mlbench.reports.tables import Table, escape_markdown
from mlbench.reports.words import fill, kind_name, plural, printable

if TYPE_CHECKING:
    from mlbench.evaluation.options import Options

Evaluate = Callable[..., Report]
"""What evaluates a model as ``mlbench.evaluate`` does."""
SCHEMA = "mlbench/check/1"
PASS, REGRESSED, INCONCLUSIVE = "pass", "regressed", "inconclusive"
MOST_RATIO = 1e4
"""An interval that would have to be this much narrower never decides."""
MOST_FALLEN = 8
LONGEST_IDENTITY = 40
MARKS = {PASS: "✅", REGRESSED: "❌", INCONCLUSIVE: "❔"}
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


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        models = f"{self.model.name} against {self.baseline.name}"
        return f"<Check of {models} on {self.task.name}: {self.verdict}>"

    def __str__(self) -> str:
        return terminal_check(self)

    def _repr_markdown_(self) -> str:
        return markdown_check(self)


def check(
    report_or_model: object,
    baseline: Result,
    measures: str | Sequence[str] = (),
    margin: float = MARGIN,
    *,
    task: str | Path | Task | None = None,
    **options: Any,
) -> Check:
    """Hold a report, or a model that is evaluated for it, against a baseline.

    ``report_or_model`` is a Report, the folder of one, a baseline file (.parquet), or a model as
    ``evaluate`` takes it.
    ``baseline`` is a file that `mlbench baseline` wrote, a Report, or the folder of one.
    ``measures`` are names such as nDCG@10, or rank-distance (default: the first of the baseline).
    ``margin`` is how much worse is still no matter; for rank distance it is that share of a random
    order's. A model is evaluated on the baseline's sample of its task (``task``, where its name
    does not find it), with the ``options`` of ``evaluate``; with ``folder`` its report is saved
    there.

    The result has a ``verdict`` ("pass", "regressed" or "inconclusive") and prints as
    `mlbench check` does. Raises as ``evaluate`` does; DataError unless both are of the same task,
    UsageError for a measure that the task has no value for, IntegrityError for a damaged file.
    """
    return _checked(report_or_model, baseline, (measures, margin), task, options)


def _checked(
    given: object,
    baseline: Result,
    gate: tuple[str | Sequence[str], float],
    task: str | Path | Task | None,
    options: dict[str, Any],
    evaluate: Evaluate | None = None,
) -> Check:
    """See ``check``; ``evaluate`` is what evaluates a model, where it is not ``mlbench``'s own."""
    measures, margin = chosen_names(gate[0]), gate[1]
    old = saved_result(baseline)
    if RANK_DISTANCE in measures and len(old.task.languages) < 2:
        found = f"{RANK_DISTANCE} on a task of one language"
        raise UsageError(Fault("--measure", found, "a measure that the task has a value for"))
    try:
        margin = parse_margin(margin)
    except ValueError as error:
        raise UsageError(Fault("margin", str(error))) from None
    if _is_result(given):
        _refuse_unknown(options)
        new = saved_result(given)
    else:
        options["measures"] = tuple(name for name in measures if name != RANK_DISTANCE)
        new = _evaluated(given, old, task or old.task.name, options, evaluate)
    return _judged(new, old, measures, margin)


def _is_result(given: object) -> TypeGuard[Result]:
    """Say whether a report or a baseline is given, or the path of one, and not a model."""
    if not isinstance(given, str | Path):
        return isinstance(given, Saved | Report)
    return (Path(given) / REPORT_FILE).is_file() or Path(given).suffix == ".parquet"


def _refuse_unknown(options: dict[str, Any]) -> None:
    """Raise UsageError for options that there are not, where none is needed."""
    if options:
        from mlbench.evaluation.options import chosen_options

        chosen_options(options.pop("options", None), options)


def _evaluated(
    model: object,
    baseline: Saved,
    task: str | Path | Task,
    options: dict[str, Any],
    evaluate: Evaluate | None,
) -> Saved:
    """Evaluate a model on the baseline's task and sample."""
    import mlbench.evaluation.evaluate as driver

    def approve(info: TaskInfo) -> None:
        refuse_other_infos([(baseline.where, baseline.task), (f"task {info.name}", info)])

    info = baseline.task
    options |= {"sample_questions": info.sample, "sample_passages": info.sample_passages}
    options |= {"languages": info.languages if info.subset_of else None, "approve": approve}
    report = (evaluate or driver.evaluate)(model, task, **options)
    if options.get("folder") is not None:
        report.save(options["folder"])
    name = model if isinstance(model, str) else report.model.name
    return saved_report(report, f"a run of {name}")


def default_gate(baseline: Saved) -> tuple[str, ...]:
    """Return the measure that is checked unless told: the baseline's first."""
    return baseline.measures[:1]


def _judged(new: Saved, baseline: Saved, measures: Sequence[str], margin: float) -> Check:
    """Judge every macro mean of the measures; the worst verdict is that of the check.

    Scores of truncated run files are lower bounds, which could not pass: DataError.
    """
    tables = baseline.table, new.table
    comparison = compare([baseline, new], measures or default_gate(baseline))
    values = {(v.model, v.quantity): v.value for v in comparison.scores}
    same = _same_counts(*tables)
    judgements = tuple(
        judge(
            d,
            (values["A", d.quantity], values["B", d.quantity]),
            margin * (random_distance(new.table) if d.quantity.lower_is_better else 1),
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


def run_gate(
    config: GateConfig, options: Options | None = None, evaluate: Evaluate | None = None
) -> Check:
    """Hold the configured report, or a fresh run of the configured model, against the baseline.

    ``options`` say how the model is run (default: as `mlbench.evaluate` does, without progress),
    and ``evaluate`` what runs it (default: that function).
    Raises UsageError where it is not said what to check, DataError where the baseline is missing
    or of another task, IntegrityError where something is damaged.
    """
    if config.baseline is None:
        raise UsageError(
            Fault("--baseline", "not given", "a baseline file or a report's folder",
                  "write one with `mlbench baseline REPORT`, name it here or in mlbench.toml")
        )  # fmt: skip
    if (config.report is None) == (config.model is None):
        found = "neither a report nor a model" if config.report is None else "a report and a model"
        raise UsageError(Fault("what to check", found, "a report's folder, or --model SPEC"))
    if config.report is not None:
        new = saved_result(config.report)
        return check(new, config.baseline, config.measures, config.margin)
    folder = None if config.output is None else config.output / "report"
    given: dict[str, Any] = {"data_dir": config.data_dir, "folder": folder}
    given |= {"options": options} if options else {"progress": False}
    gate = config.measures, config.margin
    return _checked(config.model, config.baseline, gate, config.task, given, evaluate)


def write_check(folder: Path, result: Check, strict: bool) -> None:
    """Write check.json, check.md (for a pull request) and check.xml (JUnit) into ``folder``."""
    write_atomically(folder / "check.xml", junit_check(result, strict))
    write_atomically(folder / "check.md", markdown_check(result).encode())
    write_atomically(folder / "check.json", check_json(result).encode())


def exit_code(result: Check, strict: bool) -> int:
    """Return 1 for regressed and nothing else; 3 for inconclusive where that counts as a fault:
    the data handed in does not suffice; else 0."""
    if result.verdict == REGRESSED:
        return 1
    return DataError.exit_code if strict and result.verdict == INCONCLUSIVE else 0


def check_json(result: Check) -> str:
    """Return the check as strict JSON (schema ``mlbench/check/1``)."""
    table = {"schema": SCHEMA} | asdict(result)
    for name in ("judgements", "fallen"):
        table[name] = [flat_row(row) for row in table[name]]
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


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
        f"about {judgement.more_questions:,} more questions would decide if the difference stayed "
        "the same"
    )


def check_table(result: Check, whole: bool = False) -> Table:
    """Return one row a judgement; ``whole`` keeps long names on one line."""
    rows = []
    for j in result.judgements:
        measure, size = j.quantity.measure, max(abs(j.baseline), abs(j.value))
        rows.append(
            (
                title(j) if whole else title(j).replace(" ", "\n", 1),
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


def verdict_line(result: Check) -> str:
    """Return the verdict of the whole check with the reasons for it, on one line."""
    own = [j for j in result.judgements if j.verdict == result.verdict]
    reasons = "; ".join(f"{title(j)}: {reason(j, result.questions)}" for j in own)
    return f"{result.verdict.upper()}. {reasons}."


def _fallen_line(result: Check) -> str:
    if not result.fallen:
        return ""
    parts = [
        f"{d.quantity.query_language} {kind_name(d.quantity.kind)} "
        f"{measure_title(d.quantity.measure)} {shown(d.difference, d.quantity.measure, sign=True)}"
        for d in sorted(result.fallen, key=lambda d: d.difference / (d.least or 1))
    ]
    more = len(parts) - MOST_FALLEN
    rest = f" and {more} more" if more > 0 else ""
    return f"These query languages are worse: {', '.join(parts[:MOST_FALLEN])}{rest}."


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
