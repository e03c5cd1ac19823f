"""Downloads against a server on this machine that breaks off, hesitates, forgets or lies."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError
from mlbench.data import download as module
from mlbench.data.checksums import Stamp
from mlbench.data.download import ATTEMPTS, Download, NoConnection, download
from tests.support.web_server import Site, serving

CONTENT = random.Random(7).randbytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with one file; little arrives at once, and retries do not wait."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(module, "CHUNK", 1000)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    with serving(Site({"a/file": CONTENT})) as running:
        yield running


def wanted(site: Site, folder: Path, sha256: str | None = SHA256) -> Download:
    return Download(f"{site.address}/a/file", folder / "below" / "file", sha256)


def ranges(site: Site) -> list[str]:
    return [asked for _, _, asked in site.asked]


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_file_arrives_whole(tmp_path: Path, site: Site, sha256: str | None) -> None:
    file = wanted(site, tmp_path, sha256)
    told: list[int] = []
    assert download(file, told.append) == Stamp(SHA256, len(CONTENT))
    assert file.target.read_bytes() == CONTENT
    assert sum(told) == len(CONTENT)
    left = {path.name for path in file.target.parent.glob("[!.]*")}
    assert left == {"file"}


@pytest.mark.parametrize("etags", [True, False])
def test_a_broken_connection_is_taken_up_where_it_stopped(
    tmp_path: Path, site: Site, etags: bool
) -> None:
    site.drops, site.after, site.etags = 12, 7_500, etags
    told: list[int] = []
    file = wanted(site, tmp_path)
    download(file, told.append)
    assert file.target.read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges(site)[1:]]
    assert starts == [7_000 * n for n in range(1, 13)]  # whole chunks of what had arrived
    assert sum(told) == len(CONTENT)


def test_a_server_that_ignores_ranges_sends_all_again(tmp_path: Path, site: Site) -> None:
    site.drops, site.after, site.ranges = 2, 50_000, False
    file = wanted(site, tmp_path)
    download(file)
    assert file.target.read_bytes() == CONTENT
    assert ranges(site) == ["", "bytes=50000-", "bytes=50000-"]


def test_a_later_process_goes_on(tmp_path: Path, site: Site) -> None:
    """A process that is killed in mid-download leaves its part to the next."""
    site.drops, site.after = 1, 40_000
    file = wanted(site, tmp_path)
    code = (
        "import os, sys, pathlib, mlbench.data.download as d\n"
        "d.CHUNK = 1000\n"
        "d.time.sleep = lambda seconds: os._exit(9)\n"
        "d.download(d.Download(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", code, file.url, str(file.target), SHA256]
    assert subprocess.run(command, check=False).returncode == 9
    assert file.part.read_bytes() == CONTENT[:40_000]
    assert not file.target.exists()
    download(file)
    assert file.target.read_bytes() == CONTENT
    assert ranges(site) == ["", "bytes=40000-"]


def test_a_part_that_is_all_there_is_enough(tmp_path: Path, site: Site) -> None:
    file = wanted(site, tmp_path)
    file.part.parent.mkdir()
    file.part.write_bytes(CONTENT)
    assert download(file).sha256 == SHA256


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_part_of_an_older_version_is_thrown_away(
    tmp_path: Path, site: Site, sha256: str | None
) -> None:
    file = wanted(site, tmp_path, sha256)
    file.part.parent.mkdir()
    file.part.write_bytes(b"old" * 1000)
    file.mark.write_text('"another"')
    download(file)
    assert file.target.read_bytes() == CONTENT


def test_a_part_without_any_mark_is_trusted_only_with_a_digest(tmp_path: Path, site: Site) -> None:
    for sha256, asked in ((SHA256, ["bytes=3000-", ""]), (None, [""])):
        site.asked.clear()
        file = wanted(site, tmp_path / str(sha256), sha256)
        file.part.parent.mkdir(parents=True)
        file.part.write_bytes(b"old" * 1000)
        download(file)
        assert file.target.read_bytes() == CONTENT
        assert ranges(site) == asked


def test_a_busy_server_is_asked_again(tmp_path: Path, site: Site) -> None:
    site.busy = ATTEMPTS - 1
    assert download(wanted(site, tmp_path)).sha256 == SHA256


def test_waiting_doubles(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    site.busy = 99
    with pytest.raises(NoConnection, match="asks for patience") as caught:
        download(wanted(site, tmp_path))
    assert waited == [1, 2, 4, 8]
    assert len(site.asked) == ATTEMPTS
    assert caught.value.exit_code == 5


def test_what_is_not_there_is_told_at_once(tmp_path: Path, site: Site) -> None:
    site.files.clear()
    with pytest.raises(EnvironmentFault, match="404") as caught:
        download(wanted(site, tmp_path))
    assert not isinstance(caught.value, NoConnection)
    assert len(site.asked) == 1


def test_a_forgery_is_refused_and_thrown_away(tmp_path: Path, site: Site) -> None:
    file = wanted(site, tmp_path, "0" * 64)
    with pytest.raises(IntegrityError) as caught:
        download(file)
    for part in (file.url, SHA256, "0" * 64):
        assert part in str(caught.value)
    assert not [path for path in file.target.parent.glob("[!.]*") if path.is_file()]


def test_a_full_disk_keeps_what_has_arrived(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = wanted(site, tmp_path)

    def full(count: int) -> None:
        if file.part.stat().st_size >= 0 and count:
            raise OSError(28, "No space left on device")

    with pytest.raises(EnvironmentFault, match="No space left on device") as caught:
        download(file, full)
    assert "goes on where it stopped" in str(caught.value)
    assert file.part.exists()
    assert not file.target.exists()
