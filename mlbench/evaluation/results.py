"""Partial results to reports: checked against each other, added up, scored."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.common.progress import Step
from mlbench.data.task import Kind
from mlbench.evaluation.partial import Done, Partial, differing, empty_counts
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.reports.provenance import Encoded, RunInfo, Truncated
from mlbench.reports.report import Report

MOST_NAMES = 10


def merge(partials: Mapping[Path, Partial]) -> Partial:
    """Add up partial results; no model and no data is needed.

    Raises UsageError, naming files and shards, where they belong to different runs, where a shard
    is in two of them and where one is in none.
    """
    (first_path, first), *others = partials.items()
    faults = [
        Fault(str(path), f"another {what} than {first_path}: {one!r} here, {other!r} there")
        for path, partial in others
        for what, one, other in differing(partial.identity, first.identity)
    ]
    if faults:
        raise UsageError(*faults)
    owners: dict[str, list[Path]] = defaultdict(list)
    for path, partial in partials.items():
        for name in partial.done:
            owners[name].append(path)
    _refuse_overlap(owners)
    _refuse_gaps([shard.name for shard in first.shards if shard.name not in owners], partials)
    total = empty_counts(first.ranks)
    for partial in partials.values():
        total.above[:] += partial.ranks.above
        total.tied[:] += partial.ranks.tied
    done = {name: partial.done[name] for partial in partials.values() for name in partial.done}
    runs = [partial.draft.run for partial in partials.values()]
    peak = max((run.peak_memory for run in runs if run.peak_memory), default=None)
    draft = replace(first.draft, run=replace(first.draft.run, peak_memory=peak))
    return Partial(first.identity, first.shards, done, draft, total)


def _refuse_overlap(owners: Mapping[str, Sequence[Path]]) -> None:
    twice = {name: paths for name, paths in owners.items() if len(paths) > 1}
    if not twice:
        return
    found = [f"{n} in {' and in '.join(map(str, paths))}" for n, paths in twice.items()]
    raise UsageError(
        Fault(
            f"{plural(len(twice), 'shard')} counted twice",
            "; ".join(found[:MOST_NAMES]) + (" ..." if len(found) > MOST_NAMES else ""),
            "every shard in one file",
            "leave out files of another division, such as 1-of-2 beside 1-of-3",
        )
    )


def _refuse_gaps(lacking: Sequence[str], partials: Mapping[Path, Partial]) -> None:
    if not lacking:
        return
    more = f" and {len(lacking) - MOST_NAMES} more" if len(lacking) > MOST_NAMES else ""
    raise UsageError(
        Fault(
            ", ".join(map(str, partials)),
            f"{plural(len(lacking), 'shard is', 'shards are')} in none of them: "
            f"{', '.join(lacking[:MOST_NAMES])}{more}",
            "every shard in one file",
            "give the files of all parts; if a part did not end, run it again",
        )
    )


def finish(
    partial: Partial, measures: Sequence[str] = (), command: str = "", *, quiet: bool = False
) -> Report:
    """Return the report on a complete result.

    ``measures`` are those of the run if none are given.
    """
    draft = partial.draft
    parsed = parse_measures(measures or draft.measures)
    settings = draft.task.roles.settings([Kind(kind) for kind in draft.task.kinds])
    with Step(f"{draft.task.name}: measuring", 1, "report", quiet=quiet) as step:
        scores = compute_scores(partial.ranks, settings, parsed)
    run = _run(partial)
    return Report(
        task=draft.task,
        model=draft.model,
        measures=tuple(measure.name for measure in parsed),
        scores=scores,
        run=replace(
            run,
            command=command or run.command,
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seconds=run.seconds | {"measuring": round(step.seconds, 3)},
        ),
        warnings=draft.warnings,
        ranks=partial.ranks,
    )


def _run(partial: Partial) -> RunInfo:
    """Add to what is known of the run what its shards took."""
    run, done = partial.draft.run, partial.done.values()
    core = run.encoded["passage"]
    passages = Encoded(
        texts=sum(shard.passages for shard in partial.shards),
        distinct=core.distinct + sum(shard.encoded for shard in done),
        cached=core.cached,
    )
    return replace(
        run,
        seconds=run.seconds | {"streaming": round(sum(shard.seconds for shard in done), 3)},
        encoded=run.encoded | {"passage": passages},
        recomputed=sum(shard.recomputed for shard in done),
        truncated=_truncated(partial),
    )


def _truncated(partial: Partial) -> dict[str, dict[str, Truncated]] | None:
    core = partial.draft.run.truncated
    if core is None or any(done.cut is None for done in partial.done.values()):
        return None
    of_language: dict[str, list[Done]] = defaultdict(list)
    for shard in partial.shards:
        of_language[shard.language].append(partial.done[shard.name])
    passages = {}
    for language, done in of_language.items():
        cuts = [d.cut for d in done if d.cut]
        texts, lost, tokens = (sum(column) for column in zip(*cuts, strict=True))
        distinct = sum(d.distinct for d in done)
        passages[language] = Truncated(texts, texts / max(distinct, 1), lost / max(tokens, 1))
    return core | {"passage": passages}
