"""The script that makes a training set of XNLI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.training_set import training_set

SCRIPT = Path(__file__).resolve().parents[2] / "studies" / "xnli.py"


def convert(sentences: Path, folder: Path) -> TrainingSet:
    subprocess.run([sys.executable, str(SCRIPT), str(sentences), str(folder)], check=True)
    return training_set(folder / "xnli.toml", progress=False)


def test_premises_ask_for_their_hypotheses(tmp_path: Path):
    """The last premise has two hypotheses only."""
    path = tmp_path / "made.jsonl"
    rows = [{"id": f"s{i}", "de": f"Satz {i}", "en": f"sentence {i}"} for i in range(7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = convert(path, tmp_path / "new" / "folder")
    assert data.languages == ("de", "en")
    queries, passages = data.texts("de", "en", np.arange(5))
    assert queries == ["Satz 0"] * 3 + ["Satz 4"] * 2
    assert passages == [f"sentence {i}" for i in (1, 2, 3, 5, 6)]


def test_the_real_sentences(data_dir: Path, tmp_path: Path):
    sentences = data_dir / "parallel" / "xnli_11way.jsonl"
    some = tmp_path / "some.jsonl"
    lines = sentences.read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == 9999
    some.write_text("".join(lines[:1000]), encoding="utf-8")
    data = convert(some, tmp_path)
    rows = data.rows("de", "en")
    assert len(rows.query) == 750
    assert len(set(rows.query.tolist())) == 250
    premises, hypotheses = data.texts("en", "en", np.array([0, 9, -1]))
    assert premises[0] == "And he said, Mama, I'm home."
    assert hypotheses[0] == "He called his mom as soon as the school bus dropped him off."
    first, last = (json.loads(lines[i])["en"] for i in (12, 996))
    assert (premises[1], premises[2]) == (first, last)
    assert hypotheses[1:] == [json.loads(lines[i])["en"] for i in (13, 999)]
