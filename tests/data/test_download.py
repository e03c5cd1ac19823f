"""Downloads against a server on this machine that breaks off, hesitates, forgets or lies."""

from __future__ import annotations

import hashlib
import logging
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError
from mlbench.data.checksums import Stamp
from mlbench.data.download import WAITS, Download, NoConnection, download
from tests.support.web_server import COMMIT, Site, serving

CONTENT = random.Random(7).randbytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HUB = f"hf://datasets/some/set@{COMMIT}/a/file.gz"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with one file, which a data set of the hub has too; retries do not wait."""
    from huggingface_hub import constants, utils

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    files = {"a/file": CONTENT, "datasets/some/set/a/file.gz": CONTENT}
    with serving(Site(files)) as running:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        utils.close_session()  # it may know a proxy
        yield running


def wanted(site: Site, folder: Path, sha256: str | None = SHA256) -> Download:
    return Download(f"{site.address}/a/file", folder / "below" / "file", sha256)


def of_hub(folder: Path, sha256: str | None = SHA256) -> Download:
    return Download(HUB, folder / "below" / "file", sha256)


def ranges(site: Site) -> list[str]:
    """The ranges asked for of files; the hub's library may ask for things of its own as well."""
    return [asked for method, path, asked in site.asked if method == "GET" and "a/file" in path]


def left(file: Download) -> set[str]:
    """What lies beside a file, the one that processes wait for excepted."""
    return {path.name for path in file.target.parent.iterdir()} - {f".{file.target.name}.busy"}


@pytest.mark.parametrize("sha256", [SHA256, None])
@pytest.mark.parametrize("hub", [False, True])
def test_a_file_arrives_whole(tmp_path: Path, site: Site, hub: bool, sha256: str | None) -> None:
    file = of_hub(tmp_path, sha256) if hub else wanted(site, tmp_path, sha256)
    told: list[int] = []
    assert download(file, told.append) == Stamp(SHA256, len(CONTENT))
    assert file.target.read_bytes() == CONTENT
    assert sum(told) == (len(CONTENT) if hub else 0)
    assert left(file) == {"file"}


def test_the_hub_s_broken_connection_is_taken_up_where_it_stopped(
    tmp_path: Path, site: Site
) -> None:
    site.drops, site.after = 4, 20_000
    told: list[int] = []
    file = of_hub(tmp_path)
    download(file, told.append)
    assert file.target.read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges(site)[1:]]
    assert starts == [20_000, 40_000, 60_000, 80_000]
    assert sum(told) == len(CONTENT)


def test_elsewhere_a_broken_connection_begins_the_file_anew(tmp_path: Path, site: Site) -> None:
    site.drops, site.after = len(WAITS), 7_500
    file = wanted(site, tmp_path)
    download(file)
    assert file.target.read_bytes() == CONTENT
    assert ranges(site) == [""] * (1 + len(WAITS))


@pytest.mark.parametrize("hub", [False, True])
def test_a_connection_that_always_breaks_is_given_up(tmp_path: Path, site: Site, hub: bool) -> None:
    site.drops, site.after = 99, 0
    file = of_hub(tmp_path) if hub else wanted(site, tmp_path)
    with pytest.raises(NoConnection, match="cannot be downloaded"):
        download(file)
    assert left(file) == set()


def test_a_server_that_ignores_ranges_sends_all_again(tmp_path: Path, site: Site) -> None:
    site.drops, site.after, site.ranges = 2, 50_000, False
    file = of_hub(tmp_path)
    download(file)
    assert file.target.read_bytes() == CONTENT
    assert ranges(site) == ["", "bytes=50000-", "bytes=50000-"]


def test_what_a_killed_process_leaves_is_in_nobody_s_way(tmp_path: Path, site: Site) -> None:
    site.drops, site.after = 1, 40_000
    file = wanted(site, tmp_path)
    code = (
        "import os, sys, pathlib, mlbench.data.download as d\n"
        "d.time.sleep = lambda seconds: os._exit(9)\n"
        "d.download(d.Download(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", code, file.url, str(file.target), SHA256]
    assert subprocess.run(command, check=False).returncode == 9
    assert not file.target.exists()
    download(file)
    assert file.target.read_bytes() == CONTENT


def test_who_wants_the_same_file_waits_for_the_first(tmp_path: Path, site: Site) -> None:
    file = wanted(site, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        stamps = list(pool.map(download, [file] * 4))
    assert set(stamps) == {Stamp(SHA256, len(CONTENT))}
    assert len(site.asked) == 1


@pytest.mark.parametrize("hub", [False, True])
def test_a_busy_server_is_asked_again(tmp_path: Path, site: Site, hub: bool) -> None:
    site.busy = len(WAITS)
    file = of_hub(tmp_path) if hub else wanted(site, tmp_path)
    assert download(file).sha256 == SHA256


def test_waiting_doubles(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    site.busy = 99
    with pytest.raises(NoConnection, match="503") as caught:
        download(wanted(site, tmp_path))
    assert waited == [1, 2, 4, 8]
    assert len(site.asked) == 5
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("hub", [False, True])
def test_what_is_not_there_is_told_at_once(tmp_path: Path, site: Site, hub: bool) -> None:
    site.files.clear()
    with pytest.raises(EnvironmentFault, match="404") as caught:
        download(of_hub(tmp_path) if hub else wanted(site, tmp_path))
    assert not isinstance(caught.value, NoConnection)
    assert len(site.asked) == 1


@pytest.mark.parametrize("hub", [False, True])
def test_a_forgery_is_refused_and_thrown_away(tmp_path: Path, site: Site, hub: bool) -> None:
    file = of_hub(tmp_path, "0" * 64) if hub else wanted(site, tmp_path, "0" * 64)
    with pytest.raises(IntegrityError) as caught:
        download(file)
    for part in (file.url, SHA256, "0" * 64):
        assert part in str(caught.value)
    assert left(file) == set()


@pytest.mark.parametrize("hub", [False, True])
def test_a_full_disk_is_told(tmp_path: Path, site: Site, hub: bool) -> None:
    file = of_hub(tmp_path) if hub else wanted(site, tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(EnvironmentFault, match="cannot be written: File too large") as caught:
            download(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(file.target.parent) in str(caught.value)
    assert "free some space" in str(caught.value)
    assert left(file) == set()


def test_no_token_is_told(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    site.drops, site.after = 99, 500
    with pytest.raises(NoConnection) as caught:
        download(of_hub(tmp_path))
    output = capfd.readouterr()
    assert "hf_secret" not in str(caught.value) + output.out + output.err
    assert (output.out, output.err) == ("", "")


def test_no_library_logs_of_its_own_accord(tmp_path: Path, site: Site) -> None:
    import pooch

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    pooch.get_logger().addHandler(handler)
    try:
        download(wanted(site, tmp_path))
    finally:
        pooch.get_logger().removeHandler(handler)
    assert said == []
