"""What a training is told: by a TOML file, the command line, or a call."""

from __future__ import annotations

import contextlib
import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from mlbench.common.errors import Fault, UsageError
from mlbench.common.forms import (
    WORD,
    Takes,
    Wrong,
    fill_form,
    if_only,
    read_toml,
    setting,
    settings_of,
    whole_number,
)
from mlbench.common.trust import Demand, refuse_untrusted
from mlbench.training.batches import Proportions

STATIC = "static"
"""The base that is made anew: a tokenizer of the training text, and random vectors."""
TOWERS = "clip"
"""The base of an image tower and a text tower that are made anew."""
ALPHA = 0.5
"""The share of monolingual batches where nothing else is said, as in arXiv 2408.10536."""


class Loss(StrEnum):
    """The losses: all are InfoNCE over the passages of the batch; the cached one encodes a large
    batch in small parts, and the symmetric one is the mean with that over the queries (CLIP's)."""

    MNRL = "mnrl"
    CACHED = "cached-mnrl"
    SYMMETRIC = "symmetric"


class Precision(StrEnum):
    """The number format of a transformer's forward pass."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def _share(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Wrong(repr(value), "a number from 0 to 1")
    return float(value)


def _above_zero(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        raise Wrong(repr(value), "a number above 0")
    return float(value)


Word = Annotated[str, WORD]
Count = Annotated[int, Takes("a whole number from 1", whole_number)]
Natural = Annotated[int, if_only(lambda v: type(v) is int and v >= 0, "a whole number from 0")]
Share = Annotated[float, Takes("a number from 0 to 1", _share)]
Positive = Annotated[float, Takes("a number above 0", _above_zero)]
_LENGTHS = ("steps", "pairs", "seconds")


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, on what, and how: the keys of the file, and the options of `mlbench train`.

    Exactly one of ``steps``, ``pairs`` and ``seconds`` says how long; ``alpha`` or ``proportions``
    says how languages are mixed (see ``mlbench.training.batches``).
    """

    base: Word = setting(
        "what is trained: a checkpoint's folder, a name on the hub, `static` for static token "
        "embeddings made anew, or `clip` for a small image tower and text tower made anew",
        "SPEC", STATIC,
    )  # fmt: skip
    data: Word = setting(
        "the training set: a task's name or file, or ids of ir_datasets, in which {language} "
        "stands for each of the languages, such as 'ir_datasets:mmarco/v2/{language}/train'",
        "TASK", "",
    )  # fmt: skip
    output: Path = setting("the folder of the trained model", "FOLDER", Path())
    text_data: Word | None = setting(
        "a second training set, of text pairs, whose batches stand among those of data", "TASK"
    )
    text_share: Share = setting(
        "the share of batches that are of text_data (default: 0.5)", "NUMBER", 0.5
    )
    languages: tuple[str, ...] = setting(
        "the languages that are trained on, such as de,en (default: all of the data)", "CODES", ()
    )
    alpha: Share | None = setting(
        "the share of monolingual batches; in the others each row has its own pair of different "
        "languages (default: 0.5)", "NUMBER",
    )  # fmt: skip
    proportions: Proportions | None = setting(
        "instead of alpha: the shares of the four kinds of batches, such as "
        "'{mono = 0.5, pair = 0.25, mixed = 0.25, multi = 0}'", "TABLE",
    )  # fmt: skip
    weights: dict[str, float] | None = setting(
        "how often languages are drawn, such as '{en = 2}'; all others have 1", "TABLE"
    )
    batch_size: Count = setting("rows of a batch, over all processes (default: 100)", "N", 100)
    steps: Count | None = setting("how long: so many batches", "N")
    pairs: Count | None = setting("how long: so many rows, in whole batches", "N")
    seconds: Positive | None = setting("how long: so many seconds of training", "NUMBER")
    loss: Loss = setting(
        "mnrl; cached-mnrl for batches that do not fit; or symmetric, CLIP's, from queries to "
        "passages and back", "NAME", Loss.MNRL,
    )  # fmt: skip
    scale: Positive = setting(
        "cosines are multiplied by it, 1 / temperature (default: 20)", "NUMBER", 20.0
    )
    mini_batch: Count = setting("texts encoded at once by cached-mnrl (default: 32)", "N", 32)
    negatives: Natural = setting(
        "hard negatives a row, where the data has them (default: 1)", "N", 1
    )
    learning_rate: Positive | None = setting(
        "the highest learning rate (default: 0.02 for static embeddings, 3e-5 for others)",
        "NUMBER",
    )
    warmup: Share = setting(
        "the share of the training in which the rate rises; then it falls as a cosine "
        "(default: 0.1)", "NUMBER", 0.1,
    )  # fmt: skip
    weight_decay: Annotated[float, if_only(lambda v: v >= 0, "a number from 0")] = setting(
        "AdamW's weight decay of transformers (default: 0.01)", "NUMBER", 0.01
    )
    precision: Precision = setting(
        "float32, bfloat16 or float16, for transformers", "NAME", Precision.FLOAT32
    )
    max_length: Count | None = setting("cut texts after N tokens, for transformers", "N")
    seed: Natural = setting("the seed of batches and random vectors (default: 0)", "N", 0)
    query_prompt: str | None = setting("the text put before every query", "TEXT")
    passage_prompt: str | None = setting("the text put before every passage", "TEXT")
    dimension: Count = setting("of the vectors of `static` and `clip` (default: 128)", "N", 128)
    vocabulary: Count = setting("tokens of `static` and `clip` (default: 40000)", "N", 40_000)
    evaluate: Word | None = setting("a task to be evaluated on in training", "TASK")
    evaluate_every: Count = setting("steps between evaluations (default: 500)", "N", 500)
    evaluate_questions: Count = setting(
        "questions of the task that are evaluated in training (default: 100)", "N", 100
    )
    evaluate_passages: Count | None = setting(
        "passages of each language that are searched then beside the judged ones (default: all)",
        "N",
    )
    checkpoint_seconds: Annotated[float, if_only(lambda v: v >= 0, "a number from 0")] = setting(
        "a training that is killed loses so many seconds at the most (default: 60)", "NUMBER", 60.0
    )

    @property
    def mixing(self) -> Proportions:
        """The proportions of the kinds of batches."""
        return self.proportions or Proportions.hybrid(ALPHA if self.alpha is None else self.alpha)

    @property
    def whole_steps(self) -> int | None:
        """How many batches, where that is said."""
        return -(-self.pairs // self.batch_size) if self.pairs else self.steps

    def rate(self, default: float) -> float:
        """Return the highest learning rate."""
        return self.learning_rate or default


SETTINGS = settings_of(TrainConfig)


def train_config(
    file: str | Path | None = None, given: Mapping[str, Any] | None = None, **more: Any
) -> TrainConfig:
    """Return the configuration of a file, with what is ``given`` instead, as values of TOML.

    Paths of the file start at its folder. Raises UsageError with all faults at once, also where
    the file's output lies outside its folder, unless the user's own word allows it.
    """
    path = Path(file) if file is not None else None
    table = read_toml(path, "the configuration of a training", UsageError) if path else {}
    table = {key.replace("-", "_"): value for key, value in table.items()}
    own = {name: value for name, value in {**(given or {}), **more}.items() if value is not None}
    own = {name: str(value) if isinstance(value, Path) else value for name, value in own.items()}
    for names in (("alpha", "proportions"), _LENGTHS):
        if any(name in own for name in names):
            table = {name: value for name, value in table.items() if name not in names}

    def place(name: str) -> str:
        first = name.partition(".")[0].replace("-", "_")
        if path is None or first in own:
            return f"option {name}"
        return f"{path}, field {name}"

    merged = {**table, **own}
    config = fill_form(TrainConfig, merged, place, UsageError, _faults(merged, place))
    config = _beside(path.parent, config, own) if path else config
    if path and "output" not in own:
        refuse_untrusted(_writes(path, config.output))
    return config


def from_text(name: str, text: str) -> Any:
    """Return the value of TOML that an option of the command line stands for. What is written as a
    list, a table or a quoted text of TOML is one, whatever the field.

    >>> from_text("languages", "de,en"), from_text("alpha", "0.5"), from_text("base", "static")
    (['de', 'en'], 0.5, 'static')
    >>> from_text("languages", '["de", "en"]'), from_text("base", '["static", "xlm-roberta-base"]')
    (['de', 'en'], ['static', 'xlm-roberta-base'])
    """
    if text.startswith(("[", "{", '"', "'")):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            return tomllib.loads(f"value = {text}")["value"]
    if name == "languages":
        return [code.strip() for code in text.split(",")]
    if name in _TEXTS:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        try:
            return float(text)  # ".5" is no number in TOML
        except ValueError:
            return text


_TEXTS = {
    *("base", "data", "text_data", "output", "loss", "precision"),
    *("query_prompt", "passage_prompt", "evaluate"),
}


def _faults(table: Mapping[str, Any], place: Any) -> list[Fault]:
    """Return what is wrong with values that are right one by one."""
    faults = [
        Fault(place(name), "missing", what)
        for name, what in (("data", "a task's name or file"), ("output", "a folder"))
        if not table.get(name)
    ]
    lengths = [name for name in _LENGTHS if name in table]
    if len(lengths) != 1:
        found = f"{' and '.join(lengths)} given" if lengths else "none is given"
        faults.append(Fault(place(", ".join(_LENGTHS)), found, "exactly one of them"))
    if "text_share" in table and "text_data" not in table:
        faults.append(Fault(place("text_share"), "given without text_data", "both, or neither"))
    if "alpha" in table and "proportions" in table:
        faults.append(Fault(place("alpha"), "given beside proportions", "one of them"))
    shares = table.get("proportions")
    if isinstance(shares, dict) and all(type(v) in (int, float) for v in shares.values()):
        known = [field.name for field in dataclasses.fields(Proportions)]
        if set(shares) <= set(known):
            faults += Proportions(**shares).faults(place("proportions"))
    return faults


def _beside(folder: Path, config: TrainConfig, own: Mapping[str, Any]) -> TrainConfig:
    """Return a configuration whose paths start at ``folder``, but those that were given."""
    names = [
        n for n in ("base", "data", "text_data", "evaluate") if getattr(config, n) and n not in own
    ]
    there = {n: folder / getattr(config, n) for n in names}
    paths: dict[str, Any] = {n: str(path) for n, path in there.items() if path.exists()}
    if config.base in (STATIC, TOWERS):
        paths.pop("base", None)
    if "output" not in own:
        paths["output"] = folder / config.output
    return replace(config, **paths)


def _writes(path: Path, output: Path) -> list[Demand]:
    if output.resolve().is_relative_to(path.parent.resolve()):
        return []
    what = f"writes to {str(output)!r}, outside the folder of this file"
    return [Demand(path, "output", what, "give --output yourself")]
