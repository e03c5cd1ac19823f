"""A small made-up repository of a model: its code, a task, a baseline, a configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.command_line import mlbench

QUESTIONS = 24

MODEL = """
import re
import numpy as np

BUCKETS = {buckets}

class Model:
    name = "numbers"

    def encode_queries(self, texts, language):
        numbers = [int(re.search("[0-9]+", text)[0]) for text in texts]
        return np.eye(BUCKETS, dtype=np.float32)[[n % BUCKETS for n in numbers]]

    encode_passages = encode_queries

def make():
    return Model()
"""

TASK = """
name = "mine"
version = "1"
title = "Mine"
languages = ["en", "de", "tr"]
licence = "CC0-1.0"
citation = "none"
[source]
reader = "lines"
[source.files]
text = "{language}.txt"
"""

CONFIG = """
model = "model.py:make"
task = "mine.toml"
baseline = "baseline.parquet"
"""


def write_model(folder: Path, buckets: int = QUESTIONS) -> None:
    """Write a model that tells as many numbers apart as it has buckets; fewer is worse."""
    (folder / "model.py").write_text(MODEL.format(buckets=buckets))


def make_repository(folder: Path, questions: int = QUESTIONS) -> Path:
    """Write the repository with a perfect model, and its baseline."""
    for code, word in {"en": "stone", "de": "Stein", "tr": "taş"}.items():
        lines = "".join(f"{word} number {i}\n" for i in range(questions))
        (folder / f"{code}.txt").write_text(lines, encoding="utf-8")
    (folder / "mine.toml").write_text(TASK)
    (folder / "mlbench.toml").write_text(CONFIG)
    write_model(folder)
    for command in (
        ["run", "--model", "model.py:make", "--task", "mine.toml", "--quiet"],
        ["baseline", "results/numbers/mine"],
    ):
        done = mlbench(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository, with no data but what is in it."""
    given = {k: v for k, v in os.environ.items() if k != "MLBENCH_DATA"}
    given = {k: v for k, v in given.items() if not k.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        command, cwd=cwd, env=given | environment, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
