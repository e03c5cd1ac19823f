"""Small leaderboards made for tests, and ways to tamper with them."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from mlbench.common.files import sha256_of
from mlbench.leaderboard.checking.findings import Findings
from mlbench.leaderboard.checking.recording import write_record
from mlbench.leaderboard.checking.submit import Submitted, add_task, reported, submit
from mlbench.leaderboard.checking.validate import Options, validate
from mlbench.leaderboard.entries.entry import (
    ENTRY_FILE,
    RANKS_FILE,
    Contamination,
    Declared,
    Level,
    Source,
)
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import TaskKey, ranks_to_bytes, read_ranks
from mlbench.reports.provenance import ModelInfo
from mlbench.reports.report import Report, write_report
from tests.support.reports import collection_of, languages, report_of, vectors

DAY = datetime.date(2025, 6, 1)
TODAY = datetime.date(2025, 7, 1)
TASK = "parallel"


@cache
def run_of(seed: int, questions: int = 24) -> tuple[Report, Ranks]:
    """A report on three languages; each seed is another model."""
    collection = collection_of(languages(3), questions)
    return report_of(collection, vectors(collection, noise=2.5 + seed / 10, seed=seed))


def report_called(name: str, seed: int) -> tuple[Report, Ranks]:
    """The same, of a model of that name."""
    report, ranks = run_of(seed)
    identity = hashlib.sha256(f"weights {seed}".encode()).hexdigest()
    return replace(report, model=replace(report.model, name=name, identity=identity)), ranks


def submitted(
    root: Path, work: Path, name: str, seed: int, by: str = "Ada", day: datetime.date = DAY
) -> Submitted:
    """Write a report below ``work`` and submit it."""
    folder = work / f"{name.encode().hex()[:40]}-{seed}"
    write_report(folder, *report_called(name, seed), {})
    declared = Declared(
        by,
        day.isoformat(),
        licence="MIT",
        link="https://example.org/model",
        training_data=("books",),
        training_languages=("ar", "de"),
        contamination=Contamination.CLEAN,
        note="a note",
    )
    return submit(folder, root, declared)


def publish(
    root: Path, by: str, day: datetime.date, value: float, distance: float | None = None
) -> Submitted:
    """Enter figures from a publication of a model that may be there already."""
    source = Source("Somebody, Some Title, 2020", "https://example.org/paper")
    return reported(
        root,
        TASK,
        ModelInfo("Published (2020)"),
        {"multilingual": {"AP": Score(value)}},
        Score(distance) if distance else None,
        Declared(by, day.isoformat(), source=source),
    )


def honest_board(root: Path, work: Path) -> Path:
    """A leaderboard with every kind of file: two models, one of them run twice, a withdrawn one,
    figures from a publication, and a record."""
    add_task(*run_of(1), root)
    alpha = submitted(root, work, "alpha", 1)
    submitted(root, work, "Beta/large", 2, by="Bob")
    submitted(root, work, "alpha", 3, day=DAY + datetime.timedelta(days=9))
    publish(root, "Ada", DAY, 0.25, 12.5)
    evidence = verified(alpha.folder, work, Level.SAMPLED)
    write_record(alpha.folder, Level.SAMPLED, "Maintainer", evidence, "", TODAY)
    return root


def verified(folder: Path, work: Path, level: Level) -> Path:
    """Write what `mlbench verify --json` prints of an entry that agrees, as far as it matters."""
    found = {
        "schema": "mlbench/verification/1",
        "verdict": "agrees",
        "level": level.value,
        "entry": {"sha256": sha256_of(folder / ENTRY_FILE)},
    }
    path = work / "verify.json"
    path.write_text(json.dumps(found))
    return path


def check(root: Path, *within: str, **options: Any) -> Findings:
    """Validate a leaderboard on a fixed day."""
    from pathlib import PurePosixPath

    paths = tuple(map(PurePosixPath, within))
    return validate(root, Options(**{"today": TODAY, "within": paths} | options))


def exit_code(findings: Findings) -> int:
    """The exit code that a validation ends with."""
    error = findings.error()
    return error.exit_code if error else 0


def edit(path: Path, keys: Sequence[str | int], value: Any) -> None:
    """Set one value of a JSON file; ``...`` takes the key away."""
    table = entry = json.loads(path.read_text(encoding="utf-8"))
    for key in keys[:-1]:
        entry = entry[key]
    if value is ...:
        del entry[keys[-1]]
    else:
        entry[keys[-1]] = value
    path.write_text(json.dumps(table, ensure_ascii=False, indent=1), encoding="utf-8")


def put_table(folder: Path, raw: bytes) -> None:
    """Replace an entry's table, and name its digest in the entry."""
    (folder / RANKS_FILE).write_bytes(raw)
    edit(folder / ENTRY_FILE, ("ranks_sha256",), hashlib.sha256(raw).hexdigest())


def alter_table(folder: Path, key: TaskKey | None = None, **columns: Any) -> None:
    """Replace columns of an entry's table; each is a function of the old column."""
    ranks, old = read_ranks(folder / RANKS_FILE)
    new = {name: change(getattr(ranks, name)) for name, change in columns.items()}
    put_table(folder, ranks_to_bytes(replace(ranks, **new), key or old))
