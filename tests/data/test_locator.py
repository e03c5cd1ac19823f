"""Finding, downloading and checking data files, against a server on this machine."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mlbench.common.errors import DataError, EnvironmentFault, IntegrityError, UsageError
from mlbench.common.files import cache_folder
from mlbench.data.catalog import find_task
from mlbench.data.locations import Origin, check_locations
from mlbench.data.locator import Locator, MissingData
from mlbench.data.task import Task

from .readers.building import make_task

CONTENT = {"lines/de.txt": b"eins\n", "lines/en.txt": b"one\n"}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


class Server(BaseHTTPRequestHandler):
    """Serves ``files``; answers 404 for the rest, and counts what it was asked for."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []
    missing: ClassVar[int] = 404

    def do_GET(self) -> None:
        name = self.path.removeprefix("/v1/")
        self.asked.append(name)
        self.send_response(200 if name in self.files else self.missing)
        self.end_headers()
        self.wfile.write(self.files.get(name, b"not here"))

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a running server; retries do not wait."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("mlbench.data.download.time.sleep", lambda seconds: None)
    monkeypatch.setattr(Server, "files", dict(CONTENT))
    monkeypatch.setattr(Server, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/v1"
        running.shutdown()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def lines_task(folder: Path, **source: Any) -> Task:
    return make_task(folder, "lines", {"text": "lines/{language}.txt"}, **source)


def put(folder: Path, **changes: bytes) -> Path:
    for name, content in CONTENT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(changes.get(path.stem, content))
    return folder


def origins(locator: Locator, task: Task) -> set[Origin]:
    return {found.origin for found in locator.fetch(task)}


def test_search_order(tmp_path: Path, server: str) -> None:
    task = lines_task(tmp_path / "task", url=server + "/{path}", sha256=SHA256)
    locator = Locator(put(tmp_path / "data"))
    assert origins(Locator(), task) == {Origin.DOWNLOAD}
    assert origins(Locator(), task) == {Origin.CACHE}
    put(tmp_path / "task")
    assert origins(Locator(), task) == {Origin.TASK}
    assert origins(locator, task) == {Origin.DATA}
    assert sorted(Server.asked) == sorted(CONTENT)


def test_environment_names_the_data_folder_unless_an_argument_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLBENCH_DATA", str(put(tmp_path / "environment")))
    task = lines_task(tmp_path)
    found = Locator().fetch(task)
    assert found[0].path == tmp_path / "environment/lines/de.txt"
    found = Locator(put(tmp_path / "argument")).fetch(task)
    assert found[0].path == tmp_path / "argument/lines/de.txt"


def test_what_is_found_is_told(tmp_path: Path) -> None:
    task = lines_task(put(tmp_path))
    german, english = Locator().fetch(task)
    assert (german.role, german.language, german.name) == ("text", "de", "lines/de.txt")
    assert (german.size, german.origin) == (5, Origin.TASK)
    assert Locator().of(task)("text") == {"de": german.path, "en": english.path}


def test_one_file_for_all_languages_has_no_language(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").touch()
    task = make_task(tmp_path, "beir", {"corpus": "c.jsonl"})
    assert Locator().of(task)("corpus") == {"": tmp_path / "c.jsonl"}


def test_a_file_may_lie_in_several_places(tmp_path: Path) -> None:
    places = {"text": ("elsewhere/{language}.txt", "{language}.txt")}
    task = lines_task(tmp_path, places=places)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/en.txt").touch()
    for language in ("de", "en"):
        (tmp_path / f"{language}.txt").touch()
    assert Locator().of(task)("text") == {
        "de": tmp_path / "de.txt",
        "en": tmp_path / "elsewhere/en.txt",
    }
    put(tmp_path)
    assert {file.name for file in Locator().fetch(task)} == set(CONTENT)
    assert Locator().of(task)("text")["en"] == tmp_path / "lines/en.txt"


def test_streamed_files_are_named_and_not_opened(tmp_path: Path) -> None:
    put(tmp_path)
    task = lines_task(tmp_path, sha256={**SHA256, "lines/en.txt": "0" * 64})
    files = Locator().of(task, streamed=["text"])
    assert files("text") == {}
    assert [(file.language, file.size) for file in files.corpus("text")] == [("de", 5), ("en", 4)]
    assert files.corpus("text")[0].digest() == SHA256["lines/de.txt"]
    with pytest.raises(IntegrityError, match="0000"):
        files.corpus("text")[1].digest()


def test_what_may_be_absent_is_no_fault_until_it_is_read(tmp_path: Path) -> None:
    task = lines_task(tmp_path)
    with pytest.raises(MissingData):
        Locator().of(task, streamed=["text"])
    files = Locator().of(task, streamed=["text"], absent=True)
    assert [file.path for file in files.corpus("text")] == [None, None]


def test_absolute_and_upward_paths_are_allowed_in_local_tasks(tmp_path: Path) -> None:
    put(tmp_path)
    absolute = make_task(tmp_path, "lines", {"text": f"{tmp_path}/lines/{{language}}.txt"})
    assert origins(Locator(), absolute) == {Origin.GIVEN}
    upward = make_task(tmp_path / "lines", "lines", {"text": "../lines/{language}.txt"})
    assert origins(Locator(), upward) == {Origin.TASK}


@pytest.mark.parametrize("place", ["data", "task", "cache"])
def test_a_pinned_digest_is_checked_wherever_the_file_lies(
    tmp_path: Path, server: str, place: str
) -> None:
    task = lines_task(tmp_path / "task", url=server + "/{path}", sha256=SHA256)
    locator = Locator(put(tmp_path / "data") if place == "data" else None)
    if place == "task":
        put(tmp_path / "task")
    (damaged,) = (file.path for file in locator.fetch(task) if file.language == "en")
    damaged.write_bytes(b"two\n")
    Server.asked.clear()
    with pytest.raises(IntegrityError) as caught:
        locator.fetch(task)
    message = str(caught.value)
    assert caught.value.exit_code == 6
    for part in (str(damaged), hashlib.sha256(b"two\n").hexdigest(), SHA256["lines/en.txt"]):
        assert part in message
    assert ("delete the file" in message) == (place == "cache")
    assert Server.asked == []


def test_the_address_may_name_the_language_alone(tmp_path: Path, server: str) -> None:
    task = lines_task(tmp_path, url=server + "/lines/{language}.txt", sha256=SHA256)
    paths = Locator().of(task)("text")
    assert {language: path.read_bytes() for language, path in paths.items()} == {
        "de": b"eins\n",
        "en": b"one\n",
    }


def test_tasks_share_what_is_downloaded(tmp_path: Path, server: str) -> None:
    first = lines_task(tmp_path / "first", url=server + "/{path}", sha256=SHA256)
    second = lines_task(tmp_path / "second", url=server + "/{path}", sha256=SHA256)
    assert origins(Locator(), first) == {Origin.DOWNLOAD}
    assert origins(Locator(offline=True), second) == {Origin.CACHE}


def test_a_download_with_another_digest_leaves_nothing(tmp_path: Path, server: str) -> None:
    Server.files["lines/en.txt"] = b"forged\n"
    task = lines_task(tmp_path, url=server + "/{path}", sha256=SHA256)
    with pytest.raises(IntegrityError) as caught:
        Locator().fetch(task)
    message = str(caught.value)
    assert f"{server}/lines/en.txt" in message
    assert hashlib.sha256(b"forged\n").hexdigest() in message
    assert SHA256["lines/en.txt"] in message
    left = [path for path in cache_folder().rglob("[!.]*") if path.is_file()]
    assert [path.read_bytes() for path in left] == [b"eins\n"]


def test_a_download_that_fails_for_a_while_is_tried_again(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = dict(CONTENT)
    monkeypatch.setattr(Server, "files", {})
    monkeypatch.setattr(Server, "missing", 503)
    monkeypatch.setattr(
        "mlbench.data.download.time.sleep", lambda seconds: Server.files.update(files)
    )
    task = lines_task(tmp_path, url=server + "/{path}", sha256=SHA256)
    assert origins(Locator(), task) == {Origin.DOWNLOAD}


def test_all_failed_downloads_are_reported(tmp_path: Path, server: str) -> None:
    Server.files.clear()
    task = lines_task(tmp_path, url=server + "/{path}", sha256=SHA256)
    with pytest.raises(EnvironmentFault) as caught:
        Locator().fetch(task)
    assert caught.value.exit_code == 5
    assert [fault.where for fault in caught.value.faults] == [
        f"{server}/lines/de.txt",
        f"{server}/lines/en.txt",
    ]
    assert "404" in str(caught.value)
    assert not [path for path in cache_folder().rglob("[!.]*") if path.is_file()]


def test_without_a_server_one_file_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("mlbench.data.download.time.sleep", lambda seconds: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    task = lines_task(tmp_path, url=f"http://127.0.0.1:{port}/{{path}}", sha256=SHA256)
    with pytest.raises(EnvironmentFault, match="cannot be downloaded") as caught:
        Locator().fetch(task)
    assert len(caught.value.faults) == 1


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, server: str) -> None:
    (tmp_path / "cache").write_bytes(b"a file in the way")
    task = lines_task(tmp_path, url=server + "/{path}", sha256=SHA256)
    with pytest.raises(EnvironmentFault, match="cannot be written") as caught:
        Locator(cache_dir=tmp_path / "cache").fetch(task)
    assert "MLBENCH_CACHE" in str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_offline_opens_no_socket_and_lists_every_missing_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    task = lines_task(tmp_path, url="https://example.org/{path}", sha256=SHA256)
    with pytest.raises(MissingData) as caught:
        Locator(tmp_path / "data", offline=True).fetch(task)
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert "task 'small': 2 data files not found (offline):" in message
    for name in CONTENT:
        assert f"\n    {name}\n" in message
    assert f"in {tmp_path / 'data'} or {tmp_path}, or downloaded into {cache_folder()}" in message
    assert f"`mlbench tasks fetch {tmp_path}/small.toml`" in message
    assert "--data-dir" in message


@pytest.mark.usefixtures("no_network")
def test_built_in_tasks_are_fetched_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="`mlbench tasks fetch xquad-r` with a network"):
        Locator(tmp_path, offline=True).fetch(find_task("xquad-r"))


@pytest.mark.usefixtures("no_network")
def test_offline_finds_local_files(tmp_path: Path) -> None:
    task = lines_task(put(tmp_path), url="https://example.org/{path}", sha256=SHA256)
    assert origins(Locator(offline=True), task) == {Origin.TASK}


@pytest.mark.usefixtures("no_network")
def test_files_without_an_address_are_missing_online_too(tmp_path: Path) -> None:
    with pytest.raises(MissingData) as caught:
        Locator().fetch(lines_task(tmp_path))
    assert "2 data files not found:" in str(caught.value)
    assert "fetch" not in str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_bad_and_missing_files_are_reported_together_before_any_download(tmp_path: Path) -> None:
    put(tmp_path, de=b"zwei\n")
    (tmp_path / "lines/en.txt").unlink()
    with pytest.raises(IntegrityError) as caught:
        Locator(offline=True).fetch(lines_task(tmp_path, sha256=SHA256))
    assert {fault.where for fault in caught.value.faults} == {
        f"{tmp_path}/lines/de.txt",
        "task 'small'",
    }
    assert "1 data file not found (offline):\n    lines/en.txt" in str(caught.value)


def test_a_data_folder_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        Locator(tmp_path / "none")


def test_the_cache_is_the_users_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_CACHE", "/named")
    assert cache_folder() == Path("/named")
    monkeypatch.delenv("MLBENCH_CACHE")
    assert cache_folder().name == "mlbench"


URL = "https://example.org/{path}"


@pytest.mark.parametrize(
    ("files", "source", "where", "expected"),
    [
        ("{language}.txt", {"url": URL}, "sha256", "no digest for 'de.txt'"),
        ("../{language}.txt", {"url": URL}, "files.text", "'../de.txt'"),
        ("a/../../{language}.txt", {"url": URL}, "files.text", "without '..'"),
        ("/etc/{language}", {"url": URL}, "files.text", "a relative path"),
        ("a\\{language}", {"url": URL}, "files.text", "a relative path"),
        ("{language}.txt", {"url": "ftp://x/{path}"}, "url", "https://"),
        ("{language}.txt", {"url": "https://x/y"}, "url", "the same address"),
        ("{language}.txt", {"url": "https://x/{lang}/{path}"}, "url", "placeholder {lang}"),
        ("{lang}.txt", {}, "files.text", "unknown placeholder {lang}"),
        (
            "{language}.txt",
            {"sha256": {"dee.txt": "0" * 64}},
            "sha256",
            "did you mean 'de.txt'",
        ),
    ],
)
def test_locations_that_cannot_work(
    tmp_path: Path, files: str, source: dict[str, Any], where: str, expected: str
) -> None:
    task = make_task(tmp_path, "lines", {"text": files}, **source)
    faults = [f for f in check_locations(task) if f.where.endswith(f"field source.{where}")]
    assert expected in "\n".join(map(str, faults))


def test_a_sound_address_has_no_fault(tmp_path: Path) -> None:
    assert check_locations(lines_task(tmp_path, url=URL, sha256=SHA256)) == []


def test_a_task_whose_locations_cannot_work_is_refused_before_any_file_is_looked_for(
    tmp_path: Path,
) -> None:
    task = tmp_path / "small.toml"
    task.write_text(
        'name = "small"\nversion = "1"\ntitle = "Small"\nlanguages = ["de", "en"]\n'
        'licence = "CC0-1.0"\ncitation = "nobody"\n[source]\nreader = "lines"\n'
        'url = "https://example.org/{path}"\nfiles.text = "../{language}.txt"\n'
    )
    with pytest.raises(DataError, match=r"without '\.\.'") as caught:
        find_task(task)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
@pytest.mark.usefixtures("no_network")
def test_the_real_files_have_the_pinned_digests(name: str, data_dir: Path) -> None:
    task = find_task(name)
    found = Locator(data_dir, offline=True).fetch(task)
    assert [file.language for file in found] == list(task.languages)
    assert {file.origin for file in found} == {Origin.DATA}
