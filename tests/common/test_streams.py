from __future__ import annotations

import sys
import threading

from mlbench.common.streams import stdout_to_stderr


def test_the_last_thread_puts_standard_output_back(capsys):
    before = sys.stdout
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with stdout_to_stderr:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with stdout_to_stderr:
        thread.start()
        assert inside.wait(10)
        print("first")
    assert sys.stdout is sys.stderr  # the other thread is still in it
    leave.set()
    thread.join()
    assert sys.stdout is before
    print("last")
    assert capsys.readouterr() == ("last\n", "first\n")
