"""Carry a study out: every cell is trained, evaluated and kept, and what is done stays done.

A cell is done when its ``cell.json`` is there, which is written last. So a study that was killed,
or found the disk full, goes on where it was, and several processes can share its folder.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import DataError, Fault, IntegrityError
from mlbench.common.files import alone, slug, write_atomically
from mlbench.common.progress import Step
from mlbench.reports.report import RANKS_FILE, REPORT_FILE, parse_report, read_report
from mlbench.training.studies.entrants import BASELINE, ELSEWHERE, TRAINED, Entrant
from mlbench.training.studies.form import BASE, Elsewhere
from mlbench.training.studies.plan import Arm, Cell, Study

PLAN_FILE, CELL_FILE, TRAINING_FILE = "plan.json", "cell.json", "training.json"
PLAN_SCHEMA, CELL_SCHEMA = "mlbench/study-plan/1", "mlbench/study-cell/1"
MODEL = "model"


@dataclass(frozen=True)
class Work:
    """How a study trains and evaluates.

    ``train`` takes the fields of a training and the folder of the model, where it also leaves
    ``training.json``, and goes on where it was; what it returns is kept with the cell.
    ``untrained`` leaves in a folder the base as it was before. ``evaluate`` takes a model's name or
    folder, a task, and the folder of the report.
    """

    train: Callable[[Mapping[str, Any], Path], Mapping[str, Any]]
    untrained: Callable[[Mapping[str, Any], Path], None]
    evaluate: Callable[[str | Path, str, Path], None]


@dataclass(frozen=True)
class Job:
    """A part of a study that is done at once, in a folder of its own: a cell, or a model that was
    not trained here. ``digest`` is of what it is made of."""

    name: str
    folder: Path
    digest: str
    do: Callable[[Path], dict[str, Any]]

    @property
    def done(self) -> bool:
        """Whether it is done. Raises IntegrityError where something else was done there."""
        return read_done(self.folder, self.digest) is not None


def read_done(folder: Path, digest: str) -> dict[str, Any] | None:
    """Return what is known of a job that is done, None where it is not.

    Raises IntegrityError where another one was done in its folder, or where its file is damaged.
    """
    path = folder / CELL_FILE
    try:
        known = json.loads(path.read_bytes())
        found = known["digest"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        mend = "remove this folder, and it is done again"
        raise IntegrityError(Fault(str(path), f"damaged: {error}", "as written", mend)) from None
    if found != digest:
        mend = "remove this folder, or choose another place with --output"
        raise IntegrityError(Fault(str(path), f"digest {found}", digest, mend))
    return dict(known) if all(_whole(folder / task) for task in known["tasks"]) else None


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (REPORT_FILE, RANKS_FILE))


def open_folder(study: Study, folder: Path) -> None:
    """Make the folder of a study, or make sure that it is of this study.

    Raises IntegrityError where it is of another, EnvironmentFault where it cannot be written.
    """
    path = folder / PLAN_FILE
    if path.is_file():
        try:
            known = json.loads(path.read_bytes())
            name, digest = known["study"], known["digest"]
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(Fault(str(path), f"damaged: {error}", "as written")) from None
        if digest != study.digest:
            found = f"holds the study {name!r} with other training, tasks or measure"
            expected = f"an empty folder, or that of {study.name!r} as {study.path} says it"
            mend = "choose another place with --output"
            raise IntegrityError(Fault(str(folder), found, expected, mend))
    plan: dict[str, Any] = {"schema": PLAN_SCHEMA, "study": study.name, "digest": study.digest}
    plan["form"] = dataclasses.asdict(study.form)
    write_atomically(path, (json.dumps(plan, indent=1, ensure_ascii=False) + "\n").encode())


def cell_folder(folder: Path, cell: Cell) -> Path:
    """Return where a cell is kept."""
    return folder / "cells" / cell.name


def jobs(study: Study, folder: Path, work: Work) -> Iterator[Job]:
    """Yield all that a study does: its baselines, models of elsewhere, then its cells."""
    for name in study.form.baselines:
        place = folder / "baselines" / slug(name)
        yield _model_job(study, name, place, work, base=name == BASE)
    for name, other in study.form.elsewhere.items():
        for spec in other.models:
            place = folder / ELSEWHERE / slug(name) / slug(spec)
            yield _model_job(study, beside(study, spec), place, work)
    for cell in study.cells:

        def do(place: Path, cell: Cell = cell) -> dict[str, Any]:
            return _train(study, cell, place, work)

        title = f"{cell.arm.label}, seed {cell.seed}"
        yield Job(title, cell_folder(folder, cell), study.cell_digest(cell), do)


def beside(study: Study, spec: str) -> str:
    """Return a model or data set of a study file: a path starts at the file's folder."""
    path = study.path.parent / spec
    return str(path) if path.exists() else spec


def _model_job(study: Study, spec: str, place: Path, work: Work, base: bool = False) -> Job:
    def do(folder: Path) -> dict[str, Any]:
        model: str | Path = spec
        if base:
            model = folder / MODEL
            work.untrained(resolved(study, study.cells[0].config), model)
        return {"seconds": {}} | _evaluate(study, model, folder, work)

    return Job(spec, place, study.model_digest(spec), do)


def _train(study: Study, cell: Cell, folder: Path, work: Work) -> dict[str, Any]:
    model = folder / MODEL
    begin = time.perf_counter()
    trained = work.train(resolved(study, cell.config), model)
    seconds = round(time.perf_counter() - begin, 3)
    if (model / TRAINING_FILE).is_file():
        write_atomically(folder / TRAINING_FILE, (model / TRAINING_FILE).read_bytes())
    done = _evaluate(study, model, folder, work)
    if not study.form.keep_models:
        shutil.rmtree(model, ignore_errors=True)
    told = {"arm": cell.arm.label, "seed": cell.seed, "config": cell.config}
    return told | dict(trained) | done | {"seconds": {"training": seconds, **done["seconds"]}}


def resolved(study: Study, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a training with paths that start at the study's file as they are from
    here."""
    named = {
        key: beside(study, config[key]) for key in ("data", "text_data", "base") if key in config
    }
    return {**config, **named}


def _evaluate(study: Study, model: str | Path, folder: Path, work: Work) -> dict[str, Any]:
    seconds, names = {}, []
    texts, encoding = 0, 0.0
    for task in study.form.tasks:
        begin = time.perf_counter()
        name = task_folder(task)
        work.evaluate(model, beside(study, task), folder / name)
        seconds[name] = round(time.perf_counter() - begin, 3)
        names.append(name)
        run = parse_report(folder / name / REPORT_FILE)[0].run
        texts += sum(each.distinct - each.cached for each in run.encoded.values())
        encoding += run.seconds.get("encoding", 0.0)
    encoded = {"texts": texts, "seconds": round(encoding, 3)}
    return {"tasks": names, "seconds": seconds, "encoded": encoded}


def task_folder(task: str) -> str:
    """Return what the folder of the reports on a task is called."""
    return slug(Path(task).name.removesuffix(".toml"))


def carry_out(todo: Sequence[Job], name: str, *, quiet: bool = False) -> None:
    """Do what is not done yet, one after the other; jobs that another process does are waited for.

    What ends it leaves all that was done; a note on the error says so.
    """
    left = [job for job in todo if not job.done]
    with Step(f"{name}: models", len(left), "model", quiet=quiet) as step:
        for number, job in enumerate(left):
            try:
                carry_out_one(job)
            except BaseException as error:
                kept = len(todo) - len(left) + number
                done = f"{plural(len(todo), 'model')} {agreeing(kept, 'is', 'are')} done and kept"
                error.add_note(f"at {job.name!r}; {kept} of {done}, "
                               "and the same command goes on from there")  # fmt: skip
                raise
            step.advance(1)


def carry_out_one(job: Job) -> None:
    """Do a job unless it is done, alone in its folder."""
    with alone(job.folder):
        if not job.done:
            told = {"schema": CELL_SCHEMA, "name": job.name, "digest": job.digest}
            told |= job.do(job.folder)
            write_atomically(
                job.folder / CELL_FILE, (json.dumps(told, indent=1, default=str) + "\n").encode()
            )


def entrants(study: Study, folder: Path, task: str) -> list[Entrant]:
    """Return the arms and baselines that have reports on a task, ready to be read.

    Raises DataError where reports of an arm that was trained elsewhere are missing.
    """
    found = [_arm(study, folder, arm, task) for arm in study.arms]
    for name, other in study.form.elsewhere.items():
        found.append(_elsewhere(study, folder, name, other, task))
    for name in study.form.baselines:
        place = folder / "baselines" / slug(name)
        if read_done(place, study.model_digest(name)):
            found.append(_entrant(name, BASELINE, {"": place / task_folder(task)}))
    return [each for each in found if each.seeds]


def _arm(study: Study, folder: Path, arm: Arm, task: str) -> Entrant:
    cells = [Cell(arm, seed) for seed in study.form.seeds]
    places = {
        str(cell.seed): cell_folder(folder, cell) / task_folder(task)
        for cell in cells
        if read_done(cell_folder(folder, cell), study.cell_digest(cell))
    }
    languages = tuple(arm.config.get("languages", ()))
    return _entrant(arm.label, TRAINED, places, languages, arm.x, arm.series)


def _entrant(label: str, role: str, places: Mapping[str, Path], *more: Any) -> Entrant:
    return Entrant(label, role, tuple(places), lambda seed: read_report(places[seed]), *more)


def _elsewhere(study: Study, folder: Path, name: str, other: Elsewhere, task: str) -> Entrant:
    places = {}
    for spec in other.models:
        place = folder / ELSEWHERE / slug(name) / slug(spec)
        if read_done(place, study.model_digest(beside(study, spec))):
            places[spec] = place / task_folder(task)
    for given in other.reports:
        places[given] = report_on(Path(beside(study, given)), task_folder(task))
    return _entrant(name, ELSEWHERE, places, other.languages)


def report_on(folder: Path, task: str) -> Path:
    """Return the folder of the one report on a task that lies anywhere in ``folder``.

    Raises DataError where there is none, or where there are several.
    """
    paths = sorted(folder.glob(f"**/{REPORT_FILE}"))
    found = [path.parent for path in paths if parse_report(path)[0].task.name == task]
    if len(found) != 1:
        said = f"{len(found) or 'no'} report{'s' * (len(found) != 1)} on {task}"
        raise DataError(Fault(str(folder), said, f"one report on {task}: one model's folder"))
    return found[0]


def trainings(study: Study, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return by arm what is recorded of each training, seed by seed: ``training.json``, and below
    ``cell`` the seconds of each step."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in study.cells:
        place = cell_folder(folder, cell)
        done = read_done(place, study.cell_digest(cell))
        if done is not None:
            path = place / TRAINING_FILE
            record = json.loads(path.read_bytes()) if path.is_file() else {}
            found.setdefault(cell.arm.label, []).append({**record, "cell": done})
    return found


def done_of(todo: Iterable[Job]) -> tuple[int, int]:
    """Return how many jobs are done, and how many there are."""
    known = [job.done for job in todo]
    return sum(known), len(known)
