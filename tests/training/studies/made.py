"""A study whose models are made, not trained: their quality is known, so what it finds is, too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from mlbench.reports.report import Report, write_report
from mlbench.training.studies.plan import Study, load_study
from mlbench.training.studies.run import Work, carry_out, jobs, open_folder
from tests.support.reports import collection_of, languages, renamed, report_of, vectors

STUDY = """
name = "made"
title = "A made study"
question = "Is less noise better?"
tasks = ["parallel"]
seeds = [1, 2, 3]
baselines = ["rival"]

[train]
data = "made-data"
languages = ["{languages}"]

[grid]
noise = [0.8, 1.0, 1.6]

[claims.less]
says = "Little noise is better in the mixed pool than much."
figure = "multilingual:AP"
arm = "noise 0.8"
than = ["noise 1.6"]
source = "a paper, Table 1"
[claims.less.paper]
"one task" = [0.7, 0.5]
"another" = [0.5, 0.6]

[claims.more]
says = "Much noise is better within a language than any less."
figure = "monolingual:AP"
arm = "noise 1.6"

[claims.alike]
says = "Noise of 0.8 and of 1 are nearly the same across languages."
figure = "crosslingual:AP"
arm = "noise 0.8"
relation = "same"
within = 0.0001
than = ["noise 1"]
"""


def write_study(folder: Path, text: str = STUDY, count: int = 3, name: str = "made") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text.replace("{languages}", '", "'.join(languages(count))))
    return path


@cache
def made_report(noise: float, seed: int, questions: int = 40, count: int = 3) -> Report:
    """The report of a model with so much noise; the questions and their meaning are the same."""
    collection = collection_of(languages(count), questions)
    report, _ = report_of(collection, vectors(collection, 2 * noise, seed=seed), measures=["AP"])
    named = renamed(report, f"noise-{noise}-{seed}")
    return replace(named, model=replace(named.model, identity=f"{noise} {seed}"))


def train_made(config: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Leave what a training leaves: a model, which is its own configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(dict(config)))
    return {"peak_memory": 2**20}


def evaluate_made(model: str | Path, task: str, folder: Path) -> None:
    """Write the report of a made model."""
    if str(model) == "rival":
        report = made_report(4.0, 1)
    else:
        config = json.loads((Path(model) / "model.json").read_text())
        report = made_report(config["noise"], config["seed"])
    write_report(folder, report, report.ranks, {})


MADE = Work(train_made, train_made, evaluate_made)


def done_study(folder: Path, text: str = STUDY) -> tuple[Study, Path]:
    """A made study, carried out."""
    study = load_study(write_study(folder, text))
    place = folder / "done"
    open_folder(study, place)
    carry_out(list(jobs(study, place, MADE)), study.name, quiet=True)
    return study, place
