"""Train a retriever on batches that mix languages: from a configuration to a model's folder."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench import __version__
from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import check_writable, write_atomically
from mlbench.common.hardware import hardware, peak_gpu_memory, peak_memory
from mlbench.data.overlap_record import Overlap
from mlbench.data.task import IMAGE
from mlbench.evaluation.options import Options
from mlbench.evaluation.tasks import load_task
from mlbench.training.base import STATIC_KIND, Base, check_libraries, open_base
from mlbench.training.batches import HybridBatches
from mlbench.training.config import STATIC, TrainConfig, train_config
from mlbench.training.job import CHECKPOINTS, LAST_GOOD, STATE_FILE, Course, Job
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.processes import Processes
from mlbench.training.record import RECORD_FILE, TrainingRecord, loss_curve, read_training
from mlbench.training.training_set import training_set

MARK_FILE = "training.begun"
"""Says in a folder which training writes to it."""
_LIBRARIES = (
    *("numpy", "torch", "sentence-transformers", "tokenizers", "transformers"),
    *("accelerate", "datasets"),
)
_ROOM = 3 * 4
"""Bytes that a number of a static model takes while it is trained: with its two moments."""


@dataclass(frozen=True)
class Opened:
    """A training before its base is opened: its data and its plan of batches, and those of the
    training set beside it."""

    config: TrainConfig
    data: TrainingSet
    plan: HybridBatches
    beside: tuple[TrainingSet, HybridBatches] | None = None

    @property
    def sets(self) -> list[TrainingSet]:
        """All training sets."""
        return [self.data, *(self.beside or ())[:1]]

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        options: Options,
        read: Callable[[str, Options], TrainingSet] = training_set,
    ) -> Opened:
        """Read the data and make the plan. Raises as ``train``."""
        beside = config.text_data and _planned(config, config.text_data, options, read)
        if beside and IMAGE in beside[0].languages:
            found = f"{beside[0].name} has images"
            mend = "give the training set with images as data"
            raise UsageError(Fault("text_data", found, "a training set of texts", mend))
        data, plan = _planned(config, config.data, options, read)
        if config.base == STATIC and IMAGE in plan.languages:
            raise _reads_no_images(config, data)
        return cls(config, data, plan, beside or None)


def read_languages(name: str, languages: Sequence[str]) -> tuple[str, ...]:
    """Return the languages that are read of a training set for a training in some languages (none:
    all): images are read with the texts of any."""
    if languages and IMAGE in load_task(name, languages).roles.passages:
        return (*dict.fromkeys((*languages, IMAGE)),)
    return (*languages,)


def _planned(
    config: TrainConfig,
    name: str,
    options: Options,
    read: Callable[[str, Options], TrainingSet],
) -> tuple[TrainingSet, HybridBatches]:
    """Read a training set, and make its plan. Raises as ``train``."""
    languages = read_languages(name, config.languages)
    data = read(name, dataclasses.replace(options, languages=languages or None))
    used = tuple(code for code in data.languages if not languages or code in languages)
    plan = HybridBatches(
        data.rows, used, config.batch_size, config.mixing, config.seed, config.weights
    )
    return data, plan


def train(
    config: TrainConfig | str | Path | Mapping[str, Any],
    options: Options | None = None,
    *,
    overwrite: bool = False,
    command: str = "",
    known: Sequence[Overlap] = (),
) -> TrainingRecord:
    """Train what a configuration says, and return the record of it.

    ``config`` is a TrainConfig, the path of a TOML file, or a dictionary of its fields, such as
    ``{"data": "sample", "steps": 200, "batch_size": 8, "output": "models/first"}``.

    The model is written to ``config.output``: an ordinary folder of sentence-transformers with a
    card and ``training.json``. A training that was killed goes on from where it was; one that is
    done is not done again, and its record has ``done_before``. Of ``options`` count ``data_dir``,
    ``offline``, ``progress`` and ``strict``, which refuses training text that holds anything of the
    task evaluated in training. The record tells of that overlap, and of those that are ``known`` of
    the same data.

    Raises UsageError for what cannot be trained, or where the folder holds another training and
    not ``overwrite``; DataError for data that does not suffice; ModelError where the loss is no
    number any more; EnvironmentFault where a library, disk, memory or network are missing.
    """
    options, processes = options or Options(), Processes.here()
    if isinstance(config, Mapping):
        config = train_config(given=config)
    elif not isinstance(config, TrainConfig):
        config = train_config(config)
    check_libraries()  # before the data is read
    opened = Opened.of(config, options)
    processes.join()
    base = open_base(config, opened.data, opened.plan.languages, options.offline)
    if IMAGE in opened.plan.languages and not base.takes_images:
        raise _reads_no_images(config, opened.data)
    evaluate = _evaluation(config, base, options)
    job = Job(config, opened.data, opened.plan, base, evaluate, options.progress, opened.beside)
    done = _known(job, overwrite)
    if done is not None:
        return done
    found = processes.first_does(lambda: _measured_overlap(opened, options, known))
    found += [each for each in known if _tells_more(each, opened, found)]
    processes.wait()  # all have looked at the folder
    if processes.first:
        _begin(job, overwrite)
    processes.wait()
    course = _trained(job, processes)
    record = _record(job, course, command, processes)
    record = dataclasses.replace(
        record,
        overlap=tuple(each.values() for each in found),
        notes=(*record.notes, *(each.warning for each in found if each.warning)),
    )
    if processes.first:
        base.save(job.folder)
        record.save()
        _tidy(job.folder)
    return record


def _reads_no_images(config: TrainConfig, data: TrainingSet) -> UsageError:
    expected = "`clip`, or the checkpoint of a model of images and texts"
    lacks = f"reads no images, and {data.name} has them"
    return UsageError(Fault(f"base {config.base}", lacks, expected))


def _evaluation(
    config: TrainConfig, base: Base, options: Options
) -> Callable[[int], dict[str, float]] | None:
    """Return what evaluates the model in training, if the configuration names a task."""
    if config.evaluate is None:
        return None
    from mlbench.training.evaluator import RetrievalEvaluator

    options = dataclasses.replace(options, progress=False, languages=None)
    questions, passages = config.evaluate_questions, config.evaluate_passages
    evaluator = RetrievalEvaluator(config.evaluate, questions, passages, options=options)
    return lambda step: {"step": step} | evaluator(base.model, steps=step)


def _measured_overlap(opened: Opened, options: Options, known: Sequence[Overlap]) -> list[Overlap]:
    """Return what the training text has in common with the task that is evaluated in training; what
    is ``known`` is not counted again.

    Raises DataError where there is anything, and ``options.strict``.
    """
    from mlbench.training.overlap import overlap

    if opened.config.evaluate is None:
        return []
    task = load_task(opened.config.evaluate)
    found = []
    for data in opened.sets:
        named = (data.digest, task.name, task.version)
        there = [e for e in known if (e.training_digest, e.task, e.version) == named]
        found.append(there[-1] if there else overlap(data, task, options))
    faults = [each.fault for each in found if each.fault]
    if faults and options.strict:
        raise DataError(*faults)
    return found


def _tells_more(known: Overlap, opened: Opened, found: Sequence[Overlap]) -> bool:
    """Say whether an overlap is of the data of a training, and not found by it."""
    told = {(each.training_digest, each.digest) for each in found}
    own = known.training_digest in [data.digest for data in opened.sets]
    return own and (known.training_digest, known.digest) not in told


def _trained(job: Job, processes: Processes) -> Course:
    if job.base.kind is STATIC_KIND:
        from mlbench.training.static import train_static

        if processes.count > 1:
            found = f"{plural(processes.count, 'process', 'processes')} for static embeddings"
            mend = "run `mlbench train` without a launcher"
            raise UsageError(Fault("training", found, "one process, which is faster", mend))
        return train_static(job)
    check_libraries(("accelerate", "datasets"))
    from mlbench.training.transformer import train_transformer

    return train_transformer(job, processes)


def _known(job: Job, overwrite: bool) -> TrainingRecord | None:
    """Return the record where the training is done already.

    Raises UsageError where the folder holds anything but this training, unless ``overwrite``.
    """
    folder, mark = job.folder, job.folder / MARK_FILE
    if overwrite:
        return None
    done = (folder / RECORD_FILE).is_file()
    if done:
        record = read_training(folder)
        if record.fingerprint == job.fingerprint:
            return dataclasses.replace(record, done_before=True)
    other = done or (mark.is_file() and mark.read_text(encoding="utf-8") != job.fingerprint)
    strange = not mark.is_file() and folder.is_dir() and any(folder.iterdir())
    if other or strange:
        found = "holds another training" if other else "holds files that are no training's"
        expected = "an empty folder, or the training of the same configuration, data and base"
        mend = "use --overwrite, or another --output"
        raise UsageError(Fault(str(folder), found, expected, mend))
    return None


def _begin(job: Job, overwrite: bool) -> None:
    """Make the folder ready. Raises EnvironmentFault where the disk has no room."""
    if overwrite:
        _tidy(job.folder)
        (job.folder / RECORD_FILE).unlink(missing_ok=True)
    size = sum(each.numel() for each in job.base.model.parameters())
    check_writable(job.folder, 2 * _ROOM * size)
    write_atomically(job.folder / MARK_FILE, job.fingerprint.encode())


def _tidy(folder: Path) -> None:
    """Remove what a training needs only until it is done."""
    for name in (STATE_FILE, MARK_FILE):
        (folder / name).unlink(missing_ok=True)
    for name in (LAST_GOOD, CHECKPOINTS):
        shutil.rmtree(folder / name, ignore_errors=True)


def _record(job: Job, course: Course, command: str, processes: Processes) -> TrainingRecord:
    plan, data = job.plan, job.data
    pairs = course.steps * plan.size
    config: dict[str, Any] = dataclasses.asdict(job.config)
    config |= {
        "output": str(job.config.output),
        "proportions": dataclasses.asdict(job.config.mixing),
        "learning_rate": job.schedule.rate,
    }
    config = json.loads(json.dumps(config))  # as it is read again
    return TrainingRecord(
        folder=job.folder,
        fingerprint=job.fingerprint,
        config=config,
        base=job.base.describe(),
        data={"name": data.name, "digest": data.digest, "rows": data.counts(plan.languages)},
        text_data=job.beside and _told_beside(*job.beside),
        plan=plan.describe(),
        kinds=dict(sorted(course.kinds.items())),
        steps=course.steps,
        pairs=pairs,
        seconds=round(course.seconds, 3),
        pairs_per_second=round(pairs / max(course.seconds, 1e-9), 1),
        peak_memory=peak_memory(),
        peak_gpu_memory=peak_gpu_memory(),
        loss=loss_curve(course.losses),
        evaluations=tuple(course.evaluations),
        resumed_at=tuple(course.resumed_at),
        versions=_versions(),
        hardware={**dataclasses.asdict(hardware()), "gpus": [*hardware().gpus]},
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        processes=processes.count,
        notes=(*job.base.notes, *course.notes, *_untaught(job)),
    )


def _told_beside(data: TrainingSet, plan: HybridBatches) -> dict[str, Any]:
    """Return what a record tells of the second training set."""
    return {"name": data.name, "digest": data.digest, "languages": [*plan.languages]}


def _untaught(job: Job) -> list[str]:
    """Return a note where a model of images is trained on texts alone."""
    if not job.base.takes_images or IMAGE in job.plan.languages:
        return []
    return [
        f"The training set {job.data.name} has no images, so nothing taught the model which "
        "caption belongs to which image."
    ]


def _versions() -> dict[str, str]:
    found = {"mlbench": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
