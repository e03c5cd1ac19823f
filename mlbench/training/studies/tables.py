"""A study as tables and in words: arms, claims, pairs, languages, cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mlbench.common.counts import agreeing, listed, plural
from mlbench.common.names import shortened_apart
from mlbench.comparing.differences import shown_p
from mlbench.data.task import FROM_IMAGE, INTO_IMAGE, Kind
from mlbench.measures.clip_score import CLIP_SCORE, CLIP_SCORES
from mlbench.reports.table import Table
from mlbench.reports.tables import ranged
from mlbench.reports.words import MISSING, kind_name, mean_name, number
from mlbench.training.studies.entrants import BASELINE
from mlbench.training.studies.figures import SEEN, UNSEEN, Figure, macro_figures
from mlbench.training.studies.findings import (
    FAILS,
    HOLDS,
    NOT_SHOWN,
    ClaimResult,
    Pair,
    TaskFindings,
    best_of,
)
from mlbench.training.studies.form import Relation

if TYPE_CHECKING:
    from mlbench.training.studies.report import Cost, StudyReport

SHORT = {"monolingual": "mono", "crosslingual": "cross", "multilingual": "multi"}
OF_IMAGES = {INTO_IMAGE: "to image", FROM_IMAGE: "to text"}
LONGEST = 30
AGREES = {True: "", False: " (against the claim)"}


def column(figure: Figure) -> str:
    """Return how a figure heads a column, on two lines."""
    if figure.measure == "rank-distance":
        return "rank\ndistance"
    if figure.measure == "same-language":
        return "same-language\noutranking"
    short = {**SHORT, **OF_IMAGES}.get(figure.kind, figure.kind)
    if figure.measure in CLIP_SCORES:
        return f"{'found first' if figure.measure == CLIP_SCORE else 'judged'}\n{short}"
    return f"{mean_name(figure.measure)}\n{short}"


def arms_table(task: TaskFindings, *, intervals: bool, clip: bool = False) -> Table:
    """Return the macro figures of every arm and baseline, a row each; all but CLIPScore, or of
    ``clip`` that alone."""
    every = macro_figures(task.figures)
    figures = [figure for figure in every if (figure.measure in CLIP_SCORES) == clip]
    names = shortened_apart([each.label for each in task.entrants], LONGEST)
    rows = []
    for entrant in task.entrants:
        cells = []
        for figure in figures:
            value = task.value(entrant.label, figure)
            if value is None:
                cells.append(MISSING)
            elif intervals:
                cells.append(ranged(value.value, value.low, value.high, figure.digits))
            else:
                cells.append(number(value.value, figure.digits))
        rows.append((names[entrant.label], *cells))
    return Table(("arm", *map(column, figures)), tuple(rows) if figures else ())


def pairs_table(task: TaskFindings, figure: Figure) -> Table:
    """Return the differences of all pairs by one figure, a row each."""
    rows = tuple(
        (
            f"{pair.arm} - {pair.against}",
            ranged(pair.difference, pair.low, pair.high, figure.digits, sign="+"),
            shown_p(pair.corrected),
            number(pair.least, figure.digits),
            "yes" if pair.shown else "no",
        )
        for pair in task.pairs
        if pair.figure == figure
    )
    return Table(("pair", "difference", "p (Holm)", "least", "shown"), rows)


def languages_table(task: TaskFindings, kind: str, measure: str) -> Table:
    """Return a figure by query language, a column an arm."""
    names = shortened_apart([each.label for each in task.entrants], 18)
    rows = []
    for language in task.task.roles.queries:
        values = [task.value(e.label, Figure(kind, measure, language)) for e in task.entrants]
        if any(values):
            rows.append((language, *(number(v.value if v else None) for v in values)))
    headers = ("queries in", *(names[each.label].replace(" ", "\n", 1) for each in task.entrants))
    return Table(headers, tuple(rows))


def seen_table(task: TaskFindings, measure: str) -> Table:
    """Return what arms score on languages seen in training and on others, a row an arm."""
    kinds = [kind for kind in SHORT if Figure(kind, measure, SEEN) in task.figures]
    columns = [Figure(kind, measure, over) for kind in kinds for over in (SEEN, UNSEEN)]
    rows = []
    for entrant in task.entrants:
        values = [task.value(entrant.label, figure) for figure in columns]
        if any(values):
            cells = (ranged(v.value, v.low, v.high) if v else MISSING for v in values)
            rows.append((entrant.label, *cells))
    headers = ("arm", *(f"{column(figure)}\n{figure.over}" for figure in columns))
    return Table(headers, tuple(rows))


def cost_table(costs: Sequence[Cost], reach: float | None = None) -> Table:
    """Return what training took, a row an arm: means over the seeds, the highest peak; and the
    seconds until a score was first reached, where one is given."""
    rows = tuple(
        (
            cost.arm,
            number(cost.steps, 0, commas=True),
            number(cost.pairs, 0, commas=True),
            number(cost.seconds, 1, commas=True),
            number(cost.pairs_per_second, 0, commas=True),
            number(cost.memory / 2**20 if cost.memory else None, 0, commas=True),
            number(cost.evaluating, 1, commas=True),
            number(cost.texts_per_second, 0, commas=True),
            *((_reached(cost),) if reach is not None else ()),
        )
        for cost in costs
    )
    headers = ("arm", "steps", "pairs", "seconds", "pairs a\nsecond", "peak\nMiB",
               "seconds of\nevaluation", "texts\na second")  # fmt: skip
    return Table(headers + ((f"seconds\nto {reach:g}",) if reach is not None else ()), rows)


def _reached(cost: Cost) -> str:
    """Return the mean seconds of the trainings that reached the score, and how many did if not all
    of them; and how many have no record of the seconds."""
    seconds = [each for each in cost.reached if each is not None]
    unknown, count = sum(cost.untimed), len(cost.reached)
    if unknown == count:
        return "seconds not recorded"
    left = f"; seconds of {unknown} not recorded" if unknown else ""
    if not seconds:
        return f"not reached{left}"
    mean = number(sum(seconds) / len(seconds), 1, commas=True)
    return mean if len(seconds) == count else f"{mean} ({len(seconds)} of {count}{left})"


def claims_table(report: StudyReport) -> Table:
    """Return every claim on every task: what is said, the paper's figures, ours, the verdict."""
    rows = tuple(
        (
            result.claim.says,
            result.task,
            result.verdict,
            ours_text(result),
            least_text(result),
            "; ".join(paper_lines(result)) or MISSING,
        )
        for result in report.claims
    )
    return Table(("claim", "task", "verdict", "ours", "least", "paper"), rows, words=6)


def ours_text(result: ClaimResult) -> str:
    """Return a claim's figures as this study has them, its arm's first."""
    digits = result.pairs[0].figure.digits
    (arm, value), *others = result.ours.items()
    against = ", ".join(f"{number(v, digits)} with {label}" for label, v in others)
    return f"{number(value, digits)} with {arm}; {against}"


def least_text(result: ClaimResult) -> str:
    """Return the smallest difference that could have been shown; of sameness, the margin."""
    digits = result.pairs[0].figure.digits
    if result.claim.relation is Relation.SAME:
        return f"margin {result.claim.within:g}"
    return number(result.least, digits)


def paper_lines(result: ClaimResult) -> list[str]:
    """Return the published figures by place, and which of them are against the claim."""
    lines = []
    for where, (figures, agrees) in result.paper.items():
        first, *others = (f"{value:g}" for value in figures)
        lines.append(f"{where}: {first} against {', '.join(others)}{AGREES[agrees]}")
    return lines


def difference_text(pair: Pair) -> str:
    """Return a difference with its interval in words."""
    digits = pair.figure.digits
    low, high = (f"{end:+.{digits}f}" for end in (pair.low, pair.high))
    return f"{pair.difference:+.{digits}f} (95% interval {low} to {high})"


def verdict_counts(report: StudyReport) -> str:
    """Return how many claims hold, do not hold and are not shown, in words."""
    results = report.claims
    counts = {name: sum(r.verdict == name for r in results) for name in (HOLDS, FAILS, NOT_SHOWN)}
    several = len({r.name for r in results}) < len(results)
    what = plural(len({r.name for r in results}), "claim") + (
        f" on {plural(len(report.tasks), 'task')}, {plural(len(results), 'verdict')}"
        if several
        else ""
    )
    hold, fail, open_ = counts.values()
    return (
        f"{what}: {hold} {agreeing(hold, 'holds', 'hold')}, {fail} "
        f"{agreeing(fail, 'does', 'do')} not hold, {open_} {agreeing(open_, 'is', 'are')} "
        "not shown."
    )


def reading(report: StudyReport) -> list[str]:
    """Return what the study found, in a few sentences."""
    said = [*report.warnings]
    arms = [each for each in report.entrants if each.role != BASELINE]
    seeds = sorted({len(each.seeds) for each in arms})
    each = f"{seeds[0]} to " * (len(seeds) > 1) + plural(seeds[-1], "seed")
    tasks = ", ".join(
        f"{task.task.name} ({plural(task.questions, 'question')})" for task in report.tasks
    )
    said.append(f"{plural(len(arms), 'way')} to train, with {each} each, on {tasks}.")
    said += [sentence for task in report.tasks for sentence in _best(task)]
    if report.claims:
        said.append(f"Of {verdict_counts(report)}")
    if report.untested:
        names = ", ".join(name for name, _ in report.untested)
        said.append(f"Not tested, because no task has the figure or an arm is not done: {names}.")
    return said


def _best(task: TaskFindings) -> Iterator[str]:
    best = {f: v for f, v in best_of(task).items() if f.kind in {**SHORT, **OF_IMAGES}}
    best = {f: v for f, v in best.items() if f.measure not in CLIP_SCORES}
    found = [
        f"{figure.title} with {listed([each.arm for each in best[figure]])} "
        f"({number(best[figure][0].value, figure.digits)})"
        for figure in macro_figures(list(best))
    ]
    if found:
        yield f"Of the arms trained here, the best on {task.task.name} is: {'; '.join(found)}."


def kinds_of(task: TaskFindings) -> list[str]:
    """Return the kinds of settings that a task has, in order."""
    there = {figure.kind for figure in task.figures}
    return [kind.value for kind in Kind if kind.value in there]


def language_title(kind: str, task: TaskFindings, measure: str) -> str:
    """Return the title of a table by query language."""
    return f"{task.task.name}: {mean_name(measure)} {kind_name(kind)} by query language"
