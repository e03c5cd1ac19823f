"""How many processors may be used: affinity, and quotas of both versions of control groups."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mlbench.common import threads
from mlbench.common.threads import LIBRARIES, limit_libraries, usable_processors
from mlbench.evaluation.options import Options


@pytest.fixture
def many(monkeypatch):
    """The process may run on 64 processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)


def usable(folder, membership, files):
    """What a process may use whose groups are these, given files of the mounted folder."""
    (folder / "membership").write_text(membership)
    for name, content in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return usable_processors(folder / "membership", folder / "groups")


V1 = "12:memory:/docker/1f\n3:cpu,cpuacct:/docker/1f\n1:name=systemd:/docker/1f\n"
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 64),
        ("0::/\n", {}, 64),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "800000 100000", "a/b/cpu.max": "400000 100000"}, 4),
        ("0::/docker/1f\n", {"cpu.max": "500000 100000"}, 5),
        ("0::/../other\n", {"cpu.max": "500000 100000"}, 5),
        (V1, {f"cpu/docker/1f/{QUOTA}": "250000", f"cpu/docker/1f/{PERIOD}": "100000"}, 3),
        (V1, {f"cpu,cpuacct/{QUOTA}": "700000\n", f"cpu,cpuacct/{PERIOD}": "100000\n"}, 7),
        (V1, {f"cpu/{QUOTA}": "-1\n", f"cpu/{PERIOD}": "100000\n"}, 64),
        (f"{V1}0::/\n", {f"cpu/{QUOTA}": "600000", f"cpu/{PERIOD}": "100000"}, 6),
        ("", {"cpu.max": "200000 100000"}, 64),
        ("nonsense\n0::/\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/\n", {"cpu.max": "200000 0\n"}, 64),
        (
            "3:cpuacct,cpu:/x\n",
            {f"cpu,cpuacct/x/{QUOTA}": "300000", f"cpu,cpuacct/x/{PERIOD}": "100000"},
            3,
        ),
    ],
)  # fmt: skip
def test_the_quota_of_control_groups(tmp_path, many, membership, files, expected):
    assert usable(tmp_path, membership, files) == expected


def test_systems_without_control_groups(tmp_path, many, monkeypatch):
    assert usable_processors(tmp_path / "no", tmp_path / "such") == 64
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_processors(tmp_path / "no", tmp_path / "such") == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors(tmp_path / "no", tmp_path / "such") == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_kept_to_one_processor_takes_one_thread():
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import argparse; from mlbench import Options\n"
        "from mlbench.commands.options import shared\n"
        "parser = argparse.ArgumentParser(); shared(parser, '--threads')\n"
        "print(Options().threads, parser.parse_args([]).threads)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["1", "1"]


def test_options_take_the_processors_that_may_be_used():
    assert Options().threads == usable_processors()


def test_libraries_are_told_of_a_quota_and_of_nothing_else(many, monkeypatch):
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "5"})
    monkeypatch.setattr(threads, "usable_processors", lambda: 64)
    limit_libraries()
    assert os.environ == {"OMP_NUM_THREADS": "5"}
    monkeypatch.setattr(threads, "usable_processors", lambda: 3)
    limit_libraries()
    assert os.environ == dict.fromkeys(LIBRARIES, "3") | {"OMP_NUM_THREADS": "5"}
