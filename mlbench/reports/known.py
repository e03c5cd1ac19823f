"""Languages of a task that a model is not declared for: they are marked, and never a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbench.common.counts import listed, named
from mlbench.data.languages import same_language
from mlbench.data.task import IMAGE

if TYPE_CHECKING:
    from mlbench.reports.report import Report

MARK = "†"
ENOUGH = 10
"""A list that also says "multilingual", or what is no code, names only some of the languages unless
it has so many."""


def undeclared(report: Report) -> tuple[str, ...]:
    """Return the languages of the task that the model's own list does not have; none where there is
    no list, or one that does not say all."""
    codes = [same_language(each) for each in report.model.languages]
    declared = set(filter(None, codes))
    if not declared or ("" in codes and len(declared) < ENOUGH):
        return ()
    asked = (code for code in report.task.languages if code != IMAGE)
    return tuple(code for code in asked if (same_language(code) or code) not in declared)


def marked_language(report: Report, language: str) -> str:
    """Return a language as a table names it: marked where the model is not declared for it."""
    return f"{language} {MARK}" if language in undeclared(report) else language


def languages_reading(report: Report) -> list[str]:
    """Say which of the task's languages the model is not declared for, if there are any."""
    missing = undeclared(report)
    if not missing:
        return []
    known = list(dict.fromkeys(filter(None, map(same_language, report.model.languages))))
    told = named(known, "language")
    not_for = (
        "none of this task's" if len(missing) == len(report.task.languages) else listed(missing)
    )
    link = "but for" if not_for.startswith("none") else "but not for"
    return [f"The model is declared for {told}, {link} {not_for} ({MARK} in the table)."]
