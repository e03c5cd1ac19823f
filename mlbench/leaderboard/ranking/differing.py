"""What is different between two entries of a model."""

from __future__ import annotations

from collections.abc import Iterator

from mlbench.leaderboard.entries.entry import Entry
from mlbench.reports.words import MISSING

MODEL = ("identity", "adapter", "similarity", "dimension", "dtype", "parameters", "max_length",
         "pooling")  # fmt: skip


def differing_facts(before: Entry, now: Entry) -> tuple[tuple[str, str, str], ...]:
    """Return (what, before, now) of each fact of model, task and run that is not the same."""
    old, new = dict(_facts(before)), dict(_facts(now))
    return tuple(
        (name, old.get(name, MISSING), new.get(name, MISSING))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    model, run = entry.model, entry.run
    for name in MODEL:
        value = getattr(model, name)
        if value not in (None, ""):
            yield name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value)
    for role, prompt in sorted(model.prompts.items()):
        yield f"{role} prompt", repr(prompt)
    yield "task version", entry.task.version
    yield "kind of entry", str(entry.kind)
    yield "contamination", str(entry.declared.contamination)
    if entry.declared.licence is not None:
        yield "licence", entry.declared.licence
    if run is not None:
        yield from sorted(run.versions.items())
        yield "hardware", model.device or run.processor
