"""Data sets of the hub, against a server on this machine that speaks its language.

The hub's library reads its address when it is imported, so each test is a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.data.catalog import find_task
from mlbench.data.hub import at_commit, place_of, web_address
from mlbench.data.locator import Locator
from mlbench.data.readers import load_collection
from tests.support.miracl_corpus import write_corpus
from tests.support.web_server import COMMIT, Site, serving

URL = "hf://datasets/some/set@main/{path}"

STREAM = """
import json, sys
import datasets
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import stream_collection

datasets.config.STREAMING_READ_RETRY_INTERVAL = 0
found = stream_collection(find_task(sys.argv[1]), Locator())
passages = [
    [shard.language, *passage]
    for shard in found.shards for batch in shard.passages() for passage in batch
]
shards = [[shard.name, shard.size, shard.digest(), shard.where(2)] for shard in found.shards]
print(json.dumps({"passages": passages, "shards": shards}))
"""


def test_addresses() -> None:
    url = "hf://datasets/some/set@v1/a/b.gz"
    assert place_of(url) == "some/set@v1"
    assert place_of("hf://datasets/some/set/b.gz") == "some/set@main"
    assert place_of("https://example.org/b.gz") == ""
    assert at_commit(url, {"some/set@v1": COMMIT}.get) == f"hf://datasets/some/set@{COMMIT}/a/b.gz"
    assert at_commit(url, {}.get) == url
    assert web_address(url).endswith("/datasets/some/set/resolve/v1/a/b.gz")
    assert web_address("https://example.org/b.gz") == "https://example.org/b.gz"


@pytest.fixture(scope="module")
def whole(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task file of a small corpus that lies beside it."""
    folder = tmp_path_factory.mktemp("whole")
    return write_corpus(folder, data_dir, ["sw", "te"], queries=5, distractors=20, url=URL)


@pytest.fixture
def site(whole: Path) -> Iterator[Site]:
    paths = [path for path in whole.parent.rglob("*.*") if path.suffix in (".gz", ".tsv")]
    files = {f"datasets/some/set/{p.relative_to(whole.parent)}": p.read_bytes() for p in paths}
    with serving(Site(files)) as running:
        yield running


@pytest.fixture
def task(whole: Path, tmp_path: Path) -> Path:
    """The same task file without its data."""
    return Path(shutil.copy(whole, tmp_path / whole.name))


def run(site: Site, *command: str) -> subprocess.CompletedProcess[str]:
    known = {"HF_ENDPOINT": site.address, "NO_PROXY": "*", "HF_HOME": os.environ["MLBENCH_CACHE"]}
    online = {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}  # whatever the tester has set
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **known, **online},
        capture_output=True,
        text=True,
        check=False,
    )


def cache() -> Path:
    return Path(os.environ["MLBENCH_CACHE"]) / "data"


def lock() -> Any:
    return json.loads((cache() / "miracl-small.lock.json").read_text())


def test_streaming_gives_what_the_local_files_hold(whole: Path, task: Path, site: Site) -> None:
    site.drops, site.after = 1, 700
    done = run(site, "-c", STREAM, str(task))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    local = load_collection(find_task(whole), Locator(offline=True).of(find_task(whole)))
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


def test_fetching_stores_and_checks(task: Path, site: Site) -> None:
    fetch = ("-m", "mlbench", "tasks", "fetch", str(task))
    done = run(site, *fetch)
    assert done.returncode == 0, done.stderr
    assert "downloaded" in done.stdout
    stored = sorted(path.name for path in (cache() / "hub/some/set@main").rglob("docs-*"))
    assert stored == ["docs-0.jsonl.gz", "docs-0.jsonl.gz", "docs-1.jsonl.gz", "docs-1.jsonl.gz"]
    assert len(lock()["files"]) == 4 + 4 + 4  # by address and by path; topics, qrels by path
    again = run(site, *fetch, "--offline")
    assert again.returncode == 0
    assert "downloaded" not in again.stdout
    shard = next(cache().rglob("docs-1.jsonl.gz"))
    shard.write_bytes(shard.read_bytes() + b"more")
    changed = run(site, *fetch, "--offline")
    assert changed.returncode == 6
    assert f"{shard}: has changed since it was first read" in changed.stderr
    assert "delete the file" in changed.stderr


def test_a_file_that_changed_at_a_commit_is_refused(task: Path, site: Site) -> None:
    assert run(site, "-c", STREAM, str(task)).returncode == 0
    name = next(name for name in site.files if name.endswith("docs-1.jsonl.gz"))
    site.files[name] += b"more"
    done = run(site, "-m", "mlbench", "tasks", "fetch", str(task))
    assert done.returncode == 6
    assert f"hf://datasets/some/set@{COMMIT}/" in done.stderr
    assert "has changed since it was first read" in done.stderr


def test_what_the_hub_has_not_is_told(task: Path, site: Site) -> None:
    name = next(name for name in site.files if name.endswith("docs-1.jsonl.gz"))
    del site.files[name]
    done = run(site, "-m", "mlbench", "tasks", "fetch", str(task))
    assert done.returncode == 5
    assert "is not in the data set" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hub_that_is_not_there_is_told(task: Path) -> None:
    done = run(Site(address="http://127.0.0.1:9"), "-m", "mlbench", "tasks", "fetch", str(task))
    assert done.returncode == 5
    assert "hf://datasets/some/set@main: the hub cannot be asked" in done.stderr
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_asks_nobody(task: Path, site: Site) -> None:
    done = run(site, "-m", "mlbench", "tasks", "fetch", str(task), "--offline")
    assert done.returncode == 3
    assert "8 data files not found (offline)" in done.stderr
    assert site.asked == []
