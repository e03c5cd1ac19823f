"""A report cut down to some of its languages: every score again, nothing encoded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from mlbench.common.errors import Fault, UsageError, nearest
from mlbench.common.files import slug
from mlbench.common.names import both_shortened
from mlbench.data.digests import cut_digest
from mlbench.data.sampling import cut_warning
from mlbench.data.task import IMAGE, Kind, Roles, language_among
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.ranking.ranks import pair_totals
from mlbench.reports.provenance import TaskInfo
from mlbench.reports.report import REPORT_FILE, Report, parse_report


def choose_languages(
    text: str,
    known: tuple[str, ...],
    where: str,
    sets: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    *,
    roles: Roles | None = None,
    all_of_them: bool = False,
) -> tuple[str, ...]:
    """Return the languages that ``text`` names, such as "ar,de,en", in the order of ``known``.

    It may also name one of ``sets``. Raises UsageError with every one that is unknown or named
    twice, unless ``all_of_them`` may be named, where they are, and where no setting of ``roles`` is
    left.
    """
    parts = [part.strip() for part in text.split(",")]
    named = sets.get(text.strip()) or [language_among(part, known) for part in parts]
    if roles is not None and roles.between_modalities and IMAGE not in named:
        named = [*named, IMAGE]  # images are what texts search and are searched by
    faults = []
    for number, language in enumerate(named):
        if language not in known:
            found = f"{language!r} is not one of its languages" if language else "an empty name"
            expected = ", ".join(known)
            if sets:
                expected += f"; or one of the sets {', '.join(sets)}"
            mend = nearest(language, (*known, *sets))
            faults.append(Fault(where, found, expected, mend))
        elif language in named[:number]:
            faults.append(Fault(where, f"{language!r} is named twice", "each language once"))
    if not faults and len(named) == len(known) and not all_of_them:
        faults.append(
            Fault(where, "names all of its languages", "some of them", "leave --languages out")
        )
    if not faults and roles is not None and not roles.only(named).settings(Kind):
        found = f"no setting has {', '.join(named)} alone"
        faults.append(Fault(where, found, _needed(roles)))
    if faults:
        raise UsageError(*faults)
    return tuple(language for language in known if language in named)


def _needed(roles: Roles) -> str:
    """Say which languages a task cut to some of them must keep."""
    if roles.pairs:
        return f"both languages of a pair, such as {', '.join(roles.pairs[0])}"
    if roles.between_modalities:
        texts = ", ".join(code for code in roles.queries if code != IMAGE)
        return f"a language of texts ({texts}), which images are searched by"
    each = (("queries", roles.queries), ("passages", roles.passages))
    return " and ".join(f"a language of {role} ({', '.join(codes)})" for role, codes in each)


def cut_report(report: Report, languages: tuple[str, ...], command: str) -> Report:
    """Return the report, with its table, on the task cut to ``languages``, queries and pool both.

    The scores are those of a run on that smaller task. Its digest is made from the whole task's
    and the languages, so the two can never be taken for each other.
    """
    cut = report.table.subset(languages)
    settings = cut.roles.settings([Kind(kind) for kind in report.task.kinds])
    whole = len(report.task.languages)
    task = cut_task(report.task, cut.languages, len(cut.passage_ids))
    note = cut_warning(languages, whole, task.averaged)
    return replace(
        report,
        task=task,
        scores=compute_scores(cut, settings, parse_measures(report.measures)),
        run=replace(report.run, command=f"{report.run.command} && {command}"),
        warnings=(*report.warnings, note),
        ranks=cut,
        texts=None,
        variants=(),
        clip_score=report.clip_score and report.clip_score.only(languages),
        clip_values=report.clip_values and report.clip_values.chosen(settings, None),
        examples=(),
        reranking=report.reranking and replace(report.reranking, macro={}, rank_distance=None),
    )


def cut_task(task: TaskInfo, languages: tuple[str, ...], relevant_pairs: int) -> TaskInfo:
    """Return what a report says of a task cut to some languages, with a digest of its own."""
    whole = task.subset_of or task.digest
    kept = task.roles.only(languages).pairs
    pairs = tuple(pair for pair in task.pairs if pair.languages in kept)
    queries = {language: task.queries[language] for language in languages}
    passages = {code: task.passages[code] for code in languages if code in task.passages}
    if task.pairs:
        totals = (each.tolist() for each in pair_totals(languages, pairs))
        queries, passages = (dict(zip(languages, each, strict=True)) for each in totals)
    cut = replace(
        task,
        languages=languages,
        queries=queries,
        passages=passages,
        passage_languages=tuple(code for code in task.passage_languages if code in languages),
        relevant_pairs=relevant_pairs,
        pairs=pairs,
    )
    return marked_as_cut(cut, whole)


def marked_as_cut(task: TaskInfo, whole: str) -> TaskInfo:
    """Return what a report says of a task that has some of its languages only, where it says that.

    ``whole`` is the digest of the whole task.
    """
    return replace(
        task,
        title=f"{task.title}, only {task.averaged or ', '.join(task.languages)}",
        digest=cut_digest(whole, task.languages),
        subset_of=whole,
    )


def subset_folder(
    folder: Path, languages: Sequence[str], sets: Mapping[str, tuple[str, ...]]
) -> Path:
    """Return where the report on a task cut to some languages goes beside the whole one.

    The name is that of one of ``sets`` where the languages are such a set.
    """
    name = next((name for name, codes in sets.items() if codes == tuple(languages)), "")
    return folder / slug("-".join(("languages", name or "-".join(languages))))


def refuse_other_report(folder: Path, report: Report) -> None:
    """Raise UsageError where ``folder`` holds a report of another task, subset or model."""
    if not (folder / REPORT_FILE).exists():
        return
    old, _ = parse_report(folder / REPORT_FILE)
    for what, before, now in (
        ("task or other languages", old.task.digest, report.task.digest),
        ("model", old.model.identity, report.model.identity),
    ):
        if before != now:
            old_one, new_one = both_shortened(before, now)
            found = f"holds a report of another {what}: {old_one}, now {new_one}"
            raise UsageError(Fault(str(folder), found, "no report, or one of the same languages",
                                   "choose another --output"))  # fmt: skip
