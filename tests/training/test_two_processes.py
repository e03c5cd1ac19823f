"""Trainings by two real processes. They take long to start, so that both are in one launch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from mlbench.training.record import read_training

pytest.importorskip("sentence_transformers")
pytest.importorskip("accelerate")
from tests.training import two_processes
from tests.training.made_model import save_tiny
from tests.training.test_transformer import assert_alike, by_hand, config

TRAINING = """
base = "{base}"
data = "sample"
languages = ["de", "en", "es"]
batch-size = 8
steps = 8
learning-rate = 0.003
query-prompt = "q: "
evaluate = "sample"
evaluate-every = 8
output = "shared"
"""


def torchrun(processes, *command):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *launcher, *map(str, command)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | paths,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_processes_share_each_step(tmp_path):
    tiny, file = save_tiny(tmp_path / "tiny"), tmp_path / "training.toml"
    file.write_text(TRAINING.format(base=tiny))
    printed = torchrun(2, two_processes.__file__, tmp_path, file)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    check_samplers(ranks)
    assert [rank["did"] for rank in ranks] == ["done by 0"] * 2
    assert [rank["failed"] for rank in ranks] == ["data: none for 0"] * 2
    assert printed.count("record: ") == 1
    record = read_training(tmp_path / "shared")
    assert record.processes == 2
    assert file.with_suffix(".measured").read_text() == "0"  # by the first alone
    assert any("was trained on what is evaluated" in note for note in record.notes)
    by_hand(config(tmp_path / "by-hand", tiny), 2)
    assert_alike(tmp_path / "shared", tmp_path / "by-hand")


def check_samplers(ranks):
    """Check the batches that each process got in trainings with the samplers for other scripts."""
    per_epoch = two_processes.ROWS * 9 // two_processes.BATCH // 2
    for name in ("one", "several"):
        steps = [*zip(*(rank[name] for rank in ranks), strict=True)]
        assert len(steps) == two_processes.EPOCHS * per_epoch
        kinds = Counter(_kind(step) for step in steps)
        wanted = {"one": {"mono", "pair", "mixed"}, "several": {"mono", "pair"}}[name]
        assert set(kinds) == wanted
        assert min(kinds.values()) > len(steps) * 0.15
        assert steps[:per_epoch] != steps[per_epoch:]  # the second epoch is another
        for one, other in steps:
            if name == "one":
                questions = [word[2:] for batch in (one, other) for word in batch[0]]
                assert len(set(questions)) == len(questions)
            else:
                assert one != other


def _kind(step):
    """Say of which kind the batches of all processes in one step are together."""
    pairs = {
        (query[:2], passage[:2]) for batch in step for query, passage in zip(*batch, strict=True)
    }
    if len(pairs) == 1:
        query, passage = pairs.pop()
        return "mono" if query == passage else "pair"
    assert all(query != passage for query, passage in pairs)
    return "mixed"
