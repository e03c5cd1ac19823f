"""What the first of several processes does for all of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlbench.common.errors import DataError, Fault
from mlbench.training import processes
from mlbench.training.processes import Processes


class Pretended(Processes):
    """Processes that are threads: what the first has goes from hand to hand."""

    meeting, said = threading.Barrier(2, timeout=60), {}
    heard_of = threading.Event()
    """That the first was heard of a few times."""

    def of_first(self, value):
        if self.first:
            self.said["value"] = value
            self.said["times"] = self.said.get("times", 0) + 1
            if self.said["times"] > 3:
                self.heard_of.set()
        self.meeting.wait()
        value = self.said["value"]
        self.meeting.wait()
        return value


def both(work):
    """What both processes get of some work, or the error that each of them has."""

    def ask(rank):
        try:
            return Pretended(2, rank).first_does(lambda: work(rank))
        except Exception as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(ask, (0, 1)))


def test_the_first_alone_works_and_the_others_wait_however_long_it_takes(monkeypatch):
    monkeypatch.setattr(processes, "PULSE", 0.01)
    Pretended.said.clear()
    Pretended.heard_of.clear()
    done = []

    def work(rank):
        assert Pretended.heard_of.wait(60)
        done.append(rank)
        return [rank]

    assert both(work) == [[0], [0]]
    assert done == [0]
    assert Processes().first_does(lambda: 3) == 3


def test_what_fails_in_the_first_fails_in_all():
    def refuse(rank):
        raise DataError(Fault("texts", f"none for {rank}"))

    assert [(type(each), str(each)) for each in both(refuse)] == [
        (DataError, "texts: none for 0")
    ] * 2

    def odd(rank):
        raise OSError(threading.Lock())  # which no other process can be sent

    own, other = both(odd)
    assert isinstance(own, OSError)
    assert isinstance(other, RuntimeError)
    assert "in the first process: OSError" in str(other)
    with pytest.raises(OSError, match="lock"):
        Processes().first_does(lambda: odd(0))
