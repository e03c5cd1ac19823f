"""Data sets of the hub, against a server on this machine that speaks its language.

The hub's library reads its address when it is imported. So one process imports it with the address
of a server that serves all tests here, and each command is a fork of that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlbench.data.catalog import find_task
from mlbench.data.hub import at_commit, place_of
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from tests.support.miracl_corpus import write_corpus
from tests.support.web_server import COMMIT, Site, serving

URL = "hf://datasets/some/set@main/{path}"

STREAM = """
import json, sys
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import stream_collection

found = stream_collection(find_task(sys.argv[1]), Locator())
passages = [
    [shard.language, *passage]
    for shard in found.shards for batch in shard.passages() for passage in batch
]
shards = [[shard.name, shard.size, shard.digest(), shard.where(2)] for shard in found.shards]
print(json.dumps({"passages": passages, "shards": shards}))
"""


FORKS = """
import json, os, sys
import datasets, datasets.filesystems, huggingface_hub
from mlbench.commands.cli import main

datasets.config.STREAMING_READ_RETRY_INTERVAL = 0
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        for number in (1, 2):
            os.dup2(os.open(order["output"][number - 1], os.O_WRONLY | os.O_CREAT), number)
        os.environ["MLBENCH_CACHE"] = order["cache"]
        sys.argv = ["mlbench", *order["arguments"]]
        sys.exit(exec(order["code"]) if order["code"] else main())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_addresses() -> None:
    url = "hf://datasets/some/set@v1/a/b.gz"
    assert place_of(url) == "some/set@v1"
    assert place_of("hf://datasets/some/set/b.gz") == "some/set@main"
    with pytest.raises(ValueError, match="https"):
        place_of("https://example.org/b.gz")
    assert at_commit(url, COMMIT) == f"hf://datasets/some/set@{COMMIT}/a/b.gz"
    assert at_commit(url, None) == url


@pytest.fixture(scope="module")
def whole(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task file of a small corpus that lies beside it."""
    folder = tmp_path_factory.mktemp("whole")
    return write_corpus(folder, data_dir, ["sw", "te"], queries=5, distractors=20, url=URL)


@dataclass(frozen=True)
class Done:
    """How a process ended."""

    returncode: int
    stdout: str
    stderr: str


class Forks:
    """A process that has imported what a command needs, and knows a server as the hub."""

    def __init__(self, address: str, folder: Path) -> None:
        known = {"HF_ENDPOINT": address, "NO_PROXY": "*", "HF_HOME": str(folder)}
        online = {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}  # whatever the tester has set
        known["USE_TORCH"] = "0"  # which `datasets` would import, for seconds
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            env={**os.environ, **known, **online},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: str = "") -> Done:
        """Run mlbench, or the code, in a fork of the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        output = [self.folder / "stdout", self.folder / "stderr"]
        for path in output:
            path.write_bytes(b"")
        order = {"arguments": arguments, "code": code, "cache": os.environ["MLBENCH_CACHE"]}
        self.process.stdin.write(json.dumps({**order, "output": list(map(str, output))}) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return Done(status, *(path.read_text() for path in output))


@pytest.fixture(scope="module")
def hub() -> Iterator[Site]:
    with serving(Site()) as running:
        yield running


@pytest.fixture(scope="module")
def forks(hub: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks(hub.address, tmp_path_factory.mktemp("forks"))
    yield forks
    forks.process.communicate()


@pytest.fixture
def site(hub: Site, whole: Path) -> Site:
    """The server with the files of the task and nothing wrong."""
    paths = [path for path in whole.parent.rglob("*.*") if path.suffix in (".gz", ".tsv")]
    files = {f"datasets/some/set/{p.relative_to(whole.parent)}": p.read_bytes() for p in paths}
    for name, value in vars(Site(files, address=hub.address)).items():
        setattr(hub, name, value)
    return hub


@pytest.fixture
def task(whole: Path, tmp_path: Path) -> Path:
    """The same task file without its data."""
    return Path(shutil.copy(whole, tmp_path / whole.name))


def cache() -> Path:
    return Path(os.environ["MLBENCH_CACHE"]) / "data"


def lock() -> Any:
    return json.loads((cache() / "miracl-small.lock.json").read_text())


def test_streaming_gives_what_the_local_files_hold(
    whole: Path, task: Path, site: Site, forks: Forks
) -> None:
    site.drops, site.after = 1, 700
    done = forks.run(str(task), code=STREAM)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    local = read_collection(find_task(whole), Locator(offline=True).of(find_task(whole)))
    texts = zip(local.passages.ids, local.passages.texts, strict=True)
    assert {tuple(passage[1:]) for passage in found["passages"]} == set(texts)
    assert len(found["passages"]) == len(local.passages)
    for name, size, digest, where in found["shards"]:
        path = whole.parent / name
        assert size == path.stat().st_size
        address = f"hf://datasets/some/set@{COMMIT}/{name}"
        assert lock()["files"][address] == {"sha256": digest, "size": size}
        assert where == f"{address}:3"
    assert lock()["commits"] == {"some/set@main": COMMIT}
    assert not list(cache().rglob("*.gz"))  # streamed, not stored


def test_fetching_stores_and_checks(task: Path, site: Site, forks: Forks) -> None:
    fetch = ("tasks", "fetch", str(task))
    done = forks.run(*fetch)
    assert done.returncode == 0, done.stderr
    assert "downloaded" in done.stdout
    stored = sorted(path.name for path in (cache() / "hub/some/set@main").rglob("docs-*"))
    assert stored == ["docs-0.jsonl.gz", "docs-0.jsonl.gz", "docs-1.jsonl.gz", "docs-1.jsonl.gz"]
    assert len(lock()["files"]) == 4 + 4 + 4  # by address and by path; topics, qrels by path
    again = forks.run(*fetch, "--offline")
    assert again.returncode == 0
    assert "downloaded" not in again.stdout
    shard = next(cache().rglob("docs-1.jsonl.gz"))
    shard.write_bytes(shard.read_bytes() + b"more")
    changed = forks.run(*fetch, "--offline")
    assert changed.returncode == 6
    assert f"{shard}: has changed since it was first read" in changed.stderr
    assert "delete the file" in changed.stderr


def test_a_file_that_changed_at_a_commit_is_refused(task: Path, site: Site, forks: Forks) -> None:
    assert forks.run(str(task), code=STREAM).returncode == 0
    name = next(name for name in site.files if name.endswith("docs-1.jsonl.gz"))
    site.files[name] += b"more"
    done = forks.run("tasks", "fetch", str(task))
    assert done.returncode == 6
    assert f"hf://datasets/some/set@{COMMIT}/" in done.stderr
    assert "has changed since it was first read" in done.stderr


def test_what_the_hub_has_not_is_told(task: Path, site: Site, forks: Forks) -> None:
    name = next(name for name in site.files if name.endswith("docs-1.jsonl.gz"))
    del site.files[name]
    done = forks.run("tasks", "fetch", str(task))
    assert done.returncode == 5
    assert "is not in the data set" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hub_that_is_not_there_is_told(task: Path, tmp_path: Path) -> None:
    gone = Forks("http://127.0.0.1:9", tmp_path)
    done = gone.run("tasks", "fetch", str(task))
    gone.process.communicate()
    assert done.returncode == 5
    assert "hf://datasets/some/set@main: the hub cannot be reached" in done.stderr
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_asks_nobody(task: Path, site: Site, forks: Forks) -> None:
    done = forks.run("tasks", "fetch", str(task), "--offline")
    assert done.returncode == 3
    assert "8 data files not found (offline)" in done.stderr
    assert site.asked == []
