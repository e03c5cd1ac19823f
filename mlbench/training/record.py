"""What is known of a training: ``training.json`` beside the model, and the model's card."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, IntegrityError
from mlbench.common.files import reading, write_atomically
from mlbench.data.overlap_record import TRAINING_FILE, TRAINING_SCHEMA
from mlbench.data.task import IMAGE
from mlbench.training.config import Loss

RECORD_FILE = TRAINING_FILE
CARD_FILE = "README.md"
SCHEMA = TRAINING_SCHEMA
MOST_POINTS = 100
"""Points of a loss curve."""


@dataclass(frozen=True)
class LossPoint:
    """The mean loss of the steps up to ``step``, since the point before."""

    step: int
    loss: float


@dataclass(frozen=True)
class TrainingRecord:
    """What was trained, on what, how, and what it took.

    ``folder`` holds the model, an ordinary one of sentence-transformers. ``fingerprint`` is the
    same for trainings that should give the same model: configuration, data and base. ``seconds``
    are those of the steps alone; ``peak_memory``, of the process, and that of one GPU are in bytes,
    None where the system won't say or there is none.
    ``text_data`` is the second training set, where there is one, with its languages.
    ``evaluations`` are the figures in training, with their step; ``overlap`` says how much of what
    is evaluated stands in the training text; ``kinds`` counts the batches. ``done_before``: the
    training was found done, and nothing was trained.
    """

    folder: Path
    fingerprint: str
    config: dict[str, Any]
    base: dict[str, Any]
    data: dict[str, Any]
    plan: dict[str, Any]
    kinds: dict[str, int]
    steps: int
    pairs: int
    seconds: float
    pairs_per_second: float
    peak_memory: int | None
    loss: tuple[LossPoint, ...]
    text_data: dict[str, Any] | None = None
    peak_gpu_memory: int | None = None
    evaluations: tuple[dict[str, float], ...] = ()
    overlap: tuple[dict[str, Any], ...] = ()
    processes: int = 1
    resumed_at: tuple[int, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    date: str = ""
    command: str = ""
    notes: tuple[str, ...] = ()
    done_before: bool = field(default=False, compare=False)

    def save(self) -> None:
        """Write the record and the model's card. Raises EnvironmentFault where they can't be."""
        values = dataclasses.asdict(self) | {"schema": SCHEMA}
        for name in ("folder", "done_before"):
            values.pop(name)
        content = json.dumps(values, indent=1, ensure_ascii=False, default=str) + "\n"
        write_atomically(self.folder / CARD_FILE, model_card(self).encode())
        write_atomically(self.folder / RECORD_FILE, content.encode())


def read_training(folder: str | Path) -> TrainingRecord:
    """Read the record of a trained model.

    Raises EnvironmentFault where there is none, IntegrityError where it is not as it was written.
    """
    path = Path(folder) / RECORD_FILE
    with reading(path, f"the {RECORD_FILE} of a trained model"):
        text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text)
        if values.pop("schema") != SCHEMA:
            raise ValueError
        for name in ("evaluations", "overlap", "resumed_at", "notes"):
            values[name] = tuple(values[name])
        values["loss"] = tuple(LossPoint(**point) for point in values["loss"])
        return TrainingRecord(folder=Path(folder), **values)
    except (ValueError, KeyError, TypeError, AttributeError):
        expected = f"a record of a training, {SCHEMA}"
        raise IntegrityError(Fault(str(path), "not as mlbench writes it", expected)) from None


def loss_curve(losses: Sequence[float]) -> tuple[LossPoint, ...]:
    """Return the losses of all steps as the means of at most MOST_POINTS stretches.

    >>> loss_curve([4.0, 2.0])
    (LossPoint(step=1, loss=4.0), LossPoint(step=2, loss=2.0))
    """
    ends = np.linspace(0, len(losses), min(MOST_POINTS, len(losses)) + 1).astype(int)
    means = [(end, math.fsum(losses[start:end]) / (end - start)) for start, end in _spans(ends)]
    return tuple(LossPoint(int(end), round(mean, 6)) for end, mean in means)


def _spans(ends: Any) -> list[tuple[int, int]]:
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


def model_card(record: TrainingRecord) -> str:
    """Return the card of a trained model, in Markdown."""
    shares = {kind: share for kind, share in record.plan["proportions"].items() if share}
    mixed = ", ".join(f"{share:.0%} {kind}" for kind, share in shares.items())
    last = record.loss[-1].loss if record.loss else math.nan
    base = record.base["name"]
    texts = [code for code in record.plan["languages"] if code != IMAGE]
    images = len(texts) < len(record.plan["languages"])
    head = [
        *("---", "library_name: sentence-transformers", "pipeline_tag: sentence-similarity"),
        *("tags:", "- sentence-transformers", "- feature-extraction", "- mlbench"),
        *("language:", *(f"- {json.dumps(code)}" for code in texts)),
        *((f"base_model: {json.dumps(base)}",) if record.base.get("hub") else ()),
        "---",
    ]
    both = ", both ways" if record.config.get("loss") == Loss.SYMMETRIC else ""
    prompts = {role: text for role, text in record.base.get("prompts", {}).items() if text}
    rows = [
        ("base", base),
        ("training set", f"{record.data['name']} (digest {record.data['digest'][:16]})"),
        *(_beside(record)),
        ("languages", ", ".join(texts) + (", and images" if images else "")),
        ("batches", f"{plural(record.plan['size'], 'row')}: {mixed}"),
        ("steps", f"{record.steps:,} ({plural(record.pairs, 'row')})"),
        ("loss", f"InfoNCE{both}, scale {record.config['scale']:g}; {last:.4f} at the end"),
        ("learning rate", f"{record.config['learning_rate']:g}"),
        ("seed", str(record.config["seed"])),
        *((f"prompt of a {role}", json.dumps(text)) for role, text in prompts.items()),
    ]
    table = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    text = [
        f"# {record.folder.name}",
        "A retriever trained by mlbench on batches that mix languages. It is an ordinary model of "
        "sentence-transformers:",
        _use(record.folder.name, images),
        "\n".join(table),
        f"`{RECORD_FILE}` holds all of the plan, the loss curve, versions and digests. "
        "`mlbench run --model FOLDER --task TASK` evaluates the model.",
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(text) + "\n"


def _beside(record: TrainingRecord) -> list[tuple[str, str]]:
    """Return the row of the second training set, if there is one."""
    if record.text_data is None:
        return []
    told = f"{record.text_data['name']} (digest {record.text_data['digest'][:16]})"
    return [("text pairs", f"{told}, {record.config['text_share']:.0%} of the batches")]


def _use(name: str, images: bool) -> str:
    """Return a program that uses the model."""
    lines = ["from sentence_transformers import SentenceTransformer", ""]
    lines += [f"model = SentenceTransformer({json.dumps(name)})"]
    if images:
        lines.insert(0, "from PIL import Image")
        lines += [
            'captions = model.encode([{"text": "a caption"}])',
            'images = model.encode([{"image": Image.open("picture.png").convert("RGB")}])',
        ]
    else:
        lines += [
            'queries = model.encode_query(["a question"])',
            'passages = model.encode_document(["a passage"])',
        ]
    return "\n".join(["```python", *lines, "```"])
