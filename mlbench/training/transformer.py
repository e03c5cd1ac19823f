"""Transformers trained by the trainer of sentence-transformers, on the same plan of batches.

The data set that it gets has a row a batch and process: the batch sampler asks for that row as
often as the batch has rows, and the transform of the data set gives the texts. So the trainer holds
no texts, skips what is done at once, and its processes share each batch of the plan.
"""

from __future__ import annotations

import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from transformers import PrinterCallback, TrainerCallback

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.common.progress import Step
from mlbench.data.images import Images
from mlbench.models.images import as_rgb
from mlbench.training.base import without_bars
from mlbench.training.config import Loss, Precision
from mlbench.training.job import CHECKPOINTS, Course, Job
from mlbench.training.processes import Processes

IMAGES_KEPT = 4096
"""Images of the training that are kept in memory, decoded."""
COMPLETE_FILE = "mlbench.json"
"""What a checkpoint has when all of it is written."""
STEPS_A_SECOND = 300
"""No training makes more steps a second; so long a plan has one that goes by time."""
_SHARE = 1000


class PlanSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Asks for every row of the data set as often as a process's part of a batch has rows."""

    def __init__(self, dataset: Any, batch_size: int, drop_last: bool, **more: Any) -> None:
        super().__init__(dataset, batch_size, drop_last, **more)
        self._rows = len(dataset)

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[list[int]]:
        return ([row] * self.batch_size for row in range(self._rows))


def plan_data(job: Job, steps: int, processes: int) -> Any:
    """Return the data set of a training: row ``step * processes + rank``, taken n times, gives the
    texts of the first n rows of that process's part of the step's batch."""

    given = _typed(job)

    def texts(asked: dict[str, list[int]]) -> dict[str, list[Any]]:
        counts: Counter[int] = Counter()
        rows: list[list[Any]] = []
        for number in asked["part"]:
            rows.append(part(number)[counts[number]])
            counts[number] += 1
        least = min(map(len, rows))
        names = ["query", "passage", *(f"negative_{i}" for i in range(1, least - 1))]
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}

    @functools.lru_cache(maxsize=4)
    def part(number: int) -> list[list[Any]]:
        step, rank = divmod(number, processes)
        queries, passages, negatives = job.texts(job.batch(step).part(rank, processes), step)
        return [
            [given(text) for text in (query, passage, *wrong)]
            for query, passage, wrong in zip(queries, passages, negatives, strict=True)
        ]

    data = Dataset.from_dict({"part": range(steps * processes)})
    data.set_transform(texts)
    return data


def _typed(job: Job) -> Callable[[str], Any]:
    """Return what gives the model a text, or the image that a reference stands for.

    A model that takes images is told which is which, so that it opens no file that a text names.
    """
    if not job.base.takes_images:
        return lambda text: text
    images = job.data.collection.images or Images()

    @functools.lru_cache(IMAGES_KEPT)
    def image(reference: str) -> Any:
        return as_rgb(images.open(reference))

    def given(text: str) -> dict[str, Any]:
        return {"image": image(text)} if text in images else {"text": text}

    return given


def train_transformer(job: Job, processes: Processes) -> Course:
    """Train a transformer in place; go on from the last whole checkpoint in the folder.

    On one machine, with the same number of processes and of threads, the model is that of a
    training which was never interrupted, as far as torch's operations are deterministic there;
    with ``seconds`` it is not. Raises UsageError for a batch that the processes cannot share,
    ModelError where the loss is no number any more.
    """
    if job.plan.size % processes.count:
        found = (
            f"{plural(job.plan.size, 'row')} for {plural(processes.count, 'process', 'processes')}"
        )
        raise UsageError(Fault("batch_size", found, "a multiple of the number of processes"))
    steps = job.schedule.steps or int((job.schedule.seconds or 0) * STEPS_A_SECOND) + 1
    last = last_checkpoint(job.folder)
    watch = _Watch(job, processes, last)
    trainer = _Trainer(
        model=job.base.model,
        args=_arguments(job, steps, processes.count),
        train_dataset=plan_data(job, steps, processes.count),
        loss=_loss(job),
        callbacks=[watch],
    )
    if trainer.args.world_size != processes.count:
        found = (
            f"the trainer counts {plural(trainer.args.world_size, 'process', 'processes')}, not "
            f"{processes.count}"
        )
        raise EnvironmentFault(Fault("training", found, "those that the launcher started"))
    trainer.job = job
    trainer.remove_callback(PrinterCallback)
    _rates(trainer, watch)
    with watch.bar, without_bars():
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    return _course(job, trainer.state, watch)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint that was written to its end."""
    found = [path.parent for path in (folder / CHECKPOINTS).glob(f"*/{COMPLETE_FILE}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _arguments(job: Job, steps: int, processes: int) -> Any:
    config = job.config
    return SentenceTransformerTrainingArguments(
        output_dir=str(job.folder / CHECKPOINTS),
        max_steps=steps,
        per_device_train_batch_size=job.plan.size // processes,
        batch_sampler=PlanSampler,
        learning_rate=job.schedule.rate,
        weight_decay=config.weight_decay,
        seed=config.seed,
        bf16=config.precision is Precision.BFLOAT16,
        fp16=config.precision is Precision.FLOAT16,
        save_strategy="no",
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_drop_last=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=job.base.model.device.type == "cpu",
    )


def _loss(job: Job) -> Any:
    config, model = job.config, job.base.model
    if config.loss is Loss.CACHED:
        return CachedMultipleNegativesRankingLoss(
            model, scale=config.scale, mini_batch_size=config.mini_batch
        )
    if config.loss is Loss.SYMMETRIC:
        both = ("query_to_doc", "doc_to_query")
        return MultipleNegativesRankingLoss(
            model, scale=config.scale, directions=both, partition_mode="per_direction"
        )
    return MultipleNegativesRankingLoss(model, scale=config.scale)


def _rates(trainer: Any, watch: _Watch) -> None:
    """Let the trainer's optimizer have the rates of the plan's schedule."""
    from torch.optim.lr_scheduler import LambdaLR

    schedule = watch.job.schedule
    optimizer = trainer.create_optimizer()
    trainer.lr_scheduler = LambdaLR(
        optimizer, lambda step: schedule.rate_at(step, watch.seconds) / schedule.rate
    )


class _Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """The trainer, which looks at each loss before the model is changed."""

    job: Job

    def compute_loss(self, *given: Any, **named: Any) -> Any:
        found = super().compute_loss(*given, **named)
        loss = found[0] if isinstance(found, tuple) else found
        self.job.refuse_loss(float(loss.detach()), self.state.global_step)
        return found

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave the card to mlbench."""


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Shows the progress, measures the time of the steps, evaluates, and asks for checkpoints."""

    def __init__(self, job: Job, processes: Processes, last: Path | None) -> None:
        self.job, self._processes = job, processes
        known = json.loads((last / COMPLETE_FILE).read_text(encoding="utf-8")) if last else {}
        self.seconds: float = known.get("seconds", 0.0)
        self.resumed_at: list[int] = known.get("resumed_at", [])
        self.evaluations: list[dict[str, float]] = known.get("evaluations", [])
        self._loss = float("nan")
        self._saved = time.monotonic()
        self._total = (job.schedule.steps or 0) * job.plan.size
        quiet = not (job.progress and processes.first)
        unit = "pairs" if self._total else ""
        self.bar = Step("training", self._total or _SHARE, unit, quiet=quiet)

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step:
            self.resumed_at.append(state.global_step)
        self._begun = time.perf_counter()
        self._advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        now = time.perf_counter()
        seconds, self._begun = self.seconds + now - self._begun, now
        step, config = state.global_step, self.job.config
        waited = time.monotonic() - self._saved
        self.seconds, waited = self._processes.of_first((seconds, waited))
        self._advance(step)
        if self.job.schedule.share(step, self.seconds) >= 1:
            control.should_training_stop = True
        elif waited >= config.checkpoint_seconds:
            control.should_save = True
        if self.job.evaluate is not None and step % config.evaluate_every == 0:
            if self._processes.first:
                found = self.job.evaluate(step)
                self.evaluations.append(found | {"seconds": round(self.seconds, 3)})
            self._begun = time.perf_counter()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **more: Any
    ) -> None:
        self._loss = (logs or {}).get("loss", self._loss)

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._saved = time.monotonic()
        if self._processes.first:
            told = {"seconds": self.seconds, "resumed_at": self.resumed_at}
            content = json.dumps(told | {"evaluations": self.evaluations}).encode()
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_atomically(folder / COMPLETE_FILE, content)
        self._begun = time.perf_counter()

    def _advance(self, step: int) -> None:
        so_far = step * self.job.plan.size
        share = int(_SHARE * self.job.schedule.share(step, self.seconds))
        self.bar.advance((so_far if self._total else share) - self.bar.done)
        if self.seconds and self._loss == self._loss:
            self.bar.say(f"loss {self._loss:.3f}, {so_far / self.seconds:,.0f} pairs/s")


def _course(job: Job, state: Any, watch: _Watch) -> Course:
    losses: Sequence[float] = [each["loss"] for each in state.log_history if "loss" in each]
    kinds = Counter(str(job.kind(number)) for number in range(state.global_step))
    return Course(
        losses=[*losses],
        seconds=watch.seconds,
        evaluations=watch.evaluations,
        resumed_at=watch.resumed_at,
        kinds=kinds,
    )
