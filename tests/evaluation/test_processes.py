"""Jobs in processes: each is done once, faults come back, and none outlives the caller."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlbench.common.errors import DataError, EnvironmentFault, Fault
from mlbench.evaluation.processes import in_processes


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def fail(number: int) -> int:
    if number == 1:
        raise DataError(Fault("file:1", "wrong"), Fault("file:2", "wrong too"))
    time.sleep(600)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_each_job_is_done_once_in_another_process():
    done = dict(in_processes(double, [5, 6, 7], 2))
    assert {place: value for place, (value, _) in done.items()} == {0: 10, 1: 12, 2: 14}
    assert os.getpid() not in {process for _, process in done.values()}
    assert not multiprocessing.active_children()


SCRIPT = """
from mlbench.evaluation.processes import in_processes
if __name__ == "__main__":
    print([*in_processes(len, ["a", "bb"], 2)])
"""


def test_processes_import_nothing_from_the_current_folder(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for name in ("multiprocessing", "pickle", "socket", "selectors", "signal", "struct"):
        (stranger / f"{name}.py").write_text(f"open('{(tmp_path / 'ran').as_posix()}', 'w')\n")
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        cwd=stranger, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.stdout.strip() in {"[(0, 1), (1, 2)]", "[(1, 2), (0, 1)]"}, done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("jobs", "workers"), [([5, 6], 1), ([5], 8), ([], 2)])
def test_with_one_worker_or_job_all_is_done_here(jobs, workers):
    done = list(in_processes(double, jobs, workers))
    assert done == [(place, (2 * job, os.getpid())) for place, job in enumerate(jobs)]


def test_a_fault_comes_back_whole_and_the_others_end():
    began = time.perf_counter()
    with pytest.raises(DataError) as error:
        list(in_processes(fail, [0, 1], 2))
    assert [fault.where for fault in error.value.faults] == ["file:1", "file:2"]
    assert time.perf_counter() - began < 600
    deadline = time.perf_counter() + 60
    while multiprocessing.active_children() and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_process_that_dies_is_an_environment_fault():
    with pytest.raises(EnvironmentFault, match="worker process: ended too early"):
        list(in_processes(die, [0, 1], 2))


def tell(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


CALLER = """
from mlbench.evaluation.processes import in_processes
from tests.evaluation.test_processes import tell

if __name__ == "__main__":
    list(in_processes(tell, [{folder!r}] * 2, 2))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_none_outlives_a_caller_that_is_killed(tmp_path):
    told = tmp_path / "told"
    told.mkdir()
    script = tmp_path / "caller.py"
    script.write_text(CALLER.format(folder=str(told)))
    root = Path(__file__).resolve().parent.parent.parent
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    caller = subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": path})
    deadline = time.perf_counter() + 300
    while len(list(told.iterdir())) < 2 and time.perf_counter() < deadline:
        time.sleep(0.05)
    workers = [int(file.name) for file in told.iterdir()]
    caller.kill()
    caller.wait()
    deadline = time.perf_counter() + 60
    while any(map(alive, workers)) and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(alive, workers))
