"""How the cells of a study are trained and evaluated: by ``mlbench.training`` and by
``mlbench.evaluate``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlbench.common.errors import DataError, Fault, MlbenchError, UsageError
from mlbench.common.files import write_atomically
from mlbench.data.overlap_record import Overlap, read_overlaps
from mlbench.data.sampling import cut_to_languages
from mlbench.data.sources import LANGUAGE, in_shards
from mlbench.data.task import Task
from mlbench.evaluation.choices import chosen_languages
from mlbench.evaluation.evaluate import evaluate
from mlbench.evaluation.options import Options
from mlbench.evaluation.tasks import load_task
from mlbench.reports.report import write_report
from mlbench.training.base import open_base
from mlbench.training.config import TrainConfig, train_config
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.overlap import overlaps
from mlbench.training.studies.form import BASE
from mlbench.training.studies.plan import Study
from mlbench.training.studies.run import MODEL, Work, beside, resolved
from mlbench.training.trainer import Opened, read_languages, train
from mlbench.training.training_set import training_set

OVERLAP_FILE = "overlap.json"


def work_with(options: Options, command: str = "", overlaps: Path | None = None) -> Work:
    """Return how a study trains and evaluates with some options, such as where data lies.

    ``overlaps`` is the file of ``measured_overlap``: what it says of the data of a model is told in
    the record of its training.
    """
    quiet = _quiet(options)

    def train_cell(config: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        peak = _Peak()
        known = _known(overlaps) if overlaps else []
        train(_config(config, folder), quiet, command=command, known=known)
        return {"peak_memory": peak.read()}

    def leave_untrained(config: Mapping[str, Any], folder: Path) -> None:
        opened = Opened.of(_config(config, folder), quiet)
        plan = opened.plan
        open_base(opened.config, opened.data, plan.languages, options.offline).save(folder)

    def evaluate_model(model: str | Path, task: str, folder: Path) -> None:
        trained_here = Path(model).name == MODEL
        chosen = replace(quiet, cache=None) if trained_here else quiet
        report = evaluate(str(model), task, chosen)
        write_report(folder, report, report.ranks, {})

    return Work(train_cell, leave_untrained, evaluate_model)


def measured_overlap(study: Study, folder: Path, options: Options) -> list[str]:
    """Return what the training sets of a study, in the languages that its arms train on, have in
    common with its tasks, a sentence each.

    What each arm trains on is measured by itself, so that the record of a training tells of its own
    data; arms with the same languages share it, and a text that several have is compared once. What
    is measured is kept in the study's folder, and only what is not there is measured: where an axis
    has got more training sets, or more languages of one. Raises DataError where ``options.strict``
    and they have anything in common.
    """
    path = folder / OVERLAP_FILE
    known = _known(path)
    tasks = [load_task(beside(study, task)) for task in study.form.tasks]
    every = _training_sets(study, options)
    for task in tasks:
        new = [data for data in every if data.compared(known, task) is None]
        if new:
            known += overlaps([data.content for data in new], task, options)
            values = [each.values() for each in known]
            text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
            write_atomically(path, text.encode())
    found = [data.compared(known, task) for data in every if data.widest for task in tasks]
    current = [each for each in found if each is not None]
    faults = [each.fault for each in current if each.fault is not None]
    if faults and options.strict:
        raise DataError(*faults)
    return [each.warning for each in current if each.warning]


def _known(path: Path) -> list[Overlap]:
    """Return what a study has counted so far."""
    try:
        return read_overlaps(path) if path.is_file() else []
    except DataError as error:
        mend = "delete the file: what it told is then counted again"
        raise DataError(*(replace(fault, mend=mend) for fault in error.faults)) from None


@dataclass
class _Data:
    """A training set of a study in some languages (none: all), read when that is necessary.
    ``alone`` says that no other has its name; ``widest``, that these are the languages of all arms
    together."""

    name: str
    source: Task
    languages: tuple[str, ...]
    widest: bool
    read: Callable[[str, Options], TrainingSet]
    options: Options
    alone: bool = True

    @cached_property
    def content(self) -> TrainingSet:
        """What it holds."""
        return self.read(self.name, replace(self.options, languages=self.languages or None))

    def compared(self, known: Sequence[Overlap], task: Task) -> Overlap | None:
        """Return its overlap with a task, if that is known."""
        named = (self.source.name, task.name, task.version)
        languages = _alike(self.name, self.languages or self.source.languages)
        there = [
            each
            for each in known
            if (each.training, each.task, each.version) == named
            and _alike(self.name, each.training_languages) == languages
            and (self.alone or self.content.digest == each.training_digest)
        ]
        return there[-1] if there else None


def _alike(name: str, languages: Sequence[str]) -> tuple[str, ...]:
    """Return what is the same for languages in which a training set is the same: their order
    matters only where they stand in place of a name's ``{language}``."""
    return (*languages,) if LANGUAGE in name else (*sorted({*languages}),)


def _training_sets(study: Study, options: Options) -> list[_Data]:
    """Return each training set in the languages of all arms, and in those of each arm."""
    wanted: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {}
    for config in (resolved(study, arm.config) for arm in study.arms):
        for name in filter(None, (config.get("data"), config.get("text_data"))):
            languages = read_languages(name, config.get("languages", ()))
            wanted.setdefault(name, {}).setdefault(_alike(name, languages), languages)
    read, found = _reading_once(), []
    for name, each in wanted.items():
        every = dict.fromkeys(code for codes in each.values() for code in codes)
        widest = _alike(name, () if () in each else (*every,))
        for codes, languages in ({widest: (*every,)} | each).items():
            source = load_task(name, languages or None)
            found.append(_Data(name, source, languages, codes == widest, read, options))
    names = Counter(data.source.name for data in found if data.widest)
    return [replace(data, alone=names[data.source.name] == 1) for data in found]


def check_arms(study: Study, options: Options, *, data: bool = False) -> None:
    """Raise UsageError with what is wrong with the training of any arm, all of it at once and what
    all arms share once; with ``data`` also DataError for what is wrong with its plan of batches."""
    quiet, read = _quiet(options), _reading_once()
    found: dict[Fault, list[str]] = {}
    kind: type[MlbenchError] = UsageError
    for arm in study.arms:
        try:
            config = _config(resolved(study, {**arm.config, "seed": 0}), Path(MODEL))
            if data:
                Opened.of(config, quiet, read)
        except MlbenchError as error:
            kind = type(error)
            for fault in error.faults:
                found.setdefault(fault, []).append(arm.label)
    faults = []
    for fault, labels in found.items():
        everywhere = len(labels) == len(study.arms) > 1  # then it is of no arm, and is said once
        wheres = ("",) if everywhere else (f"{label}: " for label in labels)
        faults += [replace(fault, where=f"{where}{fault.where}") for where in wheres]
    if BASE in study.form.baselines and any("base" in arm.point for arm in study.arms):
        expected = "baselines without it, where the base is varied"
        faults.append(Fault(f"{study.path}, field baselines", f"{BASE!r}", expected))
    if faults:
        raise kind(*faults)


def _reading_once() -> Callable[[str, Options], TrainingSet]:
    """Return what reads training sets, each of them once, whatever languages it is cut to."""
    whole: dict[object, TrainingSet] = {}

    def read(name: str, options: Options) -> TrainingSet:
        task = load_task(name, options.languages)
        streamed = in_shards(task)  # only what is judged in these languages is read
        key = (name, options.languages) if streamed else name
        if key not in whole:
            languages = options.languages if streamed else None
            whole[key] = training_set(task, replace(options, languages=languages))
        data = whole[key]
        if streamed:
            return data
        languages = chosen_languages(task, options)
        return TrainingSet.of(data.name, cut_to_languages(data.collection, languages))

    return read


def _quiet(options: Options) -> Options:
    return replace(options, progress=False)


def _config(fields: Mapping[str, Any], folder: Path) -> TrainConfig:
    return train_config(given={**fields, "output": str(folder)})


class _Peak:
    """The most memory that this process has from now on, where Linux tells it."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self._told = True
        except OSError:
            self._told = False

    def read(self) -> int | None:
        """Return it in bytes."""
        if not self._told:
            return None
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
        return int(peak) * 1024 if peak else None
