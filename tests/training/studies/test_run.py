from __future__ import annotations

import errno
import json
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.common.errors import DataError, EnvironmentFault, IntegrityError
from mlbench.reports.report import write_report
from mlbench.training.studies.plan import load_study
from mlbench.training.studies.run import (
    CELL_FILE,
    Work,
    carry_out,
    done_of,
    entrants,
    jobs,
    open_folder,
    report_on,
    trainings,
)
from tests.training.studies.made import (
    MADE,
    STUDY,
    done_study,
    evaluate_made,
    made_report,
    train_made,
    write_study,
)


class Counting:
    """Work that counts what is trained, and fails at the n-th training."""

    def __init__(self, fails_at: int = 0, error: BaseException | None = None) -> None:
        self.trained: list[Path] = []
        self.fails_at, self.error = fails_at, error or KeyboardInterrupt()

    def work(self) -> Work:
        def train(config, folder):
            if len(self.trained) + 1 == self.fails_at:
                raise self.error
            self.trained.append(folder)
            return train_made(config, folder)

        return Work(train, train_made, evaluate_made)


def opened(tmp_path: Path, text: str = STUDY):
    study = load_study(write_study(tmp_path, text))
    open_folder(study, tmp_path / "done")
    return study, tmp_path / "done"


def test_every_cell_is_trained_once_and_kept(tmp_path):
    study, folder = opened(tmp_path)
    first, second = Counting(), Counting()
    carry_out(list(jobs(study, folder, first.work())), "made", quiet=True)
    assert len({*first.trained}) == len(first.trained) == 9
    done = json.loads((folder / "cells/noise-0.8/seed-2" / CELL_FILE).read_text())
    assert (done["arm"], done["seed"], done["config"]["noise"]) == ("noise 0.8", 2, 0.8)
    assert set(done["seconds"]) == {"training", "parallel"}
    todo = list(jobs(study, folder, second.work()))
    assert done_of(todo) == (10, 10)
    carry_out(todo, "made", quiet=True)
    assert second.trained == []


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_study_that_ended_early_goes_on_where_it_was(tmp_path, error):
    study, folder = opened(tmp_path)
    broken, rest = Counting(5, error), Counting()
    with pytest.raises(type(error)) as ended:
        carry_out(list(jobs(study, folder, broken.work())), "made", quiet=True)
    assert "5 of 10 models are done and kept" in ended.value.__notes__[0]
    kept = {path: path.read_bytes() for path in folder.glob(f"**/{CELL_FILE}")}
    assert len(kept) == 5
    carry_out(list(jobs(study, folder, rest.work())), "made", quiet=True)
    assert not {*broken.trained} & {*rest.trained}
    assert len(broken.trained) + len(rest.trained) == 9
    assert all(path.read_bytes() == before for path, before in kept.items())


def test_a_killed_process_loses_the_cell_it_was_at_and_no_other(tmp_path):
    study, folder = opened(tmp_path)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.training.studies.test_run import Counting, jobs, carry_out, load_study\n"
        "class Kill(Exception): pass\n"
        "class Killing(Counting):\n"
        "    @property\n"
        "    def error(self): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    @error.setter\n"
        "    def error(self, value): pass\n"
        "study, folder = load_study(sys.argv[1]), Path(sys.argv[2])\n"
        "carry_out(list(jobs(study, folder, Killing(4).work())), 'made', quiet=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(study.path), str(folder)],
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    rest = Counting()
    carry_out(list(jobs(study, folder, rest.work())), "made", quiet=True)
    assert len(rest.trained) == 6


def test_a_full_disk_loses_nothing_that_was_done(tmp_path):
    """A process that may write files of a few bytes only: reports do not fit, small files do."""
    study, folder = opened(tmp_path)
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from mlbench.common.errors import MlbenchError\n"
        "from tests.training.studies.test_run import Counting, jobs, carry_out, load_study\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "study, folder = load_study(sys.argv[1]), Path(sys.argv[2])\n"
        "todo = list(jobs(study, folder, Counting().work()))\n"
        "carry_out(todo[:4], 'made', quiet=True)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    carry_out(todo, 'made', quiet=True)\n"
        "except MlbenchError as error:\n"
        "    print(error, *error.__notes__)\n"
        "    sys.exit(error.exit_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(study.path), str(folder)],
        cwd=Path(__file__).parents[3],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == EnvironmentFault.exit_code, done.stderr
    assert "cannot be written" in done.stdout
    assert "4 of 10 models are done and kept" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 2000
    rest = Counting()
    carry_out(list(jobs(study, folder, rest.work())), "made", quiet=True)
    assert len(rest.trained) == 6


def test_two_processes_share_a_folder_and_no_work(tmp_path):
    study, folder = opened(tmp_path)
    works = [Counting(), Counting()]
    threads = [
        threading.Thread(
            target=lambda w=w: carry_out(list(jobs(study, folder, w.work())), "made", quiet=True)
        )
        for w in works
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trained = [path for work in works for path in work.trained]
    assert len(trained) == len({*trained}) == 9


def test_a_cell_without_its_report_is_not_done(tmp_path):
    study, folder = done_study(tmp_path)
    (folder / "cells/noise-0.8/seed-2/parallel/ranks.parquet").unlink()
    todo = list(jobs(study, folder, MADE))
    assert done_of(todo) == (9, 10)


def test_the_folder_of_another_study_is_refused(tmp_path):
    _, folder = done_study(tmp_path)
    other = load_study(write_study(tmp_path / "other", STUDY.replace("made-data", "other-data")))
    with pytest.raises(IntegrityError, match="holds the study 'made' with other training"):
        open_folder(other, folder)
    more = load_study(write_study(tmp_path / "more", STUDY.replace("[1, 2, 3]", "[1, 2, 3, 4]")))
    open_folder(more, folder)
    assert done_of(jobs(more, folder, MADE)) == (10, 13)


@pytest.mark.parametrize(
    ("file", "content"),
    [("plan.json", b"{"), ("cells/noise-1/seed-1/cell.json", b"[]")],
)
def test_a_damaged_file_is_named(tmp_path, file, content):
    study, folder = done_study(tmp_path)
    (folder / file).write_bytes(content)

    def again():
        open_folder(study, folder)
        done_of(jobs(study, folder, MADE))

    with pytest.raises(IntegrityError, match="damaged"):
        again()


def test_a_cell_of_other_training_is_not_taken_for_one_of_this(tmp_path):
    study, folder = done_study(tmp_path)
    arms = tuple(replace(arm, config={**arm.config, "more": 1}) for arm in study.arms)
    with pytest.raises(IntegrityError, match=r"cell.json: digest"):
        done_of(jobs(replace(study, arms=arms), folder, MADE))


def test_what_is_done_can_be_read(tmp_path):
    study, folder = done_study(tmp_path)
    found = entrants(study, folder, "parallel")
    assert [(e.label, e.role, e.seeds) for e in found] == [
        ("noise 0.8", "trained", ("1", "2", "3")),
        ("noise 1", "trained", ("1", "2", "3")),
        ("noise 1.6", "trained", ("1", "2", "3")),
        ("rival", "baseline", ("",)),
    ]
    assert found[0].read("2").model.name == "noise-0.8-2"
    assert found[0].languages == ("ar", "de", "el")
    assert [len(of) for of in trainings(study, folder).values()] == [3, 3, 3]


def test_arms_trained_elsewhere_join_as_reports_or_as_models(tmp_path):
    for seed in (1, 2):
        report = made_report(0.5, seed)
        write_report(tmp_path / f"theirs-{seed}" / "anything", report, report.ranks, {})
    train_made({"noise": 0.6, "seed": 1}, tmp_path / "checkpoint")
    more = (
        '[elsewhere.theirs]\nreports = ["theirs-1", "theirs-2"]\n'
        '[elsewhere.ours]\nmodels = ["checkpoint"]\nlanguages = ["ar"]\n[grid]'
    )
    study, folder = done_study(tmp_path, STUDY.replace("[grid]", more))
    found = {each.label: each for each in entrants(study, folder, "parallel")}
    assert [found["theirs"].read(seed).model.name for seed in found["theirs"].seeds] == [
        "noise-0.5-1", "noise-0.5-2",
    ]  # fmt: skip
    ours = found["ours"]
    assert ours.languages == ("ar",)
    assert ours.read(ours.seeds[0]).model.name == "noise-0.6-1"


def test_a_folder_must_hold_one_report_on_a_task(tmp_path):
    with pytest.raises(DataError, match="no reports on parallel"):
        report_on(tmp_path, "parallel")
    for name in "ab":
        write_report(tmp_path / name, made_report(0.5, 1), made_report(0.5, 1).ranks, {})
    with pytest.raises(DataError, match="2 reports on parallel"):
        report_on(tmp_path, "parallel")


def test_models_are_discarded_where_they_are_not_to_be_kept(tmp_path):
    _, folder = done_study(tmp_path, STUDY.replace("seeds =", "keep_models = false\nseeds ="))
    assert not list(folder.glob("cells/*/*/model"))
